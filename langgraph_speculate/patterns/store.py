"""What a store of patterns can do, and finding the right one."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Protocol, runtime_checkable

import orjson

from langgraph_speculate.core.sums import Key, Pair, Sums

SHARED = ""
"""The partition of everybody: what was mined, and what graphs without `partition_by` learn."""

MOST = 200_000
"""Totals read of one partition; ten thousand runs leave far fewer."""

MAX_KEY = 4_096
"""Characters of a key; longer ones are not read."""


@runtime_checkable
class PatternStore(Protocol):
    """Totals of sums by partition. `add` may be called from any thread, and by many processes.

    Any object with these verbs may be given as `patterns=`.
    """

    def add(self, partition: str, sums: Mapping[Key, Pair]) -> None:
        """Add to the totals of a partition, all or nothing."""
        ...

    def load(self, partition: str) -> Sums:
        """Return the totals of a partition; nothing where there are none."""
        ...

    def forget(self, partition: str) -> int:
        """Remove all that was learned from a partition; returns how many totals that were."""
        ...

    def close(self) -> None:
        """Let go of files and connections."""
        ...


def key_of(text: str) -> Key:
    """A key as it was written down.

    Raises:
        ValueError: It is none.
        TypeError: It is no text.

    >>> key_of('["next", "get_order"]')
    ('next', 'get_order')
    """
    if len(text) > MAX_KEY:
        raise ValueError("a key is too long")
    key = orjson.loads(text)
    if not isinstance(key, list) or not all(isinstance(part, str) for part in key):
        raise ValueError("a key is no list of texts")
    return tuple(key)


def rows_of(sums: Mapping[Key, Pair]) -> list[tuple[str, float, float]]:
    """Sums as they are written down: text of the key, hits, trials. What could not be read again is left out.

    One of them must not keep the others from being written, for ever.

    >>> rows_of({("next", "get_order"): (1.0, 0.0), ("next", "\\ud800"): (1.0, 0.0)})
    [('["next","get_order"]', 1.0, 0.0)]
    """
    rows = []
    for key, pair in sums.items():
        with suppress(TypeError, ValueError, OverflowError):
            text, (hits, trials) = orjson.dumps(key).decode(), pair_of(*pair)
            if len(text) <= MAX_KEY:
                rows.append((text, hits, trials))
    return rows


def pair_of(hits: float, trials: float) -> Pair:
    """Numbers as they were written down.

    Raises:
        ValueError: They are no counts.
        TypeError: They are no numbers.
    """
    pair = float(hits), float(trials)
    if not all(map(math.isfinite, pair)):
        raise ValueError("a count is finite")
    return pair


PatternSource = PatternStore | str | os.PathLike[str]


def open_patterns(source: Any) -> PatternStore:
    """Return the store that *source* is or names: a `PatternStore`, a LangGraph `BaseStore`, or a SQLite file's path.

    Raises:
        BadPatterns: It is something else, or a path where no file can be.
    """
    if isinstance(source, PatternStore):
        return source
    if isinstance(source, str | os.PathLike):
        from langgraph_speculate.patterns.sqlite import SqlitePatterns

        return SqlitePatterns(source)
    from langgraph_speculate.patterns.shared import SharedPatterns

    return SharedPatterns(source)


def disguised(partition: str, salt: bytes) -> str:
    """The name under which a partition is stored: its own would tell who the users are."""
    return SHARED if partition == SHARED else blake2b(partition.encode(), key=salt, digest_size=16).hexdigest()
