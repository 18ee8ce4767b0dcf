"""An agent with one tool that reads, for tests of what an early body may do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents import Oracle, ScriptedModel, agent_graph, ask, make_tool
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool

from langgraph_speculate import speculate

SCRIPT = [ask(("read", {"id": 1})), AIMessage("done")]
POLICY: dict[str, Any] = {"tools": {"read": True}}


def reader(body: Callable[[int], Any], flavour: str = "both") -> BaseTool:
    def read(id: int) -> Any:
        "Read."
        return body(id)

    return make_tool("read", read, flavour)


def wrapped(
    tool: BaseTool, predictor: Any = None, script: list[Any] = SCRIPT, policy: Any = POLICY, **model: Any
) -> Any:
    graph = agent_graph(ScriptedModel(script=script, pace_s=0.02, **model), [tool])
    return speculate(graph, policy, predictor=predictor or Oracle(script))
