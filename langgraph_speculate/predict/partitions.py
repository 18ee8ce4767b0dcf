"""One predictor for each partition: what one tenant does must not make another's calls faster, or be told to anybody.

What tenants have in common is only what the owner of the graph mined for all of them, and which words are common
(`ledger.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.history import History
from langgraph_speculate.core.sums import Key, Pair, Sums, add_to
from langgraph_speculate.predict.blend import BlendedPredictor
from langgraph_speculate.predict.ledger import Evidence
from langgraph_speculate.predict.recent import Recent

_PARTITIONS = 64


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
        self._untaken: dict[str, Sums] = {}  # of predictors that were forgotten

    @property
    def private(self) -> Callable[[str], bool]:
        """Tells which tools' values must not be handed over."""
        return self._evidence.private

    @private.setter
    def private(self, private: Callable[[str], bool]) -> None:
        self._evidence.private = private

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        """Return at most *k* candidates for the next message, best first."""
        partition = self._name(history)
        known = self._predictors.get(partition)
        if known is None:
            self.on_new(partition)
            return []
        return known.predict(history, k=k)

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """See what the model really asked for after *history*."""
        self._of(self._name(history)).learn(history, calls)

    def take(self) -> Mapping[str, Sums]:
        """Hand over what was learned since the last time, by partition."""
        taken, self._untaken = self._untaken, {}
        for partition, predictor in self._predictors.items():
            add_to(taken.setdefault(partition, {}), predictor.take().items())
        return {partition: sums for partition, sums in taken.items() if sums}

    def prepare(self, sums: Mapping[Key, Pair]) -> BlendedPredictor:
        """Build a predictor that knows *sums*; slow where they are many, and may be called beside everything else."""
        predictor = BlendedPredictor(self._evidence)
        predictor.give(sums)
        return predictor

    def install(self, partition: str, prepared: BlendedPredictor) -> None:
        """Use a prepared predictor for *partition*; what the former one had learned and not handed over goes along."""
        before = self._predictors.pop(partition, None)
        if before is not None:
            learned = before.take()
            prepared.give(learned)
            prepared.put_back(learned)
        self._make_room()
        self._predictors.touch(partition, lambda: prepared)

    def forget(self, partition: str) -> None:
        """Know nothing of *partition* any more."""
        self._predictors.pop(partition, None)
        self._untaken.pop(partition, None)

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
            add_to(self._untaken.setdefault(partition, {}), predictor.take().items())


def default_predictor(*, apart: bool = True) -> PartitionedPredictor:
    """Build the shipped predictor, with nothing learned yet.

    Args:
        apart: Whether what is learned of one partition stays there.
    """
    return PartitionedPredictor(apart=apart)
