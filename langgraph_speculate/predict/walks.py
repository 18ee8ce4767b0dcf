"""Walks under way: the same call over and over, with one number or day that goes up.

A message with many calls of such a walk shows where the next one goes on: with the same arguments, from the last value
upwards. How often that came true is counted by how far the walk had gone; a walk of a run that goes on soon counts.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Set
from itertools import pairwise

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.history import History, PastCall, UserTurn
from langgraph_speculate.predict.rates import Rate
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.sources import MAX_ARGUMENTS
from langgraph_speculate.predict.values import Fingerprint, fingerprint, successor, value_key

_AHEAD = 3  # steps told
_LONGEST = 4  # steps that are told apart
_PRIOR = 0.25
_WEIGHT = 2.0  # of the prior, in observations
_TOOLS = 512


class Walks:
    """Learn and tell how often a walk goes on."""

    def __init__(self) -> None:
        self._rates: Recent[Hashable, Rate] = Recent(_TOOLS)

    def predict(self, history: History) -> list[tuple[Fingerprint, Call, float]]:
        """Return the next steps of the walk that the latest message made, each with its fingerprint and its chance."""
        length, steps = walk(history)
        return [
            (fingerprint(call.name, call.args), call, self._rate((length, place))) for place, call in enumerate(steps)
        ]

    def learn(self, history: History, made: Set[Hashable]) -> None:
        """See the fingerprints of the calls that the message after *history* made."""
        length, steps = walk(history)
        for place, call in enumerate(steps):
            self._rates.touch((length, place), Rate).see(fingerprint(call.name, call.args) in made)

    def _rate(self, key: Hashable) -> float:
        rate = self._rates.get(key)
        return _PRIOR if rate is None else rate.after(_PRIOR, _WEIGHT)


def walk(history: History) -> tuple[int, list[Call]]:
    """How many steps the latest calls went, up to a few, and the calls that would go on; none where nothing goes up.

    >>> calls = [{"id": str(day), "name": "find", "args": {"day": day}} for day in (3, 4, 5)]
    >>> results = [{"role": "tool", "tool_call_id": str(day), "content": "none"} for day in (3, 4, 5)]
    >>> history = History.from_messages([{"role": "assistant", "content": "", "tool_calls": calls}, *results])
    >>> length, steps = walk(history)
    >>> length, [step.args["day"] for step in steps]
    (2, [6, 7, 8])
    """
    latest: list[PastCall] = []  # newest first
    for event in reversed(history.events):
        if isinstance(event, PastCall):
            latest.append(event)
        if len(latest) > _LONGEST or not latest or isinstance(event, UserTurn):
            break
    length, name = 0, None
    for newer, older in pairwise(latest):
        argument = _gone_up(older.call, newer.call)
        if argument is None or name not in (None, argument):
            break
        length, name = length + 1, argument
    if name is None:
        return 0, []
    call = latest[0].call
    return length, list(_steps(call, name))


def _gone_up(older: Call, newer: Call) -> str | None:
    """The only argument in which two calls differ, where the newer one's value comes right after the older one's."""
    if older.name != newer.name or older.args.keys() != newer.args.keys() or len(newer.args) > MAX_ARGUMENTS:
        return None
    differing = [name for name, value in newer.args.items() if value_key(value) != value_key(older.args[name])]
    if len(differing) != 1:
        return None
    after = successor(older.args[differing[0]])
    return differing[0] if after is not None and after == newer.args[differing[0]] else None


def _steps(call: Call, name: str) -> Iterable[Call]:
    value = call.args[name]
    for _ in range(_AHEAD):
        value = successor(value)
        if value is None:
            return
        yield Call(call.name, {**call.args, name: value})
