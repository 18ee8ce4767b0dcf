"""What the gate is told: about a tool, about a run, about the moment at which a real call arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.policy import Rule


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """What is known about one tool of a wrapped graph.

    Attributes:
        name: The tool's name.
        rule: What the policy says about it.
        gated: It waits for an approval.
        limited: Settings its entry needs because a limit on calls of this tool is kept elsewhere.
        return_direct: Its result ends the run.
        injected: Arguments the host injects and a guess cannot have.
        by_call: Those of them that are there once the model has written the call: they come with its id.
        variables: Names of context variables it reads that the policy does not pass on.
        thread_locals: By which names it refers to values that every thread has its own of.
        venues: Where its body can run: `"thread"` (it has a sync body), `"task"` (a native async one).
        changed: How it differs from the tool that was approved, in words, or None.
        unclear: Why nothing can be said about it, in words, or None.
    """

    name: str
    rule: Rule
    gated: bool = False
    limited: tuple[str, ...] = ()
    return_direct: bool = False
    injected: frozenset[str] = frozenset()
    by_call: frozenset[str] = frozenset()
    variables: frozenset[str] = frozenset()
    thread_locals: frozenset[str] = frozenset()
    venues: frozenset[str] = frozenset({"thread"})
    changed: str | None = None
    unclear: str | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """Templates of the resources it reads; everything when undeclared."""
        return self.rule.tool.reads if self.rule.tool else ("*",)

    @property
    def uses(self) -> tuple[str, ...]:
        """What of the run it may see when it runs ahead."""
        return self.rule.tool.uses if self.rule.tool else ()

    @property
    def leaves(self) -> bool:
        """Whether it leaves the trust boundary."""
        return self.rule.tool is not None and self.rule.tool.open_world

    @property
    def counts_thread(self) -> bool:
        """Whether its calls are counted over the thread."""
        return self.rule.tool is not None and self.rule.tool.thread_limit is not None

    @property
    def writes(self) -> tuple[str, ...]:
        """Templates of the resources it writes; everything when undeclared."""
        return self.rule.tool.effective_writes if self.rule.tool else ("*",)


@dataclass(frozen=True, slots=True)
class RunView:
    """What the gate may know about the run.

    Attributes:
        level: The policy's level after the environment had its say; not `"off"`.
        blocked: Why no tool of this graph may run ahead, in words, or None.
        epochs: Epochs of the resources this run shares with others.
        tripped: Names of tools that tripped a wire when run ahead.
        otherwise: At the level `shadow`, the level that is foretold.
    """

    level: str
    blocked: str | None
    epochs: Epochs
    tripped: frozenset[str] | set[str] = frozenset()
    otherwise: str = "declared"

    @property
    def allows(self) -> str:
        """The level that says which tools might run ahead, whether any does or not."""
        return self.otherwise if self.level == "shadow" else self.level


@dataclass(frozen=True, slots=True)
class Moment:
    """When and how a real call arrived.

    Attributes:
        now: Seconds on the host's monotonic clock.
        step: The step of the run that the call belongs to.
        circumstances: What a tool may see of its run besides its arguments; compared for equality.
        objection: Why a guard does not let the result be used, or None.
        call_id: The call's id, if its tool is handed that.
    """

    now: float
    step: int = 0
    circumstances: Any = None
    objection: str | None = None
    call_id: str | None = None
