"""What must hold of when something starts early, and for which message.

A speculation may start when a model call begins, or while its answer streams: at a piece of text, a tool's name, a
piece of arguments, or when the arguments are complete (`Launched.stage`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.core.speculation import HEDGE
from tests.sim.models import turn_of
from tests.sim.programs import NEED_THEIR_CALL, Program, Visit
from tests.sim.side import Asked, Side, text_of
from tests.sim.streams import REVISING
from tests.sim.verdicts import Mismatch
from tests.sim.world import Body

BEGIN, COMPLETE = "begin", "complete"
PREVIEW = "preview"
"""The source of calls that a preview of the model wrote: they are whole, though the preview may be wrong."""
_EPSILON = 1e-6


def broken_promises(program: Program, early: Side) -> Iterator[Mismatch]:
    """What a speculative side did at the wrong moment."""
    yield from _ahead_of_the_call(program, early)
    yield from _started_twice(program, early)
    yield from _confirmed_by_a_broken_message(program, early)
    yield from _not_called_yet(program, early)
    yield from _completed_twice(program, early)
    yield from _never_called(program, early)


def _ahead_of_the_call(program: Program, side: Side) -> Iterator[Mismatch]:
    """Whoever watches the messages sees no tool's answer, start or end before the model's chunk with its call."""
    if "messages" not in program.modes:
        return
    for tag, seen in side.visits.items():
        called: set[str] = set()
        for chunk in seen.chunks:
            for kind, id in _shown(chunk):
                if kind == "call":
                    called.add(id)
                elif id not in called:
                    yield Mismatch("order", tag, f"{kind} {id} comes before its call")


def _shown(value: Any) -> Iterator[tuple[str, str]]:
    """What a chunk shows of calls, in order: (`call`, or what it shows of the tool, and the id of the call)."""
    if isinstance(value, list):
        for item in value:
            yield from _shown(item)
    elif isinstance(value, dict):
        if value.get("tool_call_id"):
            yield str(value.get("event") or value.get("<message>")), value["tool_call_id"]
        for name in ("tool_call_chunks", "tool_calls", "invalid_tool_calls"):
            yield from (("call", call["id"]) for call in value.get(name) or () if call.get("id"))
        for item in value.values():
            yield from _shown(item)


@dataclass(frozen=True)
class _Start:
    """A body that started early, and while which model call it did."""

    visit: Visit
    turn: str
    asked: Asked
    body: Body


def _starts(program: Program, side: Side) -> Iterator[_Start]:
    """All early bodies of which it is clear for which model call they started."""
    calls = {turn: (visit, asked) for visit in program.visits for turn, asked in side.visits[visit.tag].asked.items()}
    launches = [event for event in side.happened if isinstance(event, events.Launched)]
    for body in side.world.bodies:
        instants = (body.at, body.at - program.queue_wait_s)  # in a task, and in a thread
        found = [
            launch
            for launch in launches
            if launch.tool == body.tool and any(abs(launch.at - instant) < _EPSILON for instant in instants)
        ]
        if any(launch.source == HEDGE for launch in found):
            continue
        turns = {(launch.turn, launch.depth) for launch in found}
        if body.early and len(turns) == 1:
            ((turn, depth),) = turns
            if turn not in calls or depth > 1:
                continue
            yield _Start(calls[turn][0], turn, calls[turn][1], body)


def _started_twice(program: Program, side: Side) -> Iterator[Mismatch]:
    """While a model answers, a call starts early once for each time that the answer makes it, or if one is dropped."""
    starts: Counter[tuple[str, str, str]] = Counter()
    for start in _starts(program, side):
        body = start.body
        starts[start.turn, body.tool, body.args] += 1
        count, allowed = starts[start.turn, body.tool, body.args], _may_start(start, side)
        if count > allowed:
            yield Mismatch("twice", body.user, f"{body.tool} {body.args} starts {count} times, {allowed} allowed")


def _may_start(start: _Start, side: Side) -> int:
    turn, tool = turn_of(start.visit.script, start.asked.number), start.body.tool
    calls = sum(ask.tool == tool for ask in turn.asks)
    times = 3 if turn.stream is not None and turn.stream.multiplies else 1
    dropped = [event.at for event in side.happened if isinstance(event, events.Discarded) and event.tool == tool]
    return max(1, calls * times) + sum(start.asked.started <= at <= start.body.at for at in dropped)


def _confirmed_by_a_broken_message(program: Program, side: Side) -> Iterator[Mismatch]:
    """A message that was cut short, that failed, or that took arguments back confirms nothing that started for it."""
    broken = {
        id
        for visit in program.visits
        for id, asked in side.visits[visit.tag].asked.items()
        if asked.failed or _breaks(visit, asked)
    }
    launched = _launched(side)
    for event in side.happened:
        start = launched.get(event.id or "") if isinstance(event, events.CallSettled) else None
        # What was launched further ahead may rest on what a message that took arguments back became in the end.
        if start is not None and start.turn in broken and start.depth == 1:
            yield Mismatch("broken", event.tool, f"started at {start.stage} for a message that broke, and was used")


def _breaks(visit: Visit, asked: Asked) -> bool:
    turn = turn_of(visit.script, asked.number)
    if turn.stream is None or turn.stream.ending == "raises":  # tried again, such a stream is whole
        return False
    return turn.stream.ending != "whole" or (bool(turn.asks) and turn.stream.shape in REVISING)


def _not_called_yet(program: Program, side: Side) -> Iterator[Mismatch]:
    """What the stream is said to start, the stream has named; what needs its call has one."""
    asked = {id: one for seen in side.visits.values() for id, one in seen.asked.items()}
    for start in _launched(side).values():
        if start.tool in NEED_THEIR_CALL and start.stage != COMPLETE and start.source != PREVIEW:
            yield Mismatch("moment", start.tool, f"needs its call, and starts at {start.stage}")
        turn = asked.get(start.turn)
        if turn is None or start.stage in (BEGIN, "text"):
            continue
        if not any(name == start.tool and at <= start.at for at, name in turn.named):
            yield Mismatch("moment", start.tool, f"starts at {start.stage}, but nothing has named it")


def _completed_twice(program: Program, side: Side) -> Iterator[Mismatch]:
    """A call of a message starts at most once because its arguments are complete."""
    scripts = {visit.tag: visit for visit in program.visits}
    for tag, seen in side.visits.items():
        for id, asked in seen.asked.items():
            turn = turn_of(scripts[tag].script, asked.number)
            if turn.stream is None or turn.stream.multiplies:
                continue
            starts = Counter(s.tool for s in _launched(side).values() if s.turn == id and s.stage == COMPLETE)
            for tool, count in starts.items():
                calls = sum(ask.tool == tool for ask in turn.asks)
                if count > calls:
                    yield Mismatch("twice", tag, f"{tool} starts {count} times as complete, the message has {calls}")


def _never_called(program: Program, side: Side) -> Iterator[Mismatch]:
    """What starts as complete is what the message has in the end: not how its arguments begin, nor another call's."""
    moments: dict[tuple[str, str], set[str]] = {}
    for launch in _launched(side).values():
        moments.setdefault((launch.turn, launch.tool), set()).add(launch.stage)
    for start in _starts(program, side):
        body, calls = start.body, start.asked.calls
        stream = turn_of(start.visit.script, start.asked.number).stream
        if calls is None or stream is None or stream.breaks or moments.get((start.turn, body.tool)) != {COMPLETE}:
            continue
        if not stream.breaks and not stream.garbled and not any(_is_of(body, call) for call in calls):
            yield Mismatch("moment", body.user, f"{body.tool} {body.args} starts as complete, and was never called")


def _is_of(body: Body, call: Mapping[str, Any]) -> bool:
    """Whether a body received what a call says; what the call leaves out is the tool's own."""
    received = json.loads(body.args)
    texts = [text_of({name: args[name] for name in call if name in args}) for args in (received, call)]
    return texts[0] == texts[1] and received.get("how") == call.get("how", received.get("how"))


def _launched(side: Side) -> dict[str, Any]:
    """What was launched for a model call, by id; not second bodies, which a real call asks for."""
    launched = (event for event in side.happened if isinstance(event, events.Launched))
    return {event.id: event for event in launched if event.source != HEDGE}


def too_many_bodies(program: Program, plain: Side, early: Side) -> Iterator[Mismatch]:
    """A real call's body runs unless it adopts one: there are no more bodies than plain ones and dropped attempts."""
    mine = Counter(body.tool for body in plain.world.bodies)
    dropped = Counter(event.tool for event in early.happened if isinstance(event, events.Discarded))
    for tool, count in Counter(body.tool for body in early.world.bodies).items():
        if count > mine[tool] + dropped[tool]:
            detail = f"{count} bodies, {mine[tool]} plain ones and {dropped[tool]} dropped attempts"
            yield Mismatch("twice", tool, detail)
