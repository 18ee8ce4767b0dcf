"""What mining learns with: the predictor that runs live, and what it learned since it was last asked.

Sums merge in any order (`core/sums.py`), so several processes may learn at once, each from other tasks. Each counts by
itself in how many tasks a value turned up: fewer values are written down than by one process, never more.
"""

from __future__ import annotations

import gc
import multiprocessing
import signal
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import NamedTuple
from zlib import crc32

from langgraph_speculate.core.history import Origin
from langgraph_speculate.core.sums import Key, Sums, add_to
from langgraph_speculate.patterns.store import SHARED
from langgraph_speculate.predict import default_predictor
from langgraph_speculate.traces.runs import Run

_BATCH = 200  # runs a transaction
_SENT = 8  # runs sent at a time: few, because each may be large
_FEW = (100_000, 20, 100)  # thresholds of garbage collection
_AHEAD = 4  # sendings that wait for a process, so that none is idle while runs are read


class Learned(NamedTuple):
    """What was learned: from how many calls, and the sums to write down, with the marks of the runs."""

    calls: int
    sums: Sums


class Learner:
    """Learns runs in this process.

    Args:
        known: What the store holds.
        private: Names of tools, or globs, whose values are never written down.
    """

    def __init__(self, known: Sums, private: Collection[str]) -> None:
        self._predictor = default_predictor()
        self._predictor.private = lambda tool: any(fnmatchcase(tool, name) for name in private)
        self._predictor.install(SHARED, self._predictor.prepare(known))
        self._marks: Sums = {}
        self._calls = 0

    def learn(self, mark: Key, run: Run) -> Learned | None:
        """Learn a run; *mark* tells that it was learned. Hands over what is to be written, once that is enough."""
        for history, calls in run.decisions():
            self._calls += len(calls)
            # What models write before their calls is never written down, so nothing is learned from it here.
            about = replace(history, origin=Origin(thread=run.task, run=run.id), writing="")
            self._predictor.learn(about, calls)
        self._marks[mark] = (1.0, 0.0)
        return self.take() if len(self._marks) >= _BATCH else None

    def take(self) -> Learned:
        """Hand over what was learned since the last time."""
        taken = Learned(self._calls, dict(self._predictor.take().get(SHARED, {})))
        add_to(taken.sums, self._marks.items())
        self._marks, self._calls = {}, 0
        return taken


class Learners:
    """Learns runs in processes of their own; those of one task in one of them.

    Args:
        jobs: How many processes.
        known: As for a `Learner`.
        private: The same.
    """

    def __init__(self, jobs: int, known: Sums, private: Collection[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pools = [
            ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(known, tuple(private)))
            for _ in range(jobs)
        ]
        self._waiting: list[list[tuple[Key, Run]]] = [[] for _ in range(jobs)]
        self._under_way: list[deque[Future[list[Learned]]]] = [deque() for _ in range(jobs)]

    def learn(self, mark: Key, run: Run) -> Iterator[Learned]:
        """Have a run learned, and yield what is to be written by now."""
        at = crc32(run.task.encode(errors="replace")) % len(self._pools)
        self._waiting[at].append((mark, run))
        if len(self._waiting[at]) >= _SENT:
            self._send(at)
            if len(self._under_way[at]) > _AHEAD:
                yield from self._under_way[at].popleft().result()

    def take(self) -> Iterator[Learned]:
        """Wait until all is learned, and yield the rest."""
        for at in range(len(self._pools)):
            self._send(at)
        for pool, under_way in zip(self._pools, self._under_way, strict=True):
            while under_way:
                yield from under_way.popleft().result()
            with _out_of_reach():
                last = pool.submit(_take)
            yield last.result()

    def close(self) -> None:
        """End the processes, and wait until they have; what they were not asked for is lost."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools:  # or the end of this process would, where Ctrl-C is a traceback
            pool.shutdown()

    def _send(self, at: int) -> None:
        runs, self._waiting[at] = self._waiting[at], []
        with _out_of_reach():
            self._under_way[at].append(self._pools[at].submit(_learn, runs))


@contextmanager
def _out_of_reach() -> Iterator[None]:
    """Processes that are started in it do not hear Ctrl-C, not even while they import: whoever started them does."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows, whose processes ignore it once they have begun
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_own: Learner  # of each process of `Learners`


def _begin(known: Sums, private: Collection[str]) -> None:
    global _own
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started it ends it
    gc.set_threshold(*_FEW)
    _own = Learner(known, private)


def _learn(runs: list[tuple[Key, Run]]) -> list[Learned]:
    learned = (_own.learn(mark, run) for mark, run in runs)
    return [one for one in learned if one is not None]


def _take() -> Learned:
    return _own.take()


@contextmanager
def few_collections() -> Iterator[None]:
    """What is learned lives long: to look through all of it for garbage again and again takes a quarter of the time."""
    before = gc.get_threshold()
    gc.set_threshold(*_FEW)
    try:
        yield
    finally:
        gc.set_threshold(*before)
