"""The zoo of foresight: programs of the other zoos, streamed or not, with guesses that reach two or three messages."""

from __future__ import annotations

from dataclasses import replace

from tests.sim.programs import MODES, Draw, Program
from tests.sim.shapes import Shape, Zoo
from tests.sim.streaming import ZOO as STREAMING
from tests.sim.zoo import ZOO as PLAIN

ZOO = Zoo("foresight", 19, (*MODES, "several"))


def _further(make: Shape) -> Shape:
    def further(seed: int, draw: Draw) -> Program:
        program = make(seed, draw)
        return replace(program, limits={**(program.limits or draw.limits()), "max_depth": draw.choice((2, 2, 3))})

    return further


for _zoo in (PLAIN, STREAMING):
    for _name, _make in _zoo.shapes.items():
        if _name not in _zoo.known:
            ZOO.put(f"far_{_name}", _further(_make), _name not in _zoo.silent)
