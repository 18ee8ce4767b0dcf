"""The slots of one service: which early bodies may hold one, and which of them leave when a real call finds none.

Real calls are counted, and never asked to wait. An early body that can be stopped may have any slot but the last that
is free, and leaves it to the first real call that finds none, so it is in nobody's way. One that cannot be stopped (it
runs in a thread, or its tool lets bodies finish) keeps its slot, whoever comes meanwhile. So it gets none of those that
real calls are expected to hold at their busiest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

REMEMBERED_S: Final = 300.0
"""For how long, at least, it is remembered how many real calls there were at once."""


@dataclass(slots=True)
class Busiest:
    """The most that real calls have needed lately.

    Args:
        memory_s: For how many seconds that is remembered.

    >>> busiest = Busiest(memory_s=60.0)
    >>> busiest.saw(3, now=0.0)
    >>> busiest.saw(1, now=10.0)
    >>> busiest.expected(1, now=20.0), busiest.expected(1, now=61.0)
    (3, 1)
    """

    memory_s: float = REMEMBERED_S
    _count: int = 0
    _at: float = -math.inf

    def saw(self, count: int, now: float) -> None:
        """Real calls needed *count*."""
        if count >= self.expected(0, now):
            self._count, self._at = count, now

    def expected(self, count: int, now: float) -> int:
        """What they are expected to need, when they need *count* now."""
        return max(count, self._count) if 0.0 <= now - self._at <= self.memory_s else count


@dataclass(frozen=True, slots=True, eq=False)
class Guest:
    """An early body that can be stopped, and holds a slot until then.

    Attributes:
        worth: Expected seconds saved, net of what it costs, when it was launched.
        stop: Asks its run to stop it; returns whether that does. It does not once a real call waits for the body.
    """

    worth: float
    stop: Callable[[], bool]


def can_be_stopped(venue: str, drain: bool) -> bool:
    """Whether a body can be stopped while it runs.

    Args:
        venue: Where it runs; only a task can be.
        drain: Whether it may finish although nobody wants it.
    """
    return venue == "task" and not drain


class Slots:
    """Who holds the slots of one service.

    Args:
        count: How many there are, or None if that does not matter.

    >>> slots = Slots(2)
    >>> slots.began_early()
    >>> slots.came(Guest(worth=0.4, stop=lambda: True))
    >>> slots.has_room(now=0.0, stoppable=True)
    False
    >>> slots.began(now=0.0), slots.in_the_way()
    (None, None)
    >>> slots.began(now=0.1), slots.in_the_way().worth
    (None, 0.4)
    """

    def __init__(self, count: int | None = None) -> None:
        self._count = count
        self._real = 0
        self._early = 0
        self._guests: list[Guest] = []
        self._leaving: set[Guest] = set()
        self._busiest = Busiest()

    def declare(self, count: int | None) -> None:
        """Somebody else says how many there are; the least holds."""
        said = [one for one in (self._count, count) if one is not None]
        self._count = min(said, default=None)

    @property
    def held(self) -> int:
        """By bodies, real and early, those included that are leaving."""
        return self._real + self._early

    @property
    def crowding(self) -> float:
        """How much of them is in use, in [0, 1]."""
        if self._count is None:
            return 0.0
        return min(1.0, self.held / self._count) if self._count else 1.0

    def has_room(self, now: float, *, stoppable: bool) -> bool:
        """Whether an early body may have one."""
        if self._count is None:
            return True
        if stoppable:
            return self.held + 1 < self._count
        needed = self._busiest.expected(self._real, now) + self._early
        # A record is there to be beaten: by about its deviation. And real calls come in groups.
        return needed + math.isqrt(needed) + 2 <= self._count

    def in_the_way(self) -> Guest | None:
        """Who leaves next so that each real call has a slot, the one worth least first; None if nobody can or must."""
        if self._count is None or self.held - len(self._leaving) <= self._count or not self._guests:
            return None
        guest = min(reversed(self._guests), key=lambda guest: guest.worth)  # of equals the latest: it has done least
        self._guests.remove(guest)
        self._leaving.add(guest)
        return guest

    def stays(self, guest: Guest) -> None:
        """A guest that was asked to leave does not: a real call waits for it."""
        self._leaving.discard(guest)

    # -- what happens ------------------------------------------------------------------------------------------------

    def began_early(self) -> None:
        """An early body is about to start."""
        self._early += 1

    def came(self, guest: Guest) -> None:
        """It can be stopped."""
        if self._count is not None:
            self._guests.append(guest)

    def ended_early(self, guest: Guest | None = None) -> None:
        """An early body has ended, or never started."""
        self._early -= 1
        if guest is not None:
            self._leaving.discard(guest)
            if guest in self._guests:
                self._guests.remove(guest)

    def began(self, now: float) -> None:
        """The body of a real call starts."""
        self._real += 1
        self._busiest.saw(self._real, now)

    def ended(self) -> None:
        """The body of a real call has ended."""
        self._real -= 1
