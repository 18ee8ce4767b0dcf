"""How far a guess is to be trusted: a logistic model of a few numbers about it, trained as the truth arrives.

It starts as the identity on the first number (the log-odds of the blended chance) and learns corrections, for all tools
together and for each tool on its own (AdaGrad; Duchi et al. 2011). Every guess is a yes-or-no question of its own, so
what comes out stays calibrated as long as the near future resembles the near past.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from langgraph_speculate.predict.recent import Recent

_RATE = 0.08
_TOOL_RATE = 0.05
_LIMIT = 8.0  # log-odds are kept within this


def log_odds(chance: float) -> float:
    """The log-odds of a probability, within bounds.

    >>> log_odds(0.5)
    0.0
    """
    return math.log(max(chance, 1e-4) / max(1.0 - chance, 1e-4))


class _Weights:
    """A weight per feature and the sum of its squared gradients."""

    __slots__ = ("squares", "values")

    def __init__(self, values: Sequence[float]) -> None:
        self.values = list(values)
        self.squares = [1.0] * len(self.values)

    def step(self, features: Sequence[float], error: float, rate: float) -> None:
        values, squares = self.values, self.squares
        for at, feature in enumerate(features):
            if feature:
                gradient = error * feature
                squares[at] += gradient * gradient
                values[at] -= rate * gradient / math.sqrt(squares[at])


class Ranker:
    """Learn and tell the probability that a guess is right.

    Args:
        size: How many features a guess has; the first one is its log-odds before correction.
        tools: How many tools have corrections of their own.
    """

    def __init__(self, size: int, *, tools: int = 512) -> None:
        self._size = size
        self._shared = _Weights([1.0] + [0.0] * (size - 1))
        self._own: Recent[str, _Weights] = Recent(tools)

    def chance(self, tool: str, features: Sequence[float]) -> float:
        """Return P(right) of a guess about *tool*."""
        own = self._own.get(tool)
        weights = self._shared.values if own is None else map(float.__add__, self._shared.values, own.values)
        score = sum(map(float.__mul__, weights, features))
        return 1.0 / (1.0 + math.exp(-max(-_LIMIT, min(_LIMIT, score))))

    def learn(self, tool: str, features: Sequence[float], right: bool) -> None:
        """See whether a guess was right."""
        error = self.chance(tool, features) - right
        self._shared.step(features, error, _RATE)
        self._own.touch(tool, lambda: _Weights([0.0] * self._size)).step(features, error, _TOOL_RATE)
