"""One agent run, as decisions: the five moments, each returning commands for a shell to carry out.

1 a model turn begins · 2 (its stream says more) · 3 it ends · 4 a real call arrives · 5 a call settles, the run ends.
No clock, no tasks, no threads: time comes in as `now`, and the shell makes sure that no two methods run at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.core.admission import Spent, admit
from langgraph_speculate.core.calls import Call, Outcome, key_of
from langgraph_speculate.core.commands import MISS, Cancel, Command, Commit, Join, Launch, Miss, Proposal
from langgraph_speculate.core.critical_path import CriticalPath
from langgraph_speculate.core.gate import Deny, Moment, Reason, RunView, ToolFacts, decide, forbids
from langgraph_speculate.core.journal import Journal
from langgraph_speculate.core.resources import render
from langgraph_speculate.core.speculation import Discard, Speculation, State
from langgraph_speculate.core.table import Table
from langgraph_speculate.core.tally import Tally
from langgraph_speculate.policy import Limits


class Session:
    """Decisions of one agent run.

    Args:
        run: The run's id.
        view: What the gate may know about the run.
        limits: Its budgets.
        thread: Early bodies of earlier runs of the same thread, by tool (`core/tally.py`).

    Attributes:
        table: The run's speculations, and the ledger.
    """

    def __init__(self, run: str, view: RunView, limits: Limits, thread: Counter[str] | None = None) -> None:
        self.run = run
        self.view = view
        self.limits = limits
        self.table = Table()
        self._journal = Journal(run, limits, view.epochs)
        self.closed = False
        self._step = 0
        self._open: set[str] = set()
        self._ended = False
        self._predicted: dict[str, list[Call]] = {}
        self._launched: Counter[str] = Counter()
        self._tally = Tally(Counter() if thread is None else thread)
        self._ghosts = 0
        self._path = CriticalPath()
        self._hits = 0
        self._hidden_s = 0.0

    # -- moment 1 ----------------------------------------------------------------------------------------------------

    def begin_turn(self, turn: str, now: float) -> list[Command]:
        """A model call starts: the step before it is settled, and what was kept for that step only is let go."""
        if self.closed:
            return []
        self._open.add(turn)
        self._journal.note(events.TurnBegan, now, turn=turn)
        if not self._ended:  # another model of the same step, running beside the first
            return []
        self._ended = False
        self._settle_step(now)
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
        if self.closed or turn not in self._open:
            return []
        shown = tuple((p.candidate.call.name, p.candidate.probability, p.candidate.source) for p in proposals)
        self._journal.note(events.Predicted, now, turn=turn, candidates=shown)
        self._predicted.setdefault(turn, []).extend(p.candidate.call for p in proposals)
        forbidden: dict[str, Deny | None] = {}  # most guesses are of tools that may never run ahead
        denied: Counter[tuple[str, Deny]] = Counter()
        commands: list[Command] = []
        for proposal in proposals:
            name = proposal.candidate.call.name
            if name not in forbidden:
                forbidden[name] = forbids(proposal.tool, proposal.venue, self.view)
            outcome = forbidden[name] or self._consider(turn, proposal, now, headroom)
            if isinstance(outcome, Deny):
                denied[name, outcome] += 1
            elif outcome is not None:
                commands.append(outcome)
        for (name, verdict), count in denied.items():
            self._journal.denied(turn, name, verdict, now, count)
        return commands

    def _consider(self, turn: str, proposal: Proposal, now: float, headroom: int | None) -> Launch | Deny | None:
        call, tool, candidate = proposal.call, proposal.tool, proposal.candidate
        if call is not None and key_of(call) is None:
            call = None  # it could never be matched
        verdict = decide(call, tool, proposal.venue, self.view, objection=proposal.objection, found=proposal.found)
        if isinstance(verdict, Deny):
            return verdict
        policy = tool.rule.tool if tool is not None else None
        if call is None or tool is None or policy is None:  # the gate allows none of these
            return None
        refusal = admit(
            call.key,
            candidate.probability,
            policy.probability_floor,
            alive=[s.call.key for s in self.table],
            spent=self._spent(turn, self._tally.room(tool.name, policy, proposal.asked, headroom)),
            limits=self.limits,
            leaves=policy.open_world,
        )
        if refusal is not None:
            self._journal.note(events.Refused, now, turn=turn, tool=tool.name, reason=refusal.value)
            return None
        id = f"{self.run}:{self.table.issued + 1}"
        speculation = proposal.speculation(id, turn, self._step, self.view.epochs.now, now)
        self.table.launch(speculation)
        self._launched[turn] += 1
        self._tally.launched(tool.name)
        self._ghosts += speculation.leaves
        self._journal.launched(speculation, now)
        return Launch(speculation)

    def _spent(self, turn: str, room: int | None) -> Spent:
        return Spent(
            turn=self._launched[turn],
            run=self.table.issued,
            # What is still alive may be wasted too: counting it keeps the budget a bound and not a hope.
            wasted=self.table.discarded.total() + len(self.table),
            in_flight=self.table.in_flight,
            ghosts=self._ghosts,
            room=room,
        )

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
        self._open.discard(turn)
        self._ended = True
        guesses = self._predicted.pop(turn, ())
        foreseen = {key_of(call) for call in calls if any(_alike(call, guess) for guess in guesses)} - {None}
        self._journal.note(
            events.TurnEnded, now, turn=turn, calls=tuple(call.name for call in calls), foreseen=len(foreseen)
        )
        wanted = {call.key for call in coerced}
        lost = [s for s in self.table if s.turn == turn and s.scope == "step" and s.call.key not in wanted]
        return self._drop(lost, "squash", Discard.CONTRADICTED, now)

    def abort_turn(self, turn: str, now: float) -> list[Command]:
        """The model call failed: nothing it was predicted to ask for will come."""
        if self.closed:
            return []
        self._open.discard(turn)
        self._ended = True
        self._predicted.pop(turn, None)
        lost = [s for s in self.table if s.turn == turn]
        return self._drop(lost, "squash", Discard.MODEL_FAILED, now)

    # -- moment 4 ----------------------------------------------------------------------------------------------------

    def resolve(
        self,
        call: Call,
        tool: ToolFacts,
        venue: str,
        now: float,
        circumstances: Any = None,
        objection: str | None = None,
    ) -> tuple[Commit | Join | Miss, list[Command]]:
        """A real call arrived in the tool's body: answer with a result, one to wait for, or a miss."""
        commands: list[Command] = []
        real = Moment(now, self._step, circumstances, objection)
        for speculation in self.table.candidates_for(call.key, venue) if not self.closed else ():
            verdict = decide(call, tool, venue, self.view, commits=speculation, real=real)
            if isinstance(verdict, Deny):
                self._journal.denied(speculation.turn, tool.name, verdict, now)
                commands += self._drop([speculation], *_REASONS.get(verdict.reason, ("squash", Discard.DENIED)), now)
                continue
            outcome = speculation.outcome
            self.table.match(speculation)
            self._journal.matched(speculation, now)
            if speculation.state is State.COMMITTED and outcome is not None:
                return Commit(speculation, outcome), commands
            return Join(speculation), commands
        return MISS, commands

    def claim(self, speculation: Speculation, now: float) -> tuple[Commit | Miss, list[Command]]:
        """A real call has waited for *speculation*: its result, or a miss if it failed or is still running."""
        if speculation.state is State.COMMITTED and speculation.outcome is not None:
            return Commit(speculation, speculation.outcome), []
        if speculation.state is State.PROMOTED:
            return MISS, self._drop([speculation], "fail", Discard.OVERRUN, now)
        return MISS, []

    def abandon(self, speculation: Speculation, now: float) -> list[Command]:
        """The real call that waited for *speculation* was cancelled."""
        return [] if speculation.over else self._drop([speculation], "fail", Discard.ABANDONED, now)

    # -- moment 5 ----------------------------------------------------------------------------------------------------

    def finish(self, id: str, outcome: Outcome, size: int, now: float, started: float | None) -> None:
        """A speculation's body ended.

        Args:
            id: The speculation.
            outcome: How.
            size: About how many bytes its result takes.
            now: Seconds on the monotonic clock.
            started: When its body really started, or None if it never did.
        """
        rejected = self._rejection(outcome, size, started)
        before = self.table.get(id)
        was_over = before is not None and before.over
        speculation = self.table.finish(id, outcome, now, rejected)
        if speculation is None:
            return
        speculation.ran_s = seconds = 0.0 if started is None else now - started
        tool = speculation.call.name
        if started is not None:
            self._journal.note(events.Finished, now, id=id, tool=tool, seconds=seconds, ok=rejected is None)
        self._journal.committed(speculation, now)
        speculation.size = size
        if speculation.reason is None:
            self._make_room(now)
        else:
            if not was_over:
                self._journal.discarded(speculation, now)
            self._journal.wasted(speculation, now)

    def _make_room(self, now: float) -> None:
        """Let the oldest results go until those that wait take no more than the cache may hold."""
        waiting = self.table.ready
        total = sum(speculation.size for speculation in waiting)
        while total > self.limits.max_cache_bytes:
            oldest = waiting.pop(0)
            total -= oldest.size
            self._drop([oldest], "squash", Discard.EVICTED, now)

    def _rejection(self, outcome: Outcome, size: int, started: float | None) -> Discard | None:
        """Why the outcome of a body cannot be used, or None."""
        if started is None:
            return Discard.NO_SLOT
        if outcome.taint is not None:
            return Discard.TAINTED
        if outcome.error is not None:
            return Discard.FAILED
        return Discard.TOO_LARGE if size > self.limits.max_result_bytes else None

    def begin_call(self, tool: ToolFacts, call: Call, now: float) -> tuple[frozenset[str], list[Command]]:
        """A real call's body starts: what it may write changes from now on. Returns the tags to hand to `end_call`."""
        tags = render(tool.writes, call.args)
        if not tags:
            return tags, []
        self.view.epochs.begin_write(tags)
        self._journal.wrote(tags, now, began=True)
        stale = [s for s in self.table if self.view.epochs.changed(s.reads, since=s.epoch)]
        return tags, self._drop(stale, "squash", Discard.STALE, now)

    def end_call(self, tags: frozenset[str], now: float) -> None:
        """A real call's body ended, one way or another."""
        if tags:
            self.view.epochs.end_write(tags)
            self._journal.wrote(tags, now, began=False)

    def settle(
        self, tool: str, *, hit: Speculation | None, joined: bool, waited_s: float, tool_s: float, now: float
    ) -> None:
        """A real call has its answer."""
        self._hits += hit is not None
        self._ghosts -= hit is not None and hit.leaves
        self._tally.settled(tool, adopted=hit is not None)
        self._path.add(tool, tool_s=tool_s, waited_s=waited_s)
        self._journal.note(
            events.CallSettled,
            now,
            tool=tool,
            id=None if hit is None else hit.id,
            joined=joined,
            waited_s=waited_s,
            tool_s=tool_s,
        )

    def close(self, now: float) -> list[Command]:
        """The run is over: nothing may be left running, and nothing can be adopted any more."""
        if self.closed:
            return []
        self._settle_step(now)
        alive = list(self.table)
        for event in ("squash", "fail"):
            self._drop(list(self.table), event, Discard.RUN_ENDED, now)
        self.closed = True
        self._journal.note(events.RunClosed, now, launched=self.table.issued, hits=self._hits, hidden_s=self._hidden_s)
        return [Cancel(s.id, drain=False) for s in alive]

    # -- bookkeeping -------------------------------------------------------------------------------------------------

    def take_events(self) -> list[events.Event]:
        """What happened since this was last asked."""
        return self._journal.take()

    def _settle_step(self, now: float) -> None:
        times = self._path.settle()
        if times is not None:
            self._hidden_s += times.hidden_s
            self._journal.note(events.StepSettled, now, tool=times.tool, tool_s=times.tool_s, waited_s=times.waited_s)

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
                self._journal.wasted(speculation, now)
        return commands


_REASONS: dict[Reason, tuple[str, Discard]] = {
    Reason.EXPIRED: ("expire", Discard.EXPIRED),
    Reason.STALE: ("squash", Discard.STALE),
}


def _alike(call: Call, guess: Call) -> bool:
    """Whether a guess was right: equality first, because it costs a fraction of two keys."""
    try:
        return call.name == guess.name and call.args == guess.args and key_of(call) == key_of(guess)
    except Exception:  # noqa: BLE001 - a value that cannot be compared was no good guess
        return False
