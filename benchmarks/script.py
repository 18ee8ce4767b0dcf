"""A recorded run as something to play again: what the user says when, what the model answers, what tools answered.

The server that plays the model is told by the messages alone where it is: the name of the user's messages says which
run, the number of the model's messages how far. Retries and runs side by side are therefore safe.
"""

from __future__ import annotations

import hashlib
import math
import random
import statistics
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from benchmarks.traces import Run, is_read_only
from langgraph_speculate.core import Call
from langgraph_speculate.demo.loopback import ApiError, Message, Pace, Reply
from langgraph_speculate.replay.times import SIGMA
from langgraph_speculate.traces.effects import READING, WRITING, told_apart

_MAX_PIECES = 32  # of a text or of a call's arguments: more cost the client time that is nobody's


@dataclass(frozen=True)
class RecordedCall:
    """One call of a recorded message, with what the tool answered.

    Attributes:
        id: The recorded call id.
        call: Name and arguments.
        result: The recorded answer; empty where there is none.
    """

    id: str
    call: Call
    result: str


@dataclass(frozen=True)
class Step:
    """One message of the model.

    Attributes:
        text: What it says.
        calls: What it asks for.
        recorded_s: Seconds the recorded model took, or None.
        seconds: Seconds it takes here, to its last piece.
        tail_s: Seconds from there to its end.
        timed: Whether it takes any: not a greeting, nor a reply that the recording does not have.
    """

    text: str
    calls: tuple[RecordedCall, ...] = ()
    recorded_s: float | None = None
    seconds: float = 0.0
    timed: bool = True
    tail_s: float = 0.0


_SILENCE = Step("", timed=False)  # stands for the reply to a tool where the recording ends before it


@dataclass(frozen=True)
class Script:
    """One run to play.

    Attributes:
        id: The recorded run's id.
        steps: The model's messages, in order.
        turns: What is put in before each invocation of the agent; nothing where the model spoke twice in a row.
    """

    id: str
    steps: tuple[Step, ...]
    turns: tuple[tuple[Mapping[str, Any], ...], ...]

    def inputs(self, turn: int, name: str) -> list[AnyMessage]:
        """The messages to put in before invocation *turn*; the user's bear *name*."""
        return [
            HumanMessage(_text(event), name=name) if event["role"] == "user" else AIMessage(_text(event))
            for event in self.turns[turn]
        ]

    @property
    def model_s(self) -> float:
        """Seconds of the model in all."""
        return sum(step.seconds for step in self.steps)

    @property
    def tool_steps(self) -> int:
        """How many messages ask for tools."""
        return sum(bool(step.calls) for step in self.steps)


@dataclass(frozen=True)
class ModelPace:
    """How long the model's steps take: `0.4` seconds each, `lognormal:0.4` (its median), or as `recorded`.

    >>> ModelPace.parse("lognormal:0.4")
    ModelPace(kind='lognormal', median_s=0.4)
    """

    kind: str
    median_s: float

    @classmethod
    def parse(cls, text: str) -> ModelPace:
        """Read what the command line says; a ValueError says what it should."""
        kind, _, number = ("fixed", "", text) if text[:1].isdigit() or text[:1] == "." else text.partition(":")
        if kind == "recorded" and not number:
            return cls(kind, 0.0)
        try:
            seconds = float(number)
        except ValueError:
            seconds = math.nan
        if kind not in ("fixed", "lognormal") or not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError(f"seconds, lognormal:SECONDS or recorded, not {text!r}")
        return cls(kind, seconds)

    def paced(self, script: Script, seed: int) -> Script:
        """*script* with the seconds of its steps set; the same ones whoever asks."""
        draw = random.Random(f"{seed}/{script.id}")
        steps = (replace(step, seconds=self._seconds(step, draw) if step.timed else 0.0) for step in script.steps)
        return replace(script, steps=tuple(steps))

    def _seconds(self, step: Step, draw: random.Random) -> float:
        if self.kind == "recorded":
            return step.recorded_s or 0.0
        return self.median_s * (math.exp(draw.gauss(0.0, SIGMA)) if self.kind == "lognormal" else 1.0)


def middle_step_s(scripts: Sequence[Script]) -> float:
    """Median seconds of the steps that take any."""
    return statistics.median([step.seconds for script in scripts for step in script.steps if step.seconds] or [0.0])


