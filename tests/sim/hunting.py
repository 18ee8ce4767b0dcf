"""Hunts for seeded bugs: how many pairs it takes until the simulation notices each.

python -m tests.sim.hunting              # all catalogues, a line each
python -m tests.sim.hunting --bug NAME   # one
python -m tests.sim.hunting --zoo streaming
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass

from tests.sim.answer_bugs import ANSWER_BUGS
from tests.sim.bugs import BUGS
from tests.sim.campaign import ZOOS
from tests.sim.far_bugs import FAR_BUGS
from tests.sim.pair import judge
from tests.sim.preview_bugs import PREVIEW_BUGS
from tests.sim.quiet import pool_given_back, quiet
from tests.sim.stream_bugs import STREAM_BUGS

CATALOGUES = {
    "plain": BUGS,
    "streaming": STREAM_BUGS,
    "answering": ANSWER_BUGS,
    "foresight": FAR_BUGS,
    "previews": PREVIEW_BUGS,
}
"""Seeded bugs, by the zoo that must notice them."""
ZOO_OF = {bug: zoo for zoo, bugs in CATALOGUES.items() for bug in bugs}
MOST = 2_000
"""Pairs within which every bug must be noticed."""


@dataclass(frozen=True)
class Kill:
    """The first pair that noticed a bug.

    Attributes:
        pairs: How many it took, this one included.
        shape: The shape of its program.
        clauses: The promises that it saw broken.
    """

    pairs: int
    shape: str
    clauses: tuple[str, ...]


def hunt(bug: str, first: int = 0, most: int = MOST) -> Kill | None:
    """The first pair, from the seed *first* on, that breaks a promise; None if none of *most* does."""
    zoo = ZOO_OF[bug]
    with quiet(), pool_given_back(), CATALOGUES[zoo][bug]():
        for count in range(1, most + 1):
            program = ZOOS[zoo].program_of(first + count - 1)
            if broken := judge(program).mismatches:
                return Kill(count, program.shape, tuple(sorted({mismatch.clause for mismatch in broken})))
    return None


def main() -> int:
    """Hunt, and say what it took."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.hunting", description=__doc__)
    parser.add_argument("--bug", choices=sorted(ZOO_OF), help="only this one")
    parser.add_argument("--zoo", choices=sorted(CATALOGUES), help="only those that this zoo must notice")
    parser.add_argument("--most", type=int, default=MOST, help="pairs before a bug counts as survived")
    parser.add_argument("--json", action="store_true", help="for machines")
    given = parser.parse_args()
    bugs = [bug for bug, zoo in ZOO_OF.items() if given.bug in (None, bug) and given.zoo in (None, zoo)]
    took: dict[str, Kill | None] = {}
    for bug in bugs:
        kill = took[bug] = hunt(bug, most=given.most)
        if not given.json:
            told = "survived" if kill is None else f"{kill.pairs:>6} pairs  {kill.shape}: {', '.join(kill.clauses)}"
            print(f"{bug:<44}{told}", flush=True)
    if given.json:
        print(json.dumps({bug: kill and asdict(kill) for bug, kill in took.items()}, indent=1))
    return 1 if None in took.values() else 0


if __name__ == "__main__":
    sys.exit(main())
