"""Spans of the real OpenTelemetry SDK, with the attributes of four instrumentations, become runs."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from langchain_core.tracers import LangChainTracer
from langsmith import Client
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode

from langgraph_speculate.core.stakes import Tokens
from langgraph_speculate.traces import Skips, read_runs
from tests.traces.recordings import TOLD, converse, read, told

Attributes = dict[str, Any]
ASKED = {"role": "user", "content": TOLD[0][1]}
CALLS = [{"id": f"c{at}", "name": name, "args": args} for at, (name, args) in enumerate(TOLD[1][2])]
ANSWERS = [said for role, said in (event[:2] for event in TOLD[2:4])]


def write(path: Path, exporter: InMemorySpanExporter, lines: int = 1) -> Path:
    """Write what was exported as the collector's file exporter does: ids in hex, one request a line."""
    spans = list(exporter.get_finished_spans())
    size = -(-len(spans) // lines)
    with path.open("w") as file:
        for start in range(0, len(spans), size):
            request = MessageToDict(encode_spans(spans[start : start + size]))
            for span in (s for r in request["resourceSpans"] for c in r["scopeSpans"] for s in c["spans"]):
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = base64.b64decode(span[name]).hex()
            file.write(json.dumps(request) + "\n")
    return path


def recorded(
    model: Callable[[int], Attributes], tool: Callable[[int], Attributes], failed: bool = False
) -> InMemorySpanExporter:
    """Spans of the first question: two calls of the model, and two tools between them."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    times = iter(range(1_760_000_000_000_000_000, 1_760_000_100_000_000_000, 500_000_000))

    def span(name: str, attributes: Attributes) -> None:
        made = tracer.start_span(name, start_time=next(times), attributes=attributes)
        if failed and name == "tool":
            made.set_status(Status(StatusCode.ERROR))
        made.end(next(times))

    with tracer.start_as_current_span("invoke_agent"):
        span("chat", model(0))
        for at in range(2):
            span("tool", tool(at))
        span("chat", model(1))
    return exporter


# -- the attributes of each instrumentation ----------------------------------------------------------------------------


def gen_ai_model(number: int) -> Attributes:
    said = [{"role": "user", "parts": [{"type": "text", "content": ASKED["content"]}]}]
    called = [
        {"type": "tool_call", "id": call["id"], "name": call["name"], "arguments": call["args"]} for call in CALLS
    ]
    first = {"role": "assistant", "parts": [{"type": "text", "content": TOLD[1][1]}, *called]}
    if number:
        parts = [{"type": "tool_call_response", "id": f"c{at}", "response": text} for at, text in enumerate(ANSWERS)]
        said += [first, {"role": "tool", "parts": parts}]
    made = first if not number else {"role": "assistant", "parts": [{"type": "text", "content": TOLD[4][1]}]}
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.input.messages": json.dumps(said),
        "gen_ai.output.messages": json.dumps([made]),
    }


def gen_ai_tool(at: int) -> Attributes:
    return {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": CALLS[at]["name"],
        "gen_ai.tool.call.id": f"c{at}",
        "gen_ai.tool.call.arguments": json.dumps(CALLS[at]["args"]),
        "gen_ai.tool.call.result": ANSWERS[at],
    }


def openinference_model(number: int) -> Attributes:
    found: Attributes = {"openinference.span.kind": "LLM"}

    def message(
        prefix: str, role: str, content: str, calls: list[dict[str, Any]] | None = None, call: str = ""
    ) -> None:
        found[f"{prefix}.message.role"], found[f"{prefix}.message.content"] = role, content
        for at, one in enumerate(calls or ()):
            inner = f"{prefix}.message.tool_calls.{at}.tool_call"
            found[f"{inner}.id"], found[f"{inner}.function.name"] = one["id"], one["name"]
            found[f"{inner}.function.arguments"] = json.dumps(one["args"])
        if call:
            found[f"{prefix}.message.tool_call_id"] = call

    message("llm.input_messages.0", "user", ASKED["content"])
    if number:
        message("llm.input_messages.1", "assistant", TOLD[1][1], CALLS)
        for at, text in enumerate(ANSWERS):
            message(f"llm.input_messages.{2 + at}", "tool", text, call=f"c{at}")
        message("llm.output_messages.0", "assistant", TOLD[4][1])
    else:
        message("llm.output_messages.0", "assistant", TOLD[1][1], CALLS)
    return found


def openinference_tool(at: int) -> Attributes:
    return {
        "openinference.span.kind": "TOOL",
        "tool.name": CALLS[at]["name"],
        "input.value": json.dumps(CALLS[at]["args"]),
        "output.value": ANSWERS[at],
    }


def numbered_model(number: int) -> Attributes:
    found: Attributes = {"traceloop.span.kind": "llm", "gen_ai.operation.name": "chat"}
    found |= {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": ASKED["content"]}
    places = [("gen_ai.completion.0", number == 0), *([("gen_ai.prompt.1", True)] if number else [])]
    for prefix, calls in places:
        found |= {f"{prefix}.role": "assistant", f"{prefix}.content": TOLD[1][1] if calls else TOLD[4][1]}
        for at, call in enumerate(CALLS if calls else ()):
            found |= {
                f"{prefix}.tool_calls.{at}.id": call["id"],
                f"{prefix}.tool_calls.{at}.name": call["name"],
                f"{prefix}.tool_calls.{at}.arguments": json.dumps(call["args"]),
            }
    for at, text in enumerate(ANSWERS if number else ()):
        prefix = f"gen_ai.prompt.{2 + at}"
        found |= {f"{prefix}.role": "tool", f"{prefix}.content": text, f"{prefix}.tool_call_id": f"c{at}"}
    return found


def numbered_tool(at: int) -> Attributes:
    return {
        "traceloop.span.kind": "tool",
        "gen_ai.tool.name": CALLS[at]["name"],
        "traceloop.entity.input": json.dumps(CALLS[at]["args"]),
        "traceloop.entity.output": ANSWERS[at],
    }


INSTRUMENTATIONS = {
    "GenAI conventions": (gen_ai_model, gen_ai_tool),
    "OpenInference": (openinference_model, openinference_tool),
    "OpenLLMetry": (numbered_model, numbered_tool),
}


@pytest.mark.parametrize(("model", "tool"), INSTRUMENTATIONS.values(), ids=INSTRUMENTATIONS)
@pytest.mark.parametrize("lines", [1, 5])
def test_spans_of_an_instrumentation_are_a_run(model: Any, tool: Any, lines: int, tmp_path: Path):
    """
    Messages, calls, answers and times, whether a trace lies in one request or in many.
    """
    (run,) = read(write(tmp_path / "spans.jsonl", recorded(model, tool), lines))

    assert told(run) == TOLD[:5]
    assert [event.get("duration_s") for event in run.events] == [None, 0.5, 0.5, 0.5, 0.5]


USAGE = {
    "GenAI conventions": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.cache_read.input_tokens",
    ),
    "OpenInference": (
        "llm.token_count.prompt",
        "llm.token_count.completion",
        "llm.token_count.prompt_details.cache_read",
    ),
    "OpenLLMetry": (
        "gen_ai.usage.prompt_tokens",
        "gen_ai.usage.completion_tokens",
        "gen_ai.usage.cache_read_input_tokens",
    ),
}


@pytest.mark.parametrize("name", INSTRUMENTATIONS)
@pytest.mark.parametrize("cached", [0, 512])
def test_tokens_that_were_counted_are_those_of_the_message(name: str, cached: int, tmp_path: Path):
    """
    Whatever the instrumentation calls them; a forecast of previews needs no estimate then.
    """
    model, tool = INSTRUMENTATIONS[name]
    counts = dict(zip(USAGE[name], (900, 20, cached), strict=True))
    (run,) = read(write(tmp_path / "spans.jsonl", recorded(lambda number: {**model(number), **counts}, tool)))

    said = [event for event in run.events if event["role"] == "assistant"]
    assert [Tokens.counted(event.get("usage_metadata")) for event in said] == [Tokens(900, 20, cached)] * 2


@pytest.mark.parametrize(("model", "tool"), INSTRUMENTATIONS.values(), ids=INSTRUMENTATIONS)
def test_a_failed_tool_is_told(model: Any, tool: Any, tmp_path: Path):
    """
    What a predictor expects after an error differs from what it expects after an answer.
    """
    (run,) = read(write(tmp_path / "spans.jsonl", recorded(model, tool, failed=True)))

    assert [event.get("status") for event in run.events if event["role"] == "tool"] == ["error", "error"]


def test_messages_that_nobody_kept_leave_the_calls(tmp_path: Path):
    """
    By default instrumentations record no contents: names and times of tools alone are no conversation.
    """
    bare = {"gen_ai.operation.name": "chat"}
    exporter = recorded(
        lambda number: bare, lambda at: {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get"}
    )
    skips = Skips()

    runs = list(read_runs(write(tmp_path / "spans.jsonl", exporter), on_skip=skips))

    assert runs == []
    assert skips.reasons == {"spans without messages": 1}


def test_what_langsmith_exports_to_opentelemetry_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """
    A real agent, LangSmith's own tracer and its OpenTelemetry mode; both questions are one thread.
    """
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    client = Client(api_key="none", tracing_mode="otel", otel_tracer_provider=provider)
    tracer = LangChainTracer(client=client)
    converse(config={"callbacks": [tracer], "metadata": {"thread_id": "t-1"}})
    tracer.wait_for_futures()
    client.flush()

    (run,) = read(write(tmp_path / "spans.jsonl", exporter, lines=3))

    assert (run.id, told(run)) == ("t-1", TOLD)
    assert all(event["duration_s"] >= 0 for event in run.events if event["role"] != "user")
