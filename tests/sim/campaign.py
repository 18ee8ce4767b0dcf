"""Many pairs, in several processes, and what came of them."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.sim.answering import ZOO as ANSWERING
from tests.sim.crowds import ZOO as CROWDS
from tests.sim.foresight import ZOO as FORESIGHT
from tests.sim.loop import Mode
from tests.sim.pair import judge
from tests.sim.previews import ZOO as PREVIEWS
from tests.sim.quiet import quiet
from tests.sim.shapes import Zoo
from tests.sim.streaming import ZOO as STREAMING
from tests.sim.zoo import ZOO as PLAIN

ZOOS: dict[str, Zoo] = {zoo.name: zoo for zoo in (PLAIN, STREAMING, ANSWERING, FORESIGHT, CROWDS, PREVIEWS)}
_PORTION = 50  # pairs between two reports of a process


@dataclass
class Tally:
    """What came of some pairs.

    Attributes:
        zoo: The name of the zoo that their programs are from.
        pairs: How many.
        shapes, predictors: How many of each kind.
        counts: Launches, adoptions and discards by reason.
        launched: Speculative starts by shape.
        racy: Pairs of which plain itself can have several outcomes, and had the speculative one.
        schedules: The most plain runs that one of them took.
        saved_s: Virtual seconds saved.
        mismatches: (seed, shape, predictor, clause, where, detail).
        wall_s: Real seconds.
    """

    zoo: str = "plain"
    pairs: int = 0
    shapes: Counter[str] = field(default_factory=Counter)
    predictors: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    launched: Counter[str] = field(default_factory=Counter)
    racy: int = 0
    schedules: int = 0
    saved_s: float = 0.0
    mismatches: list[tuple[int, str, str, str, str, str]] = field(default_factory=list)
    wall_s: float = 0.0

    def judge(self, seed: int, mode: Mode) -> None:
        """Judge the pair of a seed and take in what came of it."""
        program = ZOOS[self.zoo].program_of(seed)
        verdict = judge(program, mode)
        self.pairs += 1
        self.shapes[program.shape] += 1
        self.predictors[program.predictor] += 1
        self.counts.update(verdict.counts)
        self.launched[program.shape] += verdict.counts["launched"]
        self.racy += verdict.racy
        self.schedules = max(self.schedules, verdict.schedules)
        self.saved_s += verdict.saved_s
        self.mismatches += [
            (seed, program.shape, program.predictor, m.clause, m.where, m.detail) for m in verdict.mismatches
        ]

    def add(self, other: Tally) -> None:
        """Take in what came of other pairs."""
        self.pairs += other.pairs
        for name in ("shapes", "predictors", "counts", "launched"):
            getattr(self, name).update(getattr(other, name))
        self.racy += other.racy
        self.schedules = max(self.schedules, other.schedules)
        self.saved_s += other.saved_s
        self.mismatches += other.mismatches

    def missing(self) -> list[str]:
        """Shapes and predictors that did not occur, and shapes of which nothing ran ahead although it may."""
        zoo = ZOOS[self.zoo]
        shapes = [name for name in zoo.shapes if name not in zoo.known]
        return [
            *(f"shape {name}" for name in shapes if not self.shapes[name]),
            *(f"predictor {name}" for name in zoo.predictors if not self.predictors[name]),
            *(f"starts of {name}" for name in shapes if name not in zoo.silent and not self.launched[name]),
        ]


def portion(seeds: Iterable[int], mode: Mode = "fifo", zoo: str = "plain") -> Tally:
    """Judge the pairs of some seeds in this process."""
    tally, began = Tally(zoo), time.perf_counter()
    with quiet():
        for seed in seeds:
            tally.judge(seed, mode)
    tally.wall_s = time.perf_counter() - began
    return tally


def campaign(
    first: int,
    pairs: int,
    jobs: int = 2,
    mode: Mode = "fifo",
    report: Callable[[Tally], Any] | None = None,
    zoo: str = "plain",
) -> Tally:
    """Judge *pairs* pairs from the seed *first* on, in *jobs* processes.

    Args:
        first: The first seed.
        pairs: How many.
        jobs: Processes; one stays in this process.
        mode: The loop's.
        report: Called with the tally so far, now and then.
        zoo: Where the programs are from, a name in `ZOOS`.
    """
    total, began = Tally(zoo), time.perf_counter()
    work = [(range(at, min(at + _PORTION, first + pairs)), mode, zoo) for at in range(first, first + pairs, _PORTION)]
    for tally in _done(work, jobs):
        total.add(tally)
        total.wall_s = time.perf_counter() - began
        if report is not None:
            report(total)
    return total


def _done(work: list[tuple[range, Mode, str]], jobs: int) -> Iterator[Tally]:
    if jobs <= 1:
        yield from (portion(*one) for one in work)
        return
    os.environ.setdefault("PYTHONHASHSEED", "0")
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_portion, work)


def _portion(one: tuple[range, Mode, str]) -> Tally:
    return portion(*one)
