"""Which ways of putting a call together turn out right: patterns of whole calls, and how often each was.

A pattern says where each argument of a call came from, all arguments together, never what it was: a way that keeps
losing is muted, and arguments that belong together are found although each alone promises little.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from functools import lru_cache

import orjson

from langgraph_speculate.core.sums import Key
from langgraph_speculate.predict.knowledge import WAY, joined, split, text_of
from langgraph_speculate.predict.ledger import Evidence, Ledger, Word
from langgraph_speculate.predict.programs import Pick, Way, words_of_program
from langgraph_speculate.predict.rates import Rate
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.sources import Source

_MAX_TEXT = 2_000  # characters of a way that is written down
_WEIGHT = 2.0  # what the chance by single arguments weighs, in observations


class Patterns:
    """Learn and tell how often calls of a pattern were right, out of the times that they were on the shortlist.

    Args:
        size: How many patterns are remembered; those that were not seen for the longest time are forgotten first.
        ledger: Where what is learned is noted, to be written down.
    """

    def __init__(self, *, size: int = 16_000, ledger: Ledger | None = None) -> None:
        self._ledger = ledger or Ledger(Evidence())
        self._rates: Recent[Hashable, Rate] = Recent(size)

    def chance(self, pattern: Way, prior: float) -> float:
        """P(the message makes a call of *pattern* | it calls the tool), *prior* being what single arguments tell."""
        rate = self._rates.get(pattern)
        return prior if rate is None else rate.after(prior, _WEIGHT)

    def learn(self, pattern: Way, right: bool) -> None:
        """See whether a shortlisted call of *pattern* was made by a message that called its tool."""
        self._rates.touch(pattern, Rate).see(right)
        written = _written(pattern)
        if written is not None:
            words, key = written
            waits = self._ledger.waits(words, turned_up=right)
            self._ledger.hold(waits, key, right, 1.0)

    def recall(self, key: Key, hits: float, trials: float) -> None:
        """Know again how often a pattern was right (`knowledge.WAY`)."""
        origins = tuple([Pick(template, Source(*source), pick) for template, source, pick in orjson.loads(key[3])])
        self._rates.touch((key[1], split(key[2]), origins), Rate).recall(hits, trials)


@lru_cache(maxsize=4096)
def _written(pattern: Way) -> tuple[Sequence[Word], Key] | None:
    """The words in a pattern, and its key; None for patterns that are not written down: constants are values."""
    tool, shape, origins = pattern
    picks = [origin for origin in origins if isinstance(origin, Pick)]
    if len(picks) < len(origins):
        return None
    words = [word for pick in picks for word in words_of_program(tool, pick.template, pick.source)]
    text = text_of([[template, list(source), pick] for template, source, pick in picks], most=_MAX_TEXT)
    return None if text is None else (tuple(words), (WAY, tool, joined(shape), text))
