"""What an observer is, and who observes every wrapped graph of the process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from langgraph_speculate.core.events import Event

Observer = Callable[[Event], None]
"""Called with every event, on whichever thread it happened; it must not take long."""


@runtime_checkable
class Witness(Protocol):
    """An observer that wants to be there, because events reach it elsewhere: for what goes by context variables."""

    def __call__(self, event: Event) -> None:
        """Take in an event."""

    def opened(self, run: str, graph: str, outer: str | None) -> None:
        """A run is opened: called on its caller's thread, with its caller's context variables.

        Args:
            run: Its id.
            graph: The graph's name; empty if it has none.
            outer: The id of the run around it, or None.
        """

    def entering(self, run: str) -> None:
        """A body of the run is about to run early: called in the context that it will run in."""


_LOCK = threading.Lock()
_everywhere: tuple[Observer, ...] = ()


def observe_everywhere(observer: Observer) -> None:
    """Call *observer* with every event of the process, whose graphs nobody may hold: for what belongs to a server."""
    global _everywhere
    with _LOCK:
        _everywhere = (*_everywhere, observer)


def observe_no_more(observer: Observer) -> None:
    """Take off an observer of every graph; nothing happens if it is none."""
    global _everywhere
    with _LOCK:
        _everywhere = tuple(one for one in _everywhere if one is not observer)


def everywhere() -> tuple[Observer, ...]:
    """Who observes every graph now."""
    return _everywhere
