"""The tools of one graph: what the gate may know about each, and how to run its body."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.gate import ToolFacts
from langgraph_speculate.host.compat import body_parameters, has_own_run, injected_arguments
from langgraph_speculate.host.reach import context_variables
from langgraph_speculate.policy import SpeculationPolicy

THREAD, TASK = "thread", "task"
_POSITIONAL = ""  # no schema has an argument of this name


@dataclass(frozen=True, slots=True, eq=False)
class Arguments:
    """What a tool's body receives for one call, without what its `run` fills in.

    Attributes:
        positional, named: The arguments.
        config: The config that `run` handed to the body, if the body takes one.
    """

    positional: tuple[Any, ...]
    named: dict[str, Any]
    config: RunnableConfig | None = None

    def call(self, name: str) -> Call:
        """The call these arguments make, to be compared with others."""
        return Call(name, {_POSITIONAL: list(self.positional), **self.named} if self.positional else self.named)


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One tool of a graph.

    Attributes:
        tool: The tool as its owner made it.
        facts: What the gate may know about it.
    """

    tool: BaseTool
    facts: ToolFacts

    def coerce(self, args: Mapping[str, Any]) -> Arguments | None:
        """Raw arguments as the body would receive them, or None when they do not fit the schema."""
        try:
            return Arguments(*body_parameters(self.tool, args))
        except Exception:  # noqa: BLE001 - a validator is somebody else's code
            return None


class Toolbox:
    """The tools of one graph by name.

    Two different tools of one name cannot be told apart by a prediction: neither runs ahead.

    Args:
        tools: The tools, as their owners made them.
        policy: What may run ahead.
        gated: Names of tools that wait for an approval.

    Raises:
        PolicyError: A tool's metadata or a resource template is wrong.
    """

    def __init__(self, tools: Iterable[BaseTool], policy: SpeculationPolicy, gated: Collection[str] = ()) -> None:
        self._policy = policy
        self._gated = frozenset(gated)
        self._entries: dict[str, Entry] = {}
        self._venues: dict[tuple[str, bool], str] = {}
        self._clones: dict[str, BaseTool] = {}  # by name: the object that was last found to be the entry's tool
        self.ambiguous: set[str] = set()
        for tool in tools:
            self.add(tool)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, tool: BaseTool) -> None:
        """Take in one more tool."""
        known = self._entries.get(tool.name)
        if known is not None and not same_body(known.tool, tool):
            self.ambiguous.add(tool.name)
        elif known is None:
            self._entries[tool.name] = Entry(tool, self._describe(tool))

    def get(self, name: str) -> Entry | None:
        """The tool of that name, if there is exactly one and its body can be reached."""
        entry = self._entries.get(name)
        return None if entry is None or name in self.ambiguous or has_own_run(entry.tool) else entry

    def venue(self, facts: ToolFacts, is_async: bool) -> str:
        """Where to run a guess of a tool: where its last real call ran, or else where a run of that kind should."""
        natural = TASK if is_async and TASK in facts.venues else THREAD
        return self._venues.get((facts.name, is_async), natural)

    def ran(self, facts: ToolFacts, is_async: bool, venue: str) -> None:
        """A real call of a tool came in this venue; sync nodes of an async run call the sync body."""
        self._venues[facts.name, is_async] = venue

    def facts_of(self, tool: BaseTool) -> ToolFacts:
        """What is known about the tool of a real call, also one that was not there when the graph was wrapped."""
        entry = self.get(tool.name)
        if entry is not None and (self._clones.get(tool.name) is tool or same_body(entry.tool, tool)):
            self._clones[tool.name] = tool
            return entry.facts
        return ToolFacts(tool.name, self._policy.rule_for(tool.name))

    def _describe(self, tool: BaseTool) -> ToolFacts:
        rule = self._policy.rule_for(tool.name, tool.metadata)
        if rule.tool is not None:
            rule.tool.check_templates(tool.name, tool.args)
        return ToolFacts(
            name=tool.name,
            rule=rule,
            gated=tool.name in self._gated,
            return_direct=bool(tool.return_direct),
            injected=injected_arguments(tool),
            variables=frozenset(v.name for v in _variables_of(tool) if v not in self._policy.propagate_context),
            venues=venues_of(tool),
        )


def _variables_of(tool: BaseTool) -> set[ContextVar[Any]]:
    bodies = (getattr(tool, "func", None), getattr(tool, "coroutine", None))
    own = [body for body in bodies if body is not None] or [type(tool)._run, type(tool)._arun]
    return {variable for body in own for variable in context_variables(body)}


def venues_of(tool: BaseTool) -> frozenset[str]:
    """Where a tool's body can run: in a thread, as a task on the run's loop, or both.

    >>> from langchain_core.tools import tool
    >>> @tool
    ... async def look_up(id: int) -> str:
    ...     "Look something up."
    ...     return str(id)
    >>> venues_of(look_up)
    frozenset({'task'})
    """
    if hasattr(tool, "coroutine"):
        sync, native = getattr(tool, "func", None) is not None, tool.coroutine is not None
    else:
        sync, native = True, _overrides_arun(type(tool))
    return frozenset(venue for venue, there in ((THREAD, sync), (TASK, native)) if there)


def same_body(left: BaseTool, right: BaseTool) -> bool:
    """Whether two tool objects (a tool and its clone, say) run the same code on the same data."""
    if left is right:
        return True
    mine, other, fields = left.__dict__, right.__dict__, type(left).model_fields
    return fields.keys() == type(right).model_fields.keys() and all(
        mine.get(name) is other.get(name) for name in fields
    )


def _overrides_arun(kind: type) -> bool:
    return getattr(kind, "_arun", None) is not BaseTool._arun


def keyable(call: Call) -> Call | None:
    """The call, or None when it cannot be compared with others."""
    return None if key_of(call) is None else call
