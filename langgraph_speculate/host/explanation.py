"""What the owner of a graph is told about each tool: whether correct guesses of it may run ahead, and why not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Self

from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.breaker import Breaker
from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.gate import Deny, Reason, decide, forbids
from langgraph_speculate.core.stakes import Objection
from langgraph_speculate.host.service import Service
from langgraph_speculate.host.toolbox import Toolbox
from langgraph_speculate.policy.checks import printable


@dataclass(frozen=True, slots=True)
class ToolVerdict:
    """What the gate says about one tool.

    Attributes:
        tool: Its name.
        allowed: Whether correct guesses of it may run ahead.
        reason: `"allowed"`, or the gate's reason.
        detail: The reason in words, with the remedy where there is one.
        origin: The policy entry that decided.
    """

    tool: str
    allowed: bool
    reason: str
    detail: str
    origin: str

    def __str__(self) -> str:
        verdict = "yes" if self.allowed else "no"
        tool, origin, detail = printable(self.tool), self.origin, " ".join(self.detail.split())
        return f"{verdict:<4}{tool:<28} {self.reason:<20} {origin}  {detail}".rstrip()


class Explanation(tuple[ToolVerdict, ...]):
    """One verdict a tool; `str()` makes it a table.

    Attributes:
        models: The same for models whose calls are not started ahead although `model_ahead` is set; the name is theirs.
    """

    models: tuple[ToolVerdict, ...]

    def __new__(cls, tools: Iterable[ToolVerdict] = (), models: Iterable[ToolVerdict] = ()) -> Self:
        """Verdicts on tools, and on models."""
        made = super().__new__(cls, tools)
        made.models = tuple(models)
        return made

    def __str__(self) -> str:
        tools = [str(verdict) for verdict in self] or ["this graph has no tools that speculation can reach"]
        return "\n".join([*tools, *map(str, self.models)])


def verdict_on(facts: ToolFacts, toolbox: Toolbox, view: RunView) -> ToolVerdict:
    """What the gate would say about a tool of *toolbox* in a run like *view*."""
    origin = facts.rule.origin
    if toolbox.get(facts.name) is None:
        detail = "two tools share the name" if facts.name in toolbox.ambiguous else "its class replaces `run`"
        return ToolVerdict(facts.name, False, "unknown_tool", detail, origin)
    venue = min(facts.venues, default="")
    verdict = decide(Call(facts.name), facts, venue, view)
    if isinstance(verdict, Deny):
        once_written = verdict.reason is Reason.INJECTED and forbids(facts, venue, view, "") is None
        detail = f"{verdict.detail}; it starts once the model has written the call" if once_written else verdict.detail
        return ToolVerdict(facts.name, False, verdict.reason.value, detail, origin)
    return ToolVerdict(facts.name, True, "allowed", "", origin)


def switched_off(verdict: ToolVerdict, why: str) -> ToolVerdict:
    """The same verdict where nothing runs ahead at all: of a tool that nothing else stands against."""
    only = verdict.allowed or verdict.reason == Reason.SHADOW.value
    return replace(verdict, allowed=False, reason="level_off", detail=why) if only else verdict


def held_back(facts: ToolFacts, service: Service | None, breaker: Breaker | None, now: float) -> ToolVerdict | None:
    """What keeps a tool from running ahead for a while, or None.

    Args:
        facts: What is known about the tool.
        service: The one it calls, if that is left alone.
        breaker: The one that is off.
        now: Seconds on the monotonic clock.
    """
    if service is not None:
        cause = f"its service answered {service.status}" if service.status else "attempts failed one after the other"
        reason, detail = Refusal.COOLING_DOWN, f"{cause}; it is left alone for {service.resting_until - now:.0f} s"
    elif breaker is not None:
        cause = _lost("guesses", breaker)
        reason, detail = Refusal.BREAKER, f"{cause}; they are only scored for {breaker.due - now:.0f} s"
    else:
        return None
    return ToolVerdict(facts.name, False, reason.value, detail, facts.rule.origin)


def models_held_back(
    unpreviewable: Iterable[tuple[str, str]], off: Iterable[tuple[str, Breaker]], now: float
) -> Iterator[ToolVerdict]:
    """Models whose calls are not started ahead.

    Args:
        unpreviewable: Classes of models whose calls are not, and why.
        off: Models whose previews cost more than they save.
        now: Seconds on the monotonic clock.
    """
    for name, why in unpreviewable:
        yield ToolVerdict(name, False, "unpreviewable", why, "model_ahead")
    for name, breaker in off:
        detail = f"{_lost('previews', breaker)}; none begins for {breaker.due - now:.0f} s"
        yield ToolVerdict(name or "model", False, Objection.BREAKER.value, detail, "model_ahead")


def _lost(what: str, breaker: Breaker) -> str:
    return f"{breaker.count} {what} cost {-breaker.worth:.3g} s more than they saved"
