"""What one run expects its tools to answer, and what it learns of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from langchain_core.messages import BaseMessage, ToolMessage

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.history import Origin
from langgraph_speculate.core.memory import Expectation, Memory, Reading, Result, shelf_of
from langgraph_speculate.host.archive import hashed
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.inputs import result_in
from langgraph_speculate.host.results import handed_over
from langgraph_speculate.host.tenants import is_nobodys
from langgraph_speculate.host.toolbox import Toolbox
from langgraph_speculate.policy.templates import EVERYTHING

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine


class Recollection:
    """The memory as one run sees it.

    Args:
        engine: What the runs of one wrapped graph share.
        driver: The run's session and runner.
        toolbox: The graph's tools.
        memory: What tools answered before.
        origin: Whose run it is.
    """

    def __init__(self, engine: Engine, driver: Driver, toolbox: Toolbox, memory: Memory, origin: Origin) -> None:
        self._engine = engine
        self._driver = driver
        self._toolbox = toolbox
        self._memory = memory
        self._partition = None if is_nobodys(origin) else origin.partition
        self._begun: dict[str, tuple[Call, Reading]] = {}  # by the id of the call
        if engine.archive is not None:
            engine.archive.want(dict(self._from_before()))

    def begun(self, id: str, call: Call) -> None:
        """A real call of that id starts."""
        self._begun[id] = call, self._reading(call)

    def told(self, messages: Sequence[BaseMessage]) -> Iterator[str]:
        """Take in what the model is told of calls that this run made; yields their ids."""
        for message in reversed(messages):
            if not self._begun:
                return
            begun = self._begun.pop(message.tool_call_id, None) if isinstance(message, ToolMessage) else None
            if begun is not None and isinstance(message, ToolMessage):
                self._learn(*begun, Result.of(handed_over(result_in(message))))
                yield message.tool_call_id

    def expected(self, call: Call) -> Expectation | None:
        """What a call is expected to be answered with, if anything is known."""
        key, where, entry = key_of(call), self._shelf(call.name), self._toolbox.get(call.name)
        nothing: Expectation | None = None
        if key is None or where is None or entry is None or entry.facts.return_direct:
            return nothing
        found = hashed(key)
        return self._driver.answer(lambda now: (self._memory.expect(where, call.name, found), []), nothing)

    def close(self) -> None:
        """The run is over."""
        self._begun.clear()

    def _learn(self, call: Call, reading: Reading, result: Result | None) -> None:
        key, where = key_of(call), self._shelf(call.name)
        if key is None or result is None or where is None:
            return
        found = hashed(key)
        self._driver.note(lambda now: self._memory.learn(where, call.name, found, result, reading))
        if self._engine.archive is not None:
            self._engine.archive.changed(where, call.name, found)

    def _shelf(self, tool: str) -> str | None:
        """The partition that results of a tool are remembered in; None if they must not be."""
        if self._partition is None or self._engine.is_private(tool):
            return None
        entry = self._toolbox.get(tool)
        return shelf_of(None if entry is None else entry.facts.rule.tool, self._partition)

    def _reading(self, call: Call) -> Reading:
        """What a call that starts now may read."""
        entry = self._toolbox.get(call.name)
        return Reading.of(call, None if entry is None else entry.facts, self._driver.session.view.epochs)

    def _from_before(self) -> Iterator[tuple[tuple[str, str], Reading]]:
        """What may be known of each tool from other processes: of one that reads, any write makes that old."""
        epochs = self._driver.session.view.epochs
        for entry in self._toolbox:
            where = self._shelf(entry.facts.name)
            if where is not None:
                tags = frozenset() if entry.facts.writes else frozenset({EVERYTHING})
                yield (where, entry.facts.name), Reading(tags, epochs, epochs.now)
