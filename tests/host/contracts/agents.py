"""What the package counts on of `host/compat/agents.py`."""

from __future__ import annotations

from typing import Any

from agents import ScriptedModel, World, agent_graph, notebook
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage

from contracts import contract
from langgraph_speculate.host.compat import agents


@contract("is_agent_model_node")
def _is_agent_model_node() -> None:
    agent = agent_graph(ScriptedModel(script=[]), notebook(World()))
    assert [name for name, node in agent.nodes.items() if agents.is_agent_model_node(node.bound)] == ["model"]


@contract("Building", "agent_being_built")
def _agent_being_built() -> None:
    seen: list[Any] = []

    class Looks(AgentMiddleware):
        @property
        def name(self) -> str:
            seen.append(agents.agent_being_built())
            return "Looks"

    middleware = Looks()
    assert middleware.name == "Looks"
    assert seen == [None]
    agent_graph(ScriptedModel(script=[AIMessage("x")]), [], middleware=[middleware], interrupt_before=["model"])
    building = seen[-1]
    assert isinstance(building, agents.Building)
    assert building.middleware == (middleware,)
    assert building.interrupt_before == ("model",)
    assert building.interrupt_after == ()


@contract("middleware_of")
def _middleware_of() -> None:
    asks = HumanInTheLoopMiddleware({"read": True})
    agent = agent_graph(ScriptedModel(script=[AIMessage("x")]), notebook(World()), middleware=[asks])
    found = [agents.middleware_of(node.bound) for node in agent.nodes.values()]
    assert any(one is asks for one in found)
