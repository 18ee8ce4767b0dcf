"""Carries out the core's commands: the attempts of one run, and waiting for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import Any

from langgraph_speculate.host import clock
from langgraph_speculate.host.attempt import RUNNING, Attempt
from langgraph_speculate.host.entry import TASK
from langgraph_speculate.host.threads import THREADS

_GRACE_S = 0.02
"""How long a run's end waits for cancelled tasks that clean up: most need a few rounds of the loop, and the plain graph
waits for none."""


class Runner:
    """The attempts of one run.

    Args:
        loop: The run's event loop, or None for a sync run.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None) -> None:
        THREADS.open()
        self._open = True
        self._loop = loop
        self._attempts: dict[str, Attempt[Any]] = {}

    def start(self, attempt: Attempt[Any]) -> None:
        """Start an attempt where its venue says."""
        RUNNING.add(1)
        self._attempts[attempt.work.id] = attempt
        # Whoever stopped it, or ended the run, before it stood there found nothing to stop.
        if attempt.work.over or not self._open:
            attempt.refuse(asyncio.CancelledError())
        elif attempt.work.venue == TASK:
            if self._loop is None or not attempt.start_task(self._loop):
                attempt.refuse(RuntimeError("no loop to run in"))
        elif not attempt.start_thread():
            attempt.refuse(RuntimeError("no thread to run in"))

    def get(self, id: str) -> Attempt[Any] | None:
        """The attempt of that speculation, while its body runs."""
        return self._attempts.get(id)

    def forget(self, id: str) -> None:
        """Its body ended."""
        self._attempts.pop(id, None)

    def cancel(self, ids: Iterable[str]) -> list[asyncio.Task[None]]:
        """Stop these; returns the tasks that are winding down."""
        attempts = [self._attempts.get(id) for id in ids]
        return [task for attempt in attempts if attempt is not None and (task := attempt.cancel()) is not None]

    def close(self) -> list[asyncio.Task[None]]:
        """Stop everything, what drains included; returns the tasks that are winding down."""
        was_open, self._open = self._open, False
        winding_down = self.cancel([id for id, attempt in list(self._attempts.items()) if not attempt.taken])
        if was_open:
            THREADS.close()
        return winding_down


def wait(attempts: Iterable[Attempt[Any]], timeout: float) -> None:
    """Block until the body of one of these ended, at most *timeout* seconds."""
    first: Future[None] = Future()

    def ended(_: Future[None]) -> None:
        with suppress(InvalidStateError):
            first.set_result(None)

    for attempt in attempts:
        attempt.over.add_done_callback(ended)
    clock.wait(first, timeout)


async def await_(attempts: Iterable[Attempt[Any]], timeout: float) -> None:
    """`wait` on an event loop."""
    ends = [asyncio.wrap_future(attempt.over) for attempt in attempts]
    if ends:
        await asyncio.wait(ends, timeout=max(0.0, timeout), return_when=asyncio.FIRST_COMPLETED)


async def wind_down(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Wait, but not for long, until cancelled tasks have cleaned up; what needs longer goes on while its loop does."""
    mine = {task for task in tasks if task.get_loop() is asyncio.get_running_loop()}
    if mine:
        await asyncio.wait(mine, timeout=_GRACE_S)
