"""What a run has seen so far: user turns, model turns, tool calls and their results, oldest first.

Read from messages of any dialect that has a role, text content and tool calls (LangChain messages, OpenAI-style dicts,
the neutral trace lines), without importing any of them.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from langgraph_speculate.core.calls import Call

_USER_ROLES = frozenset({"human", "user"})
_MODEL_ROLES = frozenset({"ai", "assistant", "AIMessageChunk"})
_TOOL_ROLES = frozenset({"tool", "function"})


@dataclass(frozen=True)
class UserTurn:
    """What the user said."""

    text: str


@dataclass(frozen=True)
class ModelTurn:
    """One model message: its text and how many tools it called (0: it answered)."""

    text: str
    call_count: int


@dataclass(frozen=True, eq=False)
class PastCall:
    """A call the model made, with its result once there is one.

    Attributes:
        call: Name and arguments, as the model wrote them.
        id: The tool-call id.
        result: The result's text, or None while it is pending.
        status: `"success"`, `"error"` or `"pending"`.
        step: Which model turn asked for it, counted from 0; calls of one message share it.
    """

    call: Call
    id: str
    result: str | None
    status: str
    step: int

    @property
    def name(self) -> str:
        """The tool's name."""
        return self.call.name

    @property
    def args(self) -> Mapping[str, Any]:
        """The arguments, as the model wrote them."""
        return self.call.args

    @cached_property
    def value(self) -> Any:
        """The result parsed as JSON, or None where it is something else."""
        text = self.result
        if not text or text.lstrip()[:1] not in ("{", "[", '"', "-", *"0123456789"):
            return None
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return None


Event = UserTurn | ModelTurn | PastCall


@dataclass(frozen=True)
class History:
    """The order of events in one run up to a model call.

    Attributes:
        events: User turns, model turns and calls (each right after the model turn that asked for it), oldest first.

    >>> history = History.from_messages([
    ...     {"role": "user", "content": "Where is order 7?"},
    ...     {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "name": "get_order", "args": {"id": 7}}]},
    ...     {"role": "tool", "tool_call_id": "c1", "content": '{"status": "sent"}'},
    ... ])
    >>> [(call.name, dict(call.args), call.value) for call in history.calls]
    [('get_order', {'id': 7}, {'status': 'sent'})]
    """

    events: tuple[Event, ...] = ()
    _sources: tuple[Any, ...] = field(default=(), repr=False, compare=False)

    @cached_property
    def calls(self) -> tuple[PastCall, ...]:
        """The calls so far, oldest first."""
        return tuple(event for event in self.events if isinstance(event, PastCall))

    @cached_property
    def user_turns(self) -> tuple[UserTurn, ...]:
        """What the user said, oldest first."""
        return tuple(event for event in self.events if isinstance(event, UserTurn))

    @cached_property
    def last_calls(self) -> tuple[PastCall, ...]:
        """The calls of the latest model turn that called any tool, or nothing when the user spoke since."""
        latest: list[PastCall] = []
        for event in reversed(self.events):
            if not isinstance(event, PastCall):
                break
            latest.append(event)
        return tuple(reversed(latest))

    @classmethod
    def from_messages(cls, messages: Sequence[Any], previous: History | None = None) -> History:
        """Read a history from messages, oldest first.

        Args:
            messages: LangChain messages or dicts with `role`/`type`, `content`, `tool_calls` and `tool_call_id`.
            previous: An earlier history of the same run: while messages are only added, only the new ones are read.

        Messages that cannot be read are skipped: a history only guides guesses.
        """
        seen = previous._sources if previous is not None else ()
        grown = 0 < len(seen) <= len(messages) and all(map(operator.is_, seen, messages))
        if previous is None or not grown or any(call.status == "pending" for call in previous.last_calls):
            seen, events, step = (), [], 0
            known = {call.id: call for call in previous.calls} if previous is not None else {}
        else:
            known = {}
            events = list(previous.events)
            step = sum(isinstance(event, ModelTurn) for event in events)
        rest = messages[len(seen) :]
        results = {str(_get(message, "tool_call_id")): message for message in rest if _role(message) in _TOOL_ROLES}
        for message in rest:
            role = _role(message)
            if role in _USER_ROLES:
                events.append(UserTurn(text_of(_get(message, "content"))))
            elif role in _MODEL_ROLES:
                calls = list(_calls(message))
                events.append(ModelTurn(text_of(_get(message, "content")), len(calls)))
                events.extend(_past_call(call_id, call, results.get(call_id), step, known) for call_id, call in calls)
                step += 1
        return cls(tuple(events), tuple(messages))


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or the text parts of a list of blocks."""
    if isinstance(content, str):
        return content
    if isinstance(content, Iterable) and not isinstance(content, Mapping):
        parts = (part if isinstance(part, str) else _get(part, "text") for part in content)
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def _past_call(call_id: str, call: Call, answer: Any, step: int, known: Mapping[str, PastCall]) -> PastCall:
    result = None if answer is None else text_of(_get(answer, "content"))
    status = "pending" if answer is None else str(_get(answer, "status") or "success")
    before = known.get(call_id)  # what is parsed of a result hangs on its PastCall, so an unchanged one is kept
    if before is not None and (before.result, before.status, before.step) == (result, status, step):
        return before
    return PastCall(call, call_id, result, status, step)


def _calls(message: Any) -> Iterable[tuple[str, Call]]:
    for index, raw in enumerate(_get(message, "tool_calls") or ()):
        function = _get(raw, "function")
        name = _get(raw, "name") or _get(function, "name")
        args = _get(raw, "args")
        if args is None:
            args = _loads(_get(function, "arguments"))
        if isinstance(name, str) and isinstance(args, Mapping):
            yield str(_get(raw, "id") or f"call-{id(message)}-{index}"), Call(name, args)


def _loads(text: Any) -> Any:
    try:
        return orjson.loads(text) if isinstance(text, str | bytes) else None
    except orjson.JSONDecodeError:
        return None


def _role(message: Any) -> str:
    # Messages have a type, dicts a role and sometimes a type that means something else.
    first, second = ("role", "type") if isinstance(message, dict) else ("type", "role")
    return str(_get(message, first) or _get(message, second) or "")


def _get(source: Any, name: str) -> Any:
    return source.get(name) if isinstance(source, dict) else getattr(source, name, None)
