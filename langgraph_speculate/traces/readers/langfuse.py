"""Langfuse's observations, as its exports and its API write them: generations are model calls, tools are tool calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langgraph_speculate.traces.readers.messages import Event, arguments, events_of, listed, role_of, unpacked
from langgraph_speculate.traces.readers.times import seconds_of
from langgraph_speculate.traces.readers.tracers import Found
from langgraph_speculate.traces.readers.usage import counted, summed
from langgraph_speculate.traces.readers.weave import Span
from langgraph_speculate.traces.skips import Malformed


def is_record(record: Any) -> bool:
    """Whether it looks like an observation."""
    return isinstance(record, Mapping) and "type" in record and ("trace_id" in record or "traceId" in record)


def read(record: Any) -> Iterator[Found]:
    """Yield the model call or the tool call that an observation is.

    Raises:
        Malformed: It is none.

    >>> observation = {"type": "TOOL", "trace_id": "t", "name": "get", "input": '{"id": 7}', "output": "sent"}
    >>> [(found.span.args, found.span.result) for found in read(observation)]
    [({'id': 7}, 'sent')]
    """
    if not is_record(record):
        raise Malformed("no observation of Langfuse")
    kind = str(record["type"]).upper()
    if kind not in ("GENERATION", "TOOL"):
        return
    group = str(_either(record, "session_id", "sessionId") or _either(record, "trace_id", "traceId"))
    began = seconds_of(_either(record, "start_time", "startTime"))
    ended = seconds_of(_either(record, "end_time", "endTime"))
    given, made = unpacked(record.get("input")), unpacked(record.get("output"))
    if kind == "GENERATION":
        said = _counted(_said(made, record), record)
        yield Found(group, "", Span(began, ended, events_of(_messages(given)), said))
        return
    name = record.get("name")
    if not isinstance(name, str) or not name:
        raise Malformed("tool observation without a name")
    failed, args = str(record.get("level")).upper() == "ERROR", arguments(given) or {}
    yield Found(group, "", Span.of_tool(began, ended, tool=name, args=args, result=made, failed=failed))


def _messages(given: Any) -> list[Any]:
    if isinstance(given, Mapping):
        given = given.get("messages", [given] if role_of(given) else [])
    if isinstance(given, str):
        return [{"role": "user", "content": given}] if given else []
    return listed(given)


def _said(made: Any, record: Mapping[str, Any]) -> Event | None:
    """What the model answered; the export lists its calls apart, too."""
    messages = [message for message in (made if isinstance(made, list) else [made]) if role_of(message)]
    said = [event for event in events_of(messages) if event["role"] == "assistant"]
    event = said[-1] if said else None
    if event is None and isinstance(made, str) and made:
        event = {"role": "assistant", "content": made, "tool_calls": []}
    apart = unpacked(_either(record, "tool_calls", "toolCalls"))
    if isinstance(apart, list) and apart and (event is None or not event["tool_calls"]):
        calls = [unpacked(call) for call in apart]
        event = events_of([{"role": "assistant", "content": event["content"] if event else "", "tool_calls": calls}])[0]
    return event


def _counted(said: Event | None, record: Mapping[str, Any]) -> Event | None:
    """With its tokens: by kind, which add up, or as older exports have them."""
    usage = unpacked(_either(record, "usage_details", "usageDetails")) or unpacked(record.get("usage"))
    read, written = summed(usage, "input"), summed(usage, "output")
    if not read:
        usage = {name: _either(record, f"{name}_tokens", f"{name}Tokens") for name in ("prompt", "completion")}
        read, written = summed(usage, "prompt"), summed(usage, "completion")
    return counted(said, read, written, summed(usage, "input", "cache", "read") or summed(usage, "input", "cached"))


def _either(record: Mapping[str, Any], snake: str, camel: str) -> Any:
    return record[snake] if record.get(snake) is not None else record.get(camel)
