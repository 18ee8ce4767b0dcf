"""T1: a callback handler that may reject a tool call decides before any body has run."""

from __future__ import annotations

from typing import Any

import pytest
from agents import EAGERLY, START_INPUT, WAYS, Oracle, ScriptedModel, World, agent_graph, ask, drive, outcome
from agents import notebook as notes
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of

SCRIPT = [ask(("read", {"id": 1})), AIMessage("done")]
POLICY: dict[str, Any] = {"tools": {"read": EAGERLY}}


class Rejected(Exception):
    """What the person said."""


class Asking(BaseCallbackHandler):
    """As LangChain's `HumanApprovalCallbackHandler`, with a person who says no."""

    raise_error = True

    def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
        raise Rejected("no")


class AskingAsync(AsyncCallbackHandler):
    raise_error = True

    async def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
        raise Rejected("no")


class Guarding(BaseCallbackHandler):
    """Lets no message pass that asks for tools."""

    raise_error = True

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        if response.generations[0][0].message.tool_calls:
            raise Rejected("no")


class Watching(BaseCallbackHandler):
    """Hears of everything, and what it raises is nobody's business."""

    def on_tool_start(self, *args: Any, **kwargs: Any) -> None:
        return None

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        return None


HANDLERS = [Asking, AskingAsync, Guarding]


def _tools(world: World, *callbacks: Any) -> list[BaseTool]:
    tools = notes(world, "both")
    return [tool.model_copy(update={"callbacks": list(callbacks)}) for tool in tools] if callbacks else tools


def _agent(world: World, *callbacks: Any, middleware: bool = False) -> tuple[Any, Any]:
    """An agent that speculates, and the handle on that."""
    model = ScriptedModel(script=SCRIPT, pace_s=0.01)
    if middleware:
        ahead = SpeculationMiddleware(POLICY, predictor=Oracle(SCRIPT))
        return agent_graph(model, _tools(world, *callbacks), middleware=[ahead]), ahead.speculation
    graph = speculate(agent_graph(model, _tools(world, *callbacks)), POLICY, predictor=Oracle(SCRIPT))
    return graph, speculation_of(graph)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("middleware", [False, True], ids=["wrapped", "middleware"])
@pytest.mark.parametrize("handler", HANDLERS)
def test_no_body_runs_before_a_handler_of_the_run_has_decided(
    handler: Any, middleware: bool, way: str, world: World
) -> None:
    """
    The handler is in the call's config: neither the plain agent nor ours runs a body that it rejects.
    """
    config: dict[str, Any] = {"callbacks": [handler()]}
    theirs = World()
    plain = outcome(lambda: drive(agent_graph(ScriptedModel(script=SCRIPT), _tools(theirs)), way, START_INPUT, config))
    graph, speculation = _agent(world, middleware=middleware)
    assert outcome(lambda: drive(graph, way, START_INPUT, config)) == plain
    assert world.log == theirs.log  # nothing, but where a sync run cannot await what its handler says
    assert speculation.stats().denied == {"gated": 1}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("middleware", [False, True], ids=["wrapped", "middleware"])
def test_no_body_runs_before_a_handler_of_the_tool_has_decided(middleware: bool, way: str, world: World) -> None:
    """
    The handler is among the tool's own callbacks.
    """
    graph, _ = _agent(world, Asking(), middleware=middleware)
    outcome(lambda: drive(graph, way, START_INPUT))
    assert world.log == []


@pytest.mark.parametrize("way", WAYS)
def test_a_handler_that_only_watches_bars_nothing(way: str, world: World) -> None:
    """
    Its errors are not the run's, so it cannot reject a call.
    """
    graph, speculation = _agent(world)
    drive(graph, way, START_INPUT, {"callbacks": [Watching()]})
    assert speculation.stats().hits == 1


@pytest.mark.parametrize("way", WAYS)
def test_the_owner_may_say_which_tools_handlers_ask_about(way: str, world: World) -> None:
    """
    `approval_gated` with a list: the others run ahead beside the handler.
    """
    policy = {**POLICY, "approval_gated": ["write"]}
    model = ScriptedModel(script=SCRIPT, pace_s=0.01)
    graph = speculate(agent_graph(model, _tools(world)), policy, predictor=Oracle(SCRIPT))
    outcome(lambda: drive(graph, way, START_INPUT, {"callbacks": [Asking()]}))
    assert speculation_of(graph).stats().launched == 1
