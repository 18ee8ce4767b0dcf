"""What is counted for dashboards: a few series with fixed labels, and which event adds how much to which.

Where they are kept is a backend's business (`observe/opentelemetry.py`, `observe/prometheus.py`). Sums do not depend on
the order of events, so they may come from any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from langgraph_speculate.core import events

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of a histogram's buckets, in seconds."""

OTHER = "(other)"
_MOST_TOOLS = 200  # with a line of their own: names of tools may come from servers that make up more and more


@dataclass(frozen=True, slots=True)
class Series:
    """One series.

    Attributes:
        name: Without the prefix that a backend adds.
        kind: `counter` only grows, a `histogram` sorts into buckets, a `gauge` goes up and down.
        unit: In UCUM's letters: `s`, or what is counted, in braces.
        description: What one of it is.
        labels: Their names; each set of values is a line of its own.
    """

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    description: str
    labels: tuple[str, ...] = ("tool",)


SPECULATIONS = Series(
    "speculations",
    "counter",
    "{speculation}",
    "Speculations that ended: ready or joined if a real call took the result, otherwise why they were discarded.",
    ("tool", "outcome"),
)
CALLS = Series(
    "calls",
    "counter",
    "{call}",
    "Real calls: ready or joined if they took the result of a speculation, repeat, or miss.",
    ("tool", "outcome"),
)
HIDDEN = Series("hidden", "histogram", "s", "Tool-seconds of a step that nobody waited for, by its longest tool.")
WASTED = Series("wasted", "histogram", "s", "Tool-seconds of a discarded speculation.")
IN_FLIGHT = Series("in_flight", "gauge", "{speculation}", "Speculations that have not ended.")
ALL = (SPECULATIONS, CALLS, HIDDEN, WASTED, IN_FLIGHT)

Add = Callable[[Series, float, tuple[str, ...]], None]


def outcome_of(call: events.CallSettled) -> str:
    """How a real call got its answer: `ready`, `joined`, `repeat` or `miss`.

    >>> outcome_of(events.CallSettled(run="r", at=1.0, tool="t", id=None, joined=False, waited_s=1.0, tool_s=1.0))
    'miss'
    """
    if call.id is None:
        return "repeat" if call.repeat else "miss"
    return "joined" if call.joined else "ready"


class Measures:
    """An observer that tells a backend how much to add to which series.

    Args:
        add: Called with the series, the amount, and the labels' values.

    >>> seen = []
    >>> Measures(lambda *told: seen.append(told))(events.Wasted(run="r", at=1.0, id="s", tool="look", seconds=0.5))
    >>> [(series.name, amount, labels) for series, amount, labels in seen]
    [('wasted', 0.5, ('look',))]
    """

    def __init__(self, add: Add) -> None:
        self._add = add
        self._lines: set[str] = set()

    def __call__(self, event: events.Event) -> None:
        """Take in an event."""
        match event:
            case events.Launched(tool=tool):
                self._add(IN_FLIGHT, 1, (self._line(tool),))
            case events.Committed(tool=tool):
                self._add(IN_FLIGHT, -1, (self._line(tool),))
            case events.Discarded(tool=tool, reason=reason):
                self._add(IN_FLIGHT, -1, (self._line(tool),))
                self._add(SPECULATIONS, 1, (self._line(tool), reason))
            case events.CallSettled(tool=tool, id=id):
                labels = (self._line(tool), outcome_of(event))
                self._add(CALLS, 1, labels)
                if id is not None:
                    self._add(SPECULATIONS, 1, labels)
            case events.StepSettled(tool=tool, tool_s=tool_s, waited_s=waited_s):
                self._add(HIDDEN, max(0.0, tool_s - waited_s), (self._line(tool),))
            case events.Wasted(tool=tool, seconds=seconds):
                self._add(WASTED, max(0.0, seconds), (self._line(tool),))

    def _line(self, tool: str) -> str:
        """The line of a tool; those that come late share one."""
        if tool in self._lines:
            return tool
        if len(self._lines) >= _MOST_TOOLS:
            return OTHER
        self._lines.add(tool)
        return tool
