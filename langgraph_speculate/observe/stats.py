"""Counts and seconds over all runs of a wrapped graph, added up from events."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from textwrap import wrap
from types import MappingProxyType

from langgraph_speculate.core import events
from langgraph_speculate.observe.previews import PreviewCounts, PreviewTally
from langgraph_speculate.observe.tallies import Counts, Tallies
from langgraph_speculate.policy.checks import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowCounts(Counts):
    """What would have happened in runs at the level `shadow`, at the level that their policy has otherwise.

    Its `real_calls` are those of such runs, and `hidden_s + tool_wait_s` is what their steps waited for tools.

    Attributes:
        unknown: Of `wasted`, those whose tool no real call was seen of: how long they would have run is a guess.
        by_tool: The same fields for each tool.
    """

    unknown: int = 0
    by_tool: Mapping[str, Counts] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats(Counts):
    """What happened in all runs so far; `str()` makes it a table of the tools that are called most.

    Attributes:
        runs: Runs that ended.
        turns: Model turns.
        foreseen: Real calls that stood among the predictions, started or not.
        discarded: Why speculations were discarded, with counts.
        ghosts: Who outside of the trust boundary saw calls that nobody asked for, with counts.
        launched_by_depth, hits_by_depth: Speculations by how far ahead they were started (`limits.max_depth`), and
            those of them that real calls adopted.
        switched: How often running ahead went off or on again, by scope and state, such as `"tool off"`.
        by_tool: The same fields for each tool.
        previews: Model calls that were started on remembered results (`model_ahead`).
        dropped: Events that an observer was too slow for (`observe/delivery.py`), summed over observers.
        shadow: What would have happened in runs at the level `shadow`, of which nothing else here tells.
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
    previews: PreviewCounts = field(default_factory=PreviewCounts)
    dropped: int = 0
    shadow: ShadowCounts = field(default_factory=ShadowCounts)

    def __str__(self) -> str:
        most = sorted(self.by_tool.items(), key=lambda row: -row[1].real_calls)[:_SHOWN]
        named = [(printable(name, _WIDTH), counts) for name, counts in most]
        width = max(len(name) for name, _ in (*named, ("tool", self)))
        lines = [f"{'tool':<{width}}  calls  hits  launched  in vain  hidden s  wasted s"]
        for name, counts in (*named, ("all", self)):
            made = f"{counts.real_calls:>5}  {counts.hits:>4}  {counts.launched:>8}  {counts.wasted:>7}"
            lines.append(f"{name:<{width}}  {made}  {counts.hidden_s:>z8.2f}  {counts.wasted_s:>z8.2f}")
        lines.append(f"{self.runs} runs, {self.turns} turns; {self.foreseen} of {self.real_calls} calls foreseen")
        if self.previews.began:
            lines.append(str(self.previews))
        for title, reasons in (("held back", self.denied), ("discarded", self.discarded)):
            if reasons:
                ordered = sorted(reasons.items(), key=lambda row: (-row[1], row[0]))
                lines += wrap(f"{title}: " + ", ".join(f"{reason} {count}" for reason, count in ordered), _LINE)
        if self.shadow.launched:
            lines += wrap(f"in shadow: {would(self.shadow)}", _LINE)
        return "\n".join(lines)


def would(shadow: Counts) -> str:
    """What speculation would have done, in words.

    >>> would(Counts(real_calls=9, launched=4, hits=3, ready=1, joined=2, wasted=1, hidden_s=2.5, wasted_s=0.25))
    '4 launched, 3 of 9 calls hit (1 ready, 2 joined), 2.50 s hidden, 1 in vain for 0.25 s'
    """
    money = f" and {shadow.wasted_cost:.4g} in money" if shadow.wasted_cost else ""
    return (
        f"{shadow.launched} launched, {shadow.hits} of {shadow.real_calls} calls hit ({shadow.ready} ready, "
        f"{shadow.joined} joined), {shadow.hidden_s:z.2f} s hidden, {shadow.wasted} in vain for {shadow.wasted_s:.2f} s"
        f"{money}"
    )


