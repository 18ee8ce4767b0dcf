"""What looking further ahead adds: recorded runs with `limits.max_depth` 1, 2 and 3, side by side.

    python -m benchmarks.chains ../shared/traces/taubench_airline.jsonl.gz --pace 0.2 --tools 2.7

Plays recordings as `benchmarks.recorded` does. With tools slower than the model, a guess about the message being
written hides the model's time at most, and the rest of the tool's is waited for; a guess about the message after it has
that rest, too. Each depth has a predictor of its own, taught alike, and an oracle beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI

from benchmarks.figures import table
from benchmarks.progress import progress
from benchmarks.recorded import Material, Settings, compare, prepare, taught
from benchmarks.script import ModelPace
from benchmarks.variants import ORACLE, PLAIN, Oracle, plain_agent, speculating_agent
from langgraph_speculate.policy import Limits

_FIRST_LINE = (__doc__ or "").split("\n")[0]


def named(depth: int) -> str:
    """What the agent is called that looks so many messages ahead."""
    return f"depth {depth}"


def measure(material: Material, settings: Settings, depths: Sequence[int], in_flight: int, quiet: bool) -> Any:
    """Play every script with each depth, and with an oracle for the first and the last of them."""

    def graphs(model: ChatOpenAI, tools: Sequence[BaseTool]) -> dict[str, Any]:
        made = {PLAIN: plain_agent(model, tools)}
        for depth in depths:
            limits = Limits(max_depth=depth, max_in_flight=in_flight)
            predictor = taught(material, settings)
            made[named(depth)] = speculating_agent(model, tools, material.reading, predictor, limits=limits)
        for name, depth in ((ORACLE, depths[0]), (f"{ORACLE} {depths[-1]}", depths[-1])):
            limits = Limits(max_depth=depth, max_in_flight=in_flight)
            made[name] = speculating_agent(model, tools, material.reading, Oracle(), limits=limits)
        return made

    with progress(material.name, len(material.scripts), quiet=quiet) as tell:
        report = compare(material, settings, graphs, tell)
    first = report["variants"][named(depths[0])]
    for depth in depths:
        own = report["variants"][named(depth)]
        own["saving_ratio"] = own["saved_share"] / first["saved_share"] if first["saved_share"] > 0 else None
        own["hidden_ratio"] = own["hidden_s"] / first["hidden_s"] if first["hidden_s"] else None
    return report


def ratios(report: Mapping[str, Any], depths: Sequence[int]) -> Iterator[str]:
    """What each depth saves over the first, and how often its guesses were right by how far ahead they were made."""
    for depth in depths:
        own = report["variants"][named(depth)]
        launched, hits = own["launched_by_depth"], own["hits_by_depth"]
        rates = ", ".join(f"{far}: {hits.get(far, 0)} of {count}" for far, count in launched.items())
        saved = [f"{own[name]:.2f} x" if own[name] is not None else "-" for name in ("saving_ratio", "hidden_ratio")]
        yield f"{named(depth)}: saves {saved[0]}, hides {saved[1]} of {named(depths[0])}; hits by depth {rates}"


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chains", description=_FIRST_LINE)
    parser.add_argument("traces", nargs="+", type=Path, metavar="TRACES", help="files of trace lines")
    parser.add_argument("--pace", type=float, default=0.2, help="seconds of each message of the model (default 0.2)")
    parser.add_argument("--tools", type=float, action="append", help="seconds of tools, in those (default 1 and 2.7)")
    parser.add_argument("--depth", type=int, action="append", help="messages ahead (default 1, 2 and 3)")
    parser.add_argument("--in-flight", type=int, default=Limits().max_in_flight, help="attempts at one instant")
    parser.add_argument("--runs", type=int, default=24, help="runs of the test part to play (default 24; 0: all)")
    parser.add_argument("--seed", type=int, default=0, help="draws the split and the sample (default 0)")
    parser.add_argument("--concurrency", type=int, default=4, help="runs played side by side (default 4)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    options = _arguments().parse_args(argv)
    depths = sorted(set(options.depth or (1, 2, 3)))
    reports = []
    for path in options.traces:
        for share in options.tools or (1.0, 2.7):
            settings = Settings(
                ModelPace("fixed", options.pace), options.pace * share, options.runs, options.seed,
                options.concurrency, sync=False, frozen=False, variants=(),
            )  # fmt: skip
            try:
                material = prepare(path, settings)
            except (OSError, ValueError) as error:
                print(f"error: {error}", file=sys.stderr)
                return 2
            reports.append(measure(material, settings, depths, options.in_flight, options.quiet))
            if not options.json:
                print("\n".join([*table(reports[-1]), *ratios(reports[-1], depths)]), flush=True)
    if options.json:
        print(json.dumps({"development_data": True, "seed": options.seed, "sets": reports}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
