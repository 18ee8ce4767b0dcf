"""The command line of the simulation: `python -m tests.sim --pairs 5000`, or `--seed N` to replay one pair."""

from __future__ import annotations

import argparse
import json
import sys

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.sim.campaign import ZOOS, Tally, campaign, portion
from tests.sim.shrinking import shrunk


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign or replay one seed; 1 when a promise was broken or something did not occur."""
    given = _parser().parse_args(arguments)
    if given.seed is not None:
        return _replay(given.seed, given.mode, given.zoo, given.shrink)
    console = Console(stderr=True)
    with Progress(console=console, disable=given.json) as progress:
        bar = progress.add_task("pairs", total=given.pairs)
        tally = campaign(
            given.first_seed,
            given.pairs,
            given.jobs,
            given.mode,
            lambda so_far: progress.update(bar, completed=so_far.pairs),
            given.zoo,
        )
    missing = tally.missing()
    if given.json:
        print(json.dumps({**vars(tally), "missing": missing, "known": ZOOS[given.zoo].known}, indent=1))
    else:
        _show(Console(), tally, missing, given.mode)
    return 1 if tally.mismatches or missing else 0


def command_of(seed: int, mode: str, zoo: str = "plain") -> str:
    """What replays one pair."""
    return f"PYTHONHASHSEED=0 python -m tests.sim --zoo {zoo} --seed {seed} --mode {mode}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5_000, help="how many pairs to judge")
    parser.add_argument("--first-seed", type=int, default=0, help="the seed of the first pair")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--mode", choices=("fifo", "permuted"), default="fifo", help="the order of ready callbacks")
    parser.add_argument("--zoo", choices=sorted(ZOOS), default="plain", help="where the programs are from")
    parser.add_argument("--seed", type=int, help="replay this pair alone")
    parser.add_argument("--shrink", action="store_true", help="with --seed: make the program smaller first")
    parser.add_argument("--json", action="store_true", help="print the tally as JSON")
    return parser


def _replay(seed: int, mode: str, zoo: str, shrink: bool) -> int:
    program = ZOOS[zoo].program_of(seed)
    tally = portion([seed], mode, zoo)
    if shrink and tally.mismatches:
        program = shrunk(program, mode)
    Console().print(program)
    for _seed, _shape, _predictor, clause, where, detail in tally.mismatches:
        print(f"{clause} {where}: {detail}")
    print("ok" if not tally.mismatches else f"{len(tally.mismatches)} mismatches")
    return 1 if tally.mismatches else 0


def _show(console: Console, tally: Tally, missing: list[str], mode: str) -> None:
    table = Table("shape", "pairs", "launched")
    for shape, pairs in sorted(tally.shapes.items()):
        table.add_row(shape, str(pairs), str(tally.launched[shape]))
    console.print(table)
    console.print("predictors:", dict(tally.predictors))
    console.print("what happened:", dict(tally.counts.most_common()))
    console.print(
        f"{tally.pairs} pairs in {tally.wall_s:.1f} s, {tally.racy} racy (at most {tally.schedules} schedules), "
        f"{tally.saved_s:.1f} virtual seconds saved, {len({seed for seed, *_ in tally.mismatches})} pairs mismatched"
    )
    for seed, shape, predictor, clause, where, detail in tally.mismatches[:40]:
        console.print(f"[red]{clause}[/] {shape}/{predictor} {where}: ", end="")
        print(detail)
        print(f"    {command_of(seed, mode, tally.zoo)}")
    for name in missing:
        console.print(f"[red]never occurred:[/] {name}")


if __name__ == "__main__":
    sys.exit(main())
