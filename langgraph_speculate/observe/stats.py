"""Counts and seconds over all runs of a wrapped graph, added up from events."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from textwrap import wrap
from types import MappingProxyType

from langgraph_speculate.core import events
from langgraph_speculate.policy.checks import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What happened, for one tool or for all.

    Attributes:
        real_calls: Calls that the model made and a tool answered.
        predicted: Candidates that the predictor named.
        launched: Speculations that were started.
        hits: Real calls that adopted one; `ready` had finished by then, `joined` were still running.
        hedged: Joined speculations that took too long, so that the call was started once more; of these `hedge_wins`
            were answered by the second body.
        repeats: Real calls that a remembered answer of the same run answered (`read_through`); neither hits nor misses.
        misses: Real calls that ran as in the plain graph.
        wasted: Speculations that were discarded.
        denied: Why candidates were not started, or results not used: gate and budget reasons with their counts.
        hidden_s: Seconds of tool time that nobody waited for: per step the longest body minus the longest wait.
        wasted_s: Tool-seconds of discarded speculations.
        wasted_cost: What they cost in money, as the policy's `cost` says.
        tool_wait_s: Seconds that steps waited for their tools.
        amplification: All executions of tool bodies over real calls; 1.0 without speculation.
        warmed: Warm-ups that were started; `warm_used` are those that a real call of the tool came for.
        warm_wasted_s: Seconds of those that none came for.
    """

    real_calls: int = 0
    predicted: int = 0
    launched: int = 0
    hits: int = 0
    ready: int = 0
    joined: int = 0
    hedged: int = 0
    hedge_wins: int = 0
    repeats: int = 0
    misses: int = 0
    wasted: int = 0
    denied: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    hidden_s: float = 0.0
    wasted_s: float = 0.0
    wasted_cost: float = 0.0
    tool_wait_s: float = 0.0
    amplification: float = 1.0
    warmed: int = 0
    warm_used: int = 0
    warm_wasted_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats(Counts):
    """What happened in all runs so far; `str()` makes it a table of the tools that are called most.

    Attributes:
        runs: Runs that ended.
        turns: Model turns.
        foreseen: Real calls that stood among the predictions, started or not: what shadow mode measures.
        discarded: Why speculations were discarded, with counts.
        ghosts: Who outside of the trust boundary saw calls that nobody asked for, with counts.
        launched_by_depth, hits_by_depth: Speculations by how far ahead they were started (`limits.max_depth`), and
            those of them that real calls adopted.
        switched: How often running ahead went off or on again, by scope and state, such as `"tool off"`.
        by_tool: The same fields for each tool.
        dropped: Events that an observer was too slow for (`observe/delivery.py`), summed over observers.
    """

    runs: int = 0
    turns: int = 0
    foreseen: int = 0
    discarded: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    ghosts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    launched_by_depth: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    hits_by_depth: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    switched: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    by_tool: Mapping[str, Counts] = field(default_factory=lambda: MappingProxyType({}))
    dropped: int = 0

    def __str__(self) -> str:
        most = sorted(self.by_tool.items(), key=lambda row: -row[1].real_calls)[:_SHOWN]
        named = [(printable(name, _WIDTH), counts) for name, counts in most]
        width = max(len(name) for name, _ in (*named, ("tool", self)))
        lines = [f"{'tool':<{width}}  calls  hits  launched  in vain  hidden s  wasted s"]
        for name, counts in (*named, ("all", self)):
            made = f"{counts.real_calls:>5}  {counts.hits:>4}  {counts.launched:>8}  {counts.wasted:>7}"
            lines.append(f"{name:<{width}}  {made}  {counts.hidden_s:>8.2f}  {counts.wasted_s:>8.2f}")
        lines.append(f"{self.runs} runs, {self.turns} turns; {self.foreseen} of {self.real_calls} calls foreseen")
        for title, reasons in (("held back", self.denied), ("discarded", self.discarded)):
            if reasons:
                ordered = sorted(reasons.items(), key=lambda row: (-row[1], row[0]))
                lines += wrap(f"{title}: " + ", ".join(f"{reason} {count}" for reason, count in ordered), _LINE)
        return "\n".join(lines)


