"""What a tool may know of its early run, and effects it keeps for the commit."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    GRAPHS,
    WAYS,
    Fixed,
    Oracle,
    ScriptedModel,
    World,
    agent_graph,
    ask,
    canonical,
    drive,
    make_tool,
)
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool
from readers import POLICY, auditing, reader, wrapped

from langgraph_speculate import SpeculationMiddleware, current_speculation, speculate, speculation_of

# -- current_speculation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flavour", ["sync", "async", "both"])
@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("way", WAYS)
def test_a_body_knows_whether_it_runs_early(way: str, kind: str, flavour: str) -> None:
    """
    None in real calls, the tool's name in early ones; in threads and tasks, in every kind of graph, and in neither case
    does anything of it stay with the caller.
    """
    if flavour == "async" and way not in ASYNC_WAYS:
        pytest.skip("an async tool cannot run here")
    seen: list[str | None] = []

    def body(id: int) -> str:
        ahead = current_speculation()
        seen.append(None if ahead is None else ahead.tool)
        return "read"

    script = [ask(("read", {"id": 1})), ask(("read", {"id": 2}), prefix="d"), AIMessage("done")]
    plain = GRAPHS[kind](ScriptedModel(script=script, pace_s=0.02), [reader(body, flavour)])
    drive(plain, way)
    assert seen == [None, None]
    graph = speculate(plain, POLICY, predictor=Oracle(script[:1] + [AIMessage("")] * 2))
    drive(graph, way)
    assert speculation_of(graph).stats().hits == 1
    assert seen == [None, None, "read", None]
    assert current_speculation() is None


async def test_runs_beside_each_other_do_not_share_it() -> None:
    """
    Real and early bodies of many runs at once: each knows its own.
    """
    early: Counter[tuple[int, bool]] = Counter()

    async def aread(id: int) -> str:
        before = current_speculation()
        await asyncio.sleep(0.001)
        assert current_speculation() is before
        early[id, before is not None] += 1
        return "read"

    tool = StructuredTool.from_function(coroutine=aread, name="read", description="Read.")
    script = [ask(("read", {"id": 1}), ("read", {"id": 2})), AIMessage("done")]
    graph = wrapped(tool, Fixed(("read", {"id": 1})), script)
    await asyncio.gather(*(graph.ainvoke({"messages": [("user", "go")]}) for _ in range(20)))
    assert early[1, True] >= 20
    assert (early[2, False], early[2, True]) == (20, 0)


# -- on_commit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["speculate", "middleware"])
@pytest.mark.parametrize("flavour", ["sync", "both"])
@pytest.mark.parametrize("way", WAYS)
def test_an_effect_happens_once_on_adoption_and_never_on_discard(way: str, flavour: str, by: str, world: World) -> None:
    """
    Three early bodies, one of which is wanted: one entry, in the order of the real calls.
    """
    script = [ask(("read", {"id": 1}), ("read", {"id": 5})), AIMessage("done")]
    guess = Fixed(*(("read", {"id": id}) for id in (1, 2, 3)))
    policy = {**POLICY, "limits": {"max_per_turn": 3}}
    tool, model = reader(auditing(world), flavour), ScriptedModel(script=script, pace_s=0.02)
    if by == "speculate":
        graph = speculate(agent_graph(model, [tool]), policy, predictor=guess)
        handle = speculation_of(graph)
    else:
        inside = SpeculationMiddleware(policy, predictor=guess)
        graph, handle = agent_graph(model, [tool], middleware=[inside]), inside.speculation
    drive(graph, way)
    assert Counter(args["id"] for name, args in world.log if name == "audit") == {1: 1, 5: 1}
    assert {args["id"] for name, args in world.log if name == "body"} >= {1, 2, 3, 5}
    assert handle.stats().hits == 1


# -- the twelve deceptive tools --------------------------------------------------------------------------------------

DECEPTIVE = [
    *("get_salary", "search_web", "read_mail", "get_token", "list_next_page", "get_otp"),
    *("peek_queue", "check_lease", "get_profile", "view_article", "fetch_url", "validate_coupon"),
]


@pytest.mark.parametrize("flavour", ["sync", "both"])
@pytest.mark.parametrize("way", WAYS)
def test_the_audit_log_of_deceptive_tools_is_the_plain_graphs(way: str, flavour: str) -> None:
    """
    Twelve tools that only look read-only, each with its side effect in `on_commit`, foreseen with as many wrong guesses
    beside them: the log is the plain graph's, call by call.
    """
    turns = [ask(*((name, {"id": 1}) for name in DECEPTIVE[at : at + 3]), prefix=f"c{at}") for at in range(0, 12, 3)]
    script = [*turns, AIMessage("done")]
    limits = {"max_per_turn": 10, "max_per_run": 60, "max_wasted_per_run": 60, "max_in_flight": 20}
    policy = {"tools": dict.fromkeys(DECEPTIVE, True), "limits": limits}
    logs = []
    for wrap in (False, True):
        log: list[tuple[str, int]] = []
        tools = [_deceptive(name, log, flavour) for name in DECEPTIVE]
        graph: Any = agent_graph(ScriptedModel(script=script, pace_s=0.03 if wrap else 0.0), tools)
        if wrap:
            guess = Oracle(script, also=[(name, {"id": 2}) for name in DECEPTIVE[:6]])
            graph = speculate(graph, policy, predictor=guess)
        extra = {"stream_mode": "values"} if way in ("stream", "astream") else {}
        final = canonical(drive(graph, way, **extra)[-1])
        logs.append((final, [sorted(log[at : at + 3]) for at in range(0, len(log), 3)]))
    assert logs[1] == logs[0]
    assert speculation_of(graph).stats().hits == 12
    assert speculation_of(graph).stats().wasted > 0


def _deceptive(name: str, log: list[tuple[str, int]], flavour: str) -> BaseTool:
    def body(id: int) -> str:
        ahead, effect = current_speculation(), partial(log.append, (name, id))
        if ahead is None:
            effect()
        else:
            ahead.on_commit(effect)
        return f"{name} of {id}"

    return make_tool(name, body, flavour)
