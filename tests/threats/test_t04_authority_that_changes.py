"""T4: authority that changes between an early read and the real call is noticed."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pytest
from agents import START_INPUT, WAYS, Oracle, ScriptedModel, World, agent_graph, ask, make_tool
from early import bodies, contents, last_state, moment
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.prebuilt import ToolRuntime

from langgraph_speculate import SpeculationPolicy, speculate, speculation_of

SCRIPT = [ask(("read", {"id": 1})), AIMessage("done")]
USER: ContextVar[Any] = ContextVar("user_of_authority")


def _wrapped(tools: list[BaseTool], policy: SpeculationPolicy, during: Any, **settings: Any) -> Any:
    model = ScriptedModel(script=SCRIPT, during=during)
    return speculate(agent_graph(model, tools, **settings), policy, predictor=Oracle(SCRIPT))


def _policy(*guards: Any, **settings: Any) -> SpeculationPolicy:
    return SpeculationPolicy(tools={"read": {"read_only": True, **settings}}, guards=guards, propagate_context=(USER,))


@dataclass
class Role:
    """Authority as a record."""

    role: str = "admin"


class Plain:
    """Authority as an object of a class that says nothing about itself."""

    def __init__(self) -> None:
        self.role = "admin"


def _reading(world: World, where: str) -> BaseTool:
    """A tool that answers with the role it finds when its body runs."""

    def found(config: Any, runtime: Any) -> str:
        world.begin("read", id=1, when=moment())
        if where == "context":
            return str(runtime.context.role)
        return str((USER.get() if where == "variable" else config["configurable"]["user"]).role)

    if where == "context":

        def with_runtime(id: int, runtime: ToolRuntime) -> str:
            "Read."
            return found(None, runtime)

        return StructuredTool.from_function(with_runtime, name="read")

    def with_config(id: int, config: RunnableConfig) -> str:
        "Read."
        return found(config, None)

    return StructuredTool.from_function(with_config, name="read")


@pytest.mark.parametrize(
    ("kind", "revoked"),
    [(Role, True), (Role, False), (Plain, False)],
    ids=["record revoked", "record kept", "object kept"],
)
@pytest.mark.parametrize("where", ["configurable", "context", "variable"])
@pytest.mark.parametrize("way", WAYS)
def test_authority_that_changed_meanwhile_is_noticed(way: str, where: str, kind: Any, revoked: bool) -> None:
    """
    A role that is taken away while the model thinks, after the early body has read it: discarded, and the real call
    answers as in the plain graph. Left alone, the result is used.
    """
    world, user = World(), kind()

    def during(turn: int) -> None:
        if turn == 0:
            world.wait_for("read")
            time.sleep(0.02)
            user.role = "guest" if revoked else "admin"

    uses = {"uses": ["context"]} if where == "context" else {}
    graph = _wrapped([_reading(world, where)], _policy(**uses), during=during, context_schema=kind)
    token = USER.set(user)
    try:
        state = last_state(graph, way, START_INPUT, {"configurable": {"user": user}}, context=user)
    finally:
        USER.reset(token)
    assert contents(state) == ["guest" if revoked else "admin"]
    assert speculation_of(graph).stats().hits == (not revoked)
    assert len(bodies(world)) == 1 + revoked


@pytest.mark.tools_block  # what streams synchronously does so in a coroutine
@pytest.mark.parametrize("revoked", [True, False])
@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_a_variable_set_anew_between_model_and_tools_is_noticed(way: str, revoked: bool) -> None:
    """
    The consumer of the stream changes the user between two chunks.
    """
    world = World()
    graph = _wrapped([_reading(world, "variable")], _policy(), during=lambda turn: turn or world.wait_for("read"))
    token = USER.set(Role())
    answers: list[Any] = []

    def saw(chunk: Any) -> None:
        if "model" in chunk and revoked:
            USER.set(Role("guest"))
        answers.extend(message.content for message in chunk.get("tools", {}).get("messages", ()))

    try:
        if way == "stream":
            for chunk in graph.stream(START_INPUT):
                saw(chunk)
        else:
            async for chunk in graph.astream(START_INPUT):
                saw(chunk)
    finally:
        USER.reset(token)
    assert answers == ["guest" if revoked else "admin"]
    assert speculation_of(graph).stats().hits == (not revoked)


@pytest.mark.parametrize("revoked", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_a_guard_that_says_no_at_the_commit_discards(way: str, revoked: bool) -> None:
    """
    Asked again when the real call comes: the early result is not shown, and the tool's own check has the last word.
    """
    world, allowed = World(), {1}

    def read(id: int) -> str:
        "Read."
        world.begin("read", id=id, when=moment())
        return "the secret" if id in allowed else "forbidden"

    def during(turn: int) -> None:
        if turn == 0:
            world.wait_for("read")
            time.sleep(0.02)
            allowed.intersection_update(() if revoked else {1})

    graph = _wrapped([make_tool("read", read)], _policy(lambda call: call.args["id"] in allowed), during=during)
    assert contents(last_state(graph, way)) == ["forbidden" if revoked else "the secret"]
    stats = speculation_of(graph).stats()
    assert (stats.launched, stats.hits) == (1, not revoked)
    assert stats.denied == ({"guard": 1} if revoked else {})
