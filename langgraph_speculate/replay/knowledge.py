"""What a replay begins with: nothing, or patterns that were mined before."""

from __future__ import annotations

import os

from langgraph_speculate.core.candidates import Predictor
from langgraph_speculate.core.sums import Sums
from langgraph_speculate.patterns import SqlitePatterns
from langgraph_speculate.patterns.store import SHARED
from langgraph_speculate.predict import default_predictor
from langgraph_speculate.traces.mine import key_of_run


class Mined:
    """Ids of the runs that a store has learned from; to play those would be to ask what is known already.

    Attributes:
        skipped: How many were asked for; to be set to 0 before they are all asked for again.
    """

    def __init__(self, sums: Sums) -> None:
        self._sums = sums
        self.skipped = 0

    def __contains__(self, run: str) -> bool:
        found = key_of_run(run) in self._sums
        self.skipped += found
        return found


def known_to(patterns: str | os.PathLike[str] | None) -> Mined:
    """The runs that a store of patterns has learned from.

    Raises:
        BadPatterns: It cannot be read.
    """
    return Mined(_sums_of(patterns))


def taught_by(patterns: str | os.PathLike[str] | None) -> Predictor:
    """The shipped predictor, with what a store of patterns knows."""
    predictor = default_predictor()
    if patterns is not None:
        predictor.install(SHARED, predictor.prepare(_sums_of(patterns)))
    return predictor


def _sums_of(patterns: str | os.PathLike[str] | None) -> Sums:
    if patterns is None:
        return {}
    store = SqlitePatterns(patterns, strict=True)
    try:
        return dict(store.load(SHARED))
    finally:
        store.close()
