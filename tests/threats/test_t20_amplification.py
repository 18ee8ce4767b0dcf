"""T20: a tool that itself runs a graph is run ahead, that graph runs tools ahead too, and so on: one wrong guess
becomes a tree of work.

The library promises that work nobody asked for starts no more work nobody asked for: within an attempt nothing runs
ahead, and a tool that calls a model is run for real only.
"""

from __future__ import annotations

from typing import Any

import pytest
from agents import START_INPUT, WAYS, Fixed, ScriptedModel, World, agent_graph, ask, make_tool
from attacks import final, holding
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of

GUESS = ("deep", {"id": 7})
POLICY = {"tools": {"deep": True}}


def _deep(world: World) -> BaseTool:
    def deep(id: int) -> str:
        "Look something up."
        world.begin("deep", id=id)
        return "found"

    return make_tool("deep", deep, "both")


def _inner(world: World, how: str, way: str) -> tuple[Any, Any]:
    """An agent that runs `deep` ahead by itself, in one of three ways, and its handle; its model calls nothing."""
    model = ScriptedModel(script=[AIMessage("inner done")], during=holding(way, lambda: world.count("deep") > 0))
    tools = [_deep(world)]
    if how == "middleware":
        middleware = SpeculationMiddleware(POLICY, predictor=Fixed(GUESS))
        return agent_graph(model, tools, middleware=[middleware]), middleware.speculation
    graph = speculate(agent_graph(model, tools), POLICY, predictor=Fixed(GUESS))
    handle = speculation_of(graph)
    return (graph.with_config({"callbacks": []}) if how == "own callbacks" else graph), handle


def _graph_as_tool(world: World, inner: Any) -> BaseTool:
    def research(topic: str) -> str:
        "Ask another agent."
        world.begin("research")
        try:
            return str(inner.invoke(START_INPUT)["messages"][-1].content)
        finally:
            world.end("research")

    async def aresearch(topic: str) -> str:
        "Ask another agent."
        world.begin("research")
        try:
            return str((await inner.ainvoke(START_INPUT))["messages"][-1].content)
        finally:
            world.end("research")

    return StructuredTool.from_function(research, coroutine=aresearch, name="research")


HOWS = ["speculate", "own callbacks", "middleware"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", HOWS)
def test_nothing_runs_ahead_within_an_attempt(how: str, way: str) -> None:
    """
    A wrong guess of a tool that runs an agent which runs tools ahead: the agent inside starts nothing.
    """
    world = World()
    inner, handle = _inner(world, how, way)
    graph = speculate(
        agent_graph(
            ScriptedModel(
                script=[AIMessage("done")], during=holding(way, lambda: speculation_of(graph).stats().wasted > 0)
            ),
            [_graph_as_tool(world, inner)],
        ),
        {"tools": {"research": True}},
        predictor=Fixed(("research", {"topic": "unwanted"})),
    )
    final(graph, way)
    stats = speculation_of(graph).stats()
    assert (stats.launched, stats.hits) == (1, 0)
    assert world.count("research") == 1
    assert stats.discarded == {"tainted": 1}
    assert {verdict.reason for verdict in speculation_of(graph).explain()} == {"tripped"}
    assert handle.stats().launched == 0
    assert world.count("deep") == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", HOWS)
def test_the_inner_agent_does_run_ahead_when_it_is_asked(how: str, way: str) -> None:
    """
    The control: called for real, the same agent runs its own tool ahead, once; that is the depth of one.
    """
    world = World()
    inner, handle = _inner(world, how, way)
    script = [ask(("research", {"topic": "x"})), AIMessage("done")]
    final(agent_graph(ScriptedModel(script=script), [_graph_as_tool(world, inner)]), way)
    assert handle.stats().launched == 1
    assert world.count("deep") == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_that_calls_its_own_agent_does_not_multiply(way: str) -> None:
    """
    A tool that runs the very graph it is a tool of, foreseen at every turn: attempts in one turn, of depth one, and
    never again.
    """
    world = World()
    holder: list[Any] = []

    def again(depth: int) -> str:
        "Ask oneself."
        world.begin("again", depth=depth)
        try:
            return str(holder[0].invoke(START_INPUT)["messages"][-1].content)
        finally:
            world.end("again")

    async def aagain(depth: int) -> str:
        "Ask oneself."
        world.begin("again", depth=depth)
        try:
            return str((await holder[0].ainvoke(START_INPUT))["messages"][-1].content)
        finally:
            world.end("again")

    tool = StructuredTool.from_function(again, coroutine=aagain, name="again")
    graph = speculate(
        agent_graph(ScriptedModel(script=[AIMessage("done")], during=holding(way, lambda: bool(world.ended))), [tool]),
        {"tools": {"again": True}},
        predictor=Fixed(*(("again", {"depth": number}) for number in range(3))),
    )
    holder.append(graph)
    for _ in range(3):
        final(graph, way)
    stats = speculation_of(graph).stats()
    assert 1 <= world.count("again") <= stats.launched <= 3  # those of the first turn
    assert stats.hits == 0
    assert stats.denied["tripped"] >= 6
