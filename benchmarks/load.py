"""What speculation does when tools have no slack: more and more runs at once over slots, and over an API with a rate.

    python -m benchmarks.load

Support agents with about 8 calls each start within a few seconds, and share either a pool of slots, where calls wait
in line, or an API that rejects what comes too often and is asked again after a pause. The same runs are played plain
and speculating, in virtual time; `--live` plays them in real time instead. Early calls have no right to either
resource: at every load the plain agent is the bar for the median, the 95th percentile and the end of the last run.
Where calls are rejected, a moment decides who is, and with that all that follows. Every load is therefore played
several times with starts up to 0.1 s off, and compared by the means; *spread* says how far the plain agent's own
figures lie from theirs.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from langchain.agents.middleware import ToolRetryMiddleware

from benchmarks import support
from benchmarks.command import number, show
from benchmarks.guesses import Guesses
from benchmarks.performance import Performance, aperform
from benchmarks.progress import Tell, progress
from benchmarks.script import ModelPace, Player, Script, reading_tools, script_of
from benchmarks.services import INSTANT_S, Api, Service, Slots, TooManyRequests, Use
from benchmarks.surroundings import undisturbed
from benchmarks.variants import OURS, PLAIN, plain_agent, speculating_agent, taught_by
from benchmarks.virtual import InProcessModel, in_virtual_time
from benchmarks.world import World, recorded_tools
from langgraph_speculate import speculation_of
from langgraph_speculate.core import Predictor
from langgraph_speculate.observe.observers import at_once

_FIRST_LINE = (__doc__ or "").split("\n")[0]
SLOTS, RATE = "slots", "rate"
LOADS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
MODEL_STEP = "lognormal:1.2"  # its 90th percentile is 2.3 s
TOOL_S = 0.8
SLOT_COUNT = 16
REQUESTS = 20  # a second: what 16 slots bear, too
STARTS_WITHIN_S = 10.0
LEAST_RUNS = 32  # fewer at once are played again and again
TAUGHT = 200  # runs that the predictor has seen
LOOKS = (4, 6)
MEASURES = ("median_s", "p95_s", "makespan_s")
_WORSE = 0.01
_SERVICES = itertools.count(1)


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Attributes:
        seed: Draws runs, paces and starts.
        repeats: Of each load.
        live: In real time, and few runs.
        declared: Whether the policy says what the service bears.
        drain: Whether early bodies finish, whoever needs their slots.
    """

    seed: int
    repeats: int
    live: bool
    declared: bool
    drain: bool


