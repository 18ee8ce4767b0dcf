"""What a run has seen so far: user turns, model turns, tool calls and their results, oldest first.

Read from messages of any dialect that has a role, text content and tool calls (LangChain messages, OpenAI-style dicts,
the neutral trace lines), without importing any of them.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import orjson

from langgraph_speculate.core.calls import Call
from langgraph_speculate.errors import UnkeyableArguments

_USER_ROLES = frozenset({"human", "user"})
_MODEL_ROLES = frozenset({"ai", "assistant", "AIMessageChunk"})
_TOOL_ROLES = frozenset({"tool", "function"})
_ROLES = _USER_ROLES | _MODEL_ROLES | _TOOL_ROLES
_JSON_BEGINS = frozenset('{["-0123456789tfn')


@dataclass(frozen=True)
class UserTurn:
    """What the user said, or, unless *own*, somebody else in the user's place.

    Middleware writes summaries, pinned files and reminders as messages of the user, with a name or a mark of its own.
    """

    text: str
    own: bool = True


@dataclass(frozen=True)
class ModelTurn:
    """One model message: its text, how many tools it called (0: it answered), how many model turns came before."""

    text: str
    call_count: int
    step: int = 0


@dataclass(frozen=True, eq=False)
class PastCall:
    """A call the model made, with its result once there is one.

    Attributes:
        call: Name and arguments, as the model wrote them.
        id: The tool-call id.
        result: The result's text, or None while it is not known.
        status: `"success"`, `"error"` or `"pending"`; success without a result where it is taken to end well.
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

    @property
    def value(self) -> Any:
        """The result parsed as JSON, or None where it is something else; parsed each time, since few want it twice."""
        text = self.result
        if not text or text.lstrip()[:1] not in _JSON_BEGINS:
            return None
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            return None


