"""What tools answered, kept in a LangGraph cache beyond the process: read where runs begin, written beside them.

A page a tool and partition, as JSON text, so that whoever can write the cache can make us expect something wrong and
nothing else. All reading and writing happens in a thread of its own, which lives only while there is something to do;
what a cache does not take or tell costs a warning, and runs go on.
"""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Final

import orjson
from cachetools import LRUCache
from langchain_core.messages import ToolMessage
from langgraph.cache.base import BaseCache, FullKey

from langgraph_speculate.core.memory import Memory, Page, Reading, Result, Trials, shelf_for
from langgraph_speculate.core.partition import partition_of
from langgraph_speculate.host.inputs import result_in
from langgraph_speculate.host.threads import at_exit
from langgraph_speculate.host.worker import Worker

_VERSION: Final = 1
_MOST_RESULTS: Final = 64  # of a page, the latest
_MOST_BYTES: Final = 256_000  # of a page
_KEPT_S: Final = 30 * 86_400  # that a page lasts which nobody writes again
_EVERY_S: Final = 1.0  # between two rounds of writing
_LAST_S: Final = 5.0  # that the end of the process, or `close`, waits for a cache
_PAGES: Final = 65_536  # that are known to have been looked for

Name = tuple[str, str]
"""Whose page it is: a partition and a tool."""


class Archive:
    """The results of one wrapped graph's tools, as `speculation_of(graph).archive`.

    Args:
        cache: Where they are kept.
        memory: What is known in this process.
        lock: Held while the memory is used.
        warn: Takes a cause and a message.
    """

    def __init__(
        self,
        cache: BaseCache[Any],
        memory: Memory,
        lock: AbstractContextManager[Any],
        warn: Callable[[str, str], None],
    ) -> None:
        self._cache = cache
        self._memory = memory
        self._memory_lock = lock
        self._warn = warn
        self._storing = threading.Lock()  # held while the cache is used
        self._lock = threading.Lock()  # of the fields below; never held while the cache is used
        self._sought: LRUCache[Name, None] = LRUCache(_PAGES)
        self._wanted: dict[Name, Reading] = {}
        self._changed: defaultdict[Name, dict[str, None]] = defaultdict(dict)
        self._closed = False
        self._worker = Worker(self._round, lambda: bool(self._wanted or self._changed), "memory-archive", _EVERY_S)
        self._not_at_exit = at_exit(self.flush)

    # -- for the graph's owner ---------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Return when the cache has what was learned so far; False if that takes longer than a few seconds."""
        self._worker.hurry()
        return self._worker.wait(_LAST_S)

    def forget(self, *values: object) -> int:
        """Remove what tools answered in one partition, here and in the cache; returns how many results were known here.

        What is `shared_results` stays: it is everybody's. A run of that partition that goes on meanwhile is remembered
        from then on.

        Args:
            values: The partition's values of the keys in `partition_by`; none: what is in no partition.

        Raises:
            Exception: What the cache raises, if it does not remove it; here it is gone.
        """
        partition = partition_of(values)
        if partition is None:
            return 0  # nothing of such runs is remembered
        shelf = shelf_for(partition)
        with self._storing:
            with self._lock:
                for name in [name for name in self._changed if name[0] == shelf]:
                    del self._changed[name]
            with self._memory_lock:
                known = self._memory.forget(shelf)
            self._cache.clear([_shelf_place(shelf)])
        return known

    def close(self) -> None:
        """Write what was learned, and no more; the cache stays open, as it is its owner's."""
        self._closed = True
        self._not_at_exit()
        self.flush()

    # -- for the host ------------------------------------------------------------------------------------------------

    def want(self, readings: Mapping[Name, Reading]) -> None:
        """A run may need these pages soon; each is read once.

        Args:
            readings: For each page, what makes its results old from now on.
        """
        with self._lock:
            new = {name: reading for name, reading in readings.items() if name not in self._sought}
            self._sought.update(dict.fromkeys(new))
            self._wanted.update(new)
        if new and not self._closed:
            self._worker.hurry()
            self._worker.start()

    def changed(self, partition: str, tool: str, key: str) -> None:
        """A call was answered: write that before long."""
        if self._closed:
            return
        with self._lock:
            calls = self._changed[partition, tool]
            calls.pop(key, None)
            calls[key] = None  # the latest last
        self._worker.start()

    def _round(self) -> None:
        """Read what is wanted, and write what has changed."""
        with self._storing:
            with self._lock:
                wanted, self._wanted = self._wanted, {}
                changed, self._changed = self._changed, defaultdict(dict)
            for work in (partial(self._read, wanted), partial(self._write, changed)):
                try:
                    work()
                except Exception as error:  # noqa: BLE001 - a file or a network, and somebody else's
                    self._tell(error)

    def _read(self, wanted: Mapping[Name, Reading]) -> None:
        for name, page in self._pages(wanted).items():
            with self._memory_lock:
                self._memory.recall(*name, page, wanted[name])

    def _write(self, changed: Mapping[Name, Mapping[str, None]]) -> None:
        known = self._pages(changed)  # another process may have written since
        pairs: dict[FullKey, tuple[str, int | None]] = {}
        for name, calls in changed.items():
            with self._memory_lock:
                page = self._memory.page(*name, reversed(list(calls)))
            if page is not None:
                pairs[_place(name)] = (_text(page, known.get(name)), _KEPT_S)
        if pairs:
            self._cache.set(pairs)

    def _pages(self, names: Mapping[Name, Any]) -> dict[Name, Page]:
        """Those that the cache has, as far as they can be read."""
        if not names:
            return {}
        places = {_place(name): name for name in names}
        pages: dict[Name, Page] = {}
        for place, text in self._cache.get(list(places)).items():
            try:
                pages[places[place]] = _page(text)
            except Exception as error:  # noqa: BLE001 - it may hold anything
                self._tell(error)
        return pages

    def _tell(self, error: Exception) -> None:
        kind = type(error).__name__  # its words may quote what was to be written
        self._warn("memory", f"memory=: the cache does not take or tell what tools answered ({kind}); runs go on")


