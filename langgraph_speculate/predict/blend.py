"""The shipped predictor: one list out of several opinions about which call comes next, calibrated.

The opinions are those of `experience.py`; `ranker.py` learns how far each is to be trusted. As the model writes its
message, they are asked again with what is known by then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from random import Random

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.draft import Draft, DraftCall, text_so_far
from langgraph_speculate.core.history import History
from langgraph_speculate.core.sums import Key, Pair, Sums, add_to
from langgraph_speculate.predict.bindings import grouped
from langgraph_speculate.predict.experience import LEAST, PER_TOOL, Experience, Moment
from langgraph_speculate.predict.features import FEATURES, Guess, features, said_words
from langgraph_speculate.predict.knowledge import (
    CALL,
    DETAIL,
    FOUND,
    NEXT,
    PICK,
    RIGHT,
    SHAPE,
    SQUARE,
    VALUE,
    WAY,
    WEIGHT,
    split,
)
from langgraph_speculate.predict.ledger import Evidence, Ledger
from langgraph_speculate.predict.markov import details, signatures
from langgraph_speculate.predict.ranker import Ranker
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.sources import RunSources
from langgraph_speculate.predict.stream import Company, Partings, fitted
from langgraph_speculate.predict.values import fingerprint
from langgraph_speculate.predict.writing import Expected, WrittenText

_SUMS = 100_000  # known again of what was written down, the heaviest: about two seconds' work
_MUCH = 1e9  # no honest sum is beyond
_LOOKED_AT = 256
"""Moments whose message is awaited, and messages in writing, that are kept: those of as many runs at once. A moment
that was learned from is let go, so that only runs that broke off leave theirs."""
_SETTLED = 500  # moments of a tool after which it is known how far guesses about it are to be trusted,
_SAMPLED = 0.25  # and the largest share of those after that which is looked at if nobody asks
_TRUSTED = 512  # tools whose moments are counted
_ANSWER = ""  # stands for the tool where none was called
_BEGUN = 4  # characters of an argument after which it may be completed
_FIRST = itemgetter(0)


class BlendedPredictor(Experience):
    """The shipped predictor: counts of tools, of where arguments come from and of whole calls, blended and calibrated.

    Learns online, from nothing; memory is bounded; equal histories of learning give equal predictions.

    >>> predictor = BlendedPredictor()
    >>> history = History.from_messages([{"role": "user", "content": "I am mia_li_3668"}])
    >>> predictor.learn(history, [Call("get_user", {"user_id": "mia_li_3668"})])
    >>> other = History.from_messages([{"role": "user", "content": "My id: raj_brown_5782, hello"}])
    >>> dict(predictor.predict(other, k=1)[0].call.args)
    {'user_id': 'raj_brown_5782'}
    """

    bounded = True

    def __init__(self, evidence: Evidence | None = None) -> None:
        super().__init__(Ledger(evidence or Evidence()))
        self._ranker = Ranker(FEATURES)
        self._looked: Recent[int, Moment] = Recent(_LOOKED_AT)
        self._text = WrittenText()
        self._partings = Partings()
        self._company = Company()
        self._named: Recent[int, tuple[DraftCall, list[Candidate]]] = Recent(_LOOKED_AT)  # by message that is written
        self._moments: Recent[str, list[int]] = Recent(_TRUSTED)  # learned without a prediction, by tool called
        self._draw = Random(0)  # nosec B311

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        """Return at most *k* candidates for the next message, best first."""
        moment = self._look(history)
        self._remember(moment)
        ranked = [(self._ranker.chance(guess.name, told), guess) for guess, told in moment.guesses]
        ranked.sort(key=_FIRST, reverse=True)
        best = ranked[: max(k, 0)]
        return [Candidate(Call(guess.name, guess.args), chance, _source(guess)) for chance, guess in best]

    def narrow(self, history: History, draft: Draft, *, k: int) -> list[Candidate]:
        """Return at most *k* candidates for what a message that has begun as *draft* may still become, best first."""
        moment = self._moment(history)
        call = draft.current
        if call is None:
            found = self._after_text(moment, draft.text) if draft.text and not draft.calls else ()
            return [Candidate(call, chance, source) for chance, call, source in found[: max(k, 0)]]
        known = self._named.get(id(draft))
        if known is None or known[0] is not call:
            known = call, self._of_tool(moment, call.name, draft.text)
            self._named.put(id(draft), known)
        surprise = self._partings.surprise(call.name, call.arguments.length)
        likely = {one.call.key: one for one in fitted(known[1], call, surprise)}
        given = fitted(self._with(moment, call), call, 1.0) if call.closed and not call.complete else []
        for one in (*given, *self._completing(call, surprise)):
            before = likely.get(one.call.key)
            if before is None or before.probability < one.probability:
                likely[one.call.key] = one
        more = self._company.more(call.name)
        for guess, told in moment.guesses:
            if not call.may_become(later := Call(guess.name, guess.args)):
                chance = self._ranker.chance(guess.name, told) * more
                likely.setdefault(later.key, Candidate(later, chance, _source(guess)))
        return sorted(likely.values(), key=lambda one: one.probability, reverse=True)[: max(k, 0)]

    def _of_tool(self, moment: Moment, tool: str, text: str) -> list[Candidate]:
        """The calls of a tool, each with P(it is this one | the message calls the tool)."""
        if text and self._text.knows(tool):
            found = self._after_text(moment, text, tool)
            return [Candidate(call, chance, source) for chance, call, source in found]
        said = said_words(moment.sources)
        sure = self._guesses(moment.history, moment.sources, moment.events, moment.detail, moment.contexts, {tool: 1.0})
        return [
            Candidate(
                Call(guess.name, guess.args),
                self._ranker.chance(tool, features(guess, moment.sources, said)),
                _source(guess),
            )
            for guess in sure
            if guess.name == tool
        ]

    def _with(self, moment: Moment, call: DraftCall) -> list[Candidate]:
        """Calls with the arguments that are written already."""
        found = self._bindings.propose(
            moment.sources, call.name, "".join(moment.events[-1:]), limit=PER_TOOL, least=LEAST, given=call.closed
        )
        return [Candidate(Call(call.name, one.args), one.chance, one.source) for one in found]

    def _completing(self, call: DraftCall, surprise: float) -> list[Candidate]:
        """Calls whose open argument goes on as it did before."""
        written, name = call.arguments.value_so_far(), call.arguments.open
        if name is None or not written.startswith('"') or len(written) < _BEGUN:
            return []
        found = self._bindings.completing(call.name, call.closed, name, text_so_far(written), surprise)
        return [Candidate(Call(call.name, args), chance, "completed") for args, chance in found]

    def _after_text(self, moment: Moment, text: str, tool: str | None = None) -> list[tuple[float, Call, str]]:
        return self._text.tell(text, *self._beside(moment, text), tool)

    def _beside(self, moment: Moment, text: str) -> tuple[RunSources, Expected]:
        """What a text is read with: the run's sources and its own, and what was expected before it."""
        tools = self._tools.predict(moment.events, moment.detail)
        calls = {
            guess.key: (Call(guess.name, guess.args), self._ranker.chance(guess.name, told))
            for guess, told in moment.guesses
        }
        sources = RunSources(moment.history, moment.sources, text)
        return sources, Expected(tools, calls, "".join(moment.events[-1:]))

    def _moment(self, history: History) -> Moment:
        """The moment of a history that was looked up before, or is now."""
        known = self._looked.get(id(history.events))
        if known is None or known.history.events is not history.events:
            known = self._look(history)
            self._remember(known)
        return known

    def _remember(self, moment: Moment) -> None:
        self._looked.put(id(moment.history.events), moment)

    def names(self, history: History) -> dict[str, float]:
        """Return P(the next message calls the tool) by tool, most probable first."""
        return self._tools.predict(signatures(history, self._tools.order), details(history))

    def call_chance(self, history: History) -> float:
        """P(the next message calls a tool), in [0, 1]; what is left is the chance of an answer."""
        return min(1.0, sum(self.names(history).values()))

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """See what the model really asked for after *history*; no calls means that it answered."""
        moment = self._looked.pop(id(history.events), None)
        if moment is None or moment.history.events is not history.events:
            moment = self._look(history, with_guesses=self._is_worth_a_look(calls))
        if not calls:
            self._let_go(history)
        self._ledger.about(history, calls)
        truth = [(fingerprint(call.name, call.args), call) for call in calls]
        right = {key for key, _ in truth}
        called = {call.name for call in calls}
        for guess, told in moment.guesses:
            self._ranker.learn(guess.name, told, guess.key in right)
            if guess.proposal is not None and guess.name in called:
                self._patterns.learn(guess.proposal.pattern, guess.key in right)
        foreseen = {guess.key for guess, _ in moment.guesses}
        for key, call in truth if foreseen else ():
            if key not in foreseen:
                self._partings.learn(call, [Call(g.name, g.args) for g, _ in moment.guesses if g.name == call.name])
        if history.writing and calls:
            self._text.learn(history.writing, *self._beside(moment, history.writing), calls)
        context = "".join(moment.events[-1:])
        for tool, made in grouped(calls).items():
            self._bindings.learn(moment.sources, tool, context, made)
        self._company.learn(calls)
        self._tools.learn(moment.events, [call.name for call in calls], moment.detail)
        self._memory.learn(moment.contexts, truth)
        self._walks.learn(history, right)

    def take(self) -> Sums:
        """Hand over what was learned since the last time, as far as it may be written down."""
        taken = self._ledger.take()
        add_to(taken, [(key, pair) for key, pair in self._ranker.take() if self._ledger.is_named(key[1])])
        return taken

    def give(self, sums: Mapping[Key, Pair]) -> None:
        """Know what was written down, besides what was learned already; what cannot be understood is left out."""
        readers = {
            **dict.fromkeys((SHAPE, FOUND, RIGHT, PICK, VALUE), self._bindings.recall),
            NEXT: self._recall_next,
            DETAIL: lambda key, hits, trials: self._tools.recall(key, hits),
            CALL: lambda key, hits, trials: self._memory.recall(key, hits),
            WAY: self._patterns.recall,
            **dict.fromkeys((WEIGHT, SQUARE), self._ranker.recall),
        }
        # What was seen most comes last: where there is no room for all, that stays.
        for key, (hits, trials) in sorted(filter(_is_sound, sums.items()), key=_by_weight)[-_SUMS:]:
            with suppress(Exception):  # of another version, or made up by somebody
                readers[key[0]](key, hits, trials)
        self._bindings.settle()
        self._tools.settle()
        self._memory.settle()

    def adopt(self, before: BlendedPredictor) -> None:
        """Take over what may not be written down yet of a predictor that is replaced."""
        self._ledger.adopt(before._ledger)

    def put_back(self, sums: Mapping[Key, Pair]) -> None:
        """What was taken could not be written, and is to be taken again."""
        self._ledger.put_back(sums)

    def _recall_next(self, key: Key, hits: float, trials: float) -> None:
        self._tools.recall(key, hits)
        self._memory.recall_messages(split(key[1]), hits)

    def _is_worth_a_look(self, calls: Sequence[Call]) -> bool:
        """Whether guesses that nobody asked for are made only to learn how far such are to be trusted.

        It is half the work of learning, and once this is known a part of the moments tells as much, a smaller and
        smaller one as more is known. By chance, so that each step of a run has its turn.
        """
        counts = [self._moments.touch(name, _nought) for name in {call.name for call in calls} or {_ANSWER}]
        for count in counts:
            count[0] += 1
        least = min(counts)[0]
        return least <= _SETTLED or self._draw.random() < min(_SAMPLED, _SETTLED / least)


def _is_sound(row: tuple[Key, Pair]) -> bool:
    """Whether a sum can have been counted; weights may be below zero."""
    try:
        key, (hits, trials) = row
        if not isinstance(key, tuple) or not all(isinstance(part, str) for part in key):
            return False
        least = -_MUCH if key[0] == WEIGHT else 0.0
        return bool(least <= hits <= _MUCH and 0.0 <= trials <= _MUCH)
    except (TypeError, ValueError, IndexError):
        return False


def _nought() -> list[int]:
    return [0]


def _by_weight(row: tuple[Key, Pair]) -> tuple[float, Key]:
    key, (hits, trials) = row
    return max(hits, trials), key


def _source(guess: Guess) -> str:
    """Where a guess comes from, for people to read."""
    parts = (guess.proposal.source if guess.proposal else "", "memory" if guess.memory else "")
    return "+".join(filter(None, parts))
