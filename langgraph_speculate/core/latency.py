"""How long tools take and how long models leave them: a distribution of each (`sketch.py`), learned online."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, NamedTuple

from langgraph_speculate.core.sketch import FEW, MIDDLE, TOP, Sketch, bucket_of, shorter_of
from langgraph_speculate.core.speculation import Stage
from langgraph_speculate.core.sums import Key, Pair, Sums

_RECALLED: Final = 64.0  # what was learned before this process began weighs no more than so many observations
_ANECDOTES: Final = 4  # observations that tell less than what is usual
_AT_ONCE_S: Final = 0.02  # what has passed so far is neglected
_PATIENT: Final = 3  # times as long as all but few bodies take: one that is still at it by then hangs
_ALL_BUT_FEW: Final = 0.97
_ON_THE_WAY: Final = 1.2  # a body that is sent away is on its way there and back, too
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
        self._thoughts: dict[str, Sketch] = {}
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

    def thought(self, model: str, seconds: float) -> None:
        """A call of *model* took so many seconds, to its last piece."""
        if model in self._thoughts or len(self._thoughts) < _MODELS:
            self._thoughts.setdefault(model, Sketch()).add(seconds)

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

    def overlap(self, tool: str, model: str) -> float:
        """Expected seconds that a body of *tool* and a call of *model* have in common if both start now."""
        body, thought = _known(self._tools.get(tool), _TOOL), _known(self._thoughts.get(model), _LEAD)
        return shorter_of(body.curve, thought.curve)

    def patience(self, tool: str, cap_s: float) -> float:
        """Seconds, counted from launch, for which a real call waits for a running body before it runs itself.

        Three times as long as all but the slowest of them take, and a quarter second: one still at it by then hangs.
        """
        sketch = self._tools.get(tool)
        return cap_s if sketch is None else min(cap_s, _PATIENT * sketch.quantile(_ALL_BUT_FEW) + _SLACK_S)

    def usual(self, tool: str) -> float:
        """Seconds within which nearly all bodies of *tool* have ended, wherever they run; 0 if none has been seen."""
        sketch = self._tools.get(tool)
        if sketch is None:
            return 0.0
        return max(_LEAST_HEDGE_S, _ON_THE_WAY * sketch.quantile(_ALL_BUT_FEW) / MIDDLE)  # the bucket's upper edge

    def hedge_after(self, tool: str) -> float | None:
        """Seconds after which one in twenty bodies of *tool* is still at it; None while little is known of it.

        At least 50 ms: whoever waits less than that for a fast tool is not helped by a second body.
        """
        sketch = self._tools.get(tool)
        if sketch is None or sketch.weight < FEW:
            return None
        # The bucket's upper edge: before that an even tool is not late. A second body takes its time, too.
        return max(_LEAST_HEDGE_S, sketch.quantile(_HEDGED) / MIDDLE)

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
    return bucket if (bucket := int(key[-1])) <= TOP else None


def _known(sketch: Sketch | None, otherwise: Sketch) -> Sketch:
    """What is known, once it is more than an anecdote."""
    return otherwise if sketch is None or sketch.weight < _ANECDOTES else sketch


def _always(seconds: float) -> Sketch:
    sketch = Sketch()
    sketch.add(seconds)
    return sketch


_TOOL: Final = _always(UNKNOWN_TOOL_S)
_LEAD: Final = _always(UNKNOWN_LEAD_S)
