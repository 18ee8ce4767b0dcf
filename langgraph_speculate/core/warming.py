"""Warm-ups: preparing what makes a tool's calls faster, whatever their arguments, while its name alone is likely.

As caches do with warming: the owner's function opens a session or a connection, and changes nothing that anybody would
miss. It yields no result, so nothing is adopted and nothing can be stale; a wrong one costs time alone, and whether
that is worth it is decided here. Running it is the host's business (`host/warmer.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.core.commands import Proposal
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.gate import Allow, decide
from langgraph_speculate.core.journal import Journal
from langgraph_speculate.core.latency import UNKNOWN_TOOL_S
from langgraph_speculate.core.table import Table
from langgraph_speculate.core.worth import Estimate, Prices, worth
from langgraph_speculate.policy import Limits

_RECENT = 32


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What a tool's `warm` function is told.

    Attributes:
        tool: The tool's name.
        args: Arguments that a call of it may have, best first; often none. Copies, and only such as the gate lets run
            ahead.
    """

    tool: str
    args: tuple[Mapping[str, Any], ...] = ()


class WarmTimes:
    """How long warm-ups of each tool take, which is about what they take off its next call.

    >>> times = WarmTimes()
    >>> times.mean("search")
    >>> times.add("search", 0.5)
    >>> times.mean("search")
    0.5
    """

    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}

    def add(self, tool: str, seconds: float) -> None:
        """A warm-up of *tool* ran to its end in *seconds*."""
        self._recent.setdefault(tool, deque(maxlen=_RECENT)).append(seconds)

    def mean(self, tool: str) -> float | None:
        """Seconds, or None if none was seen."""
        recent = self._recent.get(tool)
        return sum(recent) / len(recent) if recent else None


def is_worthwhile(probability: float, saves_s: float | None, prices: Prices) -> bool:
    """Whether a warm-up is worth its cost, by the same rule as a guess (`core/worth.py`).

    Args:
        probability: That the tool is called and no guess of it runs already, in [0, 1].
        saves_s: Seconds that it takes off the call, and that are wasted without one; None if nobody knows yet.
        prices: What waste weighs.

    >>> is_worthwhile(0.5, 0.6, Prices()), is_worthwhile(0.1, 0.6, Prices()), is_worthwhile(0.9, 0.001, Prices())
    (True, False, False)
    """
    seconds = UNKNOWN_TOOL_S if saves_s is None else saves_s
    expected = Estimate(takes_s=seconds, hides_s=seconds)
    return not expected.too_fast and worth(probability, expected, prices) > 0


@dataclass(slots=True, eq=False)
class Warming:
    """One warm-up that was started.

    Attributes:
        id: Unique in the process.
        tool: The tool's name.
        venue: Where the function runs (`"task"` or `"thread"`).
        ttl_s: Seconds for which it is taken to last, counted from its end.
        began_at, ended_at: Seconds on the host's monotonic clock; `ended_at` is None while it runs.
        call_id: None: it belongs to no call.
    """

    id: str
    tool: str
    venue: str
    ttl_s: float
    began_at: float
    ended_at: float | None = None
    call_id: None = field(default=None, init=False)

    @property
    def over(self) -> bool:
        """Whether nobody wants it any more: only the end of its run can make that so."""
        return False

    def lasts(self, now: float) -> bool:
        """Whether the tool is still warm."""
        return self.ended_at is None or now - self.ended_at < self.ttl_s


