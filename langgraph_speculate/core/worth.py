"""What a guess is worth: the time it is expected to save, less what it costs, in seconds of somebody who waits.

    U = p * E[min(duration, lead)] - cost

A body that starts now hides no more of itself than passes until its real call arrives, and only if that call comes. If
it does not, its seconds, its price and its place were spent for nothing. (The benefit is that of Speculative Actions,
arXiv 2510.04371, and of PASTE, arXiv 2603.18897; that a waste has a price is what makes it an investment.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

COORDINATION_S: Final = 0.0005
"""What a launch costs the run itself: predicting, deciding, starting and adopting it."""

TOO_FAST: Final = 10
"""A tool that takes fewer times the coordination is left alone: there is nothing to gain."""

_DEAREST: Final = 2.0  # what a wasted tool-second weighs at thrift 1: only what is likely is worth it


@dataclass(frozen=True, slots=True)
class Prices:
    """What waste weighs against time.

    Attributes:
        thrift: From 0, waste weighs nothing, to 1, as much as it can.
        value_per_second: What a second that nobody waits is worth, in the currency of the tools' `cost`.

    >>> [round(Prices(thrift=thrift).waste, 2) for thrift in (0, 0.5, 1)]
    [0.0, 0.25, 2.0]
    """

    thrift: float = 0.5
    value_per_second: float = 0.01

    @property
    def waste(self) -> float:
        """Seconds of waiting that a wasted tool-second is worth.

        At 0.5 a body that the model leaves enough time is worth running from a probability of 0.2 on. On the training
        halves of recorded support agents a floor of 0.15 cost 0.8 to 1 wasted launches a hit, one of 0.3 half a launch
        and a tenth of the hits.
        """
        return _DEAREST * self.thrift**3

    def seconds(self, cost: float) -> float:
        """Seconds of waiting that so much money is worth: nothing at thrift 0, the policy's rate at 0.5, twice at 1."""
        return 2 * self.thrift * cost / self.value_per_second


class Estimate(NamedTuple):
    """What is expected of a guess of one tool that runs now.

    Attributes:
        takes_s: Seconds of its body.
        hides_s: Those of them that pass before its real call arrives, if that comes.
        cost: What one call costs.
        crowding: How much of what its body needs is in use already, in [0, 1]: slots, a rate, threads.
    """

    takes_s: float
    hides_s: float
    cost: float = 0.0
    crowding: float = 0.0

    @property
    def too_fast(self) -> bool:
        """Whether its tool answers so fast that there is nothing to gain."""
        return self.takes_s < TOO_FAST * COORDINATION_S

    def in_vain_s(self, prices: Prices) -> float:
        """Seconds that are lost if its real call does not come."""
        # The fuller a resource, the likelier a guess that nobody wants makes somebody else wait for it.
        return self.takes_s * (prices.waste + self.crowding**2) + prices.seconds(self.cost)


def worth(probability: float, expected: Estimate, prices: Prices) -> float:
    """Expected seconds saved by running a guess now, net of its cost; launch while it is above 0.

    Args:
        probability: That its real call comes, in [0, 1].
        expected: What its tool takes, hides and costs.
        prices: What waste weighs.

    >>> second = Estimate(takes_s=1.0, hides_s=1.0)
    >>> worth(0.9, second, Prices()) > 0 > worth(0.1, second, Prices())
    True
    >>> worth(0.1, second, Prices(thrift=0)) > 0
    True
    """
    return net(probability, expected.hides_s, expected.in_vain_s(prices))


def net(probability: float, hides_s: float, in_vain_s: float) -> float:
    """`worth` of one of several guesses of a tool, which have the same to win and to lose."""
    if not probability >= 0:
        return -math.inf  # no number
    return probability * hides_s - (1 - probability) * in_vain_s - COORDINATION_S


def value(*, hidden_s: float, wasted_s: float, cost: float, prices: Prices) -> float:
    """What a speculation that has ended was worth, in the same seconds: for breakers that measure.

    >>> round(value(hidden_s=0.3, wasted_s=0.0, cost=0.0, prices=Prices()), 4)
    0.2995
    """
    return hidden_s - wasted_s * prices.waste - prices.seconds(cost) - COORDINATION_S
