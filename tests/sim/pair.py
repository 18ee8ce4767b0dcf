"""One pair: a program run plain and speculating, and whether the second kept every promise.

L1 state, L2 effects, L3 streams, L4 errors, L5 never worse; besides them, that nothing leaks, that nothing forbidden
ran early, that budgets hold, and that every value a call returned was current while that call was made.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.policy import Limits
from tests.sim import asking, moments
from tests.sim.loop import Deadlock, Mode
from tests.sim.programs import Program
from tests.sim.side import Seen, Side, run_side, without_ending
from tests.sim.tools import TTL_S
from tests.sim.verdicts import Mismatch, Verdict
from tests.sim.world import HANG_S

STEP_S = 0.005
"""Virtual seconds that a step may take longer than plain."""
MOST_SCHEDULES = 1_024
"""Plain runs of a racy program before an outcome counts as one that plain cannot have."""
_EPSILON = 1e-6


def judge(program: Program, mode: Mode = "fifo") -> Verdict:
    """Run both sides of a program and compare them.

    Permuted, the plain graph has as many outcomes as orders, and streams of any order: every program is racy then.
    """
    program = replace(program, racy=program.racy or mode == "permuted")
    verdict = Verdict(program)
    try:
        plain = run_side(program, False, mode)
        told = [seen.messages for seen in plain.visits.values()]
        early = run_side(program, True, mode, told=told)
    except Deadlock as error:
        verdict.mismatches.append(Mismatch("deadlock", "", str(error)))
        return verdict
    verdict.counts = _counts(early)
    verdict.mismatches += _always(program, plain, early)
    if program.ending.kind in ("cancel", "timeout"):
        verdict.mismatches += _interrupted(program, run_side(without_ending(program), False, mode), early)
        return verdict
    verdict.mismatches += asking.broken_promises(program, early)
    if not program.racy:
        verdict.mismatches += asking.too_often(plain, early)
        verdict.mismatches += moments.too_many_bodies(program, plain, early)
    found = list(_differences(program, plain, early))
    if found and (program.racy or _is_order_of_siblings(program, found)):
        found, verdict.schedules = _refined(program, early, found, mode)
        verdict.racy = not found
    elif not found and mode == "fifo":
        verdict.mismatches += _slower(program, plain, early)
        verdict.saved_s = sum(plain.visits[tag].ended - early.visits[tag].ended for tag in plain.visits)
    verdict.mismatches += found
    return verdict


def _is_order_of_siblings(program: Program, found: list[Mismatch]) -> bool:
    """Whether the sides differ only in what was shown when of parallel calls of which one asks a person.

    The host stops the others where they are, so what they still show is a race of the plain graph; the outcome must be
    one of a plain run all the same.
    """
    asks = program.checkpointed and (program.forbidden or program.shape.endswith("asking_tools"))
    return bool(asks) and program.parallel and all(mismatch.clause == "L3" for mismatch in found)


def _counts(side: Side) -> Counter[str]:
    counts: Counter[str] = Counter()
    by_previews = {e.id for e in side.happened if isinstance(e, events.Launched) and e.source == moments.PREVIEW}
    for event in side.happened:
        if isinstance(event, events.Launched):
            counts["launched"] += 1
            counts["launched by previews"] += event.source == moments.PREVIEW
        elif isinstance(event, events.PreviewBegan):
            counts["previews"] += 1
        elif isinstance(event, events.PreviewUsed):
            counts["previews joined" if event.joined else "previews ready"] += 1
        elif isinstance(event, events.PreviewWasted | events.PreviewRefused):
            counts[f"{type(event).__name__}: {event.reason}"] += 1
        elif isinstance(event, events.CallSettled) and event.id is not None:
            counts["joined" if event.joined else "ready"] += 1
            counts["adopted from previews"] += event.id in by_previews
        elif isinstance(event, events.Discarded | events.Denied | events.Refused):
            counts[f"{type(event).__name__.lower()}: {event.reason}"] += 1
    return counts


# -- the five clauses ------------------------------------------------------------------------------------------------


def _differences(program: Program, plain: Side, early: Side) -> Iterator[Mismatch]:
    """L1 to L4, the most telling first."""
    for tag, mine in plain.visits.items():
        theirs = early.visits[tag]
        yield from _unequal("L4", tag, mine.error, theirs.error)
        yield from _unequal("L1", tag, mine.state, theirs.state)
    yield from _unequal("L2", "effects", plain.logs(), early.logs())
    yield from _unequal("L2", "world", plain.world.store, early.world.store)
    if program.racy:
        return
    for tag, mine in plain.visits.items():
        theirs = early.visits[tag]
        yield from _unequal("L3", f"{tag} chunks", _phases(program, mine), _phases(program, theirs))
        yield from _unequal("L3", f"{tag} callbacks", _told(program, mine), _told(program, theirs))
        yield from _unequal("L3", f"{tag} checkpoints", mine.history, theirs.history)


def _refined(program: Program, early: Side, found: list[Mismatch], mode: Mode) -> tuple[list[Mismatch], int]:
    """The differences again, or none if a plain run on another schedule has the same outcome."""
    durations = early.durations(program.queue_wait_s)
    for schedule in range(MOST_SCHEDULES):
        # First the schedule that speculation made: the same calls, as short as they were. Then nearly that one,
        # so that what fell on one instant comes in another order, and every other time one of its own.
        known = durations if schedule % 2 == 0 else {}
        plain = run_side(program, False, mode, schedule=schedule, durations=known)
        if next(_differences(program, plain, early), None) is None:
            return [], schedule + 1
    return found, MOST_SCHEDULES


def _slower(program: Program, plain: Side, early: Side) -> Iterator[Mismatch]:
    """L5: the sum of what waiting for attempts in vain cost, and 5 ms a step."""
    waits = [e for e in early.happened if isinstance(e, events.CallSettled)]
    in_vain = sum(max(0.0, e.waited_s - e.tool_s) for e in waits if e.id is None)
    in_vain += asking.in_vain_s(early)
    timeout_s = Limits(**program.limits).attempt_timeout_s
    if program.faults:  # an attempt that is slower than the call would be is waited for, up to its deadline
        in_vain += sum(min(e.waited_s, timeout_s) for e in waits if e.joined and e.id is not None)
    for event in waits:
        if event.waited_s - event.tool_s > timeout_s + STEP_S and event.waited_s < HANG_S:
            yield Mismatch("L5", event.tool, f"a real call waited {event.waited_s:g} s, the deadline is {timeout_s:g}")
    for tag, seen in early.visits.items():
        steps = 2 * sum(kind == "model starts" for kind, _ in seen.events)
        allowed = plain.visits[tag].ended + STEP_S * steps + in_vain + _EPSILON
        if seen.ended > allowed:
            yield Mismatch("L5", tag, f"plain {plain.visits[tag].ended:g} s, speculating {seen.ended:g} > {allowed:g}")


def _phases(program: Program, seen: Seen) -> list[Any]:
    """Chunks; between two of the model's own those of parallel calls come in the order of time, so they are sorted."""
    return seen.chunks if not program.parallel else _sorted_between(seen.chunks, _is_barrier)


