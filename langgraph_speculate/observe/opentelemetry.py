"""OpenTelemetry: spans of real calls and speculations, and the series of `observe/series.py` (extra `otel`).

Names follow the semantic conventions for generative AI. They are written out here because the package of the
conventions has deprecated its constants while they move; what is ours begins with `langgraph_speculate.`.

Nothing that a tool was asked or has answered is in a span.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from cachetools import LRUCache

from langgraph_speculate.core import events
from langgraph_speculate.errors import needs_extra
from langgraph_speculate.observe.order import InOrder
from langgraph_speculate.observe.series import ALL, BUCKETS_S, Measures, Series, outcome_of

with needs_extra("otel"):
    from opentelemetry import context, metrics, trace
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram, MeterProvider
    from opentelemetry.trace import Link, Span, SpanContext, SpanKind, TracerProvider

PREFIX = "langgraph_speculate"

_TOOL_NAME = "gen_ai.tool.name"
_LABELS = {"tool": _TOOL_NAME, "outcome": f"{PREFIX}.outcome"}
_RUNS = 4096  # that were opened and have not ended


class OpenTelemetry:
    """An observer that tells OpenTelemetry; may be called from any thread.

    A run has one span, `speculate {graph}`, in the trace that is current where the run begins; only where none is, the
    run makes a trace. Inside are `execute_tool {tool}` spans: one for each real call, and one for each speculation,
    from its launch to its end. The span of a call that took a speculation's result links to that speculation's.

    Args:
        tracer_provider: Where spans go; by default the provider of the process.
        meter_provider: Where metrics go; by default the provider of the process.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        self._spans = Spans(trace.get_tracer(PREFIX, tracer_provider=tracer_provider))
        self._ordered = InOrder(self._spans)
        self._measures = Measures(_Instruments(meter_provider).add)

    def __call__(self, event: events.Event) -> None:
        """Take in an event."""
        self._measures(event)
        self._ordered(event)

    def opened(self, run: str, graph: str, outer: str | None) -> None:
        """A run is opened in the current context."""
        self._spans.opened(run, graph, outer)

    def entering(self, run: str) -> None:
        """A body of a run is about to run early in the current context."""
        self._spans.entering(run)


class _Instruments:
    """The series as OpenTelemetry's instruments."""

    def __init__(self, provider: MeterProvider | None) -> None:
        self._meter = metrics.get_meter(PREFIX, meter_provider=provider)
        self._instruments = {series: self._instrument(series) for series in ALL}

    def _instrument(self, series: Series) -> Any:
        about: tuple[str, str, str] = (f"{PREFIX}.{series.name}", series.unit, series.description)
        match series.kind:
            case "histogram":
                return self._meter.create_histogram(*about, explicit_bucket_boundaries_advisory=BUCKETS_S)
            case "gauge":
                return self._meter.create_up_down_counter(*about)
            case _:
                return self._meter.create_counter(*about)

    def add(self, series: Series, amount: float, labels: tuple[str, ...]) -> None:
        """Add to a series."""
        instrument = self._instruments[series]
        attributes = {_LABELS[name]: value for name, value in zip(series.labels, labels, strict=True)}
        if isinstance(instrument, Histogram):
            instrument.record(amount, attributes)
        else:
            instrument.add(amount, attributes)


@dataclass(slots=True)
class _Guess:
    """A speculation: its span, what stood behind it, and when its body ended."""

    span: Span
    facts: dict[str, Any]
    finished_at: float | None = None


@dataclass(slots=True)
class _Run:
    """A run that has not ended.

    Attributes:
        span: Its span.
        within: A context with that span and nothing else, for the spans inside of it.
        epoch: What a calendar's clock shows where the host's monotonic one shows 0, in seconds.
        guesses: Its speculations that may still be taken, by id.
    """

    span: Span
    within: Context
    epoch: float = 0.0
    guesses: dict[str, _Guess] = field(default_factory=dict)

    def ns(self, at: float) -> int:
        """A moment as OpenTelemetry wants it."""
        return int((self.epoch + at) * 1e9)