class _Tally:
    """Running sums behind one `Counts`."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.seconds: dict[str, float] = defaultdict(float)
        self.denied: Counter[str] = Counter()

    def fields(self) -> dict[str, object]:
        count, real = self.count, self.count["real_calls"]
        executions = count["misses"] + count["executed"]
        return {
            **{name: count[name] for name in _COUNTED},
            **{name: self.seconds[name] for name in _TIMED},
            "denied": MappingProxyType(dict(self.denied)),
            "amplification": executions / real if real else 1.0,
        }


NO_SUCH_TOOL = "(no such tool)"
_SHOWN = 15  # tools of a printed table
_WIDTH = 40  # characters of their names
_LINE = 100
_COUNTED = (
    *("real_calls", "predicted", "launched", "hits", "ready", "joined"),
    *("hedged", "hedge_wins", "repeats", "misses", "wasted", "warmed", "warm_used"),
)
_TIMED = ("hidden_s", "wasted_s", "wasted_cost", "tool_wait_s", "warm_wasted_s")


class StatsCollector:
    """Adds up events; may be used from any thread.

    Args:
        is_tool: Whether there is a tool of a name. Names that a predictor or a model made up share one line.

    >>> collector = StatsCollector()
    >>> collector.add([events.TurnBegan(run="r", at=0.0, turn="t")])
    >>> collector.snapshot().turns
    1
    """

    def __init__(self, is_tool: Callable[[str], bool] = lambda name: True) -> None:
        self._is_tool = is_tool
        self._lock = threading.RLock()  # the collection of garbage may end a run in the midst of this
        self._all = _Tally()
        self._tools: dict[str, _Tally] = defaultdict(_Tally)
        self._discarded: Counter[str] = Counter()
        self._ghosts: Counter[str] = Counter()
        self._launched: Counter[int] = Counter()  # by depth
        self._hits: Counter[int] = Counter()
        self._switched: Counter[str] = Counter()

    def add(self, happened: Iterable[events.Event]) -> None:
        """Take in events."""
        with self._lock:
            for event in happened:
                self._take(event)

    def missed(self, events: int) -> None:
        """An observer missed so many of them."""
        with self._lock:
            self._all.count["dropped"] += events

    def snapshot(self) -> Stats:
        """The sums so far."""
        with self._lock:
            by_tool = {name: Counts(**tally.fields()) for name, tally in sorted(self._tools.items())}  # type: ignore[arg-type]
            return Stats(
                **self._all.fields(),  # type: ignore[arg-type]
                runs=self._all.count["runs"],
                turns=self._all.count["turns"],
                foreseen=self._all.count["foreseen"],
                discarded=MappingProxyType(dict(self._discarded)),
                ghosts=MappingProxyType(dict(self._ghosts)),
                launched_by_depth=MappingProxyType(dict(sorted(self._launched.items()))),
                hits_by_depth=MappingProxyType(dict(sorted(self._hits.items()))),
                switched=MappingProxyType(dict(self._switched)),
                by_tool=MappingProxyType(by_tool),
                dropped=self._all.count["dropped"],
            )

    def _line(self, tool: str) -> _Tally:
        return self._tools[tool if self._is_tool(tool) else NO_SUCH_TOOL]

    def _add(self, tool: str, **counts: int) -> None:
        for tally in (self._all, self._line(tool)):
            for name, count in counts.items():  # update() would keep the first True or False as it is
                tally.count[name] += count

    def _deny(self, tool: str, reason: str, count: int) -> None:
        self._all.denied[reason] += count
        self._line(tool).denied[reason] += count

    def _spend(self, tool: str, **seconds: float) -> None:
        for tally in (self._all, self._line(tool)):
            for name, value in seconds.items():
                tally.seconds[name] += value

    def _settle(self, call: events.CallSettled) -> None:
        hit = call.id is not None
        self._hits.update([call.depth] if hit else ())
        self._add(
            call.tool,
            real_calls=1,
            hits=hit,
            joined=hit and call.joined,
            ready=hit and not call.joined,
            hedge_wins=call.twin,
            repeats=call.repeat,
            misses=not (hit or call.repeat),
        )

    def _take(self, event: events.Event) -> None:
        match event:
            case events.TurnBegan():
                self._all.count["turns"] += 1
            case events.Predicted(candidates=candidates):
                for tool, count in Counter(tool for tool, _, _ in candidates).items():
                    self._add(tool, predicted=count)
            case events.Denied(tool=tool, reason=reason, count=count):
                self._deny(tool, reason, count)
            case events.Refused(tool=tool, reason=reason, count=count):
                self._deny(tool, reason, count)
            case events.Launched(tool=tool, depth=depth):
                self._add(tool, launched=1)
                self._launched[depth] += 1
            case events.Finished(tool=tool):
                self._add(tool, executed=1)
            case events.Discarded(tool=tool, reason=reason):
                self._add(tool, wasted=1)
                self._discarded[reason] += 1
            case events.Wasted(tool=tool, seconds=seconds, cost=cost):
                self._spend(tool, wasted_s=seconds, wasted_cost=cost)
            case events.Ghost(destinations=destinations):
                self._ghosts.update(destinations)
            case events.WarmUpBegan(tool=tool):
                self._add(tool, warmed=1)
            case events.WarmUpUsed(tool=tool):
                self._add(tool, warm_used=1)
            case events.WarmUpWasted(tool=tool, seconds=seconds):
                self._spend(tool, warm_wasted_s=seconds)
            case events.Switched(scope=scope, state=state):
                self._switched[f"{scope} {state}"] += 1
            case events.TurnEnded(foreseen=foreseen):
                self._all.count["foreseen"] += foreseen
            case events.Hedged(tool=tool):
                self._add(tool, hedged=1)
            case events.CallSettled():
                self._settle(event)
            case events.StepSettled(tool=tool, tool_s=tool_s, waited_s=waited_s):
                self._spend(tool, hidden_s=tool_s - waited_s, tool_wait_s=waited_s)
            case events.RunClosed():
                self._all.count["runs"] += 1
