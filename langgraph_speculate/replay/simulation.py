"""A virtual clock, and what happens on it: processes that wait for times and for each other.

Processes are generators, after SimPy: they yield what they wait for, and nobody waits in real time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator

Process = Generator["float | Gate", None, None]
"""Yields the time (seconds on the virtual clock) to go on at, or a gate to go on at when it opens."""


class Gate:
    """Opens once; whoever waits at it goes on then."""

    def __init__(self) -> None:
        self.is_open = False
        self._waiting: list[Callable[[], None]] = []

    def open(self) -> None:
        """Let everybody through, now and later."""
        self.is_open = True
        waiting, self._waiting = self._waiting, []
        for go_on in waiting:
            go_on()

    def call(self, go_on: Callable[[], None]) -> None:
        """Have *go_on* called when it opens."""
        self._waiting.append(go_on)


class Simulation:
    """What happens when.

    Args:
        now: Where the clock starts.

    Attributes:
        now: Seconds on the virtual clock.

    >>> simulation, told = Simulation(), []
    >>> def process(seconds):
    ...     yield simulation.now + seconds
    ...     told.append(simulation.now)
    >>> gates = [simulation.start(process(seconds)) for seconds in (2.0, 1.0)]
    >>> simulation.run()
    >>> told, [gate.is_open for gate in gates]
    ([1.0, 2.0], [True, True])
    """

    def __init__(self, now: float = 0.0) -> None:
        self.now = now
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, when: float, happen: Callable[[], None]) -> None:
        """Have *happen* called at a time; what is due at the same time happens in the order of being asked for."""
        self._count += 1
        heapq.heappush(self._due, (max(when, self.now), self._count, happen))

    def start(self, process: Process) -> Gate:
        """Begin a process at once; the gate opens at its end."""
        done = Gate()
        self._go_on(process, done)
        return done

    def run(self) -> None:
        """Let time pass until nothing is due any more."""
        while self._due:
            self.now, _, happen = heapq.heappop(self._due)
            happen()

    def _go_on(self, process: Process, done: Gate) -> None:
        for awaited in process:
            if not isinstance(awaited, Gate):
                self.at(awaited, lambda: self._go_on(process, done))
                return
            if not awaited.is_open:
                awaited.call(lambda: self._go_on(process, done))
                return
        done.open()
