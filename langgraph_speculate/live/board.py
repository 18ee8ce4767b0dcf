"""What the live page shows: the last runs, what happened when in each, and the sums over all.

Readers are not sent every event. They ask for what has changed since the version they know, so one that is slow or was
away gets the newest state instead of a backlog, and costs nothing in the meantime.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.observe.order import InOrder
from langgraph_speculate.observe.series import outcome_of
from langgraph_speculate.observe.stats import StatsCollector
from langgraph_speculate.observe.tallies import Counts

_RUNS = 20  # kept; then the oldest goes
_ROWS = 300  # kept of a run; the others are counted
_TOOLS = 50  # shown, those called most
_NAME = 80  # characters of a name that are shown
_NAMES_MADE_UP = (events.Predicted, events.Narrowed, events.Denied, events.Refused)  # by predictors and models
_FIGURES = ("real_calls", "launched", "hits", "joined", "repeats", "misses", "wasted", "hidden_s", "wasted_s")


@dataclass(frozen=True, slots=True)
class Row:
    """One stretch of time in a run.

    Attributes:
        run: The run's id.
        id: Unique in the run.
        kind: `model` for a model call, `call` for a real call, `guess` for a speculation, `preview` for a
            model call that was started on remembered results.
        name: The model's name, if it has one, or the tool's.
        began: Seconds since the run began.
        ended: The same, or None while it lasts.
        outcome: How it ended, or None.
        saved_s: Seconds that a real call did not have to wait, or None.
    """

    run: str
    id: str
    kind: str
    name: str
    began: float
    ended: float | None = None
    outcome: str | None = None
    saved_s: float | None = None


@dataclass(slots=True)
class RunLine:
    """One run.

    Attributes:
        id: Its id.
        graph: Its graph's name.
        wall: When it began, in seconds since 1970.
        at: The same on the host's monotonic clock.
        ended: Seconds since then, or None while it runs.
        rows: How many rows it has.
        left_out: How many are not kept.
    """

    id: str
    graph: str
    wall: float
    at: float
    ended: float | None = None
    rows: int = 0
    left_out: int = 0


class Board:
    """Takes in events of any number of graphs, from any thread, within bounds.

    Attributes:
        version: Grows with every change.

    >>> board = Board()
    >>> board(events.TurnBegan(run="r", at=1.0, number=1, turn="t"))
    >>> board.version, board.changes(0)["totals"]["turns"]
    (1, 1)
    """

    def __init__(self) -> None:
        self.version = 0
        self._lock = threading.RLock()  # the collection of garbage may end a run in the midst of this
        self._sums = StatsCollector()
        self._in_flight = 0
        self._runs: OrderedDict[str, RunLine] = OrderedDict()
        self._rows: OrderedDict[tuple[str, str], tuple[int, Row]] = OrderedDict()  # with versions, last changed last
        self._ordered = InOrder(self._draw)

    def __call__(self, event: events.Event) -> None:
        """Take in an event."""
        with self._lock:
            self.version += 1
            if not isinstance(event, _NAMES_MADE_UP):
                self._sums.add([event])
            self._in_flight += isinstance(event, events.Launched)
            self._in_flight -= isinstance(event, events.Committed | events.Discarded)
            self._ordered(event)

    def changes(self, since: int) -> dict[str, Any]:
        """What a reader who knows a version has to be told, ready for orjson; all there is for version 0."""
        with self._lock:
            stats = self._sums.snapshot()
            tools = sorted(stats.by_tool.items(), key=lambda item: (-item[1].real_calls, item[0]))
            return {
                "version": self.version,
                "runs": [replace(run) for run in self._runs.values()],
                "rows": list(self._changed(since)),
                "totals": {"runs": stats.runs, "turns": stats.turns, "in_flight": self._in_flight, **_figures(stats)},
                "tools": [{"name": _short(name), **_figures(counts)} for name, counts in tools[:_TOOLS]],
            }

    def _changed(self, since: int) -> Iterator[Row]:
        for version, row in reversed(self._rows.values()):
            if version <= since:
                return
            yield row

    # -- what happened in one run, in order --------------------------------------------------------------------------

    def _draw(self, event: events.Event) -> None:
        if isinstance(event, events.RunBegan):
            self._begin(event)
        run = self._runs.get(event.run)
        if run is None:  # it has made room for newer ones
            return
        now = event.at - run.at
        match event:
            case events.TurnBegan(turn=turn, model=model):
                self._add(Row(run.id, f"turn {turn}", "model", _short(model), now))
            case events.TurnEnded(turn=turn, calls=calls):
                self._end(run, f"turn {turn}", now, _asked(len(calls)))
            case events.TurnFailed(turn=turn):
                self._end(run, f"turn {turn}", now, "failed")
            case events.Launched(id=id, tool=tool):
                self._add(Row(run.id, id, "guess", _short(tool), now))
            case events.Finished(id=id):
                self._end(run, id, now, None)
            case events.Discarded(id=id, reason=reason):
                self._end(run, id, now, reason)
            case events.CallSettled():
                self._settle(run, event, now)
            case events.PreviewBegan(preview=id, model=model):
                self._add(Row(run.id, id, "preview", _short(model), now))
            case events.PreviewUsed(preview=id, hidden_s=hidden_s):
                self._end(run, id, now, "taken", hidden_s)
            case events.PreviewWasted(preview=id, reason=reason):
                self._end(run, id, now, reason)
            case events.RunClosed():
                run.ended = now

    def _begin(self, event: events.RunBegan) -> None:
        self._runs[event.run] = RunLine(event.run, _short(event.graph), event.wall, event.at)
        if len(self._runs) > _RUNS:
            oldest, _ = self._runs.popitem(last=False)
            for key in [key for key in self._rows if key[0] == oldest]:
                del self._rows[key]

    def _settle(self, run: RunLine, call: events.CallSettled, now: float) -> None:
        saved_s = None
        if call.id is not None:
            saved_s = max(0.0, call.tool_s - call.waited_s)
            self._end(run, call.id, now, "taken")
        began, outcome = now - call.waited_s, outcome_of(call)
        self._add(Row(run.id, f"call {call.number}", "call", _short(call.tool), began, now, outcome, saved_s))

    def _add(self, row: Row) -> None:
        run = self._runs[row.run]
        if run.rows >= _ROWS:
            run.left_out += 1
            return
        run.rows += 1
        self._rows[row.run, row.id] = (self.version, row)

    def _end(self, run: RunLine, id: str, now: float, outcome: str | None, saved_s: float | None = None) -> None:
        """A row has ended, unless it had before; what came of it may be known later."""
        _, row = self._rows.get((run.id, id), (0, None))
        if row is None:
            return
        ended = now if row.ended is None else row.ended
        self._rows[run.id, id] = (
            self.version,
            replace(row, ended=ended, outcome=outcome or row.outcome, saved_s=saved_s),
        )
        self._rows.move_to_end((run.id, id))


def _figures(counts: Counts) -> dict[str, float]:
    return {name: getattr(counts, name) for name in _FIGURES}


def _asked(calls: int) -> str:
    return "answered" if not calls else f"asked for {calls} call{'s' if calls > 1 else ''}"


def _short(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[:_NAME]}…"
