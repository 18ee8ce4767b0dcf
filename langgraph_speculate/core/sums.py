"""What was learned, as sums: they merge in any order, so processes can add theirs to one total without a lock.

After the grow-only counters of Shapiro et al., "Conflict-free replicated data types" (2011): a store keeps one total a
key, whoever learned adds what came since it last did, and forgetting is the business of whoever reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from langgraph_speculate.core.calls import Call

Key = tuple[str, ...]
"""What was counted: a kind, then names, paths, shapes; see `predict/knowledge.py`."""

Pair = tuple[float, float]
"""How often it was so, and out of how often; the latter is 0 where there is nothing to compare with."""

Sums = dict[Key, Pair]


def add_to(total: Sums, more: Iterable[tuple[Key, Pair]]) -> None:
    """Add *more* to *total*.

    >>> total = {("next", "get_order"): (1.0, 0.0)}
    >>> add_to(total, [(("next", "get_order"), (2.0, 0.0))])
    >>> total
    {('next', 'get_order'): (3.0, 0.0)}
    """
    for key, (hits, trials) in more:
        before = total.get(key, (0.0, 0.0))
        total[key] = (before[0] + hits, before[1] + trials)


class Countable(Protocol):
    """What counts something that is nobody's in particular, and whose counts are worth keeping."""

    def take(self) -> Sums:
        """Hand over what was counted since the last time."""
        ...

    def give(self, sums: Mapping[Key, Pair]) -> None:
        """Know what was written down, besides what was counted already; what is another's is left out."""
        ...


@runtime_checkable
class Learner(Protocol):
    """A predictor whose knowledge can be written down: what `patterns=` needs beside `predict` and `learn`.

    As with every predictor, calls to one never overlap, but for `prepare`.

    Attributes:
        on_new: Set by whoever keeps the store; to be called with the name of a partition when one is met.
        private: Set by whoever keeps the store; tells which tools' values must not be handed over.
        known: Set by whoever keeps the store; tells whether a call's tool and arguments are those of the graph. Other
            names were made up by a model, maybe out of what a user said, and must not be handed over.
    """

    on_new: Callable[[str], None]
    private: Callable[[str], bool]
    known: Callable[[Call], bool]

    def take(self) -> Mapping[str, Sums]:
        """Hand over what was learned since the last time, by partition."""
        ...

    def prepare(self, sums: Mapping[Key, Pair]) -> Any:
        """Make something of what a store knows; changes nothing, and may take its time."""
        ...

    def install(self, partition: str, prepared: Any) -> None:
        """Know what was prepared about *partition*, besides what was learned of it and not taken yet."""
        ...

    def forget(self, partition: str) -> None:
        """Know nothing of *partition* any more."""
        ...
