"""Whole calls remembered: what was called, word for word, the last times something like this had just happened.

Contexts go from loose (nothing, the kind of the last event) to tight (these exact calls, after these very words of the
user). Tight ones are believed as far as they were seen, the rest is left to looser ones (absolute discounting).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.history import History, PastCall
from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.predict.markov import signatures
from langgraph_speculate.predict.recent import Recent

_CALLS = 64  # remembered per context
_DISCOUNT = 0.7


@dataclass(slots=True)
class _Follower:
    """A call and how many messages made it."""

    call: Call
    count: float = 0.0


@dataclass(slots=True)
class _Followers:
    """The calls that followed a context, out of how many messages."""

    messages: float = 0.0
    calls: dict[str, _Follower] = field(default_factory=dict)

    def see(self, key: str, call: Call) -> None:
        """Count a call; where there are too many, the first of the rarest is forgotten."""
        follower = self.calls.get(key)
        if follower is None:
            if len(self.calls) >= _CALLS:
                del self.calls[min(self.calls, key=lambda known: self.calls[known].count)]
            follower = self.calls[key] = _Follower(call)
        follower.count += 1.0


class CallMemory:
    """Learn and tell which exact calls follow which exact moments.

    Args:
        contexts: How many contexts are remembered; the least recently learned ones are forgotten first.
    """

    def __init__(self, *, contexts: int = 16_000) -> None:
        self._followers: Recent[Hashable, _Followers] = Recent(contexts)

    def predict(self, history: History, *, limit: int) -> list[tuple[Call, float]]:
        """Return the calls that followed moments like this one, best first.

        The number beside each is P(the next message makes this very call).
        """
        chances: dict[str, tuple[Call, float]] = {}
        for context in _contexts(history):
            followers = self._followers.get(context)
            if followers is None or not followers.messages:
                continue
            entries = sorted(followers.calls.items(), key=lambda item: -item[1].count)[: limit + 4]
            left = min(1.0, _DISCOUNT * (len(followers.calls) + 0.5) / (followers.messages + _DISCOUNT))
            mixed = {key: (call, chance * left) for key, (call, chance) in chances.items()}
            for key, follower in entries:
                seen = max(follower.count - _DISCOUNT, 0.0) / (followers.messages + _DISCOUNT)
                mixed[key] = (follower.call, mixed.get(key, (follower.call, 0.0))[1] + seen)
            chances = mixed
        return sorted(chances.values(), key=lambda item: -item[1])[:limit]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """Count the calls that the message after *history* made; none means that it answered."""
        keyed = {}
        for call in calls:
            try:
                keyed[call.key] = call
            except UnkeyableArguments:
                continue
        for context in _contexts(history):
            followers = self._followers.touch(context, _Followers)
            followers.messages += 1.0
            for key, call in keyed.items():
                followers.see(key, call)


def _contexts(history: History) -> list[Hashable]:
    """Loose to tight."""
    recent = signatures(history, 2)
    contexts: list[Hashable] = [(), recent[-1:], recent]
    calls = history.calls
    last = _key(calls[-1]) if calls else None
    said = history.user_turns[-1].text if history.user_turns else ""
    just_said = bool(history.events) and not isinstance(history.events[-1], PastCall)
    if last is not None:
        contexts.append((last, recent[-1:]))
        if len(calls) > 1:
            contexts.append((_key(calls[-2]), last, recent[-1:]))
    if just_said:
        contexts.append(("said", said))
    elif said:
        contexts.append(("said", said, last))
        if len(calls) > 1:
            contexts.append(("said", said, _key(calls[-2]), last))
    return contexts


def _key(call: PastCall) -> str | None:
    try:
        return call.call.key
    except UnkeyableArguments:
        return None
