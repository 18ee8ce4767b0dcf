"""One list out of several predictors: which tool, with which arguments, and what was called before, word for word.

P(tool) from `markov.py` times P(arguments | tool) from `bindings.py` is one opinion about a call, `memory.py` another;
`ranker.py` learns how far each is to be trusted.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from math import log, log1p
from typing import Any, NamedTuple

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.history import History
from langgraph_speculate.predict.bindings import Bindings, Proposal, grouped
from langgraph_speculate.predict.markov import NextTools, signatures
from langgraph_speculate.predict.memory import CallMemory
from langgraph_speculate.predict.ranker import Ranker, log_odds
from langgraph_speculate.predict.sources import RunSources, value_key

_TOOLS = 6  # tools whose arguments are looked for
_WORTHWHILE = 0.01  # P(tool) times how often its arguments can be found
_PER_TOOL = 12
_SHORTLIST = 20  # guesses that are ranked with care
_LEAST = 0.004  # guesses below are not worth a look
_PAST = 40  # calls of the run that count as made before
_FLOOR = 1e-3
_FEATURES = 14
_NOTHING = (Call(""), 0.0)


class _Guess(NamedTuple):
    """A call and what is known about it."""

    chance: float  # blended, before the ranker
    name: str
    args: Mapping[str, Any]
    key: Hashable
    tool: float  # P(tool)
    proposal: Proposal | None
    place: int  # among the proposals for the tool
    lead: float  # its chance over that of the tool's best proposal
    memory: float  # its chance by memory


class _Ranked(NamedTuple):
    call: Call
    key: Hashable
    features: tuple[float, ...]
    source: str


class BlendedPredictor:
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

    def __init__(self) -> None:
        self._tools = NextTools()
        self._bindings = Bindings()
        self._memory = CallMemory()
        self._ranker = Ranker(_FEATURES)
        # What was looked up for the latest prediction, so that learning from the same moment need not do it again.
        self._latest: tuple[History, RunSources, list[_Ranked]] | None = None

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        """Return at most *k* candidates for the next message, best first."""
        sources = RunSources(history)
        guesses = self._ranked(history, sources)
        self._latest = (history, sources, guesses)
        ranked = [
            Candidate(guess.call, self._ranker.chance(guess.call.name, guess.features), guess.source)
            for guess in guesses
        ]
        ranked.sort(key=_by_probability)
        return ranked[: max(k, 0)]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """See what the model really asked for after *history*; no calls means that it answered."""
        if self._latest is not None and self._latest[0] is history:
            _, sources, guesses = self._latest
        else:
            sources = RunSources(history)
            guesses = self._ranked(history, sources)
        self._latest = None
        truth = {_print(call.name, call.args) for call in calls}
        for guess in guesses:
            self._ranker.learn(guess.call.name, guess.features, guess.key in truth)
        context = "".join(signatures(history, 1))
        for tool, made in grouped(calls).items():
            self._bindings.learn(sources, tool, context, made)
        self._tools.learn(history, [call.name for call in calls])
        self._memory.learn(history, calls)

    def _ranked(self, history: History, sources: RunSources) -> list[_Ranked]:
        """The shortlist of calls, with what the ranker wants to know about each."""
        past = {_print(past.name, past.args) for past in history.calls[-_PAST:]}
        last = _print(history.calls[-1].name, history.calls[-1].args) if history.calls else None
        guesses = sorted(self._guesses(history, sources), key=_by_chance)[:_SHORTLIST]
        return [
            _Ranked(Call(guess.name, guess.args), guess.key, _features(guess, past, last), _source(guess))
            for guess in guesses
        ]

    def _guesses(self, history: History, sources: RunSources) -> Iterator[_Guess]:
        context = "".join(signatures(history, 1))
        tools = self._tools.predict(history)
        recalled = self._memory.predict(history, limit=10)
        remembered = {_print(call.name, call.args): (call, chance) for call, chance in recalled}
        for tool, chance in list(tools.items())[:_TOOLS]:
            if chance * self._bindings.reach(tool) < _WORTHWHILE:
                continue
            proposals = self._bindings.propose(sources, tool, context, limit=_PER_TOOL, least=_LEAST / chance)
            for place, proposal in enumerate(proposals):
                args, derived = proposal.args, chance * proposal.chance
                key = _print(tool, args)
                memory = remembered.pop(key, _NOTHING)[1]
                lead = proposal.chance / proposals[0].chance
                yield _Guess(max(derived, memory), tool, args, key, chance, proposal, place, lead, memory)
        for key, (call, memory) in remembered.items():
            if memory >= _LEAST:
                chance = tools.get(call.name, _FLOOR)
                yield _Guess(memory, call.name, call.args, key, chance, None, 0, 1.0, memory)


def _features(guess: _Guess, past: Collection[Hashable], last: Hashable) -> tuple[float, ...]:
    """What the ranker weighs; the first feature is the log-odds that it starts from."""
    proposal, memory = guess.proposal, guess.memory
    kinds = proposal.kinds if proposal else ()
    return (
        log_odds(guess.chance),
        1.0,
        log(max(guess.tool, _FLOOR)),
        log(max(proposal.chance, _FLOOR)) if proposal else 0.0,
        0.0 if proposal else 1.0,
        log(max(memory, _FLOOR)) if memory else 0.0,
        1.0 if memory else 0.0,
        1.0 if guess.key in past else 0.0,
        1.0 if guess.key == last else 0.0,
        log1p(guess.place),
        log(max(guess.lead, _FLOOR)),
        log1p(proposal.support) if proposal else 0.0,
        1.0 if "user" in kinds else 0.0,
        1.0 if "json" in kinds or "text" in kinds else 0.0,
    )


def _source(guess: _Guess) -> str:
    """Where a guess comes from, for people to read."""
    kinds = dict.fromkeys(guess.proposal.kinds if guess.proposal else ())
    return "+".join((*kinds, "memory") if guess.memory else kinds)


def _print(name: str, args: Mapping[str, Any]) -> Hashable:
    """A cheap stand-in for the canonical key: equal for equal calls."""
    return (name, *[(argument, value_key(args[argument])) for argument in sorted(args)])


def _by_chance(guess: _Guess) -> float:
    return -guess.chance


def _by_probability(candidate: Candidate) -> float:
    return -candidate.probability


def default_predictor() -> BlendedPredictor:
    """Build the shipped predictor, with nothing learned yet."""
    return BlendedPredictor()
