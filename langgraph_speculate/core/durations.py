"""How long calls of each tool take, as far as this process has seen."""

from __future__ import annotations

import math
from collections import deque

_RECENT = 32
_TAIL = 0.05
_SLACK_S = 0.25


class Durations:
    """Recent durations by tool, in seconds.

    >>> durations = Durations()
    >>> durations.patience("search", cap_s=30.0)
    30.0
    >>> durations.add("search", 0.25)
    >>> durations.patience("search", cap_s=30.0)
    1.0
    """

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}

    def add(self, tool: str, seconds: float) -> None:
        """A body of *tool* ran to its end in *seconds*."""
        self._recent.setdefault(tool, deque(maxlen=_RECENT)).append(seconds)

    def patience(self, tool: str, cap_s: float) -> float:
        """Seconds, counted from launch, for which a real call waits for a running body before it runs itself.

        Three times the slowest recent body and a quarter second: a body that is still at it by then hangs.
        """
        recent = self._recent.get(tool)
        return min(cap_s, 3 * max(recent) + _SLACK_S) if recent else cap_s

    def hedge_after(self, tool: str) -> float | None:
        """Seconds, counted from launch, that 19 of 20 bodies take at most; None while too few were seen to tell.

        The least of the recent durations that the next one exceeds with a probability of 5 % at most, whatever their
        distribution: the r-th of n is exceeded with 1 - r / (n + 1).
        """
        recent = sorted(self._recent.get(tool, ()))
        rank = math.ceil((1 - _TAIL) * (len(recent) + 1))
        return recent[rank - 1] if rank <= len(recent) else None
