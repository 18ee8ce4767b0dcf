"""The deterministic event loop: time is virtual, nothing blocks, and one seed fixes a run.

Private names of asyncio used here: `_run_once`, `_ready`, `_scheduled` (of loop and timer), `_when`, `_selector`,
`_process_events`, `_write_to_self`, `_clock_resolution`. Each has a contract test.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, Protocol

from langgraph_speculate.host import clock, worker
from langgraph_speculate.host.threads import THREADS
from tests.sim.baton import Baton, Stuck, VirtualThread

Mode = Literal["fifo", "permuted"]
MAX_STEPS = 2_000_000
HORIZON_S = 10_000.0
"""Virtual seconds that threads left over may go on after the end; a body that sleeps beyond is hung."""
_EMPTY = Context()


class Deadlock(Exception):
    """Nothing can happen any more, or it never ends."""


class Egress(Exception):
    """Somebody tried to reach the network."""


class _JumpSelector:
    """Instead of waiting, time jumps to the next timer."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Deadlock("no ready callback and no timer")
        self._loop.now += max(timeout, 0.0)
        return []

    def close(self) -> None:
        return None


class _Task(asyncio.Task):  # type: ignore[type-arg]
    """Hashed by its number, not its address: the host keeps tasks in sets and goes through them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.number = kwargs["loop"].number() ^ kwargs["loop"].salt
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future):  # type: ignore[type-arg]
    def __init__(self, *, loop: VirtualLoop) -> None:
        self.number = loop.number() ^ loop.salt
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number


class _Timer(asyncio.TimerHandle):
    """One of several timers of an instant fires first if it was set first; a heap alone would take any."""

    __slots__ = ("number",)

    def __lt__(self, other: Any) -> bool:
        return (self._when, self.number) < (other._when, other.number)


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop in virtual time.

    Args:
        seed: Decides whatever the loop draws.
        mode: `fifo` runs ready callbacks in order, as asyncio promises; `permuted` in any, which over-approximates.
        queue_wait_s: Seconds a job waits before an executor starts it.
        salt: Another number gives sets of tasks another order, which is nobody's promise.

    Attributes:
        now: The virtual time, in seconds.
        steps: Rounds of the loop so far.
        complaints: What asyncio would have logged: exceptions nobody retrieved, say.
        after_step: Called between two rounds, with the number of those that are over.
    """

    def __init__(self, seed: int = 0, mode: Mode = "fifo", queue_wait_s: float = 0.0, salt: int = 0) -> None:
        super().__init__()
        self.salt = salt
        self.now = 0.0
        self.steps = 0
        self.complaints: list[str] = []
        self.after_step: Callable[[int], object] | None = None
        self.baton = Baton()
        self.random = random.Random(seed)
        self.number = itertools.count().__next__
        self._permuted = mode == "permuted"
        self._queue_wait_s = queue_wait_s
        self._failure: BaseException | None = None
        self._selector = _JumpSelector(self)
        self._clock_resolution = 1e-9
        self.set_task_factory(lambda loop, coro, **kwargs: _Task(coro, loop=loop, **kwargs))
        self.set_exception_handler(self._complain)

    # -- what asyncio asks for ---------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.now

    def create_future(self) -> asyncio.Future[Any]:
        return _Future(loop=self)

    def call_soon_threadsafe(
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)  # whoever calls holds the baton

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = _Timer(when, callback, args, self, context)
        timer.number = self.number()
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True
        return timer

    async def getaddrinfo(self, host: Any, port: Any, **_kwargs: Any) -> NoReturn:
        raise Egress(f"{host}:{port}")

    def _process_events(self, event_list: list[Any]) -> None:
        return None

    def _write_to_self(self) -> None:
        return None

    def _run_once(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self.after_step is not None:
            self.after_step(self.steps)
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Deadlock(f"no end after {MAX_STEPS} steps")
        if not self._permuted or len(self._ready) < 2:
            super()._run_once()
            return
        ready = self._ready
        chosen = self.random.randrange(len(ready))
        rest = deque(handle for index, handle in enumerate(ready) if index != chosen)
        one = ready[chosen]
        ready.clear()
        ready.append(one)
        super()._run_once()
        ready.extendleft(reversed(rest))

    def _complain(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Stuck):
            self._failure = error  # asyncio goes on after what a callback raises
        self.complaints.append(f"{context['message']}: {error!r}")

    # -- threads -----------------------------------------------------------------------------------------------------

    def run_in_executor(self, _executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Run *func* in a virtual thread. Cancelled before its start it never runs, afterwards its result is lost."""
        future = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except StopIteration as error:  # a future cannot hold it
                self.call_soon(_settle, future, None, RuntimeError(repr(error)), context=_EMPTY)
            except BaseException as error:  # noqa: BLE001 - it is the waiter's
                self.call_soon(_settle, future, None, error, context=_EMPTY)
            else:
                self.call_soon(_settle, future, result, None, context=_EMPTY)

        def start() -> None:
            if not future.cancelled():
                self.start_thread(work, "executor")

        self.call_later(self._queue_wait_s, start, context=_EMPTY)
        return future

    def submit(self, job: Callable[[], None]) -> bool:
        """In place of the library's pool of threads."""
        self.call_later(self._queue_wait_s, self.start_thread, job, "speculation", context=_EMPTY)
        return True

    def start_daemon(self, work: Callable[[], None], name: str) -> None:
        """In place of the library's single threads."""
        self.call_soon(self.start_thread, work, name, context=_EMPTY)

    def start_thread(self, work: Callable[[], object], name: str) -> None:
        """Start a virtual thread now. Called on the loop."""
        self.baton.hand_to(VirtualThread(self.baton, work, name))

    def sleep(self, seconds: float) -> None:
        """Let a virtual thread sleep in virtual time."""
        thread = self._thread()
        self.call_later(seconds, self.baton.hand_to, thread, context=_EMPTY)
        thread.pause()

    def wait(self, future: Future[Any], timeout: float) -> None:
        """Let a virtual thread wait for a future, at most *timeout* virtual seconds."""
        if future.done() or timeout <= 0:
            return
        thread = self._thread()
        timer = self.call_later(timeout, lambda: wake(), context=_EMPTY)
        woken = False

        def wake() -> None:
            nonlocal woken
            if not woken:
                woken = True
                timer.cancel()
                self.baton.hand_to(thread)

        future.add_done_callback(lambda _future: self.call_soon(wake, context=_EMPTY))
        thread.pause()

    def _thread(self) -> VirtualThread:
        if self.baton.holder is None:
            raise Deadlock("the loop itself would block")
        return self.baton.holder


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


@dataclass
class Ran:
    """One finished simulation.

    Attributes:
        result: What the coroutine returned, or None.
        error: What it raised, or None.
        loop: Its loop, closed.
        unfinished: Tasks that were not done when the coroutine was: leaks.
        hung: Virtual threads that would never have ended.
    """

    result: Any
    error: BaseException | None
    loop: VirtualLoop
    unfinished: list[str] = field(default_factory=list)
    hung: list[str] = field(default_factory=list)


class Witness(Protocol):
    """Somebody who looks at a simulation from outside."""

    def began(self, loop: VirtualLoop, main: asyncio.Task[Any]) -> None:
        """It is about to run."""

    def ended(self, loop: VirtualLoop) -> None:
        """Its coroutine is done; nothing has been cleared away yet."""


_ACTIVE: VirtualLoop | None = None


def active() -> VirtualLoop:
    """The loop of the simulation that runs."""
    if _ACTIVE is None:
        raise Deadlock("outside of a simulation")
    return _ACTIVE


def sleep(seconds: float) -> None:
    """For bodies of sync tools: sleep in virtual time."""
    active().sleep(seconds)


def run(
    coro: Coroutine[Any, Any, Any],
    seed: int = 0,
    mode: Mode = "fifo",
    queue_wait_s: float = 0.0,
    salt: int = 0,
    witness: Witness | None = None,
) -> Ran:
    """Run *coro* to its end in virtual time, then whatever threads it left behind.

    Raises:
        Deadlock: It cannot end.
    """
    loop = VirtualLoop(seed, mode, queue_wait_s, salt)
    with _installed(loop):
        main = loop.create_task(coro)
        main.add_done_callback(lambda _task: loop.stop())
        if witness is not None:
            witness.began(loop, main)
        try:
            while not main.done():  # whoever else stops the loop only interrupts it
                loop.run_forever()
            ran = Ran(None, None, loop)
            if main.cancelled():
                ran.error = asyncio.CancelledError()
            else:
                ran.error = main.exception()
                ran.result = None if ran.error is not None else main.result()
            ran.unfinished = [_described(task) for task in asyncio.all_tasks(loop)]
            if witness is not None:
                witness.ended(loop)
            _let_threads_end(loop)
        finally:
            ended = [thread.name for thread in loop.baton.alive]
            for thread in list(loop.baton.alive):
                thread.abandon()
            _cancel_rest(loop)
            loop.close()
        ran.hung = ended
        return ran


def _let_threads_end(loop: VirtualLoop) -> None:
    """Run on, an instant at a time, until no virtual thread is left but those whose next instant is out of sight."""
    until = loop.now + HORIZON_S
    while loop.baton.alive and (loop._ready or loop._scheduled):
        instant = loop.now if loop._ready else loop._scheduled[0]._when
        if instant > until:
            return
        loop.call_at(instant, loop.stop, context=_EMPTY)
        loop.run_forever()


def _cancel_rest(loop: VirtualLoop) -> None:
    rest = asyncio.all_tasks(loop)
    for task in rest:
        task.cancel()
    if rest:
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())


def _described(task: asyncio.Task[Any]) -> str:
    return getattr(task.get_coro(), "__qualname__", repr(task))


@contextmanager
def _installed(loop: VirtualLoop) -> Iterator[None]:
    """Put virtual time and virtual threads where the library has the real ones."""
    global _ACTIVE
    real = clock.now, clock.epoch, clock.wait, worker.start_daemon
    _ACTIVE = loop
    clock.now, clock.wait, worker.start_daemon = loop.time, loop.wait, loop.start_daemon
    clock.epoch = lambda: 0.0
    THREADS.submit = loop.submit  # type: ignore[method-assign]
    try:
        yield
    finally:
        _ACTIVE = None
        clock.now, clock.epoch, clock.wait, worker.start_daemon = real
        del THREADS.submit  # type: ignore[method-assign]
