"""A tool's body that runs ahead in a run that is played: it waits for its service, takes its time, may be stopped."""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING

from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.core.speculation import Speculation
from langgraph_speculate.replay.simulation import Gate

if TYPE_CHECKING:
    from langgraph_speculate.replay.player import Play


class Body:
    """A tool's body that runs ahead."""

    def __init__(self, speculation: Speculation, play: Play, facts: ToolFacts) -> None:
        self.over = Gate()
        self._speculation = speculation
        self._play = play
        self._facts = facts
        self._started: float | None = None
        self._guest = play.guest(speculation, facts)
        self._place = play.place.queue(facts).enter()
        if self._place.is_open:
            self._begin()
        else:
            self._place.call(self._begin)

    def _begin(self) -> None:
        now = self._play.place.simulation.now
        self._started = now
        seconds = self._play.place.clockwork.of_call(self._speculation.call, self._play.script)
        self._play.place.simulation.at(now + seconds, self._end)

    def _end(self) -> None:
        if not self.over.is_open:
            result = self._play.script.result_of(self._speculation.call)
            self._finish(Outcome(result), len(result))

    def stop(self) -> None:
        """Nobody wants its result any more."""
        if not self.over.is_open:
            self._finish(Outcome(error=CancelledError(), stopped=True), 0)

    def _finish(self, outcome: Outcome, size: int) -> None:
        place, queue = self._play.place, self._play.place.queue(self._facts)
        self.over.is_open = True  # whoever stops it from here on does it once
        if self._started is None:
            queue.give_up(self._place)
        else:
            queue.leave()
        place.brakes.ended_early(
            self._facts.name,
            self._facts.rule.tool,
            outcome,
            self._started is not None,
            place.simulation.now,
            self._guest,
        )
        self._play.finish(self._speculation, outcome, size, self._started)
        self.over.open()
