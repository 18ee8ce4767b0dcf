"""How long tools take and how long models leave them: distributions, learned online.

Seconds are counted in buckets that grow by a fifth, so that quantiles are off by a tenth at most and any number of
observations takes the same room (DDSketch, Masson et al. 2019). A body that was stopped is not lost: it took at least
as long as it ran, and is counted as such (Kaplan and Meier, 1958).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from operator import mul, sub
from typing import Final, NamedTuple

from langgraph_speculate.core.speculation import Stage
from langgraph_speculate.core.sums import Key, Pair, Sums

_GROWTH: Final = 1.2
_LEAST_S: Final = 0.0001
_TOP: Final = 100  # the last bucket ends after two hours
_EDGES: Final = tuple(_LEAST_S * _GROWTH**index for index in range(_TOP + 1))
_LOG: Final = math.log(_GROWTH)
_HEAVY: Final = 512.0  # observations after which old ones count half
_RECALLED: Final = 64.0  # what was learned before this process began weighs no more than so many observations
_ANECDOTES: Final = 4  # observations that tell less than what is usual
_FEW: Final = 16  # observations up to which each one is taken into account at once
_MIDDLE: Final = 2 / (1 + _GROWTH)  # a bucket's upper edge times this is nowhere far from what is in it
_STEADY: Final = 4  # beyond these, a quarter more of them is worth another look
_AT_ONCE_S: Final = 0.02  # what has passed so far is neglected
_PATIENT: Final = 3  # times as long as all but few bodies take: one that is still at it by then hangs
_ALL_BUT_FEW: Final = 0.97
_SLACK_S: Final = 0.25
_MODELS: Final = 64  # whose leads are kept apart
_LOOKED_UP: Final = 128  # moments of turns for which expectations are kept
_MANY: Final = 1e9  # no honest sum is beyond
_HEDGED: Final = 0.95
_LEAST_HEDGE_S: Final = 0.05

TOOK, LEFT = "took", "left"
"""Kinds of sums (`core/sums.py`): how long a tool took, how long a model left it, by bucket."""

UNKNOWN_TOOL_S: Final = 0.3
"""What a tool is thought to take of which nothing is known: a database or an API, not a look into memory."""

UNKNOWN_LEAD_S: Final = 1.0
"""What a model is thought to leave of which nothing is known."""

_WIDTHS: Final = tuple(map(sub, _EDGES[1:], _EDGES))


class Sketch:
    """A distribution of seconds, some of them only known to be longer.

    >>> sketch = Sketch()
    >>> for seconds in (0.1, 0.2, 0.3):
    ...     sketch.add(seconds)
    >>> sketch.add(0.25, ended=False)
    >>> round(sketch.quantile(0.5), 1), sketch.survival(1.0)
    (0.2, 0.0)
    """

    __slots__ = ("_curve", "_cut", "_ended", "_stale", "version", "weight")

    def __init__(self) -> None:
        self._ended = [0.0] * (_TOP + 1)
        self._cut = [0.0] * (_TOP + 1)
        self._curve: tuple[float, ...] = ()
        self._stale = 0
        self.weight = 0.0
        self.version = 0

    def add(self, seconds: float, *, ended: bool = True, weight: float = 1.0) -> None:
        """It took so many seconds; unless it *ended* by itself, it would have taken longer."""
        self.put(bucket_of(seconds), ended=ended, weight=weight)

    def put(self, bucket: int, *, ended: bool = True, weight: float = 1.0) -> None:
        """The same by the number of the bucket."""
        (self._ended if ended else self._cut)[bucket] += weight
        self.weight += weight
        self._stale += 1
        if self.weight > _HEAVY:
            self.scale(0.5)
        if self.weight <= _FEW or self._stale > self.weight / _STEADY:
            self._renew()

    def merge(self, other: Sketch, factor: float) -> None:
        """Count what another saw, too, *factor* times as much."""
        self._ended = [mine + factor * theirs for mine, theirs in zip(self._ended, other._ended, strict=True)]
        self._cut = [mine + factor * theirs for mine, theirs in zip(self._cut, other._cut, strict=True)]
        self.weight += factor * other.weight
        self._renew()

    def _renew(self) -> None:
        self._curve, self._stale = (), 0
        self.version += 1

    def scale(self, factor: float) -> None:
        """Let what was seen so far count *factor* times as much."""
        self._ended = [count * factor for count in self._ended]
        self._cut = [count * factor for count in self._cut]
        self.weight *= factor

    @property
    def curve(self) -> tuple[float, ...]:
        """P(longer than the bucket), by bucket; computed anew when enough has changed."""
        if not self._curve:
            self._curve = self._estimated()
        return self._curve

    def _estimated(self) -> tuple[float, ...]:
        at_risk, alive, curve = self.weight, 1.0, []
        for ended, cut in zip(self._ended, self._cut, strict=True):
            if ended and at_risk > 0:
                alive *= max(0.0, 1.0 - ended / at_risk)
            at_risk -= ended + cut
            curve.append(alive if at_risk > 1e-9 else 0.0)  # beyond the longest that was seen nothing is known
        return tuple(curve)

    def survival(self, seconds: float) -> float:
        """P(it takes longer)."""
        return self.curve[bucket_of(seconds)]

    def quantile(self, share: float) -> float:
        """The seconds within which *share* of them end, in [0, 1]."""
        index = next((index for index, alive in enumerate(self.curve) if 1.0 - alive >= share), _TOP)
        return _EDGES[index] * _MIDDLE

    def left(self, elapsed: float) -> tuple[float, ...]:
        """The curve of what is left once so many seconds have passed."""
        if elapsed <= 0:
            return self.curve
        alive = self.survival(elapsed)
        return tuple(self.survival(elapsed + edge) / alive if alive > 0 else 0.0 for edge in _EDGES)

    def mean(self) -> float:
        """The expected seconds."""
        return _area(self.curve)


def bucket_of(seconds: float) -> int:
    """The number of the bucket that holds so many seconds.

    >>> bucket_of(0.0), bucket_of(1.0), bucket_of(1e9)
    (0, 51, 100)
    """
    if not seconds > _LEAST_S:
        return 0
    if seconds >= _EDGES[_TOP]:
        return _TOP
    return min(_TOP, math.ceil(math.log(seconds / _LEAST_S) / _LOG - 1e-9))


def shorter_of(first: Iterable[float], second: Iterable[float]) -> float:
    """E[min(first, second)] of two that are independent: the area under the product of their curves."""
    return _area(map(mul, first, second))


def _area(curve: Iterable[float]) -> float:
    return float(_LEAST_S + sum(map(mul, _WIDTHS, curve))) * _MIDDLE


class Expected(NamedTuple):
    """What is expected of a body.

    Attributes:
        takes_s: Its seconds.
        hides_s: Those of them that pass before its real call arrives.
    """

    takes_s: float
    hides_s: float


class Ahead:
    """What is expected of bodies that start at one moment of a model's turn; kept until more is known.

    Args:
        tools: How long each tool takes.
        lead: How long the model leaves them, from the beginning of that moment on.
        elapsed: Seconds since then.
    """

    __slots__ = ("_expected", "_lead", "_left", "_tools", "_version")

    def __init__(self, tools: Mapping[str, Sketch], lead: Sketch, elapsed: float) -> None:
        self._tools = tools
        self._lead = lead
        self._version = lead.version
        self._left = lead.left(elapsed)
        self._expected: dict[str, tuple[Sketch, int, Expected]] = {}

    def is_of(self, lead: Sketch) -> bool:
        """Whether *lead* is what it was made for, and has not changed."""
        return lead is self._lead and lead.version == self._version

    def of(self, tool: str) -> Expected:
        """What is expected of a body of *tool*."""
        body = _known(self._tools.get(tool), _TOOL)
        known = self._expected.get(tool)
        if known is None or known[0] is not body or known[1] != body.version:
            expected = Expected(body.mean(), shorter_of(body.curve, self._left))
            known = self._expected[tool] = body, body.version, expected
        return known[2]


class Latencies:
    """What is known of a graph's tools and models.

    The lead of a model is the time from a moment of its turn (it begins, text arrives, …: `Stage`) to the first call of
    the step; with depth 2 from that moment to the first call of the step after it, and so on.

    >>> latencies = Latencies()
    >>> for _ in range(4):
    ...     latencies.took("search", 0.2)
    ...     latencies.left("gpt", Stage.BEGIN, 1, 2.0)
    >>> round(latencies.ahead("gpt").of("search").hides_s, 1), latencies.patience("unknown", cap_s=30.0)
    (0.2, 30.0)
    """

    def __init__(self) -> None:
        self._tools: dict[str, Sketch] = {}
        self._leads: dict[tuple[str, str, str], Sketch] = {}
        self._new: Counter[tuple[Key, bool]] = Counter()
        self._ahead: dict[tuple[str, str, int, int], Ahead] = {}

    # -- learning ----------------------------------------------------------------------------------------------------

    def took(self, tool: str, seconds: float, *, ended: bool = True) -> None:
        """A body of *tool* ran for so many seconds, to its end or until it was stopped."""
        self._tool(tool).add(seconds, ended=ended)
        self._new[(TOOK, tool, str(bucket_of(seconds))), ended] += 1

    def left(self, model: str, stage: Stage, depth: int, seconds: float) -> None:
        """So many seconds passed from a moment of a turn of *model* to a call."""
        sketch = self._lead((model, stage.value, str(depth)))
        if sketch is not None:
            sketch.add(seconds)
            self._new[(LEFT, model, stage.value, str(depth), str(bucket_of(seconds))), True] += 1

    # -- knowing -----------------------------------------------------------------------------------------------------

    def ahead(self, model: str, stage: Stage = Stage.BEGIN, depth: int = 1, elapsed: float = 0.0) -> Ahead:
        """What is expected of bodies that start now.

        Args:
            model: The model whose turn it is.
            stage: How much of its message is known.
            depth: 1 for a call of this message, 2 for one of the next, and so on.
            elapsed: Seconds since that moment.
        """
        lead = _known(self._leads.get((model, stage.value, str(depth))), _LEAD)
        elapsed = 0.0 if elapsed < _AT_ONCE_S else elapsed
        key = model, stage.value, depth, bucket_of(elapsed)
        known = self._ahead.get(key)
        if known is None or not known.is_of(lead):
            if len(self._ahead) >= _LOOKED_UP:
                self._ahead.clear()
            known = self._ahead[key] = Ahead(self._tools, lead, elapsed)
        return known

    def mean(self, tool: str) -> float | None:
        """Seconds that a body of *tool* is expected to take, or None if none has been seen."""
        sketch = self._tools.get(tool)
        return None if sketch is None else sketch.mean()

    def patience(self, tool: str, cap_s: float) -> float:
        """Seconds, counted from launch, for which a real call waits for a running body before it runs itself.

        Three times as long as all but the slowest of them take, and a quarter second: one still at it by then hangs.
        """
        sketch = self._tools.get(tool)
        return cap_s if sketch is None else min(cap_s, _PATIENT * sketch.quantile(_ALL_BUT_FEW) + _SLACK_S)

    def hedge_after(self, tool: str) -> float | None:
        """Seconds after which one in twenty bodies of *tool* is still at it; None while little is known of it.

        At least 50 ms: whoever waits less than that for a fast tool is not helped by a second body.
        """
        sketch = self._tools.get(tool)
        if sketch is None or sketch.weight < _FEW:
            return None
        # The bucket's upper edge: before that an even tool is not late. A second body takes its time, too.
        return max(_LEAST_HEDGE_S, sketch.quantile(_HEDGED) / _MIDDLE)

    # -- keeping -----------------------------------------------------------------------------------------------------

    def take(self) -> Sums:
        """Hand over what was learned since the last time, as sums that merge in any order."""
        taken, self._new = self._new, Counter()
        sums: Sums = {}
        for (key, ended), count in taken.items():
            hits, trials = sums.get(key, (0.0, 0.0))
            sums[key] = (hits + count * ended, trials + count)
        return sums

    def give(self, sums: Mapping[Key, Pair]) -> None:
        """Know what was written down, besides what was learned since; what cannot be understood is left out."""
        found: dict[Key, Sketch] = {}
        for key, (hits, trials) in sums.items():
            bucket = _bucket_in(key)
            if bucket is not None and 0 <= hits <= trials <= _MANY:
                sketch = found.setdefault(key[:-1], Sketch())
                for ended, count in ((True, hits), (False, trials - hits)):
                    if count:
                        sketch.put(bucket, ended=ended, weight=count)
        for name, sketch in found.items():
            self._recall(name, sketch)

    def _recall(self, name: Key, known: Sketch) -> None:
        sketch = self._tool(name[1]) if name[0] == TOOK else self._lead((name[1], name[2], name[3]))
        if sketch is not None:
            sketch.merge(known, min(1.0, _RECALLED / known.weight))

    def _tool(self, name: str) -> Sketch:
        return self._tools.setdefault(name, Sketch())

    def _lead(self, key: tuple[str, str, str]) -> Sketch | None:
        if key not in self._leads and len({model for model, _, _ in self._leads} - {key[0]}) >= _MODELS:
            return None  # names that change with each call
        return self._leads.setdefault(key, Sketch())


def _bucket_in(key: Key) -> int | None:
    """The bucket that a sum counts, or None where it is none of ours."""
    if key[:1] not in ((TOOK,), (LEFT,)) or len(key) != (3 if key[0] == TOOK else 5) or not key[-1].isdecimal():
        return None
    return bucket if (bucket := int(key[-1])) <= _TOP else None


def _known(sketch: Sketch | None, otherwise: Sketch) -> Sketch:
    """What is known, once it is more than an anecdote."""
    return otherwise if sketch is None or sketch.weight < _ANECDOTES else sketch


def _always(seconds: float) -> Sketch:
    sketch = Sketch()
    sketch.add(seconds)
    return sketch


_TOOL: Final = _always(UNKNOWN_TOOL_S)
_LEAD: Final = _always(UNKNOWN_LEAD_S)
