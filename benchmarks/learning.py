"""What predicting and learning cost: CPU a step, also after thousands of runs, bulk learning, and the file they fill.

    python -m benchmarks.learning

Steps are measured on made-up runs (`support.py`), at 40 messages of history and 300 tools, and after more and more runs
of a support agent, which is where a cost that grows would show. Bulk learning is measured on recordings, where they lie
beside the project. All figures are CPU time of the one thread that works.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks import support
from benchmarks.progress import Tell, progress
from benchmarks.surroundings import own_garbage
from benchmarks.traces import FOLDER, Run, read
from langgraph_speculate.patterns.sqlite import SqlitePatterns
from langgraph_speculate.predict import PartitionedPredictor, default_predictor
from langgraph_speculate.traces.learner import few_collections

MESSAGES = 40  # of history, from which on a step counts
STAGES = (100, 300, 1_000, 3_000, 10_000)
_DEPTH = 5  # candidates asked for
_SAMPLE = 60  # runs measured at each stage
_HANDED_OVER = 250  # runs after which what was learned goes to the file
LIMITS = {"predict_p50": 300.0, "predict_p99": 2_000.0, "learn_p99": 1_000.0, "file_mb": 20.0, "calls_per_s": 2_000.0}
_FIRST_LINE = (__doc__ or "").split("\n")[0]


class Costs:
    """Microseconds of single predictions and learnings."""

    def __init__(self) -> None:
        self.predict: list[float] = []
        self.learn: list[float] = []

    def play(self, predictor: PartitionedPredictor, run: Run, *, since: int = 0) -> None:
        """Predict and learn every step of *run*; those with at least *since* messages before them count."""
        assistants = [place for place, event in enumerate(run.events) if event["role"] == "assistant"]
        for place, (history, calls) in zip(assistants, run.decisions(), strict=True):
            began = time.thread_time_ns()
            predictor.predict(history, k=_DEPTH)
            then = time.thread_time_ns()
            predictor.learn(history, calls)
            ended = time.thread_time_ns()
            if place >= since:
                self.predict.append((then - began) / 1e3)
                self.learn.append((ended - then) / 1e3)

    def figures(self) -> dict[str, float]:
        """The medians and the 99th percentiles."""
        return {
            f"{name}_p{share}": _quantile(sample, share / 100)
            for name, sample in (("predict", self.predict), ("learn", self.learn))
            for share in (50, 99)
        } | {"steps": len(self.predict)}


def _quantile(sample: Sequence[float], share: float) -> float:
    return sorted(sample)[min(int(len(sample) * share), len(sample) - 1)]


def long_histories(rounds: int) -> dict[str, float]:
    """Steps at 40 messages of history with 300 tools, once *rounds* runs were learned, over as many more."""
    predictor, costs = default_predictor(), Costs()
    runs = support.long_runs(seed=1)
    for run in islice(runs, rounds):
        Costs().play(predictor, run)
    measured = list(islice(runs, rounds))
    with own_garbage():
        for run in measured:
            costs.play(predictor, run, since=MESSAGES)
    return costs.figures()


def growth(stages: Sequence[int], folder: Path, tell: Tell) -> tuple[dict[str, dict[str, float]], float]:
    """Steps after so many runs were learned, and the megabytes of the file that they leave."""
    predictor = default_predictor()
    store = SqlitePatterns(folder / "patterns.db")
    runs, learned = support.runs(seed=2), 0
    found: dict[str, dict[str, float]] = {}
    for stage in stages:
        for run in islice(runs, max(stage - learned, 0)):
            _learn(predictor, [run])
            learned += 1
            if learned % _HANDED_OVER == 0:
                _hand_over(predictor, store)
        costs, measured = Costs(), list(islice(runs, _SAMPLE))
        with own_garbage():
            for run in measured:
                costs.play(predictor, run)
        learned += len(measured)
        found[str(stage)] = costs.figures()
        tell(f"{stage} runs")
    _hand_over(predictor, store)
    store.close()
    return found, sum(path.stat().st_size for path in folder.iterdir()) / 1e6


def _hand_over(predictor: PartitionedPredictor, store: SqlitePatterns) -> None:
    for partition, sums in predictor.take().items():
        store.add(partition, sums)


def _learn(predictor: PartitionedPredictor, runs: Iterable[Run]) -> int:
    """Learn without predicting, as mining does; how many calls that were."""
    learned = 0
    for run in runs:
        for history, calls in run.decisions():
            predictor.learn(history, calls)
            learned += len(calls)
    return learned


def bulk(runs: Sequence[Run]) -> dict[str, float]:
    """Calls, and model calls, learned in a second, as mining does; reading the runs is not counted."""
    decisions = [(replace(history, writing=""), calls) for run in runs for history, calls in run.decisions()]
    predictor, calls = default_predictor(), sum(len(made) for _, made in decisions)
    with own_garbage(), few_collections():
        began = time.thread_time()
        for history, made in decisions:
            predictor.learn(history, made)
        seconds = time.thread_time() - began
    return {"calls": calls, "calls_per_s": calls / seconds, "decisions_per_s": len(decisions) / seconds}


def _together(sets: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The same of several sets learned one after the other, each by a predictor of its own."""
    sets = list(sets)
    calls, seconds = sum(one["calls"] for one in sets), sum(one["calls"] / one["calls_per_s"] for one in sets)
    decisions = sum(one["calls"] / one["calls_per_s"] * one["decisions_per_s"] for one in sets)
    return {"calls": calls, "calls_per_s": calls / seconds, "decisions_per_s": decisions / seconds}


