"""Which tools a text speaks of: the words that models write before they call a tool, counted per tool.

Naive Bayes over the words of the text (after Maron, 1961), tempered because words come in company.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from math import exp, log

from langgraph_speculate.predict.recent import Recent

_WORD = re.compile(r"[^\W\d_]{2,}")
_MOST = 80  # words of a text that count: the last ones, which are nearest to the call
_WORDS = 20_000  # remembered
_TOOLS = 512  # remembered; models make names up
_CAUTION = 2.0  # texts that a tool must have been called after before its words count half
_COMPANY = 0.5  # how much each word is believed
_LIMIT = 4.0
_ANY = ""  # stands for whatever was called


class ToolWords:
    """Learn and tell which tools a text speaks of.

    >>> words = ToolWords()
    >>> for text, tool in [("Let me look up the order", "get_order"), ("I will search the web", "search")] * 4:
    ...     words.learn(text, {tool})
    >>> told = words.tell("First I look up your order", {"get_order": 0.5, "search": 0.5})
    >>> told["get_order"] > 0.8
    True
    """

    def __init__(self) -> None:
        self._counts: Recent[str, dict[str, float]] = Recent(_WORDS)
        self._texts: Recent[str, float] = Recent(_TOOLS)
        self._total = 0.0

    def texts(self, tool: str) -> float:
        """How many texts the tool was called after."""
        return self._texts.get(tool, 0.0)

    def learn(self, text: str, tools: Set[str]) -> None:
        """See the tools that a message called after that text."""
        self._total += 1.0
        for tool in tools:
            self._texts[tool] = self._texts.touch(tool, float) + 1.0
        for word in _words(text):
            counts = self._counts.touch(word, dict)
            counts[_ANY] = counts.get(_ANY, 0.0) + 1.0
            for tool in tools:
                counts[tool] = counts.get(tool, 0.0) + 1.0
            if len(counts) > 2 * _TOOLS:
                for tool in counts.keys() - self._texts.keys() - {_ANY}:
                    del counts[tool]

    def tell(self, text: str, chances: Mapping[str, float]) -> dict[str, float]:
        """P(tool is called) for each tool after that text, from what was expected before it; most probable first."""
        known = [counts for word in _words(text) if (counts := self._counts.get(word)) is not None]
        if not known or not any(chances.values()):
            return dict(chances)
        scores = {tool: chance * exp(self._evidence(tool, known)) for tool, chance in chances.items()}
        share = sum(chances.values()) / sum(scores.values())
        told = [(tool, min(1.0, score * share)) for tool, score in scores.items()]
        return dict(sorted(told, key=_by_chance))

    def _evidence(self, tool: str, known: list[dict[str, float]]) -> float:
        texts = self._texts.get(tool, 0.0)
        total = 0.0
        for counts in known:
            usual = (counts[_ANY] + 0.5) / (self._total + 1.0)
            total += log((counts.get(tool, 0.0) + _CAUTION * usual) / ((texts + _CAUTION) * usual))
        return max(-_LIMIT, min(_LIMIT, _COMPANY * total))


def _words(text: str) -> Set[str]:
    return {word.lower() for word in _WORD.findall(text)[-_MOST:]}


def _by_chance(entry: tuple[str, float]) -> tuple[float, str]:
    return -entry[1], entry[0]
