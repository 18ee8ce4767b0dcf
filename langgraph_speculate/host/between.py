"""Which nodes stand between a graph's model and its tools, where they could stop or change what the model asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import FunctionType
from typing import Any

from langchain_core.runnables import Runnable
from langgraph.graph import END, START
from langgraph.types import Command

from langgraph_speculate.host.anatomy import is_a
from langgraph_speculate.host.compat.agents import is_agent_model_node, middleware_of
from langgraph_speculate.host.compat.graphs import parts_of, successors
from langgraph_speculate.host.reach import Reach
from langgraph_speculate.host.transparency import is_opaque_after_model


def models_among(graph: Any, reaches: Mapping[str, Reach], agents: Collection[str]) -> frozenset[str]:
    """Names of the nodes that call a model with tools bound to it.

    Args:
        graph: The compiled graph.
        reaches: What the nodes that are no ToolNodes get at, by name.
        agents: Names of nodes that are graphs with such a node inside.
    """
    return frozenset(
        name
        for name, reach in reaches.items()
        if name in agents or is_agent_model_node(graph.nodes[name].bound) or _binds_tools(reach)
    )


def between(
    graph: Any,
    tool_users: Collection[str],
    reaches: Mapping[str, Reach],
    models: Collection[str],
    transparent: Collection[str],
) -> frozenset[str]:
    """Names of the nodes that come before a tool node, are not known to leave calls alone, and are not its model.

    Where no node is seen to bind tools to a model, one that only the start and the tools lead to counts as the model.

    Args:
        graph: The compiled graph.
        tool_users: Names of its nodes that may run tools.
        reaches: What its other nodes get at, by name.
        models: Those among them that call a model with tools.
        transparent: Names of nodes or middleware that leave calls alone, as their owner says.
    """
    before = _predecessors(graph, reaches)
    first = {START, *tool_users}
    found: set[str] = set()
    seen: set[str] = set()
    rest = [name for user in tool_users for name in before[user]]
    while rest:
        name = rest.pop()
        if name in seen or name not in reaches:
            continue
        seen.add(name)
        if name in models or (not models and START in before[name] <= first):
            continue
        if not _is_known(name, graph.nodes[name].bound, transparent):
            found.add(name)
        rest.extend(before[name])
    return frozenset(found)


def _predecessors(graph: Any, reaches: Mapping[str, Reach]) -> dict[str, set[str]]:
    """By node, those that may lead to it; one that is not seen to lead somewhere in particular may lead anywhere."""
    everywhere = set(graph.nodes)
    before: dict[str, set[str]] = {name: set() for name in (*everywhere, END)}
    for name in everywhere:
        after = successors(graph, name)
        if after is None or (not after and name in reaches and Command in reaches[name].values):
            after = everywhere
        for target in after:
            before.setdefault(target, set()).add(name)
    return before


def tools_offered(reaches: Mapping[str, Reach]) -> frozenset[str]:
    """Names of the tools that are bound to the models which nodes get at; a provider's own tools are not among them.

    Args:
        reaches: What the nodes get at, by name.
    """
    values = [value for reach in reaches.values() for value in reach.values]
    bound = [kwargs.get("tools") for value in values for _, kwargs in parts_of(value)]
    schemas = [one for tools in bound if isinstance(tools, list) for one in tools if isinstance(one, dict)]
    functions = [one.get("function", one if {"input_schema", "parameters"} & one.keys() else None) for one in schemas]
    return frozenset(one["name"] for one in functions if isinstance(one, dict) and isinstance(one.get("name"), str))


def _binds_tools(reach: Reach) -> bool:
    """Whether code gets at a model with tools bound to it, or at a model and the word for binding them."""
    parts = [part for value in reach.values for part in parts_of(value)]
    if any("tools" in kwargs or "functions" in kwargs for _, kwargs in parts):
        return True
    makes = any(_can_bind(part) for part, _ in parts)
    return makes and "bind_tools" in reach.names


def _can_bind(part: Any) -> bool:
    """Whether something is a model, or makes one, that tools can be bound to."""
    if type(part) is FunctionType:
        return part.__name__ == "init_chat_model"
    # Somebody's object is not asked: it may have an answer for every name, or do something to find one.
    return hasattr(part if is_a(part, (type, Runnable)) else type(part), "bind_tools")


def _is_known(name: str, bound: Any, transparent: Collection[str]) -> bool:
    """Whether a node belongs to middleware that does not touch what the model asked for."""
    owner = middleware_of(bound)
    if owner is None:
        return name in transparent
    return not name.endswith(".after_model") or not is_opaque_after_model(owner, transparent)
