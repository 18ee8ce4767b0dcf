"""A recorded run as steps to play again: what was known before each message, what it asked for, how long it took."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.history import History, Origin, text_of
from langgraph_speculate.core.stakes import TOKEN_CHARS, Tokens
from langgraph_speculate.traces.runs import Run

_FIRST_LOOK = 40  # characters of text after which the engine looks at it first; then whenever it has doubled


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """One call of a recorded message.

    Attributes:
        id: Its id.
        call: Name and arguments.
        result: What the tool answered; "" where the recording does not say.
        seconds: How long it took, or None where the recording does not say.
        told: Whether the recording says what it answered, be it nothing.
    """

    id: str
    call: Call
    result: str
    seconds: float | None
    told: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """One message of the model.

    Attributes:
        history: What was known before it.
        text: What it says.
        calls: What it asks for.
        seconds: How long it took, or None where the recording does not say.
        timed: Whether it took any time: not a greeting before anybody spoke.
        follows: Whether the model was told nothing since its message before but what tools answered.
        given: Characters that it was given, about.
        tokens: What its provider counted, or None where the recording does not say.
    """

    history: History
    text: str
    calls: Sequence[RecordedCall]
    seconds: float | None
    timed: bool
    follows: bool = False
    given: int = 0
    tokens: Tokens | None = None

    @property
    def length(self) -> int:
        """Characters that it wrote, about."""
        return len(self.text) + sum(len(str(made.call.args)) for made in self.calls)

    @property
    def writes(self) -> int:
        """Tokens that it wrote, as they were counted, or about."""
        return self.length // TOKEN_CHARS if self.tokens is None else self.tokens.output

    def pieces(self) -> Iterator[tuple[float, Mapping[str, Any]]]:
        """What the model streams: (share of the step's time at which it is there, event), as far as it matters.

        Text first, then each call's name and arguments, at the same pace throughout. Pieces end where an engine looks:
        after 40 characters of text and whenever it has doubled, after each name and each argument.
        """
        parts = list(self._parts())
        total = sum(tokens for tokens, _ in parts) or 1
        done = 0
        for tokens, event in parts:
            done += tokens
            yield done / total, event

    def _parts(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        start, look = 0, _FIRST_LOOK
        while start < len(self.text):
            piece = self.text[start:look]
            yield _tokens(piece), _delta(0, {"type": "text-delta", "text": piece})
            start, look = look, look * 2
        for index, made in enumerate(self.calls, 1):
            begun = {"type": "tool_call_chunk", "id": made.id, "name": made.call.name, "args": ""}
            yield 1, {"event": "content-block-start", "index": index, "content": begun}
            for piece in _arguments(made.call.args):
                yield _tokens(piece), _delta(index, {"type": "tool-call-delta", "args": piece})


@dataclass(frozen=True)
class Script:
    """A run to play.

    Attributes:
        id: The recorded run's id.
        steps: Its messages, in order.
    """

    id: str
    steps: Sequence[Step]
    _seconds: Mapping[str, float] = field(default_factory=dict)
    _results: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run) -> Script:
        """The script of a recorded run."""
        steps = list(_steps(run))
        made = [(key, one) for step in steps for one in step.calls if (key := key_of(one.call)) is not None]
        seconds = {key: one.seconds for key, one in reversed(made) if one.seconds is not None}
        return cls(run.id, steps, seconds, {key: one.result for key, one in reversed(made)})

    def seconds_of(self, call: Call) -> float | None:
        """How long a call took that the run made somewhere, or None."""
        return self._seconds.get(call.key)

    def result_of(self, call: Call) -> str:
        """What a call answered that the run made somewhere; "" for others."""
        return self._results.get(call.key, "")


def _steps(run: Run) -> Iterator[Step]:
    origin = Origin(thread=run.id, run=run.id)
    history, spoken, follows, given = History(origin=origin), False, False, 0
    # Where no tool ever says anything, results were not recorded; where others do, one that says nothing said that.
    told = any(event.get("role") == "tool" and text_of(event.get("content")) for event in run.events)
    for index, event in enumerate(run.events):
        role, text = event.get("role"), text_of(event.get("content"))
        spoken, follows = spoken or role == "user", follows and role in ("tool", "assistant")
        if role == "assistant":
            history = History.from_messages(run.events[:index], history, origin)
            calls, tokens = _calls(run, index, told), Tokens.counted(event.get("usage_metadata"))
            step = Step(history, text, calls, event.get("duration_s"), spoken, follows, given, tokens)
            yield step
            follows, given = True, given + step.length
        else:
            given += len(text)


def _calls(run: Run, index: int, told: bool) -> list[RecordedCall]:
    """The calls of the message at *index*, with their answers: some models use an id again in a later one.

    Args:
        run: The run.
        index: Of the message among its events.
        told: Whether results were recorded.
    """
    answers: dict[str, Mapping[str, Any]] = {}
    for event in run.events[index + 1 :]:
        if event.get("role") == "assistant":
            break
        if event.get("role") == "tool":
            answers.setdefault(str(event.get("tool_call_id")), event)
    made = []
    for call in run.events[index].get("tool_calls") or ():
        answer = answers.get(str(call["id"]), {})
        text, seconds = text_of(answer.get("content")), answer.get("duration_s")
        known = told and answer.get("content") is not None
        made.append(RecordedCall(str(call["id"]), Call(call["name"], call["args"]), text, seconds, known))
    return made


def _arguments(args: Mapping[str, Any]) -> Iterator[str]:
    """The arguments as the model writes them, cut after each value."""
    opened = "{"
    for name, value in args.items():
        yield f"{opened}{json.dumps(name)}: {json.dumps(value)}"
        opened = ", "
    yield "}" if args else "{}"


def _tokens(piece: str) -> int:
    return -(-len(piece) // TOKEN_CHARS)


def _delta(index: int, delta: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"event": "content-block-delta", "index": index, "delta": delta}
