"""Running sums behind counts: for all tools together, and for each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NO_SUCH_TOOL = "(no such tool)"
_COUNTED = (
    *("real_calls", "predicted", "launched", "hits", "ready", "joined"),
    *("hedged", "hedge_wins", "repeats", "misses", "wasted", "warmed", "warm_used"),
)
_TIMED = ("hidden_s", "wasted_s", "wasted_cost", "tool_wait_s", "warm_wasted_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What happened, for one tool or for all.

    Attributes:
        real_calls: Calls that the model made and a tool answered.
        predicted: Candidates that the predictor named.
        launched: Speculations that were started.
        hits: Real calls that adopted one; `ready` had finished by then, `joined` were still running.
        hedged: Joined speculations that took too long, so that the call was started once more; of these `hedge_wins`
            were answered by the second body.
        repeats: Real calls that a remembered answer of the same run answered (`read_through`); neither hits nor misses.
        misses: Real calls that ran as in the plain graph.
        wasted: Speculations that were discarded.
        denied: Why candidates were not started, or results not used: gate and budget reasons with their counts.
        hidden_s: Seconds of tool time that nobody waited for: per step the longest body minus the longest wait.
        wasted_s: Tool-seconds of discarded speculations.
        wasted_cost: What they cost in money, as the policy's `cost` says.
        tool_wait_s: Seconds that steps waited for their tools.
        amplification: All executions of tool bodies over real calls; 1.0 without speculation.
        warmed: Warm-ups that were started; `warm_used` are those that a real call of the tool came for.
        warm_wasted_s: Seconds of those that none came for.
    """

    real_calls: int = 0
    predicted: int = 0
    launched: int = 0
    hits: int = 0
    ready: int = 0
    joined: int = 0
    hedged: int = 0
    hedge_wins: int = 0
    repeats: int = 0
    misses: int = 0
    wasted: int = 0
    denied: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    hidden_s: float = 0.0
    wasted_s: float = 0.0
    wasted_cost: float = 0.0
    tool_wait_s: float = 0.0
    amplification: float = 1.0
    warmed: int = 0
    warm_used: int = 0
    warm_wasted_s: float = 0.0


class Tally:
    """Running sums behind one `Counts`."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.seconds: dict[str, float] = defaultdict(float)
        self.denied: Counter[str] = Counter()

    def fields(self) -> dict[str, object]:
        """What `Counts` is made of."""
        count, real = self.count, self.count["real_calls"]
        executions = count["misses"] + count["executed"]
        return {
            **{name: count[name] for name in _COUNTED},
            **{name: self.seconds[name] for name in _TIMED},
            "denied": MappingProxyType(dict(self.denied)),
            "amplification": executions / real if real else 1.0,
        }


class Tallies:
    """One tally for all tools, and one for each.

    Args:
        is_tool: Whether there is a tool of a name. Names that a predictor or a model made up share one line.

    >>> tallies = Tallies(lambda name: name == "get")
    >>> for name in ("get", "made up"):
    ...     tallies.add(name, predicted=1)
    >>> tallies.all.count["predicted"], sorted(tallies.by_tool())
    (2, ['(no such tool)', 'get'])
    """

    def __init__(self, is_tool: Callable[[str], bool]) -> None:
        self._is_tool = is_tool
        self.all = Tally()
        self._tools: dict[str, Tally] = defaultdict(Tally)

    def by_tool(self) -> Mapping[str, Counts]:
        """What happened to each tool so far, by name."""
        made = {name: Counts(**tally.fields()) for name, tally in sorted(self._tools.items())}  # type: ignore[arg-type]
        return MappingProxyType(made)

    def add(self, tool: str, **counts: int) -> None:
        """So many more of these."""
        for tally in self._both(tool):
            for name, count in counts.items():  # update() would keep the first True or False as it is
                tally.count[name] += count

    def spend(self, tool: str, **seconds: float) -> None:
        """So many more seconds, or so much more money."""
        for tally in self._both(tool):
            for name, value in seconds.items():
                tally.seconds[name] += value

    def deny(self, tool: str, reason: str, count: int) -> None:
        """So many were held back."""
        for tally in self._both(tool):
            tally.denied[reason] += count

    def _both(self, tool: str) -> tuple[Tally, Tally]:
        return self.all, self._tools[tool if self._is_tool(tool) else NO_SUCH_TOOL]
