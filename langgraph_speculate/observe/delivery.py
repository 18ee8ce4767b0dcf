"""Hands events to one observer in a thread of its own, so that nobody who runs an agent ever waits for an observer.

What waits is bounded: an observer that is too slow misses events, which are counted. The thread lives while there is
something to hand out and a few seconds longer. A process that ends as it should hands out all; a forked child begins
with nothing, because what its parent left is the parent's to hand out.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from weakref import WeakSet

from langgraph_speculate.core.events import Event

MAX_WAITING = 16_384
"""Steps of runs whose events may wait for one observer; a step has one event, or a few."""

LAST_S = 5.0
"""Seconds that `flush`, and the end of the process, wait for an observer."""

_LINGER_S = 0.02  # events come in bursts: a thread that woke for each would take turns with the run
_IDLE_S = 5.0
_LOG = logging.getLogger("langgraph_speculate")
_ALL: WeakSet[Delivery] = WeakSet()


class Delivery:
    """What waits for one observer, and the thread that hands it out; may be used from any thread.

    Args:
        take: Takes events in, in the order in which they were put. If it raises, that is logged, and it is not called
            again.
        name: The observer in log messages.
        failed: Called when *take* has raised.

    Attributes:
        over: Whether nothing is handed out any more.

    >>> seen = []
    >>> delivery = Delivery(seen.extend, "a list")
    >>> delivery.put([Event(run="r", at=0.0, number=1)]), delivery.flush(), len(seen)
    (True, True, 1)
    """

    def __init__(
        self, take: Callable[[Sequence[Event]], None], name: str, failed: Callable[[], None] = lambda: None
    ) -> None:
        self._take = take
        self._name = name
        self._failed = failed
        self.over = self._warned = False
        self.forget()
        _ALL.add(self)

    def put(self, happened: Sequence[Event]) -> bool:
        """Leave events to be handed out; False if they are dropped because too many wait."""
        if self.over:
            return True
        if self._queue.qsize() >= MAX_WAITING:
            self._warn()
            return False
        self._queue.put(happened)  # may be called in the midst of itself: the collection of garbage may end a run
        if self._thread is None:
            self._start()
        return True

    def flush(self, timeout_s: float = LAST_S) -> bool:
        """Return when all that was put has been handed out; False if that takes longer, or within the observer."""
        if self._thread is threading.current_thread():
            return False
        done = threading.Event()
        self._queue.put(done)
        self._hurry.set()
        if self._thread is None and not self._start():
            with self._lock:
                self._hand_out(self._queue.get())
        return done.wait(timeout_s)

    def close(self, timeout_s: float = LAST_S) -> None:
        """Hand out what waits; what is put later is ignored."""
        self.flush(timeout_s)
        self.over = True

    def forget(self) -> None:
        """Begin anew, with nothing that waits and no thread."""
        self._queue: SimpleQueue[Sequence[Event] | threading.Event] = SimpleQueue()
        self._hurry = threading.Event()
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None

    def _start(self) -> bool:
        """Start the thread unless there is one; False if there is none to be had, or the process ends."""
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="speculation-observer", daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    return False
                self._thread = thread
        return True

    def _work(self) -> None:
        while (first := self._next()) is not None:
            self._hurry.wait(_LINGER_S)
            self._hurry.clear()
            self._hand_out(first)
            del first  # a thread that waits must not keep what it has handed out

    def _next(self) -> Sequence[Event] | threading.Event | None:
        """What came first of what waits now, or None when the thread may end."""
        try:
            return self._queue.get(timeout=_IDLE_S)
        except Empty:
            with self._lock:  # whoever puts something looks for a thread afterwards
                self._thread = None
                if self._queue.empty():
                    return None
                self._thread = threading.current_thread()
                return self._queue.get()

    def _hand_out(self, first: Sequence[Event] | threading.Event) -> None:
        """Hand out all that waits, and tell those who wait for that."""
        batch: list[Event] = []
        flushes: list[threading.Event] = []
        waits: Sequence[Event] | threading.Event | None = first
        while waits is not None:
            if isinstance(waits, threading.Event):
                flushes.append(waits)
            else:
                batch += waits
            try:
                waits = self._queue.get_nowait()
            except Empty:
                waits = None
        if batch and not self.over:
            try:
                self._take(batch)
            except Exception:  # noqa: BLE001 - somebody else's code, or a disk that is full
                self.over = True
                _LOG.exception("an observer of speculation raised and is taken off: %s", self._name)
                self._failed()
        for flush in flushes:
            flush.set()

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            _LOG.warning("an observer of speculation is too slow, so it misses events: %s", self._name)


def _at_exit() -> None:
    ends = time.monotonic() + LAST_S
    for delivery in list(_ALL):
        delivery.flush(max(0.0, ends - time.monotonic()))


def _in_child() -> None:
    for delivery in list(_ALL):
        delivery.forget()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_in_child)