def _told(program: Program, seen: Seen) -> list[Any]:
    if not program.parallel:
        return seen.events
    return _sorted_between(seen.events, lambda event: event[0].startswith("model"))


def _sorted_between(items: list[Any], is_barrier: Any) -> list[Any]:
    done: list[Any] = []
    group: list[Any] = []
    for item in items:
        if is_barrier(item):
            done += [*sorted(group, key=repr), item]
            group = []
        else:
            group.append(item)
    return done + sorted(group, key=repr)


def _is_barrier(chunk: Any) -> bool:
    """Whether a chunk is the model's, or shows the state after a whole step."""
    text = json.dumps(chunk, default=str)
    return '"AIMessage' in text and '"ToolMessage"' not in text[:60]


def _unfinished(side: Side) -> list[str]:
    """Tasks that a run left, but for real calls: when one of several fails or asks, the host waits for no other."""
    return [name for name in side.ran.unfinished if name not in ("ToolNode._arun_one", "StructuredTool._arun")]


# -- promises that hold whatever the plain side does -----------------------------------------------------------------


def _always(program: Program, plain: Side, early: Side) -> Iterator[Mismatch]:
    for side in (plain, early):
        if side.ran.error is not None:
            yield Mismatch("harness", "", repr(side.ran.error))
    left, ours = _unfinished(plain), _unfinished(early)
    if len(ours) > len(left):
        yield Mismatch("leak", "tasks", f"{ours} beside {left}")
    if early.ran.loop.complaints != plain.ran.loop.complaints:
        yield Mismatch("leak", "complaints", f"{early.ran.loop.complaints} beside {plain.ran.loop.complaints}")
    if (
        len(early.ran.hung) > len(plain.ran.hung)
        and not {"hang", "first"} & {*program.faults.values()}
        and not _can_hang(program)
    ):
        yield Mismatch("leak", "threads", f"{early.ran.hung} beside {plain.ran.hung}")
    allowed = program.may_run_early
    for body in early.world.bodies:
        if body.early and body.tool not in allowed:
            yield Mismatch("gate", body.tool, f"its body ran early at {body.at:g} with {body.args}")
    for violation in audit(early.happened):
        yield Mismatch("audit", violation.rule, str(violation))
    yield from _unauthorised(program, early)
    yield from _foreign(program, early)
    yield from _outdated(early)
    yield from _too_old(program, early)
    yield from _handed_out_twice(early)
    yield from moments.broken_promises(program, early)


def _can_hang(program: Program) -> bool:
    return "stall" in program.tools


