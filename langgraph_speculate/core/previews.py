"""The previews of one run: model calls that are started on remembered results while the tools run.

What is expected of the tools is the memory's to say (`memory.py`), what a preview may cost the stakes' (`stakes.py`).
Here they are counted: each ends once, used or wasted, and what may yet be wasted stays within the run's budget.
"""

from __future__ import annotations

from langgraph_speculate.core import events
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.journal import Journal
from langgraph_speculate.core.stakes import Bet, Objection, Tokens
from langgraph_speculate.policy import Limits


class Previews:
    """The previews of one run.

    Args:
        run: The run's id.
        view: What the gate may know about the run.
        limits: Its budgets.
        journal: Takes what happens.
        economy: What all runs of the graph share.
    """

    def __init__(self, run: str, view: RunView, limits: Limits, journal: Journal, economy: Economy) -> None:
        self._run = run
        self._view = view
        self._journal = journal
        self._limits = limits
        self._stakes = economy.stakes
        self._in_process = economy.in_process
        self._open: dict[str, Bet] = {}
        self._running: dict[str, Bet] = {}
        self._begun = 0
        self._wasted = 0

    @property
    def may_begin(self) -> bool:
        """Whether anything may run ahead in this run."""
        return self._view.level != "shadow" and self._view.blocked is None

    def begin(self, bet: Bet, now: float) -> str | None:
        """Start a preview if it is worth it; returns its id."""
        spent = self._wasted + sum(one.tokens.total for one in self._open.values())
        crowded = self._in_process() >= self._limits.max_in_process
        objection = Objection.CROWDED if crowded else self._stakes.objection(bet, spent, now)
        if objection is not None:
            self._journal.note(events.PreviewRefused, now, model=bet.model, reason=objection.value)
            return None
        self._begun += 1
        id = f"{self._run}:p{self._begun}"
        self._open[id] = self._running[id] = bet
        self._stakes.made(bet)
        self._journal.note(
            events.PreviewBegan,
            now,
            preview=id,
            model=bet.model,
            probability=bet.probability,
            tools=tuple(bet.tools),
            tokens=bet.tokens.total,
        )
        return id

    def ended(self, id: str) -> None:
        """Its call of the model is over."""
        bet = self._running.pop(id, None)
        if bet is not None:
            self._stakes.ended(bet)

    def chance(self, id: str) -> float | None:
        """How likely it is that a preview will be used, or None once that is known."""
        bet = self._open.get(id)
        return None if bet is None else bet.probability

    def used(self, id: str, hidden_s: float, joined: bool, now: float) -> None:
        """A real call has something of what it writes; so many seconds of it had passed when that call came."""
        bet = self._open.pop(id, None)
        if bet is not None:
            self._stakes.won(bet, hidden_s, now)
            self._journal.note(events.PreviewUsed, now, preview=id, model=bet.model, joined=joined, hidden_s=hidden_s)

    def wasted(self, id: str, reason: str, tokens: Tokens, now: float) -> None:
        """Nobody takes what it wrote."""
        bet = self._open.pop(id, None)
        if bet is not None:
            self._wasted += tokens.total
            self._stakes.lost(bet, tokens, now)
            cost = self._stakes.cost(bet.model, tokens)
            self._journal.note(
                events.PreviewWasted, now, preview=id, model=bet.model, reason=reason, tokens=tokens.total, cost=cost
            )
