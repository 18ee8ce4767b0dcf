"""Which runs a report shows whole: the best, the worst, a middling one, the last, and some drawn by lot.

Every other run is only counted, so a log of any length is read in bounded memory.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from random import Random

from langgraph_speculate.report.runs import Run

_SAMPLE = 64  # runs kept to choose from


@dataclass(frozen=True, slots=True)
class Pick:
    """A run that is shown, and why it is."""

    run: Run
    why: str


class Choice:
    """Chooses runs while they end, one after the other.

    Args:
        most: How many to show.
        wanted: Ids of runs to show in any case, beside those.

    The lot is a reservoir (Vitter, "Random sampling with a reservoir", 1985, algorithm R) with a fixed seed: the same
    log gives the same page.

    >>> choice = Choice(most=2)
    >>> for place in range(1, 4):
    ...     choice.see(Run(f"r{place}", place, began=0.0, ended=1.0, hidden_s=place / 2))
    >>> [(pick.run.id, pick.why) for pick in choice.picks()]
    [('r3', 'hid most, the last'), ('r1', 'gained least')]
    """

    def __init__(self, most: int = 6, wanted: Collection[str] = ()) -> None:
        self._most = most
        self._wanted = frozenset(wanted)
        self._draw = Random(0)  # nosec B311
        self._seen = 0
        self._sample: list[Run] = []
        self._best: Run | None = None
        self._worst: Run | None = None
        self._last: Run | None = None
        self._asked: list[Run] = []

    @property
    def sampled(self) -> bool:
        """Whether there were more runs than it could keep to choose from."""
        return self._seen > len(self._sample)

    @property
    def kept(self) -> int:
        """How many runs it has kept to choose from."""
        return len(self._sample)

    def see(self, run: Run) -> None:
        """A run is over."""
        self._seen += 1
        self._last = run
        if self._best is None or run.hidden_s > self._best.hidden_s:
            self._best = run
        if self._worst is None or run.gain_s < self._worst.gain_s:
            self._worst = run
        if run.id in self._wanted:
            self._asked.append(run)
        if len(self._sample) < _SAMPLE:
            self._sample.append(run)
        elif (place := self._draw.randrange(self._seen)) < _SAMPLE:
            self._sample[place] = run

    def ids(self) -> list[str]:
        """Of the runs that it has kept to choose from."""
        return [run.id for run in self._sample]

    def missing(self) -> frozenset[str]:
        """Runs that were asked for and never came."""
        return self._wanted - {run.id for run in self._asked}

    def picks(self) -> list[Pick]:
        """The runs to show, most telling first, none twice."""
        middling = sorted(self._sample, key=lambda run: run.gain_s)[len(self._sample) // 2 :][:1]
        reasons: dict[int, list[str]] = {}
        runs: dict[int, Run] = {}
        for run, why in (
            *((run, "asked for") for run in self._asked),
            (self._best, "hid most"),
            (self._worst, "gained least"),
            *((run, "in the middle") for run in middling),
            (self._last, "the last"),
            *((run, "drawn by lot" if self.sampled else "") for run in self._sample),
        ):
            if run is not None and (run.place in runs or len(runs) < self._most + len(self._asked)):
                runs[run.place] = run
                reasons.setdefault(run.place, []).append(why)
        return [Pick(run, ", ".join(filter(None, reasons[place]))) for place, run in runs.items()]
