"""Runs while their events arrive: what has to be remembered of each until it is over."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from langgraph_speculate.core import events

_AT_A_TIME = 4096  # a log of processes that were killed has runs without an end: those of longest ago are given up
_EVENTS = 2000  # of a run that are kept, so that it can be shown


@dataclass(slots=True)
class Run:
    """A run, under way or over.

    Attributes:
        id: As in its events.
        place: Which of the log's runs it is, from 1.
        began: Seconds on the host's monotonic clock, as `ended`.
        wall: What a calendar's clock showed at its beginning, in seconds since 1970; 0 if nobody looked.
        level: The level of its policy; empty if nobody said.
        hidden_s: Seconds of tools and of the model that nobody waited for; at the level `shadow`, of tools that nobody
            would have.
        wasted_s: Tool-seconds that ran in vain, or would have.
        happened: Its events, without those beyond the first 2000.
        bins: Which bin of probability each guess is in that has no end yet, by its id.
        reasons: Why speculations were discarded, until it is known what they cost.
        launched: Tools that ran ahead.
        barred: Tools that the gate took for writing ones.
    """

    id: str
    place: int
    began: float
    ended: float
    wall: float = 0.0
    level: str = ""
    hidden_s: float = 0.0
    wasted_s: float = 0.0
    happened: list[events.Event] = field(default_factory=list)
    bins: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    launched: set[str] = field(default_factory=set)
    barred: set[str] = field(default_factory=set)

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return self.ended - self.began

    @property
    def gain_s(self) -> float:
        """Seconds hidden less seconds wasted: what tells good runs from bad ones."""
        return self.hidden_s - self.wasted_s


class Runs:
    """The runs that are under way.

    Attributes:
        begun: How many there were.
        given_up: Of these, how many had no end when too many were under way.
    """

    def __init__(self) -> None:
        self.begun = self.given_up = 0
        self._open: OrderedDict[str, Run] = OrderedDict()

    def of(self, event: events.Event) -> Run:
        """The run of an event, which is noted there."""
        run = self._open.get(event.run)
        if run is None:
            self.begun += 1
            run = self._open[event.run] = Run(event.run, self.begun, event.at, event.at)
            if len(self._open) > _AT_A_TIME:
                self._open.popitem(last=False)
                self.given_up += 1
        run.ended = max(run.ended, event.at)
        if len(run.happened) < _EVENTS:
            run.happened.append(event)
        return run

    def close(self, run: Run) -> None:
        """A run is over."""
        self._open.pop(run.id, None)

    def unfinished(self) -> list[Run]:
        """Those without an end."""
        return list(self._open.values())
