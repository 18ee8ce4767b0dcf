"""What restrains launches besides a run's own budgets: whether guesses like it pay, and what services bear.

All runs of a graph share it. A call that the model has written completely is no guess, so it needs a service that bears
it, and no more.
"""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.breaker import Breakers
from langgraph_speculate.core.commands import Proposal
from langgraph_speculate.core.events import Switched
from langgraph_speculate.core.slots import can_be_stopped
from langgraph_speculate.core.speculation import Discard, Speculation, Stage
from langgraph_speculate.core.throttle import Throttle, Unthrottled
from langgraph_speculate.core.worth import COORDINATION_S, TOO_FAST, Prices, value
from langgraph_speculate.policy import Limits, ToolPolicy

_NO_FAULT = (Discard.NO_SLOT, Discard.HEDGED, Discard.YIELDED)  # these say nothing about the guess
_BODY_S = 1.0  # how long a body is taken to be that did not run: of its worth only the sign is looked at


class Restraints:
    """Asked about each launch, and told what came of it.

    Args:
        breakers: Watch what guesses are worth.
        throttle: What the services bear.
        prices: What waste weighs.
    """

    def __init__(
        self, breakers: Breakers | None = None, throttle: Throttle | None = None, prices: Prices | None = None
    ) -> None:
        self._breakers = breakers or Breakers({}, Limits().cool_down_s)
        self._throttle = throttle or Unthrottled()
        self._prices = prices or Prices()

    def refusal(self, proposal: Proposal, policy: ToolPolicy, now: float) -> Refusal | None:
        """Why a call must not be launched now; None takes what it needs, so this is the last to be asked."""
        tool = proposal.candidate.call.name
        is_guess = proposal.stage is not Stage.COMPLETE
        if is_guess and self._breakers.refuses(proposal.candidate.source, tool, now):
            return Refusal.BREAKER
        stoppable = can_be_stopped(proposal.venue, policy.drains)
        return self._throttle.refusal(tool, policy, now, stoppable=stoppable)

    def bears_warm_up(self, tool: str, policy: ToolPolicy, now: float) -> bool:
        """Whether the services of *tool* bear that it is made ready, which takes what one call needs.

        Breakers have no say: they judge guesses, and which tool comes may be plain where its arguments are not.
        """
        return self._throttle.refusal(tool, policy, now) is None

    def crowding(self, tool: str, policy: ToolPolicy, now: float) -> float:
        """How much of what the services of *tool* bear is in use already, in [0, 1]."""
        return self._throttle.crowding(tool, policy, now)

    def launched(self, speculation: Speculation) -> None:
        """It starts."""
        if speculation.stage is not Stage.COMPLETE:
            self._breakers.launched(speculation.source, speculation.call.name)

    def wasted(self, speculation: Speculation, now: float) -> None:
        """Its body has ended, and nobody wants the result."""
        if speculation.reason not in _NO_FAULT:
            self._settled(speculation, self._in_vain(speculation.ran_s, speculation.cost), now)

    def adopted(self, speculation: Speculation, saved_s: float, now: float) -> None:
        """A real call has its result, and did not wait for *saved_s* seconds of its body."""
        self._settled(speculation, self._hidden(saved_s), now)

    def _hidden(self, seconds: float) -> float:
        if abs(seconds) < TOO_FAST * COORDINATION_S:
            return 0.0  # neither gain nor loss can be told from the coordination of calls
        return value(hidden_s=seconds, wasted_s=0.0, cost=0.0, prices=self._prices)

    def _in_vain(self, seconds: float, cost: float) -> float:
        return value(hidden_s=0.0, wasted_s=seconds, cost=cost, prices=self._prices)

    def _settled(self, speculation: Speculation, worth: float, now: float) -> None:
        if speculation.stage is not Stage.COMPLETE:
            self._breakers.settled(speculation.source, speculation.call.name, worth, now)

    def foresaw(self, proposal: Proposal, right: bool) -> None:
        """What the model did shows whether a guess that a breaker held back would have been right."""
        policy = proposal.tool.rule.tool if proposal.tool is not None else None
        cost = policy.cost if policy is not None else 0.0
        estimate = self._hidden(_BODY_S) if right else self._in_vain(_BODY_S, cost)
        self._breakers.foresaw(proposal.candidate.source, proposal.candidate.call.name, estimate)

    def take_switches(self) -> Sequence[Switched]:
        """What went off and on since this was last asked."""
        return (*self._breakers.take_switches(), *self._throttle.take_switches())
