"""What each part of the shipped predictor is worth: progressive validation with one part switched off at a time.

    python -m benchmarks.ablation ../shared/traces/tau2_airline.jsonl.gz --seeds 5

Measured as in `benchmarks.predictability`. Each row tells what switching a part off costs in points of exact hits on
read-only calls, at the first candidate and among the first three: a part whose row shows nothing should go.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.predictability import evaluate
from benchmarks.traces import FOLDER, Run, read, split
from langgraph_speculate.predict import arguments, bindings, blend, default_predictor, features, indexes, markov, shapes
from langgraph_speculate.predict.constants import Constants
from langgraph_speculate.predict.markov import NextTools
from langgraph_speculate.predict.memory import CallMemory
from langgraph_speculate.predict.mentions import Mentions
from langgraph_speculate.predict.patterns import Patterns
from langgraph_speculate.predict.ranker import Ranker
from langgraph_speculate.predict.sources import RunSources, Source
from langgraph_speculate.predict.walks import Walks

_FIRST_LINE = (__doc__ or "").split("\n")[0]
_NOTHING: Sequence[Any] = ()
_find, _make = RunSources.where, NextTools.__init__

Patch = tuple[Any, str, Any]  # what is replaced for a while: the owner, the name, and what stands in for it


def _without(wanted: Callable[[Source], bool]) -> list[Patch]:
    """Sources that are not wanted are never found, so no program reads them."""
    return [(RunSources, "where", lambda self, value: [source for source in _find(self, value) if wanted(source)])]


SWITCHES: Mapping[str, Sequence[Patch]] = {
    "constants": [(Constants, "tell", lambda self, context, least=0.0: _NOTHING)],
    "copies of arguments": _without(lambda source: source.kind != "arg"),
    "what follows (+1)": _without(lambda source: source.kind != "next"),
    "JSON paths": _without(lambda source: source.kind != "json"),
    "shapes in results": _without(lambda source: source.kind != "text"),
    "shapes in user text": _without(lambda source: source.kind != "user"),
    "labels": _without(lambda source: not source.what.startswith("label:")),
    "templates": [(arguments, name, lambda text: _NOTHING) for name in ("parts", "pieces")],
    "templates inside of words": [(arguments, "pieces", lambda text: _NOTHING)],
    "conditions": [(arguments, "conditions", lambda sources, source, value: _NOTHING)],
    "halves of texts": [(owner, "halves", lambda text: _NOTHING) for owner in (indexes, shapes)],
    "lenses": [(arguments, "undone", lambda value: _NOTHING)],
    "what is spoken of": [(Mentions, "marks", lambda self, items, calls: None)],
    "walks": [(Walks, "predict", lambda self, history: _NOTHING)],
    "joint: one record": [(bindings, "_APART", 1.0)],
    "joint: two of one value": [(bindings, "_TWICE", 1.0)],
    "joint: patterns": [(Patterns, "chance", lambda self, pattern, prior: prior)],
    "memory of calls": [(CallMemory, "predict", lambda self, contexts, limit: _NOTHING)],
    "ranker": [(Ranker, "learn", lambda self, tool, told, right: None)],
    "feature: mentioned": [(features, "_mentioned", lambda args, said: 0.0)],
    "verbs of commands": [(markov, "verb", lambda call: call.name)],
    "what the user brings": [(blend, "details", lambda history: "")],
    "decay": [(NextTools, "__init__", lambda self, **options: _make(self, **options, decay=1.0))],
}


def measure(runs: Sequence[Run], patches: Sequence[Patch], *, seeds: int, by: str) -> tuple[float, float]:
    """Mean RO@1 and RO@3 over *seeds* splits, with *patches* in force."""
    with ExitStack() as stack:
        for owner, name, other in patches:
            stack.enter_context(patch.object(owner, name, other))
        parts = [evaluate(default_predictor(), *split(runs, seed, by=by)).figures() for seed in range(seeds)]
    return statistics.fmean(part["RO@1"] for part in parts), statistics.fmean(part["RO@3"] for part in parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for row in rows:
        yield f"{row['set']}: RO@1 {row['RO@1'] * 100:.1f}, RO@3 {row['RO@3'] * 100:.1f}"
        for name, (first, third) in row["without"].items():
            yield f"  {'without ' + name:32} {(first - row['RO@1']) * 100:+6.1f} {(third - row['RO@3']) * 100:+6.1f}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=_FIRST_LINE)
    parser.add_argument("traces", nargs="*", type=Path, help="trace files (default: all of ../shared/traces)")
    parser.add_argument("--seeds", type=int, default=5, help="splits to average over (default 5)")
    parser.add_argument("--split", choices=("task", "run"), default="task", help="what stays together (default: task)")
    parser.add_argument("--without", action="append", choices=list(SWITCHES), help="switch only this off")
    parser.add_argument("--limit", type=int, help="use only the first so many runs of each file")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    options = parser.parse_args(argv)
    paths = options.traces or sorted(FOLDER.glob("*.jsonl.gz"))
    if not paths:
        print("skipped: no recordings named, and none in ../shared/traces beside the project", file=sys.stderr)
        return 0
    rows: list[dict[str, Any]] = []
    for path in paths:
        try:
            runs = read([path])[: options.limit]
        except (OSError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        first, third = measure(runs, (), seeds=options.seeds, by=options.split)
        without = {
            name: measure(runs, SWITCHES[name], seeds=options.seeds, by=options.split)
            for name in options.without or SWITCHES
        }
        name = path.name.removesuffix(".gz").removesuffix(".jsonl")
        rows.append({"set": name, "RO@1": first, "RO@3": third, "without": without})
    if options.json:
        report = {"seeds": options.seeds, "split": options.split, "sets": rows}
        print(json.dumps(report, ensure_ascii=False))
    else:
        print("\n".join(_table(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
