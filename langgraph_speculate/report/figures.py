"""What a log of events comes to: one pass, in memory that does not grow with the log.

Hidden seconds are those of steps (`StepSettled`): parallel calls count once, by their critical path. Overlap that is
merely added up is never told as time saved.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from langgraph_speculate.core import events
from langgraph_speculate.core.gate import Reason
from langgraph_speculate.core.speculation import HEDGE, Stage
from langgraph_speculate.observe.stats import Stats, StatsCollector
from langgraph_speculate.report.choice import Choice
from langgraph_speculate.report.course import Course
from langgraph_speculate.report.runs import Run, Runs

_BINS = 10  # of probability
_TOOLS = 500  # that are counted one by one
_DENIALS = 1000  # combinations of tool, reason and detail that are counted one by one
_GRAPHS = 100
_WRITES = frozenset({Reason.UNDECLARED.value, Reason.NOT_READ_ONLY.value})
MANY = "(other tools)"


@dataclass(slots=True)
class Waste:
    """What speculations cost that were discarded for one reason: how many, tool-seconds, money."""

    calls: int = 0
    seconds: float = 0.0
    cost: float = 0.0

    def add(self, seconds: float, cost: float) -> None:
        """One of them has cost so much."""
        self.seconds += seconds
        self.cost += cost


@dataclass(slots=True)
class Bin:
    """Guesses of about the same probability: how many were launched and came true, and their probabilities added up."""

    launched: int = 0
    hits: int = 0
    probability: float = 0.0


class Figures:
    """Adds up events; `choice` keeps those of a few runs.

    Attributes:
        events: How many it has seen.
        choice: The runs that are kept whole.
        runs: The runs that are under way.
        seconds: What runs took that are over, added up; of runs beside each other, each counts.
        writes: Real calls that may have written.
        early_writes: Tools that ran ahead in a run whose gate took them for writing ones: none, if it was obeyed.
        bins: Guesses by probability. What is certain is none: a call that was written completely, or a second body.
        course: Hits (`hits`) and calls that were among the predictions (`foreseen`) over time.
        waste: By the reason of the discard.
        shadow_s: Seconds of runs at the level `shadow`, among the others.
        imagined_waste: What would have been wasted there, by the reason of the discard.
        denials: How often the gate kept candidates from running, or results from being used: by tool, reason, detail.
        refusals: How often admission kept them from running: by reason, for each tool.
        levels, graphs: Runs by the level of their policy and by the name of their graph.
        began, ended: The first and the last moment of runs that are over, in seconds since 1970; None if no run tells.

    >>> figures = Figures(Choice())
    >>> figures.take(events.TurnBegan(run="r", at=0.0, number=1, turn="t"))
    >>> figures.take(events.RunClosed(run="r", at=2.5, number=2, launched=0, hits=0, hidden_s=0.0))
    >>> figures.seconds, figures.stats().runs
    (2.5, 1)
    """

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.events = self.writes = 0
        self.seconds = self.shadow_s = 0.0
        self.runs = Runs()
        self.early_writes: set[str] = set()
        self.bins = [Bin() for _ in range(_BINS)]
        self.course = Course()
        self.waste: dict[str, Waste] = {}
        self.imagined_waste: dict[str, Waste] = {}
        self.denials: Counter[tuple[str, str, str]] = Counter()
        self.refusals: dict[str, Counter[str]] = defaultdict(Counter)
        self.levels: Counter[str] = Counter()
        self.graphs: Counter[str] = Counter()
        self.began: float | None = None
        self.ended: float | None = None
        self._tools: set[str] = set()
        self._collector = StatsCollector(self._is_counted)

    def stats(self) -> Stats:
        """The counts and seconds that `speculation_of(graph).stats()` has, over the whole log."""
        return self._collector.snapshot()

    def take(self, event: events.Event) -> None:
        """Take in the next event."""
        self.events += 1
        self._collector.add((event,))
        run = self.runs.of(event)
        match event:
            case events.Denied():
                self._denied(run, event)
            case events.Refused(tool=tool, reason=reason, count=count):
                self.refusals[reason][tool if self._is_counted(tool) else MANY] += count
            case events.Launched():
                self._launched(run, event)
            case events.Committed(id=id):
                if (place := run.bins.pop(id, None)) is not None:
                    self.bins[place].hits += 1
            case events.Discarded(id=id, reason=reason):
                run.bins.pop(id, None)
                run.reasons[id] = reason
                self.waste.setdefault(reason, Waste()).calls += 1
            case events.Wasted(id=id, seconds=seconds, cost=cost):
                run.wasted_s += seconds
                self.waste.setdefault(run.reasons.pop(id, ""), Waste()).add(seconds, cost)
            case events.ShadowWasted(reason=reason, seconds=seconds, cost=cost):
                run.wasted_s += seconds
                waste = self.imagined_waste.setdefault(reason, Waste())
                waste.calls += 1
                waste.add(seconds, cost)
            case events.TurnEnded(foreseen=foreseen):
                self.course.add("foreseen", foreseen)
            case events.CallSettled(id=id):
                self.course.add("calls")
                self.course.add("hits", id is not None)
                self.course.next()
            case events.ShadowStepSettled(tool_s=tool_s, waited_s=waited_s):
                run.hidden_s += tool_s - waited_s
            case events.StepSettled(tool_s=tool_s, waited_s=waited_s) if run.level != "shadow":
                run.hidden_s += tool_s - waited_s
            case events.PreviewUsed(hidden_s=hidden_s):
                run.hidden_s += hidden_s
            case events.Wrote(began=began):
                self.writes += began
            case events.RunBegan(wall=wall, graph=graph, level=level):
                run.wall, run.level = wall, level
                self.levels[level] += 1
                self.graphs[graph if graph in self.graphs or len(self.graphs) < _GRAPHS else ""] += 1
            case events.RunClosed():
                self._close(run)

    def _launched(self, run: Run, launch: events.Launched) -> None:
        run.launched.add(launch.tool)
        if launch.stage == Stage.COMPLETE or launch.source == HEDGE or not 0 <= launch.probability <= 1:
            return
        place = min(_BINS - 1, int(launch.probability * _BINS))
        run.bins[launch.id] = place
        self.bins[place].launched += 1
        self.bins[place].probability += launch.probability

    def _denied(self, run: Run, denial: events.Denied) -> None:
        if denial.reason in _WRITES:
            run.barred.add(denial.tool)
        why = denial.tool, denial.reason, denial.detail
        known = why in self.denials or len(self.denials) < _DENIALS
        self.denials[why if known else (MANY, denial.reason, "")] += denial.count

    def _close(self, run: Run) -> None:
        self.seconds += run.seconds
        if run.level == "shadow":
            self.shadow_s += run.seconds
        if run.wall:
            self.began = run.wall if self.began is None else min(run.wall, self.began)
            self.ended = max(run.wall + run.seconds, self.ended or 0.0)
        self.early_writes |= run.launched & run.barred
        self.runs.close(run)
        self.choice.see(run)

    def _is_counted(self, tool: str) -> bool:
        if tool not in self._tools and len(self._tools) < _TOOLS:
            self._tools.add(tool)
        return tool in self._tools
