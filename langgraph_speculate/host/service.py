"""What one service bears: calls in a window, calls at one time, and a rest when it has had too much."""

from __future__ import annotations

import math

from langgraph_speculate.core.slots import Guest, Slots
from langgraph_speculate.host.allowance import Allowance


class Service:
    """A tool, or all tools that name the same host.

    Attributes:
        slots: Who holds them.
        failures: Early bodies that failed since the last that did not.
        status: The status that it is left alone for, or 0 for failures.
        resting_until: Until when it is left alone.

    >>> service = Service()
    >>> service.slots.declare(4)
    >>> service.declare("1/second", share=1.0)
    >>> service.began_early(now=0.0)
    >>> service.crowding(now=0.0), service.crowding(now=2.0)
    (1.0, 0.25)
    """

    def __init__(self) -> None:
        self.failures = 0
        self.status = 0
        self.resting_until = -math.inf
        self._resting_since = math.inf
        self.slots = Slots()
        self._allowances: dict[tuple[str, float], Allowance] = {}

    def declare(self, rate: str, share: float) -> None:
        """Somebody says how often it may be called; where several say different things, all of them hold."""
        if (rate, share) not in self._allowances:
            self._allowances[rate, share] = Allowance(rate, share)

    # -- may one more call run early ---------------------------------------------------------------------------------

    def has_room(self, now: float) -> bool:
        """Whether each declared rate has room for an early call."""
        return all(allowance.has_room(now) for allowance in self._allowances.values())

    def crowding(self, now: float) -> float:
        """How much of its slots is in use, or of what early calls may have of a rate, in [0, 1]."""
        return max(self.slots.crowding, *(allowance.used(now) for allowance in self._allowances.values()), 0.0)

    def rests(self, now: float) -> bool:
        """Whether it is left alone."""
        return self._resting_since <= now < self.resting_until

    # -- what happens ------------------------------------------------------------------------------------------------

    def began_early(self, now: float) -> None:
        """An early body starts."""
        self.slots.began_early()
        for allowance in self._allowances.values():
            allowance.began_early(now)

    def ended_early(self, guest: Guest | None = None) -> None:
        """An early body has ended, or never started."""
        self.slots.ended_early(guest)

    def adopted(self, now: float) -> None:
        """A real call came that needs no body, because an early one has run for it."""
        for allowance in self._allowances.values():
            allowance.asked(now)

    def began(self, now: float) -> None:
        """The body of a real call starts."""
        self.slots.began(now)
        for allowance in self._allowances.values():
            allowance.asked(now)
            allowance.began(now)

    def ended(self) -> None:
        """The body of a real call has ended."""
        self.slots.ended()

    def rest(self, now: float, seconds: float, status: int) -> bool:
        """Leave it alone for *seconds*; returns whether that is news."""
        news = seconds > 0 and not self.rests(now)
        if news:
            self.failures, self.status = 0, status
            self._resting_since, self.resting_until = now, now
        self.resting_until = max(self.resting_until, now + seconds)
        return news
