"""Lenses: small changes through which a value that was found is an argument, such as a number written as text.

Each can be undone, so that the search still begins at the value that was used: what it was before the change is looked
up among the run's sources. A lens stands where other programs have a template (`programs.py`), under a name that no
template can have, as those hold a `{}`. It says nothing about what passed through it, so it may be written down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from langgraph_speculate.predict.indexes import Item
from langgraph_speculate.predict.sources import RunSources, Source
from langgraph_speculate.predict.values import copyable, successor, value_key

_DIGITS = 15  # of a number in a text; longer ones are names more often than numbers


class Lens(NamedTuple):
    """One change of a value.

    Attributes:
        forth: What it makes of a value; None where it makes nothing of it.
        back: What a value was made of; None where that cannot be.
        words: The change, for people to read.

    >>> seen = LENSES["int"]
    >>> seen.forth("042"), seen.forth("42"), seen.back(42)
    (None, 42, '42')
    """

    forth: Callable[[Any], Any]
    back: Callable[[Any], Any]
    words: str

    def over(
        self, items: Sequence[Item], marks: Sequence[int] | None, sources: RunSources, source: Source
    ) -> tuple[Sequence[Item], Sequence[int] | None]:
        """What is left of *items*, and of how they are spoken of, seen through it."""
        seen: list[Item] = []
        kept: list[int] = []
        for place, (value, record, _) in enumerate(items):
            made = self.forth(value)
            if made is not None:
                seen.append((made, record, value_key(made)))
                if marks is not None:
                    kept.append(marks[place])
        return seen, kept if any(kept) else None


def undone(value: Any) -> Iterator[tuple[str, Any]]:
    """What *value* may have been before a change, by the name of the lens.

    >>> list(undone("2024-03-01"))
    [('+1', '2024-02-29'), ('-1', '2024-03-02')]
    >>> list(undone(["SO-7"])), list(undone(["SO-7", "SO-8"]))
    ([('[]', 'SO-7')], [])
    """
    if type(value) in _CHANGED:
        for name, lens in LENSES.items():
            was = lens.back(value)
            if was is not None:
                yield name, was


def _number(value: Any) -> int | None:
    """A text of digits as a number, if that number is written so."""
    if type(value) is not str or len(value) > _DIGITS or not (value.isascii() and value.isdigit()):
        return None
    return int(value) if value[0] != "0" or value == "0" else None


def _digits(value: Any) -> str | None:
    return str(value) if type(value) is int and value >= 0 else None


def _numbered(value: Any) -> int | None:
    return _number(value[1:]) if type(value) is str and value.startswith("#") else None


def _before(value: Any) -> Any:
    if type(value) is int:
        return value - 1
    return _day_before(value) if type(value) is str and len(value) == 10 else None


@lru_cache(maxsize=512)
def _day_before(text: str) -> str | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return (day - timedelta(days=1)).isoformat() if day.isoformat() == text and day > date.min else None


def _only(value: Any) -> Any:
    return value[0] if type(value) is list and len(value) == 1 and copyable(value[0]) else None


LENSES: Mapping[str, Lens] = {
    "int": Lens(_number, _digits, "as a number"),
    "#int": Lens(_numbered, lambda value: None if (text := _digits(value)) is None else f"#{text}", "as a number"),
    "str": Lens(_digits, _number, "as text"),
    "+1": Lens(successor, _before, "plus one"),
    "-1": Lens(_before, successor, "less one"),
    "[]": Lens(lambda value: [value], _only, "as a list of one"),
}
"""The lenses, by name."""

_CHANGED = frozenset({int, str, list})  # the types of what can come out of one
