"""How far a guess is to be trusted: a logistic model of a few numbers about it, trained as the truth arrives.

It starts as the identity on the first number (the log-odds of the blended chance) and learns corrections, for all tools
together and for each tool on its own (AdaGrad; Duchi et al. 2011). Every guess is a yes-or-no question of its own, so
what comes out stays calibrated as long as the near future resembles the near past.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, log, sqrt
from operator import add, mul

from langgraph_speculate.predict.recent import Recent

_RATE = 0.08
_TOOL_RATE = 0.05
_ENOUGH = 0.01  # a probability this near to the truth teaches too little to be worth a step
_LIMIT = 8.0  # log-odds are kept within this


def log_odds(chance: float) -> float:
    """The log-odds of a probability, within bounds.

    >>> log_odds(0.5)
    0.0
    """
    return log(max(chance, 1e-4) / max(1.0 - chance, 1e-4))


class _Weights:
    """A weight per feature and the sum of its squared gradients."""

    __slots__ = ("squares", "values")

    def __init__(self, values: Sequence[float]) -> None:
        self.values = list(values)
        self.squares = [1.0] * len(self.values)


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
        self._sums: dict[str, list[float]] = {}  # weights by tool, shared and own together; cleared by `learn`

    def chance(self, tool: str, features: Sequence[float]) -> float:
        """Return P(right) of a guess about *tool*."""
        weights = self._sums.get(tool)
        if weights is None:
            own = self._own.get(tool)
            shared = self._shared.values
            weights = self._sums[tool] = shared if own is None else list(map(add, shared, own.values))
        return _chance(sum(map(mul, weights, features)))

    def learn(self, tool: str, features: Sequence[float], right: bool) -> None:
        """See whether a guess was right."""
        error = self.chance(tool, features) - right
        if -_ENOUGH < error < _ENOUGH:
            return
        self._sums.clear()
        own = self._own.touch(tool, lambda: _Weights([0.0] * self._size))
        values, squares = self._shared.values, self._shared.squares
        own_values, own_squares = own.values, own.squares
        # One step of AdaGrad for both sets of weights: this loop is most of the time that learning takes.
        for at, feature in enumerate(features):
            if feature:
                gradient = error * feature
                square = gradient * gradient
                squares[at] = total = squares[at] + square
                values[at] -= _RATE * gradient / sqrt(total)
                own_squares[at] = total = own_squares[at] + square
                own_values[at] -= _TOOL_RATE * gradient / sqrt(total)


def _chance(score: float) -> float:
    return 1.0 / (1.0 + exp(-max(-_LIMIT, min(_LIMIT, score))))
