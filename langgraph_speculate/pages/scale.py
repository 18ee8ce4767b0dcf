"""Round numbers for an axis."""

from __future__ import annotations

import math


def ticks(last: float, most: int = 6) -> list[float]:
    """Round numbers in equal steps from 0 on, at most *most* steps below *last*; none if there is nothing to measure.

    >>> ticks(45), ticks(0.9, 3), ticks(0)
    ([0, 10, 20, 30, 40], [0.0, 0.5], [])
    """
    if not 0 < last < math.inf:
        return []
    least = last / most
    size = 10 ** math.floor(math.log10(least))
    step = next(factor * size for factor in (1, 2, 5, 10) if factor * size >= least)
    return [place * step for place in range(int(last / step) + 1)]
