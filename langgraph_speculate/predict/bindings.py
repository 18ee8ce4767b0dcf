"""With which arguments a tool is called: small programs, found by searching where earlier values came from.

A program of an argument is a constant, or a pick from a source (`sources.py`) filled into a template: `{}` for a plain
copy, `cat {}` for a value inside a command. Which item is picked is named by its place among the values that the
argument has not had yet (`new 0`: the next unused one) or among those it has had (`old 0`); so a list being walked, or
fanned out in one message, needs no program of its own.
Each (program, pick) keeps how often it was right when the tool was called, per last event and over all; the former
falls back to the latter. The arguments of one call are chosen together, preferably from one record.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from langgraph_speculate.core.calls import Call
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.sources import Item, RunSources, Source, copyable, value_key

COPY = "{}"
MAX_ARGUMENTS = 12
_PROGRAMS = 48  # kept per argument
_PICKS = 4096  # (program, pick, context) rates kept per argument
_CONSTANTS = 256  # kept per argument and context
_MAX_TEMPLATE = 60  # characters around the slot
_BEAM = 10  # calls kept while arguments are joined
_WORD = re.compile(r"[\w./@#:+-]+")

Program = tuple[str, Source]


class Value(NamedTuple):
    """A value one argument may have: its probability given the tool, where it comes from, the record it stands in."""

    value: Any
    chance: float
    kind: str
    record: Hashable


class Proposal(NamedTuple):
    """A call of one tool: the probability of its arguments given that the tool is called, and their sources."""

    args: dict[str, Any]
    chance: float
    kinds: tuple[str, ...]


@dataclass(slots=True)
class _Rate:
    """How often something was right out of how often it was tried."""

    hits: float = 0.0
    trials: float = 0.0

    def see(self, hit: bool) -> None:
        if self.trials >= 400:  # old observations fade
            self.hits *= 0.5
            self.trials *= 0.5
        self.trials += 1.0
        self.hits += hit

    def after(self, prior: float, weight: float) -> float:
        return (self.hits + weight * prior) / (self.trials + weight)


@dataclass(slots=True)
class _Constants:
    """Values seen in one context; a value seen once promises little (absolute discounting)."""

    total: float = 0.0
    counts: Recent[Hashable, list[Any]] = field(default_factory=lambda: Recent(_CONSTANTS))

    def see(self, value: Any) -> None:
        entry = self.counts.touch(value_key(value), lambda: [value, 0.0])
        entry[1] += 1.0
        self.total += 1.0

    def top(self, limit: int) -> list[list[Any]]:
        return sorted(self.counts.values(), key=lambda entry: -entry[1])[:limit]


class _Argument:
    """What is known about one argument of one tool."""

    def __init__(self) -> None:
        self.programs: Recent[Program, _Rate] = Recent(_PROGRAMS)
        self.fills: Recent[str, set[Hashable]] = Recent(_PROGRAMS)
        self.rates: Recent[Hashable, _Rate] = Recent(_PICKS)
        self.constants: Recent[str, _Constants] = Recent(256)

    def values(self, sources: RunSources, tool: str, name: str, context: str, limit: int) -> list[Value]:
        """The most probable values, best first."""
        found: dict[Hashable, Value] = {}
        for program in self.programs:
            if program[0] != COPY and len(self.fills.get(program[0], ())) < 2:
                continue  # a template is worth something once two values filled it
            for value, pick, record in _picks(program, sources, sources.used(tool, name)):
                chance = self._chance(program, pick, context)
                key = value_key(value)
                known = found.get(key)
                if known is None or known.chance < chance:
                    found[key] = Value(value, chance, program[1].kind, record)
        for key, value in self._constant_values(context, limit):
            known = found.get(key)
            if known is None or known.chance < value.chance:
                found[key] = value
        return sorted(found.values(), key=lambda value: -value.chance)[:limit]

    def learn(self, sources: RunSources, tool: str, name: str, context: str, values: Sequence[Any]) -> None:
        """See the values that the calls of one message had for this argument."""
        for value in values:
            if copyable(value):
                self._find_programs(sources, value)
        truth = {value_key(value) for value in values}
        used = sources.used(tool, name)
        for program, rate in self.programs.items():
            right = False
            for value, pick, _ in _picks(program, sources, used):
                hit = value_key(value) in truth
                right = right or hit
                self.rates.touch((program, pick), _Rate).see(hit)
                self.rates.touch((program, pick, context), _Rate).see(hit)
            rate.see(right)
        for value in values:
            if value is None or isinstance(value, (str, int, float, bool, list, dict)):
                self.constants.touch("", _Constants).see(value)
                self.constants.touch(context, _Constants).see(value)

    def _chance(self, program: Program, pick: str, context: str) -> float:
        base = self.rates.get((program, pick))
        if base is None:
            return 0.02
        chance = base.after(0.05, 1.0)
        here = self.rates.get((program, pick, context))
        return here.after(chance, 2.0) if here is not None else chance * 0.8

    def _constant_values(self, context: str, limit: int) -> Iterator[tuple[Hashable, Value]]:
        everywhere = self.constants.get("")
        if everywhere is None:
            return
        here = self.constants.get(context)
        chances: dict[Hashable, list[Any]] = {}
        for value, count in everywhere.top(limit):
            chances[value_key(value)] = [value, max(count - 0.8, 0.0) / (everywhere.total + 1.0)]
        if here is not None:
            weight = here.total / (here.total + 2.0)
            for entry in chances.values():
                entry[1] *= 1.0 - weight
            for value, count in here.top(limit):
                entry = chances.setdefault(value_key(value), [value, 0.0])
                entry[1] += weight * max(count - 0.8, 0.0) / here.total
        for key, (value, chance) in chances.items():
            yield key, Value(value, chance, "constant", None)

    def _find_programs(self, sources: RunSources, value: Any) -> None:
        for source in sources.where(value):
            self._keep((COPY, source))
        if not isinstance(value, str):
            return
        for slot in _slots(value):
            places = sources.where(slot)
            if places:
                template = value.replace("{", "{{").replace("}", "}}").replace(slot, COPY)
                fills = self.fills.touch(template, set)
                if len(fills) < 8:
                    fills.add(slot)
                for source in places:
                    self._keep((template, source))

    def _keep(self, program: Program) -> None:
        if program in self.programs:
            self.programs.move_to_end(program)
            return
        if len(self.programs) >= _PROGRAMS:  # make room by what was right least often
            del self.programs[min(self.programs, key=lambda known: self.programs[known].after(0.05, 2.0))]
        self.programs.touch(program, _Rate)


def _slots(text: str) -> list[str]:
    """Parts of a text that may have been filled in: words, and the day of a date."""
    if len(text) > 160:
        return []
    found = [word for word in _WORD.findall(text)[:12] if len(word) >= 2 and len(text) - len(word) <= _MAX_TEMPLATE]
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        found.append(text[5:])
    return [slot for slot in dict.fromkeys(found) if slot != text and text.count(slot) == 1]


def _picks(program: Program, sources: RunSources, used: set[Hashable]) -> Iterator[tuple[Any, str, Hashable]]:
    """What a program yields: values with the name of their place, used and unused ones counted apart."""
    template, source = program
    items = sources.items(source)
    if not items:
        return
    filled = items if template == COPY else [_fill(template, item) for item in items]
    fresh = [item for item in filled if value_key(item.value) not in used]
    many = "1" if len(fresh) == 1 else "few" if len(fresh) <= 3 else "many"
    place = old = 0
    for item in filled:
        if value_key(item.value) in used:
            yield item.value, f"old {old}", item.record
            old = min(old + 1, 3)
        else:
            yield item.value, f"new {place} {many}", item.record
            place = min(place + 1, 5)


def _fill(template: str, item: Item) -> Item:
    return Item(template.replace(COPY, str(item.value), 1).replace("{{", "{").replace("}}", "}"), item.record)


class Bindings:
    """Learn and tell the arguments of calls.

    Args:
        tools: How many tools are remembered; the least recently called are forgotten first.
    """

    def __init__(self, *, tools: int = 512) -> None:
        self._shapes: Recent[str, Recent[tuple[str, ...], _Rate]] = Recent(tools)
        self._arguments: Recent[tuple[str, str], _Argument] = Recent(tools * 8)
        self._together: Recent[str, _Rate] = Recent(tools)

    def propose(self, sources: RunSources, tool: str, context: str, *, limit: int) -> list[Proposal]:
        """Return calls of *tool* that fit the run, most probable first; chances are given that the tool is called."""
        shapes = self._shapes.get(tool)
        if not shapes:
            return []
        together = self._together.get(tool, _Rate()).after(0.5, 2.0)
        total = sum(rate.hits for rate in shapes.values())
        found: list[Proposal] = []
        for shape, rate in sorted(shapes.items(), key=lambda item: -item[1].hits)[:2]:
            share = rate.hits / total
            if share >= 0.05:
                found += self._join(sources, tool, shape, context, share, together)
        return sorted(found, key=lambda proposal: -proposal.chance)[:limit]

    def learn(self, sources: RunSources, tool: str, context: str, calls: Sequence[Call]) -> None:
        """See the calls of *tool* that one message made."""
        shapes = self._shapes.touch(tool, lambda: Recent(32))
        values: dict[str, list[Any]] = {}
        for call in calls:
            shapes.touch(tuple(sorted(call.args)), _Rate).see(True)
            for name in sorted(call.args)[:MAX_ARGUMENTS]:
                values.setdefault(name, []).append(call.args[name])
        for name, seen in values.items():
            self._arguments.touch((tool, name), _Argument).learn(sources, tool, name, context, seen)

    def _join(
        self, sources: RunSources, tool: str, shape: tuple[str, ...], context: str, share: float, together: float
    ) -> list[Proposal]:
        if len(shape) > MAX_ARGUMENTS:
            return []
        beam: list[tuple[float, dict[str, Any], tuple[str, ...], frozenset[Hashable]]] = [(share, {}, (), frozenset())]
        for name in shape:
            argument = self._arguments.get((tool, name))
            values = argument.values(sources, tool, name, context, 12 if len(shape) == 1 else 6) if argument else []
            if not values:
                return []
            joined = []
            for chance, args, kinds, records in beam:
                for value in values:
                    step = value.chance
                    if records and value.record is not None:
                        step *= 1.0 if value.record in records else 0.6
                    joined.append((chance * step, {**args, name: value.value}, (*kinds, value.kind),
                                   records | {value.record} if value.record is not None else records))
            joined.sort(key=lambda item: -item[0])
            beam = joined[: _BEAM + 2]
        return [Proposal(args, chance, kinds) for chance, args, kinds, _ in beam]


def grouped(calls: Sequence[Call]) -> Mapping[str, list[Call]]:
    """Calls by tool, in the order of their first calls."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.name, []).append(call)
    return found
