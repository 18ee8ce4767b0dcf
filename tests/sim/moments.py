"""What must hold of when something starts early, and for which message.

A speculation may start when a model call begins, or while its answer streams: at a piece of text, a tool's name, a
piece of arguments, or when the arguments are complete (`Launched.moment`). Checks that need to know the moment are
passed over for as long as records do not tell it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from langgraph_speculate.core import events
from tests.sim.models import turn_of
from tests.sim.programs import NEED_THEIR_CALL, Program, Visit
from tests.sim.side import Asked, Side
from tests.sim.verdicts import Mismatch
from tests.sim.world import Body

BEGIN, COMPLETE = "begin", "complete"
CONFIRMED_BY_BROKEN: frozenset[str] = frozenset()
"""Moments of starts for a message that broke whose results may be used all the same."""
_TOLD = "moment" in events.Launched.__dataclass_fields__


def broken_promises(program: Program, early: Side) -> Iterator[Mismatch]:
    """What a speculative side did at the wrong moment."""
    yield from _ahead_of_the_call(program, early)
    yield from _started_twice(program, early)
    if not _TOLD:
        return
    yield from _confirmed_by_a_broken_message(program, early)
    yield from _not_called_yet(program, early)
    yield from _completed_twice(program, early)


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


def _started_twice(program: Program, side: Side) -> Iterator[Mismatch]:
    """While a model answers, a call starts early once for each time that the answer makes it, or if one is dropped."""
    if program.queue_wait_s or len({visit.user for visit in program.visits}) < len(program.visits):
        return  # it is not clear then which answer a body belongs to
    for visit in program.visits:
        seen = side.visits[visit.tag]
        starts: Counter[tuple[int, str, str]] = Counter()
        for body in side.world.bodies:
            asked = seen.asked_at(body.at)
            if not body.early or body.user != visit.user or asked is None:
                continue
            starts[asked.place, body.tool, body.args] += 1
            count, allowed = starts[asked.place, body.tool, body.args], _may_start(visit, asked, body, side)
            if count > allowed:
                yield Mismatch("twice", visit.tag, f"{body.tool} {body.args} starts {count} times, {allowed} allowed")


def _may_start(visit: Visit, asked: Asked, body: Body, side: Side) -> int:
    turn = turn_of(visit.script, asked.number)
    calls = sum(ask.tool == body.tool for ask in turn.asks)
    times = 3 if turn.stream is not None and turn.stream.multiplies else 1
    dropped = [e for e in side.happened if isinstance(e, events.Discarded) and e.tool == body.tool]
    return max(1, calls * times) + sum(asked.started <= event.at <= body.at for event in dropped)


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
        if start is not None and start.turn in broken and start.moment not in CONFIRMED_BY_BROKEN:
            yield Mismatch("broken", event.tool, f"started at {start.moment} for a message that broke, and was used")


def _breaks(visit: Visit, asked: Asked) -> bool:
    stream = turn_of(visit.script, asked.number).stream
    return stream is not None and stream.breaks and stream.ending != "raises"  # tried again, such a stream is whole


def _not_called_yet(program: Program, side: Side) -> Iterator[Mismatch]:
    """What the stream is said to start, the stream has named; what needs its call has one."""
    asked = {id: one for seen in side.visits.values() for id, one in seen.asked.items()}
    for start in _launched(side).values():
        if start.tool in NEED_THEIR_CALL and start.moment != COMPLETE:
            yield Mismatch("moment", start.tool, f"needs its call, and starts at {start.moment}")
        turn = asked.get(start.turn)
        if turn is None or start.moment in (BEGIN, "text"):
            continue
        if not any(name == start.tool and at <= start.at for at, name in turn.named):
            yield Mismatch("moment", start.tool, f"starts at {start.moment}, but nothing has named it")


def _completed_twice(program: Program, side: Side) -> Iterator[Mismatch]:
    """A call of a message starts at most once because its arguments are complete."""
    scripts = {visit.tag: visit for visit in program.visits}
    for tag, seen in side.visits.items():
        for id, asked in seen.asked.items():
            turn = turn_of(scripts[tag].script, asked.number)
            if turn.stream is None or turn.stream.multiplies:
                continue
            starts = Counter(s.tool for s in _launched(side).values() if s.turn == id and s.moment == COMPLETE)
            for tool, count in starts.items():
                calls = sum(ask.tool == tool for ask in turn.asks)
                if count > calls:
                    yield Mismatch("twice", tag, f"{tool} starts {count} times as complete, the message has {calls}")


def _launched(side: Side) -> dict[str, Any]:
    return {event.id: event for event in side.happened if isinstance(event, events.Launched)}


def too_many_bodies(program: Program, plain: Side, early: Side) -> Iterator[Mismatch]:
    """A real call's body runs unless it adopts one: there are no more bodies than plain ones and dropped attempts."""
    mine = Counter(body.tool for body in plain.world.bodies)
    dropped = Counter(event.tool for event in early.happened if isinstance(event, events.Discarded))
    for tool, count in Counter(body.tool for body in early.world.bodies).items():
        if count > mine[tool] + dropped[tool]:
            detail = f"{count} bodies, {mine[tool]} plain ones and {dropped[tool]} dropped attempts"
            yield Mismatch("twice", tool, detail)
