"""Agents of `create_agent`: what stands in one, and one that is just being built."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from langchain.agents.middleware import AgentMiddleware

from langgraph_speculate.host.compat.graphs import node_functions

__all__ = ["Building", "agent_being_built", "is_agent_model_node", "middleware_of"]

_MODEL_NODES = ("create_agent.<locals>.model_node", "create_agent.<locals>.amodel_node")


@dataclass(frozen=True)
class Building:
    """An agent as `create_agent` is putting it together.

    Attributes:
        middleware: Its middleware, outermost first.
        name: Its name; empty if it has none.
        interrupt_before, interrupt_after: Its static interrupts.
    """

    middleware: tuple[Any, ...]
    name: str
    interrupt_before: tuple[str, ...]
    interrupt_after: tuple[str, ...]


def agent_being_built() -> Building | None:
    """The agent that a `create_agent` further up the stack is building, or None.

    Middleware is not told what stands beside it, and a middleware must know what it would overtake; so this looks.
    """
    frame = inspect.currentframe()
    for _ in range(6):
        frame = frame.f_back if frame is not None else None
        if frame is not None and frame.f_code.co_name == "create_agent" and "middleware" in frame.f_locals:
            found = frame.f_locals
            stops = (tuple(found.get(name) or ()) for name in ("interrupt_before", "interrupt_after"))
            return Building(tuple(found["middleware"]), found.get("name") or "", *stops)
    return None


def is_agent_model_node(bound: Any) -> bool:
    """Whether a node is the model node of a `create_agent` graph."""
    return any(getattr(function, "__qualname__", None) in _MODEL_NODES for function in node_functions(bound))


def middleware_of(bound: Any) -> Any:
    """The middleware instance a `create_agent` hook node belongs to, or None."""
    for function in node_functions(bound):
        owner = getattr(function, "__self__", None)
        if isinstance(owner, AgentMiddleware):  # a method of anything else may do anything
            return owner
    return None
