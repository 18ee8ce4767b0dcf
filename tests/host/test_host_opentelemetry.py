"""What OpenTelemetry's own SDK is told of real runs: spans, their parents and links, and metrics."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import Any

import pytest
from agents import (
    EAGERLY,
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    UNBRAKED,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    adrive,
    agent_graph,
    ask,
    drive,
    make_tool,
    notebook,
)
from langchain_core.messages import AIMessage

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import NoOpTracerProvider, StatusCode

from langgraph_speculate.observe.opentelemetry import OpenTelemetry

CALLS = sum(len(message.tool_calls) for message in NOTEBOOK_SCRIPT if isinstance(message, AIMessage))
NOISE = ("find", {"query": "nobody asks"})


class Told:
    """Spans and metrics as the SDK keeps them, and the observer that makes them."""

    def __init__(self, **settings: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**settings)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self._reader = InMemoryMetricReader()
        self.observer = OpenTelemetry(self.provider, MeterProvider(metric_readers=[self._reader]))

    def request(self, name: str = "request") -> Any:
        """A span of somebody else's, around a run."""
        return self.provider.get_tracer("app").start_as_current_span(name)

    def spans(self, runs: int = 1, patience_s: float = 5.0) -> list[ReadableSpan]:
        """All that have ended, once so many runs have; a body's thread may tell its last a moment after its run."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            spans = list(self._exporter.get_finished_spans())
            if sum(span.name.startswith("speculate") for span in spans) >= runs:
                return spans
            time.sleep(0.01)
        raise AssertionError([span.name for span in self._exporter.get_finished_spans()])

    def points(self, name: str) -> dict[tuple[Any, ...], Any]:
        """A metric's points, by tool and outcome."""
        data = self._reader.get_metrics_data()
        metrics = [m for r in data.resource_metrics for scope in r.scope_metrics for m in scope.metrics]
        points = next(metric for metric in metrics if metric.name == name).data.data_points
        return {tuple(point.attributes.values()): point for point in points}


def wrapped(told: Told, **oracle: Any) -> Any:
    model = ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.01)
    policy = {**NOTEBOOK_POLICY, "limits": UNBRAKED}
    plain = agent_graph(model, notebook(World(), "both"), name="clerk")
    return speculate(plain, policy, predictor=Oracle(NOTEBOOK_SCRIPT, **oracle), observers=[told.observer])


def with_middleware(told: Told) -> Any:
    model = ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.01)
    mine = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT), observers=[told.observer])
    return agent_graph(model, notebook(World(), "both"), name="clerk", middleware=[mine])


