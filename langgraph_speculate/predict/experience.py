"""What was learned, looked up for one moment of a run: which calls may follow, and by what.

P(tool) from `markov.py` times P(arguments | tool) from `bindings.py` is one opinion about a call; `memory.py` and
`walks.py` have others. How far to trust them is the business of `blend.py`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.history import History
from langgraph_speculate.predict.bindings import Bindings
from langgraph_speculate.predict.features import Guess, features, said_words
from langgraph_speculate.predict.ledger import Ledger
from langgraph_speculate.predict.markov import NextTools, details, signatures
from langgraph_speculate.predict.memory import CallMemory, moments
from langgraph_speculate.predict.patterns import Patterns
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.sources import RunSources
from langgraph_speculate.predict.walks import Walks

LEAST = 0.01
"""Guesses less probable than this are not worth a look."""
PER_TOOL = 12
"""Calls of one tool that are looked for."""
_TOOLS = 6  # tools whose arguments are looked for
_WORTHWHILE = 0.01  # P(tool) times how often its arguments can be found
_SHORTLIST = 16  # guesses that are ranked with care
_RUNS = 256  # at once, whose sources are kept from turn to turn until they answer
_FLOOR = 1e-3
_NOTHING = (Call(""), 0.0)
_FIRST = itemgetter(0)


class Moment(NamedTuple):
    """What is looked up before a model call, for predicting what it asks for and for learning it."""

    history: History
    sources: RunSources
    events: tuple[str, ...]  # the latest signatures
    detail: str  # what else is known of the latest event
    contexts: Sequence[Hashable]  # the same for whole calls, see `memory.py`
    guesses: Sequence[tuple[Guess, tuple[float, ...]]]  # the shortlist, with what the ranker wants to know


class Experience:
    """Counts of tools, of where arguments come from, of whole calls and of walks.

    Args:
        ledger: Where what is learned is noted, to be written down.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._tools = NextTools(ledger=ledger)
        self._bindings = Bindings(ledger=ledger)
        self._memory = CallMemory(ledger=ledger)
        self._patterns = Patterns(ledger=ledger)
        self._walks = Walks()
        self._runs: Recent[int, RunSources] = Recent(_RUNS)

    def _look(self, history: History, *, with_guesses: bool = True) -> Moment:
        """Look up what the experience says about a moment, and if asked to, the guesses that it makes."""
        sources = RunSources(history, self._runs.get(_run_of(history)))
        self._runs.put(_run_of(history), sources)
        events = signatures(history, self._tools.order)
        detail = details(history)
        contexts = moments(history, events[-2:])
        shortlist: list[tuple[Guess, tuple[float, ...]]] = []
        if with_guesses:
            guesses = sorted(self._guesses(history, sources, events, detail, contexts), key=_FIRST, reverse=True)
            said = said_words(sources)
            shortlist = [(guess, features(guess, sources, said)) for guess in guesses[:_SHORTLIST]]
        return Moment(history, sources, events, detail, contexts, shortlist)

    def _let_go(self, history: History) -> None:
        """A run has answered: what it saw need not be kept in case that it goes on."""
        self._runs.pop(_run_of(history), None)

    def _guesses(
        self,
        history: History,
        sources: RunSources,
        events: tuple[str, ...],
        detail: str,
        contexts: Sequence[Hashable],
        tools: Mapping[str, float] | None = None,
    ) -> Iterator[Guess]:
        """Calls that may follow; *tools* are the probabilities of tools where more than the moment is known of them."""
        walks = {key: (call, chance) for key, call, chance in self._walks.predict(history)}
        tools = self._tools.predict(events, detail) if tools is None else tools
        remembered = {key: (call, chance) for key, call, chance in self._memory.predict(contexts, limit=10)}
        for key, (call, chance) in walks.items():
            remembered.pop(key, None)
            yield Guess(chance, call.name, call.args, key, tools.get(call.name, _FLOOR), None, 0, 1.0, 0.0, 0.0)
        context = "".join(events[-1:])
        for tool, chance in list(tools.items())[:_TOOLS]:
            if chance * self._bindings.reach(tool) < _WORTHWHILE:
                continue
            proposals = self._bindings.propose(sources, tool, context, limit=PER_TOOL, least=LEAST / chance)
            for place, proposal in enumerate(proposals):
                derived, key = chance * proposal.chance, proposal.fingerprint
                if key in walks:
                    continue
                memory = remembered.pop(key, _NOTHING)[1]
                lead = proposal.chance / proposals[0].chance
                pattern = self._patterns.chance(proposal.pattern, proposal.chance)
                yield Guess(
                    max(derived, memory), tool, proposal.args, key, chance, proposal, place, lead, memory, pattern
                )
        for key, (call, memory) in remembered.items():
            if memory >= LEAST:
                chance = tools.get(call.name, _FLOOR)
                yield Guess(memory, call.name, call.args, key, chance, None, 0, 1.0, memory, 0.0)


def _run_of(history: History) -> int:
    """Histories of one run share their events, so the first one tells runs apart."""
    return id(history.events[0]) if history.events else 0
