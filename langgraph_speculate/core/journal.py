"""What happened in one run, noted as it happens and handed out when the shell asks for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.gate import Deny
from langgraph_speculate.core.repeats import Remembered
from langgraph_speculate.core.speculation import Discard, Speculation, Stage, State
from langgraph_speculate.policy import Limits


@dataclass(frozen=True, slots=True)
class Title:
    """What stands above the events of a run, for those who read them later.

    Attributes:
        graph: The graph's name.
        epoch: What a calendar's clock shows, in seconds since 1970 (UTC), where the host's monotonic one shows 0; None
            if nobody looked.
    """

    graph: str = ""
    epoch: float | None = None


UNTITLED = Title()


class Journal:
    """The events of one run, oldest first.

    Args:
        run: The run's id.
        view: What the gate may know about it. The epochs of its resources are asked here once more, so that a log does
            not repeat what a speculation believes of itself.
        limits: Its budgets.
        title: What stands above its events.
    """

    def __init__(self, run: str, view: RunView, limits: Limits, title: Title) -> None:
        self._run = run
        self._limits = limits
        self._epochs = view.epochs
        self._level = view.level
        self._title = title
        self._events: list[events.Event] = []
        self._noted = 0
        self._at = -math.inf

    def note(self, kind: type[events.Event], now: float, **facts: Any) -> None:
        """Something of that kind happened."""
        if not self._noted and kind is not events.RunBegan:
            self._began(now)
        self._noted += 1
        self._at = now
        self._events.append(kind(run=self._run, at=now, number=self._noted, **facts))

    def _began(self, now: float) -> None:
        limits, epochs, title = self._limits, self._epochs, self._title
        self.note(
            events.RunBegan,
            now,
            partition=epochs.partition,
            world=epochs.world,
            max_in_flight=limits.max_in_flight,
            max_per_turn=limits.max_per_turn,
            max_per_run=limits.max_per_run,
            max_wasted_per_run=limits.max_wasted_per_run,
            max_depth=limits.max_depth,
            wall=0.0 if title.epoch is None else title.epoch + now,
            graph=title.graph,
            level=self._level,
        )

    def launched(self, speculation: Speculation, now: float) -> None:
        """A speculation started."""
        self._epochs.marks.note(speculation.reads)
        self.note(
            events.Launched,
            now,
            turn=speculation.turn,
            id=speculation.id,
            tool=speculation.call.name,
            probability=speculation.probability,
            source=speculation.source,
            epoch=self._epochs.now,
            ttl_s=speculation.ttl_s,
            stage=speculation.stage.value,
            depth=speculation.depth,
            parent=speculation.parent,
            worth_s=0.0 if speculation.stage is Stage.COMPLETE else speculation.worth,
            cost=speculation.cost,
        )

    def matched(self, speculation: Speculation, now: float) -> None:
        """A real call may have the result of a speculation, now or when it ends."""
        id, tool, reads = speculation.id, speculation.call.name, self._epochs.marks.of(speculation.reads)
        self.note(events.Matched, now, id=id, tool=tool, epoch=self._epochs.now, reads=reads)
        self.committed(speculation, now)

    def hedged(self, speculation: Speculation, twin: Speculation, now: float) -> None:
        """The call of a speculation was started once more."""
        self.note(events.Hedged, now, id=speculation.id, tool=speculation.call.name, twin=twin.id)

    def repeated(self, answer: Remembered, now: float) -> None:
        """A remembered answer is given again."""
        self._epochs.marks.note(answer.reads)
        self.note(
            events.Repeated,
            now,
            tool=answer.call.name,
            age_s=now - answer.launched_at,
            ttl_s=answer.ttl_s,
            since=answer.epoch,
            epoch=self._epochs.now,
            reads=self._epochs.marks.of(answer.reads),
        )

    def committed(self, speculation: Speculation, now: float) -> None:
        """If a speculation is committed, tell."""
        if speculation.state is State.COMMITTED:
            self.note(events.Committed, now, id=speculation.id, tool=speculation.call.name)

    def wrote(self, tags: frozenset[str], now: float, *, began: bool) -> None:
        """A write to *tags* began or ended."""
        self.note(events.Wrote, now, began=began, epoch=self._epochs.now, writes=self._epochs.marks.of(tags))

    def denied(self, turn: str, tool: str, verdict: Deny, now: float, count: int = 1) -> None:
        """The gate said no."""
        reason, detail = verdict.reason.value, verdict.detail
        self.note(events.Denied, now, turn=turn, tool=tool, reason=reason, detail=detail, count=count)

    def discarded(self, speculation: Speculation, now: float) -> None:
        """A speculation ended unused; what it cost is known once its body has stopped."""
        reason = (speculation.reason or Discard.FAILED).value
        self.note(events.Discarded, now, id=speculation.id, tool=speculation.call.name, reason=reason)

    def wasted(self, speculation: Speculation, now: float) -> None:
        """The body of a discarded speculation has stopped."""
        id, tool = speculation.id, speculation.call.name
        cost = 0.0 if speculation.reason is Discard.NO_SLOT else speculation.cost
        self.note(events.Wasted, now, id=id, tool=tool, seconds=speculation.ran_s, cost=cost)
        if speculation.leaves:
            self.note(events.Ghost, now, id=id, tool=tool, destinations=speculation.destinations)

    def closed(self, now: float, *, launched: int, hits: int, hidden_s: float) -> None:
        """The run is over."""
        self.note(events.RunClosed, now, launched=launched, hits=hits, hidden_s=hidden_s)

    def switched(self, event: events.Switched) -> None:
        """Running ahead of something went off or on; the run that is asked next tells, maybe a moment later."""
        if not self._noted:
            self._began(event.at)
        self._noted += 1
        self._at = max(event.at, self._at)
        self._events.append(replace(event, run=self._run, at=self._at, number=self._noted))

    def take(self) -> list[events.Event]:
        """What happened since this was last asked."""
        happened, self._events = self._events, []
        return happened
