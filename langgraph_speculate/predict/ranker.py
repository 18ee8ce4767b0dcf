"""How far a guess is to be trusted: a logistic model of a few numbers about it, trained as the truth arrives.

It starts with the first number (the log-odds of the blended chance), doubted, and learns corrections, for all tools
together and for each tool on its own (AdaGrad; Duchi et al. 2011). Every guess is a yes-or-no question of its own, so
what comes out stays calibrated as long as the near future resembles the near past.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import exp, log, sqrt
from operator import add, mul

from langgraph_speculate.core.sums import Key, Pair
from langgraph_speculate.predict.knowledge import SQUARE, WEIGHT
from langgraph_speculate.predict.recent import Recent

_RATE = 0.1
_TOOL_RATE = 0.05
_DOUBT = 1.0  # log-odds: of many guesses the best look better than they are, until it is learned by how much
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

    __slots__ = ("given", "known", "squares", "values")

    def __init__(self, values: Sequence[float]) -> None:
        self.values = list(values)
        self.squares = [1.0] * len(self.values)
        self.known = [1.0] * len(self.values)  # the squares when they were last taken
        self.given = [(0.0, 0.0)] * len(self.values)  # what was recalled: weights times steps, and steps

    def rows(self, tool: str, size: int, steps: int) -> Iterator[tuple[Key, Pair]]:
        for at, (value, square, known) in enumerate(zip(self.values, self.squares, self.known, strict=True)):
            if square > known:
                yield (WEIGHT, tool, f"{size}:{at}"), (value * steps, float(steps))
                yield (SQUARE, tool, f"{size}:{at}"), (square - known, 0.0)
        self.known = list(self.squares)

    def recall(self, kind: str, at: int, hits: float, trials: float) -> None:
        if kind == SQUARE:
            self.squares[at] += max(hits, 0.0)
            self.known[at] = self.squares[at]
            return
        self.given[at] = hits, trials = self.given[at][0] + hits, self.given[at][1] + trials
        if trials > 0:
            self.values[at] = max(-_LIMIT, min(_LIMIT, hits / trials))


class Ranker:
    """Learn and tell the probability that a guess is right.

    Args:
        size: How many features a guess has, at least two; the first one is its log-odds before correction, the second
            is 1.
        tools: How many tools have corrections of their own.
    """

    def __init__(self, size: int, *, tools: int = 512) -> None:
        self._size = size
        self._shared = _Weights([1.0, -_DOUBT] + [0.0] * (size - 2))
        self._own: Recent[str, _Weights] = Recent(tools)
        self._taught: Counter[str] = Counter()  # by tool: steps since the weights were last taken
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
        self._taught[tool] += 1
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

    def take(self) -> Iterator[tuple[Key, Pair]]:
        """The weights that were taught since the last time, as sums.

        Each weight times the steps that taught it, and those steps: added up over processes and divided, they are the
        mean of the weights (federated averaging; McMahan et al. 2017).
        """
        taught, self._taught = self._taught, Counter()
        for tool in taught:
            yield from self._own[tool].rows(tool, self._size, taught[tool]) if tool in self._own else ()
        if taught:
            yield from self._shared.rows("", self._size, taught.total())

    def recall(self, key: Key, hits: float, trials: float) -> None:
        """Know a weight again, or how much it was moved (`knowledge.WEIGHT`, `knowledge.SQUARE`)."""
        size, _, at = key[2].partition(":")
        if size != str(self._size) or not at.isdigit() or int(at) >= self._size:
            return  # of another version, with other features
        weights = self._own.touch(key[1], lambda: _Weights([0.0] * self._size)) if key[1] else self._shared
        weights.recall(key[0], int(at), hits, trials)


def _chance(score: float) -> float:
    if not -_LIMIT < score < _LIMIT:
        score = _LIMIT if score > 0.0 else -_LIMIT
    return 1.0 / (1.0 + exp(-score))
