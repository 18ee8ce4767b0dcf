"""Neutral trace lines: one run a line, the one format that mining, evaluation and replay read.

`{"id", "task_id", "events": [{"role", "content", "tool_calls": [{"id", "name", "args": {}}], "tool_call_id", "name",
"t", "duration_s", "usage_metadata"}]}`; further fields are kept and mean nothing. `docs/traces.md` describes it for
people.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from langgraph_speculate.traces.lines import Limits, json_lines, read_each, unfolded
from langgraph_speculate.traces.runs import Run
from langgraph_speculate.traces.skips import Malformed, Skipped

_USUAL = Limits()
ROLES = ("system", "user", "assistant", "tool")


def is_record(record: Any) -> bool:
    """Whether it looks like a neutral line."""
    return isinstance(record, Mapping) and isinstance(record.get("events"), list) and "id" in record


def runs_in(path: str, limits: Limits, on_bytes: Callable[[int], None] | None = None) -> Iterator[Run | Skipped]:
    """Yield the runs of a file of neutral lines, and what had to be skipped, in the order of the file."""
    records = unfolded(json_lines(path, limits, on_bytes), is_record)
    for found in read_each(records, path, lambda record: run_of(record, limits)):
        yield found if isinstance(found, Skipped) else found[1]


def run_of(record: Any, limits: Limits = _USUAL) -> Run:
    """Check one line and return its run. A run without a task is a task of its own.

    Raises:
        Malformed: It is no run; the reason says what is missing or wrong, the detail which event.

    >>> run_of({"id": "r-1", "events": []})
    Run(id='r-1', task='r-1', events=[])
    """
    if type(record) is not dict:
        raise Malformed("no object")
    run = _id(record, "id", "run without an id")
    task = run if record.get("task_id") is None else _id(record, "task_id", "task_id is no text")
    events = record.get("events")
    if type(events) is not list:
        raise Malformed("run without a list of events")
    if len(events) > limits.events:
        raise Malformed("too many events in one run", f"more than {limits.events:,}")
    for index, event in enumerate(events):
        try:
            _check_event(event)
        except Malformed as problem:
            raise Malformed(problem.reason, f"event {index + 1}") from None
    return Run(run, task, events)


def _id(record: Mapping[str, Any], name: str, problem: str) -> str:
    value = record.get(name)
    if type(value) is int:  # many count their rows
        return str(value)
    if type(value) is not str or not value:
        raise Malformed(problem)
    return value


def _check_event(event: Any) -> None:
    if type(event) is not dict:
        raise Malformed("event is no object")
    role = event.get("role")
    if role not in ROLES:
        raise Malformed("event with an unknown role")
    content = event.get("content")
    if not (content is None or type(content) is str or type(content) is list):
        raise Malformed("content is no text")
    for name in ("t", "duration_s"):
        value = event.get(name)
        if type(value) is float and not math.isfinite(value):
            event[name] = None  # as json.dumps writes what was never measured
        elif not (value is None or type(value) is float or type(value) is int):
            raise Malformed(f"{name} is no number")
    if role == "assistant":
        _check_calls(event.get("tool_calls"))
    elif role == "tool":
        _id(event, "tool_call_id", "tool event without a tool_call_id")


def _check_calls(calls: Any) -> None:
    if calls is None:
        return
    if type(calls) is not list:
        raise Malformed("tool_calls is no list")
    for call in calls:
        if type(call) is not dict:
            raise Malformed("tool call is no object")
        _id(call, "id", "tool call without an id")
        if type(call.get("name")) is not str or not call["name"]:
            raise Malformed("tool call without a name")
        if type(call.get("args")) is not dict:
            raise Malformed("tool call without an object of args")
