"""What stands between the model and its tools: approvals and static interrupts that no speculation may overtake."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import MethodType
from typing import Any

from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelRetryMiddleware,
    ToolRetryMiddleware,
)
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langgraph.errors import GraphInterrupt, NodeInterrupt
from langgraph.types import interrupt

from langgraph_speculate.host.anatomy import is_a
from langgraph_speculate.host.compat.agents import is_agent_model_node, middleware_of
from langgraph_speculate.host.reach import Reach, reach_of
from langgraph_speculate.host.transparency import overrides


def gated_by(middleware: Iterable[Any]) -> frozenset[str]:
    """Names of all tools that any of these may ask a person about, always or only sometimes (`when=`)."""
    return frozenset(
        name for one in middleware if isinstance(one, HumanInTheLoopMiddleware) for name in one.interrupt_on
    )


def is_known(bound: Any) -> bool:
    """Whether a node belongs to a middleware that says itself which tools it asks about."""
    return isinstance(middleware_of(bound), HumanInTheLoopMiddleware)


def can_ask(reach: Reach) -> bool:
    """Whether code can stop a run to ask a person: it gets at `interrupt`, or names it."""
    return bool(_ASKING_NAMES & reach.names) or any(
        value is interrupt or value is NodeInterrupt or value is GraphInterrupt for value in reach.values
    )


def asks(bound: Any, functions: Iterable[Any]) -> bool:
    """Whether a node can ask a person about any tool; what middleware says itself of the tools it asks about is known.

    Args:
        bound: The node.
        functions: What it runs, and what decides where it leads to.
    """
    reach = reach_of(functions, abroad=ABROAD, whole=True)
    if not is_agent_model_node(bound):
        return can_ask(reach) and not is_known(bound)
    # The model node of an agent gets at all of its middleware; only what stands around the model acts in it.
    owners = {id(value.__self__): value.__self__ for value in reach.values if is_a(value, MethodType)}
    return any(is_a(one, AgentMiddleware) and asks_around_model(one) for one in owners.values())


def asks_around_model(middleware: AgentMiddleware[Any, Any, Any]) -> bool:
    """Whether somebody's own middleware can ask a person where it stands around the model."""
    kind = type(middleware)
    # What a decorator makes claims to come from LangChain, but does not stand there.
    supplied = getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind
    if supplied and kind.__module__.partition(".")[0] in _SUPPLIERS:
        return False
    hooks = [getattr(middleware, hook) for hook in _MODEL_HOOKS if overrides(kind, (hook,))]
    return can_ask(reach_of(hooks, abroad=ABROAD, whole=True))


_SUPPLIERS = frozenset({"langchain", "deepagents", "langgraph_speculate"})
_MODEL_HOOKS = ("wrap_model_call", "awrap_model_call")
ABROAD = 3
"""How many calls deep a way to ask a person is looked for in other people's packages."""
_ASKING_NAMES = frozenset({"interrupt", "NodeInterrupt", "GraphInterrupt"})


def unnamed(asking: Iterable[str], between: Iterable[str], approval_gated: str | Iterable[str]) -> str | None:
    """Why other nodes keep all tools from running ahead, or None if the owner said what they gate.

    Args:
        asking: Nodes that can ask a person.
        between: Nodes that stand between the model and its tools.
        approval_gated: What the owner said.
    """
    if approval_gated != "auto":
        return None
    if names := sorted(asking):
        return f"{names} can ask a person: name the tools that wait for it in approval_gated ([] if none does)"
    if names := sorted(between):
        return f"{names} may stop what the model asked for: name the tools it gates in approval_gated ([] if none)"
    return None


def may_reject(callbacks: Any) -> bool:
    """Whether a callback handler may keep a tool call from running: its errors are the run's, and it hears in time.

    When the call starts, as the `HumanApprovalCallbackHandler` of `langchain_community` does, which asks on the
    terminal, or when the model's message ends.

    Args:
        callbacks: Handlers, or their manager, of a run or of a tool.
    """
    handlers = callbacks if isinstance(callbacks, list) else getattr(callbacks, "handlers", None) or ()
    return any(
        handler.raise_error
        and (
            (not handler.ignore_agent and _is_own(handler.on_tool_start, "on_tool_start"))
            or (not handler.ignore_llm and _is_own(handler.on_llm_end, "on_llm_end"))
        )
        for handler in handlers
    )


def _is_own(method: Any, name: str) -> bool:
    """Whether a handler's method is another than the one that does nothing."""
    idle = (getattr(BaseCallbackHandler, name), getattr(AsyncCallbackHandler, name))
    return getattr(method, "__func__", method) not in idle


def overtaken(middleware: Iterable[Any]) -> list[str]:
    """Names of those that stand around model or tool calls, other than by repeating them."""
    return [
        type(one).__name__ for one in middleware if not isinstance(one, _RETRIES) and overrides(type(one), _CALL_HOOKS)
    ]


_RETRIES = (ToolRetryMiddleware, ModelRetryMiddleware)
_TOOL_HOOKS = ("wrap_tool_call", "awrap_tool_call")
_CALL_HOOKS = (*_MODEL_HOOKS, *_TOOL_HOOKS)


def wraps_tool_calls(kind: type) -> bool:
    """Whether a kind of middleware stands around tool calls."""
    return overrides(kind, _TOOL_HOOKS)


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


def bounded(max_concurrency: int | None) -> str | None:
    """Why a bound on what runs at once keeps tools from running ahead, or None if there is none.

    Bodies that nobody wants any more may still run when the real calls start, and would come on top.
    """
    return None if max_concurrency is None else f"the run is called with max_concurrency={max_concurrency}"


def named(given: str | Iterable[str] | None) -> list[str]:
    """Names given one by one; `"auto"` names none."""
    if given == "auto":
        return []
    return [given] if isinstance(given, str) else list(given or ())
