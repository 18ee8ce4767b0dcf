"""Virtual threads: real threads of which at most one runs at any instant, and only while it holds the baton.

A virtual thread gives the baton back to the loop when it sleeps in virtual time, waits for a future, or ends. So code
with threads runs with every step in one order that the seed decides, and real thread-locals stay what they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import Context

WATCHDOG_S = 60.0
"""Real seconds after which a virtual thread that does not give the baton back counts as stuck."""


class Abandoned(BaseException):
    """The simulation is over: what a hung body unwinds with. Not an Exception, so that no tool's handler keeps it."""


class Stuck(Exception):
    """A virtual thread blocked for real: it waits for something that only the holder of the baton could give."""


class _Carrier:
    """A real daemon thread that carries virtual threads, one after the other."""

    def __init__(self) -> None:
        self.go = threading.Lock()
        self.go.acquire()
        self.work: Callable[[], None] = _nothing
        threading.Thread(target=self._carry, name="sim-carrier", daemon=True).start()

    def _carry(self) -> None:
        while True:
            self.go.acquire()
            self.work()


_IDLE: list[_Carrier] = []  # touched by the holder of the baton alone


class Baton:
    """Who runs: the loop, or one virtual thread.

    Attributes:
        holder: The virtual thread that runs, or None while the loop does.
        alive: All virtual threads that have started and not ended, oldest first.
    """

    def __init__(self) -> None:
        self.holder: VirtualThread | None = None
        self.alive: dict[VirtualThread, None] = {}
        self._back = threading.Lock()
        self._back.acquire()

    def hand_to(self, thread: VirtualThread) -> None:
        """Let *thread* run until it gives the baton back. Called on the loop."""
        self.holder = thread
        thread.carrier.go.release()
        if not self._back.acquire(timeout=WATCHDOG_S):
            raise Stuck(f"{thread.name} holds the baton for {WATCHDOG_S:g} real seconds")
        self.holder = None

    def give_back(self) -> None:
        """Let the loop run again. Called by the holder, which must not touch anything shared afterwards."""
        self._back.release()


class VirtualThread:
    """One body in a thread.

    Args:
        baton: The simulation's.
        work: The body; what it raises is its own affair.
        name: For reports.
    """

    def __init__(self, baton: Baton, work: Callable[[], object], name: str) -> None:
        self.name = name
        self.carrier = _IDLE.pop() if _IDLE else _Carrier()
        self.carrier.work = self._run
        self.abandoned = False
        self._baton = baton
        self._work = work
        baton.alive[self] = None

    def pause(self) -> None:
        """Wait until the loop hands the baton here again.

        Raises:
            Abandoned: The simulation is over.
        """
        if not self.abandoned:
            go = self.carrier.go
            self._baton.give_back()
            go.acquire()
        if self.abandoned:
            raise Abandoned

    def abandon(self) -> None:
        """Unwind a body that will not end by itself. Called on the loop."""
        self.abandoned = True
        self._baton.hand_to(self)

    def _run(self) -> None:
        try:
            Context().run(self._work)  # as a new thread, which inherits nothing
        except BaseException:  # noqa: BLE001 - it has been reported, or the simulation is over
            pass
        finally:
            del self._baton.alive[self]
            _IDLE.append(self.carrier)
            self._baton.give_back()


def _nothing() -> None:
    return None
