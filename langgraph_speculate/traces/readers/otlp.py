"""OpenTelemetry spans as OTLP JSON, a request a line, as the collector's file exporter writes them.

Knows the attributes of the GenAI conventions (before and after messages became one attribute), of OpenInference, of
OpenLLMetry and of LangSmith's own export.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from langgraph_speculate.traces.readers import langsmith
from langgraph_speculate.traces.readers.messages import Event, arguments, events_of, listed, unpacked
from langgraph_speculate.traces.readers.times import seconds_of
from langgraph_speculate.traces.readers.tracers import Found
from langgraph_speculate.traces.readers.usage import counted, first
from langgraph_speculate.traces.readers.weave import Span
from langgraph_speculate.traces.skips import Malformed

Attributes = Mapping[str, Any]

_THREADS = (
    *("session.id", "gen_ai.conversation.id", "langsmith.metadata.thread_id", "langsmith.trace.session_id"),
    *("traceloop.association.properties.thread_id", "thread_id"),
)
_MODEL_KINDS, _TOOL_KINDS = ("chat", "text_completion", "generate_content", "llm"), ("execute_tool", "tool")
# Of the GenAI conventions, new and old, of OpenLLMetry, and of OpenInference.
_READ = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_WRITTEN = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
_CACHED = (
    *("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"),
    "llm.token_count.prompt_details.cache_read",
)
_GIVEN = ("gen_ai.tool.call.arguments", "input.value", "gen_ai.prompt", "traceloop.entity.input")
_MADE = ("gen_ai.tool.call.result", "output.value", "gen_ai.completion", "traceloop.entity.output")
_CALL = ("gen_ai.tool.call.id", "tool_call.id", "tool.call.id", "tool.id")
_OURS = "langgraph_speculate.outcome"
_ADOPTED = "langgraph_speculate.adopted"
_NUMBERED = re.compile(r"\.(\d+)(?:\.|$)")
_ERROR = (2, "STATUS_CODE_ERROR")


def is_record(record: Any) -> bool:
    """Whether it looks like an export request."""
    return isinstance(record, Mapping) and ("resourceSpans" in record or "resource_spans" in record)


def read(record: Any) -> Iterator[Found]:
    """Yield the model calls and tool calls among the spans of a request.

    Raises:
        Malformed: It is no request.
    """
    if not is_record(record):
        raise Malformed("no OTLP request")
    for span in _spans(record):
        attributes = _attributes(span.get("attributes"))
        kind = _kind(attributes)
        if not kind or (_OURS in attributes and _ADOPTED not in attributes):
            continue
        threads = (*(attributes.get(name) for name in _THREADS), span.get("traceId"))
        group = next((str(thread) for thread in threads if thread), "")
        if not group:
            raise Malformed("span without a trace")
        began, ended = seconds_of(span.get("startTimeUnixNano")), seconds_of(span.get("endTimeUnixNano"))
        status = span.get("status")
        failed = isinstance(status, Mapping) and status.get("code") in _ERROR
        made = _model(attributes, began, ended) if kind == "model" else _tool(span, attributes, began, ended, failed)
        yield Found(group, "", made)


def _spans(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for resource in _list(record.get("resourceSpans", record.get("resource_spans"))):
        for scope in _list(resource.get("scopeSpans", resource.get("scope_spans"))):
            yield from _list(scope.get("spans"))


def _kind(attributes: Attributes) -> str:
    for name in ("gen_ai.operation.name", "openinference.span.kind", "langsmith.span.kind", "traceloop.span.kind"):
        kind = str(attributes.get(name, "")).lower()
        if kind in _MODEL_KINDS:
            return "model"
        if kind in _TOOL_KINDS:
            return "tool"
    return ""


def _model(attributes: Attributes, began: float | None, ended: float | None) -> Span:
    if "langsmith.span.kind" in attributes and "gen_ai.completion" in attributes:
        return _as_langsmith(attributes, began, ended)
    given = unpacked(attributes.get("gen_ai.input.messages")) or _numbered(attributes, "gen_ai.prompt.")
    given = given or [_inner(one) for one in _numbered(attributes, "llm.input_messages.")]
    made = unpacked(attributes.get("gen_ai.output.messages")) or _numbered(attributes, "gen_ai.completion.")
    made = made or [_inner(one) for one in _numbered(attributes, "llm.output_messages.")]
    said = [event for event in events_of(listed(made)) if event["role"] == "assistant"]
    return Span(began, ended, events_of(listed(given)), _counted(said[-1] if said else None, attributes))


def _as_langsmith(attributes: Attributes, began: float | None, ended: float | None) -> Span:
    """LangSmith's exporter puts a run's inputs and outputs into one attribute each."""
    inputs, outputs = attributes.get("gen_ai.prompt"), attributes.get("gen_ai.completion")
    record = {"run_type": "llm", "trace_id": "-", "inputs": inputs, "outputs": outputs}
    (found,) = langsmith.read(record)
    return Span(began, ended, found.span.given, _counted(found.span.said, attributes))


def _counted(said: Event | None, attributes: Attributes) -> Event | None:
    return counted(said, *(first(attributes, names) for names in (_READ, _WRITTEN, _CACHED)))


def _tool(
    span: Mapping[str, Any], attributes: Attributes, began: float | None, ended: float | None, failed: bool
) -> Span:
    names = (attributes.get("gen_ai.tool.name"), attributes.get("tool.name"), attributes.get("langsmith.trace.name"))
    name = next((str(one) for one in (*names, span.get("name")) if one), "")
    if not name:
        raise Malformed("tool span without a name")
    given = first(attributes, _GIVEN)
    made = unpacked(first(attributes, _MADE))
    call = str(first(attributes, _CALL) or "")
    args = arguments(unpacked(given)) or {}
    return Span.of_tool(began, ended, tool=name, call=call, args=args, result=made, failed=failed)


def _numbered(attributes: Attributes, prefix: str) -> list[dict[str, Any]]:
    """What attributes such as `llm.input_messages.0.message.role` say, as a list of objects."""
    found: dict[int, dict[str, Any]] = defaultdict(dict)
    for name, value in attributes.items():
        if name.startswith(prefix):
            number, _, rest = name[len(prefix) :].partition(".")
            if number.isascii() and number.isdigit() and rest:
                found[int(number)][rest] = value
    return [_nested(found[number]) for number in sorted(found)]


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """One message of numbered attributes; only its calls are numbered once more."""
    made = {name: value for name, value in flat.items() if not _NUMBERED.search(name)}
    for prefix in ("tool_calls.", "message.tool_calls."):
        calls = _numbered(flat, prefix)
        if calls:
            made[prefix.removesuffix(".")] = [_inner(call, "tool_call.", "function.") for call in calls]
    return made


def _inner(found: Mapping[str, Any], *prefixes: str) -> Event:
    """The same without what OpenInference puts before each name."""
    made = dict(found)
    for prefix in prefixes or ("message.",):
        made = {name.removeprefix(prefix): value for name, value in made.items()}
    return made


def _attributes(listed: Any) -> dict[str, Any]:
    return {str(one.get("key")): _value(one.get("value")) for one in _list(listed)}


def _value(value: Any) -> Any:
    """OTLP's `AnyValue`."""
    if not isinstance(value, Mapping):
        return None
    for kind, inner in value.items():
        if kind == "arrayValue":
            return [_value(one) for one in _list(inner.get("values") if isinstance(inner, Mapping) else None)]
        if kind == "kvlistValue":
            return _attributes(inner.get("values") if isinstance(inner, Mapping) else None)
        return int(inner) if kind == "intValue" and str(inner).lstrip("-").isdigit() else inner
    return None


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
