"""T4: nothing that may forbid or change a tool call is overtaken, and the owner's guards are asked first."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from agents import ASYNC_WAYS, WAYS, Oracle, ScriptedModel, World, agent_graph, ask, drive, tool_node_graph
from early import bodies, contents, last_state, readers
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ToolErrorMiddleware,
    ToolRetryMiddleware,
    wrap_tool_call,
)
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.prebuilt import ToolNode

from langgraph_speculate import SpeculationMiddleware, SpeculationPolicy, speculate, speculation_of

SCRIPT = [ask(("read", {"id": 1})), AIMessage("done")]


def _no(request: Any) -> ToolMessage:
    return ToolMessage("forbidden", tool_call_id=request.tool_call["id"])


class Forbidding(AgentMiddleware[Any, Any, Any]):
    """An authorisation check."""

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return _no(request)

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return _no(request)


class Watching(AgentMiddleware[Any, Any, Any]):
    """A log."""

    def wrap_tool_call(self, request: Any, handler: Any) -> Any:
        return handler(request)

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await handler(request)


class SelfDeclared(Watching):
    """A log that says so."""

    speculation_transparent = True


class Repeating(ToolRetryMiddleware):
    """May do anything: a subclass of what is known is not known."""


@wrap_tool_call  # type: ignore[arg-type]
def forbid(request: Any, handler: Any) -> Any:
    return _no(request)


@wrap_tool_call  # type: ignore[arg-type]
async def aforbid(request: Any, handler: Any) -> Any:
    return _no(request)


def _watch(request: Any, handler: Any) -> Any:
    return handler(request)


async def _awatch(request: Any, handler: Any) -> Any:
    return await handler(request)


def _declared(function: Any) -> Any:
    def watch(request: Any, handler: Any) -> Any:
        return function(request, handler)

    watch.speculation_transparent = True  # type: ignore[attr-defined]
    return watch


def _policy(**settings: Any) -> SpeculationPolicy:
    return SpeculationPolicy(tools={"read": {"read_only": True}}, **settings)


def _agent(world: World, middleware: list[Any], by: str, policy: SpeculationPolicy) -> tuple[Any, Any]:
    model, tools = ScriptedModel(script=SCRIPT, pace_s=0.01), readers(world, "read")
    if by == "middleware":
        inside = SpeculationMiddleware(policy, predictor=Oracle(SCRIPT))
        return agent_graph(model, tools, middleware=[*middleware, inside]), inside.speculation
    graph = speculate(agent_graph(model, tools, middleware=middleware), policy, predictor=Oracle(SCRIPT))
    return graph, speculation_of(graph)


@pytest.mark.parametrize("by", ["speculate", "middleware"])
@pytest.mark.parametrize("beside", ["class", "decorator", "beside a known one", "around a known one"])
@pytest.mark.parametrize("way", WAYS)
def test_unknown_middleware_around_tool_calls_is_not_overtaken(way: str, beside: str, by: str) -> None:
    """
    What it forbids has not run, however it is written and whatever stands beside it; `explain()` says how to let it be.
    """
    one = (aforbid if way in ASYNC_WAYS else forbid) if beside == "decorator" else Forbidding()
    known = ToolRetryMiddleware()
    middleware = {"beside a known one": [known, one], "around a known one": [one, known]}.get(beside, [one])
    world = World()
    graph, handle = _agent(world, middleware, by, _policy())
    assert contents(last_state(graph, way)) == ["forbidden"]
    assert (world.log, handle.stats().launched) == ([], 0)
    assert ["name it in transparent" in verdict.detail for verdict in handle.explain()] == [True]


@pytest.mark.parametrize(
    "by",
    [
        "speculate",
        "middleware",
    ],
)
def test_a_warning_says_why_nothing_runs_ahead(by: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    Once, with the remedy, where the owner looks first.
    """
    with caplog.at_level(logging.WARNING, "langgraph_speculate"):
        graph, _ = _agent(World(), [Forbidding()], by, _policy())
        drive(graph, "invoke")
    assert caplog.text.count("name it in transparent") == 1


