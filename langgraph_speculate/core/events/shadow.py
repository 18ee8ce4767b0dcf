"""Records of what would have happened at the level `shadow`: of calls that never ran, so no other record is of them.

Each stands beside the one of its name without `Shadow`, and tells of the same run at the level that its policy has
otherwise. What it says of times rests on those of the real calls.
"""

from __future__ import annotations

from dataclasses import dataclass

from langgraph_speculate.core.events.base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowLaunched(Event):
    """A speculation would have started.

    Attributes:
        stage: How much of the model's message was known (`core/speculation.py`, `Stage`).
        worth_s: Expected seconds saved, net of what it costs; 0 of a call that the model had written.
        cost: What the call would have cost in money, as its policy says.
    """

    turn: str
    id: str
    tool: str
    probability: float
    source: str
    stage: str = "begin"
    worth_s: float = 0.0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSettled(Event):
    """A real call ended, which would have adopted a speculation or run as it did.

    Attributes:
        id: The speculation it would have adopted, or None for a miss.
        joined: It would have waited for that speculation to finish.
        waited_s: Seconds the call would have taken as the agent sees it.
        tool_s: Seconds the tool's body took.
        call: The id that the model's provider gave the call; empty if it has none.
        turn: The model call that asked for it; empty if nobody knows, as in a run that was resumed.
    """

    tool: str
    id: str | None
    joined: bool
    waited_s: float
    tool_s: float
    call: str = ""
    turn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowStepSettled(Event):
    """All calls of one model turn ended; parallel calls count once, by their critical path.

    Attributes:
        tool_s: The longest body among them, which is what the run did wait.
        waited_s: The longest wait that there would have been.
        tool: The tool of the longest body; hidden = `tool_s - waited_s` is counted for it.
    """

    tool: str
    tool_s: float
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowWasted(Event):
    """A speculation would have been discarded.

    Attributes:
        reason: Why, as in `Discarded`.
        seconds: Of tool time that it would have cost: as long as real calls of its tool take, or until it was stopped.
        cost: In money, as its policy says.
        known: Whether a real call of its tool has been seen; else *seconds* rest on what tools take on the whole.
    """

    id: str
    tool: str
    reason: str
    seconds: float
    cost: float = 0.0
    known: bool = True