_SHOWN = 15  # tools of a printed table
_WIDTH = 40  # characters of their names
_LINE = 100


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
        self._lock = threading.RLock()  # the collection of garbage may end a run in the midst of this
        self._real = Tallies(is_tool)
        self._shadow = Tallies(is_tool)
        self._all = self._real.all
        self._discarded: Counter[str] = Counter()
        self._ghosts: Counter[str] = Counter()
        self._launched: Counter[int] = Counter()  # by depth
        self._hits: Counter[int] = Counter()
        self._switched: Counter[str] = Counter()
        self._previews = PreviewTally()

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
            imagined = self._shadow.all
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
                by_tool=self._real.by_tool(),
                previews=self._previews.counts(),
                dropped=self._all.count["dropped"],
                shadow=ShadowCounts(
                    **imagined.fields(),  # type: ignore[arg-type]
                    unknown=imagined.count["unknown"],
                    by_tool=self._shadow.by_tool(),
                ),
            )

    def _settle(self, call: events.CallSettled) -> None:
        self._hits.update([call.depth] if call.id is not None else ())
        self._real.add(
            call.tool,
            **_answered(call),
            hedge_wins=call.twin,
            repeats=call.repeat,
            misses=call.id is None and not call.repeat,
        )

    def _take(self, event: events.Event) -> None:
        match event:  # what happens most comes first
            case events.CallSettled():
                self._settle(event)
            case events.StepSettled(tool=tool, tool_s=tool_s, waited_s=waited_s):
                self._real.spend(tool, hidden_s=tool_s - waited_s, tool_wait_s=waited_s)
            case events.TurnBegan():
                self._all.count["turns"] += 1
            case events.TurnEnded(foreseen=foreseen):
                self._all.count["foreseen"] += foreseen
            case events.Matched() | events.Committed() | events.Wrote():
                pass
            case events.Predicted(candidates=candidates):
                for tool, count in Counter(tool for tool, _, _ in candidates).items():
                    self._real.add(tool, predicted=count)
            case events.Denied(tool=tool, reason=reason, count=count):
                self._real.deny(tool, reason, count)
            case events.Refused(tool=tool, reason=reason, count=count):
                self._real.deny(tool, reason, count)
            case events.Launched(tool=tool, depth=depth):
                self._real.add(tool, launched=1)
                self._launched[depth] += 1
            case events.Finished(tool=tool):
                self._real.add(tool, executed=1)
            case events.Discarded(tool=tool, reason=reason):
                self._real.add(tool, wasted=1)
                self._discarded[reason] += 1
            case events.Wasted(tool=tool, seconds=seconds, cost=cost):
                self._real.spend(tool, wasted_s=seconds, wasted_cost=cost)
            case events.Ghost(destinations=destinations):
                self._ghosts.update(destinations)
            case events.WarmUpBegan(tool=tool):
                self._real.add(tool, warmed=1)
            case events.WarmUpUsed(tool=tool):
                self._real.add(tool, warm_used=1)
            case events.WarmUpWasted(tool=tool, seconds=seconds):
                self._real.spend(tool, warm_wasted_s=seconds)
            case events.Switched(scope=scope, state=state):
                self._switched[f"{scope} {state}"] += 1
            case events.Hedged(tool=tool):
                self._real.add(tool, hedged=1)
            case events.RunClosed():
                self._all.count["runs"] += 1
            case events.ShadowLaunched() | events.ShadowSettled() | events.ShadowStepSettled() | events.ShadowWasted():
                self._imagine(event)
            case _:
                self._previews.take(event)

    def _imagine(self, event: events.Event) -> None:
        match event:
            case events.ShadowLaunched(tool=tool):
                self._shadow.add(tool, launched=1)
            case events.ShadowSettled(tool=tool, id=id):
                self._shadow.add(tool, **_answered(event), misses=id is None, executed=id is not None)
            case events.ShadowStepSettled(tool=tool, tool_s=tool_s, waited_s=waited_s):
                self._shadow.spend(tool, hidden_s=tool_s - waited_s, tool_wait_s=waited_s)
            case events.ShadowWasted(tool=tool, seconds=seconds, cost=cost, known=known):
                self._shadow.add(tool, wasted=1, executed=1, unknown=not known)
                self._shadow.spend(tool, wasted_s=seconds, wasted_cost=cost)


def _answered(call: events.CallSettled | events.ShadowSettled) -> dict[str, int]:
    """What a real call that ended counts as."""
    hit = call.id is not None
    return {"real_calls": 1, "hits": hit, "joined": hit and call.joined, "ready": hit and not call.joined}
