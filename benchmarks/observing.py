"""What observers cost: processor time for each event of a real run, that of threads of their own included.

    python -m benchmarks.observing

The events are those of one agent run that adopts 20 calls (`benchmarks/overhead.py`), told again and again as other
runs. Observers take turns in every round; a cost is the median over the rounds.
"""

from __future__ import annotations

import dataclasses
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
from langgraph_speculate.observe.opentelemetry import OpenTelemetry
from langgraph_speculate.observe.prometheus import Prometheus

_FIRST_LINE = (__doc__ or "").split("\n")[0]
_RUNS = 50  # told to each observer in a round

Observer = Callable[[Event], Any]


def events_of_a_run() -> list[Event]:
    """What happens in one run that adopts all of its calls, in order."""
    agent = contenders()[ADOPTING].graph
    seen: list[Event] = []
    speculation_of(agent).events(seen.append)
    agent.invoke({"messages": [("user", "Look all of them up.")]}, {"recursion_limit": 100})
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


def main(argv: Sequence[str] | None = None) -> int:
    options = rounds_parser("observing", _FIRST_LINE, rounds=15).parse_args(argv)
    with progress("observing", options.rounds + 1, quiet=options.quiet) as tell:
        report = measure(options.rounds, tell)
    show(report, table, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
