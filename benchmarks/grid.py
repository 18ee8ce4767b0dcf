"""How long a task takes with speculation, for tools and predictors of every quality, against the plain agent.

    python -m benchmarks.grid

Support agents with about 8 calls each, one at a time: tools of 5 ms to 3 s, and a predictor that is right, learned,
random, or always wrong and sure of it, with other guesses for every message. Waiting is virtual, so that a table takes
a minute; what the engine costs is not: each run's processor time is measured in the same process, and all that it takes
more than the plain agent's is added as if the agent had waited for it, although most of it passes while the model
writes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from benchmarks import support
from benchmarks.command import number, show
from benchmarks.guesses import Guesses
from benchmarks.performance import aperform
from benchmarks.progress import progress
from benchmarks.script import ModelPace, Player, Script, reading_tools, script_of
from benchmarks.surroundings import own_garbage, undisturbed
from benchmarks.variants import (
    PLAIN,
    AlwaysWrong,
    Guessing,
    Oracle,
    plain_agent,
    speculating_agent,
    taught_by,
)
from benchmarks.virtual import InProcessModel, in_virtual_time
from benchmarks.world import World, recorded_tools
from langgraph_speculate import speculation_of
from langgraph_speculate.core import Predictor
from langgraph_speculate.observe.observers import at_once

_FIRST_LINE = (__doc__ or "").split("\n")[0]
TOOLS_MS = (5, 20, 100, 300, 1_000, 3_000)
RIGHT, LEARNED, RANDOM, ADVERSARIAL = "right", "learned", "random", "adversarial"
LOOKS = (4, 6)
_TAUGHT = 200
_WORSE = 0.01


@dataclass(frozen=True)
class Sample:
    """One run: seconds of waiting, which were virtual, and of processor time, which were real."""

    waited_s: float
    cpu_s: float


@dataclass(frozen=True)
class Material:
    """What is played, and what predictors are made of."""

    scripts: list[Script]
    seen: list[Any]
    reading: Mapping[str, bool]
    seed: int

    @classmethod
    def of(cls, runs: int, pace: ModelPace, seed: int) -> Material:
        """Other runs than those that predictors have seen."""
        seen = list(islice(support.runs(seed + 1, LOOKS), _TAUGHT))
        played = [script_of(run) for run in islice(support.runs(seed, LOOKS), runs)]
        scripts = [pace.paced(script, seed) for script in played if script is not None]
        return cls(scripts, seen, reading_tools(seen), seed)

    def predictors(self) -> dict[str, Predictor]:
        """Of every quality, each new."""
        known = [script for run in self.seen if (script := script_of(run)) is not None]
        return {
            RIGHT: Oracle(),
            LEARNED: taught_by(self.seen),
            RANDOM: Guessing(known, self.reading, self.seed),
            ADVERSARIAL: AlwaysWrong(known, self.reading),
        }


def row(material: Material, tool_s: float) -> dict[str, Any]:
    """Tools of one speed, every predictor."""
    model = InProcessModel(respond=Player({script.id: script for script in material.scripts}), streaming=True)
    tools = recorded_tools(material.scripts, material.reading)
    graphs = {PLAIN: plain_agent(model, tools)}
    guesses: dict[str, Guesses] = {}
    for name, predictor in material.predictors().items():
        graphs[name] = speculating_agent(model, tools, material.reading, predictor)
        guesses[name] = Guesses()
        speculation_of(graphs[name]).events(at_once(guesses[name].see))
    try:
        with undisturbed(), own_garbage():
            samples = in_virtual_time(_play(graphs, material, tool_s), material.seed)
    finally:
        for name in guesses:
            speculation_of(graphs[name]).close()
    return {"tool_ms": tool_s * 1e3, PLAIN: _seconds(samples[PLAIN])} | {
        name: _cell(samples[name], samples[PLAIN]) | guesses[name].figures() for name in guesses
    }


async def _play(graphs: Mapping[str, Any], material: Material, tool_s: float) -> dict[str, list[Sample]]:
    """Every run through every agent, in turns; the first run warms up and is left out."""
    samples: dict[str, list[Sample]] = defaultdict(list)
    names = list(graphs)
    for place, script in enumerate(material.scripts):
        for name in names[place % len(names) :] + names[: place % len(names)]:
            began = time.process_time()
            played = await aperform(graphs[name], script, World(script, material.reading, tool_s), f"0{script.id}")
            samples[name].append(Sample(played.seconds, time.process_time() - began))
            if played.error is not None:
                raise RuntimeError(f"{name}: {played.error}")
    return {name: of_one[1:] for name, of_one in samples.items()}


def _seconds(samples: Sequence[Sample]) -> float:
    return sum(sample.waited_s for sample in samples)


def _cell(own: Sequence[Sample], plain: Sequence[Sample]) -> dict[str, Any]:
    cpu_s = statistics.median(mine.cpu_s - base.cpu_s for mine, base in zip(own, plain, strict=True))
    waiting = _seconds(own) / _seconds(plain) - 1
    change = waiting + cpu_s * len(own) / _seconds(plain)
    return {"waiting": waiting, "cpu_ms_a_run": cpu_s * 1e3, "change": change, "within": change <= _WORSE}


def measure(tools_ms: Sequence[float], material: Material, tell: Callable[[str], None]) -> dict[str, Any]:
    """Every row."""
    steps = [step for script in material.scripts for step in script.steps if step.timed]
    rows = []
    for tool_ms in tools_ms:
        rows.append(row(material, tool_ms / 1e3))
        tell(f"tools of {tool_ms:g} ms")
    return {
        "runs": len(material.scripts) - 1,
        "messages_a_run": len(steps) / len(material.scripts),
        "median_step_s": statistics.median(step.seconds for step in steps),
        "rows": rows,
        "worst": max(line[name]["change"] for line in rows for name in (RIGHT, LEARNED, RANDOM, ADVERSARIAL)),
    }


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    names = (RIGHT, LEARNED, RANDOM, ADVERSARIAL)
    yield (
        f"{report['runs']} runs of {report['messages_a_run']:.1f} messages, the median one "
        f"{report['median_step_s']:.2f} s; change of the time of a task: waiting alone, and with all additional "
        "processor time"
    )
    yield f"{'tool ms':>8} {'plain s':>8}" + "".join(f" {name:>17}" for name in names) + f" {'CPU ms a run':>24}"
    for line in report["rows"]:
        cells = [line[name] for name in names]
        yield (
            f"{line['tool_ms']:8g} {line[PLAIN]:8.1f}"
            + "".join(f" {cell['waiting']:+8.2%} {cell['change']:+8.2%}" for cell in cells)
            + " "
            + "".join(f"{cell['cpu_ms_a_run']:6.1f}" for cell in cells)
            + ("" if all(cell["within"] for cell in cells) else "  OVER")
        )
    yield f"worst cell {report['worst']:+.2%}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grid", description=_FIRST_LINE)
    parser.add_argument("--runs", type=number, default=24, help="runs of each cell, and one to warm up (default 24)")
    parser.add_argument("--model-pace", type=ModelPace.parse, default="lognormal:1.2", help="default lognormal:1.2")
    parser.add_argument("--tools-ms", type=_milliseconds, default=TOOLS_MS, metavar="MS,…", help="milliseconds")
    parser.add_argument("--seed", type=int, default=0, help="draws runs and paces (default 0)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(argv)
    material = Material.of(options.runs + 1, options.model_pace, options.seed)
    with progress("grid", len(options.tools_ms), quiet=options.quiet) as tell:
        report = measure(options.tools_ms, material, tell)
    show(report, table, as_json=options.json)
    return 0


def _milliseconds(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
