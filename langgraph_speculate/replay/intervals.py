"""How sure a figure over runs is: the percentile bootstrap (Efron and Tibshirani, 1993), over runs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

_RESAMPLES = 1_000
_BLOCKS = 400
"""Of more runs so many groups are drawn instead: their sums vary as those of the runs do, and take less time."""

Sums = Sequence[float]


def interval(
    rows: Sequence[Sums], figure: Callable[[Sums], float], seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Return the bounds between which a figure lies in *level* of all resamples.

    Args:
        rows: What each run adds to the sums that the figure is made of.
        figure: Made of those sums.
        seed: Draws the resamples.
        level: In (0, 1).

    >>> low, high = interval([(1.0, 10.0), (3.0, 10.0)] * 50, lambda sums: sums[0] / sums[1])
    >>> low < 0.2 < high
    True
    """
    draw = random.Random(seed)  # nosec B311
    blocks = _blocks(rows)
    found = []
    for _ in range(_RESAMPLES if len(blocks) > 1 else 1):
        chosen = draw.choices(blocks, k=len(blocks))
        found.append(figure([sum(column) for column in zip(*chosen, strict=True)]))
    found.sort()
    edge = (1 - level) / 2
    return found[int(edge * len(found))], found[min(len(found) - 1, int((1 - edge) * len(found)))]


def _blocks(rows: Sequence[Sums]) -> list[Sums]:
    if len(rows) <= _BLOCKS:
        return list(rows)
    size = -(-len(rows) // _BLOCKS)
    groups = [rows[start : start + size] for start in range(0, len(rows), size)]
    return [[sum(column) for column in zip(*group, strict=True)] for group in groups]
