"""What the text of a message says about the calls that follow it in the same message.

It may speak of a tool (`toolwords.py`), and hold arguments that stand nowhere else. So where values come from is
counted once more for messages that begin with text, with that text among the sources; how far to trust what comes out,
beside what was expected before the message began, is learned as ever (`ranker.py`). In memory alone: this is all out of
payloads.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import log
from typing import Any, NamedTuple

from langgraph_speculate.core.calls import Call
from langgraph_speculate.predict.bindings import Bindings, grouped
from langgraph_speculate.predict.ledger import Evidence, Ledger
from langgraph_speculate.predict.ranker import Ranker, log_odds
from langgraph_speculate.predict.sources import WRITING, RunSources
from langgraph_speculate.predict.toolwords import ToolWords
from langgraph_speculate.predict.values import Fingerprint, fingerprint

_TOOLS = 6
_PER_TOOL = 12
_LEAST = 0.01
_FLOOR = 1e-3
_FEATURES = 8
_ENOUGH = 10


class Expected(NamedTuple):
    """What a moment was expected to bring before its message began.

    Attributes:
        tools: P(the message calls the tool), by tool.
        calls: By fingerprint the calls, each with its probability.
        context: What happened last.
    """

    tools: Mapping[str, float]
    calls: Mapping[Fingerprint, tuple[Call, float]]
    context: str


class WrittenText:
    """Learn and tell what texts say about calls."""

    def __init__(self) -> None:
        self._words = ToolWords()
        self._bindings = Bindings(ledger=Ledger(Evidence(), mute=True))
        self._ranker = Ranker(_FEATURES)

    def knows(self, tool: str) -> bool:
        """Whether enough texts were followed by the tool for its calls to be told by them."""
        return self._words.texts(tool) >= _ENOUGH

    def tell(
        self, text: str, sources: RunSources, expected: Expected, tool: str | None = None
    ) -> list[tuple[float, Call, str]]:
        """The calls that may follow, best first: probability, call, source.

        Args:
            text: The text so far.
            sources: What the run holds, this text included.
            expected: What was expected before.
            tool: The tool, if it is known by now; probabilities are then those of its calls.
        """
        found = self._guesses(text, sources, expected, tool)
        told = [(self._ranker.chance(call.name, features), call, source) for call, features, source in found.values()]
        return sorted(told, key=lambda one: one[0], reverse=True)

    def learn(self, text: str, sources: RunSources, expected: Expected, calls: Sequence[Call]) -> None:
        """See what the message asked for."""
        right = {fingerprint(call.name, call.args) for call in calls}
        for name in dict.fromkeys([None, *(call.name for call in calls)]):
            for key, (call, features, _) in self._guesses(text, sources, expected, name).items():
                self._ranker.learn(call.name, features, key in right)
        for tool, made in grouped(calls).items():
            self._bindings.learn(sources, tool, expected.context, made)
        self._words.learn(text, {call.name for call in calls})

    def _guesses(
        self, text: str, sources: RunSources, expected: Expected, tool: str | None
    ) -> dict[Fingerprint, tuple[Call, tuple[float, ...], str]]:
        tools = self._words.tell(text, expected.tools) if tool is None else {tool: 1.0}
        found: dict[Fingerprint, tuple[Call, tuple[float, ...], str]] = {}
        for name, chance in list(tools.items())[:_TOOLS]:
            if chance * self._bindings.reach(name) < _LEAST:
                continue
            before = chance / max(expected.tools.get(name, _FLOOR), _FLOOR)
            proposals = self._bindings.propose(sources, name, expected.context, limit=_PER_TOOL, least=_LEAST / chance)
            for place, one in enumerate(proposals):
                start = min(1.0, expected.calls.get(one.fingerprint, (None, 0.0))[1] * before)
                said = _said(one.args, text)
                features = _features(chance * one.chance, start, chance, said, place, WRITING in one.kinds)
                found[one.fingerprint] = Call(name, one.args), features, one.source
        for key, (call, start) in expected.calls.items():
            chance = tools.get(call.name, 0.0)
            if key not in found and chance:
                start = min(1.0, start * chance / max(expected.tools.get(call.name, _FLOOR), _FLOOR))
                features = _features(0.0, start, chance, _said(call.args, text), _PER_TOOL, False)
                found[key] = call, features, "before"
        return found


def _features(chance: float, start: float, tool: float, said: float, place: int, is_written: bool) -> tuple[float, ...]:
    return (
        log_odds(max(chance, start)),
        1.0,
        log(max(chance, _FLOOR)),
        log(max(start, _FLOOR)),
        log(max(tool, _FLOOR)),
        said,
        log(1.0 + place),
        1.0 if is_written else 0.0,
    )


def _said(args: Mapping[str, Any], text: str) -> float:
    """The share of the arguments that stand in the text, word for word."""
    values: Collection[str] = [str(value) for value in args.values() if isinstance(value, (str, int, float))]
    return sum(value in text for value in values if value) / len(values) if values else 0.0
