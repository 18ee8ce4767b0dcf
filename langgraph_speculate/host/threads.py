"""Daemon threads for bodies that cannot run on an event loop.

One pool a process, bounded by busy threads: an abandoned body counts until it ends. Threads are daemons, so a hung
body never delays the exit of the process (a `ThreadPoolExecutor` would join it), and idle ones end with the last run.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue

Job = Callable[[], None]

_LOG = logging.getLogger("langgraph_speculate")

MAX_BUSY = 64
"""Bodies that may run in threads of one process at the same time, abandoned ones included."""


def start_daemon(work: Job, name: str) -> None:
    """Run *work* in a new thread that does not delay the process's exit.

    Raises:
        RuntimeError: The system has no thread to give, or the interpreter is shutting down.
    """
    threading.Thread(target=work, name=name, daemon=True).start()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that the caller runs on, or None where there is none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def at_exit(finish: Callable[[], object]) -> Job:
    """Call *finish*, a method, when the process ends as it should and its object is still there.

    Returns:
        What takes that back.
    """
    registered = atexit.register(partial(_call, weakref.WeakMethod(finish)))
    return partial(atexit.unregister, registered)


def in_child(begin_anew: Callable[[], object]) -> None:
    """Call *begin_anew* in each fork of the process, where no thread but the forking one goes on."""
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=begin_anew)


def _call(method: weakref.WeakMethod[Callable[[], object]]) -> None:
    alive = method()
    if alive is not None:
        alive()


class _Worker:
    """One thread and what it is to do next; None tells it to end."""

    def __init__(self, pool: Threads) -> None:
        self.inbox: SimpleQueue[Job | None] = SimpleQueue()
        self._pool = pool
        start_daemon(self._work, "speculate-worker")

    def _work(self) -> None:
        while (job := self.inbox.get()) is not None:
            try:
                job()
            except BaseException as error:  # noqa: BLE001 - a thread that died would be taken for an idle one
                _LOG.warning("speculation: an internal error in a thread: %s", type(error).__name__)
            del job  # a thread that waits for the next must not keep the last one's results
            if not self._pool.give_back(self):
                return


class Threads:
    """A pool of daemon threads that exists only while somebody uses it.

    >>> pool, done = Threads(max_busy=2), threading.Event()
    >>> pool.open()
    >>> pool.submit(done.set), done.wait(5)
    (True, True)
    >>> pool.close()
    """

    def __init__(self, max_busy: int = MAX_BUSY) -> None:
        self._max_busy = max_busy
        self._users = 0
        self.begin_anew()

    def begin_anew(self) -> None:
        """Know of no thread: a fork of the process has none of them."""
        self._lock = threading.RLock()  # the collection of garbage may end a run in the midst of this
        self._idle: list[_Worker] = []
        self._busy = 0

    def open(self) -> None:
        """Somebody may need threads from now on."""
        with self._lock:
            self._users += 1

    def close(self) -> None:
        """They need none any more; with the last one idle threads end, and busy ones after their body."""
        with self._lock:
            self._users -= 1
            idle, self._idle = (self._idle, []) if self._users == 0 else ([], self._idle)
        for worker in idle:
            worker.inbox.put(None)

    def submit(self, job: Job) -> bool:
        """Run *job*, which must not raise, in a thread; False when all threads are busy or none can be made."""
        with self._lock:
            if self._busy >= self._max_busy:
                return False
            self._busy += 1
            worker = self._idle.pop() if self._idle else None
        if worker is None:
            try:
                worker = _Worker(self)
            except RuntimeError:  # the interpreter is shutting down, or the system is out of threads
                with self._lock:
                    self._busy -= 1
                return False
        worker.inbox.put(job)
        return True

    def give_back(self, worker: _Worker) -> bool:
        """A worker's body ended; whether the worker is kept."""
        with self._lock:
            self._busy -= 1
            if self._users == 0:
                return False
            self._idle.append(worker)
            return True


THREADS = Threads()
"""The process's own."""

in_child(THREADS.begin_anew)
