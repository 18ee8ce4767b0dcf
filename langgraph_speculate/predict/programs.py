"""Where one argument's values come from: small programs, found by searching the run for each value that was used.

A program picks from a source (`sources.py`) and fills the pick into a template: `{}` for a plain copy, `cat {}` for a
value inside a command. Picks are named by their place among the values that the argument has not had yet (`new 0`: the
next unused one) or among those it has had (`old 0`: the newest of them); so a list being walked, or fanned out in one
message, needs no program of its own. Beside programs there are constants: values that simply come again.

Every pick of every program keeps how often it was right when the tool was called, after the last event and over all;
the former falls back to the latter.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.sources import MAX_ITEMS, Item, RunSources, Source, copyable, value_key

COPY = "{}"
_PROGRAMS = 32  # kept per argument
_ACTIVE = 12  # tried by a prediction
_CONTEXTS = 64  # kept per program and for constants
_CONSTANTS = 256  # kept per context
_MAX_TEMPLATE = 60  # characters around the slot
_HOPEFUL = 0.15  # programs that are right less often, compared to the best one, are not tried
_UNSEEN = 0.05  # the chance of a pick that was never tried
_WORD = re.compile(r"[\w./@#:+-]+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NEW = {many: tuple(f"new {place} of {many}" for place in range(6)) for many in ("1", "few", "many")}
_HOW_MANY = ("few", "1", "few", "few", *["many"] * MAX_ITEMS)
_OLD = tuple(f"old {place}" for place in range(4))

_Chances = tuple[float, ...]


class Value(NamedTuple):
    """A value that one argument may have.

    Attributes:
        value: The value.
        chance: P(a call of the message has this value | it calls the tool).
        kind: The kind of source it comes from, or `"constant"`.
        record: The record it stands in, or None.
        support: How many programs yield it.
    """

    value: Any
    chance: float
    kind: str
    record: Hashable
    support: int


@dataclass(slots=True)
class Rate:
    """How often something was right out of how often it was tried; old observations fade."""

    hits: float = 0.0
    trials: float = 0.0

    def see(self, hit: bool) -> None:
        """Count one trial."""
        if self.trials >= 400.0:
            self.hits *= 0.5
            self.trials *= 0.5
        self.trials += 1.0
        self.hits += hit

    def after(self, prior: float, weight: float) -> float:
        """The rate, pulled towards *prior* as if that had been seen *weight* times."""
        return (self.hits + weight * prior) / (self.trials + weight)


@dataclass(slots=True)
class _Program:
    """The record of one program: each pick's rate, over all and per context."""

    template: str
    source: Source
    right: Rate = field(default_factory=Rate)
    picks: dict[str, Rate] = field(default_factory=dict)
    here: Recent[str, dict[str, Rate]] = field(default_factory=lambda: Recent(_CONTEXTS))
    tables: dict[tuple[str, str], tuple[_Chances, _Chances, float]] = field(default_factory=dict)  # cleared by `see`

    def chances(self, many: str, context: str) -> tuple[_Chances, _Chances, float]:
        """The chances of new and of old values by place, where *many* new ones are there, and the best of them."""
        table = self.tables.get((many, context))
        if table is None:
            here = self.here.get(context, {})
            new = tuple(self._chance(pick, here) for pick in _NEW[many])
            old = tuple(self._chance(pick, here) for pick in _OLD)
            table = self.tables[many, context] = (new, old, max(*new, *old))
        return table

    def see(self, context: str, hits: Sequence[tuple[str, bool]]) -> None:
        """Count which picks were right."""
        here = self.here.touch(context, dict)
        for pick, hit in hits:
            self.picks.setdefault(pick, Rate()).see(hit)
            here.setdefault(pick, Rate()).see(hit)
        self.right.see(any(hit for _, hit in hits))
        self.tables.clear()

    def items(self, sources: RunSources) -> list[Item]:
        """What there is to pick from, newest first."""
        items = sources.items(self.source)
        return items if self.template == COPY else [_fill(self.template, item) for item in items]

    def _chance(self, pick: str, here: dict[str, Rate]) -> float:
        overall = self.picks.get(pick)
        if overall is None:
            return _UNSEEN * 0.5
        chance = overall.after(_UNSEEN, 1.0)
        local = here.get(pick)
        return chance * 0.8 if local is None else local.after(chance, 2.0)


@dataclass(slots=True)
class _Constants:
    """Values seen in one context; one seen once promises little (absolute discounting)."""

    total: float = 0.0
    counts: Recent[Hashable, list[Any]] = field(default_factory=lambda: Recent(_CONSTANTS))
    ranking: list[tuple[Hashable, Any, float]] | None = None

    def see(self, key: Hashable, value: Any) -> None:
        self.counts.touch(key, lambda: [value, 0.0])[1] += 1.0
        self.total += 1.0
        self.ranking = None

    def top(self) -> list[tuple[Hashable, Any, float]]:
        """The eight most frequent values with their shares."""
        if self.ranking is None:
            entries = sorted(self.counts.items(), key=lambda item: -item[1][1])[:8]
            self.ranking = [(key, value, max(count - 0.8, 0.0) / self.total) for key, (value, count) in entries]
        return self.ranking


