"""What a log of the level `shadow` foretells, in the words of a replay.

Such a log holds names and times, and no arguments: it answers for the settings that it was written with, and cannot be
played with others. What it needs no assumption for is what a replay has to take for granted: the times are those of the
live system, and so is what the predictor knew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.core.latency import UNKNOWN_TOOL_S
from langgraph_speculate.errors import TraceError
from langgraph_speculate.observe.log import read_log
from langgraph_speculate.observe.stats import Stats, StatsCollector
from langgraph_speculate.observe.tallies import Counts
from langgraph_speculate.replay.outlook import (
    answer,
    are_too_few,
    counted,
    doubts,
    is_worthwhile,
    percent,
    ratio,
    timed,
)
from langgraph_speculate.replay.variant import Compared


@dataclass(slots=True)
class Rehearsed:
    """One run at the level `shadow`, in seconds.

    Attributes:
        began, last: When it began, and when what is known of it last happened, on the host's monotonic clock.
        tools: What it waited for its tools.
        hidden: What it would not have waited.
        closed: Whether its end is in the log.
    """

    began: float
    last: float
    tools: float = 0.0
    hidden: float = 0.0
    closed: bool = False

    @property
    def plain(self) -> float:
        """What it took."""
        return self.last - self.began

    @property
    def ahead(self) -> float:
        """What it would have taken."""
        return self.plain - self.hidden


@dataclass(frozen=True)
class Rehearsal(Compared):
    """What logs of the level `shadow` foretell.

    Attributes:
        runs: Runs at that level; one without an end in the logs counts as far as it goes.
        others: How many runs were at other levels, which are left out.
        stats: What happened in those runs; `stats.shadow` is what would have.
        seed: Draws the resamples.
    """

    runs: Sequence[Rehearsed]
    others: int
    stats: Stats
    seed: int = 0

    @property
    def by_tool(self) -> Mapping[str, Counts]:
        """What would have happened to each tool, and why what was held back was."""
        held_back = {name: counts.denied for name, counts in self.stats.by_tool.items()}
        tools = self.stats.shadow.by_tool
        return {name: replace(counts, denied=held_back.get(name, {})) for name, counts in tools.items()}

    @property
    def pays(self) -> bool:
        """Whether speculation is worth switching on."""
        return is_worthwhile(self.stats.shadow.real_calls, self.saved)


def rehearsal(
    logs: Iterable[str | os.PathLike[str]],
    *,
    seed: int = 0,
    on_cut: Callable[[int], None] = lambda line: None,
    on_bytes: Callable[[int], None] | None = None,
) -> Rehearsal:
    """What logs foretell that `JsonLines` wrote; one pass, in memory that grows with the number of runs alone.

    Args:
        logs: The files; one that ends in `.gz` is unpacked on the way.
        seed: Draws the resamples.
        on_cut: Called with the number of each line that breaks off, because its writer was killed; it is left out.
        on_bytes: Called now and then with how many bytes of a file have been read.

    Raises:
        BadLog: A log cannot be read or holds what is no event; the message names path and line.
        TraceError: No run of them was at the level `shadow`.
    """
    told = _Told()
    for log in logs:
        for event in read_log(log, on_cut=on_cut, on_bytes=on_bytes):
            told.take(event)
    if not told.runs:
        raise TraceError(
            "no run of the log was at the level shadow, so it foretells nothing: set LANGGRAPH_SPECULATE=shadow "
            "where it is written, or give it to report"
        )
    return Rehearsal(list(told.runs.values()), told.others, told.collector.snapshot(), seed)


class _Told:
    """What the events of any number of runs tell; those of a run may come in any order once it has begun."""

    def __init__(self) -> None:
        self.runs: dict[str, Rehearsed] = {}
        self.others = 0
        self.collector = StatsCollector()

    def take(self, event: events.Event) -> None:
        """Take in the next event."""
        if isinstance(event, events.RunBegan):
            if event.level == "shadow":
                self.runs[event.run] = Rehearsed(event.at, event.at)
            else:
                self.others += 1
        run = self.runs.get(event.run)
        if run is None:
            return
        self.collector.add([event])
        run.last = max(run.last, event.at)
        if isinstance(event, events.ShadowStepSettled):
            run.tools += event.tool_s
            run.hidden += event.tool_s - event.waited_s
        elif isinstance(event, events.RunClosed):
            run.closed = True


def verdict(found: Rehearsal) -> Iterator[str]:
    """A plain answer, and the reason."""
    plain_s, calls = found.total("plain"), found.stats.shadow.real_calls
    tool_share = ratio(found.total("tools"), plain_s)
    yield answer(found.pays, plain_s, found.saved, found.stats.shadow)
    yield f"Tools are {percent(tool_share)} of the time. Nothing ran ahead."
    yield from doubts(calls, tool_share)


def assumptions(found: Rehearsal) -> Iterator[str]:
    """What the figures take for granted."""
    shadow = found.stats.shadow
    yield (
        f"Read from what {len(found.runs)} runs at the level shadow wrote, as they happened, while the predictor was "
        "still learning."
    )
    yield "The log holds no arguments, so it answers for its own settings alone: replay recorded runs to try others."
    if found.others:
        yield f"{found.others} other runs of the log are left out: they ran at other levels."
    if without_end := sum(not run.closed for run in found.runs):
        yield f"{without_end} runs have no end in the log; they are counted as far as they go."
    if shadow.unknown:
        yield (
            f"Of {shadow.unknown} of the {shadow.wasted} calls in vain no real call of the tool had been seen: taken "
            f"to take {UNKNOWN_TOOL_S:g} s."
        )
    yield "What ran in vain took as long as real calls of its tool; chains, repeats, second bodies are left out."


def figures(found: Rehearsal) -> dict[str, Any]:
    """The figures as plain data; times in seconds, shares in [0, 1], intervals of 95 %."""
    whole = replace(found.stats.shadow, denied=found.stats.denied)
    return {"name": "shadow", **timed(found), **counted(whole, found.by_tool)}


def as_json(found: Rehearsal) -> dict[str, Any]:
    """All of it as plain data, in the shape that a replay's has."""
    return {
        "runs": len(found.runs),
        "calls": found.stats.shadow.real_calls,
        "assumptions": list(assumptions(found)),
        "verdict": {
            "pays": found.pays,
            "too_few": are_too_few(found.stats.shadow.real_calls, found.saved),
            "words": list(verdict(found)),
        },
        "variants": [figures(found)],
    }