def archive_of(
    cache: BaseCache[Any], memory: Memory | None, lock: AbstractContextManager[Any], warn: Callable[[str, str], None]
) -> Archive | None:
    """Where *memory* is kept; None, with a warning, where there is no memory.

    Raises:
        TypeError: *cache* is none.
    """
    if not isinstance(cache, BaseCache):
        raise TypeError(f"memory= takes a LangGraph cache (langgraph.cache.base.BaseCache), not {type(cache).__name__}")
    if memory is None:
        warn("memory", "memory= keeps what tools answered for model_ahead = true, which the policy does not say")
        return None
    return Archive(cache, memory, lock, warn)


def hashed(key: str) -> str:
    """What stands for the key of a call, so that nobody reads its arguments in a cache."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _place(name: Name) -> FullKey:
    """Where a page is; texts of different lengths cannot be taken for each other."""
    partition, tool = name
    return _shelf_place(partition), hashed(tool)


def _shelf_place(partition: str) -> tuple[str, ...]:
    return ("langgraph_speculate", "memory", hashed(partition))


def _text(page: Page, before: Page | None) -> str:
    """A page as JSON, with as many results of an earlier one as there is room for."""
    new = {key for key, _, _ in page.results}
    older = [entry for entry in before.results if entry[0] not in new] if before is not None else []
    results: list[list[Any]] = []
    room = _MOST_BYTES
    for key, result, trials in (*page.results, *older):
        parts = _as_json(result)
        room -= len(result.form) + 128
        if parts is not None and room >= 0 and len(results) < _MOST_RESULTS:
            results.append([key, parts, trials.hits, trials.misses])
    habits = {name: [trials.hits, trials.misses] for name, trials in (("again", page.again), ("alike", page.alike))}
    return orjson.dumps({"version": _VERSION, **habits, "results": results}).decode()


def _as_json(result: Result) -> Any:
    """What a result says, or None where JSON would make something else of it."""
    parts = orjson.loads(result.form)
    same = Result.of(parts)
    return parts if same is not None and same.form == result.form else None


def _page(text: Any) -> Page:
    """A page from its JSON.

    Raises:
        ValueError: It is none. Other errors mean the same.
    """
    if type(text) is not str or len(text) > 4 * _MOST_BYTES:
        raise ValueError("no text of a page")
    said = orjson.loads(text)
    if said["version"] != _VERSION or len(said["results"]) > _MOST_RESULTS:
        raise ValueError("another version, or none of ours")
    entries = [(str(key), _result(parts), _trials(counts)) for key, parts, *counts in said["results"]]
    return Page(_trials(said["again"]), _trials(said["alike"]), entries)


def _result(parts: Any) -> Result:
    """A result from what it said; nothing that no tool's message could say."""
    result = Result.of(result_in(ToolMessage.model_validate({**parts, "tool_call_id": ""})))
    said = Result.of(parts)
    if result is None or said is None or result.form != said.form:
        raise ValueError("no result")
    return result


def _trials(counts: Any) -> Trials:
    hits, misses = map(float, counts)
    if not (0 <= hits < 1e6 and 0 <= misses < 1e6):
        raise ValueError("no counts")
    return Trials(hits, misses)
