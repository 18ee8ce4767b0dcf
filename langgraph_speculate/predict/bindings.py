"""With which arguments a tool is called: the arguments of one call are chosen together.

What is known about each argument is in `programs.py`. Here their values are joined into calls, preferably values of one
record, and tools whose arguments were never found anywhere (free text, code) are left alone.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from langgraph_speculate.core.calls import Call
from langgraph_speculate.predict.programs import Argument, Rate, Value
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.sources import MAX_ARGUMENTS, RunSources

_BEAM = 12  # calls kept while arguments are joined
_NOISE = 0.02  # values less probable than that are left out
_APART = 0.6  # what a value from another record than the others is worth


class Proposal(NamedTuple):
    """A call of one tool.

    Attributes:
        args: The arguments by name.
        chance: P(the message makes this very call | it calls the tool), as far as single arguments tell.
        kinds: Where each argument comes from.
        support: How many sources hold the values, over all arguments.
    """

    args: dict[str, Any]
    chance: float
    kinds: tuple[str, ...]
    support: int


class Bindings:
    """Learn and tell the arguments of calls.

    Args:
        tools: How many tools are remembered; the least recently called are forgotten first.
    """

    def __init__(self, *, tools: int = 512) -> None:
        self._shapes: Recent[str, Recent[tuple[str, ...], Rate]] = Recent(tools)
        self._arguments: Recent[tuple[str, str], Argument] = Recent(tools * 8)

    def propose(
        self, sources: RunSources, tool: str, context: str, *, limit: int, least: float = 0.002
    ) -> list[Proposal]:
        """Return calls of *tool* that fit the run and have a chance of at *least* that much, most probable first."""
        shapes = self._shapes.get(tool)
        if not shapes:
            return []
        total = sum(rate.hits for rate in shapes.values())
        found: list[Proposal] = []
        values: dict[str, list[Value]] = {}
        for shape, rate in sorted(shapes.items(), key=lambda item: -item[1].hits)[:2]:
            if rate.hits >= 0.05 * total and len(shape) <= MAX_ARGUMENTS:
                found += self._join(sources, tool, shape, context, rate.hits / total, values, least)
        found.sort(key=_by_chance)
        return found[:limit]

    def reach(self, tool: str) -> float:
        """How often all arguments of the tool's calls could have been found, in [0, 1]."""
        shapes = self._shapes.get(tool)
        if not shapes:
            return 0.0
        shape = max(shapes, key=lambda known: shapes[known].hits)
        reach = 1.0
        for name in shape:
            argument = self._arguments.get((tool, name))
            reach = min(reach, argument.found.after(0.5, 2.0) if argument else 0.0)
        return reach

    def learn(self, sources: RunSources, tool: str, context: str, calls: Sequence[Call]) -> None:
        """See the calls of *tool* that one message made."""
        shapes = self._shapes.touch(tool, lambda: Recent(32))
        values: dict[str, list[Any]] = {}
        for call in calls:
            shapes.touch(tuple(sorted(call.args)), Rate).see(True)
            for name in sorted(call.args)[:MAX_ARGUMENTS]:
                values.setdefault(name, []).append(call.args[name])
        for name, seen in values.items():
            argument = self._arguments.touch((tool, name), Argument)
            argument.learn(sources, sources.used(tool, name), context, seen)

    def _join(
        self,
        sources: RunSources,
        tool: str,
        shape: tuple[str, ...],
        context: str,
        share: float,
        known: dict[str, list[Value]],
        least: float,
    ) -> list[Proposal]:
        """Combine the values of all arguments, keeping the most probable combinations only (a beam)."""
        beam: list[tuple[Proposal, tuple[Hashable, ...]]] = [(Proposal({}, share, (), 0), ())]
        for name in shape:
            if name not in known:
                argument = self._arguments.get((tool, name))
                width = _BEAM if len(shape) == 1 else 6
                if argument is None:
                    return []
                used = sources.used(tool, name)
                known[name] = argument.values(sources, used, context, limit=width, least=max(least, _NOISE))
            joined = []
            for call, records in beam:
                for value in known[name]:
                    chance = call.chance * value.chance
                    if records and value.record is not None and value.record not in records:
                        chance *= _APART
                    if chance >= least:
                        joined.append((chance, call, records, value))
            joined.sort(key=_by_first)
            beam = [
                (_extended(call, name, value, chance), records if value.record is None else (*records, value.record))
                for chance, call, records, value in joined[:_BEAM]
            ]
        return [call for call, _ in beam]


def _extended(call: Proposal, name: str, value: Value, chance: float) -> Proposal:
    args = {**call.args, name: value.value}
    return Proposal(args, chance, (*call.kinds, value.kind), call.support + value.support)


def grouped(calls: Sequence[Call]) -> Mapping[str, list[Call]]:
    """Calls by tool, in the order of their first calls."""
    found: dict[str, list[Call]] = {}
    for call in calls:
        found.setdefault(call.name, []).append(call)
    return found


def _by_chance(proposal: Proposal) -> float:
    return -proposal.chance


def _by_first(entry: tuple[float, Any, Any, Any]) -> float:
    return -entry[0]
