"""What observers cost: processor time for each event of a real run, that of threads of their own included.

    python -m benchmarks.observing

The events are those of one agent run that adopts 20 calls (`benchmarks/overhead.py`), told again and again as other
runs. Observers take turns in every round; a cost is the median over the rounds. Besides: how many events a second
`JsonLines` writes, next to a loop that encodes and writes them with the standard library, and what a run costs with a
log and without.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from benchmarks.command import rounds_parser, show
from benchmarks.overhead import ADOPTING, TOOL_TURNS, contenders
from benchmarks.progress import progress
from benchmarks.surroundings import no_collection, undisturbed
from langgraph_speculate import JsonLines, LogLines, speculation_of
from langgraph_speculate.core.events import Event
from langgraph_speculate.live import Live
from langgraph_speculate.observe.log import as_json
from langgraph_speculate.observe.observers import Audience
from langgraph_speculate.observe.opentelemetry import OpenTelemetry
from langgraph_speculate.observe.prometheus import Prometheus

_FIRST_LINE = (__doc__ or "").split("\n")[0]
_RUNS = 50  # told to each observer in a round
_STEP = 3  # events that are told together: about as many as a step of a run has
_QUESTION: Any = {"messages": [("user", "Look all of them up.")]}

Observer = Callable[[Event], Any]


def events_of_a_run() -> list[Event]:
    """What happens in one run that adopts all of its calls, in order."""
    agent = contenders()[ADOPTING].graph
    seen: list[Event] = []
    speculation_of(agent).events(seen.append)
    agent.invoke(_QUESTION, {"recursion_limit": 100})
    speculation_of(agent).close()
    return sorted(seen, key=lambda event: event.number)


def observers(folder: Path) -> dict[str, tuple[Observer, Callable[[], Any]]]:
    """Each observer, and what ends its work."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    lines = JsonLines(folder / "events.jsonl")
    otel = OpenTelemetry(provider, MeterProvider(metric_readers=[InMemoryMetricReader()]))
    return {
        "OpenTelemetry": (otel, provider.force_flush),
        "Prometheus": (Prometheus(CollectorRegistry()), lambda: None),
        "Live": (Live(), lambda: None),
        "JsonLines": (lines, lines.flush),
        "LogLines": (LogLines(level=logging.DEBUG), lambda: None),
    }


def rates(happened: Sequence[Event], rounds: int) -> dict[str, float]:
    """Events written in a second of wall-clock time, told in steps as runs tell them."""
    events = [dataclasses.replace(event, run=str(run)) for run in range(_RUNS) for event in happened]
    steps = [events[start : start + _STEP] for start in range(0, len(events), _STEP)]
    seconds: dict[str, list[float]] = {"JsonLines": [], "standard library": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        open(Path(folder, "plain.jsonl"), "a") as plain,
        JsonLines(Path(folder, "events.jsonl")) as lines,
    ):
        for _ in range(rounds):
            began = time.perf_counter()
            for step in steps:
                lines.put(step)
            if not lines.flush():
                raise RuntimeError("the log is not written")
            between = time.perf_counter()
            for event in events:
                plain.write(f"{json.dumps(as_json(event))}\n")
                plain.flush()
            ended = time.perf_counter()
            seconds["JsonLines"].append(between - began)
            seconds["standard library"].append(ended - between)
    return {name: len(events) / statistics.median(spent) for name, spent in seconds.items()}


def logged_runs(rounds: int) -> dict[str, float]:
    """Milliseconds of processor time that a run takes without an observer, and with a log."""
    agent = contenders()[ADOPTING].graph
    spent: dict[str, list[float]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as folder, JsonLines(Path(folder, "events.jsonl")) as lines:
        for _ in range(rounds + 1):
            for name in spent:
                take_off = speculation_of(agent).events(lines) if name == "with" else lambda: None
                with no_collection():
                    began = time.process_time()
                    agent.invoke(_QUESTION, {"recursion_limit": 100})
                    speculation_of(agent).flush()
                    spent[name].append(time.process_time() - began)
                take_off()
    speculation_of(agent).close()
    return {name: statistics.median(seconds[1:]) * 1e3 for name, seconds in spent.items()}


def telling_nobody(happened: Sequence[Event]) -> float:
    """Nanoseconds for a step of a run that nobody observes."""
    nobody, times = Audience(), 100_000
    began = time.process_time()
    for _ in range(times):
        nobody.tell(happened)
    return (time.process_time() - began) / times * 1e9


def measure(rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Microseconds of processor time for an event and for an adopted call, by observer."""
    happened = events_of_a_run()
    with tempfile.TemporaryDirectory() as folder, undisturbed():
        taken = observers(Path(folder))
        spent: dict[str, list[float]] = {name: [] for name in taken}
        for number in range(rounds + 1):
            runs = [[dataclasses.replace(event, run=f"{number}-{run}") for event in happened] for run in range(_RUNS)]
            for name, (observer, ended) in taken.items():
                with no_collection():
                    began = time.process_time()
                    for event in (event for run in runs for event in run):
                        observer(event)
                    ended()
                    spent[name].append(time.process_time() - began)
            tell("observing")
    told = _RUNS * len(happened)
    figures = {name: statistics.median(seconds[1:]) / told * 1e6 for name, seconds in spent.items()}
    return {
        "rounds": rounds,
        "events_per_second": rates(happened, rounds),
        "run_ms": logged_runs(rounds),
        "nobody_ns": telling_nobody(happened[:_STEP]),
        "events_per_call": len(happened) / TOOL_TURNS,
        "observers": {
            name: {"event_us": event_us, "call_us": event_us * len(happened) / TOOL_TURNS}
            for name, event_us in figures.items()
        },
    }


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    yield f"{report['rounds']} rounds; {report['events_per_call']:.1f} events for each call that was adopted"
    for name, costs in report["observers"].items():
        yield f"{name:14} {costs['event_us']:6.1f} µs an event, {costs['call_us']:6.0f} µs a call"
    written, plain = report["events_per_second"].values()
    yield f"JsonLines writes {written:,.0f} events a second; the standard library, a line at a time, {plain:,.0f}"
    alone, logged = report["run_ms"].values()
    yield f"a run takes {alone:.1f} ms, with a log {logged:.1f} ms ({logged / alone - 1:+.1%})"
    yield f"a step that nobody observes: {report['nobody_ns']:.0f} ns"


def main(argv: Sequence[str] | None = None) -> int:
    options = rounds_parser("observing", _FIRST_LINE, rounds=15).parse_args(argv)
    with progress("observing", options.rounds + 1, quiet=options.quiet) as tell:
        report = measure(options.rounds, tell)
    show(report, table, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
