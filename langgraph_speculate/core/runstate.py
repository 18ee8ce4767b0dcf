"""What one agent run keeps from one moment to the next. What is decided with it is in `launches.py` and beyond."""

from __future__ import annotations

from collections import Counter

from langgraph_speculate.core.budget import Budget
from langgraph_speculate.core.critical_path import CriticalPath
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.journal import UNTITLED, Journal, Title
from langgraph_speculate.core.openturn import OpenTurn
from langgraph_speculate.core.pace import Pace
from langgraph_speculate.core.previews import Previews
from langgraph_speculate.core.repeats import Repeats
from langgraph_speculate.core.speculation import Speculation
from langgraph_speculate.core.table import Table
from langgraph_speculate.core.warming import WarmUps
from langgraph_speculate.policy import Limits


class RunState:
    """The state of one run.

    Args:
        run: The run's id.
        view: What the gate may know about the run.
        limits: Its budgets.
        thread: Early bodies of earlier runs of the same thread, by tool (`core/tally.py`).
        economy: What all runs of the graph share; None for a run on its own.
        title: What stands above its events.

    Attributes:
        table: The run's speculations, and the ledger.
        warm_ups: Its warm-ups.
        previews: Its previews of model calls.
        closed: Whether the run is over.
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
        self.run = run
        self.view = view
        self.limits = limits
        self.table = Table()
        self.closed = False
        self._economy = economy or Economy()
        self._journal = self._opened_journal(title)
        self._budget = Budget(limits, self.table, Counter() if thread is None else thread, self._economy)
        self._pace = Pace(self._economy.latencies, limits.max_depth + self._economy.previews)
        self._restraints = self._economy.restraints
        self._repeats = Repeats()
        self.warm_ups = WarmUps(run, view, limits, self.table, self._journal, self._economy)
        self.previews = Previews(run, view, limits, self._journal, self._economy)
        self._step = 0
        self._open: dict[str, OpenTurn] = {}
        self._ended: dict[str, bool] = {}  # turns of this step, and whether their messages can be relied on
        self._twins: dict[str, Speculation] = {}  # by the id of the other one
        self._path = CriticalPath()
        self._hits = 0

    def _opened_journal(self, title: Title) -> Journal:
        return Journal(self.run, self.view, self.limits, title)
