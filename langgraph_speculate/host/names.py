"""Ids of what one process makes, which no other process gives: not even one that was forked off it."""

from __future__ import annotations

import itertools
import os
from uuid import uuid4


class Names:
    """Ids one after the other, all of one beginning.

    Args:
        kind: What stands before their numbers.

    >>> runs = Names()
    >>> first, second = runs.next(), runs.next()
    >>> first[-2:], second[-2:], first[:-2] == second[:-2]
    ('-1', '-2', True)
    """

    def __init__(self, kind: str = "") -> None:
        self._kind = kind
        self._process = 0
        self._prefix = ""
        self._count = itertools.count(1)

    def next(self) -> str:
        """One that was never given before."""
        process = os.getpid()
        if process != self._process:  # made just now, or one of two that were one
            self._process, self._prefix = process, uuid4().hex[:8]
        return f"{self._prefix}-{self._kind}{next(self._count)}"
