"""Totals of processes that are gone, folded into one, so that a shared store does not keep each of them for ever.

No store can add to a value, or do two things at once, so a fold rests on what does not change. A process takes a new
name every day, and under one of a day that is some days past nobody writes any more. Whoever folds those days gets the
same, so it does no harm if several do, or one dies in the middle: a fold counts once all of its parts are there, and of
several the latest. What it holds is removed a day later, when nobody can be about to fold it who has not seen the fold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from langgraph_speculate.core.sums import Key, Pair, Sums, add_to
from langgraph_speculate.patterns.store import key_of, pair_of, rows_of

DAY_S: Final = 86_400
FINAL: Final = 3
"""Days after which what was written under a day's names is final: clocks may differ, and a write may be late."""
_PARTS: Final = 64


@dataclass(frozen=True, slots=True)
class Fold:
    """The sum over all totals up to a day.

    Attributes:
        day: The last day that is in it, in days since 1970.
        at: When it was made, in seconds since 1970.
        sums: The sum.
    """

    day: int
    at: float
    sums: Mapping[Key, Pair]

    def parts(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What is written of it: names of items and what they hold."""
        parts: defaultdict[int, Sums] = defaultdict(dict)
        for key, pair in self.sums.items():
            parts[part_of(key, _PARTS)][key] = pair
        for part, sums in parts.items():
            rows = [list(row) for row in rows_of(sums)]
            yield f"{self.day}-{part}", {"day": self.day, "at": self.at, "of": len(parts), "sums": rows}


def latest_fold(items: Iterable[Any], today: int) -> Fold | None:
    """The latest of which all parts are there; what is none is passed over, others can write there too.

    >>> parts = [value for _, value in Fold(7, 0.0, {("next", "a"): (1.0, 0.0), ("next", "b"): (2.0, 0.0)}).parts()]
    >>> latest_fold(parts, today=10).sums[("next", "b")], latest_fold(parts[:1], today=10)
    ((2.0, 0.0), None)
    """
    found: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for item in items:
        if isinstance(item, Mapping) and type(item.get("day")) is int and item["day"] <= today - FINAL:
            found[item["day"]].append(item)
    for day, parts in sorted(found.items(), reverse=True):
        with suppress(TypeError, ValueError):
            if all(part.get("of") == len(parts) for part in parts):
                return Fold(day, max(float(part.get("at", "")) for part in parts), summed(parts))
    return None


def summed(items: Iterable[Any]) -> Sums:
    """The sum over what items hold; what is no sum is left out."""
    total: Sums = {}
    for item in items:
        rows = item.get("sums") if isinstance(item, Mapping) else None
        for row in rows if isinstance(rows, list) else ():
            with suppress(TypeError, ValueError, OverflowError):
                key, hits, trials = row
                add_to(total, [(key_of(key), pair_of(hits, trials))])
    return total


def part_of(key: Key, parts: int) -> int:
    """In which of so many parts a sum is."""
    return crc32("\x00".join(key).encode(errors="replace")) % parts
