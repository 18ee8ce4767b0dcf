"""Learns from recorded runs what a live graph would have learned from them, into a store of patterns.

The very predictor that runs live learns, run by run, so what is mined is what is known later. Each run is learned once:
a store remembers (as hashes) which, so that mining may be stopped, and repeated as recordings come in.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

from langgraph_speculate.core.sums import Key, Sums, add_to
from langgraph_speculate.patterns.store import SHARED, PatternStore
from langgraph_speculate.traces.learner import Learned, Learner, Learners, few_collections
from langgraph_speculate.traces.runs import Run

RUN = "run"
"""The kind of the sums that tell which runs were learned."""


@dataclass
class Mined:
    """What came of mining.

    Attributes:
        runs, calls: How many were learned.
        known: Runs that the store had learned before.
        seconds: How long it took, with reading and writing.
        sums: What was added to the store.
    """

    runs: int = 0
    calls: int = 0
    known: int = 0
    seconds: float = 0.0
    sums: Sums = field(default_factory=dict)


def mine(runs: Iterable[Run], store: PatternStore, *, private: Collection[str] = (), jobs: int = 1) -> Mined:
    """Learn *runs* into *store*.

    Values are written down only if they turned up in runs of several tasks (`predict/ledger.py`): runs of one task
    have theirs in common.

    Args:
        runs: The runs, in the order in which they happened.
        store: Where the patterns go, to the partition of everybody.
        private: Names of tools, or globs, whose values are never written down.
        jobs: How many processes learn; 1: this one. More are started anew, so a script needs its
            `if __name__ == "__main__":`, and pay from some ten thousand calls on.

    Raises:
        ValueError: *jobs* is less than 1.

    >>> from langgraph_speculate.patterns import SqlitePatterns
    >>> asked = {"role": "assistant", "tool_calls": [{"id": "1", "name": "list_orders", "args": {}}]}
    >>> store = SqlitePatterns(":memory:")
    >>> mined = [mine([Run("r-1", "t-1", [asked])], store) for _ in range(2)]
    >>> mined[0].runs, mined[0].calls, mined[1].known
    (1, 1, 1)
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    mined, began = Mined(), time.perf_counter()
    known = store.load(SHARED)
    marks: set[Key] = set()
    new = _unknown(runs, known, marks, mined)
    for learned in _learned(new, known, private) if jobs == 1 else _learned_by(jobs, new, known, private):
        mined.calls += learned.calls
        store.add(SHARED, learned.sums)
        add_to(mined.sums, learned.sums.items())
    mined.runs, mined.seconds = len(marks), time.perf_counter() - began
    return mined


def _unknown(runs: Iterable[Run], known: Sums, marks: set[Key], mined: Mined) -> Iterator[tuple[Key, Run]]:
    """The runs that were not learned before, with their marks."""
    for run in runs:
        mark = key_of_run(run.id)
        if mark in known or mark in marks:
            mined.known += 1
        else:
            marks.add(mark)
            yield mark, run


def _learned(runs: Iterable[tuple[Key, Run]], known: Sums, private: Collection[str]) -> Iterator[Learned]:
    with few_collections():
        learner = Learner(known, private)
        for mark, run in runs:
            if (learned := learner.learn(mark, run)) is not None:
                yield learned
        yield learner.take()


def _learned_by(jobs: int, runs: Iterable[tuple[Key, Run]], known: Sums, private: Collection[str]) -> Iterator[Learned]:
    learners = Learners(jobs, known, private)
    try:
        for mark, run in runs:
            yield from learners.learn(mark, run)
        yield from learners.take()
    finally:
        learners.close()


def key_of_run(id: str) -> Key:
    """Under which a store remembers a run; a hash, because its id may tell whose it is."""
    return (RUN, blake2b(id.encode(errors="replace"), digest_size=8).hexdigest())
