"""`speculate(graph)`: a compiled graph in, a compiled graph of the same type out.

The result is a shallow copy whose class is a dynamic subclass of the graph's own, so type, drawing, schemas,
checkpointer, store, interrupts and server use stay. Its ToolNodes hold clones of the tools; the graph given is not
changed, except that tools which hand-written nodes hold on to are made adopting in place (outside of a speculating run
they behave as before).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, cast

from langchain_core.tools import BaseTool

from langgraph_speculate.core.candidates import Predictor
from langgraph_speculate.errors import UnsupportedGraph
from langgraph_speculate.host import approvals
from langgraph_speculate.host.adopt import adopt_in_place, adopting_clone
from langgraph_speculate.host.compat import (
    Pregel,
    ToolNode,
    clone_tool_node,
    configurable_of,
    copy_graph,
    mappers,
    node_functions,
    run_config,
    tools_by_name,
)
from langgraph_speculate.host.engine import Engine, Observer
from langgraph_speculate.host.observer import observer_for
from langgraph_speculate.host.reach import values_around
from langgraph_speculate.host.run import Run
from langgraph_speculate.host.toolbox import Toolbox
from langgraph_speculate.policy import SpeculationPolicy
from langgraph_speculate.predict import default_predictor

G = TypeVar("G")
PolicySource = SpeculationPolicy | Mapping[str, Any] | str | os.PathLike[str] | None


def speculate(
    graph: G,
    policy: PolicySource = None,
    *,
    tools: Sequence[BaseTool] = (),
    predictor: Predictor | None = None,
    observers: Iterable[Observer] = (),
) -> G:
    """Return *graph* with its tool calls predicted and run ahead while the model is still generating.

    What it returns is what the plain graph would have returned; only tools declared read-only run ahead.

    Args:
        graph: A compiled graph (`create_agent`, `create_react_agent`, `StateGraph(...).compile()`, deepagents).
        policy: A `SpeculationPolicy`, a dict of the same shape, or a path to a TOML file. None: tools whose own
            `metadata` says `read_only: True` may run ahead, all others are only predicted and scored.
        tools: Tools that hand-written nodes fetch at run time, where they cannot be found by looking.
        predictor: Who guesses; None is `default_predictor()`, which learns from every run.
        observers: Called with every event (`langgraph_speculate.core.events`).

    Wrapping a wrapped graph without further arguments returns it as it is; with arguments they replace the former.

    Raises:
        UnsupportedGraph: *graph* is no compiled local graph; a `TypeError` too.
        PolicyError: The policy is missing, unreadable, misspelt or contradicts itself.

    >>> from langchain.agents import create_agent
    >>> from langchain_core.language_models import FakeListChatModel
    >>> from langchain_core.tools import tool
    >>> @tool
    ... def get_order(id: int) -> str:
    ...     "Look up an order."
    ...     return "sent"
    >>> agent = speculate(create_agent(FakeListChatModel(responses=["hi"])), tools=[get_order])
    >>> [(verdict.tool, verdict.reason) for verdict in speculation_of(agent).explain()]
    [('get_order', 'undeclared')]
    """
    if not isinstance(graph, Pregel):
        raise UnsupportedGraph(
            f"speculate() wraps compiled local graphs, not {type(graph).__qualname__}"
            + (": compile it first" if hasattr(graph, "compile") else "; wrap the graph where it runs")
        )
    if _is_wrapped(graph) and policy is None and predictor is None and not tools and not tuple(observers):
        return cast(G, graph)
    for tool in tools:
        if not isinstance(tool, BaseTool):
            raise UnsupportedGraph(f"tools= takes LangChain tools, not {type(tool).__qualname__}")
    settings = SpeculationPolicy.load(policy)
    engine = Engine(settings, predictor if predictor is not None else default_predictor(), observers)
    result = _wrap(graph, engine, tools)
    settings.check_names({entry.facts.name for toolbox, _ in engine.views for entry in toolbox})
    return cast(G, result)


def speculation_of(graph: Any) -> Engine:
    """The handle on a wrapped graph's speculation: `stats()`, `explain()`, `events(fn)`, `close()`.

    Raises:
        UnsupportedGraph: *graph* was not returned by `speculate()`.
    """
    if not _is_wrapped(graph):
        raise UnsupportedGraph(
            f"speculation_of() takes a graph that speculate() returned, not {type(graph).__qualname__}"
        )
    engine: Engine = graph.speculation
    return engine


def _stream(self: Any, input: Any, config: Any = None, **kwargs: Any) -> Iterator[Any]:
    """As the plain graph's, inside of a run scope."""
    run = _open(self, config, kwargs, None)
    if run is None:
        yield from self.plain_kind.stream(self, input, config, **kwargs)
        return
    try:
        yield from self.plain_kind.stream(self, input, run_config(config, run, observer_for(run)), **kwargs)
    finally:
        run.close()


