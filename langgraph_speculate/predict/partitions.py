"""One predictor for each partition: what one tenant does must not make another's calls faster, or be told to anybody.

What tenants have in common is only what the owner of the graph mined for all of them, and which words are common
(`ledger.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.draft import Draft
from langgraph_speculate.core.history import History, Origin, PastCall
from langgraph_speculate.core.sums import Key, Pair, Sums, add_to
from langgraph_speculate.predict.blend import BlendedPredictor
from langgraph_speculate.predict.ledger import Evidence
from langgraph_speculate.predict.recent import Recent
from langgraph_speculate.predict.verbs import verb

_PARTITIONS = 64
_UNTAKEN = 256
"""Forgotten partitions whose sums wait for somebody to write them down, if anybody ever does."""
_RUNS = 2_000  # whose lessons are counted
_PER_RUN = 8
"""How often one run teaches the same step (what happened last, and the tools that follow): an attacker needs many runs
to outvote others (MINJA, arXiv 2503.03704), and a long walk of one run is no majority."""
_STEPS = 64  # different ones that one run teaches


@lru_cache(maxsize=1024)
def _one(step: Hashable) -> Hashable:
    """The first of equal steps: thousands of runs take the same ones, and are remembered with them."""
    return step


class PartitionedPredictor:
    """The shipped predictor, once for each partition that histories come from.

    Args:
        evidence: Which words may be written down.
        apart: Whether partitions are kept apart; if not, all learn together.
        partitions: How many predictors are kept; that of the partition that learned least recently is forgotten.

    >>> from langgraph_speculate.core import Origin
    >>> predictor = PartitionedPredictor()
    >>> ours = History.from_messages([{"role": "user", "content": "Hi"}], origin=Origin(partition="us"))
    >>> theirs = History.from_messages([{"role": "user", "content": "Hi"}], origin=Origin(partition="them"))
    >>> for _ in range(3):
    ...     predictor.learn(ours, [Call("list_orders", {})])
    >>> [candidate.call.name for candidate in predictor.predict(ours, k=1)], predictor.predict(theirs, k=1)
    (['list_orders'], [])
    """

    bounded = True

    def __init__(self, evidence: Evidence | None = None, *, apart: bool = True, partitions: int = _PARTITIONS) -> None:
        self._evidence = evidence or Evidence()
        self._apart = apart
        self.on_new: Callable[[str], None] = lambda partition: None  # called when a partition is met
        self._predictors: Recent[str, BlendedPredictor] = Recent(partitions)
        self._untaken: Recent[str, Sums] = Recent(_UNTAKEN)  # of predictors that were forgotten
        self._taught: Recent[Origin, Counter[Hashable]] = Recent(_RUNS)

    @property
    def private(self) -> Callable[[str], bool]:
        """Tells which tools' values must not be handed over."""
        return self._evidence.private

    @private.setter
    def private(self, private: Callable[[str], bool]) -> None:
        self._evidence.private = private

    @property
    def known(self) -> Callable[[Call], bool]:
        """Tells whether a call's tool and arguments are the owner's, not names that a model made up."""
        return self._evidence.known

    @known.setter
    def known(self, known: Callable[[Call], bool]) -> None:
        self._evidence.known = known

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        """Return at most *k* candidates for the next message, best first."""
        partition = self._name(history)
        known = self._predictors.get(partition)
        if known is None:
            self.on_new(partition)
            return []
        return known.predict(history, k=k)

    def names(self, history: History) -> Mapping[str, float]:
        """Return P(the next message calls the tool) by tool, most probable first."""
        known = self._predictors.get(self._name(history))
        return {} if known is None else known.names(history)

    def call_chance(self, history: History) -> float:
        """P(the next message calls a tool), in [0, 1]."""
        known = self._predictors.get(self._name(history))
        return 0.0 if known is None else known.call_chance(history)

    def narrow(self, history: History, draft: Draft, *, k: int) -> list[Candidate]:
        """Return at most *k* candidates for what a message that has begun as *draft* may still become, best first."""
        known = self._predictors.get(self._name(history))
        return [] if known is None else known.narrow(history, draft, k=k)

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """See what the model really asked for after *history*; one run teaches the same step only so often."""
        if history.origin.run:
            taught = self._taught.touch(history.origin, Counter)
            last = history.events[-1] if history.events else None
            step = _one((verb(last.call) if isinstance(last, PastCall) else type(last), frozenset(map(verb, calls))))
            taught[step] += 1
            if taught[step] > _PER_RUN or len(taught) > _STEPS:
                return
        self._of(self._name(history)).learn(history, calls)

    def take(self) -> Mapping[str, Sums]:
        """Hand over what was learned since the last time, by partition."""
        taken = dict(self._untaken)
        self._untaken.clear()
        for partition, predictor in self._predictors.items():
            add_to(taken.setdefault(partition, {}), predictor.take().items())
        return {partition: sums for partition, sums in taken.items() if sums}

    def prepare(self, sums: Mapping[Key, Pair]) -> BlendedPredictor | None:
        """Build a predictor that knows *sums*; slow where they are many, and may be called beside everything else."""
        if not sums:
            return None
        predictor = BlendedPredictor(self._evidence)
        predictor.give(sums)
        return predictor

    def install(self, partition: str, prepared: BlendedPredictor | None) -> None:
        """Use a prepared predictor for *partition*; what the former one had learned and not handed over goes along."""
        if prepared is None:
            if partition in self._predictors:
                return  # what it learned meanwhile is all there is to know
            prepared = BlendedPredictor(self._evidence)
        before = self._predictors.pop(partition, None)
        learned = self._untaken.pop(partition, {})
        if before is not None:
            add_to(learned, before.take().items())
            prepared.adopt(before)
        prepared.give(learned)
        prepared.put_back(learned)
        self._make_room()
        self._predictors.touch(partition, lambda: prepared)

    def forget(self, partition: str) -> None:
        """Know nothing of *partition* any more, nor count it as evidence for what others say."""
        self._predictors.pop(partition, None)
        self._untaken.pop(partition, None)
        self._evidence.forget(partition)
        for origin in [origin for origin in self._taught if origin.partition == partition]:
            del self._taught[origin]

    def _name(self, history: History) -> str:
        return history.origin.partition if self._apart else ""

    def _of(self, partition: str) -> BlendedPredictor:
        if partition not in self._predictors:
            self._make_room()
            self.on_new(partition)
        return self._predictors.touch(partition, lambda: BlendedPredictor(self._evidence))

    def _make_room(self) -> None:
        while len(self._predictors) >= self._predictors.size:
            partition, predictor = self._predictors.popitem(last=False)
            sums = predictor.take()
            if sums:
                add_to(self._untaken.touch(partition, dict), sums.items())


def default_predictor(*, apart: bool = True) -> PartitionedPredictor:
    """Build the shipped predictor, with nothing learned yet.

    Args:
        apart: Whether what is learned of one partition stays there.
    """
    return PartitionedPredictor(apart=apart)
