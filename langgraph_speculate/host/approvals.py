"""What stands between the model and its tools: approvals and static interrupts that no speculation may overtake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelRetryMiddleware,
    ToolRetryMiddleware,
)
from langgraph.errors import GraphInterrupt, NodeInterrupt
from langgraph.types import interrupt

from langgraph_speculate.host.compat import middleware_of


def gated_tools(nodes: Mapping[str, Any]) -> frozenset[str]:
    """Names of all tools that a `HumanInTheLoopMiddleware` among a graph's nodes may ask a person about."""
    return gated_by(middleware_of(node.bound) for node in nodes.values())


def gated_by(middleware: Iterable[Any]) -> frozenset[str]:
    """Names of all tools that any of these may ask a person about, always or only sometimes (`when=`)."""
    return frozenset(
        name for one in middleware if isinstance(one, HumanInTheLoopMiddleware) for name in one.interrupt_on
    )


def is_known(bound: Any) -> bool:
    """Whether a node belongs to a middleware that says itself which tools it asks about."""
    return isinstance(middleware_of(bound), HumanInTheLoopMiddleware)


def can_ask(values: Iterable[Any]) -> bool:
    """Whether code that refers to *values* can stop a run to ask a person."""
    return any(value is interrupt or value is NodeInterrupt or value is GraphInterrupt for value in values)


def unnamed(asking: Iterable[str], approval_gated: str | Iterable[str]) -> str | None:
    """Why nodes that can ask a person keep all tools from running ahead, or None if the owner said what they gate."""
    names = sorted(asking)
    if not names or approval_gated != "auto":
        return None
    return f"{names} can ask a person: name the tools that wait for it in approval_gated ([] if none does)"


def overtaken(middleware: Iterable[Any]) -> list[str]:
    """Names of those that stand around model or tool calls, other than by repeating them."""
    return [type(one).__name__ for one in middleware if not isinstance(one, _RETRIES) and _wraps_calls(type(one))]


_RETRIES = (ToolRetryMiddleware, ModelRetryMiddleware)
_CALL_HOOKS = ("wrap_model_call", "awrap_model_call", "wrap_tool_call", "awrap_tool_call")


def _wraps_calls(kind: type) -> bool:
    return any(getattr(kind, hook, None) is not getattr(AgentMiddleware, hook) for hook in _CALL_HOOKS)


def static_interrupt(
    before: str | Iterable[str] | None,
    after: str | Iterable[str] | None,
    tool_users: frozenset[str],
    tool_nodes: frozenset[str],
) -> str | None:
    """Why interrupts set on a graph keep its tools from running ahead, or None.

    A run that stops before its tools, or after what comes before them, waits for a person, and so do all its tools.

    Args:
        before, after: Names of nodes, or `"*"`.
        tool_users: Nodes that may run tools.
        tool_nodes: Those of them that do nothing else: stopping after one of them stops nothing that is still to come.
    """
    stops = [name for name in named(before) if name == "*" or name in tool_users]
    if stops:
        return f"interrupt_before={stops} stops before the tools"
    stops = [name for name in named(after) if name == "*" or name not in tool_nodes]
    return f"interrupt_after={stops} may stop before the tools" if stops else None


def named(given: str | Iterable[str] | None) -> list[str]:
    """Names given one by one; `"auto"` names none."""
    if given == "auto":
        return []
    return [given] if isinstance(given, str) else list(given or ())
