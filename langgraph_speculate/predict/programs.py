"""Programs: small ways of finding an argument's value, and the record of each.

A program picks from a source (`sources.py`) and fills the pick into a template: `{}` for a plain copy, `cat {}` for a
value inside a command (`templates.py`); or it shows the pick through a lens (`lenses.py`). Picks are named by their
place among the values that the argument has not had yet (`new 0`: the next unused one) or among those it has had
(`old 0`: the newest of them); so a list being walked, or fanned out in one message, needs no program of its own. Unused
ones that are spoken of (`mentions.py`) have picks of their own: `said 0` was written by the user or the model,
`beside 0` stands in a record with what they wrote, `near 0` in the result of a call made with it, and `rest 0` is the
first of the others.

Every pick of every program keeps how often it was right when the tool was called, after the last event and over all;
the former falls back to the latter. Which programs an argument has is the business of `arguments.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Set
from functools import lru_cache
from typing import NamedTuple

from langgraph_speculate.core.sums import Key
from langgraph_speculate.predict.conditions import Condition, Last, condition_of
from langgraph_speculate.predict.indexes import Flag, Item
from langgraph_speculate.predict.knowledge import PICK, RIGHT
from langgraph_speculate.predict.ledger import FieldName, Ledger, Word
from langgraph_speculate.predict.lenses import LENSES, Lens
from langgraph_speculate.predict.mentions import BESIDE, NEAR, PLAIN, SAID
from langgraph_speculate.predict.rates import Rate
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.sources import COPY, MAX_ITEMS, Source, words_of_source
from langgraph_speculate.predict.verbs import words_of

_CONTEXTS = 64  # kept per program
UNSEEN = 0.05
"""The chance of a pick that was never tried."""

Picks = tuple[str, ...]
"""Picks of one kind, by place; the last one stands for all places from there on."""


def _by_number(kind: str) -> Sequence[Picks]:
    picks = {many: tuple(f"{kind} {place} of {many}" for place in range(6)) for many in ("1", "few", "many")}
    return tuple([picks[many] for many in ("few", "1", "few", "few", *["many"] * MAX_ITEMS)])


NEW = _by_number("new")
"""The picks among values that the argument has not had yet, by how many of them there are."""

OLD: Picks = tuple(f"old {place}" for place in range(4))
"""The picks among values that the argument has had."""

_REST = _by_number("rest")
_SAID: Picks = tuple(f"said {place}" for place in range(4))
_NEAR: Picks = tuple(f"near {place}" for place in range(4))
_BESIDE: Picks = tuple(f"beside {place}" for place in range(4))
_USED = 4  # beside those of `mentions.py`
_LAST = (5, 3, 3, 3, 3)  # the last place of each of the kinds
_PICKS = frozenset((*OLD, *_SAID, *_NEAR, *_BESIDE)).union(*NEW, *_REST)


class Pick(NamedTuple):
    """One pick of one program."""

    template: str
    source: Source
    pick: str


Way = tuple[str, tuple[str, ...], tuple[Hashable, ...]]
"""A tool, the names of its arguments, and where each comes from: a `Pick`, or the key of a constant."""


class _Rates:
    """The rate of each pick. What is seen most is that none was right: it is only noted, and counted when asked for."""

    __slots__ = ("_missed", "_rates")

    def __init__(self) -> None:
        self._rates: dict[str, Rate] = {}
        self._missed: dict[int, int] = {}  # how often, by how many items there were

    def get(self, pick: str) -> Rate | None:
        if self._missed:
            self._count()
        return self._rates.get(pick)

    def touch(self, pick: str) -> Rate:
        rate = self.get(pick)
        if rate is None:
            rate = self._rates[pick] = Rate()
        return rate

    def miss(self, count: int) -> None:
        self._missed[count] = self._missed.get(count, 0) + 1

    def _count(self) -> None:
        missed, self._missed = self._missed, {}
        for count, times in missed.items():
            for pick, hits in _MISSES[count].items():
                self.touch(pick).miss(len(hits) * times)


def lens_of(template: str) -> Lens | Condition | Last | None:
    """What is not filled into a template but seen through it, by its name."""
    return LENSES.get(template) or condition_of(template)


class Program:
    """The record of one program: each pick's rate, over all and per context.

    Attributes:
        right: How often one of its values was right.
        recalled: Whether it was known before, from a store.
        lens: What its items are seen through, if its template is the name of a lens or of a condition.
    """

    __slots__ = (
        "_here",
        "_known",
        "_origins",
        "_picks",
        "_prefix",
        "_right_key",
        "_words",
        "lens",
        "recalled",
        "right",
        "source",
        "template",
    )

    def __init__(self, tool: str, name: str, template: str, source: Source, *, recalled: bool = False) -> None:
        self.template, self.source = template, source
        self.lens = lens_of(template)
        self.right = Rate()
        self.recalled = recalled
        self._picks = _Rates()
        self._here: Recent[str, _Rates] = Recent(_CONTEXTS)
        self._known: dict[tuple[str, str | None], tuple[list[float], float]] = {}  # what `chances` told
        self._origins: dict[str, Pick] = {}
        self._prefix = (tool, name, template, *source)  # of its keys in the ledger
        self._right_key = (RIGHT, *self._prefix)
        self._words = words_of_program(tool, template, source)  # in that prefix

    def offer(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items as they are looked for among `slots`."""
        if self.template == COPY or self.lens is not None:
            return items
        return [(text := str(value), record, text) for value, record, _ in items]

    def origin(self, pick: str) -> Pick:
        """Where a value comes from that was picked so."""
        known = self._origins.get(pick)
        if known is None:
            known = self._origins[pick] = Pick(self.template, self.source, pick)
        return known

    def chances(self, picks: Sequence[str], context: str) -> tuple[Sequence[float], float]:
        """The chance of each of *picks* after *context*, and the highest of them."""
        here = self._here.get(context)
        place = (picks[0], None if here is None else context)
        known = self._known.get(place)
        if known is None:
            chances = []
            for pick in picks:
                overall = self._picks.get(pick)
                if overall is None:
                    chances.append(UNSEEN * 0.5)
                    continue
                chance = overall.after(UNSEEN, 1.0)
                local = None if here is None else here.get(pick)
                chances.append(chance * 0.8 if local is None else local.after(chance, 2.0))
            known = self._known[place] = chances, max(chances)
        return known

    def see(
        self,
        context: str,
        items: Sequence[Item],
        marks: Sequence[int] | None,
        used: Set[Hashable],
        truth: Set[Hashable],
        ledger: Ledger | None,
    ) -> None:
        """Count which picks were right, and note it in *ledger* if there is one.

        Args:
            context: What happened last.
            items: What its source holds, seen through its lens.
            marks: Which of them are spoken of, or None.
            used: The `slots` of what the argument has had.
            truth: The `slots` of what it has now.
            ledger: Where it is noted.
        """
        seen = missed = _MISSES[len(items)]
        if marks is not None or used or truth:
            seen = _outcomes([key for _, _, key in self.offer(items)], marks, used, truth)
        for rates in (self._picks, self._here.touch(context, _Rates)):
            if seen is missed:
                rates.miss(len(items))
            else:
                for pick, hits in seen.items():
                    rates.touch(pick).see_all(hits)
        hit = seen is not missed and any(any(hits) for hits in seen.values())
        self.right.see(hit)
        self._known.clear()
        if ledger is not None:
            self._note(context, seen, hit, ledger)

    def _note(self, context: str, seen: Mapping[str, Sequence[bool]], hit: bool, ledger: Ledger) -> None:
        waits = ledger.waits(self._words, turned_up=hit) if self._words else ()
        ledger.hold(waits, self._right_key, hit, 1.0)
        if waits is not None and (commands := words_of(context)):
            more = ledger.waits(commands)
            waits = None if more is None else (*waits, *more)
        ledger.hold_trials(waits, (PICK, *self._prefix, context), seen)

    def recall(self, key: Key, hits: float, trials: float) -> None:
        """Know again how often it, or one of its picks, was right."""
        if key[0] == RIGHT:
            self.right.recall(hits, trials)
        elif key[8] in _PICKS:
            for rates in (self._picks, self._here.touch(key[7], _Rates)):
                rates.touch(key[8]).recall(hits, trials)