def script_of(run: Run) -> Script | None:
    """The script of a recorded run, or None when it cannot be played: it opens with a call before anybody spoke."""
    results = _results(run)
    steps: list[Step] = []
    turns: list[list[Mapping[str, Any]]] = [[]]
    user_spoke = answered = False
    for index, event in enumerate(run.events):
        pending = bool(steps and steps[-1].calls)  # the latest message waits for its tools
        if event["role"] == "user":
            if pending:
                steps.append(_SILENCE)
            if answered:
                turns.append([])
            turns[-1].append(event)
            user_spoke, answered = True, False
        elif event["role"] == "assistant":
            calls = tuple(
                RecordedCall(str(call["id"]), Call(call["name"], call["args"]), results.get((index, at), ""))
                for at, call in enumerate(event.get("tool_calls") or ())
            )
            if user_spoke:
                if answered and not pending:  # it spoke twice in a row
                    turns.append([])
                answered = True
            elif calls:
                return None
            else:
                turns[0].append(event)  # a greeting
            steps.append(Step(_text(event), calls, event.get("duration_s"), timed=user_spoke))
    if steps and steps[-1].calls:
        steps.append(_SILENCE)
    if not answered:
        turns.pop()  # the user had the last word
    return Script(run.id, tuple(steps), tuple(map(tuple, turns))) if turns else None


def split_by_effect(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Runs in which each tool either reads or writes, and the names of the tools that had to be split for that.

    A tool whose commands decide (a shell, SQL) becomes two, told apart by what the recorded command does.
    """
    kinds: dict[str, set[bool]] = defaultdict(set)
    for run in runs:
        for call in _calls(run):
            kinds[call.name].add(is_read_only(call))
    both = sorted(name for name, kind in kinds.items() if len(kind) > 1)
    if not both:
        return list(runs), []
    return [told_apart(run, both) for run in runs], both


def reading_tools(runs: Sequence[Run]) -> dict[str, bool]:
    """For each tool of the runs whether it only reads. Tools split by `split_by_effect` say it in their names."""
    names = {call.name: call for run in runs for call in _calls(run)}
    return {
        name: name.endswith(f"_{READING}") or (not name.endswith(f"_{WRITING}") and is_read_only(call))
        for name, call in sorted(names.items())
    }


@dataclass
class Player:
    """Plays the model of every script, and keeps what it was asked.

    Attributes:
        requests: For each name of a performance a digest of every request: messages and tools.
    """

    scripts: Mapping[str, Script]
    requests: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, messages: list[Message], tools: list[dict[str, Any]]) -> Reply:
        """The recorded message that comes next."""
        name = next((message["name"] for message in messages if message.get("name")), "")
        script = self.scripts.get(name[1:])
        place = sum(message["role"] == "assistant" for message in messages)
        if script is None or place >= len(script.steps):
            raise ApiError(400, f"nothing recorded for {name!r}, message {place}")
        bare = [{key: value for key, value in message.items() if key != "name"} for message in messages]
        digest = hashlib.sha256(orjson.dumps([bare, tools], option=orjson.OPT_SORT_KEYS)).hexdigest()
        with self._lock:
            self.requests[name].append(digest)
        step = script.steps[place]
        calls = [(call.id, call.call.name, call.call.args) for call in step.calls]
        return Reply(step.text, calls, pace=Pace.fixed(step.seconds, tail_s=step.tail_s), max_pieces=_MAX_PIECES)


def _results(run: Run) -> dict[tuple[int, int], str]:
    """Recorded answers by (index of the message, index of the call); some models use an id twice."""
    results: dict[tuple[int, int], str] = {}
    waiting: dict[str, list[tuple[int, int]]] = {}
    for index, event in enumerate(run.events):
        if event["role"] == "assistant":
            own: dict[str, list[tuple[int, int]]] = defaultdict(list)
            for at, call in enumerate(event.get("tool_calls") or ()):
                own[str(call["id"])].append((index, at))
            waiting.update(own)
        elif event["role"] == "tool" and (places := waiting.get(str(event.get("tool_call_id")))):
            results[places.pop(0)] = _text(event)
    return results


def _calls(run: Run) -> Iterator[Call]:
    for event in run.events:
        yield from (Call(call["name"], call["args"]) for call in event.get("tool_calls") or ())


def _text(event: Mapping[str, Any]) -> str:
    content = event.get("content")
    return content if isinstance(content, str) else ""