def measure(rounds: int, stages: Sequence[int], limit: int, tell: Tell) -> dict[str, Any]:
    """All figures as one JSON object."""
    report: dict[str, Any] = {"limits": LIMITS, "tools": support.TOOLS, "messages": MESSAGES}
    report["long"] = long_histories(rounds)
    tell("long histories")
    with tempfile.TemporaryDirectory() as folder:
        report["growth"], report["file_mb"] = growth(stages, Path(folder), tell)
    recorded = {path.name.split(".")[0]: read([path])[:limit] for path in sorted(FOLDER.glob("*.jsonl.gz"))}
    sets = recorded or {"made up": list(islice(support.runs(seed=3), limit))}
    report["bulk"] = {name: bulk(runs) for name, runs in sets.items()}
    report["bulk"]["together"] = _together(report["bulk"].values())
    tell("bulk learning")
    return report


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    yield f"{'CPU µs a step':28} {'predict p50':>11} {'p99':>6} {'learn p50':>11} {'p99':>6}"
    rows = {f"{report['messages']} messages, {report['tools']} tools": report["long"]}
    rows |= {f"after {stage} runs": figures for stage, figures in report["growth"].items()}
    for name, f in rows.items():
        yield f"{name:28} {f['predict_p50']:11.0f} {f['predict_p99']:6.0f} {f['learn_p50']:11.0f} {f['learn_p99']:6.0f}"
    yield f"file after {max(map(int, report['growth']))} runs: {report['file_mb']:.2f} MB"
    yield f"{'bulk learning, a second':28} {'calls':>11} {'model calls':>13}"
    for name, f in report["bulk"].items():
        yield f"{name:28} {f['calls_per_s']:11.0f} {f['decisions_per_s']:13.0f}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=_FIRST_LINE)
    parser.add_argument("--rounds", type=int, default=200, help="long runs to learn, and to measure (default 200)")
    parser.add_argument("--runs", type=int, default=STAGES[-1], help="support runs to learn (default 10000)")
    parser.add_argument("--limit", type=int, default=300, help="runs of each recording (default 300)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    options = parser.parse_args(argv)
    if min(options.rounds, options.runs, options.limit) < 1:
        parser.error("--rounds, --runs and --limit are at least 1")
    stages = [*[stage for stage in STAGES if stage < options.runs], options.runs]
    with progress("learning", len(stages) + 2, quiet=options.quiet) as tell:
        report = measure(options.rounds, stages, options.limit, tell)
    print(json.dumps(report, ensure_ascii=False) if options.json else "\n".join(table(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
