"""The events of a run in the order in which they happened: threads may hand them out in another."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from cachetools import LRUCache

from langgraph_speculate.core.events import Event, RunClosed

_RUNS = 4096  # that are followed at the same time, and remembered as over; the rest is forgotten, oldest first
_WAITING = 256  # events of one run that came too early; then the one that is due is taken for lost


@dataclass(slots=True)
class _Followed:
    """One run: the number of the event that is due, and those that came too early."""

    due: float = 1
    early: dict[float, Event] = field(default_factory=dict)

    def end(self) -> None:
        """Nothing of it is handed on any more."""
        self.due = math.inf
        self.early.clear()


class InOrder:
    """Hands on the events of each run in order, up to `RunClosed`; what comes after that is left out.

    An event that does not come is waited for, but not for ever. May be called from any thread; one event is handed on
    at a time.

    Args:
        take: Where events are handed on to.

    >>> from langgraph_speculate.core import events
    >>> seen = []
    >>> ordered = InOrder(lambda event: seen.append(event.number))
    >>> for number in (2, 3, 1):
    ...     ordered(events.TurnBegan(run="r", at=float(number), number=number, turn="t"))
    >>> seen
    [1, 2, 3]
    """

    def __init__(self, take: Callable[[Event], None]) -> None:
        self._take = take
        self._lock = threading.RLock()  # the collection of garbage may end a run in the midst of this
        self._runs: LRUCache[str, _Followed] = LRUCache(_RUNS)

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        with self._lock:
            run = self._runs.get(event.run)
            if run is None:
                run = self._runs[event.run] = _Followed()
            if event.number < run.due:
                return
            run.early[event.number] = event
            if len(run.early) > _WAITING:
                run.due = min(run.early)
            while (next_one := run.early.pop(run.due, None)) is not None:
                run.due += 1
                self._take(next_one)
                if isinstance(next_one, RunClosed):
                    run.end()
