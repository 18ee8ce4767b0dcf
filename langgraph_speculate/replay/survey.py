"""What recordings hold: counted, and their times learned, by going through them once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from langgraph_speculate.errors import TraceError
from langgraph_speculate.replay.script import Script
from langgraph_speculate.replay.times import Clockwork
from langgraph_speculate.traces.effects import is_read_only
from langgraph_speculate.traces.runs import Run

Recordings = Callable[[], Iterable[Run]]
"""Reads the runs, each time anew: they may be more than memory holds."""
Advance = Callable[[], None]
Progress = Callable[[str, int | None], AbstractContextManager[Advance]]


@dataclass
class Survey:
    """What the recordings hold, found by going through them once.

    Attributes:
        runs, calls: How many.
        tasks: How many runs work on each.
        effects: For each tool, how many of its calls only read (True), and how many do not.
        timed: Steps and calls whose times were recorded.
        steps: Messages of the model.
        widest: The most calls that one of them makes.
        known: Calls whose results were recorded (`results`), and messages whose tokens were (`tokens`).
    """

    runs: int = 0
    calls: int = 0
    steps: int = 0
    widest: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    effects: dict[str, Counter[bool]] = field(default_factory=dict)
    timed: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)

    def see(self, run: Run, script: Script) -> None:
        """Take in one run."""
        self.runs += 1
        self.tasks[run.task] += 1
        for step in script.steps:
            self.steps += step.timed
            self.widest = max(self.widest, len(step.calls))
            self.timed["steps"] += step.timed and step.seconds is not None
            self.known["tokens"] += step.timed and step.tokens is not None
            for made in step.calls:
                self.calls += 1
                self.timed["calls"] += made.seconds is not None
                self.known["results"] += made.told
                self.effects.setdefault(made.call.name, Counter())[is_read_only(made.call)] += 1

    @property
    def both(self) -> frozenset[str]:
        """Tools that read with some arguments and write with others, such as a shell."""
        return frozenset(name for name, counts in self.effects.items() if len(counts) > 1)


def surveyed(recordings: Recordings, clockwork: Clockwork, progress: Progress) -> Survey:
    """Go through *recordings* once; *clockwork* learns their times.

    Raises:
        TraceError: There are none.
    """
    survey = Survey()
    with progress("reading", None) as advance:

        def scripts() -> Iterator[Script]:
            for run in recordings():
                script = Script.of(run)
                survey.see(run, script)
                yield script
                advance()

        clockwork.learn(scripts())
    if not survey.runs:
        raise TraceError("the traces hold no run")
    return survey
