"""What outside of a run has a say in each launch: the services that its tools call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.events import Switched
from langgraph_speculate.policy import ToolPolicy


class Throttle(Protocol):
    """What the services behind the tools bear."""

    def refusal(self, tool: str, policy: ToolPolicy, now: float, *, stoppable: bool = False) -> Refusal | None:
        """Why *tool* must not be called early now; None takes what one call needs, so it is the last to be asked.

        Args:
            tool: The tool.
            policy: Its entry.
            now: Seconds on the monotonic clock.
            stoppable: Whether the body can be stopped while it runs.
        """

    def crowding(self, tool: str, policy: ToolPolicy, now: float) -> float:
        """How much of the slots, and of the share of rates that early calls have, is in use already, in [0, 1]."""

    def take_switches(self) -> Sequence[Switched]:
        """What went off and on since this was last asked, of no run yet."""


class Unthrottled:
    """Services that bear anything."""

    def refusal(self, tool: str, policy: ToolPolicy, now: float, *, stoppable: bool = False) -> Refusal | None:
        """None: there is always room for one more."""
        return None

    def crowding(self, tool: str, policy: ToolPolicy, now: float) -> float:
        """0: nothing is ever in the way."""
        return 0.0

    def take_switches(self) -> Sequence[Switched]:
        """Nothing is ever switched."""
        return ()
