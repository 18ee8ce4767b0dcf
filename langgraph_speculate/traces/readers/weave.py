"""Spans of one conversation, woven into runs: what tracers record, and neutral lines.

A tracer records each model call with all messages it was given, and each tool call; a conversation is what the model
calls have in common. Sub-agents talk apart from it: a model call that continues no conversation begins one of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph_speculate.traces.readers.messages import Event, answer_of, text


@dataclass(frozen=True, slots=True)
class Span:
    """A model call or a tool call, as a tracer saw it.

    Attributes:
        began, ended: Seconds on a clock; None where unknown.
        given: Of a model call: the messages it was given, as neutral events.
        said: Of a model call: the message it made; None: it failed.
        tool: Of a tool call: the name; "" for a model call.
        call: The id of the tool call, or "" where the tracer did not keep it.
        args: Its arguments.
        result: What it answered, as a text; None: unknown.
        failed: Whether it ended with an error.
    """

    began: float | None
    ended: float | None
    given: Sequence[Event] = ()
    said: Event | None = None
    tool: str = ""
    call: str = ""
    args: dict[str, Any] = field(default_factory=dict)
    result: str | None = None
    failed: bool = False

    @classmethod
    def of_tool(
        cls,
        began: float | None,
        ended: float | None,
        *,
        tool: str,
        call: str = "",
        args: Mapping[str, Any],
        result: Any,
        failed: bool,
    ) -> Span:
        """A tool call, whose result may be the message that its agent made of it.

        Raises:
            Malformed: The result answers several calls.
        """
        answer = answer_of(result)
        if answer is not None:
            call, result = call or answer["tool_call_id"], answer["content"]
            failed = failed or answer.get("status") == "error"
        return cls(began, ended, tool=tool, call=call, args=dict(args), result=text(result), failed=failed)

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        if self.began is None or self.ended is None or self.ended < self.began:
            return None
        return round(self.ended - self.began, 6)


def conversations(spans: Iterable[Span]) -> Iterator[list[Event]]:
    """Yield the conversations that *spans* of one trace, or of one thread, are of.

    >>> asked = {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "name": "get", "args": {}}]}
    >>> model = Span(1.0, 1.5, [{"role": "user", "content": "?"}], asked)
    >>> (events,) = conversations([model, Span(1.5, 1.8, tool="get", call="c", result="sent")])
    >>> [(event["role"], event.get("duration_s")) for event in events]
    [('user', None), ('assistant', 0.5), ('tool', 0.3)]
    """
    begun: list[_Conversation] = []
    tools = _Tools()
    for span in sorted(spans, key=lambda span: span.began or 0.0):
        if span.tool:
            tools.add(span)
            continue
        found = next((conversation for conversation in begun if conversation.takes(span)), None)
        if found is None:
            found = _Conversation()
            begun.append(found)
        found.add(span)
    for conversation in begun:
        yield conversation.finished(tools)


class _Tools:
    """Tool calls that wait to be put beside the message that asked for them."""

    def __init__(self) -> None:
        self._by_id: dict[str, list[Span]] = defaultdict(list)
        self._by_call: dict[str, list[Span]] = defaultdict(list)

    def add(self, span: Span) -> None:
        (self._by_id[span.call] if span.call else self._by_call[_named(span.tool, span.args)]).append(span)

    def of(self, call: dict[str, Any]) -> Span | None:
        """The span of a call of a message, each once: some models use an id again."""
        for waiting in (self._by_id.get(call["id"]), self._by_call.get(_named(call["name"], call["args"]))):
            if waiting:
                return waiting.pop(0)
        return None


class _Conversation:
    """What was said so far, model call by model call."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._marks: list[str] = []
        self._known: set[str] = set()

    def takes(self, span: Span) -> bool:
        """Whether a model call goes on with it."""
        return any(_mark(event) in self._known for event in span.given)

    def add(self, span: Span) -> None:
        """What this model call was given that nobody has said yet, and what it said."""
        given = [event for event in span.given if event["role"] != "system"]
        marks = [_mark(event) for event in given]
        new = len(self._marks)
        if marks[:new] != self._marks:  # somebody shortened it: it goes on after what both know
            new = next((at + 1 for at in range(len(marks) - 1, -1, -1) if marks[at] in self._known), 0)
        for event in given[new:]:
            self._say(dict(event))
        if span.said is not None:
            began = {} if span.began is None else {"t": span.began}
            self._say(span.said | began | ({} if span.seconds is None else {"duration_s": span.seconds}))

    def _say(self, event: Event) -> None:
        self._marks.append(_mark(event))
        self._known.add(self._marks[-1])
        self._events.append(event)

    def finished(self, tools: _Tools) -> list[Event]:
        """All of it, with the times of tool calls, and the answers that no later model call was given."""
        told: list[Event] = []
        for at, event in enumerate(self._events):
            told.append(event)
            answers = self._answers(at) if event.get("tool_calls") else {}
            for call in event.get("tool_calls") or ():
                span, answer = tools.of(call), answers.get(call["id"])
                if span is not None and answer is None:
                    answer = {"role": "tool", "tool_call_id": call["id"], "content": span.result or ""}
                    told.append(answer)
                if span is not None and answer is not None:
                    _time(answer, span)
        return told

    def _answers(self, at: int) -> dict[str, Event]:
        """The answers to the message at this place, by the id of the call."""
        found: dict[str, Event] = {}
        for event in self._events[at + 1 :]:
            if event["role"] == "assistant":
                break
            if event["role"] == "tool":
                found[event["tool_call_id"]] = event
        return found


def _time(answer: Event, span: Span) -> None:
    answer.setdefault("name", span.tool)
    if span.began is not None:
        answer["t"] = span.began
    if span.seconds is not None:
        answer["duration_s"] = span.seconds
    if span.failed:
        answer["status"] = "error"


def _mark(event: Event) -> str:
    """What tells a message from others of its conversation, however often a tracer writes it down."""
    role = event["role"]
    if role == "tool":
        return f"tool {event['tool_call_id']}"
    if role == "assistant":
        ids = " ".join(call["id"] for call in event.get("tool_calls") or ())
        return f"calls {ids}" if ids else f"said {event['content']}"
    return f"{role} {event['content']}"


def _named(tool: str, args: dict[str, Any]) -> str:
    return f"{tool} {sorted(args.items(), key=lambda item: item[0])!r}"