class WarmUps:
    """The warm-ups of one run: one a tool and turn at most, and none while the tool is warm.

    Args:
        run: The run's id.
        view: What the gate may know about the run.
        limits: Its budgets; warm-ups count among the attempts in flight, and by themselves in all other budgets.
        table: Its speculations.
        journal: Takes what happens.
        economy: Prices, and the process's load.
    """

    def __init__(
        self, run: str, view: RunView, limits: Limits, table: Table, journal: Journal, economy: Economy
    ) -> None:
        self._run = run
        self._view = view
        self._limits = limits
        self._table = table
        self._journal = journal
        self._economy = economy
        self._warm: dict[str, Warming] = {}  # by tool: those that no real call has used yet
        self._running: dict[str, Warming] = {}
        self._tried: dict[str, str] = {}  # by tool, in which turn
        self._begun = 0
        self._wasted = 0

    def begin(self, turn: str, proposal: Proposal, venue: str, saves_s: float | None, now: float) -> Warming | None:
        """Start a warm-up, if that is allowed, worth it and within the budgets.

        Args:
            turn: The model turn.
            proposal: A call of the tool without arguments, with the probability of the tool.
            venue: Where the function would run.
            saves_s: As in `is_worthwhile`.
            now: Seconds on the monotonic clock.
        """
        self._cool(now)
        tool, policy = proposal.candidate.call.name, proposal.tool.rule.tool if proposal.tool is not None else None
        if policy is None or tool in self._warm or self._tried.get(tool) == turn or not may_run(proposal, self._view):
            return None
        covered = sum(speculation.probability for speculation in self._table if speculation.call.name == tool)
        probability = proposal.candidate.probability - covered
        if not is_worthwhile(probability, saves_s, self._economy.prices) or not self._fits():
            return None
        if not self._economy.restraints.bears_warm_up(tool, policy, now):  # takes what it needs, so it is asked last
            return None
        self._begun += 1
        warming = Warming(f"{self._run}:w{self._begun}", tool, venue, policy.ttl_s, now)
        self._warm[tool] = self._running[warming.id] = warming
        self._tried[tool] = turn
        self._journal.note(events.WarmUpBegan, now, turn=turn, warm_up=warming.id, tool=tool, probability=probability)
        return warming

    def ended(self, id: str, *, ok: bool, seconds: float, now: float) -> None:
        """A warm-up's function ended after *seconds*."""
        warming = self._running.pop(id, None)
        if warming is None:
            return  # it was given up, or the run is over
        warming.ended_at = now
        self._journal.note(events.WarmUpEnded, now, warm_up=id, tool=warming.tool, seconds=seconds, ok=ok)
        if not ok and self._warm.get(warming.tool) is warming:
            self._waste([warming], now)

    def used(self, tool: str, now: float) -> None:
        """A real call of *tool* has its answer: if the tool was warm, that is used up."""
        self._cool(now)
        warming = self._warm.pop(tool, None)
        if warming is not None:
            self._journal.note(events.WarmUpUsed, now, warm_up=warming.id, tool=tool)

    def close(self, now: float) -> None:
        """The run is over."""
        self._waste(self._warm.values(), now)
        self._running.clear()

    def _fits(self) -> bool:
        """Whether one more is within the budgets; what is warm may be wasted too."""
        limits = self._limits
        return (
            self._table.in_flight + len(self._running) < limits.max_in_flight
            and self._economy.in_process() < limits.max_in_process
            and self._begun < limits.max_per_run
            and self._wasted + len(self._warm) < limits.max_wasted_per_run
        )

    def _cool(self, now: float) -> None:
        """Give up what hangs, and what was not used in time."""
        hung = {one for one in self._running.values() if now - one.began_at > self._limits.attempt_timeout_s}
        for warming in hung:
            del self._running[warming.id]
        self._waste([one for one in self._warm.values() if one in hung or not one.lasts(now)], now)

    def _waste(self, lost: Iterable[Warming], now: float) -> None:
        for warming in tuple(lost):
            self._warm.pop(warming.tool, None)
            self._wasted += 1
            seconds = (now if warming.ended_at is None else warming.ended_at) - warming.began_at
            self._journal.note(events.WarmUpWasted, now, warm_up=warming.id, tool=warming.tool, seconds=seconds)


def may_run(proposal: Proposal, view: RunView) -> bool:
    """Whether the gate lets a proposed call run ahead."""
    verdict = decide(
        proposal.call,
        proposal.tool,
        proposal.venue,
        view,
        objection=proposal.objection,
        found=proposal.found,
        call_id=proposal.call_id,
    )
    return isinstance(verdict, Allow)
