"""Patterns in a LangGraph `BaseStore` (Postgres, Redis, SQLite): what several replicas share.

A `BaseStore` cannot add to a value, so each process keeps a total of its own under its own name, and what is known is
the sum over all of them (a grow-only counter, Shapiro et al. 2011). Nothing is lost or counted twice, whoever writes
when, and whoever dies.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4
from zlib import crc32

from langgraph_speculate.core.sums import Key, Pair, Sums, add_to
from langgraph_speculate.errors import BadPatterns
from langgraph_speculate.patterns.store import MOST, disguised, key_of, pair_of, rows_of

NAMESPACE = ("speculate", "patterns")
_PARTS = 64  # items that one total is spread over, so that a few new sums do not rewrite all
_PAGE = 1_000
_ITEMS = 50_000  # read of one partition
_LOG = logging.getLogger("langgraph_speculate")
_VERBS = ("put", "search", "delete")


class SharedPatterns:
    """A `PatternStore` in a LangGraph `BaseStore`.

    Args:
        store: The store; its sync verbs are called from a thread of this package's own.
        namespace: Where in it.
        salt: What partitions' names are hashed with; the same for all replicas.

    Raises:
        BadPatterns: *store* is no `BaseStore`.

    >>> from langgraph.store.memory import InMemoryStore
    >>> shared = InMemoryStore()
    >>> one, two = SharedPatterns(shared), SharedPatterns(shared)
    >>> one.add("", {("next", "get_order"): (1.0, 0.0)})
    >>> two.add("", {("next", "get_order"): (2.0, 0.0)})
    >>> one.load("")
    {('next', 'get_order'): (3.0, 0.0)}
    """

    def __init__(
        self, store: Any, *, namespace: tuple[str, ...] = NAMESPACE, salt: bytes = b"langgraph_speculate"
    ) -> None:
        if not all(callable(getattr(store, verb, None)) for verb in _VERBS):
            raise BadPatterns(
                f"patterns: {type(store).__qualname__} is no store of patterns; "
                "give a path, a LangGraph BaseStore or a PatternStore"
            )
        self._store = store
        self._namespace = namespace
        self._salt = salt
        self._process, self._replica = os.getpid(), uuid4().hex
        self._own: dict[tuple[str, int], Sums] = {}
        self._unwritten: dict[tuple[str, int], None] = {}
        self._fails = False
        self._lock = threading.Lock()

    def add(self, partition: str, sums: Mapping[Key, Pair]) -> None:
        """Add to this process's totals of a partition; what cannot be written now is, with what is added next."""
        with self._lock:
            if self._process != os.getpid():  # a fork: its totals are the parent's, which goes on writing them
                self._process, self._replica = os.getpid(), uuid4().hex
                self._own, self._unwritten = {}, {}
            for key, pair in sums.items():
                part = partition, crc32("\x00".join(key).encode(errors="replace")) % _PARTS
                add_to(self._own.setdefault(part, {}), [(key, pair)])
                self._unwritten[part] = None
            try:
                for part in list(self._unwritten):
                    self._write(*part)
                    del self._unwritten[part]
                self._fails = False
            except Exception as error:  # noqa: BLE001 - somebody else's store, over a network
                self._tell(error)

    def _tell(self, error: Exception) -> None:
        """Warn, once until the store takes something again: it is tried every few seconds."""
        if not self._fails:
            self._fails = True
            kind = type(error).__name__
            _LOG.warning("patterns: the store does not take what was learned (%s); it is tried again", kind)

    def _write(self, partition: str, part: int) -> None:
        rows = [list(row) for row in rows_of(self._own[partition, part])]
        self._store.put(self._space(partition), f"{self._replica}-{part}", {"sums": rows}, index=False)

    def load(self, partition: str) -> Sums:
        """Return the sums over all processes' totals; what is no sum is left out, others can write there too."""
        total: Sums = {}
        for _, value in self._items(partition):
            rows = value.get("sums") if isinstance(value, Mapping) else None
            for row in rows if isinstance(rows, list) else ():
                with suppress(TypeError, ValueError, OverflowError):
                    key, hits, trials = row
                    add_to(total, [(key_of(key), pair_of(hits, trials))])
                if len(total) >= MOST:
                    return total
        return total

    def forget(self, partition: str) -> int:
        """Remove all processes' totals of a partition; returns how many items those were.

        Processes that still run forget theirs when they are told to.
        """
        with self._lock:
            for part in [part for part in self._own if part[0] == partition]:
                del self._own[part]
                self._unwritten.pop(part, None)
            keys = [key for key, _ in self._items(partition)]
            for key in keys:
                self._store.delete(self._space(partition), key)
            return len(keys)

    def close(self) -> None:
        """The store is somebody else's and stays open."""

    def _space(self, partition: str) -> tuple[str, ...]:
        return (*self._namespace, disguised(partition, self._salt) or "shared")

    def _items(self, partition: str) -> Iterator[tuple[str, Any]]:
        found: dict[str, Any] = {}
        while len(found) < _ITEMS and (
            page := self._store.search(self._space(partition), limit=_PAGE, offset=len(found))
        ):
            before = len(found)
            found |= {item.key: item.value for item in page}
            if len(found) == before:
                break
        yield from found.items()
