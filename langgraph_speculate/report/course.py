"""How shares change over a log whose length nobody knows yet, in a bounded number of stretches."""

from __future__ import annotations

from collections import Counter


class Course:
    """Counts by stretches of real calls; when there are too many stretches, each two become one.

    Args:
        most: Stretches at most; an even number.
        width: Real calls of a full stretch, to begin with.

    Attributes:
        width: Real calls of a full stretch now.

    >>> course = Course(most=2, width=1)
    >>> for call in range(5):
    ...     course.add("calls")
    ...     course.add("hits", call > 1)
    ...     course.next()
    >>> course.width, [dict(counts) for counts in course.stretches()]
    (4, [{'calls': 4, 'hits': 2}, {'calls': 1, 'hits': 1}])
    """

    def __init__(self, most: int = 40, width: int = 5) -> None:
        self.width = width
        self._most = most
        self._full: list[Counter[str]] = []
        self._open: Counter[str] = Counter()
        self._filled = 0

    def add(self, name: str, count: int = 1) -> None:
        """Count something in the stretch under way."""
        self._open[name] += count

    def next(self) -> None:
        """A real call is over."""
        self._filled += 1
        if self._filled < self.width:
            return
        self._full.append(self._open)
        self._open, self._filled = Counter(), 0
        if len(self._full) == self._most:
            halves = zip(self._full[::2], self._full[1::2], strict=True)
            self._full = [first + second for first, second in halves]
            self.width *= 2

    def stretches(self) -> list[Counter[str]]:
        """What was counted, oldest stretch first; the last may be shorter than the others."""
        return [*self._full, *([self._open] if self._open.total() else [])]
