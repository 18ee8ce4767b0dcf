"""Records about real calls: what they wrote, which answer they got, how long they took."""

from __future__ import annotations

from dataclasses import dataclass

from langgraph_speculate.core.events.base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrote(Event):
    """A real call that may write began, or ended.

    Attributes:
        began: True when it began, False when it ended.
        epoch: The epoch that this made.
        writes: Marks of what it may write.
    """

    began: bool
    epoch: int
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated(Event):
    """The remembered answer of an earlier call of the run answers the same call again.

    Attributes:
        age_s: Seconds since the body that made it started.
        ttl_s: Seconds for which it may be used.
        since: The epoch of the run's resources when that body started.
        epoch: The epoch now.
        reads: Marks of what it read.
    """

    tool: str
    age_s: float
    ttl_s: float
    since: int
    epoch: int
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettled(Event):
    """A real call ended.

    Attributes:
        id: The speculation it adopted, or None for a miss.
        joined: It waited for that speculation to finish.
        waited_s: Seconds the call took as the agent saw it.
        tool_s: Seconds the tool's body took, early or not; of a repeat, which has none, those that the call took.
        twin: The speculation it adopted is the second body of a hedged one.
        repeat: A remembered answer was given again: neither a hit nor a miss.
        depth: How far ahead that speculation was launched; 1 for a miss, too.
        call: The id that the model's provider gave the call; empty if it has none.
        turn: The model call that asked for it; empty if nobody knows, as in a run that was resumed.
    """

    tool: str
    id: str | None
    joined: bool
    waited_s: float
    tool_s: float
    twin: bool = False
    repeat: bool = False
    depth: int = 1
    call: str = ""
    turn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettled(Event):
    """All calls of one model turn ended; parallel calls count once, by their critical path.

    Attributes:
        tool_s: The longest body among them, which is what the plain graph would have waited.
        waited_s: The longest wait.
        tool: The tool of the longest body; hidden = `tool_s - waited_s` is counted for it.
    """

    tool: str
    tool_s: float
    waited_s: float
