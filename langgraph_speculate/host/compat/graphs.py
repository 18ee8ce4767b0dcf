"""Compiled graphs of LangGraph: copies of them, and what their nodes are put together from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase, RunnableLambda, RunnableSequence
from langgraph._internal._runnable import RunnableCallable, RunnableSeq
from langgraph.pregel import Pregel
from langgraph.pregel._read import PregelNode

from langgraph_speculate.host.anatomy import is_a

__all__ = [
    "Pregel",
    "PregelNode",
    "all_functions",
    "copy_graph",
    "deciding_functions",
    "inside",
    "mappers",
    "node_functions",
    "parts_of",
    "successors",
]


def copy_graph(graph: Any, nodes: Mapping[str, Any], kind: type) -> Any:
    """A shallow copy of a compiled graph with other nodes and another class.

    Not `Pregel.copy()`, which drops the output mappers, and not a re-compile, which loses what was set since.
    """
    wrapped = copy.copy(graph)
    wrapped.nodes = dict(nodes)
    wrapped.__class__ = kind
    return wrapped


def mappers(graph: Any) -> dict[str, Any]:
    """The `version="v2"` output mappers that `Pregel.copy()` forgets."""
    return {name: graph.__dict__[name] for name in ("_output_mapper", "_state_mapper") if name in graph.__dict__}


def node_functions(bound: Any) -> Iterator[Callable[..., Any]]:
    """The Python functions a hand-written node runs."""
    for part, _ in parts_of(bound):
        if isinstance(part, (RunnableCallable, RunnableLambda)):
            yield from (f for f in (getattr(part, "func", None), getattr(part, "afunc", None)) if callable(f))


def all_functions(value: Any) -> list[Callable[..., Any]]:
    """The Python functions that a runnable runs, or the nodes of a graph."""
    if issubclass(type(value), Pregel):
        return [function for node in value.nodes.values() for function in node_functions(node.bound)]
    return list(node_functions(value)) if issubclass(type(value), Runnable) else []


def successors(graph: Any, name: str) -> set[str] | None:
    """The nodes that a node may lead to: edges, conditional edges, declared commands. None: it may lead anywhere."""
    builder = getattr(graph, "builder", None)
    if builder is None:
        return None
    after = {target for source, target in builder.edges if source == name}
    after |= {target for sources, target in getattr(builder, "waiting_edges", ()) if name in sources}
    for branch in builder.branches.get(name, {}).values():
        if branch.ends is None:
            return None
        after |= set(branch.ends.values())
    spec = builder.nodes.get(name)
    return after | set(getattr(spec, "ends", None) or ())


def deciding_functions(graph: Any, name: str) -> list[Callable[..., Any]]:
    """The functions that decide where a node leads to."""
    branches = getattr(getattr(graph, "builder", None), "branches", {}).get(name, {})
    return [function for branch in branches.values() for function in node_functions(branch.path)]


def parts_of(value: Any, kwargs: Mapping[str, Any] | None = None) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """The runnables that a runnable is put together from, each with what is bound to its calls."""
    kind = type(value)  # somebody's object is not asked what it is
    if issubclass(kind, (RunnableSequence, RunnableSeq)):
        for step in value.steps:
            yield from parts_of(step)
    elif issubclass(kind, RunnableBindingBase):
        yield from parts_of(value.bound, {**(kwargs or {}), **value.kwargs})
    else:
        yield value, kwargs or {}


def inside(value: Runnable[Any, Any]) -> list[Any]:
    """The runnables that a runnable calls, at whatever occasion: steps, branches, fallbacks, what it retries."""
    if isinstance(value, RunnableBindingBase):
        return [value.bound]  # and not what is bound to its calls, such as the tools that a model is told of
    found: list[Any] = []
    for held in getattr(value, "__dict__", {}).values():
        many = held.values() if isinstance(held, dict) else held if isinstance(held, (list, tuple)) else [held]
        for one in many:
            found.extend(one if isinstance(one, tuple) else [one])
    return [one for one in found if is_a(one, Runnable)]
