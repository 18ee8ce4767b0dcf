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
from collections.abc import Hashable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from langgraph_speculate.core.history import History, ModelTurn, PastCall, UserTurn

MAX_LEAVES = 500  # values indexed per result
MAX_DEPTH = 12
MAX_TEXT = 6_000  # characters of a text that are read for tokens
MAX_JSON = 200_000  # characters beyond which a result is not parsed
MAX_VALUE = 200  # characters of a value worth copying
MAX_ITEMS = 10  # values told of one source
RECENT_EVENTS = 120  # how far back a run is searched


class Source(NamedTuple):
    """A named place: its kind (`"arg"`, `"json"`, `"text"`, `"user"`, `"said"`), the tool it belongs to, and what of it.

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


class _Index(NamedTuple):
    """What one result or text holds: items by place, places by value."""

    items: Mapping[str, list[Item]]
    places: Mapping[Hashable, list[str]]


def value_key(value: Any) -> Hashable:
    """Equal for equal values of one type: `1`, `1.0`, `True` and `"1"` all differ.

    >>> value_key(1) == value_key(True), value_key("a") == value_key("a")
    (False, True)
    """
    if type(value) is str:
        return value
    if value is None or isinstance(value, (bool, int, float)):
        return (type(value).__name__, value)
    return (type(value).__name__, repr(value)[:2000])


def copyable(value: Any) -> bool:
    """True for values that are worth following through a run: short strings and finite numbers."""
    if type(value) is str:
        return 0 < len(value) <= MAX_VALUE
    return type(value) is int or (type(value) is float and math.isfinite(value))


class RunSources:
    """The sources of one run up to a model call. Cheap to build; each source is collected when first asked for."""

    def __init__(self, history: History) -> None:
        self._calls: dict[str, list[PastCall]] = {}
        self._texts: dict[str, list[str]] = {"user": [], "said": []}
        for event in reversed(history.events[-RECENT_EVENTS:]):
            if isinstance(event, PastCall):
                self._calls.setdefault(event.name, []).append(event)
            elif isinstance(event, UserTurn):
                self._texts["user"].append(event.text)
            elif isinstance(event, ModelTurn) and event.text:
                self._texts["said"].append(event.text)
        self._items: dict[Source, list[Item]] = {}
        self._used: dict[tuple[str, str], set[Hashable]] = {}

    def items(self, source: Source) -> list[Item]:
        """The distinct values of *source*, newest first, at most `MAX_ITEMS`."""
        found = self._items.get(source)
        if found is None:
            seen: set[Hashable] = set()
            found = []
            for item in self._walk(source):
                if item.key not in seen:
                    seen.add(item.key)
                    found.append(item)
                    if len(found) >= MAX_ITEMS:
                        break
            self._items[source] = found
        return found

    def used(self, tool: str, argument: str) -> set[Hashable]:
        """Keys of the values that calls of *tool* had for *argument* in this run."""
        found = self._used.get((tool, argument))
        if found is None:
            found = {value_key(call.args[argument]) for call in self._calls.get(tool, ()) if argument in call.args}
            self._used[tool, argument] = found
        return found

    def calls_of(self, tool: str) -> list[PastCall]:
        """The calls of *tool* in this run, newest first."""
        return self._calls.get(tool, [])

    def where(self, value: Any) -> list[Source]:
        """The sources that hold *value*, each once."""
        key = value_key(value)
        found: dict[Source, None] = {}
        for kind, texts in self._texts.items():
            for text in texts:
                for place in _text_index(text[:MAX_TEXT]).places.get(key, ()):
                    found[Source(kind, "", place)] = None
        for tool, calls in self._calls.items():
            for call in calls:
                for name, argument in call.args.items():
                    if value_key(argument) == key:
                        found[Source("arg", tool, name)] = None
                index = _result_index(call)
                if index is not None:
                    kind = "text" if call.value is None or isinstance(call.value, str) else "json"
                    for place in index.places.get(key, ()):
                        found[Source(kind, tool, place)] = None
        return list(found)

    def _walk(self, source: Source) -> Iterator[Item]:
        if source.kind in self._texts:
            for text in self._texts[source.kind]:
                yield from _text_index(text[:MAX_TEXT]).items.get(source.what, ())
            return
        for call in self._calls.get(source.owner, ()):
            if source.kind == "arg":
                value = call.args.get(source.what)
                if copyable(value):
                    yield Item(value, (call.id, "args"), value_key(value))
            else:
                index = _result_index(call)
                if index is not None:
                    yield from index.items.get(source.what, ())


_results: WeakKeyDictionary[PastCall, _Index] = WeakKeyDictionary()


def _result_index(call: PastCall) -> _Index | None:
    if not call.result:
        return None
    index = _results.get(call)
    if index is None:
        value = call.value if len(call.result) <= MAX_JSON else None
        if isinstance(value, (dict, list)):
            index = _index(_leaves(value, call.id))
        else:
            text = value if isinstance(value, str) else call.result
            index = _index((place, Item(token, call.id, token)) for place, token in tokens(text[:MAX_TEXT], lines=True))
        _results[call] = index
    return index


@lru_cache(maxsize=2048)
def _text_index(text: str) -> _Index:
    return _index((place, Item(token, None, token)) for place, token in tokens(text))


def _index(found: Iterator[tuple[str, Item]]) -> _Index:
    items: dict[str, list[Item]] = {}
    places: dict[Hashable, list[str]] = {}
    for count, (place, item) in enumerate(found):
        if count >= MAX_LEAVES:
            break
        items.setdefault(place, []).append(item)
        known = places.setdefault(item.key, [])
        if place not in known:
            known.append(place)
    return _Index(items, places)


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
                stack.extend((f"{path}.{'*' if _is_data(key) else key}", child, inner, depth + 1)
                             for key, child in reversed(children))
            else:
                # Scalars in a list belong to the record that holds the list; objects are records of their own.
                stack.extend((f"{path}.*", child, record, depth + 1) for child in reversed(value[:MAX_LEAVES]))
        elif copyable(value):
            yield path, Item(value, record, value_key(value))


def _is_data(key: str) -> bool:
    """True for object keys that are data (ids, dates) rather than names of fields."""
    return any(char.isdigit() for char in key)


_TOKEN = re.compile(r"https?://[^\s\"'<>)\]]+|#?\w(?:[\w./@#+:-]*\w)?")
_QUOTED = re.compile(r"\"([^\"\n]{1,80})\"|(?<!\w)'([^'\n]{1,80})'(?!\w)|`([^`\n]{1,80})`")
_PHRASE = re.compile(r"[^\W\d_a-zß-ÿ][\w’'.&-]*(?:\s+(?:(?:of|the|to|in|de|for|on|at|von|van|la)\s+){0,2}"
                     r"(?:[^\W\d_a-zß-ÿ][\w’'.&-]*|\d+\b))*")
_LABEL = re.compile(r"^[ \t>*-]*([^\W\d][\w ]{1,30}?)[ \t]*[:=]\*{0,2}[ \t]*(\S[^\n]{0,80}?)[ \t]*$", re.MULTILINE)
_SERIAL = re.compile(r"[A-Z]+\d+")
_RUNS = re.compile(r"[A-Z]+|[a-zà-ÿ]+|\d+")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY = re.compile(rf"\b({'|'.join(_MONTHS)})[a-z]*\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b", re.IGNORECASE)
_OPENING = """a an and are as at but can could did do does for from has have hello hey hi how i i'd i'll i'm
 if in is it no of ok okay on or please show sure thank thanks that the these this those to was were what when where
 which who whom whose why will with would yes you your"""
_OPENERS = frozenset(_OPENING.split())


def tokens(text: str, *, lines: bool = False) -> Iterator[tuple[str, str]]:
    """The values that stand in *text*, each with the name of its shape, in the order of the text for each shape.

    >>> list(tokens("I am mia_li_3668"))
    [('id:a_a_9', 'mia_li_3668'), ('whole', 'I am mia_li_3668')]
    """
    for match in _LABEL.finditer(text):
        yield f"label:{match[1].lower()}", match[2]
    for match in _TOKEN.finditer(text):
        token = match[0]
        shape = _shape(token)
        if shape is not None:
            yield shape, token
    for match in _QUOTED.finditer(text):
        yield "quoted", match[1] or match[2] or match[3]
    for match in _PHRASE.finditer(text):
        phrase = _phrase(match[0])
        if len(phrase) > 2:
            yield "phrase", phrase
    for match in _DAY.finditer(text):
        month = _MONTHS.index(match[1].lower()) + 1
        yield "day", f"{month:02}-{int(match[2]):02}"
    if lines:
        for line in text.splitlines()[:60]:
            if 0 < len(line) <= 100:
                yield "line", line.strip()
    elif len(text) <= MAX_VALUE:
        yield "whole", text.strip()


@lru_cache(maxsize=8192)
def _shape(token: str) -> str | None:
    """The shape of a token that may be an identifier, or None for plain words.

    Runs of letters and digits shrink to one sign; short codes in capitals and digits are told apart by their length,
    because where the digits stand means nothing in them.
    """
    if token.isalpha():
        return f"code:A{len(token)}" if token.isupper() and 2 <= len(token) <= 6 else None
    if token.isdigit():
        return f"number:{min(len(token), 9)}"
    if "://" in token:
        return "url"
    if token.isalnum() and token.isupper():
        return f"code:A9:{len(token)}" if _SERIAL.fullmatch(token) else f"code:{min(len(token), 16)}"
    shape = _RUNS.sub(lambda run: "9" if run[0].isdigit() else "A" if run[0].isupper() else "a", token)
    return f"id:{shape[:16]}" if len(token) <= MAX_VALUE else None


def _phrase(text: str) -> str:
    words = text.rstrip(".,'’").split()
    while words and words[0].lower() in _OPENERS:
        words.pop(0)
    return " ".join(words).removesuffix("'s").removesuffix("’s")
