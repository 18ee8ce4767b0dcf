"""One body that is sent away: when it is taken back, how long anybody waits for it, and that its end is told once.

An executor is its owner's: it may be full, shut, broken, or none at all. Whatever it does with a body, no real call is
held up by that.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.host import clock
from langgraph_speculate.host.parcels import Parcel, Reply, carry_out


class FailedAway(Exception):
    """A body raised in a worker. The error itself stays there; what it said of its service's load can be read here.

    Args:
        reply: What came back.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.failure)
        if reply.overload is not None:
            self.status_code = reply.overload.status
            self.headers = {"Retry-After": str(reply.overload.retry_after_s)}


_UNWANTED = Outcome(error=asyncio.CancelledError())


class Errand:
    """One body that is sent away.

    Args:
        executor: Where to.
        parcel: What is sent.
        stay: Called when the tool turns out to need the run's own process.

    Attributes:
        seconds: How long the body ran, once that is known.
        stood_in_line: It was stopped before a worker took it up.
    """

    def __init__(self, executor: Executor, parcel: Parcel, stay: Callable[[], None]) -> None:
        self.seconds: float | None = None
        self.stood_in_line = False
        self._executor = executor
        self._parcel = parcel
        self._stay = stay
        self._away: Future[Reply] | None = None
        self._awake: Future[None] = Future()
        self._is_unwanted = False
        self._is_urgent = False
        self._told = threading.Lock()
        self._then: Callable[[Outcome | None], None] = _nobody

    def run(self, timeout_s: float, then: Callable[[Outcome | None], None]) -> None:
        """Send the body away, wait for its end, and hand that to *then*; None if it has to run here after all.

        Args:
            timeout_s: The longest wait, in seconds.
            then: Called once. A body that nobody wants any more has not ended while its worker is at it, and holds its
                slot: nobody waits here for that end, the worker tells it.
        """
        self._then = then
        try:
            away = self._executor.submit(carry_out, self._parcel)
            away.add_done_callback(lambda _away: self._wake())
        except BaseException:  # noqa: BLE001 - it is shut or broken, or no executor at all: its owner's business
            self.stood_in_line = self._is_unwanted
            self._tell(_UNWANTED if self._is_unwanted else None)
            return
        self._away = away
        try:
            if self._is_urgent and self._taken_back(away):
                return
            clock.wait(self._awake, timeout_s)
            if self._taken_back(away):
                return
            if not away.done() and self._is_unwanted:
                away.add_done_callback(lambda away: self._tell(self._outcome(away) or _UNWANTED))
                return
        except BaseException as error:  # noqa: BLE001 - a future of somebody's own
            self._tell(Outcome(error=error))
            return
        self._tell(self._outcome(away) if away.done() else Outcome(error=TimeoutError(), stopped=True))

    def cancel(self) -> None:
        """Nobody wants the result any more. A body that has not started will not."""
        self._is_unwanted = True
        self._wake()

    def hurry(self) -> bool:
        """Somebody waits for the result: one that stands in line has ended when this returns.

        Returns:
            Whether the body is known to run. Other executors than one of threads say so of what stands in line, too,
            or nothing at all, and some have not taken it yet.
        """
        self._is_urgent = True
        away = self._away
        try:
            if away is None or self._taken_back(away):
                return False
            return away.done() or isinstance(self._executor, ThreadPoolExecutor)
        except Exception:  # noqa: BLE001 - a future of somebody's own
            return False

    def _taken_back(self, away: Future[Reply]) -> bool:
        """Whether no worker has taken it up; none will."""
        if not away.cancel():
            return False
        self.stood_in_line = True
        self._tell(_UNWANTED)
        return True

    def _tell(self, outcome: Outcome | None) -> None:
        if self._told.acquire(blocking=False):
            self._then(outcome)

    def _outcome(self, away: Future[Reply]) -> Outcome | None:
        try:
            return self._read(away.result())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the real call will show it
            return Outcome(error=error)

    def _wake(self) -> None:
        with suppress(InvalidStateError):  # it is awake
            self._awake.set_result(None)

    def _read(self, reply: Any) -> Outcome | None:
        if not isinstance(reply, Reply):
            return Outcome(error=TypeError())
        self.seconds = reply.seconds
        if reply.stays:
            self._stay()
            if reply.seconds is None:
                return None
        error = None if reply.failure is None else FailedAway(reply)
        return Outcome(value=reply.value, error=error, taint=reply.taint)


def _nobody(_outcome: Outcome | None) -> None:
    """Who hears of an errand that was not run."""
