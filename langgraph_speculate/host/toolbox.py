"""The tools of one graph: what the gate may know about each, and how to run its body."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from langchain_core.tools import BaseTool

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.errors import PolicyError
from langgraph_speculate.host.compat.tools import has_own_run
from langgraph_speculate.host.entry import TASK, THREAD, Entry, venues_of
from langgraph_speculate.host.injection import injection
from langgraph_speculate.host.kinds import own_kind
from langgraph_speculate.host.pins import Pin, held_to_pin, withdrawn
from langgraph_speculate.host.reach import surroundings_of
from langgraph_speculate.host.schemas import runs_code
from langgraph_speculate.host.transparency import CallLimit
from langgraph_speculate.policy import Rule, SpeculationPolicy, ToolPolicy
from langgraph_speculate.policy.checks import printable


class Toolbox:
    """The tools of one graph by name.

    Two different tools of one name cannot be told apart by a prediction: neither runs ahead.

    Args:
        tools: The tools, as their owners made them.
        policy: What may run ahead.
        gated: Names of tools that wait for an approval.
        limits: Limits on tool calls that middleware keeps.

    Attributes:
        ambiguous: Names that two tools share.
        warmable: Names of tools whose owner says how to warm them up.

    Raises:
        PolicyError: A tool's metadata or a resource template is wrong.
    """

    def __init__(
        self,
        tools: Iterable[BaseTool],
        policy: SpeculationPolicy,
        gated: Collection[str] = (),
        limits: Collection[CallLimit] = (),
    ) -> None:
        self._policy = policy
        self._limits = tuple(limits)
        self._gated = frozenset(gated)
        self._entries: dict[str, Entry] = {}
        self._pins: dict[str, Pin] = {}
        self._names: dict[str, frozenset[str]] = {}  # of arguments, by tool
        self._venues: dict[tuple[str, bool], str] = {}
        self._clones: dict[str, BaseTool] = {}  # by name: the object that was last found to be the entry's tool
        self.ambiguous: set[str] = set()
        self.warmable: set[str] = set()
        for tool in tools:
            self.add(tool)

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))  # a middleware meets more tools while others look

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, tool: BaseTool) -> None:
        """Take in one more tool."""
        known = self._entries.get(tool.name)
        if known is not None and not same_body(known.tool, tool):
            self.ambiguous.add(tool.name)
        elif known is None:
            self._entries[tool.name] = entry = self._described(tool)
            if entry.facts.rule.tool is not None and entry.facts.rule.tool.warm is not None:
                self.warmable.add(tool.name)
            if (pin := Pin.of(tool, entry.facts.rule)) is not None:
                self._pins[tool.name] = pin

    def recheck(self) -> None:
        """Compare the tools that are pinned down with what they were; one that changed stays out from then on."""
        for name, pin in list(self._pins.items()):
            if (changed := pin.difference()) is not None:
                entry = self._entries[name]
                facts = replace(entry.facts, rule=withdrawn(entry.facts.rule), changed=changed)
                self._entries[name] = replace(entry, facts=facts)
                self._pins.pop(name, None)

    def get(self, name: str) -> Entry | None:
        """The tool of that name, if there is exactly one and its body can be reached."""
        entry = self._entries.get(name)
        return None if entry is None or name in self.ambiguous or has_own_run(own_kind(entry.tool)) else entry

    def is_own(self, entry: Entry) -> bool:
        """Whether that is what the graph had when it was wrapped, and what runs ahead, and not another of its name."""
        return self.get(entry.facts.name) is entry

    def knows(self, name: str) -> bool:
        """Whether there is a tool of that name, or two."""
        return name in self._entries

    def has(self, call: Call) -> bool:
        """Whether there is a tool of the call's name, with arguments of the call's names."""
        names = self._names.get(call.name)
        if names is None and (entry := self._entries.get(call.name)) is not None:
            try:
                names = frozenset(entry.tool.args)
            except Exception:  # noqa: BLE001 - a schema is somebody else's code
                names = frozenset()
            self._names[call.name] = names
        return names is not None and names.issuperset(call.args)

    def trusts(self, name: str) -> bool:
        """Whether results of the tool of that name may choose where others are sent."""
        entry = self.get(name)
        policy = None if entry is None else entry.facts.rule.tool
        return policy is not None and policy.trusted_output

    def hides(self, name: str) -> bool:
        """Whether what the tool of that name is called with must not be written down."""
        entry = self._entries.get(name)
        policy = None if entry is None else entry.facts.rule.tool
        return policy is not None and policy.private

    def venue(self, facts: ToolFacts, is_async: bool) -> str:
        """Where to run a guess of a tool: where its last real call ran, or else where a run of that kind should."""
        natural = TASK if is_async and TASK in facts.venues else THREAD
        return self._venues.get((facts.name, is_async), natural)

    def ran(self, facts: ToolFacts, is_async: bool, venue: str) -> None:
        """A real call of a tool came in this venue; sync nodes of an async run call the sync body."""
        self._venues[facts.name, is_async] = venue

    def entry_of(self, tool: BaseTool) -> Entry:
        """What is known about the tool of a real call, also one that was not there when the graph was wrapped."""
        entry = self.get(tool.name)
        if entry is not None and (self._clones.get(tool.name) is tool or same_body(entry.tool, tool)):
            self._clones[tool.name] = tool
            return entry
        rule = self._policy.rule_for(tool.name)  # by its metadata alone it may not run ahead; they only narrow
        if rule.tool is not None:
            rule = self._policy.rule_for(tool.name, tool.metadata)
        rule, changed = held_to_pin(tool, rule)
        return Entry(tool, ToolFacts(tool.name, rule, changed=changed))

    def facts_of(self, name: str) -> ToolFacts:
        """What is known about a tool of which there is nothing but its name: what the policy says of that.

        Unless it holds the tool to more than its name, or what stands here under that name is not what it speaks of.
        """
        rule, known = self._policy.rule_for(name), self._entries.get(name)
        doubted = rule.tool is not None and rule.tool.pin is not None
        doubted = doubted or (known is not None and known.facts.rule.tool != rule.tool)
        return ToolFacts(name, withdrawn(rule) if doubted else rule)

    def headroom(self, state: Callable[[], Mapping[str, Any]]) -> int | None:
        """How many more calls of any tool the limits on all of them leave, or None if there is none."""
        limits = [limit for limit in self._limits if limit.tool is None]
        if not limits:
            return None
        counted = state()
        # A state that cannot be read says nothing about what has been spent.
        return min((room for limit in limits for room in limit.rooms(counted)), default=None) if counted else 0

    def _described(self, tool: BaseTool) -> Entry:
        """What is known about a tool; where looking at it fails, that nothing is, so that it does not run ahead."""
        rule = self._policy.rule_for(tool.name, tool.metadata)
        try:
            return self._describe(tool, rule)
        except PolicyError:
            raise
        except Exception as error:  # noqa: BLE001 - its schema and its class are somebody else's code
            why = f"looking at it fails with {_told(error)}"
            return Entry(tool, ToolFacts(tool.name, rule, gated=tool.name in self._gated, unclear=why))

    def _describe(self, tool: BaseTool, rule: Rule) -> Entry:
        if rule.tool is not None:
            rule.tool.check_templates(tool.name, tool.args)
        rule, changed = held_to_pin(tool, rule)
        injected = injection(tool, rule.tool)
        around = surroundings_of(tool)
        facts = ToolFacts(
            name=tool.name,
            rule=rule,
            gated=tool.name in self._gated,
            limited=self._missing_limits(tool.name, rule.tool),
            return_direct=bool(tool.return_direct),
            injected=frozenset() if injected is None else injected.denied,
            by_call=frozenset() if injected is None else injected.by_call,
            variables=frozenset(v.name for v in around.variables if v not in self._policy.propagate_context),
            thread_locals=around.thread_locals,
            venues=venues_of(tool),
            changed=changed,
        )
        return Entry(tool, facts, injected, runs_code=injected is not None or runs_code(tool))

    def _missing_limits(self, name: str, policy: ToolPolicy | None) -> tuple[str, ...]:
        """Settings that a tool's entry lacks because calls of that tool are limited elsewhere."""
        if policy is None:
            return ()
        kept = [limit for limit in self._limits if limit.tool == name]
        needed = {"run_limit": any(limit.per_run is not None for limit in kept)}
        needed["thread_limit"] = any(limit.per_thread is not None for limit in kept)
        return tuple(setting for setting, needs in needed.items() if needs and getattr(policy, setting) is None)


def _told(error: Exception) -> str:
    try:
        return printable(f"{type(error).__name__}: {error}")
    except Exception:  # noqa: BLE001 - an error may not even have a text
        return type(error).__name__


def same_body(left: BaseTool, right: BaseTool) -> bool:
    """Whether two tool objects (a tool and its clone, say) run the same code on the same data."""
    if left is right:
        return True
    mine, other, fields = left.__dict__, right.__dict__, type(left).model_fields
    return fields.keys() == type(right).model_fields.keys() and all(
        mine.get(name) is other.get(name) for name in fields
    )
