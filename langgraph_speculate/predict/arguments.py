"""Where one argument's values come from: programs, found by searching the run for each value that was used.

What a program is and how often it was right is in `programs.py`; here they are found, the best are chosen, and their
values stand beside constants (`constants.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence, Set
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any

import orjson

from langgraph_speculate.core.sums import Key
from langgraph_speculate.predict.conditions import conditions
from langgraph_speculate.predict.constants import Constants
from langgraph_speculate.predict.indexes import Item
from langgraph_speculate.predict.knowledge import FOUND, VALUE, text_of, words_in
from langgraph_speculate.predict.ledger import Evidence, Ledger
from langgraph_speculate.predict.lenses import undone
from langgraph_speculate.predict.programs import NEW, OLD, UNSEEN, Program, lens_of, picks_of
from langgraph_speculate.predict.rates import Rate
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.sources import COPY, RunSources, Source
from langgraph_speculate.predict.templates import MAX_TEXT, parts, pieces, slots
from langgraph_speculate.predict.values import copyable, value_key
from langgraph_speculate.predict.verbs import words_of

_PROGRAMS = 64  # kept per argument
_ACTIVE = 20  # tried by a prediction
_CONDITIONED = 2  # sources of one value for which it is asked what is true of its record
_HOPEFUL = 0.15  # programs that are right less often, compared to the best one, are not tried
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


class Argument:
    """Learn and tell the values of one argument of one tool.

    Attributes:
        found: How often a value could have been found before it was used: by a source, or as a known constant.
    """

    def __init__(self, tool: str = "", name: str = "", ledger: Ledger | None = None) -> None:
        self.found = Rate()
        self._tool, self._name = tool, name
        self._ledger = ledger or Ledger(Evidence())
        self._programs: dict[tuple[str, Source], Program] = {}
        self._chosen: list[Program] | None = []  # those worth trying; None: to be chosen again
        self._fills: Recent[str, set[Any]] = Recent(_PROGRAMS)
        self._constants = Constants()

    def values(
        self, sources: RunSources, used: Set[Hashable], context: str, *, limit: int, least: float
    ) -> list[Value]:
        """Return the most probable values with a chance of at *least* that much, best first."""
        best: dict[Hashable, Value] = {}
        for program in self._active():
            items = sources.items(program.source)
            if items:
                _add_values(best, program, items, sources, used, context, least)
        for key, value, chance in self._constants.tell(context, least=least):
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

    def completing(self, text: str, surprise: float) -> list[tuple[str, float]]:
        """Values it has had that begin like this, see `Constants.completing`."""
        return self._constants.completing(text, surprise)

    def learn(self, sources: RunSources, used: Set[Hashable], context: str, values: Sequence[Any]) -> None:
        """See the values that the calls of one message had for this argument."""
        keys = {value_key(value): value for value in values}
        for key, value in keys.items():
            found = key in self._constants
            if copyable(value) or type(value) is list:
                found = self._find_programs(sources, value) or found
            self.found.see(found)
            self._ledger.count((FOUND, self._tool, self._name), found, 1.0)
            if (text := text_of(value)) is not None:
                words = (*words_in(self._tool, value), *words_of(context))
                self._ledger.count_words(words, (VALUE, self._tool, self._name, context, text), 1.0)
        self._ledger.count_words(words_of(context), (VALUE, self._tool, self._name, context, ""), len(keys))
        self._constants.see(context, keys)
        filled: dict[str, tuple[Set[Hashable], Set[Hashable]]] = {}  # what was, and is, in each template's slot
        for program in self._programs.values():
            items = sources.items(program.source)
            if items:
                marks = sources.marks(program.source)
                if program.lens is not None:
                    items, marks = program.lens.over(items, marks, sources, program.source)
                    if not items:
                        continue
                template = program.template
                if template not in filled:
                    filled[template] = slots(template, used), slots(template, keys.keys())
                ledger = self._ledger if self._is_proven(program) else None
                program.see(context, items, marks, *filled[template], ledger)
        self._chosen = None

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
            if COPY not in template and lens_of(template) is None:
                return  # a lens of another version
            program = self._programs.get((template, source))
            if program is None:
                if len(self._programs) >= _PROGRAMS:  # what weighs least was recalled first
                    del self._programs[next(iter(self._programs))]
                program = Program(self._tool, self._name, template, source, recalled=True)
                self._programs[template, source] = program
            program.recall(key, hits, trials)
            self._chosen = None

    def _active(self) -> Sequence[Program]:
        """The programs that are worth trying."""
        if self._chosen is None:
            proven = filter(self._is_proven, self._programs.values())
            rated = [(program.right.after(UNSEEN, 2.0), program) for program in proven]
            rated.sort(key=_RATE, reverse=True)
            self._chosen = [program for rate, program in rated[:_ACTIVE] if rate >= _HOPEFUL * rated[0][0]]
        return self._chosen

    def _is_proven(self, program: Program) -> bool:
        """Whether it is worth something: a template is once two values filled it."""
        template = program.template
        return template == COPY or program.recalled or len(self._fills.get(template, ())) > 1

    def _find_programs(self, sources: RunSources, value: Any) -> bool:
        """Remember the programs that would have yielded *value*; True if there is one."""
        places = sources.where(value)
        for source in places:
            self._keep(COPY, source)
        for source in places[:_CONDITIONED]:
            for condition in conditions(sources, source, value) if source.kind == "json" else ():
                self._see_filled(condition, value, [source])
        if not places:  # what stands there as it is was hardly made of something else
            for lens, was in undone(value):
                places += self._fill(sources, lens, was)
        if isinstance(value, str) and len(value) <= MAX_TEXT:
            places += self._fill_any(sources, value, parts(value), at_once=True)
            places = places or self._fill_any(sources, value, pieces(value))
        return bool(places)

    def _fill_any(
        self, sources: RunSources, text: str, slots: Collection[str], *, at_once: bool = False
    ) -> list[Source]:
        """See each of *slots* that stands anywhere filled into the rest of *text*; where from, as `_fill` tells."""
        known = sources.known(set(slots)) if slots else ()
        places: list[Source] = []
        for slot in slots if known else ():
            if slot in known:
                places += self._fill(sources, text.replace(slot, COPY), slot, at_once=at_once)
        return places

    def _fill(self, sources: RunSources, template: str, slot: Any, *, at_once: bool = False) -> Sequence[Source]:
        """See a template filled, or a lens looked through; where from, if it was by another value before.

        Args:
            sources: What the run holds.
            template: The template, or the name of a lens.
            slot: What is filled in.
            at_once: Keep where it comes from after one value, as for what is seldom there by chance.
        """
        places = sources.where(slot)
        return self._see_filled(template, slot, places, at_once=at_once) if places else ()

    def _see_filled(
        self, template: str, slot: Any, places: Sequence[Source], *, at_once: bool = False
    ) -> Sequence[Source]:
        fills = self._fills.touch(template, set)
        if len(fills) < 8:
            fills.add(slot)
        if len(fills) > 1 or at_once:
            for source in places:
                self._keep(template, source)
        return places if len(fills) > 1 else ()

    def _keep(self, template: str, source: Source) -> None:
        if (template, source) in self._programs:
            return
        if len(self._programs) >= _PROGRAMS:  # make room by what was right least often
            del self._programs[min(self._programs, key=lambda known: self._programs[known].right.after(UNSEEN, 2.0))]
        self._programs[template, source] = Program(self._tool, self._name, template, source)


def _add_values(
    best: dict[Hashable, Value],
    program: Program,
    items: Sequence[Item],
    sources: RunSources,
    used: Set[Hashable],
    context: str,
    least: float,
) -> None:
    """Add what *program* makes of *items* to the *best* values so far."""
    marks = sources.marks(program.source)
    if program.lens is not None:
        items, marks = program.lens.over(items, marks, sources, program.source)
        if not items:
            return
    items, used = program.offer(items), slots(program.template, used)
    if marks is not None:
        places, picks_by_kind = picks_of([item[2] for item in items], marks, used)
        told: dict[int, Sequence[float]] = {}
        for item, (kind, place) in zip(items, places, strict=True):
            chances = told.get(kind)
            if chances is None:
                chances = told[kind] = program.chances(picks_by_kind[kind], context)[0]
            if chances[place] >= least:
                _add(best, program, item, chances[place], picks_by_kind[kind][place])
        return
    olds = sum([key in used for _, _, key in items]) if used else 0
    picks = NEW[len(items) - olds]
    new, most = program.chances(picks, context)
    old = new
    if olds:
        old, most_old = program.chances(OLD, context)
        most = max(most, most_old)
    if most < least:
        return  # as most programs do
    at_new = at_old = 0
    for item in items:
        if olds and item[2] in used:
            chance, pick = old[at_old], OLD[at_old]
            at_old += at_old < 3
        else:
            chance, pick = new[at_new], picks[at_new]
            at_new += at_new < 5
        if chance >= least:
            _add(best, program, item, chance, pick)


def _add(best: dict[Hashable, Value], program: Program, item: Item, chance: float, pick: str) -> None:
    value, record, key = item
    template, kind = program.template, program.source.kind
    if template != COPY and program.lens is None:
        value = key = template.replace(COPY, value, 1)
    known = best.get(key)
    if known is None:
        best[key] = Value(key, value, chance, kind, record, program.origin(pick))
    else:
        known.support += 1
        if known.chance < chance:
            known.chance, known.kind, known.record = chance, kind, record
            known.origin = program.origin(pick)
