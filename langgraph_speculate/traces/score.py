"""How predictions compare with what the model then did: counts of one predictor on one test part.

Read-only calls are what could have run ahead, so hits are counted over them: a call is a hit at k where the first k
read-only candidates hold its name and identical canonical arguments. Hits are told apart by where the call was to be
had from: the run had made it already (*repeat*), another run had (*seen*), or it had to be put together (*derived*).
"""

from __future__ import annotations

import statistics
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.traces.effects import is_read_only

DEPTHS = (1, 3, 10)
ORIGINS = ("repeat", "seen", "derived")
THRESHOLDS = tuple(step / 20 for step in range(1, 20))  # at which probability a candidate would be launched
SHOWN_THRESHOLDS = (0.3, 0.5, 0.7)
_LEAST = 0.1  # candidates below are not asked to be calibrated: nobody launches them
_FAR = 1_000_000


@dataclass
class Hits:
    """Calls, and how many of them were predicted: `at[k]` among the first k candidates."""

    calls: int = 0
    at: Counter[int] = field(default_factory=Counter)

    def see(self, place: int) -> None:
        """Count one call that stood at *place* of the candidates, from 0."""
        self.calls += 1
        self.at.update(depth for depth in DEPTHS if place < depth)

    def share(self, depth: int) -> float:
        """Of the calls, how many were among the first *depth*, in [0, 1]."""
        return self.at[depth] / (self.calls or 1)

    def add(self, other: Hits) -> None:
        """Add the counts of another part."""
        self.calls += other.calls
        self.at.update(other.at)


@dataclass
class Bin:
    """Candidates of about one probability: how many, their probabilities added up, how many were right."""

    count: int = 0
    probability: float = 0.0
    hits: int = 0

    def add(self, other: Bin) -> None:
        """Add the counts of another part."""
        self.count += other.count
        self.probability += other.probability
        self.hits += other.hits


