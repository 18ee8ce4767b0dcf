"""Launches of one agent run, as decisions: which proposals are worth a body, and which bodies are let go.

The gate says what may run, its worth and the budgets what does. When that is asked, and of what, is said by the moments
of a run (`turns.py`, `foresight.py`, `session.py`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from langgraph_speculate.core import events
from langgraph_speculate.core.admission import SPENT, Refusal, dismissal
from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.commands import Cancel, Command, Launch, Proposal
from langgraph_speculate.core.facts import Moment, ToolFacts
from langgraph_speculate.core.gate import Deny, Reason, decide, forbids
from langgraph_speculate.core.openturn import OpenTurn
from langgraph_speculate.core.repeats import Remembered
from langgraph_speculate.core.runstate import RunState
from langgraph_speculate.core.speculation import Discard, Speculation, Stage, State
from langgraph_speculate.core.worth import Estimate, worth
from langgraph_speculate.policy import ToolPolicy

_BETTER = 2.0  # times as much must a guess be worth to take the place of one that runs already


@dataclass(frozen=True, slots=True)
class _Bid:
    """A proposal of a tool that may run ahead, its tool's entry, and what running it is worth."""

    proposal: Proposal
    policy: ToolPolicy
    worth: float
    too_fast: bool


class Launches(RunState):
    """What a run launches and lets go."""

    # -- launching --------------------------------------------------------------------------------------------------

    def _launch(self, turn: str, proposals: Sequence[Proposal], now: float, headroom: int | None) -> list[Command]:
        """Launch what is worth most of what is proposed, as far as the gate and the budgets let it."""
        forbidden: dict[str, Deny | None] = {}  # most guesses are of tools that may never run ahead
        denied: Counter[tuple[str, Deny]] = Counter()
        refused: Counter[tuple[str, Refusal]] = Counter()
        bids: list[_Bid] = []
        estimates: dict[str, Estimate] = {}
        for proposal in proposals:
            name = proposal.candidate.call.name
            if name not in forbidden:
                forbidden[name] = forbids(proposal.tool, proposal.venue, self.view, proposal.call_id, proposal.depth)
            if (never := forbidden[name]) is not None:
                denied[name, never] += 1
            elif (bid := self._bid(proposal, estimates, now)) is not None:
                bids.append(bid)
        bids.sort(key=lambda bid: bid.worth, reverse=True)
        commands: list[Command] = []
        full: dict[int, Refusal] = {}  # budgets that are spent, by depth: what comes later is worth less
        for bid in bids:
            name, depth, stage = bid.proposal.candidate.call.name, bid.proposal.depth, bid.proposal.stage
            answer = full.get(depth) or self._admit(turn, bid, now, headroom)
            if isinstance(answer, Deny):
                denied[name, answer] += 1
            elif isinstance(answer, Refusal):
                if answer in SPENT and stage is not Stage.COMPLETE:
                    full[depth] = answer
                asked_again = depth > 1 and answer is Refusal.DUPLICATE  # whenever more is known
                if stage in (Stage.BEGIN, Stage.COMPLETE) and not asked_again:
                    refused[name, answer] += 1
            else:
                commands += answer
        self._tell(turn, proposals, denied, refused, now)
        return commands

    def _tell(
        self,
        turn: str,
        proposals: Sequence[Proposal],
        denied: Counter[tuple[str, Deny]],
        refused: Counter[tuple[str, Refusal]],
        now: float,
    ) -> None:
        """Note what was not launched, and why."""
        for (name, refusal), count in refused.items():
            self._journal.note(events.Refused, now, turn=turn, tool=name, reason=refusal.value, count=count)
        known = self._open.get(turn, OpenTurn()).denied
        for (name, verdict), count in denied.items():
            if proposals[0].stage is Stage.BEGIN or (name, verdict) not in known:  # a stream asks again and again
                known.add((name, verdict))
                self._journal.denied(turn, name, verdict, now, count)

    def _bid(self, proposal: Proposal, estimates: dict[str, Estimate], now: float) -> _Bid | None:
        """What a proposal of a tool that may run ahead is worth."""
        name, policy = proposal.candidate.call.name, proposal.tool.rule.tool if proposal.tool is not None else None
        if policy is None:  # the gate allows none of these
            return None
        estimate = estimates.get(name)
        if estimate is None:
            estimate = estimates[name] = self._economy.estimate(proposal, policy, self.limits, self._pace, now)
        is_guess = proposal.stage is not Stage.COMPLETE
        gain = worth(proposal.candidate.probability, estimate, self._economy.prices) if is_guess else math.inf
        return _Bid(proposal, policy, gain, estimate.too_fast)

    def _gate(self, proposal: Proposal) -> Deny | str:
        """The key of a call that may run ahead, or why it may not."""
        key = None if proposal.call is None else key_of(proposal.call)
        verdict = decide(
            None if key is None else proposal.call,  # what can never be matched
            proposal.tool,
            proposal.venue,
            self.view,
            objection=proposal.objection,
            found=proposal.found,
            call_id=proposal.call_id,
            depth=proposal.depth,
        )
        if isinstance(verdict, Deny):
            return verdict
        return Deny(Reason.GATE_ERROR, "it has no key") if key is None else key

    def _admit(self, turn: str, bid: _Bid, now: float, headroom: int | None) -> list[Command] | Refusal | Deny:
        proposal, opened = bid.proposal, self._open[turn] if bid.proposal.depth == 1 else OpenTurn()
        dismissed = dismissal(proposal.candidate.probability, bid.policy.probability_floor, bid.worth, bid.too_fast)
        key = dismissed or self._gate(proposal)
        if isinstance(key, Refusal | Deny):
            return key
        refusal = self._refusal(turn, opened, bid, key, now, headroom)
        commands: list[Command] = []
        if refusal is Refusal.MAX_PER_TURN and (worse := self._worse(turn, bid)) is not None:
            commands = self._rule_out(turn, [worse], now, "preempt", Discard.PREEMPTED)
            refusal = self._refusal(turn, opened, bid, key, now, headroom)
        if refusal is not None:
            return commands or refusal
        id = f"{self.run}:{self.table.issued + 1}"
        step = self._step + proposal.depth - 1
        speculation = proposal.speculation(id, turn, step, self.view.epochs.now, now, bid.worth)
        self.table.launch(speculation)
        self._budget.launched(speculation)
        self._restraints.launched(speculation)
        opened.started[key] += 1
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
        if call is None or tool is None or not self._repeats:
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

    def _refusal(
        self, turn: str, opened: OpenTurn, bid: _Bid, key: str, now: float, headroom: int | None
    ) -> Refusal | None:
        proposal = bid.proposal
        if opened.has_begun(key, proposal.stage):
            return Refusal.DUPLICATE
        if self._is_remembered(proposal, now):
            return Refusal.REMEMBERED
        refusal = self._budget.refusal(proposal, key, bid.policy, turn, headroom)
        refusal = refusal or self._restraints.refusal(proposal, bid.policy, now)
        if refusal is Refusal.BREAKER:
            opened.held_back[proposal.candidate.source, key] = proposal
        return refusal

    # -- who stands -------------------------------------------------------------------------------------------------

    def _of(self, turn: str, opened: OpenTurn) -> list[Speculation]:
        return [s for s in self.table if (s.turn == turn and s.depth == 1) or s.id in opened.inherited]

    def alive_in(self, turn: str) -> list[Speculation]:
        """The guesses of a turn that the model has not written yet, and that its stream may rule out."""
        open_turn = self._open.get(turn)
        if self.closed or open_turn is None:
            return []
        return [s for s in self._of(turn, open_turn) if s.scope == "step" and not open_turn.asked[s.call.key]]

    # -- letting go --------------------------------------------------------------------------------------------------

    def give_way(self, id: str, now: float) -> tuple[bool, list[Command]]:
        """A real call needs the slot that a body holds: stop it, unless a real call waits for it.

        Returns:
            Whether it is stopped, and what to do.
        """
        speculation = self.table.get(id)
        if speculation is None or speculation.ended_at is not None or speculation.state is State.PROMOTED:
            return False, []
        for turn, opened in self._open.items():
            if speculation in self._of(turn, opened):  # once the model has written it, there may be a slot again
                opened.started[speculation.call.key] -= 1
        return True, self._drop([speculation], "preempt", Discard.YIELDED, now)

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
        self._restraints.wasted(speculation, now)

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
