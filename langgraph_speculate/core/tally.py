"""How many bodies each tool has had, real and early ones together, against the limits on its calls."""

from __future__ import annotations

from collections import Counter

from langgraph_speculate.policy import ToolPolicy


class Tally:
    """Bodies of one run, and the early ones of its thread.

    A real call that adopts a result is one body, not two.

    Args:
        thread: By tool, the early bodies of earlier runs of the same thread that no real call adopted; kept up to date.

    >>> tally = Tally(Counter())
    >>> tally.launched("search")
    >>> tally.room("search", ToolPolicy(run_limit=2), asked=0, headroom=None)
    1
    """

    def __init__(self, thread: Counter[str]) -> None:
        self._thread = thread
        self._real: Counter[str] = Counter()
        self._early: Counter[str] = Counter()

    def launched(self, tool: str) -> None:
        """A body started early."""
        self._early[tool] += 1
        self._thread[tool] += 1

    def settled(self, tool: str) -> None:
        """A real call has its answer."""
        self._real[tool] += 1

    def adopted(self, tool: str) -> None:
        """It is the result of an early body."""
        self._early[tool] -= 1
        self._thread[tool] -= 1

    def room(self, tool: str, policy: ToolPolicy, asked: int, headroom: int | None) -> int | None:
        """How many more bodies of *tool* the limits allow, or None if there is no limit.

        Args:
            tool: The tool.
            policy: Its entry.
            asked: How often the model has asked for it in this thread.
            headroom: How many more calls of any tool the limits that are kept elsewhere allow, or None.
        """
        rooms = []
        if headroom is not None:
            rooms.append(headroom - self._early.total())
        if policy.run_limit is not None:
            rooms.append(policy.run_limit - self._real[tool] - self._early[tool])
        if policy.thread_limit is not None:
            rooms.append(policy.thread_limit - asked - self._thread[tool])
        return min(rooms, default=None)
