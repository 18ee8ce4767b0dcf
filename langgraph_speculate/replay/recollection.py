"""What tools answered before, as the runs of one replay remember it: by the rules of a live graph, in its memory."""

from __future__ import annotations

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.memory import Expectation, Memory, Reading, Result, shelf_of
from langgraph_speculate.core.resources import Epochs, render
from langgraph_speculate.replay.script import RecordedCall, Script
from langgraph_speculate.replay.stage import Stage
from langgraph_speculate.traces.runs import Run


class Recollection:
    """One run's share in what is remembered.

    Recordings do not say whose they are. Where the policy keeps users apart, each run counts as a user of its own.

    Args:
        memory: What all runs remember.
        place: Where they are played.
        script: The run.
        epochs: Of what it reads and writes.
    """

    def __init__(self, memory: Memory, place: Stage, script: Script, epochs: Epochs) -> None:
        self._memory = memory
        self._place = place
        self._epochs = epochs
        self._partition = script.id if place.policy.partition_by else ""
        self._begun: list[tuple[RecordedCall, Reading]] = []

    def begins(self, made: RecordedCall) -> None:
        """A call begins to read."""
        self._begun.append((made, Reading.of(made.call, self._place.facts(made.call.name), self._epochs)))

    def told(self) -> None:
        """The model is told the results of all calls that have begun."""
        for made, reading in self._begun:
            key, shelf, result = key_of(made.call), self._shelf(made.call), Result.of({"content": made.result})
            if key is not None and shelf is not None and result is not None and made.result:
                self._memory.learn(shelf, made.call.name, key, result, reading)
        self._begun.clear()

    def expected(self, call: Call) -> Expectation | None:
        """What a call is expected to be answered with, or None where nothing is known."""
        key, shelf = key_of(call), self._shelf(call)
        return None if key is None or shelf is None else self._memory.expect(shelf, call.name, key)

    def _shelf(self, call: Call) -> str | None:
        return shelf_of(self._place.facts(call.name).rule.tool, self._partition)


def remember(run: Run, place: Stage) -> None:
    """Let a stage know what the tools of a run answered that is not played on it."""
    if place.memory is None:
        return
    script, epochs = Script.of(run), Epochs(run.id)
    recollection = Recollection(place.memory, place, script, epochs)
    for step in script.steps:
        for made in step.calls:
            recollection.begins(made)
            tags = render(place.facts(made.call.name).writes, made.call.args)
            epochs.begin_write(tags)
            epochs.end_write(tags)
        recollection.told()
