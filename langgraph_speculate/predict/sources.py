"""Where values are found: everything in a run that an argument may have been taken from.

A *source* is a named place, the same from run to run: an argument of a tool, a JSON path in a tool's results, tokens of
one shape in what the user said. `RunSources` tells the values of a source, newest first, and the sources of a value.
What to make of them is the business of `bindings.py`; what one result or text holds, that of `indexes.py`. What was
collected from a tool is kept until it is called again.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence, Set
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from langgraph_speculate.core.history import History, PastCall, UserTurn
from langgraph_speculate.predict.indexes import MAX_TEXT, Index, Item, parted, result_index, text_index
from langgraph_speculate.predict.ledger import FieldName, Word
from langgraph_speculate.predict.mentions import Mentions
from langgraph_speculate.predict.values import copyable, fingerprint, successor, value_key

MAX_ARGUMENTS = 12  # of one call that are followed
MAX_ITEMS = 10  # values told of one source
USER = ""  # the owner of what the user said
WRITING = "(message)"  # the owner, and the kind, of what the model has written of its next message
COPY = "{}"  # the template that leaves a value as it is
RECENT_EVENTS = 120  # how far back a run is searched
_LATELY = 2  # texts of the user, and of the model, that tell what is being spoken of
_FIELD = re.compile(r"(?=.{1,40}$)[a-z]+(?:[_-][a-z]+|[A-Z][a-z]+)*")  # as people name fields: snake, kebab or camel
_NONE: Set[Hashable] = frozenset()


class Source(NamedTuple):
    """A named place: its kind (`"arg"`, `"next"`, `"json"`, `"text"` or `"user"`), its tool, and what of it.

    >>> Source("json", "get_user", "orders.*.id")
    Source(kind='json', owner='get_user', what='orders.*.id')
    """

    kind: str
    owner: str
    what: str


def words_of_source(source: Source) -> tuple[Word, ...]:
    """What of a source's name comes out of payloads: labels, and keys.

    >>> words_of_source(Source("text", "get_user", "label:maiden name"))
    (('get_user', 'maiden name'),)
    >>> words_of_source(Source("json", "get_user", ".orders.*.Zoë"))
    (('get_user', FieldName(text='orders')), ('get_user', 'Zoë'))
    >>> words_of_source(Source("arg", "get_user", "id"))
    ()
    """
    kind, owner, what = source
    if kind in ("text", "user"):
        label = what.partition("label:")[2]
        return ((owner, label),) if label else ()
    if kind != "json":
        return ()
    keys = [key for key in parted(what)[0].split(".") if key and key not in "*#"]
    return tuple([(owner, FieldName(key) if _FIELD.fullmatch(key) else key) for key in keys])


class RunSources:
    """The sources of one run up to a model call. Cheap to build; each source is collected when first asked for.

    Args:
        history: What the run has seen so far.
        before: The sources of an earlier moment of the same run: what was collected from tools that were not called
            since is taken over. Those of another run do no harm.
        writing: What the model has written of its next message, if that is a source, too.
    """

    def __init__(self, history: History, before: RunSources | None = None, writing: str = "") -> None:
        calls: dict[str, list[PastCall]] = {}
        said: list[str] = []
        told: list[str] = []  # by the model
        self._by_id: dict[Hashable, PastCall] = {}
        last: PastCall | None = None
        for event in reversed(history.events[-RECENT_EVENTS:]):
            if isinstance(event, PastCall):
                last = last or event
                calls.setdefault(event.call.name, []).append(event)
                self._by_id[event.id] = event
            elif isinstance(event, UserTurn):
                said.append(event.text[:MAX_TEXT])
            elif event.text and len(told) < _LATELY:
                told.append(event.text[:MAX_TEXT])
        self.said = said[0] if said else ""  # what the user said last
        self.last_made = None if last is None else fingerprint(last.call.name, last.call.args)  # the newest call
        lately = (*([writing[:MAX_TEXT]] if writing else ()), *said[:_LATELY], *told)
        spoken = None if before is None else before._mentions
        self._mentions: Mentions = Mentions(lately) if spoken is None or spoken.texts != lately else spoken
        self._marks: dict[Source, Sequence[int] | None] = {}
        known = before._owners if before is not None else {}
        self._owners: dict[str, _Owner] = {USER: _owner([], said, known.get(USER))}
        for name, made in calls.items():
            if name not in (USER, WRITING):
                self._owners[name] = _owner(made, [], known.get(name))
        if writing:
            self._owners[WRITING] = _writer(writing[:MAX_TEXT])

    def items(self, source: Source) -> Sequence[Item]:
        """The distinct values of *source*, newest first, at most `MAX_ITEMS`."""
        owner = self._owners.get(source.owner)
        return () if owner is None else owner.items(source)

    def last(self, source: Source) -> Item | None:
        """The last value of a JSON *source* in the newest result that has any."""
        owner = self._owners.get(source.owner)
        for index in owner.indexes if owner is not None else ():
            if items := index.items.get(source.what):
                return items[-1]
        return None

    def marks(self, source: Source) -> Sequence[int] | None:
        """For each of the `items` of *source* how it is spoken of, see `Mentions.marks`."""
        if source.kind == "user":
            return None  # all of it was said
        if source not in self._marks:
            self._marks[source] = self._mentions.marks(self.items(source), self._by_id)
        return self._marks[source]

    def used(self, tool: str, argument: str) -> Set[Hashable]:
        """Keys of the values that calls of *tool* had for *argument* in this run."""
        owner = self._owners.get(tool)
        return _NONE if owner is None else owner.used(argument)

    def made(self, tool: str) -> Set[Hashable]:
        """Fingerprints of the calls of *tool* in this run."""
        owner = self._owners.get(tool)
        return _NONE if owner is None else owner.made

    def holds(self, record: Hashable, key: Hashable) -> bool:
        """Whether a record has a value of that key: in a JSON result, or among the arguments of a call."""
        if type(record) is not tuple:
            return False
        call = self._by_id.get(record[0])
        if call is None:
            return False
        if record[1] == "args":
            return any(value_key(value) == key for value in islice(call.args.values(), MAX_ARGUMENTS))
        return key in result_index(call).held.get(record, _NONE)

    def held(self, record: Hashable) -> Set[Hashable]:
        """What a record of a JSON result holds, see `Index.held`."""
        call = self._by_id.get(record[0]) if type(record) is tuple else None
        return _NONE if call is None else result_index(call).held.get(record, _NONE)

    def known(self, keys: Set[str]) -> Set[Hashable]:
        """Those of *keys* that stand anywhere: far less work than asking `where` for each, where most stand nowhere."""
        found: set[Hashable] = set()
        for owner in self._owners.values():
            for index in owner.indexes:
                found |= index.places.keys() & keys
            found |= owner.named.keys() & keys
            found |= owner.following.keys() & keys
        return found

    def where(self, value: Any) -> list[Source]:
        """The sources that hold *value*, each once."""
        key = value_key(value)
        found: dict[Source, None] = {}
        for name, owner in self._owners.items():
            for index in owner.indexes:
                for place in index.places.get(key, ()):
                    found[Source(index.kind, name, place)] = None
            for argument in owner.named.get(key, ()):
                found[Source("arg", name, argument)] = None
            for argument in owner.following.get(key, ()):
                found[Source("next", name, argument)] = None
        return list(found)


class _Owner:
    """What the calls of one tool, or the user's turns, hold; kept from turn to turn until there is more."""

    def __init__(self, calls: list[PastCall], said: list[str]) -> None:
        self.calls = calls  # newest first, as is what was said
        self.said = said
        self._items: dict[Source, Sequence[Item]] = {}
        self._used: dict[str, Set[Hashable]] = {}

    def extend(self, earlier: _Owner) -> None:
        """Take over what an owner of the earlier ones of these calls had looked at."""
        new = _Owner(self.calls[: -len(earlier.calls)], [])
        if "indexes" in earlier.__dict__:
            self.indexes = new.indexes + earlier.indexes
        if "made" in earlier.__dict__:
            self.made = new.made | earlier.made
        self._used = {argument: new.used(argument) | used for argument, used in earlier._used.items()}

    @cached_property
    def indexes(self) -> list[Index]:
        """What the results, or the texts, hold, newest first."""
        return [text_index(text) for text in self.said] + [result_index(call) for call in self.calls if call.result]

    @cached_property
    def named(self) -> Mapping[Hashable, Sequence[str]]:
        """The arguments that had each value."""
        found: dict[Hashable, list[str]] = {}
        for call in self.calls:
            for argument, value in islice(call.call.args.items(), MAX_ARGUMENTS):
                if copyable(value):
                    names = found.setdefault(value_key(value), [])
                    if argument not in names:
                        names.append(argument)
        return found

    @cached_property
    def following(self) -> Mapping[Hashable, Sequence[str]]:
        """The arguments of the newest call that each value comes after, as 8 comes after 7."""
        found: dict[Hashable, list[str]] = {}
        for argument, value in islice(self.calls[0].call.args.items() if self.calls else (), MAX_ARGUMENTS):
            after = successor(value)
            if after is not None:
                found.setdefault(value_key(after), []).append(argument)
        return found

    @cached_property
    def made(self) -> Set[Hashable]:
        """Fingerprints of the calls."""
        return {fingerprint(call.call.name, call.call.args) for call in self.calls}

    def items(self, source: Source) -> Sequence[Item]:
        found = self._items.get(source)
        if found is None:
            if source.kind == "arg":
                found = _arguments(self.calls, source.what)
            elif source.kind == "next":
                newest = self.calls[0]
                after = successor(newest.call.args.get(source.what))
                found = () if after is None else ((after, (newest.id, "args"), value_key(after)),)
            else:
                found = _newest(self.indexes, source.kind, source.what)
            self._items[source] = found
        return found

    def used(self, argument: str) -> Set[Hashable]:
        found = self._used.get(argument)
        if found is None:
            calls = [call.call.args for call in self.calls]
            found = self._used[argument] = {value_key(args[argument]) for args in calls if argument in args}
        return found


