"""Whole calls remembered: what was called, word for word, the last times something like this had just happened.

Contexts go from loose (nothing, the kind of the last event) to tight (these exact calls, after these very words of the
user). Tight ones are believed as far as they were seen, the rest is left to looser ones (absolute discounting).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from operator import attrgetter, itemgetter

import orjson

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.history import History, PastCall, UserTurn
from langgraph_speculate.core.sums import Key
from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.predict.knowledge import CALL, joined, split, text_of, words_in
from langgraph_speculate.predict.ledger import Evidence, Ledger
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.values import Fingerprint, fingerprint
from langgraph_speculate.predict.verbs import words_of

_CALLS = 64  # remembered per context
_TOP = 14  # told of one context
_DISCOUNT = 0.7
_COUNT = attrgetter("count")
_CHANCE = itemgetter(1)


@dataclass(slots=True)
class _Follower:
    """A call, its canonical key and its fingerprint, and how many messages made it."""

    call: Call
    key: str
    fingerprint: Fingerprint
    count: float = 0.0


@dataclass(slots=True)
class _Followers:
    """The calls that followed a context, out of how many messages."""

    messages: float = 0.0
    calls: dict[str, _Follower] = field(default_factory=dict)
    ranking: list[_Follower] | None = None  # cleared by `see`

    def see(self, keyed: Mapping[str, tuple[Fingerprint, Call]], times: float = 1.0, *, messages: float = 1.0) -> None:
        """Count the calls of a message; where there are too many, the first of the rarest is forgotten."""
        self.messages += messages
        for key, (print_, call) in keyed.items():
            follower = self.calls.get(key)
            if follower is None:
                if len(self.calls) >= _CALLS:
                    del self.calls[self._rarest()]
                follower = self.calls[key] = _Follower(call, key, print_)
            follower.count += times
            self.ranking = None

    def top(self) -> list[_Follower]:
        """The most frequent calls."""
        if self.ranking is None:
            self.ranking = sorted(self.calls.values(), key=_COUNT, reverse=True)[:_TOP]
        return self.ranking

    def _rarest(self) -> str:
        once = (key for key, follower in self.calls.items() if follower.count <= 1.0)
        return next(once, None) or min(self.calls, key=lambda known: self.calls[known].count)


class CallMemory:
    """Learn and tell which exact calls follow which exact moments.

    Args:
        contexts: How many contexts are remembered; the least recently learned ones are forgotten first.
        ledger: Where what is learned is noted, to be written down. Tight contexts are not: they hold what users said.
    """

    def __init__(self, *, contexts: int = 16_000, ledger: Ledger | None = None) -> None:
        self._ledger = ledger or Ledger(Evidence())
        self._followers: Recent[Hashable, _Followers] = Recent(contexts)

    def predict(self, contexts: Sequence[Hashable], *, limit: int) -> list[tuple[Fingerprint, Call, float]]:
        """Return the calls that followed moments like this one, best first, each with its fingerprint.

        The number beside each is P(the next message makes this very call).

        Args:
            contexts: What `moments` says about the moment.
            limit: The most calls to return.
        """
        known = [followers for context in contexts if (followers := self._followers.get(context)) is not None]
        weights = [1.0]
        for followers in reversed(known[1:]):
            left = _DISCOUNT * (len(followers.calls) + 0.5) / (followers.messages + _DISCOUNT)
            weights.append(weights[-1] * min(1.0, left))
        chances: dict[str, float] = {}
        told: dict[str, _Follower] = {}
        for followers, weight in zip(known, reversed(weights), strict=False):
            share = weight / (followers.messages + _DISCOUNT)
            for follower in followers.top():
                key = follower.key
                chances[key] = chances.get(key, 0.0) + (follower.count - _DISCOUNT) * share
                told[key] = follower
        best = sorted(chances.items(), key=_CHANCE, reverse=True)[:limit]
        return [(told[key].fingerprint, told[key].call, chance) for key, chance in best]

    def learn(self, contexts: Sequence[Hashable], calls: Iterable[tuple[Fingerprint, Call]]) -> None:
        """Count the calls, with their fingerprints, of the message after a moment; none means that it answered."""
        keyed = {}
        for print_, call in calls:
            with suppress(UnkeyableArguments):
                keyed[call.key] = (print_, call)
        for context in contexts:
            self._followers.touch(context, _Followers).see(keyed)
        recent = contexts[2] if len(contexts) > 2 and isinstance(contexts[2], tuple) else ()
        for _, call in keyed.values():
            if (text := text_of(call.args)) is not None:
                words = [word for event in recent for word in words_of(event)]
                words += words_in(call.name, list(call.args.values()))
                self._ledger.count_words(words, (CALL, call.name, joined(recent), text), 1.0)

    def recall(self, key: Key, times: float) -> None:
        """Know again that a call was made so often after a moment (`knowledge.CALL`)."""
        args = orjson.loads(key[3])
        if isinstance(args, dict):
            call, recent = Call(key[1], args), split(key[2])
            follower = {call.key: (fingerprint(call.name, args), call)}
            for context in {(), recent[-1:], recent}:
                self._followers.touch(context, _Followers).see(follower, times, messages=0.0)

    def settle(self) -> None:
        """After all was recalled: no call was made by more messages than there were, whatever was left out of them."""
        for followers in self._followers.values():
            most = max([follower.count for follower in followers.calls.values()], default=0.0)
            followers.messages = max(followers.messages, most)

    def recall_messages(self, recent: tuple[str, ...], times: float) -> None:
        """Know again that so many messages came after the signatures *recent*, whatever they called."""
        for context in {(), recent[-1:], recent[-2:]}:
            self._followers.touch(context, _Followers).messages += times


def moments(history: History, recent: tuple[str, ...]) -> list[Hashable]:
    """The contexts that *history* ends in, loose to tight; *recent* are its latest two `signatures`."""
    contexts: list[Hashable] = [(), recent[-1:], recent]
    calls: list[PastCall] = []  # the latest two, newest first
    said = ""
    for event in reversed(history.events):
        if isinstance(event, PastCall):
            if len(calls) < 2:
                calls.append(event)
        elif isinstance(event, UserTurn) and not said:
            said = event.text
        if said and len(calls) == 2:
            break
    last = _key(calls[0]) if calls else None
    just_said = bool(history.events) and not isinstance(history.events[-1], PastCall)
    if last is not None:
        contexts.append((last, recent[-1:]))
        if len(calls) > 1:
            contexts.append((_key(calls[1]), last, recent[-1:]))
    if just_said:
        contexts.append(("said", said))
    elif said:
        contexts.append(("said", said, last))
        if len(calls) > 1:
            contexts.append(("said", said, _key(calls[1]), last))
    return contexts


def _key(call: PastCall) -> str | None:
    try:
        return call.call.key
    except UnkeyableArguments:
        return None