class Spans:
    """Makes spans out of the events of runs, each run's in order.

    A speculation that failed is no error of anybody's: its span carries the outcome, and its status stays unset.
    """

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer
        self._lock = threading.RLock()  # the collection of garbage may end a run in the midst of this
        self._runs: LRUCache[str, _Run] = LRUCache(_RUNS)

    def opened(self, run: str, graph: str, outer: str | None) -> None:
        """A run is opened in the current context, or, if that has no span, in the run around it."""
        here = context.get_current()
        with self._lock:
            around = self._runs.get(outer or "")
            if around is not None and not trace.get_current_span(here).get_span_context().is_valid:
                here = around.within
            self._open(run, graph, here, None)

    def entering(self, run: str) -> None:
        """What a body records that runs early belongs to its run: in a context of its own it would be a new trace."""
        with self._lock:
            opened = self._runs.get(run)
        if opened is not None:
            context.attach(opened.within)

    def __call__(self, event: events.Event) -> None:
        """Take in an event."""
        with self._lock:
            run = self._runs.get(event.run)
            if isinstance(event, events.RunBegan):
                if run is None:  # a log is told again
                    run = self._open(event.run, event.graph, Context(), event.wall)
                run.epoch = event.wall - event.at
                run.span.set_attribute(f"{PREFIX}.level", event.level)
            elif run is not None:
                self._inside(run, event)

    def _open(self, run: str, graph: str, around: Context, wall: float | None) -> _Run:
        span = self._tracer.start_span(
            f"speculate {graph}".rstrip(),
            context=around,
            attributes={f"{PREFIX}.run": run},
            start_time=None if wall is None else int(wall * 1e9),
        )
        opened = self._runs[run] = _Run(span, trace.set_span_in_context(span, Context()))
        return opened

    def _inside(self, run: _Run, event: events.Event) -> None:
        match event:
            case events.Launched(id=id):
                run.guesses[id] = self._launched(run, event)
            case events.Finished(id=id, at=at) if id in run.guesses:
                run.guesses[id].finished_at = at
            case events.Discarded(id=id, at=at, reason=reason) if id in run.guesses:
                _end(run, run.guesses.pop(id), at, reason)
            case events.CallSettled():
                self._settled(run, event)
            case events.RunClosed(launched=launched, hits=hits, hidden_s=hidden_s, at=at):
                del self._runs[event.run]
                found = {"launched": launched, "hits": hits, "hidden_ms": hidden_s * 1000}
                run.span.set_attributes({f"{PREFIX}.{name}": value for name, value in found.items()})
                run.span.end(run.ns(at))

    def _launched(self, run: _Run, event: events.Launched) -> _Guess:
        facts = {
            f"{PREFIX}.id": event.id,
            f"{PREFIX}.probability": event.probability,
            f"{PREFIX}.source": event.source,
            f"{PREFIX}.stage": event.stage,
            f"{PREFIX}.depth": event.depth,
        }
        return _Guess(self._tool_span(run, event.tool, event.at, True, facts), facts)

    def _settled(self, run: _Run, call: events.CallSettled) -> None:
        guess = run.guesses.pop(call.id, None) if call.id is not None else None
        outcome = outcome_of(call)
        facts: dict[str, Any] = {f"{PREFIX}.outcome": outcome}
        if call.call:
            facts["gen_ai.tool.call.id"] = call.call
        adopted: SpanContext | None = None
        if guess is not None:
            facts.update(guess.facts)
            facts[f"{PREFIX}.saved_ms"] = max(0.0, call.tool_s - call.waited_s) * 1000
            _end(run, guess, call.at, outcome)
            adopted = guess.span.get_span_context()
        span = self._tool_span(run, call.tool, call.at - call.waited_s, False, facts, adopted)
        span.end(run.ns(call.at))

    def _tool_span(
        self,
        run: _Run,
        tool: str,
        began_at: float,
        speculative: bool,
        facts: dict[str, Any],
        adopted: SpanContext | None = None,
    ) -> Span:
        named = {"gen_ai.operation.name": "execute_tool", _TOOL_NAME: tool, "gen_ai.tool.type": "function"}
        return self._tracer.start_span(
            f"execute_tool {tool}",
            context=run.within,
            kind=SpanKind.INTERNAL,
            attributes={**named, f"{PREFIX}.speculative": speculative, **facts},
            links=[Link(adopted)] if adopted is not None else [],
            start_time=run.ns(began_at),
        )


def _end(run: _Run, guess: _Guess, at: float, outcome: str) -> None:
    """End a speculation's span, where its body ended if that was earlier."""
    guess.span.set_attribute(f"{PREFIX}.outcome", outcome)
    guess.span.end(run.ns(at if guess.finished_at is None else guess.finished_at))
