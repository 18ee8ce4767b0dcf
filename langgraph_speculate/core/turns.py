"""The model's turns of one agent run, as decisions: what is launched beside a model call, what its stream rules out.

1 a turn begins · 2 its stream says more · 3 it ends. What real calls make of it is `session.py`'s business.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from langgraph_speculate.core import events
from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.budget import Budget
from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.commands import Cancel, Command, Launch, Proposal
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.gate import Deny, Moment, RunView, ToolFacts, decide, forbids
from langgraph_speculate.core.journal import Journal
from langgraph_speculate.core.openturn import OpenTurn
from langgraph_speculate.core.pace import Pace
from langgraph_speculate.core.repeats import Remembered, Repeats
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
        self._repeats = Repeats()
        self._step = 0
        self._open: dict[str, OpenTurn] = {}
        self._ended: dict[str, bool] = {}  # turns of this step, and whether their messages can be relied on

    # -- moment 1 ----------------------------------------------------------------------------------------------------

    def begin_turn(self, turn: str, now: float, model: str = "") -> list[Command]:
        """A call of *model* starts: the step before it is settled, and what was kept for that step only is let go.

        What was launched further ahead, for this step, is a guess of this turn from now on.
        """
        if self.closed:
            return []
        if self._ended or not self._open:
            self._pace.began(model, now)
        opened = self._open[turn] = OpenTurn()
        self._journal.note(events.TurnBegan, now, turn=turn)
        if not self._ended:  # another model of the same step, running beside the first
            return []
        self._ended.clear()
        self._step += 1
        commands = self._drop([s for s in self.table if self._is_outdated(s)], "expire", Discard.EXPIRED, now)
        opened.inherit(s for s in self.table if s.step == self._step)
        return commands

    def _is_outdated(self, speculation: Speculation) -> bool:
        return speculation.scope == "step" and speculation.step < self._step

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

    def guesses_for(self, turn: str) -> list[Speculation]:
        """What was launched for the message that *turn* is writing, in it or before it, and could still be adopted."""
        return self._of(turn, self._open.get(turn, OpenTurn()))

    def _of(self, turn: str, opened: OpenTurn) -> list[Speculation]:
        return [s for s in self.table if (s.turn == turn and s.depth == 1) or s.id in opened.inherited]

    def _launch(self, turn: str, proposals: Sequence[Proposal], now: float, headroom: int | None) -> list[Command]:
        """Gate what is proposed, and launch what of it is worth most, as far as budgets go."""
        forbidden: dict[str, Deny | None] = {}  # most guesses are of tools that may never run ahead
        denied: Counter[tuple[str, Deny]] = Counter()
        allowed: list[_Bid] = []
        for proposal in proposals:
            name = proposal.candidate.call.name
            if name not in forbidden:
                forbidden[name] = forbids(proposal.tool, proposal.venue, self.view, proposal.call_id, proposal.depth)
            outcome = forbidden[name] or self._bid(proposal, now)
            if isinstance(outcome, Deny):
                denied[name, outcome] += 1
            elif outcome is not None:
                allowed.append(outcome)
        allowed.sort(key=lambda bid: bid.worth, reverse=True)
        commands = [command for bid in allowed for command in self._admit(turn, bid, now, headroom)]
        known = self._open.get(turn, OpenTurn()).denied
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
            depth=proposal.depth,
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
        refusal = self._budget.refusal(proposal, bid.key, bid.policy, turn, headroom, bid.worth)
        opened = self._open[turn] if proposal.depth == 1 else OpenTurn()
        if opened.has_begun(bid.key, proposal.stage):
            refusal = Refusal.DUPLICATE
        elif self._is_remembered(proposal, now):
            refusal = Refusal.REMEMBERED
        commands: list[Command] = []
        if refusal is Refusal.MAX_PER_TURN and (worse := self._worse(turn, bid)) is not None:
            commands = self._rule_out(turn, [worse], now, "preempt", Discard.PREEMPTED)
            refusal = self._budget.refusal(proposal, bid.key, bid.policy, turn, headroom, bid.worth)
        if refusal is not None:
            asked_again = proposal.depth > 1 and refusal is Refusal.DUPLICATE  # whenever more is known
            if proposal.stage in (Stage.BEGIN, Stage.COMPLETE) and not asked_again:
                tool = proposal.candidate.call.name
                self._journal.note(events.Refused, now, turn=turn, tool=tool, reason=refusal.value)
            return commands
        id = f"{self.run}:{self.table.issued + 1}"
        step = self._step + proposal.depth - 1
        speculation = proposal.speculation(id, turn, step, self.view.epochs.now, now, bid.worth)
        self.table.launch(speculation)
        self._budget.launched(speculation)
        opened.started[bid.key] += 1
        self._journal.launched(speculation, now)
        return [*commands, Launch(speculation)]

    def _worse(self, turn: str, bid: _Bid) -> Speculation | None:
        """A guess of the turn about the same message that should make room for a better one, or None."""
        own = [s for s in self.alive_in(turn) if s.turn == turn and s.depth == bid.proposal.depth]
        standing = [s for s in own if s.state is not State.PROMOTED and s.stage is not Stage.COMPLETE]
        worst = min(standing, key=lambda speculation: speculation.worth, default=None)
        return worst if worst is not None and bid.worth > _BETTER * max(worst.worth, 0.0) else None

    def _is_remembered(self, proposal: Proposal, now: float) -> bool:
        call, tool = proposal.call, proposal.tool
        if call is None or tool is None:
            return False
        real = Moment(now, self._step, proposal.circumstances, proposal.objection, proposal.call_id)
        return isinstance(self._recall(call, tool, proposal.venue, real), Remembered)

    def _recall(self, call: Call, tool: ToolFacts, venue: str, real: Moment) -> Remembered | Deny | None:
        """The answer that the run remembers of a call, or why that may not be given at this moment."""
        answer = self._repeats.find(call.key, venue)
        if answer is None:
            return None
        verdict = decide(call, tool, venue, self.view, commits=answer, real=real)
        return verdict if isinstance(verdict, Deny) else answer

    # -- moment 2 ----------------------------------------------------------------------------------------------------

    def alive_in(self, turn: str) -> list[Speculation]:
        """The guesses of a turn that the model has not written yet, and that its stream may rule out."""
        open_turn = self._open.get(turn)
        if self.closed or open_turn is None:
            return []
        return [s for s in self._of(turn, open_turn) if s.scope == "step" and not open_turn.asked[s.call.key]]

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
        return [*self._rule_out(turn, lost, now), *self._launch(turn, proposals, now, headroom)]

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
            own = self._of(turn, open_turn)
            kept = [s for s in self.table if s.call.key == key and s not in own and now - s.launched_at <= s.ttl_s]
            if open_turn.started[key] + len(kept) >= open_turn.asked[key]:
                return []
        return self._launch(turn, [proposal], now, headroom)

    def revised(self, turn: str, now: float) -> list[Command]:
        """The model took back what it had written: nothing of this message can be relied on."""
        open_turn = self._open.get(turn)
        if self.closed or open_turn is None:
            return []
        open_turn.asked.clear()
        return self._rule_out(turn, self._of(turn, open_turn), now)

    def _rule_out(
        self,
        turn: str,
        lost: Sequence[Speculation],
        now: float,
        event: str = "squash",
        reason: Discard = Discard.CONTRADICTED,
    ) -> list[Command]:
        """Let go of guesses of an open turn; others may take their places."""
        lost = [speculation for speculation in lost if speculation.state is not State.PROMOTED]  # a real call waits
        for speculation in lost:
            self._budget.contradicted(speculation)
            self._open[turn].started[speculation.call.key] -= 1
        return self._drop(lost, event, reason, now)

    # -- moment 3 ----------------------------------------------------------------------------------------------------

    def alive_tools(self) -> set[str]:
        """Names of the tools with speculations that could still answer a call."""
        return {speculation.call.name for speculation in self.table}

    def end_turn(self, turn: str, calls: Sequence[Call], coerced: Sequence[Call], now: float) -> list[Command]:
        """The model's message is final: let go of everything it did not ask for, and of all that rests on that.

        Args:
            turn: The model turn.
            calls: Its calls as the model wrote them; none means that it answered.
            coerced: Those of its calls whose tools have speculations, with coerced arguments.
            now: Seconds on the monotonic clock.
        """
        if self.closed:
            return []
        opened = self._open.pop(turn, OpenTurn())
        self._ended[turn] = True
        foreseen = {key_of(call) for call in calls if opened.has_foreseen(call)} - {None}
        self._journal.note(
            events.TurnEnded, now, turn=turn, calls=tuple(call.name for call in calls), foreseen=len(foreseen)
        )
        wanted = {call.key for call in coerced}
        for speculation in self.table:
            if speculation.call.key in wanted:
                self.table.confirm(speculation)
        missed = [s for s in self._of(turn, opened) if s.call.key not in wanted]
        orphans = [orphan for s in missed for orphan in self.table.lineage(s.id)]
        return [
            *self._drop([s for s in missed if s.scope == "step"], "squash", Discard.CONTRADICTED, now),
            *self._drop(orphans, "squash", Discard.LINEAGE, now),
        ]

    def abort_turn(self, turn: str, now: float) -> list[Command]:
        """The model call failed, or its message was cut off: nothing it was predicted to ask for can be relied on."""
        if self.closed:
            return []
        inherited = self._open.pop(turn, OpenTurn()).inherited
        self._ended[turn] = False
        lost = [s for s in self.table if s.turn == turn or s.id in inherited]
        return self._drop(lost, "squash", Discard.MODEL_FAILED, now)

    # -- letting go --------------------------------------------------------------------------------------------------

    def _drop(self, lost: Iterable[Speculation], event: str, reason: Discard, now: float) -> list[Command]:
        """Discard these, and then what rests on them."""
        commands: list[Command] = []
        fallen: list[str] = []
        for speculation in lost:
            if speculation.over or (speculation.state is State.PROMOTED and event != "fail"):
                continue  # a real call waits for it: only its own end, or that of the run, ends it
            self.table.discard(speculation, event, reason)
            fallen.append(speculation.id)
            self._journal.discarded(speculation, now)
            if speculation.ended_at is None:
                commands.append(Cancel(speculation.id, speculation.drain))
            else:
                self._wasted(speculation, now)
        orphans = [orphan for id in fallen for orphan in self.table.lineage(id)]
        return [*commands, *(self._drop(orphans, "squash", Discard.LINEAGE, now) if orphans else ())]

    def _wasted(self, speculation: Speculation, now: float) -> None:
        """Its body has ended, and nobody wants the result."""
        self._journal.wasted(speculation, now)
        self._budget.wasted(speculation)


@dataclass(frozen=True, slots=True)
class _Bid:
    """A call that may run ahead, its canonical key, its tool's entry, and what running it is worth."""

    proposal: Proposal
    key: str
    policy: ToolPolicy
    worth: float


def _shown(proposals: Sequence[Proposal]) -> tuple[tuple[str, float, str], ...]:
    return tuple((p.candidate.call.name, p.candidate.probability, p.candidate.source) for p in proposals)
