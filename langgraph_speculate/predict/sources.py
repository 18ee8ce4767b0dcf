"""Where values are found: everything in a run that an argument may have been taken from.

A *source* is a named place, the same from run to run: an argument of a tool, a JSON path in a tool's results, tokens of
one shape in what the user said. `RunSources` tells the values of a source, newest first, and the sources of a value.
What to make of them is the business of `bindings.py`.

Results and texts never change, so each is indexed once, however many turns look at it. Indexes are bounded: what stands
beyond the bounds is not found, which costs a guess and nothing else.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import orjson

from langgraph_speculate.core.history import History, PastCall, UserTurn
from langgraph_speculate.predict.shapes import MAX_TOKEN, tokens

MAX_LEAVES = 500  # values indexed per result
MAX_DEPTH = 12
MAX_TEXT = 6_000  # characters of a text that are read for tokens
MAX_JSON = 200_000  # characters beyond which a result is not parsed
MAX_ARGUMENTS = 12  # of one call that are followed
MAX_ITEMS = 10  # values told of one source
USER = ""  # the owner of what the user said
RECENT_EVENTS = 120  # how far back a run is searched


class Source(NamedTuple):
    """A named place: its kind (`"arg"`, `"json"`, `"text"` or `"user"`), the tool it belongs to, and what of it.

    >>> Source("json", "get_user", "orders.*.id")
    Source(kind='json', owner='get_user', what='orders.*.id')
    """

    kind: str
    owner: str
    what: str


class Item(NamedTuple):
    """A value, the record that it stands in (values of one record belong together), and its `value_key`."""

    value: Any
    record: Hashable
    key: Hashable


@dataclass(frozen=True)
class _Index:
    """What one result or text holds."""

    kind: str
    items: Mapping[str, Sequence[Item]]

    @cached_property
    def places(self) -> Mapping[Hashable, list[str]]:
        """Where each value stands."""
        found: dict[Hashable, list[str]] = {}
        for place, items in self.items.items():
            for item in items:
                found.setdefault(item.key, []).append(place)
        return found


def value_key(value: Any) -> Hashable:
    """Equal for equal values of one type: `1`, `1.0`, `True` and `"1"` all differ.

    >>> value_key(1) == value_key(True), value_key("a") == value_key("a")
    (False, True)
    """
    if type(value) is str:
        return value
    if value is None or isinstance(value, (bool, int, float)):
        return (type(value).__name__, value)
    try:
        return (type(value).__name__, orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS))
    except (TypeError, ValueError, RecursionError):
        return (type(value).__name__, None)  # never the same as anything worth guessing


def copyable(value: Any) -> bool:
    """True for values that are worth following through a run: short strings and finite numbers."""
    if type(value) is str:
        return 0 < len(value) <= MAX_TOKEN
    return type(value) is int or (type(value) is float and math.isfinite(value))


class RunSources:
    """The sources of one run up to a model call. Cheap to build; each source is collected when first asked for."""

    def __init__(self, history: History) -> None:
        self._calls: dict[str, list[PastCall]] = {}
        self._said: list[str] = []
        for event in reversed(history.events[-RECENT_EVENTS:]):
            if isinstance(event, PastCall):
                self._calls.setdefault(event.name, []).append(event)
            elif isinstance(event, UserTurn):
                self._said.append(event.text[:MAX_TEXT])
        self._indexes: dict[str, list[_Index]] = {}
        self._items: dict[Source, list[Item]] = {}
        self._used: dict[tuple[str, str], set[Hashable]] = {}

    def items(self, source: Source) -> list[Item]:
        """The distinct values of *source*, newest first, at most `MAX_ITEMS`."""
        found = self._items.get(source)
        if found is None:
            if source.kind == "arg":
                found = _distinct([_arguments(self._calls.get(source.owner, ()), source.what)])
            else:
                kind, owner, what = source
                groups = [index.items.get(what) for index in self._indexes_of(owner) if index.kind == kind]
                found = _distinct([items for items in groups if items])
            self._items[source] = found
        return found

    def used(self, tool: str, argument: str) -> set[Hashable]:
        """Keys of the values that calls of *tool* had for *argument* in this run."""
        found = self._used.get((tool, argument))
        if found is None:
            found = {value_key(call.args[argument]) for call in self._calls.get(tool, ()) if argument in call.args}
            self._used[tool, argument] = found
        return found

    def where(self, value: Any) -> list[Source]:
        """The sources that hold *value*, each once."""
        key = value_key(value)
        found: dict[Source, None] = {}
        for owner in (USER, *self._calls):
            for index in self._indexes_of(owner):
                for place in index.places.get(key, ()):
                    found[Source(index.kind, owner, place)] = None
            for call in self._calls.get(owner, ()):
                for name, argument in islice(call.args.items(), MAX_ARGUMENTS):
                    if type(argument) is type(value) and argument == value:
                        found[Source("arg", owner, name)] = None
        return list(found)

    def _indexes_of(self, owner: str) -> list[_Index]:
        """What the results of a tool, or the user's turns, hold, newest first."""
        found = self._indexes.get(owner)
        if found is None:
            if owner == USER:
                found = [_text_index(text) for text in self._said]
            else:
                found = [_result_index(call) for call in self._calls.get(owner, ()) if call.result]
            self._indexes[owner] = found
        return found


