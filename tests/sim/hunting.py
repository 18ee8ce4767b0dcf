"""Hunts for seeded bugs: how many pairs it takes until the simulation notices each.

python -m tests.sim.hunting              # all of the catalogue, a line each
python -m tests.sim.hunting --bug NAME   # one
python -m tests.sim.hunting --zoo streaming
"""

from __future__ import annotations

import argparse
import json
import sys

from tests.sim.bugs import BUGS
from tests.sim.campaign import ZOOS
from tests.sim.pair import judge
from tests.sim.quiet import pool_given_back, quiet

MOST = 2_000
"""Pairs within which every bug must be noticed."""


def pairs_until_killed(bug: str, first: int = 0, most: int = MOST, zoo: str = "plain") -> int | None:
    """How many pairs, from the seed *first* on, it takes until one breaks a promise; None if none of *most* does."""
    with quiet(), pool_given_back(), BUGS[bug]():
        for count in range(1, most + 1):
            if judge(ZOOS[zoo].program_of(first + count - 1)).mismatches:
                return count
    return None


def main() -> int:
    """Hunt, and say what it took."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.hunting", description=__doc__)
    parser.add_argument("--bug", choices=sorted(BUGS), help="only this one")
    parser.add_argument("--most", type=int, default=MOST, help="pairs before a bug counts as survived")
    parser.add_argument("--zoo", choices=sorted(ZOOS), default="plain", help="where the programs are from")
    parser.add_argument("--json", action="store_true", help="for machines")
    given = parser.parse_args()
    took: dict[str, int | None] = {}
    for bug in [given.bug] if given.bug else BUGS:
        took[bug] = pairs_until_killed(bug, most=given.most, zoo=given.zoo)
        if not given.json:
            print(f"{bug:<44}{'survived' if took[bug] is None else f'{took[bug]:>6} pairs'}", flush=True)
    if given.json:
        print(json.dumps(took, indent=1))
    return 1 if None in took.values() else 0


if __name__ == "__main__":
    sys.exit(main())
