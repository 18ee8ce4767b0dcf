"""A declared rate, and what of it early calls may use.

Real calls are counted and never asked to wait. Early ones get what is left when those are set aside that the service
has seen at its busiest.
"""

from __future__ import annotations

import math

from limits import RateLimitItem, parse
from limits.strategies import MovingWindowRateLimiter

from langgraph_speculate.core.slots import REMEMBERED_S, Busiest
from langgraph_speculate.host.windows import Windows

_REMEMBERED_WINDOWS = 10  # for as many at least it is remembered how many real calls there were in the busiest


class Allowance:
    """The calls under one declared rate.

    Args:
        rate: In the notation of `limits`.
        share: How much of it early calls may use, in [0, 1]. Where that is less than one call in a window, it is one
            call in as many windows as make it one.

    Attributes:
        whole: The rate.
        early: What early calls may use of it.

    >>> allowance = Allowance("10/second", share=0.2)
    >>> for _ in range(3):
    ...     if allowance.has_room(now=0.0):
    ...         allowance.began_early(now=0.0)
    >>> allowance.early, allowance.has_room(now=0.5), allowance.used(now=0.5), allowance.has_room(now=1.5)
    (2 per 1 second, False, 1.0, True)
    >>> Allowance("4/second", 0.2).early
    1 per 2 second
    """

    def __init__(self, rate: str, share: float) -> None:
        self.whole: RateLimitItem = parse(rate)
        part = share * self.whole.amount
        windows = math.ceil(1 / part) if 0 < part < 1 else 1
        self.early = type(self.whole)(math.floor(part * windows), self.whole.multiples * windows)
        self._busiest = Busiest(max(REMEMBERED_S, _REMEMBERED_WINDOWS * self.whole.get_expiry()))
        self._windows = Windows()
        self._limiter = MovingWindowRateLimiter(self._windows)

    def has_room(self, now: float) -> bool:
        """Whether an early call stays within its share, and within what real calls are expected to leave."""
        self._windows.now = now
        asked = self._count(_ASKED)
        busiest = self._busiest.expected(asked, now)
        still_to_come = busiest + math.isqrt(busiest) - asked  # a record is there to be beaten: by about its deviation
        within = self._count(_BODIES) + still_to_come + 1 <= self.whole.amount
        return within and self._limiter.test(self.early, _EARLY)

    def used(self, now: float) -> float:
        """How much of their share early calls have used, in [0, 1]."""
        self._windows.now = now
        left = self._limiter.get_window_stats(self.early, _EARLY).remaining
        return 1 - left / self.early.amount if self.early.amount else 1.0

    def began_early(self, now: float) -> None:
        """An early body starts."""
        self._windows.now = now
        self._limiter.hit(self.early, _EARLY)
        self._note(_BODIES)

    def asked(self, now: float) -> None:
        """A real call came: one with a body of its own, or one that adopts an early one's result."""
        self._windows.now = now
        self._busiest.saw(self._note(_ASKED), now)

    def began(self, now: float) -> None:
        """The body of a real call starts."""
        self._windows.now = now
        self._note(_BODIES)

    def _count(self, what: str) -> int:
        return self.whole.amount - self._limiter.get_window_stats(self.whole, what).remaining

    def _note(self, what: str) -> int:
        return self._windows.incr(self.whole.key_for(what), self.whole.get_expiry())


_ASKED, _BODIES, _EARLY = "asked", "bodies", "early"
