"""T1: places in which an approval can hide from whoever looks for it between the nodes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from agents import (
    START_INPUT,
    WAYS,
    Oracle,
    ScriptedModel,
    State,
    World,
    agent_graph,
    ask,
    drive,
    react_graph,
    tool_node_graph,
)
from early import THREAD, ask_a_person, asks, bodies, readers, wired
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of

SCRIPT = [ask(("read", {"id": 1})), AIMessage("done")]
POLICY: dict[str, Any] = {"tools": {"read": True}}
Build = Callable[[Any, Sequence[Any]], Any]


def _routed(builder: Any) -> None:
    builder.add_conditional_edges("model", lambda state: "approve" if asks(state) else END, ["approve", END])


def _a_subgraph(model: Any, tools: Sequence[Any]) -> Any:
    def approve(state: State) -> None:
        interrupt("ok?")

    inner = StateGraph(State)
    inner.add_node("inside", approve)
    inner.add_edge(START, "inside")
    inner.add_edge("inside", END)

    def wire(builder: Any) -> None:
        builder.add_node("approve", inner.compile())
        _routed(builder)
        builder.add_edge("approve", "tools")

    return wired(model, tools, wire, InMemorySaver())


def _an_undrawn_command(model: Any, tools: Sequence[Any]) -> Any:
    def wire(builder: Any) -> None:
        builder.add_node("approve", lambda state: Command(goto="tools" if ask_a_person("ok?") == "yes" else END))
        paths = ["approve", "tools", END]
        builder.add_conditional_edges("model", lambda state: "approve" if asks(state) else END, paths)

    return wired(model, tools, wire, InMemorySaver())


def _a_judging_model(model: Any, tools: Sequence[Any]) -> Any:
    judge = ScriptedModel(script=[AIMessage("harmless")])

    def approve(state: State) -> None:
        judge.invoke(state["messages"][:1])
        ask_a_person("ok?")

    def wire(builder: Any) -> None:
        builder.add_node("approve", approve)
        _routed(builder)
        builder.add_edge("approve", "tools")

    return wired(model, tools, wire, InMemorySaver())


def _an_edge_that_asks(model: Any, tools: Sequence[Any]) -> Any:
    def route(state: State) -> str:
        if asks(state):
            interrupt("ok?")
        return tools_condition(state)

    return wired(
        model, tools, lambda builder: builder.add_conditional_edges("model", route, ["tools", END]), InMemorySaver()
    )


def _a_helper_of_the_model_node(model: Any, tools: Sequence[Any]) -> Any:
    bound = model.bind_tools(tools)

    def call_model(state: State) -> Any:
        answer = bound.invoke(state["messages"])
        if answer.tool_calls:
            ask_a_person("ok?")
        return {"messages": [answer]}

    builder = StateGraph(State)
    builder.add_node("model", call_model)
    builder.add_node("tools", ToolNode(list(tools)))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=InMemorySaver())


def _a_helper_of_the_tool_node(model: Any, tools: Sequence[Any]) -> Any:
    by_name = {tool.name: tool for tool in tools}

    def run_tools(state: State) -> Any:
        ask_a_person("ok?")
        return {"messages": [by_name[call["name"]].invoke(call) for call in state["messages"][-1].tool_calls]}

    return tool_node_graph(model, tools, run_tools, checkpointer=InMemorySaver())


def _in_front_inside_of_the_tool_node(model: Any, tools: Sequence[Any]) -> Any:
    def approve(state: Any) -> Any:
        ask_a_person("ok?")
        return state

    return tool_node_graph(model, tools, RunnableLambda(approve) | ToolNode(list(tools)), checkpointer=InMemorySaver())


def _approval_handed_to_a_tool_node(model: Any, tools: Sequence[Any]) -> Any:
    approval = HumanInTheLoopMiddleware({"read": True}, interrupt_mode="per_call")
    node = ToolNode(list(tools), wrap_tool_call=approval.wrap_tool_call, awrap_tool_call=approval.awrap_tool_call)
    return tool_node_graph(model, tools, node, checkpointer=InMemorySaver())


def _between_two_tool_nodes(model: Any, tools: Sequence[Any]) -> Any:
    first = readers(World(), "find")

    def wire(builder: Any) -> None:
        builder.add_node("first", ToolNode(first))
        builder.add_node("review", lambda state: None)
        builder.add_conditional_edges("model", lambda state: "first" if asks(state) else END, ["first", END])
        builder.add_edge("first", "review")
        builder.add_conditional_edges("review", lambda state: END, ["tools", END])

    return wired(model, [*tools], wire)


class _Reviewer:
    """Somebody's own, that stops runs without asking anybody."""

    def review(self, state: State) -> Any:
        raise PermissionError("not this one")


