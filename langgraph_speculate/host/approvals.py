"""What stands between the model and its tools: approvals and static interrupts that no speculation may overtake."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from langchain.agents.middleware import HumanInTheLoopMiddleware

from langgraph_speculate.host.compat import middleware_of


def gated_tools(nodes: Mapping[str, Any]) -> frozenset[str]:
    """Names of all tools that a `HumanInTheLoopMiddleware` among a graph's nodes may ask a person about."""
    gated: set[str] = set()
    for node in nodes.values():
        middleware = middleware_of(node.bound)
        if isinstance(middleware, HumanInTheLoopMiddleware):
            gated.update(middleware.interrupt_on)
    return frozenset(gated)


def static_interrupt(
    before: str | Iterable[str] | None, after: str | Iterable[str] | None, tool_nodes: frozenset[str]
) -> str | None:
    """Why interrupts set on a graph keep its tools from running ahead, or None.

    A run that stops before its tools, or after what comes before them, waits for a person: every tool of the graph then does.
    """
    stops = [name for name in _names(before) if name == "*" or name in tool_nodes]
    if stops:
        return f"interrupt_before={stops} stops before the tools"
    stops = [name for name in _names(after) if name == "*" or name not in tool_nodes]
    return f"interrupt_after={stops} may stop before the tools" if stops else None


def _names(given: str | Iterable[str] | None) -> list[str]:
    return [given] if isinstance(given, str) else list(given or ())
