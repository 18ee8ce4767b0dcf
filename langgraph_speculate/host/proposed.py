"""What the gate is asked about together, with what would run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.commands import Proposal
from langgraph_speculate.core.provenance import Provenance
from langgraph_speculate.host.entry import Arguments, Entry


@dataclass(frozen=True, slots=True)
class Body:
    """A tool's body with what it is called with.

    Attributes:
        entry: The tool.
        arguments: Its arguments, coerced.
        raw: The same as the model would write them.
        found: Where they would go, if the tool leaves the trust boundary.
    """

    entry: Entry
    arguments: Arguments
    raw: Mapping[str, Any]
    found: Provenance | None

    @property
    def hosts(self) -> tuple[str, ...]:
        """Hosts that it may contact: what its policy allows, and what the gate saw it sent to."""
        policy = self.entry.facts.rule.tool
        return (*(policy.allowed_hosts if policy else ()), *(self.found.destinations if self.found else ()))


@dataclass(slots=True)
class Proposed:
    """What was proposed together.

    Attributes:
        proposals: For the session, best first.
        calls: The calls as their bodies receive them, by key.
        raw: The same as the model would write them.
        bodies: What would run.
        headroom: How many more calls the limits that are kept elsewhere leave, or None.
    """

    proposals: list[Proposal] = field(default_factory=list)
    calls: dict[str, Call] = field(default_factory=dict)
    raw: dict[str, Call] = field(default_factory=dict)
    bodies: dict[str, Body] = field(default_factory=dict)
    headroom: int | None = None
