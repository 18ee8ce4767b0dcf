"""Learns from recorded runs what a live graph would have learned from them, into a store of patterns.

The very predictor that runs live learns, run by run, so what is mined is what is known later. Each run is learned once:
a store remembers (as hashes) which, so that mining may be stopped, and repeated as recordings come in.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from hashlib import blake2b

from langgraph_speculate.core.history import Origin
from langgraph_speculate.core.sums import Key, Sums, add_to
from langgraph_speculate.patterns.store import SHARED, PatternStore
from langgraph_speculate.predict import default_predictor
from langgraph_speculate.traces.runs import Run

RUN = "run"
"""The kind of the sums that tell which runs were learned."""

_BATCH = 200  # runs a transaction


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


def mine(runs: Iterable[Run], store: PatternStore, *, private: Collection[str] = ()) -> Mined:
    """Learn *runs* into *store*.

    Values are written down only if they turned up in runs of several tasks (`predict/ledger.py`): runs of one task
    have theirs in common.

    Args:
        runs: The runs, in the order in which they happened.
        store: Where the patterns go, to the partition of everybody.
        private: Names of tools, or globs, whose values are never written down.

    >>> from langgraph_speculate.patterns import SqlitePatterns
    >>> asked = {"role": "assistant", "tool_calls": [{"id": "1", "name": "list_orders", "args": {}}]}
    >>> store = SqlitePatterns(":memory:")
    >>> mined = [mine([Run("r-1", "t-1", [asked])], store) for _ in range(2)]
    >>> mined[0].runs, mined[0].calls, mined[1].known
    (1, 1, 1)
    """
    mined, began = Mined(), time.perf_counter()
    predictor = default_predictor()
    predictor.private = lambda tool: any(fnmatchcase(tool, name) for name in private)
    known = store.load(SHARED)
    predictor.install(SHARED, predictor.prepare(known))
    learned: Sums = {}

    def write() -> None:
        sums = dict(predictor.take().get(SHARED, {}))
        add_to(sums, learned.items())
        store.add(SHARED, sums)
        add_to(mined.sums, sums.items())
        learned.clear()

    with few_collections():
        for run in runs:
            key = key_of_run(run.id)
            if key in known or key in learned or key in mined.sums:
                mined.known += 1
            else:
                learned[key] = (1.0, 0.0)
                mined.runs += 1
                for history, calls in run.decisions():
                    mined.calls += len(calls)
                    # What models write before their calls is never written down, so nothing is learned from it here.
                    predictor.learn(replace(history, origin=Origin(thread=run.task, run=run.id), writing=""), calls)
            if len(learned) >= _BATCH:
                write()
        write()
    mined.seconds = time.perf_counter() - began
    return mined


def key_of_run(id: str) -> Key:
    """Under which a store remembers a run; a hash, because its id may tell whose it is."""
    return (RUN, blake2b(id.encode(errors="replace"), digest_size=8).hexdigest())


@contextmanager
def few_collections() -> Iterator[None]:
    """What is learned lives long: to look through all of it for garbage again and again takes a quarter of the time."""
    before = gc.get_threshold()
    gc.set_threshold(100_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