@pytest.mark.parametrize("by", ["speculate", "middleware"])
@pytest.mark.parametrize(
    ("middleware", "hits"),
    [
        ([ToolRetryMiddleware(), ToolErrorMiddleware(lambda *_: "failed")], 1),
        ([HumanInTheLoopMiddleware({"other": True}, interrupt_mode="per_call")], 1),
        ([SelfDeclared()], 1),
        ([Watching()], 0),
        ([Repeating()], 0),
        ([SelfDeclared(), Watching()], 0),
    ],
    ids=["known", "approvals", "says so itself", "unknown", "subclass", "one of two says so"],
)
@pytest.mark.parametrize("way", WAYS)
def test_middleware_known_to_leave_calls_alone_is_passed(way: str, middleware: list[Any], hits: int, by: str) -> None:
    """
    The control: retries, error messages, approvals of other tools, and what says of itself that it is transparent.
    """
    graph, handle = _agent(World(), middleware, by, _policy())
    assert contents(last_state(graph, way)) == ["read 1"]
    assert handle.stats().hits == hits


@pytest.mark.parametrize("by", ["speculate", "middleware"])
@pytest.mark.parametrize("named", [("Watching",), ("watching",), ()], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_the_policy_can_say_what_is_transparent(way: str, named: tuple[str, ...], by: str) -> None:
    """
    Only by its exact name.
    """
    graph, handle = _agent(World(), [Watching()], by, _policy(transparent=named))
    assert contents(last_state(graph, way)) == ["read 1"]
    assert handle.stats().hits == (named == ("Watching",))


@pytest.mark.parametrize(
    ("around", "transparent", "hits"),
    [
        ({"wrap_tool_call": _watch, "awrap_tool_call": _awatch}, (), 0),
        ({"wrap_tool_call": _watch, "awrap_tool_call": _awatch}, ("_watch",), 0),
        ({"wrap_tool_call": _watch, "awrap_tool_call": _awatch}, ("_watch", "_awatch"), 1),
        ({"wrap_tool_call": _declared(_watch), "awrap_tool_call": _declared(_awatch)}, (), 1),
        ({"wrap_tool_call": Watching().wrap_tool_call, "awrap_tool_call": _awatch}, (), 0),
        ({}, (), 1),
    ],
    ids=["unknown", "one of two named", "named", "says so itself", "a method", "nothing"],
)
@pytest.mark.parametrize("way", WAYS)
def test_functions_around_a_hand_made_tool_node_count_as_well(
    way: str, around: dict[str, Any], transparent: tuple[str, ...], hits: int
) -> None:
    """
    `ToolNode(wrap_tool_call=fn)`: unknown until the function or the policy says otherwise, sync and async apart.
    """
    world = World()
    tools = readers(world, "read")
    model = ScriptedModel(script=SCRIPT, pace_s=0.01)
    graph = speculate(
        tool_node_graph(model, tools, ToolNode(tools, **around)),
        _policy(transparent=transparent),
        predictor=Oracle(SCRIPT),
    )
    assert contents(last_state(graph, way)) == ["read 1"]
    assert speculation_of(graph).stats().hits == hits
    assert hits or not bodies(world, when="early")


class _OwnToolNode(ToolNode):
    """Lets nothing pass."""

    def _run_one(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        return ToolMessage("forbidden", tool_call_id=call["id"])

    async def _arun_one(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        return ToolMessage("forbidden", tool_call_id=call["id"])


class _Dropping(AgentMiddleware[Any, Any, Any]):
    """Takes away what the model asked for, around its call."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        handler(request)
        return AIMessage("nothing of that")

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        await handler(request)
        return AIMessage("nothing of that")


@pytest.mark.parametrize(
    "place",
    [
        "a subclass of ToolNode",
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_no_body_runs_that_is_stopped_elsewhere(way: str, place: str) -> None:
    """
    Guards in a tool node of somebody's own, and guards that take calls out of the model's answer.
    """
    world = World()
    if place == "a subclass of ToolNode":
        tools = readers(world, "read")
        plain = tool_node_graph(ScriptedModel(script=SCRIPT, pace_s=0.02), tools, _OwnToolNode(tools))
        graph = speculate(plain, _policy(), predictor=Oracle(SCRIPT))
    else:
        graph, _ = _agent(world, [_Dropping()], place.partition(",")[0], _policy())
    drive(graph, way)
    assert world.log == []
