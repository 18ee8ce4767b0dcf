"""Records about previews: model calls that were started on remembered results."""

from __future__ import annotations

from dataclasses import dataclass

from langgraph_speculate.core.events.base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewBegan(Event):
    """The next call of a model was started while the tools run.

    Attributes:
        model: The model's name.
        probability: That all of the results are the same again.
        tools: The tools whose results are taken for known.
        tokens: About how many it reads and writes.
    """

    preview: str
    model: str
    probability: float
    tools: tuple[str, ...]
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewRefused(Event):
    """The results were known, but the next call of the model was not started, for that reason."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewUsed(Event):
    """The real call of the model had the very same input, and takes what the preview writes.

    Attributes:
        joined: The preview was still being written.
        hidden_s: Seconds of it that had passed by then.
    """

    preview: str
    model: str
    joined: bool
    hidden_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewWasted(Event):
    """Nobody takes what a preview wrote.

    Attributes:
        reason: Why.
        tokens: About how many it read and had written by then.
        cost: What they cost, by the policy's prices.
    """

    preview: str
    model: str
    reason: str
    tokens: int
    cost: float
