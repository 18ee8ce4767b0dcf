"""What tools answered before, as recorded runs remember it: by the rules of a live graph, in its memory."""

from __future__ import annotations

from collections.abc import Callable

from langchain_core.messages import ToolMessage

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.core.memory import Expectation, Memory, Reading, Result, shelf_of
from langgraph_speculate.core.resources import Epochs, render
from langgraph_speculate.host.archive import hashed
from langgraph_speculate.host.inputs import result_in
from langgraph_speculate.replay.script import RecordedCall, Script
from langgraph_speculate.traces.runs import Run


class Recollection:
    """One run's share in what is remembered.

    Args:
        memory: What all runs remember.
        facts: What is known of a tool, by its name.
        partition: Whose data the run works on.
        epochs: Of that data.
    """

    def __init__(self, memory: Memory, facts: Callable[[str], ToolFacts], partition: str, epochs: Epochs) -> None:
        self._memory = memory
        self._facts = facts
        self._partition = partition
        self._epochs = epochs
        self._begun: list[tuple[RecordedCall, Reading]] = []

    def begins(self, made: RecordedCall) -> None:
        """A call begins to read."""
        self._begun.append((made, Reading.of(made.call, self._facts(made.call.name), self._epochs)))

    def told(self) -> None:
        """The model is told the results of all calls that have begun."""
        for made, reading in self._begun:
            key, shelf, result = key_of(made.call), self._shelf(made.call), _result(made)
            if key is not None and shelf is not None and result is not None:
                self._memory.learn(shelf, made.call.name, hashed(key), result, reading)
        self._begun.clear()

    def expected(self, call: Call) -> Expectation | None:
        """What a call is expected to be answered with, or None where nothing is known."""
        key, shelf = key_of(call), self._shelf(call)
        return None if key is None or shelf is None else self._memory.expect(shelf, call.name, hashed(key))

    def take_in(self, run: Run) -> None:
        """What the tools of a run answered that was not played."""
        for step in Script.of(run).steps:
            for made in step.calls:
                self.begins(made)
                tags = render(self._facts(made.call.name).writes, made.call.args)
                self._epochs.begin_write(tags)
                self._epochs.end_write(tags)
            self.told()

    def _shelf(self, call: Call) -> str | None:
        return shelf_of(self._facts(call.name).rule.tool, self._partition)


def _result(made: RecordedCall) -> Result | None:
    """What the model was told, in the form of a live graph's; None where the recording does not say."""
    if not made.told:
        return None
    return Result.of(result_in(ToolMessage(made.result, name=made.call.name, tool_call_id="")))
