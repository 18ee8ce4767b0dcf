"""One agent run, as decisions: the five moments, each returning commands for a shell to carry out.

1 a model turn begins · 2 its stream says more · 3 it ends · 4 a real call arrives · 5 a call settles, the run ends.
The first three are in `turns.py`, what is launched beyond the message being written in `foresight.py`, and what becomes
of a call that waits in `hedging.py`. No clock, no tasks, no threads: time comes in as `now`, and the shell makes sure
that no two methods run at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.commands import MISS, Cancel, Command, Commit, Join, Miss
from langgraph_speculate.core.facts import Moment, ToolFacts
from langgraph_speculate.core.gate import Deny, Reason, decide
from langgraph_speculate.core.hedging import Hedging
from langgraph_speculate.core.repeats import Remembered, Repeats
from langgraph_speculate.core.resources import render
from langgraph_speculate.core.speculation import HEDGE, Discard, Speculation, State


class Session(Hedging):
    """Decisions of one agent run: what it needs to know of it, and keeps, is in `runstate.py`."""

    def begin_turn(self, turn: str, now: float, model: str = "") -> list[Command]:
        """A call of *model* starts: the step before it is settled, and what was kept for that step only is let go."""
        if self._ended and not self.closed:
            self._settle_step(now)
        return super().begin_turn(turn, now, model)

    # -- moment 4 ----------------------------------------------------------------------------------------------------

    def may_answer(self, tool: str) -> bool:
        """Whether there is anything that could answer a call of that tool."""
        return tool in self.alive_tools() or tool in self._repeats.tools

    def resolve(
        self,
        call: Call,
        tool: ToolFacts,
        venue: str,
        now: float,
        circumstances: Any = None,
        objection: str | None = None,
        call_id: str | None = None,
    ) -> tuple[Commit | Join | Remembered | Miss, list[Command]]:
        """A real call arrived in the tool's body: answer with a result, one to wait for, or a miss.

        What is remembered answers only where no speculation does: those are there for their call, and were read later.
        """
        commands: list[Command] = []
        real = Moment(now, self._step, circumstances, objection, call_id)
        for speculation in self.table.candidates_for(call.key, venue) if not self.closed else ():
            verdict = self._decide(call, tool, venue, commits=speculation, real=real)
            if isinstance(verdict, Deny):
                if verdict.reason is Reason.OTHER_CALL:
                    continue  # it is there for its own
                self._journal.denied(speculation.turn, tool.name, verdict, now)
                commands += self._drop([speculation], *_REASONS.get(verdict.reason, ("squash", Discard.DENIED)), now)
                continue
            outcome = speculation.outcome
            self.table.match(speculation)
            self._journal.matched(speculation, now)
            if speculation.state is State.COMMITTED and outcome is not None:
                return Commit(speculation, outcome), commands
            return Join(speculation), commands
        return self._remembered(call, tool, venue, real) or MISS, commands

    def _remembered(self, call: Call, tool: ToolFacts, venue: str, real: Moment) -> Remembered | None:
        answer = None if self.closed else self._recall(call, tool, venue, real)
        if isinstance(answer, Deny):
            self._repeats.forget(call.key, venue)
            self._journal.denied("", tool.name, answer, real.now)
            return None
        if answer is not None:
            self._journal.repeated(answer, real.now)
        return answer

    # -- moment 5 ----------------------------------------------------------------------------------------------------

    def finish(self, id: str, outcome: Outcome, size: int, now: float, started: float | None) -> list[Command]:
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
            return []
        speculation.ran_s = 0.0 if started is None else now - started
        if started is not None:
            self._ran(speculation, outcome, now, ok=rejected is None)
        self._journal.committed(speculation, now)
        speculation.size = size
        if speculation.left and rejected is None:
            speculation.outcome = outcome
        if speculation.reason is None:
            commands = self._make_room(now)
        else:
            if not was_over:
                self._journal.discarded(speculation, now)
            self._wasted(speculation, now)
            commands = self._drop(self.table.lineage(id), "squash", Discard.LINEAGE, now)
        return [*commands, *self._drop_twin(id, now)] if speculation.state is State.COMMITTED else commands

    def _ran(self, speculation: Speculation, outcome: Outcome, now: float, *, ok: bool) -> None:
        """Its body has run, and ended; *ok* if what came of it can be used."""
        tool, seconds = speculation.call.name, speculation.ran_s
        if outcome.ok or outcome.stopped:
            self._economy.latencies.took(tool, seconds, ended=outcome.ok)
        self._journal.note(events.Finished, now, id=speculation.id, tool=tool, seconds=seconds, ok=ok)

    def _make_room(self, now: float) -> list[Command]:
        """Let the oldest results go until those that wait or are remembered take no more than the cache may hold."""
        ready = list(self.table.ready)
        waiting, most = sum(result.size for result in ready), self.limits.max_cache_bytes
        if waiting + self._repeats.size <= most:
            return []
        excess = []
        for oldest in sorted([*ready, *self._repeats], key=lambda result: result.launched_at):
            if waiting + self._repeats.size <= most:
                break
            if isinstance(oldest, Speculation):
                waiting -= oldest.size
                excess.append(oldest)
            else:
                self._repeats.forget(oldest.call.key, oldest.venue)
        return self._drop(excess, "squash", Discard.EVICTED, now)

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
        for answer in self._repeats:
            if self.view.epochs.changed(answer.reads, since=answer.epoch):
                self._repeats.forget(answer.call.key, answer.venue)
        stale = [s for s in self.table if self.view.epochs.changed(s.reads, since=s.epoch)]
        return tags, self._drop(stale, "squash", Discard.STALE, now)

    def end_call(self, tags: frozenset[str], now: float) -> None:
        """A real call's body ended, one way or another."""
        if tags:
            self.view.epochs.end_write(tags)
            self._journal.wrote(tags, now, began=False)

    def begin_read(
        self, call: Call, tool: ToolFacts, venue: str, now: float, circumstances: Any = None
    ) -> Remembered | None:
        """A real call's body starts: as what its answer may be remembered, or None if it must not be.

        It must not be if the gate would not let it be used this very moment, or if something it reads is being written.
        """
        policy = tool.rule.tool
        if self.closed or policy is None or not policy.read_through:
            return None
        reads, epochs = render(tool.reads, call.args), self.view.epochs
        answer = Remembered(call, venue, reads, epochs.now, policy.ttl_s, now, circumstances)
        real = Moment(now, self._step, circumstances)
        usable = not isinstance(decide(call, tool, venue, self.view, commits=answer, real=real), Deny)
        return answer if usable and not epochs.writing(reads) else None

    def remember(self, answer: Remembered, value: Any, size: int, now: float) -> None:
        """The body of a real call, or of a speculation that it adopted, has answered with *value*, of *size* bytes."""
        if not self.closed and size <= self.limits.max_result_bytes:
            self._repeats.keep(replace(answer, value=value, size=size))
            self._make_room(now)

    def settle(
        self,
        tool: str,
        *,
        hit: Speculation | None,
        joined: bool,
        waited_s: float,
        tool_s: float,
        now: float,
        repeat: bool = False,
        call: str = "",
        turn: str = "",
    ) -> None:
        """A real call has its answer."""
        self.warm_ups.used(tool, now)
        self._pace.arrived(now - waited_s)
        if hit is None and not repeat:
            self._economy.latencies.took(tool, tool_s)
        self._budget.settled(tool)
        if hit is not None:
            self._adopted(hit, tool_s - waited_s, now)
        self._path.add(tool, tool_s=tool_s, waited_s=waited_s)
        self._journal.note(
            events.CallSettled,
            now,
            tool=tool,
            id=None if hit is None else hit.id,
            joined=joined,
            waited_s=waited_s,
            tool_s=tool_s,
            twin=hit is not None and hit.source == HEDGE,
            repeat=repeat,
            depth=1 if hit is None else hit.depth,
            call=call,
            turn=turn,
        )

    def _adopted(self, hit: Speculation, saved_s: float, now: float) -> None:
        """A real call has its result, and did not wait for *saved_s* seconds of its body."""
        self._hits += 1
        self._budget.adopted(hit)
        self._restraints.adopted(hit, saved_s, now)

    def close(self, now: float) -> list[Command]:
        """The run is over: nothing may be left running, and nothing can be adopted any more.

        But what a real call waits for is left to that call, which would only start the body once more.
        """
        if self.closed:
            return []
        self._settle_step(now)
        alive = list(self.table)
        for speculation in alive:
            speculation.left = speculation.state is State.PROMOTED
        for event in ("squash", "fail"):
            self._drop(list(self.table), event, Discard.RUN_ENDED, now)
        self.warm_ups.close(now)
        self.closed = True
        self._repeats = Repeats()
        self._journal.closed(now, launched=self.table.issued, hits=self._hits, hidden_s=self._path.hidden_s)
        return [Cancel(s.id, drain=False) for s in alive if not s.left]

    # -- bookkeeping -------------------------------------------------------------------------------------------------

    def take_events(self) -> list[events.Event]:
        """What happened since this was last asked."""
        for switch in (*self._restraints.take_switches(), *self._economy.stakes.take_switches()):
            self._journal.switched(switch)
        return self._journal.take()

    def _settle_step(self, now: float) -> None:
        times = self._path.settle()
        if times is not None:
            self._journal.note(events.StepSettled, now, tool=times.tool, tool_s=times.tool_s, waited_s=times.waited_s)


_REASONS: dict[Reason, tuple[str, Discard]] = {
    Reason.EXPIRED: ("expire", Discard.EXPIRED),
    Reason.STALE: ("squash", Discard.STALE),
}
