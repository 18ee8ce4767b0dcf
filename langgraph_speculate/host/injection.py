"""What the host injects into a tool's arguments, and what a speculation is handed in its place.

A tool that reads state runs ahead only if its entry names the keys (`reads_state`): it sees those alone, in a copy, and
their values are compared again before its result is used (the read set of optimistic concurrency control). Any other
use of what was injected trips a wire.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolRuntime

from langgraph_speculate.core.canonical import canonical_key
from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.host.compat.tools import injected_arguments, injections_of
from langgraph_speculate.host.wires import Trip, Watched, Wired
from langgraph_speculate.policy import ToolPolicy

_RUNTIME_FIELDS = frozenset(field.name for field in fields(ToolRuntime))


@dataclass(frozen=True, slots=True)
class Injection:
    """What is injected into one tool.

    Attributes:
        state: By argument, the key of the state it takes; None for the whole.
        runtime: The argument that takes a `ToolRuntime`, or None.
        call_id: The argument that takes the id of the call, or None.
        names: All arguments that the host supplies.
        reads: Keys of the state that the tool reads, as its entry says.
        uses_context: Whether it may see the run's runtime context.
    """

    state: Mapping[str, str | None]
    runtime: str | None
    call_id: str | None
    names: frozenset[str]
    reads: tuple[str, ...]
    uses_context: bool

    @property
    def by_call(self) -> frozenset[str]:
        """Arguments that a call brings with it once the model has written it."""
        return frozenset(name for name in (self.runtime, self.call_id) if name is not None)

    def id_among(self, named: Mapping[str, Any]) -> str | None:
        """The id of the call that arguments *named* belong to, if the tool is handed it."""
        if self.call_id is not None and self.call_id in named:
            return str(named[self.call_id])
        runtime = named.get(self.runtime) if self.runtime is not None else None
        id = getattr(runtime, "tool_call_id", None)
        return None if id is None else str(id)

    @property
    def denied(self) -> frozenset[str]:
        """Arguments that a guess cannot have."""
        given = {name for name, key in self.state.items() if (key in self.reads if key is not None else self.reads)}
        if self.runtime is not None and (self.reads or self.uses_context):
            given.add(self.runtime)
        return self.names - given

    def placeholders(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Values that let the tool's schema accept a call: the state as it is now.

        Raises:
            KeyError: The state has no value for a key that the tool takes.
        """
        values: dict[str, Any] = {name: state if key is None else state[key] for name, key in self.state.items()}
        if self.runtime is not None:
            known: dict[str, Any] = {**dict.fromkeys(_RUNTIME_FIELDS), "state": state, "config": {}}
            values[self.runtime] = ToolRuntime(**known)
        return values

    def read_set(self, named: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """What the tool reads of the state, as arguments *named* have it: per argument a key of the values.

        Raises:
            UnkeyableArguments: A value cannot be compared.
        """
        return tuple((name, canonical_key(name, self._read(name, named[name]))) for name in self._readers(named))

    def swapped(self, named: Mapping[str, Any], trip: Trip, runtime: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments *named* with what a speculation may have in place of what was injected.

        Args:
            named: Arguments by name.
            trip: Called with a name when the body does what it must not.
            runtime: What of a `ToolRuntime` it may have, besides the state.
        """
        swapped = dict(named)
        for name in self._readers(named):
            values = copy.deepcopy(self._read(name, named[name]))
            watched = Watched("its state", values, self.reads, trip, "; reads_state names what it reads")
            if name == self.runtime:
                made = _AheadRuntime(**{**dict.fromkeys(_RUNTIME_FIELDS), **runtime, "state": watched})
                state = {"state"} if self.reads else set[str]()
                swapped[name] = made.wire(trip, _RUNTIME_FIELDS - runtime.keys() - state)
            else:
                key = self.state[name]
                swapped[name] = watched if key is None else values[key]
        return swapped

    def _readers(self, named: Mapping[str, Any]) -> list[str]:
        return [name for name in (*self.state, self.runtime) if name is not None and name in named]

    def _read(self, name: str, value: Any) -> dict[str, Any]:
        if name == self.runtime:
            value = value.state
        elif self.state[name] is not None:
            return {str(self.state[name]): value}
        if not isinstance(value, dict):
            raise UnkeyableArguments(f"a state that is a {type(value).__name__}, and no dict, cannot be watched")
        return {key: value[key] for key in self.reads if key in value}


def injection(tool: BaseTool, policy: ToolPolicy | None) -> Injection | None:
    """What is injected into *tool*, or None if nothing is."""
    found = injections_of(tool)
    names = injected_arguments(tool) | found.state.keys() | {n for n in found[1:] if n is not None}
    if not names:
        return None
    reads, uses = (policy.reads_state, policy.uses) if policy is not None else ((), ())
    return Injection(found.state, found.runtime, found.call_id, frozenset(names), reads, "context" in uses)


class _AheadRuntime(Wired, ToolRuntime[Any, Any]):
    """The `ToolRuntime` of a speculation."""

    def emit_output_delta(self, delta: Any) -> None:
        """Partial output belongs to a call that the model made."""
        self.trip("emit_output_delta")
