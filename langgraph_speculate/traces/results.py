"""What an evaluation found, set by set, as plain data and in words."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

from langgraph_speculate.errors import TraceError
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.traces.evaluate import PREDICTORS, Evaluation, Method, evaluation_of
from langgraph_speculate.traces.reader import at_least_one, read_runs
from langgraph_speculate.traces.runs import Run
from langgraph_speculate.traces.skips import Skips, on_one_line

Start = Callable[[str, int], AbstractContextManager[Callable[[], None]]]

NO_CALLS = "These recordings hold no calls of tools."
_NAMED = 5  # tools that a sentence names
_ENOUGH_READS = 30  # read-only calls in the test parts below which shares say little
_HOPELESS = 0.05  # of the read-only calls hit at p ≥ .5


@dataclass(frozen=True)
class SetResult:
    """One set of recordings and what was measured on it.

    Attributes:
        name: Of the file, folder or pattern.
        runs: How many were read.
        tasks: How many different ones they worked on.
        calls: How many calls of tools they hold.
        evaluations: One a predictor; the first is what the report is about, the others stand beside it.
    """

    name: str
    runs: int
    tasks: int
    calls: int
    evaluations: Sequence[Evaluation]

    @classmethod
    def of(cls, name: str, runs: Sequence[Run], evaluations: Sequence[Evaluation]) -> SetResult:
        """Count what *runs* hold."""
        calls = sum(len(event.get("tool_calls") or ()) for run in runs for event in run.events)
        return cls(name, len(runs), len({run.task for run in runs}), calls, evaluations)

    def in_words(self) -> Iterator[str]:
        """A few sentences about the first predictor, for people who have not read what the columns mean."""
        first = self.evaluations[0]
        figures, score = first.figures(), first.pooled
        if not score.reads.calls:
            yield (
                "The test parts hold no call to a tool that only reads by its name, so none is scored"
                f"{_skipped(score.others)}. If some do only read, declare them: replay --policy goes by that."
                if self.calls
                else NO_CALLS
            )
            return
        yield (
            f"Of 100 read-only calls, {first.predictor} names {_hundred(figures['RO@1'])} exactly, arguments and all, "
            f"with its first guess, {_hundred(figures['RO@3'])} with one of three, {_hundred(figures['RO@10'])} with "
            "one of ten."
        )
        yield from _launching(figures)
        yield from _had_from(figures)
        yield from _beside(figures, self.evaluations[1:])
        if score.reads.calls < _ENOUGH_READS:
            yield f"The test parts hold only {score.reads.calls} read-only calls: take these shares with care."


@dataclass(frozen=True)
class Results:
    """Everything that one evaluation found.

    Attributes:
        method: How it was measured.
        sets: One a file, folder or pattern.
        skips: What was left out of them.
    """

    method: Method
    sets: Sequence[SetResult]
    skips: Skips

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        sets = [
            {
                **{"set": found.name, "runs": found.runs, "tasks": found.tasks, "calls": found.calls},
                "summary": list(found.in_words()),
                "predictors": [evaluation.as_json() for evaluation in found.evaluations],
            }
            for found in self.sets
        ]
        return {**asdict(self.method), "skipped": self.skips.as_json(), "sets": sets}


def read_sets(paths: Sequence[str], skips: Skips, source: str | None = None) -> dict[str, list[Run]]:
    """Read the runs of each file, folder or pattern as a set of its own, by a short name.

    Raises:
        TraceError: One cannot be read, or holds no run.
    """
    sets: dict[str, list[Run]] = {}
    for path in dict.fromkeys(paths):
        found = read_runs(path, on_skip=skips, source=source)
        runs = list(at_least_one(found, skips, f"{on_one_line(path)}: holds"))
        name = _short(path)
        sets[path if name in sets else name] = runs
    return sets


def measure_sets(
    sets: Mapping[str, Sequence[Run]], predictors: Sequence[str], method: Method, start: Start
) -> list[SetResult]:
    """Measure each of *predictors* (keys of `PREDICTORS`) on each set.

    Args:
        sets: Runs by name.
        predictors: The first is what the results are about.
        method: How to measure.
        start: Called with a few words and a number of steps before each measurement; gives, inside a `with`, what to
            call after each step.

    Raises:
        TraceError: A set cannot be split; the message names it.
    """
    results = []
    for name, runs in sets.items():
        evaluations = []
        for predictor in predictors:
            with start(f"{on_one_line(name)}: {predictor}", method.seeds * len(runs)) as step:
                try:
                    evaluations.append(evaluation_of(runs, predictor, PREDICTORS[predictor], method, step))
                except TraceError as error:
                    raise TraceError(f"{on_one_line(name)}: {error}") from None
        results.append(SetResult.of(name, runs, evaluations))
    return results


def _short(path: str) -> str:
    return os.path.basename(path.rstrip("/" + os.sep)).removesuffix(".gz").removesuffix(".jsonl") or path


def _skipped(others: Counter[str]) -> str:
    """The tools called most that do not only read by their names."""
    listed = ", ".join(printable(name) for name, _ in others.most_common(_NAMED))
    more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    return f" (skipped: {listed}{more})" if listed else ""


def _hundred(share: float) -> str:
    return f"{share * 100:.0f}"


def _launching(figures: dict[str, float]) -> Iterator[str]:
    if figures["coverage≥0.5"] < _HOPELESS:
        yield "Next to none of them reaches a probability of 50 %: here speculation stays quiet, or is best left off."
        return
    yield (
        f"Launching every guess of at least 50 % would have had {_hundred(figures['coverage≥0.5'])} of them ready or "
        f"under way; {_hundred(figures['precision≥0.5'])} of 100 launches hit, {figures['waste≥0.5']:.2f} were in vain "
        "for each hit."
    )


def _had_from(figures: dict[str, float]) -> Iterator[str]:
    if not figures["RO@3"]:
        return
    repeat, seen, derived = (figures[f"{origin}@3"] / figures["RO@3"] for origin in ("repeat", "seen", "derived"))
    yield (
        f"Of 100 hits within three, {_hundred(repeat)} repeat a call of the same run, {_hundred(seen)} are known word "
        f"for word from other runs, {_hundred(derived)} were put together from what the run had seen."
    )


def _beside(figures: dict[str, float], others: Sequence[Evaluation]) -> Iterator[str]:
    best = max(others, key=lambda other: other.figures()["RO@1"], default=None)
    if best is None:
        return
    share = best.figures()["RO@1"]
    if share >= figures["RO@1"]:
        yield f"The baseline {best.predictor} does as well ({_hundred(share)} with the first guess)."
    elif share:
        yield f"The best baseline, {best.predictor}, names {_hundred(share)} with its first guess."
