"""Which ways of putting a call together turn out right: patterns of whole calls, and how often each was.

A pattern says where each argument of a call came from, all arguments together, never what it was: a way that keeps
losing is muted, and arguments that belong together are found although each alone promises little.
"""

from __future__ import annotations

from collections.abc import Hashable

from langgraph_speculate.predict.programs import Rate
from langgraph_speculate.predict.recent import Recent

_WEIGHT = 2.0  # what the chance by single arguments weighs, in observations


class Patterns:
    """Learn and tell how often calls of a pattern were right, out of the times that they were on the shortlist.

    Args:
        size: How many patterns are remembered; those that were not seen for the longest time are forgotten first.
    """

    def __init__(self, *, size: int = 16_000) -> None:
        self._rates: Recent[Hashable, Rate] = Recent(size)

    def chance(self, pattern: Hashable, prior: float) -> float:
        """P(the message makes a call of *pattern* | it calls the tool), *prior* being what single arguments tell."""
        rate = self._rates.get(pattern)
        return prior if rate is None else rate.after(prior, _WEIGHT)

    def learn(self, pattern: Hashable, right: bool) -> None:
        """See whether a shortlisted call of *pattern* was made by a message that called its tool."""
        self._rates.touch(pattern, Rate).see(right)