@dataclass(frozen=True)
class Crowd:
    """Runs to be played.

    Attributes:
        size: How many at once.
        rounds: So many, one after the other.
        starts: When each run of a round starts, in seconds.
    """

    size: int
    rounds: list[list[Script]]
    starts: list[float]

    @classmethod
    def of(cls, size: int, settings: Settings) -> Crowd:
        """The same ones whoever asks."""
        seed, count = settings.seed, 1 if settings.live else max(1, LEAST_RUNS // size)
        scripts = list(itertools.islice(_scripts(seed), size * count))
        draw = random.Random(f"{seed}/{size}")
        rounds = [scripts[start : start + size] for start in range(0, size * count, size)]
        return cls(size, rounds, [draw.uniform(0, STARTS_WITHIN_S) for _ in range(size)])

    def shifted(self, repeat: int) -> Crowd:
        """The same, each run up to a tenth of a second later."""
        draw = random.Random(repeat)
        return replace(self, starts=[start + draw.uniform(0, 0.1) for start in self.starts])

    @property
    def scripts(self) -> list[Script]:
        """All of them."""
        return [script for scripts in self.rounds for script in scripts]


def _scripts(seed: int) -> Iterator[Script]:
    pace = ModelPace.parse(MODEL_STEP)
    for run in support.runs(seed, LOOKS):
        script = script_of(run)
        if script is not None:
            yield pace.paced(script, seed)


@dataclass(repr=False)  # a loop that ends writes down what its task returned, all of it
class Played:
    """A crowd, played by one agent.

    Attributes:
        performances: Of all runs.
        makespans: Seconds of each round, from its begin to the end of its last run.
        uses: Every body that came to the service.
        figures: About speculation.
    """

    performances: list[Performance] = field(default_factory=list)
    makespans: list[float] = field(default_factory=list)
    uses: list[Use] = field(default_factory=list)
    figures: Mapping[str, Any] = field(default_factory=dict)

    def summary(self) -> dict[str, Any]:
        """As plain data."""
        seconds = sorted(it.seconds for it in self.performances)
        real = [use for use in self.uses if not use.early]
        queued = [use for use in real if use.waited_s > INSTANT_S]
        delayed = [use.for_unwanted_s for use in queued if use.for_unwanted_s > INSTANT_S]
        rejected = [use for use in real if use.rejected]
        return {
            "median_s": statistics.median(seconds),
            "p95_s": seconds[min(int(len(seconds) * 0.95), len(seconds) - 1)],
            "makespan_s": sum(self.makespans),
            "rejected": len(rejected),
            "rejected_for_unwanted": sum(bool(use.unwanted) for use in rejected),
            "queued": len(queued),
            "queued_s": sum(use.waited_s for use in queued),
            "queued_for_early": sum(bool(use.before) for use in queued),
            "queued_for_unwanted": len(delayed),
            "queued_for_unwanted_s": sum(delayed),
            "bodies": sum(not use.rejected for use in self.uses),
            "failed": sum(it.error is not None for it in self.performances),
            "first_error": next((it.error for it in self.performances if it.error), None),
            **self.figures,
        }


def _mean(summaries: Sequence[Mapping[str, Any]], name: str) -> float:
    return statistics.fmean(summary[name] for summary in summaries)


class Bench:
    """Plays crowds.

    Args:
        kind: Of the service.
        settings: How.
    """

    def __init__(self, kind: str, settings: Settings) -> None:
        self._kind = kind
        self._settings = settings
        runs = list(itertools.islice(support.runs(settings.seed + 1, LOOKS), TAUGHT))
        self._reading = reading_tools(runs)
        self._tools = recorded_tools([script for run in runs if (script := script_of(run))], self._reading)
        self._seen = runs

    def compare(self, size: int) -> dict[str, Any]:
        """One load, plain and speculating."""
        crowds = [Crowd.of(size, self._settings).shifted(repeat) for repeat in range(self._settings.repeats)]
        plain = [self._played(crowd, None).summary() for crowd in crowds]
        ours = [self._played(crowd, taught_by(self._seen)).summary() for crowd in crowds]
        change = {name: _mean(ours, name) / _mean(plain, name) - 1 for name in MEASURES}
        return {
            "service": self._kind,
            "load": size,
            "runs": len(crowds[0].scripts),
            PLAIN: plain,
            OURS: ours,
            "change": change,
            "spread": max(abs(one[name] / _mean(plain, name) - 1) for one in plain for name in MEASURES),
            "within": max(change.values()) <= _WORSE
            and not any(one["rejected_for_unwanted"] or one["queued_for_unwanted"] for one in ours),
        }

    def _played(self, crowd: Crowd, predictor: Predictor | None) -> Played:
        model = InProcessModel(respond=Player({script.id: script for script in crowd.scripts}), streaming=True)
        retries = ToolRetryMiddleware(
            max_retries=1000, retry_on=(TooManyRequests,), initial_delay=1.0, max_delay=8.0, jitter=False
        )
        if predictor is None:
            return self._run(_play(plain_agent(model, self._tools, [retries]), crowd, self._service(), self._reading))
        graph = speculating_agent(model, self._tools, self._reading, predictor, [retries], **self._said())
        guesses, engine = Guesses(), speculation_of(graph)
        engine.events(at_once(guesses.see))
        try:
            played = self._run(_play(graph, crowd, self._service(), self._reading))
            stats = engine.stats()
        finally:
            engine.close()
        hidden = stats.hidden_s / (stats.hidden_s + stats.tool_wait_s) if stats.tool_wait_s else 0.0
        played.figures = {
            **guesses.figures(),
            "real_calls": stats.real_calls,
            "hidden_share": hidden,
            "denied": dict(stats.denied),
            "discarded": dict(stats.discarded),
        }
        return played

    def _said(self) -> dict[str, Any]:
        """What the policy says about the service."""
        if not self._settings.declared:
            return {}
        name = f"{self._kind} {next(_SERVICES)}"  # a process remembers of a service how busy it was
        if self._kind == SLOTS:
            unwanted = "drain" if self._settings.drain else "cancel"
            return {"declared": {"host": name, "on_mispredict": unwanted}, "pools": {name: SLOT_COUNT}}
        return {"declared": {"host": name}, "rates": {name: f"{REQUESTS}/second"}}

    def _service(self) -> Service:
        return Slots(SLOT_COUNT) if self._kind == SLOTS else Api(REQUESTS)

    def _run(self, playing: Any) -> Played:
        with undisturbed():
            return asyncio.run(playing) if self._settings.live else in_virtual_time(playing, self._settings.seed)


async def _play(graph: Any, crowd: Crowd, service: Service, reading: Mapping[str, bool]) -> Played:
    loop = asyncio.get_running_loop()
    played = Played()

    async def one(script: Script, start: float) -> Performance:
        await asyncio.sleep(start)
        return await aperform(graph, script, World(script, reading, TOOL_S, service=service), f"0{script.id}")

    for scripts in crowd.rounds:
        began = loop.time()
        played.performances += await asyncio.gather(*map(one, scripts, crowd.starts))
        played.makespans.append(loop.time() - began)
    played.uses = service.uses
    return played


def measure(kinds: Sequence[str], loads: Sequence[int], settings: Settings, tell: Tell) -> dict[str, Any]:
    """Every load over every service."""
    cells = []
    for kind in kinds:
        bench = Bench(kind, settings)
        for size in loads:
            cells.append(bench.compare(size))
            tell(f"{kind}, {size} at once: {cells[-1]['change']['median_s']:+.1%}")
    about = {"model": MODEL_STEP, "tool_s": TOOL_S, SLOTS: SLOT_COUNT, RATE: REQUESTS}
    return {**about, **asdict(settings), "cells": cells}


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    yield (
        f"model {report['model']} s a message, tools {report['tool_s']} s; {report[SLOTS]} slots, or "
        f"{report[RATE]} requests a second, {'declared' if report['declared'] else 'not declared'}; "
        f"{'real' if report['live'] else 'virtual'} time"
    )
    for kind in dict.fromkeys(cell["service"] for cell in report["cells"]):
        yield ""
        yield (
            f"{kind:6} {'plain seconds':>24} {'change with speculation':>26} {'spread':>6} {'real rejected':>20}"
            f" {'real bodies queued':>22} {'for seconds':>22} {'of tool':>8} {'right of':>11} {'wasted':>7}"
        )
        yield (
            f"{'load':>6} {'median':>8} {'p95':>7} {'all':>7} {'median':>9} {'p95':>8} {'all':>7} {'':>6}"
            f" {'plain':>6} {'ours':>6} {'for us':>6} {'plain':>6} {'ours':>6} {'for us':>8}"
            f" {'plain':>7} {'ours':>7} {'for us':>6} {'hidden':>8}"
            f" {'guesses':>11} {'a hit':>7}"
        )
        for cell in report["cells"]:
            if cell["service"] == kind:
                yield _row(cell)


def _row(cell: Mapping[str, Any]) -> str:
    plain, ours, change = cell[PLAIN], cell[OURS], cell["change"]
    failed = [one["first_error"] for one in (*plain, *ours) if one["failed"]]
    right = sum(one["right"] for one in ours)

    def total(summaries: Sequence[Mapping[str, Any]], name: str) -> float:
        return sum(summary[name] for summary in summaries)

    return (
        f"{cell['load']:6} "
        f"{_mean(plain, 'median_s'):8.1f} {_mean(plain, 'p95_s'):7.1f} {_mean(plain, 'makespan_s'):7.1f}"
        f" {change['median_s']:+9.1%} {change['p95_s']:+8.1%} {change['makespan_s']:+7.1%} {cell['spread']:6.1%}"
        f" {total(plain, 'rejected'):6} {total(ours, 'rejected'):6} {total(ours, 'rejected_for_unwanted'):6}"
        f" {total(plain, 'queued'):6} {total(ours, 'queued'):6} {total(ours, 'queued_for_unwanted'):8}"
        f" {total(plain, 'queued_s'):7.0f} {total(ours, 'queued_s'):7.0f} {total(ours, 'queued_for_unwanted_s'):6.1f}"
        f" {_mean(ours, 'hidden_share'):8.0%} {right:5}/{total(ours, 'guesses'):<5}"
        + (f" {total(ours, 'wasted_guesses') / right:7.2f}" if right else f"{'':8}")
        + ("" if cell["within"] else "  OVER")
        + (f"  failed: {failed[0]}" if failed else "")
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=_FIRST_LINE)
    parser.add_argument("--loads", type=_loads, metavar="N,…", help="runs at once (default 1,2,4,…512; live 4,32,128)")
    parser.add_argument("--service", choices=(SLOTS, RATE), action="append", help="default: both")
    parser.add_argument("--repeats", type=number, help="of each load (default 2; live 1)")
    parser.add_argument("--live", action="store_true", help="in real time, which takes minutes a load")
    parser.add_argument("--undeclared", action="store_true", help="do not tell the policy what the services bear")
    parser.add_argument("--drain", action="store_true", help="early bodies finish, whoever needs their slots")
    parser.add_argument("--seed", type=int, default=0, help="draws runs, paces and starts (default 0)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(argv)
    kinds = options.service or [SLOTS, RATE]
    loads = options.loads or ((4, 32, 128) if options.live else LOADS)
    with progress("load", len(kinds) * len(loads), quiet=options.quiet) as tell:
        repeats = options.repeats or (1 if options.live else 2)
        settings = Settings(options.seed, repeats, options.live, not options.undeclared, options.drain)
        report = measure(kinds, loads, settings, tell)
    show(report, table, as_json=options.json)
    return 0


def _loads(text: str) -> tuple[int, ...]:
    loads = tuple(map(int, text.split(",")))
    if min(loads) < 1:
        raise argparse.ArgumentTypeError("at least one run")
    return loads


if __name__ == "__main__":
    sys.exit(main())
