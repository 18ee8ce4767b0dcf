"""One performance: one recorded run, played through one agent, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AnyMessage
from langchain_core.runnables import RunnableConfig

from benchmarks.script import Script
from benchmarks.world import WORLD, World
from langgraph_speculate.host import clock


@dataclass(frozen=True)
class Performance:
    """What one agent did with one run.

    Attributes:
        seconds: From the first invocation to the last answer.
        transcript: All messages, without what is generated anew each time.
        writes: Every execution of a tool that writes, in order.
        executions: Bodies of tools that ran.
        tool_s: Seconds during which at least one of them ran.
        error: What the agent raised, or None.
    """

    seconds: float
    transcript: list[dict[str, Any]]
    writes: list[str]
    executions: int
    tool_s: float
    error: str | None = None


async def aperform(graph: Any, script: Script, world: World, name: str) -> Performance:
    """Play *script* with the async interface; every user turn is one invocation with all messages so far."""
    messages: list[AnyMessage] = []
    error = None
    began = clock.now()
    try:
        for turn in range(len(script.turns)):
            state = await graph.ainvoke({"messages": [*messages, *script.inputs(turn, name)]}, _config(world, name))
            messages = state["messages"]
    except Exception as raised:  # noqa: BLE001 - a competitor's failure is a result
        error = f"{type(raised).__name__}: {raised}"
    return _performance(began, messages, world, error)


def perform(graph: Any, script: Script, world: World, name: str) -> Performance:
    """`aperform` with the sync interface."""
    messages: list[AnyMessage] = []
    error = None
    began = clock.now()
    try:
        for turn in range(len(script.turns)):
            state = graph.invoke({"messages": [*messages, *script.inputs(turn, name)]}, _config(world, name))
            messages = state["messages"]
    except Exception as raised:  # noqa: BLE001 - a competitor's failure is a result
        error = f"{type(raised).__name__}: {raised}"
    return _performance(began, messages, world, error)


def transcript(messages: Sequence[AnyMessage]) -> list[dict[str, Any]]:
    """Everything in the messages, tool call ids included, but what is drawn anew each time or names the performance."""
    dumps = []
    for message in messages:
        dump = message.model_dump(exclude={"id"})
        if dump["type"] == "human":
            del dump["name"]
        metadata: Mapping[str, Any] = dump["response_metadata"]
        dumps.append({**dump, "response_metadata": {key: metadata[key] for key in metadata if key != "id"}})
    return dumps


def _config(world: World, name: str) -> RunnableConfig:
    return {"configurable": {WORLD: lambda: world, "thread_id": name}, "recursion_limit": 1000}


def _performance(began: float, messages: Sequence[AnyMessage], world: World, error: str | None) -> Performance:
    seconds = clock.now() - began
    return Performance(seconds, transcript(messages), world.writes, len(world.executions), world.tool_seconds(), error)
