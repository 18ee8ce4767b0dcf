"""Contracts of the host: for each private name in `host/compat/`, what the package counts on.

A module here for each module there. `test_compat.py` holds the two to each other, and runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents import START_INPUT, State
from langgraph.graph import START, StateGraph

Contract = Callable[[], None]

CONTRACTS: dict[str, dict[str, Contract]] = {}
"""By the last part of a module's name, the contract of each of its names."""


def contract(*names: str) -> Callable[[Contract], Contract]:
    """Register a function as the contract of these names of the module that is called like its own."""

    def register(function: Contract) -> Contract:
        module = function.__module__.rpartition(".")[-1]
        CONTRACTS.setdefault(module, {}).update(dict.fromkeys(names, function))
        return function

    return register


def in_node(look: Callable[[], Any], **config: Any) -> Any:
    """What *look* returns inside of a node."""
    seen: list[Any] = []
    builder = StateGraph(State)
    builder.add_node("node", lambda state: seen.append(look()))
    builder.add_edge(START, "node")
    builder.compile().invoke(START_INPUT, config or None)
    return seen[0]
