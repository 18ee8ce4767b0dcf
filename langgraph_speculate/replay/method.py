"""How to replay: which recorded runs are learned from, and which are played."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from langgraph_speculate.replay.script import Script
from langgraph_speculate.replay.survey import Survey
from langgraph_speculate.traces.runs import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How to replay.

    Attributes:
        train: Share of the tasks (or of the runs) to learn from first, in [0, 1).
        by: What keeps the parts separate: each `"task"` is in one of them, or those of the first part came before
            those of the second in `"time"`.
        runs: The most runs to play; of more, that many are drawn. 0 for all.
        lessons: The most runs to learn from first; of more, the latest: what is old fades anyway. 0 for all.
        concurrency: Runs side by side, which matters where services have slots or rates.
        seed: Draws the parts, the sample, the times and the intervals.
        streams: Whether the model streams.
    """

    train: float = 0.7
    by: str = "task"
    runs: int = 2_000
    lessons: int = 20_000
    concurrency: int = 1
    seed: int = 0
    streams: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.train < 1:
            raise ValueError(f"train must be at least 0 and less than 1, got {self.train}")
        if self.by not in ("task", "time"):
            raise ValueError(f"by must be 'task' or 'time', got {self.by!r}")
        if self.runs < 0 or self.lessons < 0 or self.concurrency < 1:
            raise ValueError("runs and lessons must be at least 0, and concurrency at least 1")

    def first_part(self, survey: Survey) -> tuple[Callable[[int, Run], bool], int]:
        """What says of each run, by its number and itself, whether it is learned from; and how many are."""
        if self.by == "time":
            until = round(survey.runs * self.train)
            return lambda number, run: number < until, until
        tasks = sorted(survey.tasks)
        random.Random(self.seed).shuffle(tasks)  # nosec B311
        chosen = set(tasks[: round(len(tasks) * self.train)])
        return lambda number, run: run.task in chosen, sum(survey.tasks[task] for task in chosen)

    def sample(self, runs: Iterable[Run], count: int) -> list[Script]:
        """The scripts to play, of *count* runs, in the order in which they were recorded."""
        wanted = set(range(count))
        if self.runs and count > self.runs:
            wanted = set(random.Random(self.seed).sample(range(count), self.runs))  # nosec B311
        return [Script.of(run) for number, run in enumerate(runs) if number in wanted]
