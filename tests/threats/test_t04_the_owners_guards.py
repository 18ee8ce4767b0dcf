"""T4: guards of the policy are asked first and again, with what the call will really have."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import pytest
from agents import EAGERLY, START_INPUT, WAYS, Oracle, ScriptedModel, World, adrive, agent_graph, ask, drive, make_tool
from early import bodies, contents, last_state, moment, readers
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, StructuredTool

from langgraph_speculate import PolicyError, SpeculationPolicy, speculate, speculation_of
from langgraph_speculate.policy import GuardedCall

SCRIPT = [ask(("read", {"id": 1})), AIMessage("done")]
USER: ContextVar[Any] = ContextVar("user_of_guards")


def _wrapped(tools: list[BaseTool], policy: SpeculationPolicy, script: list[Any] = SCRIPT, **settings: Any) -> Any:
    model = ScriptedModel(script=script, pace_s=settings.pop("pace_s", 0.01))
    oracle = Oracle(script, bounded=settings.pop("bounded", True))
    return speculate(agent_graph(model, tools, **settings), policy, predictor=oracle)


def _policy(*guards: Any, **settings: Any) -> SpeculationPolicy:
    return SpeculationPolicy(tools={"read": {**EAGERLY, **settings}}, guards=guards, propagate_context=(USER,))


@pytest.mark.parametrize("bounded", [True, False], ids=["inline", "own_thread"])
@pytest.mark.parametrize("way", WAYS)
def test_no_body_runs_for_users_a_guard_denies(way: str, bounded: bool) -> None:
    """
    Every third of 30 users is denied: no early body for them, the real ones run; all others are served ahead.
    """
    worlds = {user: World() for user in range(30)}
    policy = _policy(lambda call: call.configurable["user"] % 3 != 0)
    graph = _wrapped([_for_user(worlds)], policy, bounded=bounded)

    def config(user: int) -> RunnableConfig:
        return {"configurable": {"user": user}}

    async def together() -> None:
        await asyncio.gather(*(adrive(graph, way, START_INPUT, config(user)) for user in worlds))

    if way in ("invoke", "stream"):
        for user in worlds:
            drive(graph, way, START_INPUT, config(user))
    else:
        asyncio.run(together())
    for user, world in worlds.items():
        if user % 3 == 0:
            assert [args["when"] for _, args in world.log] == ["real"]
    stats = speculation_of(graph).stats()
    if bounded:
        assert (dict(stats.denied), stats.hits) == ({"guard": 10}, 20)
    else:  # a predictor on a thread of its own may come too late for some
        assert set(stats.denied) <= {"guard"}
        assert 0 < stats.hits <= 20


def _for_user(worlds: dict[int, World]) -> BaseTool:
    def read(id: int, config: RunnableConfig) -> str:
        "Read."
        worlds[config["configurable"]["user"]].begin("read", id=id, when=moment())
        return f"read {id}"

    async def aread(id: int, config: RunnableConfig) -> str:
        return read(id, config)

    return StructuredTool.from_function(read, aread, name="read")


@dataclass
class Role:
    """A runtime context."""

    role: str = "admin"


def _raises(call: GuardedCall) -> bool:
    raise KeyError("user")


@pytest.mark.parametrize(
    ("guard", "hits"),
    [
        (lambda call: True, 1),
        (lambda call: False, 0),
        (lambda call: 1, 0),
        (lambda call: "yes", 0),
        (lambda call: None, 0),
        (lambda call: call, 0),
        (_raises, 0),
    ],
    ids=["true", "false", "one", "text", "none", "object", "raises"],
)
@pytest.mark.parametrize("bounded", [True, False], ids=["inline", "own_thread"])
@pytest.mark.parametrize("way", WAYS)
def test_only_true_lets_a_call_pass(way: str, bounded: bool, guard: Any, hits: int) -> None:
    """
    Doubt is a no, and the run goes on as in the plain graph; one guard that says yes does not outvote another.
    """
    world = World()
    graph = _wrapped(readers(world, "read"), _policy(lambda call: True, guard), bounded=bounded, pace_s=0.03)
    assert contents(last_state(graph, way)) == ["read 1"]
    assert speculation_of(graph).stats().hits == hits
    assert len(bodies(world, when="early")) == hits


async def _async_guard(call: GuardedCall) -> bool:
    return True


class _AsyncObject:
    async def __call__(self, call: GuardedCall) -> bool:
        return True


@pytest.mark.parametrize(
    "guard",
    [
        _async_guard,
        pytest.param(
            _AsyncObject(),
        ),
    ],
    ids=["function", "object"],
)
def test_an_async_guard_is_refused(guard: Any) -> None:
    """
    A coroutine is no answer; the owner is told when the policy is made, not by tools that never run ahead.
    """
    with pytest.raises(PolicyError, match="async"):
        SpeculationPolicy(guards=(guard,))


@pytest.mark.parametrize("way", WAYS)
def test_guards_see_the_arguments_that_the_body_will_have(way: str) -> None:
    """
    Coerced and with defaults filled in, at both moments, with the caller's entries and the runtime context.
    """
    seen: list[GuardedCall] = []

    def guard(call: GuardedCall) -> bool:
        seen.append(call)
        return True

    def read(id: int, detail: str = "short") -> str:
        "Read."
        return f"{detail} {id}"

    script = [ask(("read", {"id": "1"})), AIMessage("done")]
    graph = _wrapped([make_tool("read", read, "both")], _policy(guard), script, context_schema=Role)
    config = {"configurable": {"user": "ann"}}
    assert contents(last_state(graph, way, START_INPUT, config, context=Role())) == ["short 1"]
    assert [call.moment for call in seen] == ["issue", "commit"]
    for call in seen:
        assert (call.tool, dict(call.args), call.context) == ("read", {"id": 1, "detail": "short"}, Role())
        assert call.configurable["user"] == "ann"
    assert speculation_of(graph).stats().hits == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_guard_cannot_change_the_call(way: str) -> None:
    """
    Whatever a guard does to the arguments it is shown, the answer is that of the model's own call.
    """

    def careless(call: GuardedCall) -> bool:
        call.args.update(id=99)  # type: ignore[attr-defined]
        return True

    graph = _wrapped(readers(World(), "read"), _policy(careless))
    assert contents(last_state(graph, way)) == ["read 1"]


@pytest.mark.parametrize("user", ["ann", "bob", None])
@pytest.mark.parametrize("bounded", [True, False], ids=["inline", "own_thread"])
@pytest.mark.parametrize("way", WAYS)
def test_guards_see_the_runs_context_variables(way: str, bounded: bool, user: str | None) -> None:
    """
    Also when a predictor on a thread of its own is what they are asked for.
    """
    world = World()
    graph = _wrapped(
        readers(world, "read"), _policy(lambda call: USER.get(None) == "ann"), bounded=bounded, pace_s=0.03
    )
    token = USER.set(user)
    try:
        assert contents(last_state(graph, way)) == ["read 1"]
    finally:
        USER.reset(token)
    assert bodies(world, when="early") == ([1] if user == "ann" else [])
    assert speculation_of(graph).stats().hits == (user == "ann")