async def _astream(self: Any, input: Any, config: Any = None, **kwargs: Any) -> AsyncIterator[Any]:
    """As the plain graph's, inside of a run scope."""
    run = _open(self, config, kwargs, asyncio.get_running_loop())
    given = config if run is None else run_config(config, run, observer_for(run))
    chunks = self.plain_kind.astream(self, input, given, **kwargs)
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        try:
            await chunks.aclose()
        finally:
            if run is not None:
                await run.aclose()


def _copy(self: Any, update: dict[str, Any] | None = None) -> Any:
    """As the plain graph's, with the output mappers that it forgets."""
    copied = self.plain_kind.copy(self, update)
    copied.__dict__.update({name: mapper for name, mapper in mappers(self).items() if name not in (update or {})})
    return copied


def _open(graph: Any, config: Any, kwargs: Mapping[str, Any], loop: asyncio.AbstractEventLoop | None) -> Run | None:
    configurable = configurable_of(getattr(graph, "config", None), config)
    engine: Engine = graph.speculation
    return engine.open_run(graph.toolbox, configurable, _blocked(graph, kwargs), loop)


def _blocked(graph: Any, kwargs: Mapping[str, Any]) -> str | None:
    """Why nothing of this graph may run ahead, as it is called now."""
    before = kwargs.get("interrupt_before") or getattr(graph, "interrupt_before_nodes", ())
    after = kwargs.get("interrupt_after") or getattr(graph, "interrupt_after_nodes", ())
    return approvals.static_interrupt(before, after, graph.tool_nodes)


def _is_wrapped(graph: Any) -> bool:
    return isinstance(getattr(type(graph), "speculation", None), Engine)


def _wrap(graph: Any, engine: Engine, tools: Iterable[BaseTool]) -> Any:
    """A copy of *graph* that speculates; graphs that are its nodes become runs of their own."""
    held = {name: _held_tools(node.bound) for name, node in graph.nodes.items()}
    in_tool_nodes = {tool.name for name, node in graph.nodes.items() if _is_tool_node(node) for tool in held[name]}
    loose = [tool for found in held.values() for tool in found if tool.name not in in_tool_nodes] + list(tools)
    for tool in loose:
        adopt_in_place(tool)
    nodes = {name: _wrap_node(node, engine) for name, node in graph.nodes.items()}
    found = [tool for name, node in graph.nodes.items() if _is_tool_node(node) for tool in held[name]] + loose
    gated = approvals.gated_tools(graph.nodes) | set(approvals.named(engine.policy.approval_gated))
    toolbox = Toolbox(found, engine.policy, gated)
    tool_nodes = frozenset(
        name
        for name, node in graph.nodes.items()
        if _is_tool_node(node) or {t.name for t in held[name]} - in_tool_nodes
    )
    # The graph's own class is the only base: the class of a live object can only become one of the same layout.
    plain_kind = graph.plain_kind if _is_wrapped(graph) else type(graph)
    kind = type(
        plain_kind.__name__,
        (plain_kind,),
        {
            "stream": _stream,
            "astream": _astream,
            "copy": _copy,
            "__module__": plain_kind.__module__,
            "__qualname__": plain_kind.__qualname__,
            "__doc__": plain_kind.__doc__,
            "speculation": engine,
            "toolbox": toolbox,
            "tool_nodes": tool_nodes,
            "plain_kind": plain_kind,
        },
    )
    wrapped = copy_graph(graph, nodes, kind)
    engine.know(toolbox, _blocked(wrapped, {}))
    return wrapped


def _wrap_node(node: Any, engine: Engine) -> Any:
    if _is_tool_node(node):
        clones = {name: adopting_clone(tool) for name, tool in tools_by_name(node.bound).items()}
        return node.copy({"bound": clone_tool_node(node.bound, clones)})
    if isinstance(node.bound, Pregel):
        inner = _wrap(node.bound, engine, ())
        return node.copy({"bound": inner, "subgraphs": [inner]})
    return node


def _is_tool_node(node: Any) -> bool:
    return isinstance(node.bound, ToolNode)


def _held_tools(bound: Any) -> list[BaseTool]:
    """The tools a node holds on to: a ToolNode's own, or what a hand-written node's functions reach."""
    if isinstance(bound, ToolNode):
        return list(tools_by_name(bound).values())
    found: dict[int, BaseTool] = {}
    for function in node_functions(bound):
        for value in values_around(function):
            found.update((id(tool), tool) for tool in _tools_in(value))
    return list(found.values())


def _tools_in(value: Any) -> Iterator[BaseTool]:
    if isinstance(value, BaseTool):
        yield value
    elif isinstance(value, ToolNode):
        yield from tools_by_name(value).values()
    elif isinstance(value, Mapping):
        yield from (item for item in list(value.values()) if isinstance(item, BaseTool))
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from (item for item in list(value) if isinstance(item, BaseTool))
