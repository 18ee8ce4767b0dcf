"""What a guess was worth once it has settled, in seconds that a user does not wait."""

from __future__ import annotations

from dataclasses import dataclass

COORDINATION_S = 0.0005
"""What launching one guess takes, hit or not."""


def waste_price(thrift: float) -> float:
    """Seconds of a user's time that one wasted tool-second weighs, for a *thrift* in [0, 1].

    >>> waste_price(0.0), waste_price(0.5), waste_price(1.0)
    (0.0, 0.1875, 3.0)
    """
    return 3 * thrift**4


@dataclass(frozen=True, slots=True)
class Prices:
    """What the policy's owner thinks of waste.

    Attributes:
        thrift: How much waste weighs, in [0, 1].
        value_per_second: What a second that nobody waits is worth, in the currency of the tools' costs.

    >>> round(Prices(thrift=0.5).wasted(2.0, cost=0.01), 4)
    -1.3755
    """

    thrift: float = 0.5
    value_per_second: float = 0.01

    def saved(self, seconds: float) -> float:
        """The worth of a hit that spared its user *seconds*; nothing where that cannot be told from coordination."""
        return seconds - COORDINATION_S if abs(seconds) > 10 * COORDINATION_S else 0.0

    def wasted(self, seconds: float, cost: float) -> float:
        """The worth of a guess that nobody wanted, after *seconds* of its body, at a price of *cost*."""
        return -waste_price(self.thrift) * seconds - cost / self.value_per_second - COORDINATION_S
