"""A run at the level `shadow`: the same decisions about speculations that are only imagined.

Gate, worth, budgets and breakers say what would be launched; no command starts anything. What an imagined body would
have taken is known once a real call has asked for the same: as long as the real body took. What nobody asks for would
have taken as long as real calls of its tool do, unless it would have been stopped before. So a forecast needs no body
to run, and the real calls of a run, none of which is ever answered here, tell how good it is.

Not imagined are chains (nothing is looked for beyond the message being written), second bodies beside one that
overruns, repeats and warm-ups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.commands import MISS, Command, Commit, Imagine, Join, Miss, Proposal
from langgraph_speculate.core.critical_path import CriticalPath
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.gate import ALLOW, Allow, Deny, Reason
from langgraph_speculate.core.journal import UNTITLED, Journal, Title
from langgraph_speculate.core.latency import UNKNOWN_TOOL_S, Latencies
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.slots import can_be_stopped
from langgraph_speculate.core.speculation import Discard, Speculation, Stage, State
from langgraph_speculate.policy import Limits


class ShadowSession(Session):
    """Decisions of one agent run at the level `shadow`.

    Args:
        run: The run's id.
        view: What the gate may know about the run.
        limits: The budgets that it would have; but nothing is looked for more than one message ahead.
        thread: Imagined bodies of earlier runs of the same thread, by tool.
        economy: What all such runs of the graph share. Its restraints hear of what is imagined, so they must not be
            those that real speculations are asked about; its latencies learn from real calls alone.
        title: What stands above its events.
    """

    def __init__(
        self,
        run: str,
        view: RunView,
        limits: Limits,
        thread: Counter[str] | None = None,
        economy: Economy | None = None,
        title: Title = UNTITLED,
    ) -> None:
        super().__init__(run, view, replace(limits, max_depth=1), thread, economy, title)
        self._bodies: dict[str, Speculation] = {}  # those that would be running, by id
        self._imagined_path = CriticalPath()

    # -- what is imagined --------------------------------------------------------------------------------------------

    def _decide(self, call: Call | None, tool: ToolFacts | None, venue: str, **about: Any) -> Allow | Deny:
        verdict = super()._decide(call, tool, venue, **about)
        only_the_level = isinstance(verdict, Deny) and verdict.reason is Reason.SHADOW
        return ALLOW if only_the_level else verdict

    def _launch(self, turn: str, proposals: Sequence[Proposal], now: float, headroom: int | None) -> list[Command]:
        self._end_bodies(now)
        return super()._launch(turn, proposals, now, headroom)

    def _start(self, speculation: Speculation) -> Command:
        self._bodies[speculation.id] = speculation
        return Imagine(speculation)

    def _stop(self, speculation: Speculation, now: float) -> list[Command]:
        if can_be_stopped(speculation.venue, speculation.drain) or self._until(speculation) <= now:
            self._end(speculation, now)
        return []

    def _until(self, speculation: Speculation) -> float:
        """When its body would end by itself, as far as its tool is known."""
        takes_s = self._economy.latencies.mean(speculation.call.name)
        return speculation.launched_at + (UNKNOWN_TOOL_S if takes_s is None else takes_s)

    def _end_bodies(self, now: float) -> None:
        """End the bodies that would have ended by now; one that a real call asked for ends with that."""
        for speculation in list(self._bodies.values()):
            if speculation.state is not State.PROMOTED and self._until(speculation) <= now:
                self._end(speculation, now)

    def _end(self, speculation: Speculation, now: float, seconds: float | None = None) -> None:
        """Its body would have ended by now, after *seconds* if they are known."""
        if self._bodies.pop(speculation.id, None) is not None:
            ran_s = min(self._until(speculation), now) - speculation.launched_at if seconds is None else seconds
            self.finish(speculation.id, Outcome(), 0, now, now - ran_s)

    def _ran(self, speculation: Speculation, outcome: Outcome, now: float, *, ok: bool) -> None:
        """Nothing has: neither do latencies learn from it, nor is it told."""

    # -- what is real ------------------------------------------------------------------------------------------------

    def resolve(self, *args: Any, **how: Any) -> tuple[Miss, list[Command]]:
        """A real call arrived: it runs, whatever is imagined. What would have answered it goes to `settle`."""
        answer, commands = super().resolve(*args, **how)
        return Miss(answer.speculation) if isinstance(answer, Commit | Join) else MISS, commands

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
        """A real call has its answer; *hit* is what it would have adopted."""
        would_wait_s = waited_s
        if hit is not None:
            arrived = now - waited_s
            would_wait_s = max(0.0, hit.launched_at + tool_s - arrived)
            self._end(hit, now, tool_s)
            self._adopted(hit, tool_s - would_wait_s, now)
        self._imagined_path.add(tool, tool_s=tool_s, waited_s=would_wait_s)
        self._journal.note(
            events.ShadowSettled,
            now,
            tool=tool,
            id=None if hit is None else hit.id,
            joined=would_wait_s > 0 and hit is not None,
            waited_s=would_wait_s,
            tool_s=tool_s,
            call=call,
            turn=turn,
        )
        super().settle(tool, hit=None, joined=False, waited_s=waited_s, tool_s=tool_s, now=now, call=call, turn=turn)

    def abandon(self, speculation: Speculation, now: float) -> list[Command]:
        """The real call that would have adopted *speculation* raised, and so would its body have."""
        if not speculation.over:
            return self._drop([speculation], "fail", Discard.FAILED, now)
        speculation.reason = Discard.FAILED
        self._wasted(speculation, now)
        return []

    def _settle_step(self, now: float) -> None:
        super()._settle_step(now)
        times = self._imagined_path.settle()
        if times is not None:
            told = {"tool": times.tool, "tool_s": times.tool_s, "waited_s": times.waited_s}
            self._journal.note(events.ShadowStepSettled, now, **told)

    def close(self, now: float) -> list[Command]:
        """The run is over."""
        if not self.closed:
            for event in ("squash", "fail"):
                self._drop(list(self.table), event, Discard.RUN_ENDED, now)
            for speculation in list(self._bodies.values()):  # what may finish is stopped now, too; a thread cannot be
                runs_on = not can_be_stopped(speculation.venue, drain=False)
                self._end(speculation, now, self._until(speculation) - speculation.launched_at if runs_on else None)
        super().close(now)
        return []

    # -- what is told ------------------------------------------------------------------------------------------------

    def _opened_journal(self, title: Title) -> Journal:
        return _ShadowJournal(self.run, self.view, self.limits, title, self._economy.latencies)

    def take_events(self) -> list[events.Event]:
        """What happened since this was last asked; breakers of what is imagined switch nothing that anybody has."""
        for switch in self._restraints.take_switches():
            if switch.reason != "worth":
                self._journal.switched(switch)
        return self._journal.take()


class _ShadowJournal(Journal):
    """Tells of speculations in records of their own kinds.

    Args:
        latencies: Say of which tools a real call has been seen.
    """

    def __init__(self, run: str, view: RunView, limits: Limits, title: Title, latencies: Latencies) -> None:
        super().__init__(run, view, limits, title)
        self._latencies = latencies

    def launched(self, speculation: Speculation, now: float) -> None:
        self.note(
            events.ShadowLaunched,
            now,
            turn=speculation.turn,
            id=speculation.id,
            tool=speculation.call.name,
            probability=speculation.probability,
            source=speculation.source,
            stage=speculation.stage.value,
            worth_s=0.0 if speculation.stage is Stage.COMPLETE else speculation.worth,
            cost=speculation.cost,
        )

    def matched(self, speculation: Speculation, now: float) -> None:
        """Told once the real call has ended."""

    def committed(self, speculation: Speculation, now: float) -> None:
        """Told once the real call has ended."""

    def discarded(self, speculation: Speculation, now: float) -> None:
        """Told with what it would have cost."""

    def wasted(self, speculation: Speculation, now: float) -> None:
        tool = speculation.call.name
        self.note(
            events.ShadowWasted,
            now,
            id=speculation.id,
            tool=tool,
            reason=(speculation.reason or Discard.FAILED).value,
            seconds=speculation.ran_s,
            cost=speculation.cost,
            known=self._latencies.mean(tool) is not None,
        )

    def closed(self, now: float, *, launched: int, hits: int, hidden_s: float) -> None:
        super().closed(now, launched=0, hits=0, hidden_s=hidden_s)
