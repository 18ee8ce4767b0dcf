"""A daemon thread that is there while there is work, and begins anew in a fork of the process.

What is read from a store, written to one or asked of a slow predictor holds up nobody; a thread for it lives no longer
than it is needed, because graphs are made and dropped by the hundred.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from langgraph_speculate.host.threads import in_child, start_daemon


class Worker:
    """One thread at most, which works in rounds until nothing is left.

    Args:
        work: One round; it must not raise.
        is_needed: Whether there is something to do. Whoever makes it so calls `start` afterwards.
        name: The thread's.
        linger_s: Seconds to wait before each round, so that one does the work of many.

    >>> left = [3, 2, 1]
    >>> worker = Worker(left.pop, lambda: bool(left), "countdown")
    >>> worker.start(), worker.wait(5.0), left
    (True, True, [])
    """

    def __init__(
        self, work: Callable[[], object], is_needed: Callable[[], bool], name: str, linger_s: float = 0.0
    ) -> None:
        self._work = work
        self._is_needed = is_needed
        self._name = name
        self._linger_s = linger_s
        self.is_alive = False
        self._begin_anew()
        _ALL.add(self)

    def start(self) -> bool:
        """There is something to do; False if no thread can be had for it."""
        with self._lock:
            if self.is_alive:
                return True
            self.is_alive = True
            self._idle.clear()
            try:
                start_daemon(self._rounds, self._name)
            except RuntimeError:
                self._end()
                return False
            return True

    def hurry(self) -> None:
        """Somebody waits for the next round."""
        self._hurried.set()

    def wait(self, timeout_s: float) -> bool:
        """Return when nothing is left to do; False if that takes longer than *timeout_s*."""
        return self._idle.wait(timeout_s)

    def _rounds(self) -> None:
        while True:
            if self._linger_s:
                self._hurried.wait(self._linger_s)
                self._hurried.clear()
            try:
                self._work()
            except BaseException:
                with self._lock:
                    self._end()
                raise
            with self._lock:
                if not self._is_needed():
                    self._end()
                    return

    def _end(self) -> None:
        self.is_alive = False
        self._idle.set()

    def _begin_anew(self) -> None:
        """Without a thread, and with locks that nobody holds."""
        self._lock = threading.Lock()
        self._hurried, self._idle = threading.Event(), threading.Event()
        self.is_alive = False
        self._idle.set()


_ALL: weakref.WeakSet[Worker] = weakref.WeakSet()


def _in_child() -> None:
    for worker in list(_ALL):
        worker._begin_anew()


in_child(_in_child)
