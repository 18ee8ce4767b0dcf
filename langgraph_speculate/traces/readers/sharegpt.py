"""Conversations in the way of ShareGPT, one a line: `{"conversations": [{"from": …, "value": …}]}`.

Data sets for fine-tuning have it, with calls of tools in either of two ways: in `<tool_call>` tags within what the
model says (Hermes), or as a turn of their own, `function_call` (LLaMA-Factory). Calls have no ids: their answers follow
in their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from langgraph_speculate.traces.lines import Limits, json_lines, read_each, unfolded
from langgraph_speculate.traces.neutral import run_of
from langgraph_speculate.traces.readers.chats import named
from langgraph_speculate.traces.readers.messages import Event, arguments, text, unpacked
from langgraph_speculate.traces.runs import Run
from langgraph_speculate.traces.skips import Malformed, Skipped

_ROLES = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model", "function_call"), "assistant"),
    "system": "system",
    **dict.fromkeys(("tool", "observation", "function_response"), "tool"),
}
_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_ANSWER = re.compile(r"<tool_response>(.*?)</tool_response>", re.DOTALL)
_UNASKED = "unasked"


def is_record(record: Any) -> bool:
    """Whether it looks like such a conversation."""
    turns = record.get("conversations") if isinstance(record, Mapping) else None
    return isinstance(turns, list) and bool(turns) and isinstance(turns[0], Mapping) and "from" in turns[0]


def runs_in(path: str, limits: Limits, on_bytes: Any = None) -> Iterator[Run | Skipped]:
    """Yield the conversations of a file, and what had to be skipped, in the order of the file."""
    records = unfolded(json_lines(path, limits, on_bytes), is_record)
    for found in read_each(records, path, lambda record: run_of(_line(record), limits)):
        yield found if isinstance(found, Skipped) else found[1]


def _line(record: Any) -> dict[str, Any]:
    """The neutral line of one conversation.

    >>> said = '<tool_call>{"name": "get_order", "arguments": {"id": 7}}</tool_call>'
    >>> turns = [{"from": "gpt", "value": said}, {"from": "tool", "value": "sent"}]
    >>> [event.get("tool_calls") or event["content"] for event in _line({"conversations": turns})["events"]]
    [[{'id': 'call-1', 'name': 'get_order', 'args': {'id': 7}}], 'sent']
    """
    if not is_record(record):
        raise Malformed("no conversation of ShareGPT")
    events: list[Event] = []
    waiting: Iterator[str] = iter(())
    made = 0
    for turn in record["conversations"]:
        role, value = _turn(turn)
        if role == "assistant":
            calls = _calls(turn["from"], value)
            asked = [f"call-{made + at}" for at in range(1, len(calls) + 1)]
            made += len(calls)
            waiting = iter(asked)
            calls = [{"id": id, **call} for id, call in zip(asked, calls, strict=True)]
            said = "" if turn["from"] == "function_call" else _CALL.sub("", value).strip()
            events.append({"role": role, "content": said, "tool_calls": calls})
        elif role == "tool":
            for answer in map(str.strip, _ANSWER.findall(value) or [value]):
                events.append({"role": role, "tool_call_id": next(waiting, _UNASKED), "content": answer})
        else:
            events.append({"role": role, "content": value})
    return named(record, events)


def _turn(turn: Any) -> tuple[str, str]:
    """Whose turn it is, and what was said."""
    role = _ROLES.get(turn["from"]) if isinstance(turn, Mapping) and isinstance(turn.get("from"), str) else None
    if role is None:
        raise Malformed("message with an unknown role")
    return role, text(turn.get("value"))


def _calls(kind: str, value: str) -> list[dict[str, Any]]:
    """The calls of a turn; those whose arguments are no object are left out, as nobody could run them."""
    written = [value] if kind == "function_call" else _CALL.findall(value)
    found = []
    for one in map(unpacked, map(str.strip, written)):
        for call in one if isinstance(one, list) else [one]:
            args = arguments(call.get("arguments", {})) if isinstance(call, Mapping) else None
            if args is not None and isinstance(call.get("name"), str) and call["name"]:
                found.append({"name": call["name"], "args": args})
    return found
