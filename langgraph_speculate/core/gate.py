"""The gate: one pure function that allows or denies running a concrete call early, with a reason.

It is asked twice, when a speculation is issued and again when a real call wants its result, and it never asks back: all
it looks at is handed in. Any exception inside it is a denial.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from langgraph_speculate.core import egress
from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.facts import Moment, RunView, ToolFacts
from langgraph_speculate.core.provenance import Provenance
from langgraph_speculate.core.repeats import Remembered
from langgraph_speculate.core.resources import render
from langgraph_speculate.core.speculation import Speculation


class Reason(StrEnum):
    """Why a call may not run ahead. The same words in `stats().denied`, events and traces."""

    UNKNOWN_TOOL = "unknown_tool"  # the graph has no such tool, or its body cannot be reached or looked at
    PIN = "pin_changed"  # it is not the tool that was pinned, or that was there when the graph was wrapped
    UNDECLARED = "undeclared"  # nobody declared it read-only
    NOT_READ_ONLY = "not_read_only"  # its entry does not say read_only
    OPEN_WORLD = "open_world"  # it leaves the trust boundary
    GATED = "gated"  # it waits for an approval
    BLOCKED = "blocked"  # something around the tools cannot be seen through (static interrupt, unknown middleware, …)
    CALL_LIMIT = "call_limit"  # it has a limit of its own, and its entry does not say how much of that to spend early
    EGRESS = "egress"  # it would tell somebody outside what they do not know, or go where nobody trusted sent it
    GUARD = "guard"  # a guard of the policy did not let it pass
    RETURN_DIRECT = "return_direct"  # its result ends the run
    INJECTED = "injected_arguments"  # it takes state, store, runtime or its call id
    CONTEXT = "context_variables"  # it reads context variables, or thread-locals, that a speculation would not see
    TRIPPED = "tripped"  # run ahead before, it reached for something only a real call may have
    TTL_ZERO = "ttl_zero"  # its results are too volatile to be kept at all
    VENUE = "venue"  # it has no body for this kind of run (async only, in a sync run)
    INVALID_ARGUMENTS = "invalid_arguments"  # the guess does not fit the tool's schema
    PENDING_WRITE = "pending_write"  # something it reads is being written right now
    SHADOW = "shadow"  # nothing runs ahead at this level; nothing else stands against it
    OTHER_CALL = "other_call"  # commit: it is the result of another call
    CHANGED = "changed"  # commit: identity, tags or other circumstances of the run are not those it ran under
    EXPIRED = "expired"  # commit: older than its ttl, or of another turn
    STALE = "stale"  # commit: something it read was written since
    GATE_ERROR = "gate_error"  # the gate itself failed


@dataclass(frozen=True, slots=True)
class Allow:
    """The call may run ahead, or its result may be used."""


@dataclass(frozen=True, slots=True)
class Deny:
    """The call may not run ahead, or its result not be used."""

    reason: Reason
    detail: str = ""


ALLOW = Allow()
_RUNS = ("declared", "annotated", "open_world")  # levels at which anything runs ahead


def decide(
    call: Call | None,
    tool: ToolFacts | None,
    venue: str,
    view: RunView,
    *,
    objection: str | None = None,
    found: Provenance | None = None,
    call_id: str | None = None,
    depth: int = 1,
    commits: Speculation | Remembered | None = None,
    real: Moment | None = None,
) -> Allow | Deny:
    """Whether *call* may run ahead; with *commits*, whether that result may be used now.

    Args:
        call: The call with coerced arguments, or None when they do not fit the tool's schema.
        tool: What is known about its tool, or None when the graph has none of that name.
        venue: Where it would run.
        view: The run.
        objection: Why a guard does not let it run ahead, or None.
        found: Where its arguments come from, and where they would go; needed if its tool leaves the trust boundary.
        call_id: The id of the model's own call, if its tool is handed that and it is known.
        depth: How far ahead it would run: beyond 1, it takes for granted what nobody has seen yet.
        commits: The speculation a real call wants, or the remembered answer that would do, at commit.
        real: When and under which circumstances the real call arrived, at commit.
    """
    try:
        if commits is not None:
            call_id, depth = commits.call_id, commits.depth
        forbidden = forbids(tool, venue, view, call_id, depth)
        if forbidden is not None:
            return forbidden
        reason, detail = (
            _issue(call, tool, view, objection, found) if commits is None else _commit(call, view, commits, real)
        )
    except Exception as error:  # noqa: BLE001 - doubt is a denial, whatever its shape
        return Deny(Reason.GATE_ERROR, type(error).__name__)
    return ALLOW if reason is None else Deny(reason, detail)


def forbids(
    tool: ToolFacts | None, venue: str, view: RunView, call_id: str | None = None, depth: int = 1
) -> Deny | None:
    """Why no call of *tool* may run ahead in this run, whatever its arguments, or None.

    Args:
        tool: What is known about the tool, or None when the graph has none of that name.
        venue: Where it would run.
        view: The run.
        call_id: The id of the model's own call, if it is known.
        depth: How far ahead it would run.
    """
    try:
        reason, detail = _static(tool, venue, view, call_id)
        if reason is None and depth > 1:
            reason, detail = _far(tool)
    except Exception as error:  # noqa: BLE001 - doubt is a denial, whatever its shape
        return Deny(Reason.GATE_ERROR, type(error).__name__)
    return None if reason is None else Deny(reason, detail)


_Verdict = tuple[Reason | None, str]


def _static(tool: ToolFacts | None, venue: str, view: RunView, call_id: str | None) -> _Verdict:
    """Rules about the tool alone, most telling first."""
    if tool is None:
        return Reason.UNKNOWN_TOOL, "the graph has no reachable tool of that name"
    if tool.unclear is not None:
        return Reason.UNKNOWN_TOOL, tool.unclear
    if tool.changed is not None:
        return Reason.PIN, tool.changed
    policy, why = tool.rule.tool, tool.rule.detail
    if policy is None:
        return Reason.UNDECLARED, why or f"declare [tools.{tool.name}] read_only = true if it only reads"
    if tool.rule.needs == "annotated" and view.allows == "declared":
        return Reason.UNDECLARED, f"{tool.rule.origin} need the level annotated"
    if not policy.read_only:
        return Reason.NOT_READ_ONLY, why or f"{tool.rule.origin} does not say read_only = true"
    if policy.open_world and view.allows != "open_world":
        return Reason.OPEN_WORLD, why or f"{tool.rule.origin} says open_world = true, and level is {view.allows}"
    if policy.open_world and policy.disclosure == "none":
        return Reason.OPEN_WORLD, why or f"{tool.rule.origin} does not say what an early call may disclose"
    if tool.gated:
        return Reason.GATED, "it waits for an approval"
    if view.blocked is not None:
        return Reason.BLOCKED, view.blocked
    if tool.limited:
        return Reason.CALL_LIMIT, f"its calls are limited; say {' and '.join(tool.limited)} in its entry"
    if tool.return_direct:
        return Reason.RETURN_DIRECT, "its result ends the run"
    if missing := tool.injected if call_id is None else tool.injected - tool.by_call:
        return Reason.INJECTED, f"the host injects {', '.join(sorted(missing))}"
    if tool.variables:
        return Reason.CONTEXT, f"list {', '.join(sorted(tool.variables))} in propagate_context"
    if tool.thread_locals and venue == "thread" and "thread_locals" not in policy.uses:
        held = ", ".join(sorted(tool.thread_locals))
        return (
            Reason.CONTEXT,
            f'it uses {held}, of which each thread has its own; if any will do: uses = ["thread_locals"]',
        )
    if tool.name in view.tripped:
        return Reason.TRIPPED, "run ahead before, it reached for something only a real call may have"
    if policy.ttl_s <= 0:
        return Reason.TTL_ZERO, f"{tool.rule.origin} says ttl_s = 0"
    if venue not in tool.venues:
        return Reason.VENUE, f"it has no body that can run in a {venue} here"
    return None, ""


def _far(tool: ToolFacts | None) -> _Verdict:
    """Rules about a tool that would run for a message after the next: what it needs must be there already."""
    policy = tool.rule.tool if tool is not None else None
    if policy is None or policy.open_world:
        return Reason.OPEN_WORLD, "what rests on a guess must not leave the trust boundary"
    if policy.reads_state:
        return Reason.INJECTED, "it reads state, and what that will be is not known yet"
    if policy.run_limit is not None or policy.thread_limit is not None:
        return Reason.CALL_LIMIT, "its calls are limited, and how many will be left is not known yet"
    return None, ""


def ends_foresight(tool: ToolFacts | None) -> bool:
    """Whether nothing may be looked for behind a call of *tool*: it may write, ask somebody, or be the run's last.

    A tool that nothing is known about may do all of that.
    """
    return tool is None or tool.unclear is not None or bool(tool.writes) or tool.gated or tool.return_direct


def _issue(
    call: Call | None, tool: ToolFacts | None, view: RunView, objection: str | None, found: Provenance | None
) -> _Verdict:
    if call is None:
        return Reason.INVALID_ARGUMENTS, "the guessed arguments do not fit the tool's schema"
    if objection is not None:
        return Reason.GUARD, objection
    if tool is not None and (against := _egress(tool, found)) is not None:
        return Reason.EGRESS, against
    if tool is not None and view.epochs.writing(render(tool.reads, call.args)):
        return Reason.PENDING_WRITE, "something it reads is being written"
    return _level(view)


def _egress(tool: ToolFacts, found: Provenance | None) -> str | None:
    policy = tool.rule.tool
    if policy is None or not policy.open_world:
        return None
    return "nobody looked where it goes" if found is None else egress.objection(policy, found)


def _commit(call: Call | None, view: RunView, speculation: Speculation | Remembered, real: Moment | None) -> _Verdict:
    if call is None or real is None or call.key != speculation.call.key:
        return Reason.OTHER_CALL, "it is the result of another call"
    if speculation.call_id is not None and speculation.call_id != real.call_id:
        return Reason.OTHER_CALL, "it was handed the id of another call"
    ahead = speculation.step - real.step
    if speculation.scope == "step" and not 0 <= ahead < speculation.depth:
        return Reason.EXPIRED, "its model turn is over"
    if not real.now - speculation.launched_at <= speculation.ttl_s:
        return Reason.EXPIRED, f"older than ttl_s = {speculation.ttl_s:g}"
    if view.epochs.changed(speculation.reads, since=speculation.epoch):
        return Reason.STALE, "something it read was written since"
    if real.objection is not None:
        return Reason.GUARD, real.objection
    if speculation.circumstances != real.circumstances:
        return Reason.CHANGED, "what a tool sees of its run is not what it was when this ran"
    return _level(view)


def _level(view: RunView) -> _Verdict:
    return (None, "") if view.level in _RUNS else (Reason.SHADOW, f"level is {view.level}")
