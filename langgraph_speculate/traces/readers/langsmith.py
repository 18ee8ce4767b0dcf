"""LangSmith's runs: of its JSONL and Parquet exports, of its API, and as its SDK posts them.

A run of type `llm` holds the messages of a model call (LangChain's dumps, or OpenAI's), one of type `tool` a tool call;
all others are structure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langgraph_speculate.traces.readers.messages import Event, arguments, events_of, listed, role_of, unpacked
from langgraph_speculate.traces.readers.times import seconds_of
from langgraph_speculate.traces.readers.tracers import Found
from langgraph_speculate.traces.readers.weave import Span
from langgraph_speculate.traces.skips import Malformed

_THREADS = ("session_id", "conversation_id", "thread_id")  # in the order in which LangSmith itself looks


def is_record(record: Any) -> bool:
    """Whether it looks like one of LangSmith's runs."""
    return isinstance(record, Mapping) and "run_type" in record and ("trace_id" in record or "dotted_order" in record)


def read(record: Any) -> Iterator[Found]:
    """Yield the model call or the tool call that a run is.

    Raises:
        Malformed: It is none of LangSmith's runs, or says what none of them would.

    >>> run = {"run_type": "tool", "trace_id": "t", "name": "get", "inputs": {"id": 7}, "outputs": {"output": "sent"}}
    >>> [(found.group, found.span.tool, found.span.args, found.span.result) for found in read(run)]
    [('t', 'get', {'id': 7}, 'sent')]
    """
    if not is_record(record):
        raise Malformed("no run of LangSmith")
    kind = str(record["run_type"]).lower()
    if kind not in ("llm", "tool"):
        return
    extra, outputs = _object(record.get("extra")), _object(record.get("outputs"))
    metadata = {**_object(record.get("metadata")), **_object(extra.get("metadata"))}
    trace = record.get("trace_id") or str(record.get("dotted_order")).partition(".")[0]
    threads = (*(metadata.get(name) for name in _THREADS), record.get("thread_id"), trace)
    group = next(str(thread) for thread in (*threads, "") if thread is not None)
    began, ended = seconds_of(record.get("start_time")), seconds_of(record.get("end_time"))
    if kind == "llm":
        given = events_of(_messages(_object(record.get("inputs")).get("messages")))
        span = Span(began, ended, given, _said(outputs))
    else:
        span = _tool(record, extra, outputs, began, ended)
    yield Found(group, str(record.get("reference_example_id") or ""), span)


def _tool(
    record: Mapping[str, Any],
    extra: Mapping[str, Any],
    outputs: Mapping[str, Any],
    began: float | None,
    ended: float | None,
) -> Span:
    inputs = _object(record.get("inputs"))
    args = inputs
    if list(inputs) == ["input"]:  # a tool that was given one text, which may be an object's
        args = arguments(inputs["input"]) or inputs
    name = record.get("name")
    if not isinstance(name, str) or not name:
        raise Malformed("tool run without a name")
    return Span.of_tool(
        began,
        ended,
        tool=name,
        call=str(extra.get("tool_call_id") or ""),
        args=args,
        result=outputs.get("output", outputs or None),
        failed=bool(record.get("error")),
    )


def _messages(given: Any) -> list[Any]:
    """The messages of a model call; LangChain writes a list of them for each prompt."""
    given = listed(given)
    return given[0] if given and isinstance(given[0], list) and role_of(given[0]) is None else given


def _said(outputs: Mapping[str, Any]) -> Event | None:
    """What the model answered, in one of the ways in which it is written down."""
    generations = outputs.get("generations")
    while isinstance(generations, list) and generations:
        generations = generations[0]
    choices = outputs.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    for holder in (generations, choice, outputs):
        message = holder.get("message") if isinstance(holder, Mapping) and "message" in holder else holder
        if role_of(message) == "assistant":
            return events_of([message])[-1]
    items = outputs.get("output")
    said = [event for event in events_of(items) if event["role"] == "assistant"] if isinstance(items, list) else []
    return said[-1] if said else None


def _object(value: Any) -> Mapping[str, Any]:
    """An object, which exports write as the text of one."""
    value = unpacked(value)
    if isinstance(value, str) and value:
        raise Malformed("no JSON in a field that holds JSON")
    return value if isinstance(value, Mapping) else {}
