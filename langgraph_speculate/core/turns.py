"""The model's turns of one agent run, as decisions: what is launched beside a model call, what its stream rules out.

1 a turn begins · 2 its stream says more · 3 it ends. What real calls make of it is `session.py`'s business.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from langgraph_speculate.core import events
from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.budget import Budget
from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.commands import Cancel, Command, Launch, Proposal
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.gate import Deny, RunView, decide, forbids
from langgraph_speculate.core.journal import Journal
from langgraph_speculate.core.pace import Pace
from langgraph_speculate.core.restraints import Restraints
from langgraph_speculate.core.speculation import Discard, Speculation, Stage, State
from langgraph_speculate.core.table import Table
from langgraph_speculate.core.worth import worth
from langgraph_speculate.policy import Limits, ToolPolicy

_BETTER = 2.0  # times as much must a guess be worth to take the place of one that runs already


class Turns:
    """The first three moments of a run.

    Args:
        run: The run's id.
        view: What the gate may know about the run.
        limits: Its budgets.
        thread: Early bodies of earlier runs of the same thread, by tool (`core/tally.py`).
        economy: What all runs of the graph share; None for a run on its own.
        restraints: What restrains launches of all runs of the graph; None for a run on its own.

    Attributes:
        table: The run's speculations, and the ledger.
        closed: Whether the run is over.
    """

    def __init__(
        self,
        run: str,
        view: RunView,
        limits: Limits,
        thread: Counter[str] | None = None,
        economy: Economy | None = None,
        restraints: Restraints | None = None,
    ) -> None:
        self.run = run
        self.view = view
        self.limits = limits
        self.table = Table()
        self.closed = False
        self._journal = Journal(run, limits, view.epochs)
        self._economy = economy or Economy()
        self._budget = Budget(limits, self.table, Counter() if thread is None else thread, self._economy)
        self._pace = Pace(self._economy.latencies, limits.max_depth)
        self._restraints = restraints or Restraints(prices=self._economy.prices)
        self._step = 0
        self._open: dict[str, _Turn] = {}
        self._ended = False

    # -- moment 1 ----------------------------------------------------------------------------------------------------

    def begin_turn(self, turn: str, now: float, model: str = "") -> list[Command]:
        """A call of *model* starts: the step before it is settled, and what was kept for that step only is let go."""
        if self.closed:
            return []
        if self._ended or not self._open:
            self._pace.began(model, now)
        self._open[turn] = _Turn()
        self._journal.note(events.TurnBegan, now, turn=turn)
        if not self._ended:  # another model of the same step, running beside the first
            return []
        self._ended = False
        self._step += 1
        over = [s for s in self.table if s.scope == "step"]
        return self._drop(over, "expire", Discard.EXPIRED, now)

    def predicted(
        self, turn: str, proposals: Sequence[Proposal], now: float, headroom: int | None = None
    ) -> list[Command]:
        """The predictor answered for *turn*: gate and admit its candidates, best first. Too late is ignored.

        Args:
            turn: The model turn.
            proposals: The candidates, best first.
            now: Seconds on the monotonic clock.
            headroom: How many more calls the limits that are kept elsewhere leave, or None for no such limit.
        """
        open_turn = self._open.get(turn)
        if self.closed or open_turn is None:
            return []
        self._journal.note(events.Predicted, now, turn=turn, candidates=_shown(proposals))
        open_turn.foreseen = [proposal.candidate.call for proposal in proposals]
        return self._launch(turn, proposals, now, headroom)

    def _launch(self, turn: str, proposals: Sequence[Proposal], now: float, headroom: int | None) -> list[Command]:
        """Gate what is proposed, and launch what of it is worth most, as far as budgets go."""
        forbidden: dict[str, Deny | None] = {}  # most guesses are of tools that may never run ahead
        denied: Counter[tuple[str, Deny]] = Counter()
        allowed: list[_Bid] = []
        for proposal in proposals:
            name = proposal.candidate.call.name
            if name not in forbidden:
                forbidden[name] = forbids(proposal.tool, proposal.venue, self.view, proposal.call_id)
            outcome = forbidden[name] or self._bid(proposal, now)
            if isinstance(outcome, Deny):
                denied[name, outcome] += 1
            elif outcome is not None:
                allowed.append(outcome)
        allowed.sort(key=lambda bid: bid.worth, reverse=True)
        commands = [command for bid in allowed for command in self._admit(turn, bid, now, headroom)]
        known = self._open[turn].denied
        for (name, verdict), count in denied.items():
            if proposals[0].stage is Stage.BEGIN or (name, verdict) not in known:  # a stream asks again and again
                known.add((name, verdict))
                self._journal.denied(turn, name, verdict, now, count)
        return commands

    def _bid(self, proposal: Proposal, now: float) -> _Bid | Deny | None:
        """What a proposal is worth, or why the gate denies it; None for what can never be matched."""
        call, tool = proposal.call, proposal.tool
        if call is not None and key_of(call) is None:
            call = None
        verdict = decide(
            call,
            tool,
            proposal.venue,
            self.view,
            objection=proposal.objection,
            found=proposal.found,
            call_id=proposal.call_id,
        )
        if isinstance(verdict, Deny):
            return verdict
        policy = tool.rule.tool if tool is not None else None
        if call is None or policy is None:  # the gate allows neither
            return None
        if proposal.stage is Stage.COMPLETE:
            return _Bid(proposal, call.key, policy, math.inf)
        self._pace.reached(proposal.stage, now)
        expected = self._economy.expectation(proposal, policy, self.limits, self._pace, now)
        return _Bid(proposal, call.key, policy, worth(expected, self._economy.prices))

    def _admit(self, turn: str, bid: _Bid, now: float, headroom: int | None) -> list[Command]:
        proposal = bid.proposal
        refusal = self._refusal(turn, bid, now, headroom)
        commands: list[Command] = []
        if refusal is Refusal.MAX_PER_TURN and (worse := self._worse(turn, bid.worth)) is not None:
            commands = self._rule_out([worse], now, "preempt", Discard.PREEMPTED)
            refusal = self._refusal(turn, bid, now, headroom)
        if refusal is not None:
            if proposal.stage in (Stage.BEGIN, Stage.COMPLETE):
                tool = proposal.candidate.call.name
                self._journal.note(events.Refused, now, turn=turn, tool=tool, reason=refusal.value)
            return commands
        id = f"{self.run}:{self.table.issued + 1}"
        speculation = proposal.speculation(id, turn, self._step, self.view.epochs.now, now, bid.worth)
        self.table.launch(speculation)
        self._budget.launched(speculation)
        self._restraints.launched(speculation)
        self._open[turn].started[bid.key] += 1
        self._journal.launched(speculation, now)
        return [*commands, Launch(speculation)]

    def _worse(self, turn: str, worth: float) -> Speculation | None:
        """A guess of the turn that should make room for one of that worth, or None."""
        standing = [s for s in self.alive_in(turn) if s.state is not State.PROMOTED and s.stage is not Stage.COMPLETE]
        worst = min(standing, key=lambda speculation: speculation.worth, default=None)
        return worst if worst is not None and worth > _BETTER * max(worst.worth, 0.0) else None

    def _refusal(self, turn: str, bid: _Bid, now: float, headroom: int | None) -> Refusal | None:
        open_turn, proposal = self._open[turn], bid.proposal
        if open_turn.has_begun(bid.key, proposal.stage):
            return Refusal.DUPLICATE
        refusal = self._budget.refusal(proposal, bid.key, bid.policy, turn, headroom, bid.worth)
        refusal = refusal or self._restraints.refusal(proposal, bid.policy, now)
        if refusal is Refusal.BREAKER:
            open_turn.held_back[proposal.candidate.source, bid.key] = proposal
        return refusal

    # -- moment 2 ----------------------------------------------------------------------------------------------------

    def alive_in(self, turn: str) -> list[Speculation]:
        """The guesses of a turn that the model has not written yet, and that its stream may rule out."""
        open_turn = self._open.get(turn)
        if self.closed or open_turn is None:
            return []
        return [s for s in self.table if s.turn == turn and s.scope == "step" and not open_turn.asked[s.call.key]]

    def narrowed(
        self,
        turn: str,
        ruled_out: Collection[str],
        proposals: Sequence[Proposal],
        now: float,
        headroom: int | None = None,
    ) -> list[Command]:
        """The stream says more: let go of guesses whose keys it has *ruled_out*, and launch others in their place.

        Args:
            turn: The model turn.
            ruled_out: Keys of calls, coerced.
            proposals: What the message may hold now, best first.
            now: Seconds on the monotonic clock.
            headroom: As in `predicted`.
        """
        if self.closed or turn not in self._open:
            return []
        lost = [speculation for speculation in self.alive_in(turn) if speculation.call.key in ruled_out]
        if proposals:
            stage = proposals[0].stage.value
            self._journal.note(events.Narrowed, now, turn=turn, stage=stage, candidates=_shown(proposals))
        return [*self._rule_out(lost, now), *self._launch(turn, proposals, now, headroom)]

    def written(self, turn: str, proposal: Proposal, now: float, headroom: int | None = None) -> list[Command]:
        """The model has written a call completely: run it now, unless a guess of it was started before.

        However often the same call is written, each is started once at most.
        """
        open_turn = self._open.get(turn)
        if self.closed or open_turn is None:
            return []
        key = key_of(proposal.call) if proposal.call is not None else None
        if key is not None:
            open_turn.asked[key] += 1
            kept = [s for s in self.table if s.call.key == key and s.turn != turn and now - s.launched_at <= s.ttl_s]
            if open_turn.started[key] + len(kept) >= open_turn.asked[key]:
                return []
        return self._launch(turn, [proposal], now, headroom)

    def revised(self, turn: str, now: float) -> list[Command]:
        """The model took back what it had written: nothing of this message can be relied on."""
        open_turn = self._open.get(turn)
        if self.closed or open_turn is None:
            return []
        open_turn.asked.clear()
        return self._rule_out([s for s in self.table if s.turn == turn], now)

    def _rule_out(
        self,
        lost: Sequence[Speculation],
        now: float,
        event: str = "squash",
        reason: Discard = Discard.CONTRADICTED,
    ) -> list[Command]:
        """Let go of guesses of an open turn; others may take their places."""
        lost = [speculation for speculation in lost if speculation.state is not State.PROMOTED]  # a real call waits
        for speculation in lost:
            self._budget.contradicted(speculation)
            self._open[speculation.turn].started[speculation.call.key] -= 1
        return self._drop(lost, event, reason, now)

    # -- moment 3 ----------------------------------------------------------------------------------------------------

    def alive_tools(self) -> set[str]:
        """Names of the tools with speculations that could still answer a call."""
        return {speculation.call.name for speculation in self.table}

    def end_turn(self, turn: str, calls: Sequence[Call], coerced: Sequence[Call], now: float) -> list[Command]:
        """The model's message is final: let go of everything it did not ask for.

        Args:
            turn: The model turn.
            calls: Its calls as the model wrote them; none means that it answered.
            coerced: Those of its calls whose tools have speculations, with coerced arguments.
            now: Seconds on the monotonic clock.
        """
        if self.closed:
            return []
        open_turn = self._open.pop(turn, _Turn())
        self._ended = True
        foreseen = {key_of(call) for call in calls if any(_alike(call, guess) for guess in open_turn.foreseen)} - {None}
        self._journal.note(
            events.TurnEnded, now, turn=turn, calls=tuple(call.name for call in calls), foreseen=len(foreseen)
        )
        for guess in open_turn.held_back.values():
            self._restraints.foresaw(guess, any(_alike(call, guess.candidate.call) for call in calls))
        wanted = {call.key for call in coerced}
        lost = [s for s in self.table if s.turn == turn and s.scope == "step" and s.call.key not in wanted]
        return self._drop(lost, "squash", Discard.CONTRADICTED, now)

    def abort_turn(self, turn: str, now: float) -> list[Command]:
        """The model call failed, or its message was cut off: nothing it was predicted to ask for can be relied on."""
        if self.closed:
            return []
        self._open.pop(turn, None)
        self._ended = True
        lost = [s for s in self.table if s.turn == turn]
        return self._drop(lost, "squash", Discard.MODEL_FAILED, now)

    # -- letting go --------------------------------------------------------------------------------------------------

    def _drop(self, lost: Iterable[Speculation], event: str, reason: Discard, now: float) -> list[Command]:
        commands: list[Command] = []
        for speculation in lost:
            if speculation.state is State.PROMOTED and event != "fail":
                continue  # a real call waits for it: only its own end, or that of the run, ends it
            self.table.discard(speculation, event, reason)
            self._journal.discarded(speculation, now)
            if speculation.ended_at is None:
                commands.append(Cancel(speculation.id, speculation.drain))
            else:
                self._wasted(speculation, now)
        return commands

    def _wasted(self, speculation: Speculation, now: float) -> None:
        """Its body has ended, and nobody wants the result."""
        self._journal.wasted(speculation, now)
        self._budget.wasted(speculation)
        self._restraints.wasted(speculation, now)


@dataclass(frozen=True, slots=True)
class _Bid:
    """A call that may run ahead, its canonical key, its tool's entry, and what running it is worth."""

    proposal: Proposal
    key: str
    policy: ToolPolicy
    worth: float


