"""Where one argument's values come from: small programs, found by searching the run for each value that was used.

A program picks from a source (`sources.py`) and fills the pick into a template: `{}` for a plain copy, `cat {}` for a
value inside a command. Picks are named by their place among the values that the argument has not had yet (`new 0`: the
next unused one) or among those it has had (`old 0`: the newest of them); so a list being walked, or fanned out in one
message, needs no program of its own. Beside programs there are constants (`constants.py`).

Every pick of every program keeps how often it was right when the tool was called, after the last event and over all;
the former falls back to the latter.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence, Set
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import orjson

from langgraph_speculate.core.sums import Key
from langgraph_speculate.predict.constants import Constants
from langgraph_speculate.predict.indexes import Item
from langgraph_speculate.predict.knowledge import FOUND, PICK, RIGHT, VALUE, text_of, words_in
from langgraph_speculate.predict.ledger import Evidence, Ledger, Word
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.sources import COPY, MAX_ITEMS, RunSources, Source, words_of_source
from langgraph_speculate.predict.values import copyable, value_key
from langgraph_speculate.predict.verbs import words_of

_PROGRAMS = 64  # kept per argument
_ACTIVE = 20  # tried by a prediction
_CONTEXTS = 64  # kept per program
_MAX_TEMPLATE = 60  # characters around the slot
_HOPEFUL = 0.15  # programs that are right less often, compared to the best one, are not tried
_UNSEEN = 0.05  # the chance of a pick that was never tried
_WORD = re.compile(r"[\w./@#:+-]+")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_NEW = {many: tuple(f"new {place} of {many}" for place in range(6)) for many in ("1", "few", "many")}
_HOW_MANY = ("few", "1", "few", "few", *["many"] * MAX_ITEMS)
_OLD = tuple(f"old {place}" for place in range(4))
_PICKS = frozenset(_OLD).union(*_NEW.values())
_NO_CHANCES: Sequence[float] = ()
_FADES = 400.0  # trials at which the older half of them is forgotten
_CHANCE = attrgetter("chance")
_RATE = itemgetter(0)


@dataclass(slots=True, eq=False)
class Value:
    """A value that one argument may have.

    Attributes:
        key: Its `value_key`.
        value: The value itself.
        chance: P(a call of the message has this value | it calls the tool).
        kind: The kind of source it comes from, or `"constant"`.
        record: The record it stands in, or None.
        origin: The pick of the program it comes from; the value itself for a constant.
        support: How many programs yield it.
    """

    key: Hashable
    value: Any
    chance: float
    kind: str
    record: Hashable
    origin: Hashable
    support: int = 1


class Pick(NamedTuple):
    """One pick of one program."""

    template: str
    source: Source
    pick: str


Way = tuple[str, tuple[str, ...], tuple[Hashable, ...]]
"""A tool, the names of its arguments, and where each comes from: a `Pick`, or the key of a constant."""


@dataclass(slots=True)
class Rate:
    """How often something was right out of how often it was tried; old observations fade."""

    hits: float = 0.0
    trials: float = 0.0

    def see(self, hit: bool) -> None:
        """Count one trial."""
        if self.trials >= _FADES:
            self.hits *= 0.5
            self.trials *= 0.5
        self.trials += 1.0
        self.hits += hit

    def recall(self, hits: float, trials: float) -> None:
        """Know again that it was right so often; no more weight than it could have by learning."""
        self.hits += min(hits, trials)
        self.trials += trials
        if self.trials > _FADES:
            self.hits *= _FADES / self.trials
            self.trials = _FADES

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
    prefix: tuple[str, ...] = ()  # of its keys in the ledger
    words: tuple[Word, ...] = ()  # in that prefix
    recalled: bool = False
    known: dict[tuple[str, str], list[float]] = field(default_factory=dict)  # what `chances` told; cleared by `see`

    def chances(self, picks: Sequence[str], count: int, context: str) -> Sequence[float]:
        """The chances of at least the first *count* of *picks*, or of all there are."""
        known = self.known.get((picks[0], context))
        if known is None or len(known) < count:
            known = self.known[picks[0], context] = []
            here = self.here.get(context) or {}
            for pick in picks[:count]:
                overall = self.picks.get(pick)
                if overall is None:
                    known.append(_UNSEEN * 0.5)
                    continue
                chance = overall.after(_UNSEEN, 1.0)
                local = here.get(pick)
                known.append(chance * 0.8 if local is None else local.after(chance, 2.0))
        return known

    def see(
        self, context: str, items: Sequence[Item], used: Set[Hashable], truth: Set[Hashable], ledger: Ledger
    ) -> None:
        """Count which picks were right."""
        seen: dict[str, list[int]] = {}  # by pick: how often it was right, and how often there was one
        here, overall = self.here.touch(context, dict), self.picks
        olds = _count_used(items, used) if used else 0
        new = _NEW[_HOW_MANY[len(items) - olds]]
        hits = False
        at_new = at_old = 0
        for _, _, key in items:
            if olds and key in used:
                pick = _OLD[at_old]
                at_old += at_old < 3
            else:
                pick = new[at_new]
                at_new += at_new < 5
            hit = key in truth
            hits = hits or hit
            noted = seen.setdefault(pick, [0, 0])
            noted[0] += hit
            noted[1] += 1
            for rates in (overall, here):
                rate = rates.get(pick)
                if rate is None:
                    rate = rates[pick] = Rate()
                rate.see(hit)
        self.right.see(hits)
        self.known.clear()
        waits = ledger.waits(self.words, turned_up=hits) if self.words else ()
        ledger.hold(waits, (RIGHT, *self.prefix), hits, 1.0)
        if waits is not None and (commands := words_of(context)):
            more = ledger.waits(commands)
            waits = None if more is None else (*waits, *more)
        for pick, (right, times) in seen.items():
            ledger.hold(waits, (PICK, *self.prefix, context, pick), right, times)

    def recall(self, key: Key, hits: float, trials: float) -> None:
        """Know again how often it, or one of its picks, was right."""
        if key[0] == RIGHT:
            self.right.recall(hits, trials)
        elif key[8] in _PICKS:
            here = self.here.touch(key[7], dict)
            for rates in (self.picks, here):
                rates.setdefault(key[8], Rate()).recall(hits, trials)


class Argument:
    """Learn and tell the values of one argument of one tool.

    Attributes:
        found: How often a value could have been found before it was used: by a source, or as a known constant.
    """

    def __init__(self, tool: str = "", name: str = "", ledger: Ledger | None = None) -> None:
        self.found = Rate()
        self._tool, self._name = tool, name
        self._ledger = ledger or Ledger(Evidence())
        self._programs: dict[tuple[str, Source], _Program] = {}
        self._active: list[_Program] = []
        self._fills: Recent[str, set[str]] = Recent(_PROGRAMS)
        self._constants = Constants()

    def values(
        self, sources: RunSources, used: Set[Hashable], context: str, *, limit: int, least: float
    ) -> list[Value]:
        """Return the most probable values with a chance of at *least* that much, best first."""
        best: dict[Hashable, Value] = {}
        for program in self._active:
            source = program.source
            items = sources.items(source, program.template)
            if not items:
                continue
            olds = _count_used(items, used) if used else 0
            news = len(items) - olds
            new_picks = _NEW[_HOW_MANY[news]]
            new = program.chances(new_picks, news, context) if news else _NO_CHANCES
            old = program.chances(_OLD, olds, context) if olds else _NO_CHANCES
            at_new = at_old = 0
            for value, record, key in items:
                if olds and key in used:
                    chance, pick = old[at_old], _OLD[at_old]
                    at_old += at_old < 3
                else:
                    chance, pick = new[at_new], new_picks[at_new]
                    at_new += at_new < 5
                if chance < least:
                    continue
                known = best.get(key)
                if known is None:
                    best[key] = Value(key, value, chance, source.kind, record, Pick(program.template, source, pick))
                else:
                    known.support += 1
                    if known.chance < chance:
                        known.chance, known.kind, known.record = chance, source.kind, record
                        known.origin = Pick(program.template, source, pick)
        for key, value, chance in self._constants.tell(context):
            if chance < least:
                break  # they come most probable first
            known = best.get(key)
            if known is None:
                best[key] = Value(key, value, chance, "constant", None, key)
            else:
                known.support += 1
                if known.chance < chance:
                    known.chance, known.kind, known.origin = chance, "constant", key
        return sorted(best.values(), key=_CHANCE, reverse=True)[:limit]

    def learn(self, sources: RunSources, used: Set[Hashable], context: str, values: Sequence[Any]) -> None:
        """See the values that the calls of one message had for this argument."""
        keys = {value_key(value): value for value in values}
        for key, value in keys.items():
            found = key in self._constants
            if copyable(value):
                found = self._find_programs(sources, value) or found
            self.found.see(found)
            self._ledger.count((FOUND, self._tool, self._name), found, 1.0)
            if (text := text_of(value)) is not None:
                words = (*words_in(self._tool, value), *words_of(context))
                self._ledger.count_words(words, (VALUE, self._tool, self._name, context, text), 1.0)
        self._ledger.count_words(words_of(context), (VALUE, self._tool, self._name, context, ""), len(keys))
        self._constants.see(context, keys)
        for program in self._programs.values():
            items = sources.items(program.source, program.template)
            if items:
                program.see(context, items, used, keys.keys(), self._ledger)
        self.settle()

    def recall(self, key: Key, hits: float, trials: float) -> None:
        """Know again what was written down under *key* (`knowledge.py`)."""
        if key[0] == FOUND:
            self.found.recall(hits, trials)
        elif key[0] == VALUE:
            if key[4]:
                value = orjson.loads(key[4])
                self._constants.recall(key[3], value_key(value), value, hits)
            else:
                self._constants.recall_total(key[3], hits)
        else:
            template, source = key[3], Source(*key[4:7])
            program = self._programs.get((template, source))
            if program is None:
                if len(self._programs) >= _PROGRAMS:  # what weighs least was recalled first
                    del self._programs[next(iter(self._programs))]
                program = self._programs[template, source] = self._program(template, source)
                program.recalled = True
            program.recall(key, hits, trials)

    def settle(self) -> None:
        """Choose the programs that are worth trying."""
        proven = [
            (known.right.after(_UNSEEN, 2.0), known) for known in self._programs.values() if self._is_proven(known)
        ]
        proven.sort(key=_RATE, reverse=True)
        self._active = [program for rate, program in proven[:_ACTIVE] if rate >= _HOPEFUL * proven[0][0]]

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
        template = program.template
        return template == COPY or program.recalled or len(self._fills.get(template, ())) > 1

    def _keep(self, template: str, source: Source) -> None:
        if (template, source) in self._programs:
            return
        if len(self._programs) >= _PROGRAMS:  # make room by what was right least often
            del self._programs[min(self._programs, key=lambda known: self._programs[known].right.after(_UNSEEN, 2.0))]
        self._programs[template, source] = self._program(template, source)

    def _program(self, template: str, source: Source) -> _Program:
        prefix = (self._tool, self._name, template, *source)
        return _Program(template, source, prefix=prefix, words=words_of_program(self._tool, template, source))


def words_of_program(tool: str, template: str, source: Source) -> tuple[Word, ...]:
    """What of a program comes out of payloads.

    >>> words_of_program("bash", "cat {}", Source("text", "bash", "word"))
    (('bash', 'cat'),)
    """
    parts = [(tool, part.strip()) for part in template.split(COPY) if part.strip()]
    return (*parts, *words_of_source(source))


def _slots(text: str) -> list[str]:
    """Parts of a text that may have been filled in: words, and the day of a date."""
    if COPY in text:
        return []
    found = [word for word in _WORD.findall(text)[:12] if len(word) >= 2 and len(text) - len(word) <= _MAX_TEMPLATE]
    if _DATE.fullmatch(text):
        found.append(text[5:])
    return [slot for slot in dict.fromkeys(found) if slot != text and text.count(slot) == 1]


def _count_used(items: Sequence[Item], used: Set[Hashable]) -> int:
    return sum([item.key in used for item in items])
