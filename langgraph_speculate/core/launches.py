"""Launches of one agent run, as decisions: which proposals are worth a body, and which bodies are let go.

The gate says what may run, its worth and the budgets what does. When that is asked, and of what, is said by the moments
of a run (`turns.py`, `foresight.py`, `session.py`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from langgraph_speculate.core import events
from langgraph_speculate.core.admission import SPENT, Refusal, dismissal
from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.commands import Cancel, Command, Launch, Proposal
from langgraph_speculate.core.facts import Moment, ToolFacts
from langgraph_speculate.core.gate import Allow, Deny, Reason, decide, forbids
from langgraph_speculate.core.latency import Ahead
from langgraph_speculate.core.openturn import OpenTurn
from langgraph_speculate.core.repeats import Remembered
from langgraph_speculate.core.runstate import RunState
from langgraph_speculate.core.speculation import Discard, Speculation, Stage, State
from langgraph_speculate.core.worth import net
from langgraph_speculate.policy import ToolPolicy

_worth = attrgetter("worth")
_BETTER = 2.0  # times as much must a guess be worth to take the place of one that runs already


class _Stakes(NamedTuple):
    """What is to be won and lost with guesses of one tool that may run ahead."""

    policy: ToolPolicy
    floor: float | None
    hides_s: float
    in_vain_s: float
    too_fast: bool


class _Bid(NamedTuple):
    """A proposal that may be worth a body, its tool's entry, and what running it is worth."""

    proposal: Proposal
    policy: ToolPolicy
    worth: float


class Launches(RunState):
    """What a run launches and lets go."""

    # -- launching --------------------------------------------------------------------------------------------------

    def _launch(self, turn: str, proposals: Sequence[Proposal], now: float, headroom: int | None) -> list[Command]:
        """Launch what is worth most of what is proposed, as far as the gate and the budgets let it.

        All proposals are of one stage and one depth.
        """
        if not proposals:
            return []
        stage, depth = proposals[0].stage, proposals[0].depth
        denied: defaultdict[tuple[str, Deny], int] = defaultdict(int)
        refused: defaultdict[tuple[str, Refusal], int] = defaultdict(int)
        commands: list[Command] = []
        full: Refusal | None = None  # a budget that is spent: what comes later is worth less
        for bid in self._bids(proposals, denied, refused, now):
            name, answer = bid.proposal.candidate.call.name, full or self._admit(turn, bid, now, headroom)
            if isinstance(answer, Deny):
                denied[name, answer] += 1
            elif isinstance(answer, Refusal):
                if answer in SPENT and stage is not Stage.COMPLETE:
                    full = answer
                if not (depth > 1 and answer is Refusal.DUPLICATE):  # asked again whenever more is known
                    refused[name, answer] += 1
            else:
                commands += answer
        self._tell(turn, stage, denied, refused, now)
        return commands

    def _bids(
        self,
        proposals: Sequence[Proposal],
        denied: defaultdict[tuple[str, Deny], int],
        refused: defaultdict[tuple[str, Refusal], int],
        now: float,
    ) -> list[_Bid]:
        """What is worth it, best first; all others are counted."""
        stage, depth = proposals[0].stage, proposals[0].depth
        self._pace.reached(stage, now)
        ahead, load = self._pace.ahead(stage, depth, now), self._economy.load(self.limits)
        at_stake: dict[str, _Stakes | Deny] = {}  # by tool; most guesses are of tools that may never run ahead
        bids: list[_Bid] = []
        for proposal in proposals:
            candidate = proposal.candidate
            name, probability = candidate.call.name, candidate.probability
            stakes = at_stake.get(name)
            if stakes is None:
                stakes = at_stake[name] = self._stakes(proposal, ahead, load, now)
            if isinstance(stakes, Deny):
                denied[name, stakes] += 1
                continue
            policy, floor, hides_s, in_vain_s, too_fast = stakes
            worth = math.inf if stage is Stage.COMPLETE else net(probability, hides_s, in_vain_s)
            dismissed = dismissal(probability, floor, worth, too_fast)
            if dismissed is None:
                bids.append(_Bid(proposal, policy, worth))
            else:
                refused[name, dismissed] += 1
        return sorted(bids, key=_worth, reverse=True)

    def _stakes(self, proposal: Proposal, ahead: Ahead, load: float, now: float) -> _Stakes | Deny:
        tool, view = proposal.tool, self.view
        verdict = forbids(tool, proposal.venue, view, proposal.call_id, proposal.depth)
        if verdict is not None:
            return verdict
        policy = tool.rule.tool if tool is not None else None
        if policy is None:
            return Deny(Reason.GATE_ERROR, "it has no policy")
        expected = self._economy.estimate(proposal.candidate.call.name, policy, ahead, load, now)
        in_vain_s = expected.in_vain_s(self._economy.prices)
        return _Stakes(policy, policy.probability_floor, expected.hides_s, in_vain_s, expected.too_fast)

    def _tell(
        self,
        turn: str,
        stage: Stage,
        denied: Mapping[tuple[str, Deny], int],
        refused: Mapping[tuple[str, Refusal], int],
        now: float,
    ) -> None:
        """Note what was not launched, and why; a stream asks again and again."""
        if stage in (Stage.BEGIN, Stage.COMPLETE):
            for (name, refusal), count in refused.items():
                self._journal.note(events.Refused, now, turn=turn, tool=name, reason=refusal.value, count=count)
        opened = self._open.get(turn)
        known = opened.denied if opened is not None else set()
        for (name, verdict), count in denied.items():
            if stage is Stage.BEGIN or (name, verdict) not in known:
                known.add((name, verdict))
                self._journal.denied(turn, name, verdict, now, count)

    def _decide(self, call: Call | None, tool: ToolFacts | None, venue: str, **about: Any) -> Allow | Deny:
        """The gate's answer about a speculation of this run, as `decide` takes the rest."""
        return decide(call, tool, venue, self.view, **about)

    def _gate(self, proposal: Proposal) -> Deny | str:
        """The key of a call that may run ahead, or why it may not."""
        key = None if proposal.call is None else key_of(proposal.call)
        verdict = self._decide(
            None if key is None else proposal.call,  # what can never be matched
            proposal.tool,
            proposal.venue,
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
        key = self._gate(proposal)
        if isinstance(key, Deny):
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
        return [*commands, self._start(speculation)]

    def _start(self, speculation: Speculation) -> Command:
        """Have its body run."""
        return Launch(speculation)

    def _stop(self, speculation: Speculation, now: float) -> list[Command]:
        """Its body need not run any more."""
        return [Cancel(speculation.id, speculation.drain)]

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
        self._unstart(speculation)  # once the model has written it, there may be a slot again
        return True, self._drop([speculation], "preempt", Discard.YIELDED, now)

    def _unstart(self, speculation: Speculation) -> None:
        """As if it had never been started: open turns may start its call."""
        for turn, opened in self._open.items():
            if speculation in self._of(turn, opened):
                opened.started[speculation.call.key] -= 1

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
                commands += self._stop(speculation, now)
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
