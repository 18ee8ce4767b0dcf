"""What a compiled graph holds: its tools, which nodes run them, which of them wait for a person.

Only looks; nothing is changed until everything has been looked at and the policy has been checked against it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MethodType
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool

from langgraph_speculate.host import approvals
from langgraph_speculate.host.anatomy import is_a, members
from langgraph_speculate.host.between import between, models_among, tools_offered
from langgraph_speculate.host.compat.agents import middleware_of
from langgraph_speculate.host.compat.graphs import Pregel, deciding_functions, inside, node_functions
from langgraph_speculate.host.compat.tools import ToolNode, has_steps_before_tools, tools_by_name
from langgraph_speculate.host.model import chat_models_in
from langgraph_speculate.host.reach import reach_of, values_around
from langgraph_speculate.host.transparency import CallLimit, around_calls, limits_among


@dataclass(frozen=True, slots=True)
class Survey:
    """One graph, as far as speculation is concerned.

    Attributes:
        graph: The compiled graph.
        listed: Tools of its ToolNodes.
        loose: Tools that hand-written nodes hold on to, or that its owner named.
        tool_nodes: Names of its ToolNodes: nodes that run tools and nothing else.
        tool_users: Names of all nodes that may run tools.
        gated: Names of tools that an approval middleware may ask a person about.
        asking: Names of other nodes whose code refers to `interrupt`, so that they may ask a person about any tool.
        between: Names of other nodes that stand between the model and its tools.
        middleware: Middleware that its nodes get at.
        around: Middleware and functions around the calls of its ToolNodes.
        limits: Limits on tool calls that its middleware keeps.
        models: Names of its nodes that call a model with tools bound to it.
        offered: Names of the tools that are seen to be bound to a model.
        chat_models: The model objects that its nodes hold on to, whatever they use them for.
        inner: Graphs that are its nodes.
    """

    graph: Any
    listed: tuple[BaseTool, ...]
    loose: tuple[BaseTool, ...]
    tool_nodes: frozenset[str]
    tool_users: frozenset[str]
    gated: frozenset[str]
    asking: frozenset[str]
    between: frozenset[str]
    middleware: tuple[Any, ...]
    around: tuple[Any, ...]
    limits: tuple[CallLimit, ...]
    models: frozenset[str]
    offered: frozenset[str]
    chat_models: tuple[BaseChatModel, ...]
    inner: Mapping[str, Survey]

    def names(self) -> set[str]:
        """The names of all its tools, and of those of the graphs in it."""
        own = {tool.name for tool in (*self.listed, *self.loose)}
        return own.union(*(inner.names() for inner in self.inner.values()))


def survey(graph: Any, named: Iterable[BaseTool] = (), transparent: Collection[str] = ()) -> Survey:
    """Look at a compiled graph and the graphs in it.

    Args:
        graph: The compiled graph.
        named: Tools that its nodes fetch at run time, as its owner says.
        transparent: Names of middleware that leaves calls alone, as its owner says.
    """
    nodes = graph.nodes
    tool_nodes = {name: node.bound for name, node in nodes.items() if isinstance(node.bound, ToolNode)}
    listed = [tool for bound in tool_nodes.values() for tool in tools_by_name(bound).values()]
    covered = {tool.name for tool in listed}
    others = {name: node.bound for name, node in nodes.items() if name not in tool_nodes}
    # Model nodes hold on to the same tools as ToolNodes do; those reach their calls through clones and stay untouched.
    held = {name: [t for t in _tools_in(bound) if t.name not in covered] for name, bound in others.items()}
    tool_users = frozenset(tool_nodes) | {name for name, tools in held.items() if tools}
    around = tuple(one for bound in tool_nodes.values() for one in around_calls(bound))
    middleware = [owner for bound in others.values() if (owner := middleware_of(bound)) is not None]
    inner = {name: survey(bound, (), transparent) for name, bound in others.items() if isinstance(bound, Pregel)}
    deciding = {name: [*node_functions(bound), *deciding_functions(graph, name)] for name, bound in others.items()}
    reaches = {name: reach_of(functions, abroad=approvals.ABROAD) for name, functions in deciding.items()}
    reached = [value for reach in reaches.values() for value in reach.values]
    owners = [value.__self__ for value in reached if is_a(value, MethodType)]
    beside = (one for one in (*middleware, *around, *owners) if is_a(one, AgentMiddleware))
    asking = [name for name, bound in others.items() if approvals.asks(bound, deciding[name])]
    models = models_among(graph, reaches, [name for name, found in inner.items() if found.models])
    standing = between(graph, tool_users, reaches, models, transparent) if tool_users else frozenset()
    return Survey(
        graph=graph,
        listed=tuple(listed),
        loose=(*(tool for tools in held.values() for tool in tools), *named),
        tool_nodes=frozenset(tool_nodes),
        tool_users=tool_users,
        gated=approvals.gated_by([*middleware, *around]),
        asking=frozenset([*asking, *(f"{name}.{asks}" for name, found in inner.items() for asks in found.asking)]),
        between=standing | {name for name in held if name in tool_users and has_steps_before_tools(others[name])},
        middleware=tuple({id(one): one for one in beside}.values()),
        around=around,
        limits=tuple(limits_among([*middleware, *around])),
        models=models,
        offered=tools_offered(reaches),
        chat_models=tuple(chat_models_in([*others.values(), *reached])),
        inner=inner,
    )


def _tools_in(bound: Any) -> list[BaseTool]:
    """The tools that a hand-written node is made of or that its functions refer to, in retries, chains and the like."""
    found: dict[int, BaseTool] = {}
    seen: dict[int, Any] = {}
    rest = [bound]
    while rest:
        value = rest.pop()
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if is_a(value, BaseTool):
            found[id(value)] = value
        elif is_a(value, ToolNode):
            rest.extend(tools_by_name(value).values())
        elif is_a(value, Runnable) and not is_a(value, (BaseChatModel, Pregel)):
            rest.extend(inside(value))
            around = (one for function in node_functions(value) for one in values_around(function))
            rest.extend(one for held in around for one in (held, *members(held)))
    return list(found.values())
