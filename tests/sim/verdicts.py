"""What comes of judging a pair."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.sim.programs import Program


@dataclass(frozen=True)
class Mismatch:
    """A promise that was not kept.

    Attributes:
        clause: `L1` to `L5`, or another promise in one word.
        where: Which visit or part.
        detail: The first difference.
    """

    clause: str
    where: str
    detail: str


@dataclass
class Verdict:
    """What came of one pair.

    Attributes:
        program: The program.
        mismatches: Broken promises; none is what we want.
        racy: The two sides differed, but plain can have the speculative side's outcome too.
        schedules: Plain runs it took to see that.
        counts: Launches, adoptions and discards by reason.
        saved_s: Virtual seconds that speculation saved.
    """

    program: Program
    mismatches: list[Mismatch] = field(default_factory=list)
    racy: bool = False
    schedules: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    saved_s: float = 0.0