class Score:
    """Counts of one predictor on one test part, or on several added up."""

    def __init__(self) -> None:
        self.points = 0  # model calls
        self.steps_right = self.steps_calling = 0  # call or answer
        self.names = Hits()  # tools of a message, each once
        self.reads = Hits()
        self.by_tool: dict[str, Hits] = defaultdict(Hits)  # read-only calls
        self.others: Counter[str] = Counter()  # calls of tools that do more than read, or may
        self.by_origin: dict[str, Hits] = {origin: Hits() for origin in ORIGINS}
        self.bins: dict[int, Bin] = defaultdict(Bin)  # ten equal ones over [0, 1]
        self._launched = [0] * len(THRESHOLDS)  # candidates by the highest threshold that they reach
        self._hit = [0] * len(THRESHOLDS)
        self.predict_us: list[float] = []
        self.learn_us: list[float] = []

    def see(
        self,
        candidates: Sequence[Candidate],
        calls: Sequence[Call],
        past: Collection[str] = (),
        known: Collection[str] = (),
        calling: float | None = None,
    ) -> None:
        """Compare one prediction with the calls of the message.

        Args:
            candidates: Best first.
            calls: What the model asked for; none: it answered.
            past: Keys of the calls that this run had made before.
            known: Keys of the calls that the predictor had learned from other runs.
            calling: The predictor's P(the model calls a tool); None: what its candidates add up to.
        """
        self.points += 1
        expected = (sum(candidate.probability for candidate in candidates) if calling is None else calling) >= 0.5
        self.steps_right += expected == bool(calls)
        self.steps_calling += bool(calls)
        names = list(dict.fromkeys(candidate.call.name for candidate in candidates))
        for name in dict.fromkeys(call.name for call in calls):
            self.names.see(names.index(name) if name in names else _FAR)
        reads = _distinct(candidate for candidate in candidates if is_read_only(candidate.call))
        places = {key: place for place, key in enumerate(reads)}
        keys = [key_of(call) for call in calls]
        for call, key in zip(calls, keys, strict=True):
            if is_read_only(call):
                origin = "repeat" if key in past else "seen" if key in known else "derived"
                for hits in (self.reads, self.by_tool[call.name], self.by_origin[origin]):
                    hits.see(places.get(key, _FAR) if key is not None else _FAR)
            else:
                self.others[call.name] += 1
        for key, candidate in reads.items():
            self._weigh(candidate.probability, key in keys)

    def _weigh(self, probability: float, hit: bool) -> None:
        reached = bisect_right(THRESHOLDS, probability)
        if reached:
            self._launched[reached - 1] += 1
            self._hit[reached - 1] += hit
        if probability >= _LEAST:
            part = self.bins[min(int(probability * 10), 9)]
            part.count += 1
            part.probability += probability
            part.hits += hit

    def add(self, other: Score) -> None:
        """Add the counts of another part."""
        self.points += other.points
        self.steps_right += other.steps_right
        self.steps_calling += other.steps_calling
        self.names.add(other.names)
        self.reads.add(other.reads)
        for tool, hits in other.by_tool.items():
            self.by_tool[tool].add(hits)
        self.others.update(other.others)
        for origin, hits in other.by_origin.items():
            self.by_origin[origin].add(hits)
        for place, part in other.bins.items():
            self.bins[place].add(part)
        self._launched = [a + b for a, b in zip(self._launched, other._launched, strict=True)]
        self._hit = [a + b for a, b in zip(self._hit, other._hit, strict=True)]
        self.predict_us += other.predict_us
        self.learn_us += other.learn_us

    def curve(self) -> list[dict[str, float]]:
        """What launching every read-only candidate from a threshold on would come to, for each threshold.

        `precision` is the share of launches that hit, `coverage` the share of read-only calls that were hit, `waste`
        the launches in vain for each hit (for each launch where nothing hit).
        """
        launched, hits = _from_the_top(self._launched), _from_the_top(self._hit)
        return [
            {
                "threshold": threshold,
                "launched": tried,
                "hits": hit,
                "precision": hit / (tried or 1),
                "coverage": hit / (self.reads.calls or 1),
                "waste": (tried - hit) / (hit or 1),
            }
            for threshold, tried, hit in zip(THRESHOLDS, launched, hits, strict=True)
        ]

    def reliability(self) -> list[dict[str, float]]:
        """For each tenth of probability that holds candidates: mean probability, share that hit, how many."""
        return [
            {"probability": part.probability / part.count, "hit": part.hits / part.count, "count": part.count}
            for _, part in sorted(self.bins.items())
        ]

    @property
    def calibration_error(self) -> float:
        """Mean distance of probability and hit rate over ten equal bins, of read-only candidates with at least 0.1."""
        distances = sum(abs(part.probability - part.hits) for part in self.bins.values())
        return distances / (sum(part.count for part in self.bins.values()) or 1)

    def figures(self) -> dict[str, float]:
        """Shares of named calls (`name@k`), of read-only calls (`RO@k`, coverage) and of candidates (precision)."""
        calling = self.steps_calling
        figures = {
            "decision points": float(self.points),
            "read-only calls": float(self.reads.calls),
            "step type": self.steps_right / (self.points or 1),
            "step type, always the same": max(calling, self.points - calling) / (self.points or 1),
            **{f"name@{depth}": self.names.share(depth) for depth in (1, 3)},
            **{f"RO@{depth}": self.reads.share(depth) for depth in DEPTHS},
        }
        for origin, hits in self.by_origin.items():
            figures |= {f"{origin}@{depth}": hits.at[depth] / (self.reads.calls or 1) for depth in DEPTHS}
        figures["ECE"] = self.calibration_error
        for point in self.curve():
            if point["threshold"] in SHOWN_THRESHOLDS:
                figures |= {f"{name}≥{point['threshold']}": point[name] for name in ("precision", "coverage", "waste")}
        for verb, times in (("predict", self.predict_us), ("learn", self.learn_us)):
            figures[f"{verb} p50 µs"] = statistics.median(times) if times else 0.0
            figures[f"{verb} p99 µs"] = sorted(times)[int(len(times) * 0.99)] if times else 0.0
        return figures

    def tools(self) -> dict[str, dict[str, Any]]:
        """For each read-only tool, most calls first: its calls, and the share predicted at 1, 3 and 10."""
        ranked = sorted(self.by_tool.items(), key=lambda item: (-item[1].calls, item[0]))
        return {
            tool: {"calls": hits.calls, **{f"RO@{depth}": hits.share(depth) for depth in DEPTHS}}
            for tool, hits in ranked
        }


def _distinct(candidates: Iterable[Candidate]) -> dict[str, Candidate]:
    """Candidates by key; nobody launches a call twice, nor one that cannot be compared."""
    distinct: dict[str, Candidate] = {}
    for candidate in candidates:
        key = key_of(candidate.call)
        if key is not None:
            distinct.setdefault(key, candidate)
    return distinct


def _from_the_top(counts: Sequence[int]) -> list[int]:
    return list(accumulate(reversed(counts)))[::-1]
