"""What the tools of a recorded run act in: a world whose answers are those of the recording, after a delay.

A read is answered from the state of the world, which only writes change: the recorded answer to the same call after
the same number of messages that wrote. A call the recording never made gets a placeholder that names that state. A
result adopted from before a write therefore shows in the transcript, as it would in life.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import ensure_config
from langchain_core.tools import BaseTool, StructuredTool

from benchmarks.script import Script
from langgraph_speculate.core import Call
from langgraph_speculate.host import clock

WORLD = "world"
"""The key of `configurable` under which an agent's run finds its world."""
_KINDS: Sequence[tuple[type, str]] = (
    (bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"),
)  # fmt: skip


@dataclass
class Execution:
    """One execution of a tool's body: whether the tool reads, when it ran (`clock.now`), what it answers."""

    call: Call
    reads: bool
    began: float
    answer: str
    ended: float | None = None


@dataclass
class World:
    """The state of one performance of one script.

    Attributes:
        script: What was recorded.
        reading: For each tool whether it only reads.
        latency_s: Seconds that a body takes.
        executions: What ran, in the order of starting.
        latency_of: Seconds of the tools that take others.
        service: What every async body has to be let into first.
    """

    script: Script
    reading: Mapping[str, bool]
    latency_s: float
    executions: list[Execution] = field(default_factory=list)
    latency_of: Mapping[str, float] = field(default_factory=dict)
    service: Callable[[], AbstractAsyncContextManager[Any]] = nullcontext

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._state = 0  # writes that ended
        self._reads: dict[str, dict[int, str]] = defaultdict(dict)
        self._writes: dict[str, list[str]] = defaultdict(list)
        state = 0
        for step in self.script.steps:
            for recorded in step.calls:
                if self.reading[recorded.call.name]:
                    self._reads[recorded.call.key].setdefault(state, recorded.result)
                else:
                    self._writes[recorded.call.key].append(recorded.result)
            state += sum(not self.reading[recorded.call.name] for recorded in step.calls)

    @property
    def writes(self) -> list[str]:
        """Every execution of a tool that writes, as canonical keys in order."""
        return [execution.call.key for execution in self.executions if not execution.reads]

    def seconds(self, tool: str) -> float:
        """Seconds that a body of *tool* takes."""
        return self.latency_of.get(tool, self.latency_s)

    def begin(self, call: Call) -> Execution:
        """A body starts."""
        with self._lock:
            reads = self.reading[call.name]
            answer = self._seen(call) if reads else self._done(call)
            execution = Execution(call, reads, clock.now(), answer)
            self.executions.append(execution)
        return execution

    def end(self, execution: Execution) -> str:
        """A body ends."""
        with self._lock:
            execution.ended = clock.now()
            self._state += not execution.reads
        return execution.answer

    def tool_seconds(self) -> float:
        """Seconds during which at least one body ran."""
        spans = sorted((it.began, it.ended) for it in self.executions if it.ended is not None)
        total, until = 0.0, 0.0
        for began, ended in spans:
            total += max(0.0, ended - max(began, until))
            until = max(until, ended)
        return total

    def _seen(self, call: Call) -> str:
        known = self._reads.get(call.key, {})
        latest = max((state for state in known if state <= self._state), default=None)
        return known[latest] if latest is not None else f'{{"note": "not recorded", "state": {self._state}}}'

    def _done(self, call: Call) -> str:
        answers = self._writes.get(call.key)
        return answers.pop(0) if answers else "not recorded"


def recorded_tools(scripts: Sequence[Script], reading: Mapping[str, bool]) -> list[BaseTool]:
    """One tool for each name in the scripts, with sync and async bodies; its schema takes what was recorded."""
    seen: dict[str, dict[str, Any]] = {name: {} for name in reading}
    for script in scripts:
        for step in script.steps:
            for recorded in step.calls:
                for name, value in recorded.call.args.items():
                    kind = next((word for kind, word in _KINDS if isinstance(value, kind)), "null")
                    seen[recorded.call.name].setdefault(name, set()).add(kind)
    return [_tool(name, arguments) for name, arguments in seen.items()]


def _tool(tool: str, arguments: Mapping[str, set[str]]) -> BaseTool:
    def run(**args: Any) -> str:
        world = world_of_run()
        execution = world.begin(Call(tool, args))
        time.sleep(world.seconds(tool))
        return world.end(execution)

    async def arun(**args: Any) -> str:
        world = world_of_run()
        async with world.service():
            execution = world.begin(Call(tool, args))
            await asyncio.sleep(world.seconds(tool))
            return world.end(execution)

    description = f"{tool}, as recorded."
    properties = {name: {"type": sorted(kinds)} for name, kinds in arguments.items()}
    schema = {"title": tool, "description": description, "type": "object", "properties": properties}
    return StructuredTool(name=tool, description=description, args_schema=schema, func=run, coroutine=arun)


def world_of_run() -> World:
    """The world of the agent's run around this call."""
    world: World = ensure_config()["configurable"][WORLD]()  # behind a function: what changes in it is no circumstance
    return world
