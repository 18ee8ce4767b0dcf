"""Which tools come next: counts over the recent order of events.

A context is the tail of the run's event signatures (a user turn, an answer, a message with its tools and how they
ended), never their payloads, so that what one request teaches carries over to the next. Long contexts are trusted as
far as they were seen; the rest of the weight falls back to shorter ones (interpolation after Witten and Bell).
With which arguments a tool is called is the business of `bindings.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf

from langgraph_speculate.core.history import Event, History, PastCall, UserTurn
from langgraph_speculate.core.sums import Key
from langgraph_speculate.predict.indexes import MAX_TEXT, text_index
from langgraph_speculate.predict.knowledge import DETAIL, NEXT, joined, split
from langgraph_speculate.predict.ledger import Evidence, Ledger
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.verbs import verb, words_of

START = "^"
ANSWER = "answer"
_TAIL = 48  # events read from the end of a history: more than any context needs, so that long runs cost no more
_IDENTIFIER = re.compile(r"(?=\w*\d)(?=\w*[^\W\d])\w{4,}|\d{4,}|\w+\.\w+/")
_IDENTIFIERS = ("id:a_", "id:#", "id:A9", "id:A-9", "code:", "url")
_NOVELTY = (1.0, 0.7, 1.5, 4.0, 8.0)
"""By the length of a context, how readily something new is expected: little experience says little of long ones."""
_LEAST = 0.005  # a tool less probable than that is not told
_CAUTION = 4.0  # messages that a detail must have been seen with before it counts half
_SURE = 0.95
_TOOLS = 1_000  # known again of one context
_SHAPES = 2  # told of one text
_FAILURE = re.compile(r"\s*(?:error|traceback|exception|failed)\b", re.IGNORECASE)


def signatures(history: History, order: int) -> tuple[str, ...]:
    """The last *order* event signatures, oldest first; a run's beginning is an event too.

    >>> signatures(History.from_messages([{"role": "user", "content": "Hello"}]), 3)
    ('^', 'user')
    """
    found: list[str] = []
    tools: list[str] = []
    tail = history.events[-_TAIL:]
    for event in reversed(tail):
        if len(found) >= order:
            break
        if isinstance(event, PastCall):
            tools.append(verb(event.call) + _ending(event))
        else:
            found.append(_turn(event, tools))
            tools = []
    else:
        if len(tail) == len(history.events):
            found.append(START)
    return tuple(reversed(found[:order]))


def _turn(event: Event, tools: Sequence[str]) -> str:
    if isinstance(event, UserTurn):
        return _said(event.text)
    return "+".join(dict.fromkeys(reversed(tools))) if tools else ANSWER


@lru_cache(maxsize=1024)
def _said(text: str) -> str:
    """Whether a user turn brings an identifier matters; what it says is not for counting."""
    return "user#" if _IDENTIFIER.search(text[:2000]) else "user"


def _ending(call: PastCall) -> str:
    """A mark for results that change what comes next: failed, empty, or still pending."""
    if call.status == "pending":
        return "?"
    if call.result is None:  # taken to end well, see `History.after`
        return ""
    if call.status == "error" or _tells_failure(call.result[:40]):
        return "!"
    return "0" if len(call.result) < 5 and call.result.strip() in ("", "[]", "{}", "null", "None") else ""


@lru_cache(maxsize=4096)
def _tells_failure(beginning: str) -> bool:
    return _FAILURE.match(beginning) is not None


def details(history: History) -> str:
    """What more is known of the latest event: the shapes of the identifiers that the user brings.

    >>> details(History.from_messages([{"role": "user", "content": "I am mia_li_3668"}]))
    'id:a_a_9'
    """
    last = history.events[-1] if history.events else None
    return _brought(last.text[:MAX_TEXT]) if isinstance(last, UserTurn) else ""


@lru_cache(maxsize=1024)
def _brought(text: str) -> str:
    shapes = [shape for shape in text_index(text).items if shape.startswith(_IDENTIFIERS)]
    return " ".join(sorted(shapes)[:_SHAPES])


@dataclass(slots=True)
class _Counts:
    """How many messages followed a context, and how many of them held each tool."""

    messages: float = 0.0
    tools: dict[str, float] = field(default_factory=dict)


class NextTools:
    """Learn and tell the probability that the next message calls each tool.

    Several tools of one message are counted once each, so the probabilities are P(the message holds the tool) and may
    sum to more than one; what they leave is the chance of an answer.

    Args:
        order: The longest context, in events.
        contexts: How many contexts are remembered; the least recently learned ones are forgotten first.
        decay: What an older observation of the same context weighs after each new one; 1.0 forgets nothing.
        ledger: Where what is learned is noted, to be written down.
    """

    def __init__(
        self, *, order: int = 4, contexts: int = 20_000, decay: float = 0.995, ledger: Ledger | None = None
    ) -> None:
        if order < 0 or contexts < 1 or not 0.0 < decay <= 1.0:
            raise ValueError(f"want order >= 0, contexts >= 1 and 0 < decay <= 1, got {order}, {contexts}, {decay}")
        self.order = order
        self._decay = decay
        self._ledger = ledger or Ledger(Evidence())
        self._counts: Recent[tuple[str, ...], _Counts] = Recent(contexts)
        self._common: list[str] = []  # of hundreds of tools, those that may well come whatever came before

    def predict(self, context: Sequence[str], detail: str = "") -> dict[str, float]:
        """Return P(tool is called by the next message) for every tool that may well follow, most probable first.

        Args:
            context: The latest `signatures`, at least `order` of them where there are as many.
            detail: What else is known of the latest event, see `details`.
        """
        known: list[_Counts] = []
        for tail in self._tails(context):
            counts = self._counts.get(tail)
            if counts is None:
                break  # a longer context cannot have been seen either
            known.append(counts)
        detailed = self._counts.get((context[-1], detail)) if detail else None
        chances: dict[str, float] = {}
        weight = 1.0
        for length in range(len(known) - 1, -1, -1):
            counts = known[length]
            novelty = (len(counts.tools) + 1.0) * _NOVELTY[min(length, len(_NOVELTY) - 1)] if length else 1.0
            share = weight / (counts.messages + novelty)
            tools = counts.tools
            if not length and detailed is None:
                # All tools ever called follow the empty context: of hundreds, few are worth a look.
                likely = [tool for tool in self._common if tools.get(tool, 0.0) * share >= _LEAST]
                tools = {tool: tools[tool] for tool in (*chances, *likely) if tool in tools}
            for tool, count in tools.items():
                chances[tool] = chances.get(tool, 0.0) + count * share
            weight = novelty * share
        if detailed is not None and len(known) > 1:
            for tool, chance in chances.items():
                chances[tool] = min(chance * _lift(tool, known[1], detailed), max(chance, _SURE))
        return dict(sorted([entry for entry in chances.items() if entry[1] >= _LEAST], key=_by_chance))

    def learn(self, context: Sequence[str], names: Collection[str], detail: str = "") -> None:
        """Count the tools that the message after *context* called; none means that it answered."""
        distinct = dict.fromkeys(names)
        recent = tuple(context)[-self.order :] if self.order else ()
        words = [word for event in recent for word in words_of(event)]
        self._ledger.count_words(words, (NEXT, joined(recent), joined(distinct)), 1.0)
        if detail:
            self._ledger.count_words(words_of(recent[-1]), (DETAIL, recent[-1], detail, joined(distinct)), 1.0)
        for tail in (*self._tails(context), (context[-1], detail)) if detail else self._tails(context):
            counts = self._counts.touch(tail, _Counts)
            tools = counts.tools
            if self._decay < 1.0 and tail:
                for tool in tools:
                    tools[tool] *= self._decay
                counts.messages *= self._decay
            counts.messages += 1.0
            for name in distinct:
                tools[name] = tools.get(name, 0.0) + 1.0
        self._note_common(distinct)

    def recall(self, key: Key, messages: float) -> None:
        """Know again that so many messages followed a context (`knowledge.NEXT`) or a detail (`knowledge.DETAIL`)."""
        tails = self._tails(split(key[1])) if key[0] == NEXT else [(key[1], key[2])]
        for tail in tails:
            counts = self._counts.touch(tail, _Counts)
            counts.messages += messages
            for name in split(key[-1]):
                counts.tools[name] = counts.tools.get(name, 0.0) + messages

    def settle(self) -> None:
        """After all was recalled: a context weighs no more than it could have by learning."""
        most = 1.0 / (1.0 - self._decay) if self._decay < 1.0 else inf
        for tail, counts in self._counts.items():
            if len(counts.tools) > _TOOLS:
                counts.tools = dict(sorted(counts.tools.items(), key=_by_chance)[:_TOOLS])
            if tail and counts.messages > most:
                share = most / counts.messages
                counts.messages = most
                counts.tools = {name: count * share for name, count in counts.tools.items()}
        self._note_common(self._overall.tools)

    @property
    def _overall(self) -> _Counts:
        return self._counts.get(()) or _Counts()

    def _note_common(self, names: Iterable[str]) -> None:
        """See which tools are common, now that *names* were counted: none of the others can have become so."""
        overall = self._overall
        tools, least = overall.tools, _LEAST * overall.messages
        self._common = [name for name in dict.fromkeys((*self._common, *names)) if tools.get(name, 0.0) >= least]

    def _tails(self, context: Sequence[str]) -> Iterator[tuple[str, ...]]:
        """The contexts to count by, shortest first."""
        context = tuple(context)
        yield ()
        for start in range(len(context) - 1, max(len(context) - self.order, 0) - 1, -1):
            yield context[start:]


def _lift(tool: str, near: _Counts, detailed: _Counts) -> float:
    """How much more likely a tool is with the detail than without it."""
    plain = (near.tools.get(tool, 0.0) + 0.1) / (near.messages + 1.0)
    return (detailed.tools.get(tool, 0.0) + _CAUTION * plain) / (detailed.messages + _CAUTION) / plain


def _by_chance(entry: tuple[str, float]) -> tuple[float, str]:
    return -entry[1], entry[0]
