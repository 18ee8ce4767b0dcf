"""Conversations as lists of messages, one a line: OpenAI's chat and response logs, LangChain's dumps.

They tell no times. A line is `{"messages": [...]}`, a stored request with its answer, `{"input": [...], "output":
[...]}` of a response, or a bare list of messages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import orjson

from langgraph_speculate.traces.lines import Limits, json_lines, read_each, unfolded
from langgraph_speculate.traces.neutral import run_of
from langgraph_speculate.traces.readers.messages import Event, events_of, role_of
from langgraph_speculate.traces.runs import Run
from langgraph_speculate.traces.skips import Malformed, Skipped

_IDS = ("id", "thread_id", "conversation_id", "custom_id")


def is_record(record: Any) -> bool:
    """Whether it looks like a conversation."""
    if isinstance(record, list):
        return bool(record) and role_of(record[0]) is not None
    if not isinstance(record, Mapping):
        return False
    return any(
        isinstance(_within(record, *path), list) for path in (("messages",), ("request", "messages"), ("output",))
    )


def runs_in(path: str, limits: Limits, on_bytes: Any = None) -> Iterator[Run | Skipped]:
    """Yield the conversations of a file, and what had to be skipped, in the order of the file."""
    records = unfolded(json_lines(path, limits, on_bytes), is_record)
    for found in read_each(records, path, lambda record: run_of(_line(record), limits)):
        yield found if isinstance(found, Skipped) else found[1]


def _line(record: Any) -> dict[str, Any]:
    """The neutral line of one conversation.

    >>> _line([{"type": "human", "data": {"content": "Hello."}}])["events"]
    [{'role': 'user', 'content': 'Hello.'}]
    """
    if not is_record(record):
        raise Malformed("no conversation")
    return named(record if isinstance(record, Mapping) else {}, events_of(_messages(record)))


def named(record: Mapping[str, Any], events: list[Event]) -> dict[str, Any]:
    """A neutral line of these events, with the ids that a conversation's record says.

    Without an id of its own a conversation is what was said in it: the same line twice is one run.
    """
    task = record.get("task_id")
    name = next((str(record[name]) for name in _IDS if record.get(name)), "") or _digest(events)
    return {"id": name, "task_id": name if task is None else task, "events": events}


def _messages(record: Any) -> list[Any]:
    if isinstance(record, list):
        return record
    asked = _within(record, "messages") or _within(record, "request", "messages") or _within(record, "input") or []
    if isinstance(asked, str):
        asked = [{"role": "user", "content": asked}]
    answered = _within(record, "output") or _within(record, "response", "output") or []
    choices = _within(record, "choices") or _within(record, "response", "choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        answered = [choices[0].get("message")]
    if not (isinstance(asked, list) and isinstance(answered, list)):
        raise Malformed("messages are no list")
    return [*asked, *answered]


def _within(record: Mapping[str, Any], *path: str) -> Any:
    value: Any = record
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _digest(events: list[Event]) -> str:
    return f"chat-{blake2b(orjson.dumps(events), digest_size=8).hexdigest()}"
