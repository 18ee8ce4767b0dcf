"""What perfect one-step prediction would save: the ceiling beside every figure of a replay."""

from __future__ import annotations

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
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._clockwork = stage.clockwork
        self._view = RunView(stage.level, None, Epochs())

    def saves(self, script: Script) -> float:
        """Seconds saved in a run."""
        return sum(self._saves(step, script, at) for at, step in enumerate(script.steps) if step.calls)

    def _saves(self, step: Step, script: Script, at: int) -> float:
        lead = self._clockwork.of_step(step, script, at)
        bodies, waits = [0.0], [0.0]
        for made in step.calls:
            seconds = self._clockwork.of_call(made.call, script, made.seconds)
            may = forbids(self._stage.facts(made.call.name), TASK, self._view, made.id) is None
            bodies.append(seconds)
            waits.append(max(0.0, seconds - lead) if may else seconds)
        return max(bodies) - max(waits)
