"""How well the next calls can be predicted: progressive validation on recorded runs.

Learns from one part of the tasks, then predicts every model call of the others before it learns from it, as a live
process would (after river's `evaluate.progressive_val_score`). Times are CPU time of the thread.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from langgraph_speculate.core.calls import key_of
from langgraph_speculate.core.candidates import Predictor
from langgraph_speculate.errors import TraceError
from langgraph_speculate.policy.checks import did_you_mean, printable
from langgraph_speculate.predict import LastFollower, Never, Order1, default_predictor
from langgraph_speculate.traces.runs import Run, split
from langgraph_speculate.traces.score import DEPTHS, ORIGINS, Score

DEPTH = 30  # candidates asked for, so that ten read-only ones are left
PREDICTORS: Mapping[str, Callable[[], Predictor]] = {
    "default": default_predictor,
    "order 1": Order1,
    "last follower": LastFollower,
    "never": Never,
}
_VARY = (*(f"RO@{depth}" for depth in DEPTHS), "name@1", "name@3", "step type")
_POOLED = ("ECE", "precision≥", "waste≥")


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How to measure.

    Attributes:
        seeds: How many splits to average over, at least 1.
        by: What stays together in a split: the runs of one `"task"`, or only each `"run"`.
        online: Whether the predictor goes on learning in the test part, each message after it was predicted.
        train: Share of the tasks (or runs) to learn from, between 0 and 1.
    """

    seeds: int = 5
    by: str = "task"
    online: bool = True
    train: float = 0.7

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds must be at least 1, got {self.seeds}")
        if self.by not in ("task", "run"):
            raise ValueError(f"by must be 'task' or 'run', got {self.by!r}")
        if not 0 < self.train < 1:
            raise ValueError(f"train must lie between 0 and 1, got {self.train}")


@dataclass(frozen=True)
class Evaluation:
    """One predictor on one set of runs: its scores, one a split."""

    predictor: str
    scores: Sequence[Score]

    @cached_property
    def pooled(self) -> Score:
        """All splits added up."""
        pooled = Score()
        for score in self.scores:
            pooled.add(score)
        return pooled

    def figures(self) -> dict[str, float]:
        """Means over the splits, and with ` ±` after the name standard deviations of some.

        The calibration error, precision and waste are those of all splits together: in a split with few candidates or
        none the first is overstated, and the others say nothing.
        """
        return dict(self._figures)

    @cached_property
    def _figures(self) -> dict[str, float]:
        parts = [score.figures() for score in self.scores]
        means = {name: statistics.fmean(figures[name] for figures in parts) for name in parts[0]}
        spread = {f"{name} ±": statistics.pstdev(figures[name] for figures in parts) for name in _VARY}
        pooled = {name: value for name, value in self.pooled.figures().items() if name.startswith(_POOLED)}
        return {**means, **spread, **pooled}

    def as_json(self) -> dict[str, Any]:
        """Figures, and what is behind them, as plain data. Counts are those of all splits together."""
        pooled = self.pooled
        return {
            "predictor": self.predictor,
            "figures": self.figures(),
            "by_tool": pooled.tools(),
            "by_origin": {origin: pooled.by_origin[origin].calls for origin in ORIGINS},
            "reliability": pooled.reliability(),
            "curve": pooled.curve(),
        }


def known_predictors(names: Sequence[str]) -> list[str]:
    """The keys of `PREDICTORS` that *names* mean, each once; all of them where none is named.

    Raises:
        TraceError: There is none of that name.

    >>> known_predictors(["order-1", "Default"])
    ['order 1', 'default']
    """
    keys = {name: name.lower().replace("-", " ") for name in names}
    for name, key in keys.items():
        if key not in PREDICTORS:
            known = ", ".join(known.replace(" ", "-") for known in PREDICTORS)
            raise TraceError(f"no predictor {printable(name)!r}{did_you_mean(key, PREDICTORS)}; there are {known}")
    return list(dict.fromkeys(keys.values())) or list(PREDICTORS)


def evaluate(
    predictor: Predictor,
    train: Sequence[Run],
    test: Sequence[Run],
    *,
    online: bool = True,
    on_run: Callable[[], object] | None = None,
) -> Score:
    """Learn from *train*, then predict every model call of *test*, learning from it afterwards if *online*.

    Args:
        predictor: With nothing learned yet; it is changed. Its `call_chance(history)`, where it has one, tells P(the
            model calls a tool).
        train: Runs to learn from, in the order of time.
        test: Runs to predict, in the order of time.
        online: Whether it goes on learning.
        on_run: Called after each run.
    """
    known: set[str] = set()
    for run in train:
        for history, calls in run.decisions():
            predictor.learn(history, calls)
            known.update(key for call in calls if (key := key_of(call)) is not None)
        if on_run is not None:
            on_run()
    score = Score()
    call_chance = getattr(predictor, "call_chance", None)
    for run in test:
        past: set[str] = set()
        for history, calls in run.decisions():
            before = replace(history, writing="")  # nobody has written anything yet
            started = time.thread_time()
            candidates = predictor.predict(before, k=DEPTH)
            score.predict_us.append((time.thread_time() - started) * 1e6)
            score.see(candidates, calls, past, known, call_chance(before) if call_chance else None)
            if online:
                started = time.thread_time()
                predictor.learn(history, calls)
                score.learn_us.append((time.thread_time() - started) * 1e6)
            past.update(key for call in calls if (key := key_of(call)) is not None)
        if online:
            known |= past
        if on_run is not None:
            on_run()
    return score


def evaluation_of(
    runs: Sequence[Run],
    predictor: str,
    make: Callable[[], Predictor],
    method: Method,
    on_run: Callable[[], object] | None = None,
) -> Evaluation:
    """Measure a predictor on *runs*, with a new one for each split.

    Raises:
        TraceError: There are too few tasks (or runs) to learn from some and test on the others.
    """
    scores = []
    for seed in range(method.seeds):
        train, test = split(runs, seed, train=method.train, by=method.by)
        if not train or not test:
            what = "tasks" if method.by == "task" else "runs"
            remedy = ", or split by run" if method.by == "task" and len(runs) > 1 else ""
            raise TraceError(f"too few {what} to learn from some and test on the others; give more recordings{remedy}")
        scores.append(evaluate(make(), train, test, online=method.online, on_run=on_run))
    return Evaluation(predictor, scores)


def measure(
    runs: Sequence[Run], make: Callable[[], Predictor], *, seeds: int, online: bool = True, by: str = "task"
) -> dict[str, float]:
    """Mean figures of one predictor over *seeds* splits, see `Evaluation.figures`.

    Raises:
        TraceError: There are too few tasks (or runs) to split.
    """
    return evaluation_of(runs, "", make, Method(seeds=seeds, online=online, by=by)).figures()
