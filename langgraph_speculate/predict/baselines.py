"""What a learned predictor has to beat to be worth having."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.history import History
from langgraph_speculate.errors import UnkeyableArguments


class Never:
    """Predict nothing: what no speculation costs and saves.

    >>> Never().predict(History(), k=3)
    []
    """

    bounded = True

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        """Return no candidates."""
        return []

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """Learn nothing."""


class LastFollower:
    """Predict the very call that followed the current tool last time, after river's `NoChangeClassifier`.

    >>> predictor = LastFollower()
    >>> predictor.learn(History(), [Call("list_orders", {})])
    >>> [candidate.call.name for candidate in predictor.predict(History(), k=3)]
    ['list_orders']
    """

    bounded = True

    def __init__(self) -> None:
        self._next: dict[str | None, tuple[Call, ...]] = {}

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        """Return the calls of the message that followed the current tool last time, each with probability 1."""
        calls = self._next.get(_current(history), ())
        return [Candidate(call, 1.0, "last follower") for call in calls[: max(k, 0)]]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """Remember the calls; an answer is remembered as nothing to predict."""
        distinct: dict[str, Call] = {}
        for call in calls:
            with suppress(UnkeyableArguments):
                distinct.setdefault(call.key, call)
        self._next[_current(history)] = tuple(distinct.values())


class Order1:
    """Predict the tools that usually follow the current one, each with the arguments it had last.

    Arguments from the same run come first. Probabilities are plain relative frequencies of the tools.

    >>> predictor = Order1()
    >>> predictor.learn(History(), [Call("list_orders", {})])
    >>> [candidate.probability for candidate in predictor.predict(History(), k=3)]
    [1.0]
    """

    bounded = True

    def __init__(self) -> None:
        self._messages: Counter[str | None] = Counter()
        self._tools: dict[str | None, Counter[str]] = {}
        self._last: dict[str, Call] = {}

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        """Return one candidate per tool seen after the current one, most frequent first."""
        current = _current(history)
        in_run = {past.name: past.call for past in history.calls}
        return [
            Candidate(in_run.get(tool, self._last[tool]), count / self._messages[current], "order 1")
            for tool, count in self._tools.get(current, Counter()).most_common(max(k, 0))
        ]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """Count the tools of one message after the current tool."""
        current = _current(history)
        self._messages[current] += 1
        tools = self._tools.setdefault(current, Counter())
        for call in calls:
            self._last[call.name] = call
        tools.update({call.name for call in calls})


def _current(history: History) -> str | None:
    """The tool of the last call, or None where the user spoke since or nothing was called."""
    return history.last_calls[-1].name if history.last_calls else None
