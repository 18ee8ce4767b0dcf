"""With which arguments a tool is called: the arguments of one call are chosen together.

What is known about each argument is in `arguments.py`. Here their values are joined into calls, preferably values of
one record, and tools whose arguments were never found anywhere (free text, code) are left alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.sums import Key
from langgraph_speculate.predict.arguments import Argument, Value
from langgraph_speculate.predict.knowledge import SHAPE, joined, split
from langgraph_speculate.predict.ledger import Evidence, Ledger
from langgraph_speculate.predict.programs import Way
from langgraph_speculate.predict.rates import Rate
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.sources import MAX_ARGUMENTS, RunSources
from langgraph_speculate.predict.values import Fingerprint, value_key

_BEAM = 12  # calls kept while arguments are joined
_NOISE = 0.02  # values less probable than that are left out
_APART = 0.4  # what a value from another record than the others is worth
_TWICE = 0.2  # what a value is worth that another argument of the call has already
_MANY = 40  # values among which one that is given is looked for
_CHANCE = itemgetter(0)


class Proposal(NamedTuple):
    """A call of one tool.

    Attributes:
        args: The arguments by name.
        fingerprint: The call's `fingerprint`.
        chance: P(the message makes this very call | it calls the tool), as far as single arguments tell.
        kinds: Where each argument comes from.
        support: How many sources hold the values, over all arguments.
        pattern: The tool and which pick of which source each argument is.
        records: How many records the values stand in, as far as they stand in any.
    """

    args: dict[str, Any]
    fingerprint: Fingerprint
    chance: float
    kinds: tuple[str, ...]
    support: int
    pattern: Way
    records: int

    @property
    def source(self) -> str:
        """Where it comes from, for people to read."""
        return "+".join(dict.fromkeys(self.kinds))


_Shape = tuple[str, ...]  # the names of a call's arguments, sorted
_Records = tuple[Hashable, ...]
_Joint = tuple[float, _Shape, tuple[Value, ...], _Records]  # the chance of a call, its arguments, and their records


class _Tool:
    """Which arguments the calls of one tool have; what follows from it is worked out once for each time it was seen."""

    __slots__ = ("plan", "reach", "shapes")

    def __init__(self) -> None:
        self.shapes: Recent[_Shape, Rate] = Recent(32)
        self.plan: list[tuple[_Shape, float]] = []  # the shapes worth trying, with their shares
        self.reach: float | None = None

    def see(self, calls: Sequence[Call]) -> None:
        for call in calls:
            self.shapes.touch(tuple(sorted(call.args)), Rate).see(True)
        self.settle()

    def settle(self) -> None:
        total = sum([rate.hits for rate in self.shapes.values()]) or 1.0
        best = sorted(self.shapes.items(), key=_by_hits, reverse=True)[:2]
        self.plan = [
            (shape, rate.hits / total)
            for shape, rate in best
            if rate.hits >= 0.05 * total and len(shape) <= MAX_ARGUMENTS
        ]
        self.reach = None


class Bindings:
    """Learn and tell the arguments of calls.

    Args:
        tools: How many tools are remembered; the least recently called are forgotten first.
        ledger: Where what is learned is noted, to be written down.
    """

    def __init__(self, *, tools: int = 512, ledger: Ledger | None = None) -> None:
        self._ledger = ledger or Ledger(Evidence())
        self._tools: Recent[str, _Tool] = Recent(tools)
        self._arguments: Recent[tuple[str, str], Argument] = Recent(tools * 8)

    def propose(
        self,
        sources: RunSources,
        tool: str,
        context: str,
        *,
        limit: int,
        least: float = 0.002,
        given: Mapping[str, Any] | None = None,
    ) -> list[Proposal]:
        """Return calls of *tool* that fit the run and have a chance of at *least* that much, most probable first.

        Args:
            sources: What the run holds.
            tool: The tool.
            context: What happened last.
            limit: The most calls to return.
            least: The least chance.
            given: Arguments that are known already; chances are those of the others.
        """
        known = self._tools.get(tool)
        if known is None:
            return []
        found: list[_Joint] = []
        plan, values = known.plan, dict[str, list[Value]]()
        if given:
            plan, values = self._given(sources, tool, context, known, given)
        for shape, share in plan:
            found += self._join(sources, tool, shape, context, share, values, least)
        if len(plan) > 1:
            found.sort(key=_CHANCE, reverse=True)
        return [_proposal(tool, *joint) for joint in found[:limit]]

    def _given(
        self, sources: RunSources, tool: str, context: str, known: _Tool, given: Mapping[str, Any]
    ) -> tuple[list[tuple[_Shape, float]], dict[str, list[Value]]]:
        """The shapes that calls with these arguments may have, and their values, each in the record it stands in."""
        fitting = [(shape, share) for shape, share in known.plan if given.keys() <= set(shape)]
        total = sum(share for _, share in fitting)
        values: dict[str, list[Value]] = {}
        for name, value in given.items() if fitting else ():
            argument, key = self._arguments.get((tool, name)), value_key(value)
            used = sources.used(tool, name)
            found = argument.values(sources, used, context, limit=_MANY, least=_NOISE / 10) if argument else []
            record = next((one.record for one in found if one.key == key), None)
            values[name] = [Value(key, value, 1.0, "given", record, key)]
        return [(shape, share / total) for shape, share in fitting], values

    def completing(
        self, tool: str, closed: Mapping[str, Any], name: str, text: str, surprise: float
    ) -> list[tuple[dict[str, Any], float]]:
        """Calls with the arguments that are closed and one more that begins like this, each with its chance.

        Args:
            tool: The tool.
            closed: The arguments that are known.
            name: The argument that is being written; calls that have others besides are left out.
            text: What there is of it.
            surprise: P(a value that it never had begins so).
        """
        known, argument = self._tools.get(tool), self._arguments.get((tool, name))
        if known is None or argument is None or tuple(sorted((*closed, name))) not in known.shapes:
            return []
        return [({**closed, name: value}, chance) for value, chance in argument.completing(text, surprise)]

    def reach(self, tool: str) -> float:
        """How often all arguments of the tool's calls could have been found, in [0, 1]."""
        known = self._tools.get(tool)
        if known is None:
            return 0.0
        if known.reach is None:
            shape = max(known.shapes, key=lambda shape: known.shapes[shape].hits)
            arguments = [self._arguments.get((tool, name)) for name in shape]
            rates = [argument.found.after(0.5, 2.0) if argument else 0.0 for argument in arguments]
            known.reach = min(rates, default=1.0)
        return known.reach

    def learn(self, sources: RunSources, tool: str, context: str, calls: Sequence[Call]) -> None:
        """See the calls of *tool* that one message made."""
        self._tools.touch(tool, _Tool).see(calls)
        for call in calls:
            self._ledger.count((SHAPE, tool, joined(sorted(call.args))), 1.0)
        values: dict[str, list[Any]] = {}
        for call in calls:
            for name in sorted(call.args)[:MAX_ARGUMENTS]:
                values.setdefault(name, []).append(call.args[name])
        for name, seen in values.items():
            argument = self._argument(tool, name)
            argument.learn(sources, sources.used(tool, name), context, seen)

    def recall(self, key: Key, hits: float, trials: float) -> None:
        """Know again what was written down under *key* (`knowledge.py`)."""
        if key[0] == SHAPE:
            self._tools.touch(key[1], _Tool).shapes.touch(split(key[2]), Rate).recall(hits, hits)
        else:
            self._argument(key[1], key[2]).recall(key, hits, trials)

    def settle(self) -> None:
        """After all was recalled: choose what is worth trying."""
        for tool in self._tools.values():
            if tool.shapes:
                tool.settle()

    def _argument(self, tool: str, name: str) -> Argument:
        return self._arguments.touch((tool, name), lambda: Argument(tool, name, self._ledger))

    def _join(
        self,
        sources: RunSources,
        tool: str,
        shape: _Shape,
        context: str,
        share: float,
        known: dict[str, list[Value]],
        least: float,
    ) -> list[_Joint]:
        """Combine the values of all arguments, keeping the most probable combinations only (a beam)."""
        beam: list[tuple[float, tuple[Value, ...], _Records]] = [(share, (), ())]
        for place, name in enumerate(shape):
            if name not in known:
                argument = self._arguments.get((tool, name))
                width = _BEAM if len(shape) == 1 else 6
                if argument is None:
                    return []
                used = sources.used(tool, name)
                known[name] = argument.values(sources, used, context, limit=width, least=max(least, _NOISE))
            if place == 0:  # nothing to join yet, and values come sorted
                beam = [
                    (share * value.chance, (value,), () if value.record is None else (value.record,))
                    for value in known[name]
                    if share * value.chance >= least
                ]
                if not beam:
                    break
                continue
            joined = []
            for chance, chosen, records in beam:
                keys = [other.key for other in chosen]
                for value in known[name]:
                    joint = chance * value.chance
                    if joint < least:
                        break  # the values after it are less probable still
                    kept = records
                    if value.record is not None:
                        kept = _records(sources, records, chosen, value)
                        if len(kept) > len(records) > 0:
                            joint *= _APART
                    if value.key in keys:
                        joint *= _TWICE
                    if joint < least:
                        continue
                    joined.append((joint, chosen, kept, value))
            joined.sort(key=_CHANCE, reverse=True)
            beam = [(chance, (*chosen, value), records) for chance, chosen, records, value in joined[:_BEAM]]
            if not beam:
                break
        return [(chance, shape, chosen, records) for chance, chosen, records in beam]


def _records(sources: RunSources, records: _Records, chosen: Sequence[Value], value: Value) -> _Records:
    """The records that hold the values chosen so far and *value*: a value may stand in more than where it was found."""
    record, key = value.record, value.key
    if not records:
        return (record,)
    if record in records or any(sources.holds(known, key) for known in records):
        return records
    if len(records) == 1 and all(sources.holds(record, one.key) for one in chosen if one.record is not None):
        return (record,)
    return (*records, record)


def _proposal(tool: str, chance: float, shape: _Shape, values: tuple[Value, ...], records: _Records) -> Proposal:
    args, keys, kinds, origins, support = {}, [], [], [], 0
    for name, value in zip(shape, values, strict=True):
        args[name] = value.value
        keys.append(value.key)
        kinds.append(value.kind)
        origins.append(value.origin)
        support += value.support
    pattern = (tool, shape, tuple(origins))
    return Proposal(args, (tool, shape, tuple(keys)), chance, tuple(kinds), support, pattern, len(records))


def grouped(calls: Sequence[Call]) -> Mapping[str, list[Call]]:
    """Calls by tool, in the order of their first calls."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.name, []).append(call)
    return found


def _by_hits(entry: tuple[_Shape, Rate]) -> float:
    return entry[1].hits
