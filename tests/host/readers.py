"""An agent with one tool that reads, for tests of what an early body may do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from agents import Oracle, ScriptedModel, World, agent_graph, ask, make_tool
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool

from langgraph_speculate import current_speculation, speculate

SCRIPT = [ask(("read", {"id": 1})), AIMessage("done")]
POLICY: dict[str, Any] = {"tools": {"read": True}}


def reader(body: Callable[[int], Any], flavour: str = "both") -> BaseTool:
    def read(id: int) -> Any:
        "Read."
        return body(id)

    return make_tool("read", read, flavour)


def auditing(world: World, effect: Callable[[int], Any] | None = None) -> Callable[[int], str]:
    """A body whose audit entry belongs to real calls only."""

    def body(id: int) -> str:
        act = partial(effect or (lambda id: world.begin("audit", id=id)), id)
        ahead = current_speculation()
        world.begin("body", id=id)
        if ahead is None:
            act()
        else:
            ahead.on_commit(act)
        return f"read {id}"

    return body


def wrapped(
    tool: BaseTool, predictor: Any = None, script: list[Any] = SCRIPT, policy: Any = POLICY, **model: Any
) -> Any:
    graph = agent_graph(ScriptedModel(script=script, pace_s=0.02, **model), [tool])
    return speculate(graph, policy, predictor=predictor or Oracle(script))
