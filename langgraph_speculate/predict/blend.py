"""One list out of several predictors: which tool, with which arguments, and what was called before, word for word.

P(tool) from `markov.py` times P(arguments | tool) from `bindings.py` is one opinion about a call, `memory.py` another;
`ranker.py` learns how far each is to be trusted.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import log, log1p
from typing import NamedTuple

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
_SHORTLIST = 24  # guesses that are ranked with care
_FLOOR = 1e-3
_FEATURES = 14


class _Guess(NamedTuple):
    call: Call
    chance: float
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

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        """Return at most *k* candidates for the next message, best first."""
        ranked = [
            Candidate(guess.call, self._ranker.chance(guess.call.name, guess.features), guess.source)
            for guess in self._guesses(history, RunSources(history))
        ]
        ranked.sort(key=_by_probability)
        return ranked[: max(k, 0)]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """See what the model really asked for after *history*; no calls means that it answered."""
        sources = RunSources(history)
        truth = {_print(call) for call in calls}
        for guess in self._guesses(history, sources):
            self._ranker.learn(guess.call.name, guess.features, _print(guess.call) in truth)
        context = "".join(signatures(history, 1))
        for tool, made in grouped(calls).items():
            self._bindings.learn(sources, tool, context, made)
        self._tools.learn(history, [call.name for call in calls])
        self._memory.learn(history, calls)

    def _guesses(self, history: History, sources: RunSources) -> list[_Guess]:
        """The calls worth ranking, with what the ranker wants to know about each."""
        context = "".join(signatures(history, 1))
        tools = self._tools.predict(history)
        remembered = {_print(call): (call, chance) for call, chance in self._memory.predict(history, limit=10)}
        past = {_print(past.call) for past in history.calls[-40:]}
        last = _print(history.calls[-1].call) if history.calls else None
        guesses = []
        for tool, tool_chance in list(tools.items())[:_TOOLS]:
            if tool_chance * self._bindings.reach(tool) < _WORTHWHILE:
                continue
            proposals = self._bindings.propose(sources, tool, context, limit=_PER_TOOL)
            for place, proposal in enumerate(proposals):
                call = Call(tool, proposal.args)
                key = _print(call)
                memory = remembered.pop(key, (call, 0.0))[1]
                lead = proposal.chance / proposals[0].chance
                guesses.append(_guess(call, tool_chance, proposal, place, lead, memory, key in past, key == last))
        for key, (call, chance) in remembered.items():
            guesses.append(_guess(call, tools.get(call.name, _FLOOR), None, 0, 1.0, chance, key in past, key == last))
        guesses.sort(key=_by_chance)
        return guesses[:_SHORTLIST]


def _guess(
    call: Call, tool: float, proposal: Proposal | None, place: int, lead: float, memory: float, again: bool, same: bool
) -> _Guess:
    """Put what is known about a call into numbers; the first is the log-odds of the blended chance."""
    derived = tool * proposal.chance if proposal else 0.0
    chance = max(derived, memory, 0.5 * (derived + memory))
    kinds = proposal.kinds if proposal else ()
    features = (
        log_odds(chance),
        1.0,
        log(max(tool, _FLOOR)),
        log(max(proposal.chance, _FLOOR)) if proposal else 0.0,
        0.0 if proposal else 1.0,
        log(max(memory, _FLOOR)) if memory else 0.0,
        1.0 if memory else 0.0,
        1.0 if again else 0.0,
        1.0 if same else 0.0,
        log1p(place),
        log(max(lead, _FLOOR)),
        log1p(proposal.support) if proposal else 0.0,
        1.0 if "user" in kinds else 0.0,
        1.0 if "json" in kinds or "text" in kinds else 0.0,
    )
    names = dict.fromkeys(kinds)
    return _Guess(call, chance, features, "+".join((*names, "memory") if memory else names))


def _print(call: Call) -> Hashable:
    """A cheap stand-in for the canonical key: equal for equal calls."""
    return (call.name, tuple(sorted([(name, value_key(value)) for name, value in call.args.items()])))


def _by_chance(guess: _Guess) -> float:
    return -guess.chance


def _by_probability(candidate: Candidate) -> float:
    return -candidate.probability


def default_predictor() -> BlendedPredictor:
    """Build the shipped predictor, with nothing learned yet."""
    return BlendedPredictor()
