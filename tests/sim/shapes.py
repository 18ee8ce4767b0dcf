"""A zoo: a collection of shapes that programs come in, every one of which must occur in every campaign."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.sim.programs import MODES, Draw, Program, finished

Shape = Callable[[int, Draw], Program]


class Zoo:
    """Shapes that take turns.

    Args:
        name: What it is called on the command line.
        salt: Sets what its seeds draw apart from what those of other zoos do.
        predictors: How predictors guess, in turn.

    Attributes:
        shapes: By name.
        silent: Shapes of which no tool may run early.
        known: Shapes left out, each with the reason: mismatches that are reported and not fixed yet.
    """

    def __init__(self, name: str, salt: int, predictors: tuple[str, ...] = MODES) -> None:
        self.name = name
        self.predictors = predictors
        self.shapes: dict[str, Shape] = {}
        self.silent: set[str] = set()
        self.known: dict[str, str] = {}
        self._salt = salt
        self._rotation: list[str] = []

    def shape(self, may_speculate: bool = True, weight: int = 1) -> Callable[[Shape], Shape]:
        """Put a function's shape into the zoo; one of more weight occurs more often."""

        def put(make: Shape) -> Shape:
            self.put(make.__name__.removeprefix("_"), make, may_speculate, weight)
            return make

        return put

    def put(self, name: str, make: Shape, may_speculate: bool = True, weight: int = 1) -> None:
        """Put a shape into the zoo under a name."""
        self.shapes[name] = make
        self._rotation.extend([name] * weight)
        if not may_speculate:
            self.silent.add(name)

    def program_of(self, seed: int) -> Program:
        """The program of a seed: shapes and predictors take turns, so that each of them occurs."""
        names = [name for name in self._rotation if name not in self.known]
        name = names[seed % len(names)]
        draw = Draw(seed * 7919 + self._salt)
        guess = self.predictors[seed // len(names) % len(self.predictors)]
        program = finished(self.shapes[name](seed, draw), draw)
        if guess == "slow" and program.form.kind == "sync_nodes":
            guess = "noisy"  # there LangChain runs async handlers on a loop of their own, in real time
        return replace(program, shape=name, predictor=guess)
