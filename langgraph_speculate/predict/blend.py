"""One list out of several predictors: which tool, with which arguments, and what was called before, word for word.

P(tool) from `markov.py` times P(arguments | tool) from `bindings.py` is one opinion about a call, `memory.py` another.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.history import History
from langgraph_speculate.predict.bindings import Bindings, grouped
from langgraph_speculate.predict.markov import NextTools, signatures
from langgraph_speculate.predict.memory import CallMemory
from langgraph_speculate.predict.sources import RunSources, value_key

_TOOLS = 6
_SHORTLIST = 24


class _Guess(NamedTuple):
    call: Call
    chance: float
    source: str


class BlendedPredictor:
    """The shipped predictor: counts of tools, of argument sources and of whole calls, blended."""

    bounded = True

    def __init__(self) -> None:
        self._tools = NextTools()
        self._bindings = Bindings()
        self._memory = CallMemory()

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        """Return at most *k* candidates for the next message, best first."""
        guesses = sorted(self._guesses(history), key=lambda guess: -guess.chance)[: max(k, 0)]
        return [Candidate(guess.call, min(guess.chance, 1.0), guess.source) for guess in guesses]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """See what the model really asked for after *history*; no calls means that it answered."""
        sources = RunSources(history)
        context = "".join(signatures(history, 1))
        for tool, made in grouped(calls).items():
            self._bindings.learn(sources, tool, context, made)
        self._tools.learn(history, [call.name for call in calls])
        self._memory.learn(history, calls)

    def _guesses(self, history: History) -> list[_Guess]:
        sources = RunSources(history)
        context = "".join(signatures(history, 1))
        found: dict[Hashable, _Guess] = {}
        for tool, chance in list(self._tools.predict(history).items())[:_TOOLS]:
            for proposal in self._bindings.propose(sources, tool, context, limit=12):
                call = Call(tool, proposal.args)
                found[_print(call)] = _Guess(call, chance * proposal.chance, "+".join(dict.fromkeys(proposal.kinds)))
        for call, chance in self._memory.predict(history, limit=10):
            before = found.get(_print(call))
            if before is None:
                found[_print(call)] = _Guess(call, chance, "memory")
            else:
                blended = 1.0 - (1.0 - before.chance) * (1.0 - chance)
                found[_print(call)] = _Guess(call, max(before.chance, chance, 0.5 * blended), before.source + "+memory")
        return list(found.values())


def _print(call: Call) -> Hashable:
    """A cheap stand-in for the canonical key: equal for equal calls."""
    return (call.name, tuple(sorted((name, value_key(value)) for name, value in call.args.items())))


def default_predictor() -> BlendedPredictor:
    """Build the shipped predictor, with nothing learned yet."""
    return BlendedPredictor()
