"""What the package counts on of `host/compat/graphs.py`."""

from __future__ import annotations

import inspect
from typing import Any, Literal

from agents import START_INPUT, ScriptedModel, State, World, notebook, tool_node_graph
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableBranch, RunnableLambda, RunnableParallel
from langgraph.graph import START, StateGraph
from langgraph.types import Command
from pydantic import BaseModel

from contracts import contract
from langgraph_speculate.host.compat import graphs


@contract("successors", "deciding_functions")
def _successors() -> None:
    def anywhere(state: State) -> str:
        return "b"

    def to_b(state: State) -> Command[Literal["b"]]:
        return Command(goto="b")

    builder = StateGraph(State)
    for name in ("a", "b", "c"):
        builder.add_node(name, lambda state: None)
    builder.add_node("d", to_b)
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    builder.add_edge(["a", "b"], "c")
    builder.add_conditional_edges("b", anywhere)
    builder.add_conditional_edges("c", anywhere, ["a", "b"])
    graph = builder.compile()
    found = {name: graphs.successors(graph, name) for name in ("a", "b", "c", "d")}
    assert found == {"a": {"b", "c"}, "b": None, "c": {"a", "b"}, "d": {"b"}}
    assert anywhere in graphs.deciding_functions(graph, "b")
    assert graphs.deciding_functions(graph, "a") == []


@contract("parts_of")
def _parts_of() -> None:
    prompt, model = RunnableLambda(lambda x: x), ScriptedModel(script=[])
    bound = prompt | model.bind(tools=[{"name": "t"}])
    assert list(graphs.parts_of(bound)) == [(prompt, {}), (model, {"tools": [{"name": "t"}]})]


@contract("inside")
def _inside() -> None:
    one, two, three = (RunnableLambda(lambda x: x) for _ in range(3))
    kept = {
        "bound": (one.bind(tools=[two]), [one]),
        "retried": (one.with_retry(), [one]),
        "with a fallback": (one.with_fallbacks([two]), [one, two]),
        "in a row": (one | two | three, [one, three, two]),
        "beside each other": (RunnableParallel(a=one, b=two), [one, two]),
        "one of them": (RunnableBranch((one, two), three), [one, two, three]),
    }
    for value, expected in kept.values():
        found = graphs.inside(value)
        assert len(found) == len(expected)
        assert all(any(one is other for other in found) for one in expected)


@contract("Pregel", "PregelNode", "copy_graph")
def _copy_graph() -> None:
    graph = tool_node_graph(ScriptedModel(script=[AIMessage("x")]), notebook(World()))
    assert isinstance(graph, graphs.Pregel)
    assert all(isinstance(node, graphs.PregelNode) for node in graph.nodes.values())
    kind = type("Kind", (type(graph),), {})
    nodes = {name: node.copy({}) for name, node in graph.nodes.items()}
    copied = graphs.copy_graph(graph, nodes, kind)
    assert type(copied) is kind
    assert copied.nodes == nodes
    assert graph.nodes != nodes
    assert type(graph) is not kind
    assert copied.invoke(START_INPUT)["messages"][-1].content == "x"
    for way in ("stream", "astream", "copy"):
        assert callable(getattr(graphs.Pregel, way))
    assert "self.stream" in inspect.getsource(graphs.Pregel.invoke)
    assert "self.astream" in inspect.getsource(graphs.Pregel.ainvoke)


@contract("mappers")
def _mappers() -> None:
    class Typed(BaseModel):
        messages: list[Any] = []

    graph = StateGraph(Typed).add_node("node", lambda state: None).add_edge(START, "node").compile()
    found = graphs.mappers(graph)
    assert found
    copied = graph.copy()
    copied.__dict__.update(found)
    assert isinstance(copied.invoke({"messages": []}, version="v2").value, Typed)


@contract("node_functions")
def _node_functions() -> None:
    def sync(state: State) -> None:
        return None

    async def later(state: State) -> None:
        return None

    builder = StateGraph(State).add_node("node", RunnableLambda(sync, afunc=later)).add_edge(START, "node")
    bound = builder.compile().nodes["node"].bound
    assert {sync, later} <= set(graphs.node_functions(bound))
    chained = RunnableLambda(sync).with_config(tags=["t"]) | RunnableLambda(later)
    assert {sync, later} <= set(graphs.node_functions(chained))


@contract("all_functions")
def _all_functions() -> None:
    def sync(state: State) -> None:
        return None

    graph = StateGraph(State).add_node("node", sync).add_edge(START, "node").compile()
    assert sync in graphs.all_functions(graph)
    assert graphs.all_functions(RunnableLambda(sync)) == [sync]
    assert graphs.all_functions(sync) == []
