"""Patterns in a LangGraph `BaseStore` (Postgres, Redis, SQLite): what several replicas share.

A `BaseStore` cannot add to a value, so each process keeps a total of its own under its own name, and what is known is
the sum over all of them (a grow-only counter, Shapiro et al. 2011). Nothing is lost or counted twice, whoever writes
when, and whoever dies. What processes of former days left is folded into one total (`folds.py`).
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any
from uuid import uuid4

from langgraph_speculate.core.sums import Key, Pair, Sums, add_to
from langgraph_speculate.errors import BadPatterns
from langgraph_speculate.patterns.folds import DAY_S, FINAL, Fold, latest_fold, part_of, summed
from langgraph_speculate.patterns.store import MOST, disguised, rows_of

NAMESPACE = ("speculate", "patterns")
_PARTS = 16  # items that one total is spread over, so that a few new sums do not rewrite all
_PAGE = 1_000
_ITEMS = 50_000  # read of one partition
_WORTH_FOLDING = 256  # items
_FOLDED = "folded"
_ROUNDS = 8
_DIGITS = 9
Space = tuple[str, ...]
_LOG = logging.getLogger("langgraph_speculate")
_VERBS = ("put", "search", "delete")


class SharedPatterns:
    """A `PatternStore` in a LangGraph `BaseStore`.

    Args:
        store: The store; its sync verbs are called from a thread of this package's own.
        namespace: Where in it.
        salt: What partitions' names are hashed with; the same for all replicas.
        clock: Seconds since 1970; those of replicas may differ by hours.

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
        self,
        store: Any,
        *,
        namespace: Space = NAMESPACE,
        salt: bytes = b"langgraph_speculate",
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not all(callable(getattr(store, verb, None)) for verb in _VERBS):
            raise BadPatterns(
                f"patterns: {type(store).__qualname__} is no store of patterns; "
                "give a path, a LangGraph BaseStore or a PatternStore"
            )
        self._store = store
        self._namespace = namespace
        self._salt = salt
        self._clock = clock
        self._begin()
        self._fails = False
        self._lock = threading.Lock()

    def add(self, partition: str, sums: Mapping[Key, Pair]) -> None:
        """Add to this process's totals of a partition; what cannot be written now is, with what is added next."""
        with self._lock:
            past = self._today() - self._day
            # Of a fork the totals are the parent's, which goes on writing them. What a store has not taken for more
            # than a day is lost: others count on it that nobody writes under so old a name.
            if self._process != os.getpid() or past > 1 or (past == 1 and not self._unwritten):
                self._begin()
            for key, pair in sums.items():
                part = partition, part_of(key, _PARTS)
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

    def _begin(self) -> None:
        """Take a name of this process and day, under which nothing is written yet."""
        self._process, self._day, self._replica = os.getpid(), self._today(), uuid4().hex
        self._own: dict[tuple[str, int], Sums] = {}
        self._unwritten: dict[tuple[str, int], None] = {}

    def _today(self) -> int:
        return int(self._clock() // DAY_S)

    def _write(self, partition: str, part: int) -> None:
        rows = [list(row) for row in rows_of(self._own[partition, part])]
        space = (*self._space(partition), str(self._day))
        self._store.put(space, f"{self._replica}-{part}", {"sums": rows}, index=False)

    def load(self, partition: str) -> Sums:
        """Return the sums over all processes' totals; what is no sum is left out, others can write there too."""
        space, today = self._space(partition), self._today()
        # First: what is folded meanwhile is still there, and counted once.
        fold = latest_fold((value for _, _, value in self._items((*space, _FOLDED))), today)
        totals: list[Any] = []
        final: defaultdict[int, int] = defaultdict(int)  # items of each day that can be folded
        folded: list[tuple[Space, str]] = []
        for place, key, value in self._items(space):
            day = _day_in(value) if place[-1] == _FOLDED else _day_of(place, space)
            if fold is not None and day is not None and (day < fold.day or (day == fold.day and place[-1] != _FOLDED)):
                folded.append((place, key))
            elif place[-1] != _FOLDED:
                totals.append(value)
                if day is not None and day <= today - FINAL:
                    final[day] += 1
        with suppress(Exception):  # somebody else's store; the next one to load tidies up
            if sum(final.values()) >= _WORTH_FOLDING:
                self._fold(space, fold, sorted(final))
            if fold is not None and self._clock() - fold.at >= DAY_S:
                self._remove(folded)
        known = dict(fold.sums) if fold is not None else {}
        add_to(known, summed(totals).items())
        return known if len(known) <= MOST else dict(islice(known.items(), MOST))

    def _fold(self, space: Space, before: Fold | None, days: list[int]) -> None:
        places = [(*space, str(day)) for day in days]
        sums = dict(before.sums) if before is not None else {}
        for place in places:
            found = list(self._items(place))
            if len(found) >= _ITEMS:
                return  # there may be more, and what is not in a fold is lost
            add_to(sums, summed(value for _, _, value in found).items())
        written = []
        for key, value in Fold(days[-1], self._clock(), sums).parts():
            self._store.put((*space, _FOLDED), key, value, index=False)
            written.append(((*space, _FOLDED), key))
        if not any(self._store.search(place, limit=1) for place in places):
            self._remove(written)  # somebody has the partition forgotten at this moment

    def forget(self, partition: str) -> int:
        """Remove all processes' totals of a partition; returns how many items those were.

        Processes that still run forget theirs when they are told to.
        """
        with self._lock:
            for part in [part for part in self._own if part[0] == partition]:
                del self._own[part]
                self._unwritten.pop(part, None)
            count = 0
            for _ in range(_ROUNDS):  # until nothing is left: somebody may be folding them
                found = [(place, key) for place, key, _ in self._items(self._space(partition))]
                if not found:
                    break
                self._remove(found)
                count += len(found)
            return count

    def close(self) -> None:
        """The store is somebody else's and stays open."""

    def _remove(self, items: Iterable[tuple[Space, str]]) -> None:
        for place, key in items:
            self._store.delete(place, key)

    def _space(self, partition: str) -> Space:
        return (*self._namespace, disguised(partition, self._salt) or "shared")

    def _items(self, space: Space) -> Iterator[tuple[Space, str, Any]]:
        """All that is in a place and below it."""
        found: dict[tuple[Space, str], Any] = {}
        while len(found) < _ITEMS and (page := self._store.search(space, limit=_PAGE, offset=len(found))):
            before = len(found)
            found |= {(tuple(item.namespace), item.key): item.value for item in page}
            if len(found) == before:
                break
        for (place, key), value in found.items():
            yield place, key, value


def _day_of(place: Space, space: Space) -> int | None:
    """The day under which a total stands; None for what this package did not write there."""
    below = place[len(space) :]
    return int(below[0]) if len(below) == 1 and below[0].isdecimal() and len(below[0]) < _DIGITS else None


def _day_in(value: Any) -> int | None:
    day = value.get("day") if isinstance(value, Mapping) else None
    return day if type(day) is int else None
