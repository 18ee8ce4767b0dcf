"""What came of one policy in a replay, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.observe.stats import Stats
from langgraph_speculate.policy import SpeculationPolicy
from langgraph_speculate.replay.intervals import Sums, interval


@dataclass(frozen=True, slots=True)
class RunTimes:
    """One run, in seconds.

    Attributes:
        plain: Without speculation.
        ahead: With it.
        oracle: With every call that may run ahead started where the message before it ends: perfect one-step
            prediction.
        limited: The same with no more calls at one time than the limits of the policy let a message have.
        tools: That the plain run waits for its tools.
    """

    plain: float
    ahead: float
    oracle: float
    limited: float
    tools: float


@dataclass(frozen=True, slots=True)
class Share:
    """Share of the plain time that is saved.

    Attributes:
        value: Of all runs.
        low, high: Where it lies in 95 % of resamples of the runs.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, rows: Sequence[tuple[float, float]], seed: int) -> Share:
        """What is saved of the plain times of runs by the times beside them; *seed* draws the resamples."""
        plain_s, other_s = (sum(column) for column in zip(*rows, strict=True)) if rows else (0.0, 0.0)
        return cls(_saved((plain_s, other_s)), *interval(rows, _saved, seed))


class Compared:
    """Runs without speculation and with it.

    Attributes:
        runs: The times of each, in seconds: `plain`, `ahead` and others by name.
        seed: Draws the resamples.
    """

    runs: Sequence[Any]
    seed: int

    def total(self, name: str) -> float:
        """Seconds of all runs, by a field of them."""
        return float(sum(getattr(run, name) for run in self.runs))

    @cached_property
    def saved(self) -> Share:
        """What is saved of the plain time."""
        return self.saved_by("ahead")

    def saved_by(self, name: str) -> Share:
        """What would be with the times of that name."""
        return Share.of([(run.plain, getattr(run, name)) for run in self.runs], self.seed)


@dataclass(frozen=True)
class Variant(Compared):
    """What came of one policy.

    Attributes:
        name: What sets it apart.
        policy: The policy.
        runs: The times of each run played.
        stats: What happened, added up.
        seed: Draws the resamples.
    """

    name: str
    policy: SpeculationPolicy
    runs: Sequence[RunTimes]
    stats: Stats
    seed: int = 0

    @cached_property
    def perfect(self) -> Share:
        """What perfect one-step prediction would save."""
        return self.saved_by("oracle")

    @cached_property
    def limited(self) -> Share:
        """What it would save within the limits of the policy."""
        return self.saved_by("limited")

    @property
    def held_back(self) -> int:
        """Guesses that found no room beside others of the same message, or of the same run."""
        return sum(self.stats.denied.get(limit.value, 0) for limit in (Refusal.MAX_PER_TURN, Refusal.MAX_IN_FLIGHT))

    @property
    def width(self) -> int:
        """How many calls of one message may start early at one time."""
        return min(self.policy.limits.max_per_turn, self.policy.limits.max_in_flight)


def _saved(sums: Sums) -> float:
    plain, other = sums
    return 1 - other / plain if plain else 0.0
