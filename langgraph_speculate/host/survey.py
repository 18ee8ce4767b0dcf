"""What a compiled graph holds: its tools, which nodes run them, which of them wait for a person.

Only looks; nothing is changed until everything has been looked at and the policy has been checked against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.tools import BaseTool

from langgraph_speculate.host import approvals
from langgraph_speculate.host.compat import Pregel, ToolNode, node_functions, tools_by_name
from langgraph_speculate.host.reach import members, values_around


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
        inner: Graphs that are its nodes.
    """

    graph: Any
    listed: tuple[BaseTool, ...]
    loose: tuple[BaseTool, ...]
    tool_nodes: frozenset[str]
    tool_users: frozenset[str]
    gated: frozenset[str]
    asking: frozenset[str]
    inner: Mapping[str, Survey]

    def names(self) -> set[str]:
        """The names of all its tools, and of those of the graphs in it."""
        own = {tool.name for tool in (*self.listed, *self.loose)}
        return own.union(*(inner.names() for inner in self.inner.values()))


def survey(graph: Any, named: Iterable[BaseTool] = ()) -> Survey:
    """Look at a compiled graph and the graphs in it.

    Args:
        graph: The compiled graph.
        named: Tools that its nodes fetch at run time, as its owner says.
    """
    tool_nodes = {name: node.bound for name, node in graph.nodes.items() if isinstance(node.bound, ToolNode)}
    listed = [tool for bound in tool_nodes.values() for tool in tools_by_name(bound).values()]
    covered = {tool.name for tool in listed}
    # Model nodes hold on to the same tools as ToolNodes do; those reach their calls through clones and stay untouched.
    reached = {name: _reached(node.bound) for name, node in graph.nodes.items() if name not in tool_nodes}
    held = {name: [t for t in _tools_in(values) if t.name not in covered] for name, values in reached.items()}
    return Survey(
        graph=graph,
        listed=tuple(listed),
        loose=(*(tool for tools in held.values() for tool in tools), *named),
        tool_nodes=frozenset(tool_nodes),
        tool_users=frozenset(tool_nodes) | {name for name, tools in held.items() if tools},
        gated=approvals.gated_tools(graph.nodes),
        asking=frozenset(
            name
            for name, values in reached.items()
            if approvals.can_ask(values) and not approvals.is_known(graph.nodes[name].bound)
        ),
        inner={name: survey(node.bound) for name, node in graph.nodes.items() if isinstance(node.bound, Pregel)},
    )


def _reached(bound: Any) -> list[Any]:
    """What the functions of a hand-written node refer to."""
    return [value for function in node_functions(bound) for value in values_around(function)]


def _tools_in(values: Iterable[Any]) -> list[BaseTool]:
    found: dict[int, BaseTool] = {}
    for value in values:
        inside = tools_by_name(value).values() if isinstance(value, ToolNode) else members(value)
        found.update((id(one), one) for one in (value, *inside) if isinstance(one, BaseTool))
    return list(found.values())
