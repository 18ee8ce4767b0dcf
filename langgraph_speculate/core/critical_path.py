"""What one step hid: the longest body among its calls minus the longest wait.

Parallel calls count once. Overlap that is merely added up is not time saved: two bodies of 2 s that overlap the model
by 1.1 s together may shorten a run by 0.05 s. Calls that a node makes one after the other count as if they were
parallel, so for those this says less than was saved, never more.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepTimes:
    """The critical path of one step's calls.

    Attributes:
        tool: The tool of the longest body.
        tool_s: Seconds of that body: what the plain graph would have waited.
        waited_s: Seconds of the longest wait.
    """

    tool: str
    tool_s: float
    waited_s: float

    @property
    def hidden_s(self) -> float:
        """Seconds of tool time that nobody waited for; negative if waiting cost more than running."""
        return self.tool_s - self.waited_s


class CriticalPath:
    """Collects the calls of the step under way.

    Attributes:
        hidden_s: Seconds that the steps so far have hidden, those that are settled.

    >>> path = CriticalPath()
    >>> path.add("search", tool_s=2.0, waited_s=0.5)
    >>> path.add("look_up", tool_s=1.0, waited_s=1.0)
    >>> path.settle()
    StepTimes(tool='search', tool_s=2.0, waited_s=1.0)
    >>> path.settle() is None
    True
    """

    def __init__(self) -> None:
        self._calls: list[StepTimes] = []
        self.hidden_s = 0.0

    def add(self, tool: str, *, tool_s: float, waited_s: float) -> None:
        """A call of the step got its answer."""
        self._calls.append(StepTimes(tool, tool_s, waited_s))

    def settle(self) -> StepTimes | None:
        """The step is over: its times, or None if it had no calls."""
        calls, self._calls = self._calls, []
        if not calls:
            return None
        slowest = max(calls, key=lambda call: call.tool_s)
        times = StepTimes(slowest.tool, slowest.tool_s, max(call.waited_s for call in calls))
        self.hidden_s += times.hidden_s
        return times
