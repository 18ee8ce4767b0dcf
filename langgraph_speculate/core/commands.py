"""What goes in and out of a session: proposals and calls in, commands and answers out.

A shell has to know no more than this to carry out what the core decided.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.core.provenance import Provenance
from langgraph_speculate.core.resources import render
from langgraph_speculate.core.speculation import Speculation, Stage
from langgraph_speculate.errors import IllegalTransition
from langgraph_speculate.policy import ToolPolicy
from langgraph_speculate.policy.hosts import is_allowed


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate as the host sees it.

    Attributes:
        candidate: The prediction.
        call: The call with arguments coerced by the tool's schema, or None when they do not fit.
        tool: What is known about the tool, or None when the graph has none of that name.
        venue: Where its body would run.
        circumstances: What a tool may see of the run besides its arguments; compared again at commit.
        objection: Why a guard does not let it run ahead, or None.
        found: Where its arguments come from and would go, if its tool leaves the trust boundary.
        asked: How often the model has asked for this tool in this thread.
        stage: How much of the model's message is known.
        call_id: The id of the model's own call, if its tool is handed that and it is known.
        depth: How far ahead: 1 for the message that is being written, 2 for the one after it, and so on.
        parent: The speculation whose call it takes for granted, or the preview, if any.
    """

    candidate: Candidate
    call: Call | None
    tool: ToolFacts | None
    venue: str
    circumstances: Any = None
    objection: str | None = None
    found: Provenance | None = None
    asked: int = 0
    stage: Stage = Stage.BEGIN
    call_id: str | None = None
    depth: int = 1
    parent: str | None = None

    def speculation(self, id: str, turn: str, step: int, epoch: int, now: float, worth: float = 0.0) -> Speculation:
        """The speculation that launching this makes.

        Raises:
            IllegalTransition: It has no call, no tool or no policy, so the gate cannot have allowed it.
        """
        policy = self.tool.rule.tool if self.tool is not None else None
        if self.call is None or self.tool is None or policy is None:
            raise IllegalTransition(f"{self.candidate.call.name} was launched although the gate cannot have allowed it")
        return Speculation(
            id=id,
            call=self.call,
            turn=turn,
            step=step,
            probability=self.candidate.probability,
            source=self.candidate.source,
            venue=self.venue,
            reads=render(self.tool.reads, self.call.args),
            epoch=epoch,
            ttl_s=policy.ttl_s,
            scope=policy.scope,
            leaves=policy.open_world,
            destinations=self._destinations(policy),
            drain=policy.drains,
            launched_at=now,
            stage=self.stage,
            depth=self.depth,
            parent=self.parent,
            call_id=self.call_id,
            worth=worth,
            cost=policy.cost,
            tag=policy.tag,
            circumstances=self.circumstances,
        )

    def further(self, depth: int, parent: str | None, chance: float) -> Proposal:
        """The same *depth* messages ahead, resting on *parent*, which comes true with a probability of *chance*."""
        candidate = replace(self.candidate, probability=self.candidate.probability * chance)
        return replace(self, candidate=candidate, depth=depth, parent=parent)

    def _destinations(self, policy: ToolPolicy) -> tuple[str, ...]:
        """Who would see the call, in words that tell nothing of the user's."""
        if self.found is None:
            return ()
        hosts = {host if is_allowed(host, policy.allowed_hosts) else _USERS_HOST for host in self.found.destinations}
        return tuple(sorted(hosts)) or (self.candidate.call.name,)


_USERS_HOST = "a host the user named"


@dataclass(frozen=True, slots=True)
class Launch:
    """Start this speculation's body."""

    speculation: Speculation


@dataclass(frozen=True, slots=True)
class Imagine:
    """This speculation's body would start now at the level that the policy has otherwise; nothing does."""

    speculation: Speculation


@dataclass(frozen=True, slots=True)
class Cancel:
    """This speculation's result is not wanted any more; with `drain` its body may finish."""

    id: str
    drain: bool


@dataclass(frozen=True, slots=True)
class Commit:
    """The real call's answer is this speculation's result."""

    speculation: Speculation
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Join:
    """The real call may wait for this speculation, and then `claim` its result."""

    speculation: Speculation


@dataclass(frozen=True, slots=True)
class Miss:
    """The real call runs.

    Attributes:
        imagined: The speculation that would have answered it, at the level `shadow`.
    """

    imagined: Speculation | None = None


MISS = Miss()
Command = Launch | Imagine | Cancel