def ours(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(f"langgraph_speculate.{name}")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("build", [wrapped, with_middleware], ids=["speculate", "middleware"])
def test_spans_lie_in_the_trace_that_the_run_was_called_in(build: Callable[[Told], Any], way: str) -> None:
    """
    request > speculate clerk > execute_tool for each real call and each speculation; no other trace.
    """
    told = Told()
    graph = build(told)

    async def call() -> None:
        with told.request():
            await adrive(graph, way)

    if way.startswith("a"):
        asyncio.run(call())
    else:
        with told.request():
            drive(graph, way)

    spans = told.spans()
    request = next(span for span in spans if span.name == "request")
    run = next(span for span in spans if span.name == "speculate clerk")
    tools = [span for span in spans if span not in (request, run)]
    assert {span.context.trace_id for span in spans} == {request.context.trace_id}
    assert run.parent.span_id == request.context.span_id
    assert {span.parent.span_id for span in tools} == {run.context.span_id}
    assert sum(not ours(span, "speculative") for span in tools) == CALLS
    assert all(run.start_time <= span.start_time <= span.end_time <= run.end_time for span in tools)
    assert abs(run.end_time / 1e9 - time.time()) < 60


def test_a_call_that_took_a_result_links_to_its_speculation() -> None:
    """
    With the conventions' names, what stood behind the guess, and the time it saved.
    """
    told = Told()
    drive(wrapped(told), "invoke")
    spans = {span.context.span_id: span for span in told.spans() if ours(span, "speculative") is not None}
    hits = [span for span in spans.values() if not ours(span, "speculative") and ours(span, "outcome") != "miss"]
    assert len(hits) >= 4
    for call in hits:
        (link,) = call.links
        guess = spans[link.context.span_id]
        assert guess.name == call.name == f"execute_tool {call.attributes['gen_ai.tool.name']}"
        assert ours(guess, "id") == ours(call, "id")
        assert ours(guess, "outcome") == ours(call, "outcome") in ("ready", "joined")
        assert (ours(call, "probability"), ours(call, "source")) == (0.9, "oracle")
        assert ours(call, "saved_ms") >= 0
        assert guess.start_time < call.start_time
        assert call.attributes["gen_ai.operation.name"] == "execute_tool"
        assert call.attributes["gen_ai.tool.type"] == "function"
        assert call.attributes["gen_ai.tool.call.id"].startswith("c-")
    misses = [span for span in spans.values() if ours(span, "outcome") == "miss"]
    assert misses
    assert not any(span.links for span in misses)


def test_a_guess_in_vain_says_why_and_is_no_error() -> None:
    """
    Whoever counts failed spans must not be woken by a guess that nobody asked for.
    """
    told = Told()
    graph = wrapped(told, also=[NOISE])
    drive(graph, "ainvoke")
    spans = told.spans()
    vain = [span for span in spans if ours(span, "speculative") and ours(span, "outcome") not in ("ready", "joined")]
    stats = speculation_of(graph).stats()
    assert Counter(ours(span, "outcome") for span in vain) == Counter(stats.discarded)
    assert stats.discarded["contradicted"] >= 1
    assert {span.status.status_code for span in spans} == {StatusCode.UNSET}
    run = next(span for span in spans if span.name == "speculate clerk")
    assert (ours(run, "launched"), ours(run, "hits")) == (stats.launched, stats.hits)


def test_nothing_that_was_asked_or_answered_is_in_a_span() -> None:
    """
    Arguments and results stay out, whatever the conventions would allow.
    """
    told = Told()
    drive(wrapped(told, also=[NOISE]), "invoke")
    text = " ".join(span.to_json() for span in told.spans())
    assert "execute_tool find" in text
    assert not [word for word in ("found", "nobody asks", "short", "long") if word in text]


def nested(told: Told) -> Any:
    """A graph with a tool in which another agent runs; both speculate, and tell the same."""
    inner = wrapped(told)

    def ask_clerk(question: str) -> str:
        "Ask the clerk."
        return str(inner.invoke({"messages": [("user", question)]})["messages"][-1].content)

    script = [
        AIMessage("", tool_calls=[{"name": "ask_clerk", "args": {"question": "?"}, "id": "c", "type": "tool_call"}]),
        AIMessage("done"),
    ]
    outer = agent_graph(ScriptedModel(script=script), [make_tool("ask_clerk", ask_clerk)], name="chief")
    return speculate(outer, predictor=Oracle(script), observers=[told.observer])


def test_where_no_trace_is_current_a_run_makes_one_with_the_runs_inside_of_it() -> None:
    """
    One trace for each run from outside, however many speculations and inner runs it has.
    """
    told = Told()
    graph = nested(told)
    for _ in range(2):
        drive(graph, "invoke")
    spans = told.spans(runs=4)
    assert len({span.context.trace_id for span in spans}) == 2
    roots = [span for span in spans if span.parent is None]
    assert [span.name for span in roots] == ["speculate chief"] * 2
    inner = [span for span in spans if span.name == "speculate clerk"]
    assert {span.parent.span_id for span in inner} == {span.context.span_id for span in roots}


async def test_runs_at_the_same_time_stay_in_their_own_traces() -> None:
    """
    Requests of one server, on one loop, whose events come from many threads.
    """
    told = Told()
    graph = wrapped(told)

    async def request(name: str) -> None:
        with told.request(name):
            await adrive(graph, "ainvoke")

    await asyncio.gather(*(request(f"request {number}") for number in range(8)))
    spans = told.spans(runs=8)
    trace_of = {span.context.span_id: span.context.trace_id for span in spans}
    requests = Counter(span.context.trace_id for span in spans if span.name.startswith("request"))
    assert len(requests) == 8
    assert {span.context.trace_id for span in spans} == set(requests)
    assert all(span.context.trace_id == trace_of[span.parent.span_id] for span in spans if span.parent)


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_what_a_tool_records_itself_stays_in_the_trace_when_it_runs_early(way: str) -> None:
    """
    A client that is instrumented, say: in a context of its own each of its requests would be a new trace.
    """
    told = Told()
    tracer = told.provider.get_tracer("client")

    def look(item: int) -> str:
        "Look at an item."
        with tracer.start_as_current_span("GET /items"):
            return str(item)

    script = [ask(("look", {"item": 1}), ("look", {"item": 2})), ask(("look", {"item": 3})), AIMessage("done")]
    plain = agent_graph(ScriptedModel(script=script, pace_s=0.02), [make_tool("look", look, "both")], name="clerk")
    graph = speculate(plain, {"tools": {"look": EAGERLY}}, predictor=Oracle(script), observers=[told.observer])
    drive(graph, way)
    spans = told.spans()
    assert speculation_of(graph).stats().hits == 3
    assert sum(span.name == "GET /items" for span in spans) == 3
    assert len({span.context.trace_id for span in spans}) == 1


def test_what_the_application_does_not_sample_is_not_traced() -> None:
    """
    Its sampler decides for all of a trace.
    """
    told = Told(sampler=ParentBased(ALWAYS_OFF))
    graph = wrapped(told)
    drive(graph, "invoke")
    assert speculation_of(graph).stats().runs == 1
    with pytest.raises(AssertionError, match=r"\[\]"):
        told.spans(patience_s=0.2)


def test_metrics_come_to_what_stats_says() -> None:
    """
    One line a tool and outcome; nothing stays in flight.
    """
    told = Told()
    graph = wrapped(told, also=[NOISE])
    for _ in range(3):
        drive(graph, "invoke")
    told.spans(runs=3)
    stats = speculation_of(graph).stats()
    ended = told.points("langgraph_speculate.speculations")
    assert sum(point.value for point in ended.values()) == stats.launched
    assert sum(point.value for (_, how), point in ended.items() if how in ("ready", "joined")) == stats.hits
    calls = told.points("langgraph_speculate.calls")
    assert sum(point.value for (_, how), point in calls.items() if how == "miss") == stats.misses
    assert sum(point.value for point in calls.values()) == stats.real_calls == 3 * CALLS
    assert {point.value for point in told.points("langgraph_speculate.in_flight").values()} == {0}
    hidden = told.points("langgraph_speculate.hidden")
    assert sum(point.sum for point in hidden.values()) == pytest.approx(stats.hidden_s, abs=0.05)
    wasted = told.points("langgraph_speculate.wasted")
    assert sum(point.sum for point in wasted.values()) == pytest.approx(stats.wasted_s)
    assert sum(point.count for point in wasted.values()) == stats.wasted


def test_a_process_without_a_provider_runs_as_ever() -> None:
    """
    OpenTelemetry's API does nothing until somebody sets it up.
    """
    observer = OpenTelemetry(NoOpTracerProvider())
    model = ScriptedModel(script=NOTEBOOK_SCRIPT)
    graph = speculate(
        agent_graph(model, notebook(World())), {"tools": {"find": EAGERLY}}, observers=[observer, OpenTelemetry()]
    )
    drive(graph, "invoke")
    assert speculation_of(graph).stats().runs == 1


def test_an_exporter_sends_it_to_a_collector() -> None:
    """
    Protobuf over HTTP, as any collector takes it, here one on loopback.
    """
    trace_service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    otlp = pytest.importorskip("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    received: SimpleQueue[Any] = SimpleQueue()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            received.put(trace_service.ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told = Told()
        exporter = otlp.OTLPSpanExporter(f"http://127.0.0.1:{server.server_port}/v1/traces")
        told.provider.add_span_processor(BatchSpanProcessor(exporter))
        drive(wrapped(told), "invoke")
        told.spans()
        told.provider.shutdown()
        server.shutdown()
    spans = [
        span for part in received.get(timeout=5).resource_spans for kept in part.scope_spans for span in kept.spans
    ]
    names = Counter(span.name for span in spans)
    assert names["speculate clerk"] == 1
    assert sum(names.values()) == len(told.spans())
    assert {link.trace_id for span in spans for link in span.links} == {spans[0].trace_id}