def _owner(calls: list[PastCall], said: list[str], known: _Owner | None) -> _Owner:
    """The known owner where nothing was added to it, else a new one."""
    if known is not None and known.calls == calls and known.said == said:
        return known
    owner = _Owner(calls, said)
    if known is not None and known.calls and known.calls == calls[-len(known.calls) :]:
        owner.extend(known)
    return owner


def _writer(text: str) -> _Owner:
    owner = _Owner([], [])
    owner.indexes = [Index(WRITING, text_index(text).items)]
    return owner


def _newest(indexes: Sequence[Index], kind: str, what: str) -> Sequence[Item]:
    """The first distinct items of one place."""
    found: Sequence[Item] = ()
    for index in indexes:
        items = index.items.get(what) if index.kind == kind else None
        if items:
            # Those of one index are distinct already.
            found = _distinct(found, items) if found else items[:MAX_ITEMS]
            if len(found) >= MAX_ITEMS:
                break
    return found


def _distinct(first: Sequence[Item], then: Sequence[Item]) -> Sequence[Item]:
    seen = {key for _, _, key in first}
    return (*first, *[item for item in then if item[2] not in seen])[:MAX_ITEMS]


def _arguments(calls: Sequence[PastCall], name: str) -> Sequence[Item]:
    found: dict[Hashable, Item] = {}
    for call in calls[: 2 * MAX_ITEMS]:
        value = call.call.args.get(name)
        if copyable(value):
            key = value_key(value)
            if key not in found:
                found[key] = (value, (call.id, "args"), key)
                if len(found) >= MAX_ITEMS:
                    break
    return tuple(found.values())
