"""Whose data a run works on: its partition, its thread, and what the runs of each share."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

from cachetools import LRUCache

from langgraph_speculate.core.history import Origin
from langgraph_speculate.core.marks import Marks
from langgraph_speculate.core.partition import partition_of
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.host.names import Names
from langgraph_speculate.policy import Level, SpeculationPolicy

_THREADS = 4096  # whose early bodies are counted
_NOBODYS = "?"  # how partitions of runs begin of which nobody can say whose they are; no other does


class Tenants:
    """The partitions and threads of one wrapped graph.

    Args:
        policy: Its `partition_by` says what parts them.
        lock: Held only inside of the core, which never waits.
        warn: Called with a cause and a message; tells each cause once.
    """

    def __init__(self, policy: SpeculationPolicy, lock: threading.RLock, warn: Callable[[str, str], None]) -> None:
        self._policy = policy
        self._warn = warn
        self._lock = lock
        self._seed = uuid4().int >> 64  # what hashes in logs start from; nobody is told
        self._worlds = Names("w")
        self._threads: LRUCache[tuple[str, bool], Counter[str]] = LRUCache(_THREADS)
        self._epochs: WeakValueDictionary[str, Epochs] = WeakValueDictionary()

    def origin_of(self, configurable: Mapping[str, Any], run: str) -> Origin:
        """Whose run it is, as predictors are told; a run of which nobody can say it is in a partition of its own."""
        partition = self._partition_of(configurable)
        if partition is None:
            self._warn("nobodys", _WHOSE.format(", ".join(self._policy.partition_by)))
            partition = _NOBODYS + run
        return Origin(partition, _thread_of(configurable) or "", run)

    def launched_in(self, configurable: Mapping[str, Any], level: Level) -> Counter[str]:
        """Early bodies of a thread's earlier runs, by tool: those that ran, or those that were imagined."""
        thread = _thread_of(configurable)
        if thread is None:
            return Counter()
        with self._lock:
            return self._threads.setdefault((thread, level == "shadow"), Counter())

    def epochs_of(self, configurable: Mapping[str, Any]) -> Epochs:
        """What is known of the resources of a run's partition, for as long as one of its runs lives.

        All runs of which nobody can say whose they are have it in common: they may be one user's.
        """
        partition = self._partition_of(configurable) or ("" if not self._policy.partition_by else _NOBODYS)
        with self._lock:
            epochs = self._epochs.get(partition)
            if epochs is None:
                world, hashed = self._worlds.next(), Marks(self._seed).of([partition])[0]
                self._epochs[partition] = epochs = Epochs(world, hashed, self._seed)
            return epochs

    def _partition_of(self, configurable: Mapping[str, Any]) -> str | None:
        """As `partition_by` says; empty where it says nothing, None where what is there does not tell."""
        return partition_of(configurable.get(key) for key in self._policy.partition_by)


def is_nobodys(origin: Origin) -> bool:
    """Whether nobody can say whose run it is, so that nothing of it may be kept."""
    return origin.partition.startswith(_NOBODYS)


def _thread_of(configurable: Mapping[str, Any]) -> str | None:
    thread = configurable.get("thread_id")
    try:
        return None if thread is None else str(thread)
    except Exception:  # noqa: BLE001 - its own code: the plain graph may never ask for it
        return None


_WHOSE = (
    "what the config holds under the keys of partition_by ({}) does not tell whose run it is: it is an object that "
    "cannot be compared. Nothing is learned from such runs; name keys that hold ids"
)
