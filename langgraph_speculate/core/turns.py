"""The model's turns of one agent run, as decisions: what is launched beside a model call, what its stream rules out.

1 a turn begins · 2 its stream says more · 3 it ends. What real calls make of it is `session.py`'s business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from langgraph_speculate.core import events
from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.budget import Budget
from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.commands import Cancel, Command, Launch, Proposal
from langgraph_speculate.core.gate import Deny, RunView, decide, forbids
from langgraph_speculate.core.journal import Journal
from langgraph_speculate.core.restraints import Restraints
from langgraph_speculate.core.speculation import Discard, Speculation, Stage, State
from langgraph_speculate.core.table import Table
from langgraph_speculate.policy import Limits, ToolPolicy


class Turns:
    """The first three moments of a run.

    Args:
        run: The run's id.
        view: What the gate may know about the run.
        limits: Its budgets.
        thread: Early bodies of earlier runs of the same thread, by tool (`core/tally.py`).
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
        restraints: Restraints | None = None,
    ) -> None:
        self.run = run
        self.view = view
        self.limits = limits
        self.table = Table()
        self.closed = False
        self._journal = Journal(run, limits, view.epochs)
        self._budget = Budget(limits, self.table, Counter() if thread is None else thread)
        self._restraints = restraints or Restraints()
        self._step = 0
        self._open: dict[str, _Turn] = {}
        self._ended = False

    # -- moment 1 ----------------------------------------------------------------------------------------------------

    def begin_turn(self, turn: str, now: float) -> list[Command]:
        """A model call starts: the step before it is settled, and what was kept for that step only is let go."""
        if self.closed:
            return []
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
        forbidden: dict[str, Deny | None] = {}  # most guesses are of tools that may never run ahead
        denied: Counter[tuple[str, Deny]] = Counter()
        commands: list[Command] = []
        for proposal in proposals:
            name = proposal.candidate.call.name
            if name not in forbidden:
                forbidden[name] = forbids(proposal.tool, proposal.venue, self.view, proposal.call_id)
            outcome = forbidden[name] or self._consider(turn, proposal, now, headroom)
            if isinstance(outcome, Deny):
                denied[name, outcome] += 1
            elif outcome is not None:
                commands.append(outcome)
        known = self._open[turn].denied
        for (name, verdict), count in denied.items():
            if proposals[0].stage is Stage.BEGIN or (name, verdict) not in known:  # a stream asks again and again
                known.add((name, verdict))
                self._journal.denied(turn, name, verdict, now, count)
        return commands

    def _consider(self, turn: str, proposal: Proposal, now: float, headroom: int | None) -> Launch | Deny | None:
        call, tool = proposal.call, proposal.tool
        if call is not None and key_of(call) is None:
            call = None  # it could never be matched
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
        if call is None or tool is None or policy is None:  # the gate allows none of these
            return None
        refusal = self._refusal(turn, proposal, call.key, policy, now, headroom)
        if refusal is not None:
            if proposal.stage in (Stage.BEGIN, Stage.COMPLETE):
                self._journal.note(events.Refused, now, turn=turn, tool=tool.name, reason=refusal.value)
            return None
        id = f"{self.run}:{self.table.issued + 1}"
        speculation = proposal.speculation(id, turn, self._step, self.view.epochs.now, now)
        self.table.launch(speculation)
        self._budget.launched(speculation)
        self._restraints.launched(speculation)
        self._open[turn].started[call.key] += 1
        self._journal.launched(speculation, now)
        return Launch(speculation)

    def _refusal(
        self, turn: str, proposal: Proposal, key: str, policy: ToolPolicy, now: float, headroom: int | None
    ) -> Refusal | None:
        open_turn = self._open[turn]
        if open_turn.has_begun(key, proposal.stage):
            return Refusal.DUPLICATE
        refusal = self._budget.refusal(proposal, key, policy, turn, headroom)
        refusal = refusal or self._restraints.refusal(proposal, policy, now)
        if refusal is Refusal.BREAKER:
            open_turn.held_back[proposal.candidate.source, key] = proposal
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

    def _rule_out(self, lost: Sequence[Speculation], now: float) -> list[Command]:
        lost = [speculation for speculation in lost if speculation.state is not State.PROMOTED]  # a real call waits
        for speculation in lost:
            self._budget.contradicted(speculation)
            self._open[speculation.turn].started[speculation.call.key] -= 1
        return self._drop(lost, "squash", Discard.CONTRADICTED, now)

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
        """Nobody wants the result of a body that has ended."""
        self._journal.wasted(speculation, now)
        self._restraints.wasted(speculation, now)


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
