"""One body that runs early, in a thread, as a task or in the owner's executor, until its end is told, once.

The venue follows the run: a native-async tool in an async run becomes a task on the run's own loop (async clients are
bound to one loop), everything else runs in a daemon thread (`threads.py`), or from there in the owner's executor
(`executors.py`).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.speculation import Speculation
from langgraph_speculate.host import clock
from langgraph_speculate.host.entry import THREAD
from langgraph_speculate.host.errand import Errand
from langgraph_speculate.host.place import Place
from langgraph_speculate.host.results import LENT, OF_ONE_THREAD, holds, unadoptable
from langgraph_speculate.host.sandbox import Sandbox
from langgraph_speculate.host.threads import THREADS, in_child, running_loop


class Work(Protocol):
    """What a body runs early for: a speculation, or a warm-up."""

    id: str
    venue: str

    @property
    def call_id(self) -> str | None:
        """The id of the call that it was handed, if any."""
        ...

    @property
    def over(self) -> bool:
        """Whether nobody wants it any more."""
        ...


W = TypeVar("W", bound=Work)
Report = Callable[[W, Outcome, float | None, float], None]
"""What a runner tells when a body ended: what it was for, how, when it really started (None: never), when it ended."""


Again = Callable[[Place], "Callable[[Speculation], Attempt[Speculation]] | None"]
"""Returns what makes a second attempt at the same call, for a twin of its speculation; None if nothing can."""


class _Running:
    """How many attempts run in this process, of whatever graph."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """None runs: a fork of the process has no thread of its parent's."""
        self._lock = threading.Lock()
        self.count = 0

    def add(self, more: int) -> None:
        with self._lock:
            self.count += more


RUNNING = _Running()
in_child(RUNNING.begin_anew)


def in_process() -> int:
    """How many attempts of all graphs run in this process."""
    return RUNNING.count


class Attempt(Generic[W]):
    """One body that runs early.

    Args:
        work: What it is for.
        sandbox: Where it runs.
        body: A function without arguments; returns a coroutine where the venue is a task.
        report: Told once when the body has ended, before anybody who waits is woken.
        timeout_s: Seconds after which a task is stopped; a thread cannot be.
        again: For a second attempt. It must not keep the first one's place: a body that hangs would, with it.
        errand: Runs the body in the owner's executor, if it can go there.

    Attributes:
        over: Is done when the body has ended and that was reported.
        task: The task it runs in, once there is one.
        taken: A real call waits for it, or takes what it writes as it comes: it is that call's to stop, and does not
            end with the run.
    """

    def __init__(
        self,
        work: W,
        sandbox: Sandbox,
        body: Callable[[], Any],
        report: Report[W],
        timeout_s: float,
        *,
        again: Again | None = None,
        errand: Errand | None = None,
    ) -> None:
        self.work = work
        self.again = again
        self._errand = errand
        self._sandbox = sandbox
        self._body = body
        self._report = report
        self._timeout_s = timeout_s
        self._started: float | None = None
        self._ended = threading.Lock()
        self.over: Future[None] = Future()
        self.task: asyncio.Task[None] | None = None
        self.taken = False
        self._cancelled = False

    # -- in a thread -------------------------------------------------------------------------------------------------

    def start_thread(self) -> bool:
        """Start in a thread; False when the process has none to spare."""
        return THREADS.submit(self._in_thread)

    def _in_thread(self) -> None:
        if self._cancelled:
            self._end(Outcome(error=asyncio.CancelledError()))
            return
        self._started = clock.now()
        errand = self._errand
        if errand is None:
            self._end(self._here())
            return

        def back(outcome: Outcome | None) -> None:
            if errand.seconds is not None:
                self._started = clock.now() - errand.seconds  # it may have stood in line
            elif errand.stood_in_line:
                self._started = None
            self._end(self._here() if outcome is None else replace(outcome, effects=self._sandbox.recorder))

        errand.run(self._timeout_s, back)

    def _here(self) -> Outcome:
        try:
            value = self._sandbox.run(self._body)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the real call will show it
            return Outcome(error=error, taint=self._sandbox.taint)
        return self._outcome(value)

    # -- on the run's loop -------------------------------------------------------------------------------------------

    def start_task(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Start as a task on *loop*, from any thread; False when the loop is gone."""
        if running_loop() is loop:
            self._create_task(loop)
            return True
        try:
            loop.call_soon_threadsafe(self._create_task, loop)
        except RuntimeError:
            return False
        return True

    def _create_task(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._cancelled:
            self._end(Outcome(error=asyncio.CancelledError()))
            return
        self.task = loop.create_task(self._as_task(), context=self._sandbox.context)
        # In the sandbox's context, or they would keep that of the model's node alive.
        context = self._sandbox.context
        # Through its alarm the loop holds on to the task, which by itself it does not: it may clean up beyond its run.
        alarm = loop.call_later(self._timeout_s, self.task.cancel, context=context)
        self.task.add_done_callback(lambda _task: self._done(alarm), context=context)
        if self._cancelled:  # in the meantime, by another thread, which saw no task
            self.task.cancel()

    def _done(self, alarm: asyncio.TimerHandle) -> None:
        alarm.cancel()
        self._end(Outcome(error=asyncio.CancelledError()))  # one cancelled before its first step never got further

    async def _as_task(self) -> None:
        self._started = clock.now()
        try:
            value = await self._body()
        except asyncio.CancelledError as error:
            self._end(Outcome(error=error, taint=self._sandbox.taint, stopped=True))
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, the real call will show it
            self._end(Outcome(error=error, taint=self._sandbox.taint))
        else:
            self._end(self._outcome(value))

    # -- both --------------------------------------------------------------------------------------------------------

    def hurry(self) -> bool:
        """A real call waits for it, and it must not stand in line; whether it is known to run, or has ended."""
        return self._errand is None or self._errand.hurry()

    def cancel(self) -> asyncio.Task[None] | None:
        """Stop it if it can be stopped: a task at its next await, a thread only before it starts. Returns the task.

        A task is stopped once, however often it is asked for: it may be cleaning up.
        """
        again, self._cancelled = self._cancelled, True
        if self._errand is not None:
            self._errand.cancel()
        task = self.task
        if task is None or task.done():
            return None
        loop = task.get_loop()
        if not again and running_loop() is loop:
            task.cancel()
        elif not again and not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)
        return task

    def refuse(self, error: BaseException) -> None:
        """It could not be started."""
        self._end(Outcome(error=error))

    def _outcome(self, value: Any) -> Outcome:
        sandbox = self._sandbox
        return Outcome(value=value, taint=sandbox.taint or self._objection(value), effects=sandbox.recorder)

    def _objection(self, value: Any) -> str | None:
        """Why no real call may be answered with *value*, or None."""
        try:
            told = value, self._sandbox.recorder.written
            if holds(told, LENT):
                return "its run's own objects in what it returns or writes"
            if self.work.venue == THREAD and holds(told, OF_ONE_THREAD):
                return "what is bound to its thread in what it returns or writes"
            if self._sandbox.recorder.has_changed:
                return "an object that it wrote to a stream and changed later"
            # One that was handed its call's id may answer with what carries it: no other call gets that.
            return unadoptable(value) if self.work.call_id is None else None
        except BaseException as error:  # noqa: BLE001 - a value may answer to questions about its class with its own code
            return f"a result that cannot be looked at ({type(error).__name__})"

    def _end(self, outcome: Outcome) -> None:
        if not self._ended.acquire(blocking=False):
            return
        RUNNING.add(-1)
        try:
            self._report(self.work, outcome, self._started, clock.now())
        finally:
            self.over.set_result(None)
