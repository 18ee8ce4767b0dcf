"""What happened in one run, noted as it happens and handed out when the shell asks for it."""

from __future__ import annotations

from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.core.gate import Deny
from langgraph_speculate.core.speculation import Discard, Speculation


class Journal:
    """The events of one run, oldest first.

    Args:
        run: The run's id.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._events: list[events.Event] = []

    def note(self, kind: type[events.Event], now: float, **facts: Any) -> None:
        """Something of that kind happened."""
        self._events.append(kind(run=self._run, at=now, **facts))

    def launched(self, speculation: Speculation, now: float) -> None:
        """A speculation started."""
        self.note(
            events.Launched,
            now,
            turn=speculation.turn,
            id=speculation.id,
            tool=speculation.call.name,
            probability=speculation.probability,
            source=speculation.source,
        )

    def denied(self, turn: str, tool: str, verdict: Deny, now: float, count: int = 1) -> None:
        """The gate said no."""
        reason, detail = verdict.reason.value, verdict.detail
        self.note(events.Denied, now, turn=turn, tool=tool, reason=reason, detail=detail, count=count)

    def discarded(self, speculation: Speculation, now: float) -> None:
        """A speculation ended unused; what it cost is known once its body has stopped."""
        reason = (speculation.reason or Discard.FAILED).value
        self.note(events.Discarded, now, id=speculation.id, tool=speculation.call.name, reason=reason)

    def wasted(self, speculation: Speculation, now: float) -> None:
        """The body of a discarded speculation has stopped."""
        self.note(events.Wasted, now, id=speculation.id, tool=speculation.call.name, seconds=speculation.ran_s)

    def take(self) -> list[events.Event]:
        """What happened since this was last asked."""
        happened, self._events = self._events, []
        return happened
