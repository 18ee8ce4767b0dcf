"""The command line of the fuzzing: `python -m tests.fuzz --configs 50000 --gates 5000`, or `--seed N` to replay one."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.fuzz.gates import ask
from tests.fuzz.judge import Failure, judge

SHOWN = 20  # failures that are printed


def main(arguments: list[str] | None = None) -> int:
    """Judge many policies and gate calls, or replay one; 1 when a promise was broken."""
    given = _parser().parse_args(arguments)
    if given.seed is not None:
        return _replay(given.seed)
    if given.gate_seed is not None:
        return _replay_gate(given.gate_seed)
    configs, gates = given.configs, given.gates
    if configs is gates is None:
        configs, gates = 2_000, 5_000
    reports: dict[str, Any] = {}
    failures: list[Failure] = []
    if configs:
        reports["policies"], found = policies(range(given.first_seed, given.first_seed + configs))
        failures += found
    if gates:
        reports["gates"], found = calls(range(given.first_seed, given.first_seed + gates))
        failures += found
    reports["failures"] = [asdict(failure) for failure in failures] if given.json else len(failures)
    if given.json:
        print(json.dumps(reports, indent=1))
    else:
        for failure in failures[:SHOWN]:
            print(failure)
        for name, report in reports.items():
            print(f"{name}: {report}")
    return 1 if failures else 0


def policies(seeds: Iterable[int]) -> tuple[dict[str, Any], list[Failure]]:
    """Judge the policies of those seeds; return figures, and what was wrong."""
    started = time.perf_counter()
    kinds: Counter[str] = Counter()
    readings = configs = 0
    failures: list[Failure] = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            judgement = judge(seed, Path(folder))
            configs += 1
            kinds[judgement.kind] += 1
            readings += judgement.readings
            failures += judgement.failures
    figures = {"configs": configs, "refusals asked for": readings, "seconds": round(time.perf_counter() - started, 1)}
    return {**figures, "mistakes": dict(sorted(kinds.items()))}, failures


def calls(seeds: Iterable[int]) -> tuple[dict[str, Any], list[Failure]]:
    """Ask the gate about those seeds; return figures, and what was wrong."""
    started = time.perf_counter()
    answers: Counter[str] = Counter()
    failures: list[Failure] = []
    for seed in seeds:
        answer = ask(seed)
        answers[answer.verdict] += 1
        failures += answer.failures
    took = round(time.perf_counter() - started, 1)
    return {"calls": answers.total(), "seconds": took, "answers": dict(answers.most_common())}, failures


def _replay(seed: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        judgement = judge(seed, Path(folder))
    print(f"policy: {judgement.data!r}\nmistake: {judgement.kind}")
    for failure in judgement.failures:
        print(failure)
    return 1 if judgement.failures else 0


def _replay_gate(seed: int) -> int:
    answer = ask(seed)
    print(f"asked: {answer.question}\nverdict: {answer.verdict}")
    for failure in answer.failures:
        print(failure)
    return 1 if answer.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--configs", type=int, help="how many policies to judge (2000 if neither is given)")
    parser.add_argument("--gates", type=int, help="how many calls of the gate to judge (5000 if neither is given)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay the policy of this seed alone")
    parser.add_argument("--gate-seed", type=int, help="replay the gate call of this seed alone")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