class Argument:
    """Learn and tell the values of one argument of one tool.

    Attributes:
        found: How often a value could have been found before it was used: by a source, or as a known constant.
    """

    def __init__(self) -> None:
        self.found = Rate()
        self._programs: dict[tuple[str, Source], _Program] = {}
        self._active: list[_Program] = []
        self._fills: Recent[str, set[str]] = Recent(_PROGRAMS)
        self._constants: Recent[str, _Constants] = Recent(_CONTEXTS)

    def values(
        self, sources: RunSources, used: set[Hashable], context: str, *, limit: int, least: float
    ) -> list[Value]:
        """Return the most probable values with a chance of at *least* that much, best first."""
        chances: dict[Hashable, list[Any]] = {}  # Values in the making: value, chance, kind, record, support
        for program in self._active:
            items = program.items(sources)
            if not items:
                continue
            new, old, peak = program.chances(_many(items, used) if used else _HOW_MANY[len(items)], context)
            if peak < least:
                continue
            news = olds = 0
            for value, record, key in items:
                if key in used:
                    chance = old[olds]
                    olds += olds < 3
                else:
                    chance = new[news]
                    news += news < 5
                if chance < least:
                    continue
                entry = chances.get(key)
                if entry is None:
                    chances[key] = [value, chance, program.source.kind, record, 1]
                else:
                    entry[4] += 1
                    if entry[1] < chance:
                        entry[1:4] = chance, program.source.kind, record
        for key, value, chance in self._constant_values(context):
            if chance < least:
                continue
            entry = chances.get(key)
            if entry is None:
                chances[key] = [value, chance, "constant", None, 1]
            else:
                entry[4] += 1
                if entry[1] < chance:
                    entry[1:3] = chance, "constant"
        best = sorted(chances.values(), key=_by_chance)[:limit]
        return [Value(*entry) for entry in best]

    def learn(self, sources: RunSources, used: set[Hashable], context: str, values: Sequence[Any]) -> None:
        """See the values that the calls of one message had for this argument."""
        keys = {value_key(value): value for value in values}
        everywhere = self._constants.touch("", _Constants)
        here = self._constants.touch(context, _Constants)
        for key, value in keys.items():
            found = key in everywhere.counts
            if copyable(value):
                found = self._find_programs(sources, value) or found
            self.found.see(found)
            everywhere.see(key, value)
            here.see(key, value)
        for program in self._programs.values():
            items = program.items(sources)
            if items:
                program.see(context, [(pick, item.key in keys) for pick, item in _picks(items, used)])
        rates = [(program.right.after(_UNSEEN, 2.0), program) for program in self._programs.values()]
        proven = [entry for entry in rates if self._is_proven(entry[1])]
        proven.sort(key=lambda entry: -entry[0])
        self._active = [program for rate, program in proven[:_ACTIVE] if rate >= _HOPEFUL * proven[0][0]]

    def _constant_values(self, context: str) -> Iterator[tuple[Hashable, Any, float]]:
        everywhere, here = self._constants.get(""), self._constants.get(context)
        if everywhere is None:
            return
        if here is None:
            yield from everywhere.top()
            return
        weight = here.total / (here.total + 2.0)
        chances = {key: [value, share * (1.0 - weight)] for key, value, share in everywhere.top()}
        for key, value, share in here.top():
            chances.setdefault(key, [value, 0.0])[1] += weight * share
        for key, (value, chance) in chances.items():
            yield key, value, chance

    def _find_programs(self, sources: RunSources, value: Any) -> bool:
        """Remember the programs that would have yielded *value*; True if there is one."""
        places = sources.where(value)
        for source in places:
            self._keep(COPY, source)
        if isinstance(value, str) and len(value) <= 160:
            for slot in _slots(value):
                for source in sources.where(slot):
                    template = value.replace(slot, COPY)
                    fills = self._fills.touch(template, set)
                    if len(fills) < 8:
                        fills.add(slot)
                    self._keep(template, source)
                    if len(fills) > 1:
                        places.append(source)
        return bool(places)

    def _is_proven(self, program: _Program) -> bool:
        """A template is worth something once two values filled it."""
        return program.template == COPY or len(self._fills.get(program.template, ())) > 1

    def _keep(self, template: str, source: Source) -> None:
        if (template, source) in self._programs:
            return
        if len(self._programs) >= _PROGRAMS:  # make room by what was right least often
            del self._programs[min(self._programs, key=lambda known: self._programs[known].right.after(_UNSEEN, 2.0))]
        self._programs[template, source] = _Program(template, source)


def _slots(text: str) -> list[str]:
    """Parts of a text that may have been filled in: words, and the day of a date."""
    if COPY in text:
        return []
    found = [word for word in _WORD.findall(text)[:12] if len(word) >= 2 and len(text) - len(word) <= _MAX_TEMPLATE]
    if _DATE.fullmatch(text):
        found.append(text[5:])
    return [slot for slot in dict.fromkeys(found) if slot != text and text.count(slot) == 1]


def _picks(items: Sequence[Item], used: set[Hashable]) -> list[tuple[str, Item]]:
    """Items with the names of their places, unused values and used ones counted apart."""
    new = _NEW[_many(items, used)]
    picks = []
    news = olds = 0
    for item in items:
        if item.key in used:
            picks.append((_OLD[olds], item))
            olds += olds < 3
        else:
            picks.append((new[news], item))
            news += news < 5
    return picks


def _many(items: Sequence[Item], used: set[Hashable]) -> str:
    return _HOW_MANY[len(items) - sum([item.key in used for item in items])]


def _fill(template: str, item: Item) -> Item:
    text = template.replace(COPY, str(item.value), 1)
    return Item(text, item.record, text)


def _by_chance(entry: list[Any]) -> float:
    return -float(entry[1])
