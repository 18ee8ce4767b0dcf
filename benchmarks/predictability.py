"""How well the next calls can be predicted: progressive validation on recorded runs.

    python -m benchmarks.predictability ../shared/traces/taubench_airline.jsonl.gz --seeds 5

Learns from 70 % of the tasks, then predicts every model call of the other tasks before it learns from it, as a live
process would (`--frozen` stops learning there). Read-only: each call to a read-only tool is a hit at k where the first
k read-only candidates hold its name and identical canonical arguments. Times are CPU time of the thread.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.traces import FOLDER, Run, is_read_only, read, split
from langgraph_speculate.core import Call, Candidate, Predictor
from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.predict import LastFollower, Never, Order1, default_predictor

_FIRST_LINE = (__doc__ or "").split("\n")[0]
DEPTH = 30  # candidates asked for, so that ten read-only ones are left
THRESHOLDS = (0.3, 0.5, 0.7)
PREDICTORS: dict[str, Callable[[], Predictor]] = {
    "default": default_predictor,
    "order 1": Order1,
    "last follower": LastFollower,
    "never": Never,
}


class Score:
    """Counts of one predictor on one test part."""

    def __init__(self) -> None:
        self.named = self.name1 = self.name3 = 0
        self.reads = 0
        self.exact = dict.fromkeys((1, 3, 10), 0)
        self.repeats = 0  # hits among the first three that the run had already made
        self.launched = dict.fromkeys(THRESHOLDS, 0)
        self.hit = dict.fromkeys(THRESHOLDS, 0)
        self.points = 0
        self.bins: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])  # sum of p, hits, count
        self.predict_us: list[float] = []
        self.learn_us: list[float] = []

    def see(self, candidates: Sequence[Candidate], calls: Sequence[Call], past: set[str]) -> None:
        self.points += 1
        truth = {key for call in calls if (key := _key(call)) is not None}
        names = list(dict.fromkeys(candidate.call.name for candidate in candidates))
        for name in dict.fromkeys(call.name for call in calls):
            self.named += 1
            self.name1 += name in names[:1]
            self.name3 += name in names[:3]
        reads = [(candidate, _key(candidate.call)) for candidate in candidates if is_read_only(candidate.call)]
        for call in calls:
            if is_read_only(call):
                self.reads += 1
                key = _key(call)
                place = next((at for at, (_, other) in enumerate(reads) if other == key), DEPTH)
                for depth in self.exact:
                    self.exact[depth] += place < depth
                self.repeats += place < 3 and key in past
        for candidate, key in reads:
            hit = key in truth
            for threshold in THRESHOLDS:
                if candidate.probability >= threshold:
                    self.launched[threshold] += 1
                    self.hit[threshold] += hit
            if candidate.probability >= 0.1:
                bin_ = self.bins[min(int(candidate.probability * 10), 9)]
                bin_[0] += candidate.probability
                bin_[1] += hit
                bin_[2] += 1

    def figures(self) -> dict[str, float]:
        """Shares of named calls (`name@k`), of read-only calls (`RO@k`, coverage) and of candidates (precision)."""
        figures = {
            "decision points": float(self.points),
            "read-only calls": float(self.reads),
            "name@1": self.name1 / (self.named or 1),
            "name@3": self.name3 / (self.named or 1),
            **{f"RO@{depth}": count / (self.reads or 1) for depth, count in self.exact.items()},
            "repeat in run@3": self.repeats / (self.reads or 1),
            "ECE": expected_calibration_error([self]),
        }
        for threshold in THRESHOLDS:
            hits, launched = self.hit[threshold], self.launched[threshold]
            figures[f"precision≥{threshold}"] = hits / (launched or 1)
            figures[f"coverage≥{threshold}"] = hits / (self.reads or 1)
            figures[f"waste≥{threshold}"] = (launched - hits) / (hits or 1)
        for verb, times in (("predict", self.predict_us), ("learn", self.learn_us)):
            figures[f"{verb} p50 µs"] = statistics.median(times) if times else 0.0
            figures[f"{verb} p99 µs"] = sorted(times)[int(len(times) * 0.99)] if times else 0.0
        return figures


def expected_calibration_error(scores: Sequence[Score]) -> float:
    """Mean distance of probability and hit rate over ten equal bins, of read-only candidates with at least 0.1."""
    bins: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for score in scores:
        for at, sums in score.bins.items():
            bins[at] = [total + part for total, part in zip(bins[at], sums, strict=True)]
    count = sum(sums[2] for sums in bins.values()) or 1.0
    return sum(abs(sums[0] - sums[1]) for sums in bins.values()) / count


def evaluate(predictor: Predictor, train: Sequence[Run], test: Sequence[Run], *, online: bool = True) -> Score:
    """Learn from *train*, then predict every model call of *test*, learning from it afterwards if *online*."""
    for run in train:
        for history, calls in run.decisions():
            predictor.learn(history, calls)
    score = Score()
    for run in test:
        past: set[str] = set()
        for history, calls in run.decisions():
            started = time.thread_time()
            candidates = predictor.predict(history, k=DEPTH)
            predicted = time.thread_time()
            if online:
                predictor.learn(history, calls)
                score.learn_us.append((time.thread_time() - predicted) * 1e6)
            score.predict_us.append((predicted - started) * 1e6)
            score.see(candidates, calls, past)
            past.update(key for call in calls if (key := _key(call)) is not None)
    return score


def measure(
    runs: Sequence[Run], make: Callable[[], Predictor], *, seeds: int, online: bool, by: str
) -> dict[str, float]:
    """Mean figures over *seeds* splits; the calibration error is that of all splits together (small ones overstate)."""
    scores = [evaluate(make(), *split(runs, seed, by=by), online=online) for seed in range(seeds)]
    parts = [score.figures() for score in scores]
    means = {name: statistics.fmean(figures[name] for figures in parts) for name in parts[0]}
    means["RO@1 ±"] = statistics.pstdev(figures["RO@1"] for figures in parts)
    means["RO@3 ±"] = statistics.pstdev(figures["RO@3"] for figures in parts)
    return {**means, "ECE": expected_calibration_error(scores)}


def _key(call: Call) -> str | None:
    try:
        return call.key
    except UnkeyableArguments:
        return None


def _paths(names: Sequence[str]) -> list[Path]:
    return [Path(name) for name in names] or sorted(FOLDER.glob("*.jsonl.gz"))


def _table(rows: Sequence[tuple[str, str, dict[str, float]]]) -> Iterator[str]:
    groups = f"{'name':>8}  {'read-only, exact':>22}  {'at p ≥ .5':>9}  {'wasted per hit':>14} {'CPU µs p50/p99':>22}"
    yield " " * 42 + groups
    yield (
        f"{'set':26} {'predictor':14} {'@1':>4} {'@3':>3}  {'@1':>5}±   {'@3':>5}±   {'@10':>4}"
        f"  {'prec':>4} {'cov':>4}  {'≥.3':>4} {'≥.5':>4} {'≥.7':>4}  {'ECE':>4}  {'predict':>9} {'learn':>9}"
    )
    for name, predictor, f in rows:
        yield (
            f"{name:26} {predictor:14} {f['name@1'] * 100:4.0f} {f['name@3'] * 100:3.0f}"
            f"  {f['RO@1'] * 100:5.1f}±{f['RO@1 ±'] * 100:<2.0f} {f['RO@3'] * 100:5.1f}±{f['RO@3 ±'] * 100:<2.0f}"
            f" {f['RO@10'] * 100:5.1f}  {f['precision≥0.5'] * 100:4.0f} {f['coverage≥0.5'] * 100:4.0f}"
            f"  {f['waste≥0.3']:4.2f} {f['waste≥0.5']:4.2f} {f['waste≥0.7']:4.2f}  {f['ECE']:4.2f}"
            f"  {f['predict p50 µs']:4.0f}/{f['predict p99 µs']:<4.0f}"
            f" {f['learn p50 µs']:4.0f}/{f['learn p99 µs']:<4.0f}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predictability", description=_FIRST_LINE)
    parser.add_argument("traces", nargs="*", help="trace files (default: all of ../shared/traces)")
    parser.add_argument("--seeds", type=int, default=5, help="splits to average over (default 5)")
    parser.add_argument("--split", choices=("task", "run"), default="task", help="what stays together (default: task)")
    parser.add_argument("--frozen", action="store_true", help="stop learning where the test part begins")
    parser.add_argument("--predictor", action="append", choices=sorted(PREDICTORS), help="default: all")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    options = parser.parse_args(argv)
    paths = _paths(options.traces)
    if not paths:
        print("skipped: no recordings named, and none in ../shared/traces beside the project", file=sys.stderr)
        return 0
    rows: list[tuple[str, str, dict[str, float]]] = []
    for path in paths:
        try:
            runs = read([path])
        except (OSError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        for name in options.predictor or PREDICTORS:
            figures = measure(runs, PREDICTORS[name], seeds=options.seeds, online=not options.frozen, by=options.split)
            rows.append((path.name.removesuffix(".gz").removesuffix(".jsonl"), name, figures))
    if options.json:
        report: dict[str, Any] = {"seeds": options.seeds, "split": options.split, "online": not options.frozen}
        report["sets"] = [{"set": name, "predictor": predictor, **figures} for name, predictor, figures in rows]
        print(json.dumps(report, ensure_ascii=False))
    else:
        print("\n".join(_table(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
