"""A distribution of seconds, learned online, in as much room for any number of observations.

Seconds are counted in buckets that grow by a fifth, so that quantiles are off by a tenth at most (DDSketch, Masson et
al. 2019). A body that was stopped is not lost: it took at least as long as it ran, and is counted as such (Kaplan and
Meier, 1958).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from operator import mul, sub
from typing import Final

TOP: Final = 100
"""The number of the last bucket, which ends after two hours."""
FEW: Final = 16
"""Observations up to which each one is taken into account at once."""

_GROWTH: Final = 1.2
_LEAST_S: Final = 0.0001
_EDGES: Final = tuple(_LEAST_S * _GROWTH**index for index in range(TOP + 1))
_WIDTHS: Final = tuple(map(sub, _EDGES[1:], _EDGES))
_LOG: Final = math.log(_GROWTH)
_HEAVY: Final = 512.0  # observations after which old ones count half
_STEADY: Final = 4  # beyond few of them, a quarter more is worth another look

MIDDLE: Final = 2 / (1 + _GROWTH)
"""A bucket's upper edge times this is nowhere far from what is in it."""


class Sketch:
    """A distribution of seconds, some of them only known to be longer.

    >>> sketch = Sketch()
    >>> for seconds in (0.1, 0.2, 0.3):
    ...     sketch.add(seconds)
    >>> sketch.add(0.25, ended=False)
    >>> round(sketch.quantile(0.5), 1), sketch.survival(1.0)
    (0.2, 0.0)
    """

    __slots__ = ("_curve", "_cut", "_ended", "_stale", "version", "weight")

    def __init__(self) -> None:
        self._ended = [0.0] * (TOP + 1)
        self._cut = [0.0] * (TOP + 1)
        self._curve: tuple[float, ...] = ()
        self._stale = 0
        self.weight = 0.0
        self.version = 0

    def add(self, seconds: float, *, ended: bool = True, weight: float = 1.0) -> None:
        """It took so many seconds; unless it *ended* by itself, it would have taken longer."""
        self.put(bucket_of(seconds), ended=ended, weight=weight)

    def put(self, bucket: int, *, ended: bool = True, weight: float = 1.0) -> None:
        """The same by the number of the bucket."""
        (self._ended if ended else self._cut)[bucket] += weight
        self.weight += weight
        self._stale += 1
        if self.weight > _HEAVY:
            self.scale(0.5)
        if self.weight <= FEW or self._stale > self.weight / _STEADY:
            self._renew()

    def merge(self, other: Sketch, factor: float) -> None:
        """Count what another saw, too, *factor* times as much."""
        self._ended = [mine + factor * theirs for mine, theirs in zip(self._ended, other._ended, strict=True)]
        self._cut = [mine + factor * theirs for mine, theirs in zip(self._cut, other._cut, strict=True)]
        self.weight += factor * other.weight
        self._renew()

    def _renew(self) -> None:
        self._curve, self._stale = (), 0
        self.version += 1

    def scale(self, factor: float) -> None:
        """Let what was seen so far count *factor* times as much."""
        self._ended = [count * factor for count in self._ended]
        self._cut = [count * factor for count in self._cut]
        self.weight *= factor

    @property
    def curve(self) -> tuple[float, ...]:
        """P(longer than the bucket), by bucket; computed anew when enough has changed."""
        if not self._curve:
            self._curve = self._estimated()
        return self._curve

    def _estimated(self) -> tuple[float, ...]:
        at_risk, alive, curve = self.weight, 1.0, []
        for ended, cut in zip(self._ended, self._cut, strict=True):
            if ended and at_risk > 0:
                alive *= max(0.0, 1.0 - ended / at_risk)
            at_risk -= ended + cut
            curve.append(alive if at_risk > 1e-9 else 0.0)  # beyond the longest that was seen nothing is known
        return tuple(curve)

    def survival(self, seconds: float) -> float:
        """P(it takes longer)."""
        return self.curve[bucket_of(seconds)]

    def quantile(self, share: float) -> float:
        """The seconds within which *share* of them end, in [0, 1]."""
        index = next((index for index, alive in enumerate(self.curve) if 1.0 - alive >= share), TOP)
        return _EDGES[index] * MIDDLE

    def left(self, elapsed: float) -> tuple[float, ...]:
        """The curve of what is left once so many seconds have passed."""
        if elapsed <= 0:
            return self.curve
        alive = self.survival(elapsed)
        return tuple(self.survival(elapsed + edge) / alive if alive > 0 else 0.0 for edge in _EDGES)

    def mean(self) -> float:
        """The expected seconds."""
        return _area(self.curve)


def bucket_of(seconds: float) -> int:
    """The number of the bucket that holds so many seconds.

    >>> bucket_of(0.0), bucket_of(1.0), bucket_of(1e9)
    (0, 51, 100)
    """
    if not seconds > _LEAST_S:
        return 0
    if seconds >= _EDGES[TOP]:
        return TOP
    return min(TOP, math.ceil(math.log(seconds / _LEAST_S) / _LOG - 1e-9))


def shorter_of(first: Iterable[float], second: Iterable[float]) -> float:
    """E[min(first, second)] of two that are independent: the area under the product of their curves."""
    return _area(map(mul, first, second))


def _area(curve: Iterable[float]) -> float:
    return float(_LEAST_S + sum(map(mul, _WIDTHS, curve))) * MIDDLE
