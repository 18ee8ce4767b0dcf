"""Keeps what is learned: reads a store of patterns where runs begin, and writes to it beside them.

All reading and writing happens in a thread of its own, which lives only while there is something to do. A run never
waits for it; what a store does not take is tried again later. Whoever wraps a graph waits a moment for what is known,
unless that would hold up an event loop, and so does a process that ends for what is to be written.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from langgraph_speculate.core.partition import partition_of
from langgraph_speculate.core.sums import Countable, Key, Learner, Pair, Sums, add_to
from langgraph_speculate.host.threads import at_exit, running_loop
from langgraph_speculate.host.worker import Worker
from langgraph_speculate.patterns import PatternStore
from langgraph_speculate.patterns.store import SHARED

_EVERY_S = 2.0
_PATIENCE_S = 1.0  # of whoever wraps a graph; a file of 20 MB may take longer, and is known when it is
_LAST_S = 5.0  # that the end of the process, or `close`, waits for a store
_LOG = logging.getLogger("langgraph_speculate")


class Keeper:
    """The patterns of one wrapped graph, as `speculation_of(graph).patterns`.

    Args:
        store: Where they are kept.
        learner: The predictor that learns them.
        asking: Held while the learner is asked for something, because calls to it never overlap.
        every_s: Seconds between two transactions while there is something to write.
        beside: What else is to be kept, of all partitions together.
    """

    def __init__(
        self,
        store: PatternStore,
        learner: Learner,
        asking: Callable[[], AbstractContextManager[object]],
        every_s: float = _EVERY_S,
        beside: Countable | None = None,
    ) -> None:
        self.store = store
        self._learner = learner
        self._asking = asking
        self._beside = beside
        self._knows_beside = False
        self._lock = threading.Lock()  # of the fields below; never held while anything is read, written or learned
        self._storing = threading.Lock()  # held while the store is used: what is forgotten must not come back
        self._wanted: dict[str, None] = {}  # partitions that a run has met
        self._loading: str | None = None
        self._dirty = self._closed = self._told = False
        self._unwritten: dict[str, Sums] = {}
        self._worker = Worker(self._round, lambda: bool(self._dirty or self._wanted), "patterns-keeper", every_s)
        self._met(SHARED)
        if running_loop() is None:  # an event loop must not be held up
            self._worker.wait(_PATIENCE_S)
        learner.on_new = self._met
        # A process that ends as it should writes all; the graph may be gone before.
        self._not_at_exit = at_exit(self._finish)

    # -- for the graph's owner ---------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what was learned so far; returns when the store has it."""
        with self._storing:
            self._flush()

    def forget(self, *values: object) -> int:
        """Remove all that was learned from one partition, here and in the store; returns how many totals it had.

        Args:
            values: The partition's values of the keys in `partition_by`; none: what is in no partition.
        """
        partition = partition_of(values)
        if partition is None:
            return 0  # nothing is learned from such runs
        with self._storing:
            with self._asking():
                self._learner.forget(partition)
            self._unwritten.pop(partition, None)
            return self.store.forget(partition)

    def close(self) -> None:
        """Write what was learned, and let go of the store; one that hangs is waited for a few seconds."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._not_at_exit()
        if self._finish():
            self.store.close()

    # -- for the host ------------------------------------------------------------------------------------------------

    def learned(self) -> None:
        """Something was learned: write it before long."""
        if not self._dirty and not self._closed:
            self._dirty = True
            if not self._worker.start():
                self._dirty = False  # the next time, or the end of the process

    def _met(self, partition: str) -> None:
        with self._lock:
            if partition in self._wanted or partition == self._loading:
                return
            if self._closed:
                return
            self._wanted[partition] = None
        self._worker.hurry()
        self._worker.start()

    def _round(self) -> None:
        """Read what is wanted, and write what was learned."""
        with self._lock:
            wanted, self._wanted = list(self._wanted), {}
        for partition in wanted:
            self._load(partition)
        with self._lock:
            written, self._dirty = self._dirty, False
        if written:
            self.flush()

    def _finish(self) -> bool:
        """Have all written, within a few seconds; False if the store hangs."""
        self._worker.hurry()
        if not self._worker.wait(_LAST_S) or not self._storing.acquire(timeout=_LAST_S):
            self._tell(TimeoutError())
            return False
        try:
            self._flush()  # what the thread could not write, or was learned since
        finally:
            self._storing.release()
        return True

    def _flush(self) -> None:
        try:
            with self._asking():
                taken = self._learner.take()
            counted = self._beside.take() if self._beside is not None else None
            for partition, sums in (*taken.items(), *([(SHARED, counted)] if counted else ())):
                add_to(self._unwritten.setdefault(partition, {}), sums.items())
            for partition in list(self._unwritten):
                self.store.add(partition, self._unwritten[partition])
                del self._unwritten[partition]
        except Exception as error:  # noqa: BLE001 - a file or a network, and somebody else's store or predictor
            self._tell(error)

    def _load(self, partition: str) -> None:
        """Know what the store knows: of a partition, and what is everybody's."""
        self._loading = partition
        try:
            with self._storing:
                self._flush()  # it would be missing from what is read
                sums: dict[Key, Pair] = dict(self.store.load(SHARED))
                if self._beside is not None and not self._knows_beside:
                    self._beside.give(sums)
                    self._knows_beside = True
                if partition != SHARED:
                    add_to(sums, self.store.load(partition).items())
                prepared = self._learner.prepare(sums)
                with self._asking():
                    self._learner.install(partition, prepared)
        except Exception as error:  # noqa: BLE001 - see `_flush`
            self._tell(error)
        finally:
            self._loading = None

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            kind = type(error).__name__  # its words may tell where the store is, or what was to be written
            _LOG.warning("patterns: the store does not take or tell what was learned (%s); runs go on", kind)


class Locked:
    """What runs count under their lock, for somebody who does not hold it."""

    def __init__(self, counts: Countable, lock: threading.RLock) -> None:
        self._counts = counts
        self._lock = lock

    def take(self) -> Sums:
        """As `Countable` says."""
        with self._lock:
            return self._counts.take()

    def give(self, sums: Mapping[Key, Pair]) -> None:
        """As `Countable` says."""
        with self._lock:
            self._counts.give(sums)
