"""Guesses alone: a call that started because the model had written it is a hit, too, but nobody foresaw it."""

from __future__ import annotations

from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.core.speculation import Stage


class Guesses:
    """Counts the guesses of a wrapped graph; hand `at_once(see)` to `speculation_of(graph).events`.

    Attributes:
        launched: Guesses that were started.
        right: Those that answered a call.
        wasted: Those that did not.
    """

    def __init__(self) -> None:
        self.launched = self.right = self.wasted = 0
        self._alive: set[str] = set()

    def see(self, event: events.Event) -> None:
        """Something happened."""
        match event:
            case events.Launched(id=id, stage=stage) if stage != Stage.COMPLETE.value:
                self._alive.add(id)
                self.launched += 1
            case events.Committed(id=id) if id in self._alive:
                self._alive.remove(id)
                self.right += 1
            case events.Discarded(id=id) if id in self._alive:
                self._alive.remove(id)
                self.wasted += 1

    def figures(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "guesses": self.launched,
            "right": self.right,
            "wasted_guesses": self.wasted,
            "wasted_per_right": self.wasted / self.right if self.right else None,
        }
