"""Guesses alone: a call that started because the model had written it is a hit, too, but nobody foresaw it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.core.speculation import Stage


class Guesses:
    """Counts the guesses of a wrapped graph; hand `see` to `speculation_of(graph).events`.

    Attributes:
        launched: Guesses that were started, by how many messages ahead they looked.
        right: Those that answered a call.
        wasted: Those that did not.
    """

    def __init__(self) -> None:
        self.launched: Counter[int] = Counter()
        self.right: Counter[int] = Counter()
        self.wasted: Counter[int] = Counter()
        self._alive: dict[str, int] = {}

    def see(self, event: events.Event) -> None:
        """Something happened."""
        match event:
            case events.Launched(id=id, stage=stage) if stage != Stage.COMPLETE.value:
                depth = getattr(event, "depth", 1)
                self._alive[id] = depth
                self.launched[depth] += 1
            case events.Committed(id=id) if id in self._alive:
                self.right[self._alive.pop(id)] += 1
            case events.Discarded(id=id) if id in self._alive:
                self.wasted[self._alive.pop(id)] += 1

    def figures(self) -> dict[str, Any]:
        """As plain data."""
        right, wasted = self.right.total(), self.wasted.total()
        return {
            "guesses": self.launched.total(),
            "right": right,
            "wasted_guesses": wasted,
            "wasted_per_right": wasted / right if right else None,
            "by_depth": {
                str(depth): {"guesses": count, "right": self.right[depth], "hit_rate": self.right[depth] / count}
                for depth, count in sorted(self.launched.items())
            },
        }
