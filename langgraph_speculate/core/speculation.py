"""One speculation: its lifecycle as a table, and its record.

The table *is* the specification (after h11's `_state.py`): docs and tests read the same dict. An illegal step raises
and changes nothing; every speculation ends in exactly one terminal state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any

from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.errors import IllegalTransition


class State(Enum):
    """Where a speculation stands."""

    RUNNING = "running"  # launched; no real call has asked for it
    READY = "ready"  # finished well; waiting for a real call
    PROMOTED = "promoted"  # a real call is waiting; nothing may stop it to make room
    COMMITTED = "committed"  # its result became the tool's answer
    DISCARDED = "discarded"  # every other end, always with a reason


TRANSITIONS: Mapping[State, Mapping[str, State]] = MappingProxyType(
    {
        State.RUNNING: MappingProxyType(
            {
                "finish": State.READY,
                "match": State.PROMOTED,
                "fail": State.DISCARDED,
                "preempt": State.DISCARDED,
                "squash": State.DISCARDED,
                "expire": State.DISCARDED,
            }
        ),
        State.READY: MappingProxyType(
            {
                "match": State.COMMITTED,
                "preempt": State.DISCARDED,
                "squash": State.DISCARDED,
                "expire": State.DISCARDED,
            }
        ),
        State.PROMOTED: MappingProxyType({"finish": State.COMMITTED, "fail": State.DISCARDED}),
        State.COMMITTED: MappingProxyType({}),
        State.DISCARDED: MappingProxyType({}),
    }
)
_ENDS = tuple(state for state, steps in TRANSITIONS.items() if not steps)


def step(state: State, event: str) -> State:
    """Return the state that *event* leads to.

    Raises:
        IllegalTransition: The lifecycle has no such step.

    >>> step(State.RUNNING, "match").name
    'PROMOTED'
    """
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalTransition(f"a {state.value} speculation cannot {event}") from None


class Stage(StrEnum):
    """How much of the model's message was known when a speculation was launched."""

    BEGIN = "begin"  # nothing
    TEXT = "text"  # some of the text before its calls
    NAME = "name"  # which tool it is calling
    ARGUMENTS = "arguments"  # some of the arguments, too
    COMPLETE = "complete"  # the whole call: this is no guess any more


class Discard(StrEnum):
    """Why a speculation's result was not used."""

    CONTRADICTED = "contradicted"  # the model's message did not ask for it
    MODEL_FAILED = "model_failed"  # the model call raised or was cut off
    EXPIRED = "expired"  # older than its ttl, or its model turn is over
    STALE = "stale"  # something it read was written since
    FAILED = "failed"  # the tool raised; the real call runs and may raise again
    TAINTED = "tainted"  # it reached for something only a real call may have
    TOO_LARGE = "too_large"  # its result exceeds max_result_bytes
    EVICTED = "evicted"  # newer results needed its place in max_cache_bytes
    OVERRUN = "overrun"  # a real call waited for it to its deadline
    ABANDONED = "abandoned"  # the real call that waited for it was cancelled
    DENIED = "denied"  # the gate allowed it at issue and no longer at commit
    LINEAGE = "lineage"  # what it took for granted came to nothing: the guess that it rests on was let go
    NO_SLOT = "no_slot"  # the worker pool was full
    PREEMPTED = "preempted"  # made room for something better
    YIELDED = "yielded"  # a real call needed its slot
    RUN_ENDED = "run_ended"  # the run is over
    HEDGED = "hedged"  # a real call waited for two bodies, and the other one ended well first


HEDGE = "hedge"
"""The source of a second body, started because a real call had waited too long for the first."""


@dataclass(slots=True, eq=False)
class Speculation:
    """One call that was launched early.

    Attributes:
        id: Unique in the process.
        call: The call with coerced arguments, as the tool's body receives it.
        turn: The model turn it was launched for.
        step: The step of the run it is for: one model turn and its calls.
        probability: Its candidate's probability at launch.
        source: Its candidate's source.
        stage: How much of the message was known at launch.
        depth: How far ahead it was launched: 1 for the message that was being written, 2 for the one after it, …
        parent: The speculation whose call it takes for granted, or the preview; None once the model has made that call,
            or has taken that preview over, and where nothing is taken for granted.
        call_id: The id of the model's own call, for a tool that is handed it; only that call may adopt the result.
        venue: Where it runs (`"task"` or `"thread"`); only a real call of the same venue may adopt it.
        reads: Tags of the resources it reads.
        epoch: The epoch before it started reading.
        ttl_s: Seconds from launch for which its result may be committed.
        scope: `"step"`: only for the calls of its own step; `"run"`: until the ttl passes.
        leaves: Whether it leaves the trust boundary.
        destinations: Who outside sees it.
        drain: When it is discarded, let the body finish (True) or cancel it.
        worth: Expected seconds saved, net of what it costs, when it was launched.
        cost: What the call costs in money.
        circumstances: What a tool may see of its run besides its arguments.
        tag: Its owner's label for traces.
        launched_at, ended_at: Seconds on the host's monotonic clock; `ended_at` is None while the body runs.
        ran_s: Seconds its body ran, once that has ended.
        size: About how many bytes its result takes.
        left: The run ended while a real call waited for it: that call may have its result, which counts for nothing,
            and is the one to stop it.
        missed: The message it was for is complete, and does not make its call; a later one may.
        state, outcome, reason: How it stands; `reason` is set with DISCARDED only.
    """

    id: str
    call: Call
    turn: str
    step: int
    probability: float
    source: str
    venue: str
    reads: frozenset[str]
    epoch: int
    ttl_s: float
    scope: str
    drain: bool
    launched_at: float
    stage: Stage = Stage.BEGIN
    depth: int = 1
    parent: str | None = None
    call_id: str | None = None
    worth: float = 0.0
    cost: float = 0.0
    circumstances: Any = None
    tag: str | None = None
    leaves: bool = False
    destinations: tuple[str, ...] = ()
    ended_at: float | None = None
    ran_s: float = 0.0
    size: int = 0
    left: bool = False
    missed: bool = False
    state: State = State.RUNNING
    outcome: Outcome | None = None
    reason: Discard | None = None

    def twin(self, id: str, epoch: int, now: float) -> Speculation:
        """The same call once more: no guess any more, because a real call waits for this one.

        Args:
            id: The twin's.
            epoch: The epoch before it starts reading.
            now: When it is launched.
        """
        return replace(
            self,
            id=id,
            epoch=epoch,
            launched_at=now,
            probability=1.0,
            source=HEDGE,
            stage=Stage.COMPLETE,
            state=State.RUNNING,
        )

    @property
    def over(self) -> bool:
        """True once it is committed or discarded."""
        return self.state in _ENDS

    def take(self, event: str, reason: Discard | None = None) -> None:
        """Go one step along the lifecycle.

        Raises:
            IllegalTransition: The lifecycle has no such step; nothing has changed.
        """
        after = step(self.state, event)
        if (after is State.DISCARDED) != (reason is not None):
            raise IllegalTransition(f"{event}: a reason belongs to a discard, and only to a discard")
        self.state, self.reason = after, reason
        if after is State.DISCARDED:
            self.outcome = None  # a result nobody may use is not kept alive
