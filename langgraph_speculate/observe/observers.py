"""What an observer is, and who observes: the runs of one wrapped graph, or all of the process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from langgraph_speculate.core.events import Event
from langgraph_speculate.observe.delivery import LAST_S, Delivery

_LOG = logging.getLogger("langgraph_speculate")

Observer = Callable[[Event], None]
"""Called with every event, one at a time, in a thread of its own."""


@runtime_checkable
class Companion(Protocol):
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


@runtime_checkable
class Inbox(Protocol):
    """An observer that is called where things happen, and so must return at once: it has a queue, or only counts."""

    def __call__(self, event: Event) -> None:
        """Take in an event."""

    def put(self, happened: Sequence[Event]) -> bool:
        """Take in events; False if they are dropped. Called from any thread."""

    def flush(self, timeout_s: float = LAST_S) -> bool:
        """Return when all that was put is dealt with; False if that takes longer."""


@dataclass(frozen=True, slots=True)
class _AtOnce:
    """An observer that is called where things happen."""

    observer: Observer

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        self.observer(event)

    def put(self, happened: Sequence[Event]) -> bool:
        """Take in events."""
        for event in happened:
            self.observer(event)
        return True

    def flush(self, timeout_s: float = LAST_S) -> bool:
        """All is dealt with already."""
        return True


def listed(observers: Iterable[Observer]) -> tuple[Observer, ...]:
    """The observers, each of them fit to be one.

    Raises:
        TypeError: They are no collection, or one of them cannot be called.
    """
    if callable(observers) or isinstance(observers, str):
        raise TypeError(f"observers= takes a list of observers, not {observers!r:.60}; write observers=[…]")
    found = tuple(observers)
    for one in found:
        if not callable(one):
            raise TypeError(
                f"observers= takes what can be called with an event, such as JsonLines('events.jsonl'), not {one!r:.60}"
            )
    return found


def at_once(observer: Observer) -> Inbox:
    """Return *observer* as one that is called where things happen, with no thread in between.

    For tests, and for what only counts: runs wait for it, and it must be fit for any thread.

    >>> seen = []
    >>> Audience([at_once(seen.append)]).tell([Event(run="r", at=0.0)]), len(seen)
    (0, 1)
    """
    return _AtOnce(observer)


class _Post(Delivery):
    """Delivers to an observer that takes one event at a time, until it is taken off."""

    def __init__(self, observer: Observer, failed: Callable[[], None]) -> None:
        super().__init__(self._each, repr(observer), failed)
        self._observer = observer

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        self.put([event])

    def _each(self, happened: Sequence[Event]) -> None:
        for event in happened:
            if not self.over:
                self._observer(event)


@dataclass(frozen=True, slots=True, eq=False)
class _Seat:
    """An observer's: where events are put for it, and the observer again if it wants to be there."""

    inbox: Inbox
    companion: Companion | None


class Audience:
    """Those who are told what happens; may be used from any thread.

    Args:
        observers: The first of them. One that raises is logged once and taken off.
        beside: Others who are told too.

    >>> seen = []
    >>> audience = Audience([seen.append])
    >>> audience.tell([Event(run="r", at=0.0)]), audience.flush(), len(seen)
    (0, True, 1)
    """

    def __init__(self, observers: Iterable[Observer] = (), beside: Audience | None = None) -> None:
        self._lock = threading.RLock()
        self._beside = beside
        self._own: tuple[_Seat, ...] = ()
        for observer in observers:
            self.add(observer)

    def add(self, observer: Observer) -> Callable[[], None]:
        """Tell *observer* from now on; returns a function that takes it off again, when it has been told what was."""
        inbox = observer if isinstance(observer, Inbox) else _Post(observer, lambda: self._remove(seat))
        seat = _Seat(inbox, observer if isinstance(observer, Companion) else None)
        with self._lock:
            self._own = (*self._own, seat)

        def take_off() -> None:
            self._remove(seat)
            if isinstance(inbox, _Post):
                inbox.close()

        return take_off

    def tell(self, happened: Sequence[Event]) -> int:
        """Tell what happened; returns how many events were dropped because an observer is too slow."""
        dropped = 0
        for seat in self._seats:
            with self._protected(seat):
                dropped += 0 if seat.inbox.put(happened) else len(happened)
        return dropped

    def opened(self, run: str, graph: str, outer: str | None) -> None:
        """A run is opened here (`Companion.opened`)."""
        for seat, companion in self._companions():
            with self._protected(seat):
                companion.opened(run, graph, outer)

    def entering(self, run: str) -> None:
        """A body of a run is about to run early here (`Companion.entering`)."""
        for seat, companion in self._companions():
            with self._protected(seat):
                companion.entering(run)

    def flush(self, timeout_s: float = LAST_S) -> bool:
        """Return when all have been told what was; False if that takes longer."""
        ends = time.monotonic() + timeout_s
        done = [seat.inbox.flush(max(0.0, ends - time.monotonic())) for seat in self._seats]
        return all(done)

    @property
    def _seats(self) -> tuple[_Seat, ...]:
        return self._own if self._beside is None else (*self._own, *self._beside._seats)

    def _companions(self) -> list[tuple[_Seat, Companion]]:
        return [(seat, seat.companion) for seat in self._seats if seat.companion is not None]

    @contextmanager
    def _protected(self, seat: _Seat) -> Iterator[None]:
        """Around what somebody else's code does with what it is told."""
        try:
            yield
        except Exception:  # noqa: BLE001 - somebody else's code
            _LOG.exception("an observer of speculation raised and is taken off: %r", seat.companion or seat.inbox)
            self._remove(seat)

    def _remove(self, seat: _Seat) -> None:
        with self._lock:
            self._own = tuple(one for one in self._own if one is not seat)
        if self._beside is not None:
            self._beside._remove(seat)


EVERYWHERE = Audience()
"""Those who are told what happens in every graph of the process, whoever holds it: for what belongs to a server."""
