"""What one result or one text holds: its values, by the place where they stand.

A place is a JSON path with `*` for what differs from result to result (items of lists, ids among keys), or the shape
of a token (`shapes.py`). Results and texts never change, so each is indexed once, however many turns look at it.
Indexes are bounded: what stands beyond the bounds is not found, which costs a guess and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any, NamedTuple

from langgraph_speculate.core.history import PastCall
from langgraph_speculate.predict.shapes import HALVES, halves, tokens
from langgraph_speculate.predict.values import copyable, value_key

MAX_LEAVES = 500  # values indexed per result
MAX_DEPTH = 12
MAX_TEXT = 6_000  # characters of a text that are read for tokens
_HALF = "|"  # stands between a path and the name of a half of the text there, see `halves`
MAX_JSON = 200_000  # characters beyond which a result is not parsed


Item = tuple[Any, Hashable, Hashable]
"""A value, the record that it stands in (values of one record belong together), and its `value_key`.

There are hundreds in a result: plain tuples of atoms are the only records that the garbage collector stops looking at.
"""


class Flag(NamedTuple):
    """A truth value and the name of its field: no value to follow, but one that tells records apart."""

    field: str
    value: bool


@dataclass(frozen=True)
class Index:
    """What one result or text holds.

    Attributes:
        kind: `"json"`, `"text"` or `"user"`.
        items: The distinct values of each place.
        held: By record, the keys of all its values, and its flags; only of JSON results.
    """

    kind: str
    items: Mapping[str, Sequence[Item]]
    held: Mapping[Hashable, Set[Hashable]] = field(default_factory=dict)

    @cached_property
    def places(self) -> Mapping[Hashable, tuple[str, ...]]:
        """Where each value stands."""
        found: dict[Hashable, tuple[str, ...]] = {}
        for place, items in self.items.items():
            for _, _, key in items:
                found[key] = (*found[key], place) if key in found else (place,)
        return found


_INDEX = "_index"  # hangs on the call itself: a table of all calls would stay as large as it ever was


def result_index(call: PastCall) -> Index:
    """What the result of a call holds."""
    index: Index | None = call.__dict__.get(_INDEX)
    if index is None:
        text = call.result or ""
        value = call.value if len(text) <= MAX_JSON else None
        if isinstance(value, (dict, list)):
            held: dict[Hashable, set[Hashable]] = {}
            index = Index("json", _by_place(_noted(_leaves(value, call.id, held), held)), held)
        else:
            text = (value if isinstance(value, str) else text)[:MAX_TEXT]
            found = tokens(text, lines=True)
            index = Index("text", _by_place((shape, (token, call.id, token)) for shape, token in found))
        call.__dict__[_INDEX] = index
    return index


@lru_cache(maxsize=2048)
def text_index(text: str) -> Index:
    """What the user said."""
    return Index("user", _by_place((shape, (token, None, token)) for shape, token in tokens(text)))


def parted(place: str) -> tuple[str, str]:
    """The path in a place, and the name of the half of the text there, if it is one.

    >>> parted(".jobs.*.at|T1"), parted(".a|b")
    (('.jobs.*.at', 'T1'), ('.a|b', ''))
    """
    path, _, half = place.rpartition(_HALF)
    return (path, half) if half in HALVES else (place, "")


def _by_place(found: Iterator[tuple[str, Item]]) -> dict[str, Sequence[Item]]:
    """The distinct items of every place, in order."""
    items: dict[str, dict[Hashable, Item]] = {}
    for place, item in islice(found, MAX_LEAVES):
        here = items.get(place)
        if here is None:
            items[place] = {item[2]: item}
        elif item[2] not in here:
            here[item[2]] = item
    return {place: tuple(distinct.values()) for place, distinct in items.items()}


def _noted(found: Iterator[tuple[str, Item]], held: dict[Hashable, set[Hashable]]) -> Iterator[tuple[str, Item]]:
    """The same items, while what each record holds is noted: a value may stand in many records of one place."""
    for place, item in found:
        held.setdefault(item[1], set()).add(item[2])
        yield place, item


def _leaves(root: Any, owner: str, held: dict[Hashable, set[Hashable]]) -> Iterator[tuple[str, Item]]:
    """Scalars of a JSON value with their paths, in document order; keys that look like data count as values too.

    Flags are only noted as *held* by their records.
    """
    stack: list[tuple[str, Any, Hashable, int]] = [("", root, (owner, 0), 0)]
    containers = 0
    while stack and containers < MAX_LEAVES:
        path, value, record, depth = stack.pop()
        if isinstance(value, dict):
            if depth < MAX_DEPTH:
                containers += 1
                inner = (owner, containers)
                places = []
                for key, child in islice(value.items(), MAX_LEAVES):
                    if _is_data(key):
                        yield f"{path}.#", (key, inner, key)
                        places.append((f"{path}.*", child, inner, depth + 1))
                    else:
                        places.append((f"{path}.{key}", child, inner, depth + 1))
                stack.extend(reversed(places))
        elif isinstance(value, list):
            if depth < MAX_DEPTH:
                containers += 1
                # Scalars in a list belong to the record that holds the list; objects are records of their own.
                stack.extend([(f"{path}.*", child, record, depth + 1) for child in reversed(value[:MAX_LEAVES])])
        elif copyable(value):
            if type(value) is str:
                yield path, (value, record, value)
                if " " in value or "/" in value or "@" in value or "T" in value:  # what cannot be parted is not tried
                    for name, half in halves(value):
                        yield f"{path}{_HALF}{name}", (half, record, half)
            else:
                yield path, (value, record, value_key(value))
        elif value is True or value is False:
            held.setdefault(record, set()).add(Flag(path.rpartition(".")[2], value))


@lru_cache(maxsize=8192)
def _is_data(key: str) -> bool:
    """True for object keys that are data (ids, dates) rather than names of fields."""
    return _DIGIT.search(key) is not None


_DIGIT = re.compile(r"\d")