def _unauthorised(program: Program, side: Side) -> Iterator[Mismatch]:
    """Nothing runs early for those that a guard lets do nothing, and no more than a limit on a tool's bodies allows."""
    for body in side.world.bodies if program.guards else ():
        launched = body.at - program.queue_wait_s  # a guard is asked at the launch, not in the thread
        if body.early and (body.user in program.denied or launched >= program.revoked.get(body.user, HANG_S)):
            yield Mismatch("guard", body.user, f"{body.tool} ran early at {body.at:g}")
    for seen in side.visits.values():
        for call in seen.calls:
            revoked = program.revoked.get(call.user, HANG_S)
            if call.tool == "secret" and call.started >= revoked and "forbidden" not in str(call.output):
                yield Mismatch("guard", call.user, f"at {call.started:g}, after {revoked:g}, {call.output!r}")
    stated = {rest[0]: rest[1] for name, *rest in program.form.middleware if name == "tool_limit"}
    limits = {**stated, **program.early_limits}  # what the owner says of a tool's bodies goes before the other limit
    for tool, limit in limits.items():
        early = sum(body.early and tool in (None, body.tool) for body in side.world.bodies)
        if early > limit and len(program.visits) == 1 and not program.checkpointed:
            yield Mismatch("limit", str(tool), f"{early} bodies ran early, {limit} allowed")


def _foreign(program: Program, side: Side) -> Iterator[Mismatch]:
    """Results carry their user's name: no visit may show another's."""
    for visit in program.visits:
        text = repr([side.visits[visit.tag].state, side.visits[visit.tag].chunks])
        for other in {v.user for v in program.visits} - {visit.user}:
            if f"{other}/" in text or f"{other} " in text:
                yield Mismatch("foreign", visit.tag, f"something of {other} reached {visit.user}")


def _outdated(side: Side) -> Iterator[Mismatch]:
    """A value that a read returned was current at some instant of the call."""
    for tag, seen in side.visits.items():
        for call in seen.calls:
            if call.tool not in ("get_item", "get_note", "get_any", "list_items", "flaky") or call.ended is None:
                continue
            for value in str(call.output).split("; "):
                key, found, _ = value.partition("=")
                if found and "/" in key and not side.world.was_current(key, value, call.started, call.ended):
                    yield Mismatch("stale", tag, f"{call.tool} at {call.started:g}-{call.ended:g} returned {value!r}")


def _too_old(program: Program, side: Side) -> Iterator[Mismatch]:
    """A volatile value was read no earlier than its ttl, or its model turn, allows."""
    for tag, seen in side.visits.items():
        for call in seen.calls:
            if call.tool not in ("ticks", "ticks_on") or call.ended is None:
                continue
            read = float(str(call.output).partition("~")[2])
            earliest = _may_be_from(program, seen, call.turn) if call.tool == "ticks" else call.started - TTL_S
            if not earliest - _EPSILON <= read <= call.ended + _EPSILON:
                yield Mismatch("stale", tag, f"{call.tool} at {call.started:g} shows {read:g}")


def _may_be_from(program: Program, seen: Seen, turn: float) -> float:
    """When the first model turn began in which a call of the turn that began at *turn* may have been launched."""
    begun = sorted(asked.started for asked in seen.asked.values() if asked.started <= turn)
    reach = Limits(**program.limits).max_depth + program.policy.get("model_ahead", False)
    return min([turn, *begun[-reach:]])


def _handed_out_twice(side: Side) -> Iterator[Mismatch]:
    """Every draw is another number, so no two calls may show the same."""
    drawn = [call.output for seen in side.visits.values() for call in seen.calls if call.tool == "draw" and call.output]
    for value, count in Counter(drawn).items():
        if count > 1:
            yield Mismatch("twice", "draw", f"{value!r} was the answer of {count} calls")


def _interrupted(program: Program, whole: Side, early: Side) -> Iterator[Mismatch]:
    """A run that was stopped in the middle did what the whole plain run does, up to some point."""
    for user, log in early.logs().items():
        expected = whole.logs().get(user, [])
        if log != expected[: len(log)]:
            yield Mismatch("L2", user, f"{log} is not how {expected} begins")
    for tag, seen in early.visits.items():
        if seen.error is None:
            yield from _unequal("L1", tag, whole.visits[tag].state, seen.state)
        elif not seen.error.startswith(("asyncio.exceptions.CancelledError", "builtins.TimeoutError")):
            yield from _unequal("L4", tag, whole.visits[tag].error, seen.error)


# -- telling a difference --------------------------------------------------------------------------------------------


def _unequal(clause: str, where: str, plain: Any, early: Any) -> Iterator[Mismatch]:
    if plain != early:
        path, mine, theirs = first_difference(plain, early)
        yield Mismatch(clause, where, f"{path or 'value'}: plain {_short(mine)}, speculating {_short(theirs)}")


def first_difference(left: Any, right: Any, path: str = "") -> tuple[str, Any, Any]:
    """Where two values first differ, and how."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in [*left, *(key for key in right if key not in left)]:
            if left.get(key, "<none>") != right.get(key, "<none>"):
                return first_difference(left.get(key, "<none>"), right.get(key, "<none>"), f"{path}.{key}")
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        for index in range(max(len(left), len(right))):
            mine, theirs = (side[index] if index < len(side) else "<none>" for side in (left, right))
            if mine != theirs:
                return first_difference(mine, theirs, f"{path}[{index}]")
    return path, left, right


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