Event = UserTurn | ModelTurn | PastCall


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a history comes from; what is learned from it is kept apart, and counted, by this.

    Attributes:
        partition: Whose data it is; users or tenants that must learn nothing of each other differ in it.
        thread: The conversation, or any other unit in which values repeat for no reason but that it is one.
        run: The run; what a single one teaches is bounded.
    """

    partition: str = ""
    thread: str = ""
    run: str = ""


_NOWHERE = Origin()


@dataclass(frozen=True)
class History:
    """The order of events in one run up to a model call.

    Attributes:
        events: User turns, model turns and calls (each right after the model turn that asked for it), oldest first.
        origin: Whose run it is.
        writing: What the model wrote of its next message before the calls, for those who learn from it; empty before.

    >>> history = History.from_messages([
    ...     {"role": "user", "content": "Where is order 7?"},
    ...     {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "name": "get_order", "args": {"id": 7}}]},
    ...     {"role": "tool", "tool_call_id": "c1", "content": '{"status": "sent"}'},
    ... ])
    >>> [(call.name, dict(call.args), call.value) for call in history.calls]
    [('get_order', {'id': 7}, {'status': 'sent'})]
    """

    events: tuple[Event, ...] = ()
    origin: Origin = field(default=_NOWHERE, compare=False)
    writing: str = ""
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

    def after(self, calls: Sequence[Call], results: Sequence[str | None] = (), text: str = "") -> History:
        """What the next model call would see if the model now made *calls*.

        Args:
            calls: The calls of one message.
            results: The text of each one's result, as far as they are known: those that are not are taken to end well.
            text: What the message says besides.

        >>> history = History().after([Call("get_order", {"id": 7})])
        >>> [(call.name, call.result, call.status) for call in history.calls]
        [('get_order', None, 'success')]
        """
        step = next((event.step + 1 for event in reversed(self.events) if isinstance(event, ModelTurn)), 0)
        known = (*results, *[None] * (len(calls) - len(results)))
        made = [
            PastCall(call, f"if-{step}-{at}", result, "success", step)
            for at, (call, result) in enumerate(zip(calls, known, strict=True))
        ]
        return replace(self, events=(*self.events, ModelTurn(text, len(calls), step), *made), writing="", _sources=())

    @classmethod
    def from_messages(
        cls, messages: Sequence[Any], previous: History | None = None, origin: Origin = _NOWHERE
    ) -> History:
        """Read a history from messages, oldest first.

        Args:
            messages: LangChain messages or dicts with `role`/`type`, `content`, `tool_calls` and `tool_call_id`.
            previous: An earlier history of the same run: while messages are only added, only the new ones are read.
            origin: Whose run it is.

        Messages that cannot be read are skipped: a history only guides guesses.
        """
        seen = previous._sources if previous is not None else ()
        if previous is not None and seen and len(seen) <= len(messages) and all(map(operator.is_, seen, messages)):
            events, kept = list(previous.events), {}
        else:
            seen, events = (), []
            kept = {(call.id, call.step): call for call in previous.calls} if previous is not None else {}
        reader = _Reader(events, kept)
        for message in messages[len(seen) :]:
            with suppress(Exception):  # a history only guides guesses: what cannot be read is left out
                reader.read(message)
        return cls(tuple(events), origin, _sources=tuple(messages))


class _Reader:
    """Reads messages one by one to the end of *events*, and puts results with the calls that wait for them.

    What is parsed of a result hangs on its `PastCall`, so one that is in *kept*, by id and step, is used again.
    """

    def __init__(self, events: list[Event], kept: Mapping[tuple[str, int], PastCall]) -> None:
        self._events = events
        self._kept = kept
        self._step = next((event.step + 1 for event in reversed(events) if isinstance(event, ModelTurn)), 0)

    def read(self, message: Any) -> None:
        role = _role(message)
        if role in _USER_ROLES:
            own = not _get(message, "name") and not _get(message, "additional_kwargs")
            self._events.append(UserTurn(text_of(_get(message, "content")), own))
        elif role in _MODEL_ROLES:
            calls = list(_calls(message))
            self._events.append(ModelTurn(text_of(_get(message, "content")), len(calls), self._step))
            self._events.extend(PastCall(call, call_id, None, "pending", self._step) for call_id, call in calls)
            self._step += 1
        elif role in _TOOL_ROLES:
            self._answer(message)

    def _answer(self, message: Any) -> None:
        call_id = str(_get(message, "tool_call_id"))
        result, status = text_of(_get(message, "content")), str(_get(message, "status") or "success")
        for at, call in self._latest(call_id):
            self._events[at] = PastCall(call.call, call.id, result, status, call.step)
            before = self._kept.get((call.id, call.step))
            if before is not None and (before.result, before.status) == (result, status):
                with suppress(UnkeyableArguments):
                    self._events[at] = before if before.call == call.call else self._events[at]

    def _latest(self, call_id: str) -> list[tuple[int, PastCall]]:
        """The calls of that id, with their places; an id used again means those of the latest step."""
        found: list[tuple[int, PastCall]] = []
        for at in range(len(self._events) - 1, -1, -1):
            event = self._events[at]
            if isinstance(event, PastCall) and event.id == call_id:
                found.append((at, event))
            elif found and isinstance(event, ModelTurn):
                break
        return found


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or the text parts of a list of blocks."""
    if isinstance(content, str):
        return content
    if isinstance(content, list | tuple):
        parts = (part if isinstance(part, str) else _get(part, "text") for part in content)
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


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
    if isinstance(text, str) and not text.strip():
        return {}  # some write no arguments as an empty text
    try:
        return orjson.loads(text) if isinstance(text, str | bytes) else None
    except orjson.JSONDecodeError:
        return None


def _role(message: Any) -> str:
    # Messages have a type, dicts a role; either may have the other too, meaning something else.
    for name in ("role", "type") if isinstance(message, dict) else ("type", "role"):
        value = _get(message, name)
        if isinstance(value, str) and value in _ROLES:
            return value
    return ""


def _get(source: Any, name: str) -> Any:
    return source.get(name) if isinstance(source, dict) else getattr(source, name, None)
