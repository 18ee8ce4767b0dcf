"""Make a failing program smaller: drop visits, turns and calls for as long as it still fails."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.sim.loop import Mode
from tests.sim.pair import judge
from tests.sim.programs import Program


def shrunk(program: Program, mode: Mode = "fifo") -> Program:
    """A smaller program that breaks one of the promises that *program* breaks."""
    broken = {mismatch.clause for mismatch in judge(program, mode).mismatches}
    while True:
        smaller = next((p for p in _smaller(program) if _breaks(p, broken, mode)), None)
        if smaller is None:
            return program
        program = smaller


def _breaks(program: Program, clauses: set[str], mode: Mode) -> bool:
    return any(mismatch.clause in clauses for mismatch in judge(program, mode).mismatches)


def _smaller(program: Program) -> Iterator[Program]:
    """Programs with one visit, turn or call less, largest cut first."""
    for index in range(len(program.visits) if len(program.visits) > 1 else 0):
        yield replace(program, visits=(*program.visits[:index], *program.visits[index + 1 :]))
    for index, visit in enumerate(program.visits):
        for number, turn in enumerate(visit.script):
            rest = (*visit.script[:number], *visit.script[number + 1 :])
            yield _with(program, index, rest)
            for call in range(len(turn.asks) if len(turn.asks) > 1 else 0):
                fewer = replace(turn, asks=(*turn.asks[:call], *turn.asks[call + 1 :]))
                yield _with(program, index, (*visit.script[:number], fewer, *visit.script[number + 1 :]))


def _with(program: Program, index: int, script: tuple) -> Program:  # type: ignore[type-arg]
    visit = replace(program.visits[index], script=script)
    return replace(program, visits=(*program.visits[:index], visit, *program.visits[index + 1 :]))