@dataclass(slots=True)
class _Turn:
    """A model turn that is open.

    Attributes:
        foreseen: What was predicted at its beginning, as the model would write it.
        denied: What the gate was noted to have denied: tools with its verdicts.
        asked: Calls that the model has written completely, by key.
        started: Bodies that were started for it, by key, without those that the stream ruled out.
        held_back: Guesses that breakers did not let run, by source and key.
    """

    foreseen: list[Call] = field(default_factory=list)
    denied: set[tuple[str, Deny]] = field(default_factory=set)
    asked: Counter[str] = field(default_factory=Counter)
    started: Counter[str] = field(default_factory=Counter)
    held_back: dict[tuple[str, str], Proposal] = field(default_factory=dict)

    def has_begun(self, key: str, stage: Stage) -> bool:
        """Whether a guess was started before: one that failed is not tried with each piece of the message."""
        told = stage is not Stage.BEGIN or self.asked[key] > 0
        return stage is not Stage.COMPLETE and told and self.started[key] > 0


def _shown(proposals: Sequence[Proposal]) -> tuple[tuple[str, float, str], ...]:
    return tuple((p.candidate.call.name, p.candidate.probability, p.candidate.source) for p in proposals)


def _alike(call: Call, guess: Call) -> bool:
    """Whether a guess was right: equality first, because it costs a fraction of two keys."""
    try:
        return call.name == guess.name and call.args == guess.args and key_of(call) == key_of(guess)
    except Exception:  # noqa: BLE001 - a value that cannot be compared was no good guess
        return False
