"""What one service bears: calls in a window, calls at one time, and a rest when it has had too much."""

from __future__ import annotations

import math

from langgraph_speculate.host.allowance import Allowance, Busiest


class Service:
    """A tool, or all tools that name the same host.

    Args:
        slots: How many calls it can run at once, or None if that does not matter.

    Attributes:
        failures: Early bodies that failed since the last that did not.
        status: The status that it is left alone for, or 0 for failures.
        resting_until: Until when it is left alone.

    >>> service = Service(slots=4)
    >>> service.began(now=0.0)
    >>> service.has_slot(now=0.0)
    True
    >>> service.began_early(now=0.0)
    >>> service.has_slot(now=0.0)
    False
    """

    def __init__(self, slots: int | None = None) -> None:
        self.failures = 0
        self.status = 0
        self.resting_until = -math.inf
        self._resting_since = math.inf
        self._slots = slots
        self._real = 0
        self._early = 0
        self._busiest = Busiest()
        self._allowances: dict[tuple[str, float], Allowance] = {}

    def declare(self, rate: str, share: float) -> None:
        """Somebody says how often it may be called; where several say different things, all of them hold."""
        if (rate, share) not in self._allowances:
            self._allowances[rate, share] = Allowance(rate, share)

    # -- may one more call run early ---------------------------------------------------------------------------------

    def has_slot(self, now: float) -> bool:
        """Whether an early call leaves a slot for a real one, and what calls are expected to need at their busiest."""
        needed = self._busiest.expected(self._real + self._early, now)
        # A record is there to be beaten: by about its deviation. And real calls come in groups.
        return self._slots is None or needed + math.isqrt(needed) + 2 <= self._slots

    def has_room(self, now: float) -> bool:
        """Whether each declared rate has room for an early call."""
        return all(allowance.has_room(now) for allowance in self._allowances.values())

    def crowding(self, now: float) -> float:
        """How much of its slots is in use, or of what early calls may have of a rate, in [0, 1]."""
        used = [allowance.used(now) for allowance in self._allowances.values()]
        if self._slots is not None:
            used.append((self._real + self._early) / self._slots if self._slots else 1.0)
        return min(1.0, max(used, default=0.0))

    def rests(self, now: float) -> bool:
        """Whether it is left alone."""
        return self._resting_since <= now < self.resting_until

    # -- what happens ------------------------------------------------------------------------------------------------

    def began_early(self, now: float) -> None:
        """An early body starts."""
        self._early += 1
        for allowance in self._allowances.values():
            allowance.began_early(now)

    def ended_early(self) -> None:
        """An early body has ended, or never started."""
        self._early -= 1

    def adopted(self, now: float) -> None:
        """A real call came that needs no body, because an early one has run for it."""
        self._busiest.saw(self._real + self._early, now)
        for allowance in self._allowances.values():
            allowance.asked(now)

    def began(self, now: float) -> None:
        """The body of a real call starts."""
        self._real += 1
        self._busiest.saw(self._real + self._early, now)
        for allowance in self._allowances.values():
            allowance.asked(now)
            allowance.began(now)

    def ended(self) -> None:
        """The body of a real call has ended."""
        self._real -= 1

    def rest(self, now: float, seconds: float, status: int) -> bool:
        """Leave it alone for *seconds*; returns whether that is news."""
        news = seconds > 0 and not self.rests(now)
        if news:
            self.failures, self.status = 0, status
            self._resting_since, self.resting_until = now, now
        self.resting_until = max(self.resting_until, now + seconds)
        return news
