"""What all runs of a graph share when they decide what is worth running: latencies, prices, restraints, load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from langgraph_speculate.core.latency import Ahead, Latencies
from langgraph_speculate.core.restraints import Restraints
from langgraph_speculate.core.stakes import Stakes
from langgraph_speculate.core.worth import Estimate, Prices
from langgraph_speculate.policy import Limits, ToolPolicy


def _idle() -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Economy:
    """Shared by the runs of a graph, and asked under their lock.

    Attributes:
        latencies: How long tools take, and how long models leave them.
        prices: What waste weighs.
        restraints: Breakers, and what the services bear.
        in_process: How many attempts of all graphs run in this process.
        stakes: What previews of model calls may cost.
        previews: Whether there are any.
    """

    latencies: Latencies = field(default_factory=Latencies)
    prices: Prices = field(default_factory=Prices)
    restraints: Restraints = field(default_factory=Restraints)
    in_process: Callable[[], int] = _idle
    stakes: Stakes = field(default_factory=Stakes)
    previews: bool = False

    def estimate(self, tool: str, policy: ToolPolicy, ahead: Ahead, load: float, now: float) -> Estimate:
        """What is expected of launching a guess of *tool* now, should its call come.

        Args:
            tool: Its name.
            policy: Its entry.
            ahead: What is expected of bodies that start now.
            load: See `load`.
            now: Seconds on the monotonic clock.
        """
        takes_s, hides_s = ahead.of(tool)
        crowding = self.restraints.crowding(tool, policy, now)
        return Estimate(takes_s, hides_s, policy.cost, max(load, crowding))

    def load(self, limits: Limits) -> float:
        """How much of what may run in this process does run, in [0, 1]."""
        return min(1.0, self.in_process() / limits.max_in_process) if limits.max_in_process else 1.0
