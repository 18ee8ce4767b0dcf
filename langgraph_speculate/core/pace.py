"""When the moments of a run's steps were, so that the lead they leave can be learned and told."""

from __future__ import annotations

from collections import deque

from langgraph_speculate.core.latency import Ahead, Latencies
from langgraph_speculate.core.speculation import Stage


class Pace:
    """The moments of the step under way, and the beginnings of those before it.

    Args:
        latencies: What learns from them.
        max_depth: How many steps ahead calls are looked for.

    >>> latencies = Latencies()
    >>> pace = Pace(latencies, max_depth=1)
    >>> pace.began("gpt", now=10.0)
    >>> pace.arrived(now=12.0)
    >>> round(latencies.ahead("gpt").of("unknown").hides_s, 1), pace.elapsed(Stage.BEGIN, now=13.0)
    (0.3, 3.0)
    """

    __slots__ = ("_began", "_latencies", "_moments", "_open", "model")

    def __init__(self, latencies: Latencies, max_depth: int) -> None:
        self._latencies = latencies
        self._began: deque[float] = deque(maxlen=max_depth)  # of the steps so far, the latest first
        self._moments: dict[Stage, float] = {}
        self._open = False
        self.model = ""

    def began(self, model: str, now: float) -> None:
        """A step begins: its model is called."""
        self.model = model
        self._began.appendleft(now)
        self._moments = {Stage.BEGIN: now}
        self._open = True

    def reached(self, stage: Stage, now: float) -> None:
        """So much of the message is known now."""
        self._moments.setdefault(stage, now)

    def elapsed(self, stage: Stage, now: float) -> float:
        """Seconds since so much of the message became known."""
        return max(0.0, now - self._moments.get(stage, now))

    def ahead(self, stage: Stage, depth: int, now: float) -> Ahead:
        """What is expected of bodies that start now, for a call *depth* messages ahead."""
        return self._latencies.ahead(self.model, stage, depth, self.elapsed(stage, now))

    def arrived(self, now: float) -> None:
        """A call of the step arrived; only the first of them tells of the model."""
        if not self._open:
            return
        self._open = False
        for stage, moment in self._moments.items():
            if stage is not Stage.BEGIN:
                self._latencies.left(self.model, stage, 1, now - moment)
        for depth, began in enumerate(self._began, 1):
            self._latencies.left(self.model, Stage.BEGIN, depth, now - began)