def _distinct(groups: Sequence[Sequence[Item]]) -> list[Item]:
    """The first distinct items of groups of distinct items."""
    if len(groups) <= 1:
        return list(groups[0][:MAX_ITEMS]) if groups else []
    found: list[Item] = []
    seen: set[Hashable] = set()
    for items in groups:
        for item in items:
            if item.key not in seen:
                seen.add(item.key)
                found.append(item)
                if len(found) >= MAX_ITEMS:
                    return found
    return found


def _arguments(calls: Sequence[PastCall], name: str) -> list[Item]:
    found: dict[Hashable, Item] = {}
    for call in calls[: 2 * MAX_ITEMS]:
        value = call.args.get(name)
        if copyable(value):
            key = value_key(value)
            found.setdefault(key, Item(value, (call.id, "args"), key))
    return list(found.values())


_results: WeakKeyDictionary[PastCall, _Index] = WeakKeyDictionary()


def _result_index(call: PastCall) -> _Index:
    index = _results.get(call)
    if index is None:
        text = call.result or ""
        value = call.value if len(text) <= MAX_JSON else None
        if isinstance(value, (dict, list)):
            index = _Index("json", _by_place(_leaves(value, call.id)))
        else:
            text = (value if isinstance(value, str) else text)[:MAX_TEXT]
            found = tokens(text, lines=True)
            index = _Index("text", _by_place((shape, Item(token, call.id, token)) for shape, token in found))
        _results[call] = index
    return index


@lru_cache(maxsize=2048)
def _text_index(text: str) -> _Index:
    return _Index("user", _by_place((shape, Item(token, None, token)) for shape, token in tokens(text)))


def _by_place(found: Iterator[tuple[str, Item]]) -> dict[str, list[Item]]:
    """The distinct items of every place, in order."""
    items: dict[str, dict[Hashable, Item]] = {}
    for place, item in islice(found, MAX_LEAVES):
        items.setdefault(place, {}).setdefault(item.key, item)
    return {place: list(distinct.values()) for place, distinct in items.items()}


def _leaves(root: Any, owner: str) -> Iterator[tuple[str, Item]]:
    """Scalars of a JSON value with their paths, in document order; keys that look like data count as values too."""
    stack: list[tuple[str, Any, Hashable, int]] = [("", root, (owner, 0), 0)]
    containers = 0
    while stack and containers < MAX_LEAVES:
        path, value, record, depth = stack.pop()
        if isinstance(value, (dict, list)):
            if depth >= MAX_DEPTH:
                continue
            containers += 1
            inner = (owner, containers)
            if isinstance(value, dict):
                children = list(value.items())[:MAX_LEAVES]
                for key, _ in children:
                    if _is_data(key):
                        yield f"{path}.#", Item(key, inner, key)
                stack.extend(
                    (f"{path}.{'*' if _is_data(key) else key}", child, inner, depth + 1)
                    for key, child in reversed(children)
                )
            else:
                # Scalars in a list belong to the record that holds the list; objects are records of their own.
                stack.extend((f"{path}.*", child, record, depth + 1) for child in reversed(value[:MAX_LEAVES]))
        elif copyable(value):
            yield path, Item(value, record, value_key(value))


@lru_cache(maxsize=8192)
def _is_data(key: str) -> bool:
    """True for object keys that are data (ids, dates) rather than names of fields."""
    return _DIGIT.search(key) is not None


_DIGIT = re.compile(r"\d")
