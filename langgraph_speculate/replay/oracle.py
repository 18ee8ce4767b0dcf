"""What perfect one-step prediction would save: the ceiling beside every figure of a replay."""

from __future__ import annotations

import math

from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.gate import forbids
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.host.entry import TASK
from langgraph_speculate.replay.script import Script, Step
from langgraph_speculate.replay.stage import Stage


class Oracle:
    """Perfect one-step prediction: every call that may run ahead starts with the model's message that asks for it.

    Args:
        stage: Where the runs are played.
        most: Calls of one message that may start early at one time; None: all of them. Those that take longest do.
    """

    def __init__(self, stage: Stage, most: int | None = None) -> None:
        self._stage = stage
        self._most = math.inf if most is None else most
        self._clockwork = stage.clockwork
        self._view = RunView(stage.level, None, Epochs())

    def saves(self, script: Script) -> float:
        """Seconds saved in a run."""
        return sum(self._saves(step, script, at) for at, step in enumerate(script.steps) if step.calls)

    def _saves(self, step: Step, script: Script, at: int) -> float:
        lead = self._clockwork.of_step(step, script, at)
        calls = [(self._clockwork.of_call(made.call, script, made.seconds), made) for made in step.calls]
        waits, early = [0.0], 0
        for seconds, made in sorted(calls, key=lambda call: -call[0]):
            may = forbids(self._stage.facts(made.call.name), TASK, self._view, made.id) is None and early < self._most
            early += may
            waits.append(max(0.0, seconds - lead) if may else seconds)
        return max(seconds for seconds, _ in calls) - max(waits)