def picks_of(
    keys: Sequence[Hashable], marks: Sequence[int], used: Set[Hashable]
) -> tuple[Sequence[tuple[int, int]], Sequence[Picks]]:
    """For each value its kind and its place among the picks of that kind, and those picks, where some are spoken of."""
    kinds = [_USED if key in used else mark for key, mark in zip(keys, marks, strict=True)] if used else marks
    at = [0, 0, 0, 0, 0]
    found = []
    for kind in kinds:
        place = at[kind]
        found.append((kind, min(place, _LAST[kind])))
        at[kind] = place + 1
    # Else what is spoken of was used before.
    rest = _REST if at[SAID] or at[NEAR] or at[BESIDE] else NEW
    return found, (rest[at[PLAIN]], _SAID, _NEAR, _BESIDE, OLD)


def _outcomes(
    keys: Sequence[Hashable], marks: Sequence[int] | None, used: Set[Hashable], truth: Set[Hashable]
) -> Mapping[str, Sequence[bool]]:
    """By pick, whether each value that it picks was right."""
    seen: dict[str, list[bool]] = {}
    if marks is not None:
        places, picks = picks_of(keys, marks, used)
        for key, (kind, place) in zip(keys, places, strict=True):
            seen.setdefault(picks[kind][place], []).append(key in truth)
        return seen
    olds = sum([key in used for key in keys]) if used else 0
    if not olds and truth.isdisjoint(keys):
        return _MISSES[len(keys)]
    new = NEW[len(keys) - olds]
    at_new = at_old = 0
    for key in keys:
        if olds and key in used:
            pick = OLD[at_old]
            at_old += at_old < 3
        else:
            pick = new[at_new]
            at_new += at_new < 5
        seen.setdefault(pick, []).append(key in truth)
    return seen


def _misses(count: int) -> Mapping[str, Sequence[bool]]:
    picks = NEW[count]
    last = max(count - 5, 0)
    return {pick: (False,) * (last if place == 5 else 1) for place, pick in enumerate(picks[:count])}


_MISSES = tuple([_misses(count) for count in range(MAX_ITEMS + 1)])  # what `_outcomes` are where nothing was right


@lru_cache(maxsize=4096)
def words_of_program(tool: str, template: str, source: Source) -> tuple[Word, ...]:
    """What of a program comes out of payloads.

    >>> words_of_program("bash", "cat {}", Source("text", "bash", "word"))
    (('bash', 'cat'),)
    >>> words_of_program("get_job", "?failed", Source("json", "list_jobs", ".*.id"))
    (('list_jobs', 'failed'), ('list_jobs', FieldName(text='id')))
    """
    condition = condition_of(template)
    if isinstance(condition, Condition):
        key = condition.key
        return ((source.owner, FieldName(key.field) if type(key) is Flag else key), *words_of_source(source))
    around = template.split(COPY) if COPY in template else ()
    parts = [(tool, part.strip()) for part in around if part.strip()]
    return (*parts, *words_of_source(source))
