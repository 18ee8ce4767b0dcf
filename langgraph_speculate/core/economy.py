"""What all runs of a graph share when they decide what is worth running: latencies, prices, restraints, load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from langgraph_speculate.core.commands import Proposal
from langgraph_speculate.core.latency import Latencies
from langgraph_speculate.core.pace import Pace
from langgraph_speculate.core.restraints import Restraints
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
    """

    latencies: Latencies = field(default_factory=Latencies)
    prices: Prices = field(default_factory=Prices)
    restraints: Restraints = field(default_factory=Restraints)
    in_process: Callable[[], int] = _idle

    def estimate(self, proposal: Proposal, policy: ToolPolicy, limits: Limits, pace: Pace, now: float) -> Estimate:
        """What is expected of launching a proposal now, should its call come."""
        tool = proposal.candidate.call.name
        pace.reached(proposal.stage, now)
        return Estimate(
            takes_s=self.latencies.takes(tool),
            hides_s=self.latencies.hides(
                tool, pace.model, proposal.stage, proposal.depth, pace.elapsed(proposal.stage, now)
            ),
            cost=policy.cost,
            crowding=max(self._load(limits), self.restraints.crowding(tool, policy, now)),
        )

    def _load(self, limits: Limits) -> float:
        return min(1.0, self.in_process() / limits.max_in_process) if limits.max_in_process else 1.0
