"""Records about warm-ups: the owner's functions that make calls of a tool faster."""

from __future__ import annotations

from dataclasses import dataclass

from langgraph_speculate.core.events.base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpBegan(Event):
    """The owner's function that makes calls of a tool faster was started.

    Attributes:
        probability: That the tool is called and no guess of it runs already.
    """

    turn: str
    warm_up: str
    tool: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpEnded(Event):
    """That function ended after *seconds*, well or not."""

    warm_up: str
    tool: str
    seconds: float
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpUsed(Event):
    """A real call of the tool came while it was warm."""

    warm_up: str
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpWasted(Event):
    """No real call of the tool came in time: *seconds* of that function were for nothing."""

    warm_up: str
    tool: str
    seconds: float
