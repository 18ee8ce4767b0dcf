"""Records about the model's calls: what was expected of one, what was kept from running, how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from langgraph_speculate.core.events.base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnBegan(Event):
    """A model call started.

    Attributes:
        model: The model's name, as far as it tells.
    """

    turn: str
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted(Event):
    """What is expected of a model call: (tool, probability, source), best first."""

    turn: str
    candidates: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed(Event):
    """What is expected of a model call now that its stream has said more: (tool, probability, source), best first.

    Attributes:
        stage: How much of the message was known (`core/speculation.py`, `Stage`).
    """

    turn: str
    stage: str
    candidates: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied(Event):
    """The gate kept *count* candidates of a turn, or the result of a speculation, from being used."""

    turn: str
    tool: str
    reason: str
    detail: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Event):
    """*count* candidates were allowed but not worth their cost now, or a budget was spent."""

    turn: str
    tool: str
    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnded(Event):
    """The model's message is complete: how many calls it made, and how many of them stood among the predictions."""

    turn: str
    calls: tuple[str, ...]
    foreseen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFailed(Event):
    """The model call raised, or its message was cut off: it confirms nothing."""

    turn: str