def _a_method_of_an_object(model: Any, tools: Sequence[Any]) -> Any:
    def wire(builder: Any) -> None:
        builder.add_node("approve", _Reviewer().review)
        _routed(builder)
        builder.add_edge("approve", "tools")

    return wired(model, tools, wire, InMemorySaver())


def _local_import(model: Any, tools: Sequence[Any]) -> Any:
    by_name = {tool.name: tool for tool in tools}
    namespace: dict[str, Any] = {"by_name": by_name}
    exec(_LOCAL_IMPORT, namespace)
    return tool_node_graph(model, tools, namespace["run_tools"], checkpointer=InMemorySaver())


_LOCAL_IMPORT = """
def run_tools(state):
    from langgraph.types import interrupt
    interrupt("ok?")
    return {"messages": [by_name[call["name"]].invoke(call) for call in state["messages"][-1].tool_calls]}
"""

PLACES: dict[str, Build] = {
    "a subgraph that asks": _a_subgraph,
    "a command nobody drew": _an_undrawn_command,
    "a node with a judging model": _a_judging_model,
    "an edge that asks": _an_edge_that_asks,
    "a helper of the model node": _a_helper_of_the_model_node,
    "a helper of the tool node": _a_helper_of_the_tool_node,
    "a step before the tool node": _in_front_inside_of_the_tool_node,
    "approval given to a ToolNode": _approval_handed_to_a_tool_node,
    "between two tool nodes": _between_two_tool_nodes,
    "an import inside of the node": _local_import,
    "a method of an object": _a_method_of_an_object,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("way", WAYS)
def test_no_body_overtakes_an_approval_wherever_it_hides(way: str, place: str) -> None:
    """
    What has not been let pass yet has not run, though nobody named it in `approval_gated`.
    """
    world = World()
    graph = PLACES[place](ScriptedModel(script=SCRIPT, pace_s=0.02), readers(world, "read"))
    with contextlib.suppress(PermissionError):
        drive(speculate(graph, POLICY, predictor=Oracle(SCRIPT)), way, START_INPUT, THREAD)
    assert bodies(world) == []


@pytest.mark.parametrize("stop", [{"interrupt_before": ["tools"]}, {"interrupt_after": ["model"]}], ids=repr)
@pytest.mark.parametrize("way", WAYS)
def test_the_middleware_does_not_overtake_interrupts_given_with_the_call(way: str, stop: dict[str, Any]) -> None:
    """
    `interrupt_before` and `interrupt_after` of `invoke` and the like stop the middleware's guesses too.
    """
    world = World()
    middleware = SpeculationMiddleware(POLICY, predictor=Oracle(SCRIPT))
    model = ScriptedModel(script=SCRIPT, pace_s=0.02)
    graph = agent_graph(model, readers(world), middleware=[middleware], checkpointer=InMemorySaver())
    drive(graph, way, START_INPUT, THREAD, **stop)
    assert bodies(world) == []


def test_a_hook_before_the_model_stops_nothing() -> None:
    """
    The other way round: what comes before the model stands between nothing, and tools may run ahead.
    """
    world = World()
    model = ScriptedModel(script=SCRIPT, pace_s=0.02)
    graph = react_graph(model, readers(world, "read"), pre_model_hook=lambda state: {"messages": []})
    graph = speculate(graph, POLICY, predictor=Oracle(SCRIPT))
    graph.invoke(START_INPUT)
    assert speculation_of(graph).stats().hits == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_graph_with_nothing_in_between_runs_ahead(way: str) -> None:
    """
    The control: the same tools, model and wiring without anything to overtake.
    """
    world = World()
    model, tools = ScriptedModel(script=SCRIPT, pace_s=0.02), readers(world, "read")
    plain = wired(model, tools, lambda builder: builder.add_conditional_edges("model", tools_condition, ["tools", END]))
    graph = speculate(plain, POLICY, predictor=Oracle(SCRIPT))
    drive(graph, way)
    assert speculation_of(graph).stats().hits == 1
