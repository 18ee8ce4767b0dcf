"""T10: one tenant is answered with what was read for another.

The library promises that results never leave the run they were read in: not to another run of the same graph, not with
the same call ids and arguments, not after an error, and nothing of them is left in memory when the runs are over.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
from typing import Any

import pytest
from agents import EAGERLY, GRAPHS, UNBRAKED, WAYS, Oracle, ScriptedModel, ask
from attacks import answers, beside_each_other
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool, ToolException

from langgraph_speculate import speculate, speculation_of

USERS = 50
SCRIPT = [ask(("inbox", {"box": 1}), ("inbox", {"box": 2})), ask(("inbox", {"box": 1}), prefix="d"), AIMessage("done")]
POLICY = {"tools": {"inbox": {**EAGERLY, "scope": "run"}}, "limits": UNBRAKED}
REMEMBERING = {"tools": {"inbox": {**EAGERLY, "read_through": True}}, "limits": UNBRAKED}


def _canary(user: str) -> str:
    return f"canary of {user}!"


def _inbox(draw: random.Random, leaky: bool = False) -> StructuredTool:
    """Messages of who asks; some reads fail. A *leaky* one keeps what it read for whoever comes next."""
    cache: dict[int, str] = {}

    def answer(box: int, config: RunnableConfig) -> str:
        if draw.random() < 0.1:
            raise ToolException("try again")
        mine = _canary(config["configurable"]["user"])
        return cache.setdefault(box, f"leaked: {mine}") if leaky else mine

    def inbox(box: int, config: RunnableConfig) -> str:
        "Messages of who asks."
        return answer(box, config)

    async def ainbox(box: int, config: RunnableConfig) -> str:
        "Messages of who asks."
        await asyncio.sleep(draw.random() * 0.002)
        return answer(box, config)

    return StructuredTool.from_function(inbox, coroutine=ainbox, name="inbox", handle_tool_error=True)


def _storm(kind: str, way: str, runs: int, leaky: bool = False, policy: Any = POLICY) -> tuple[list[str], Any]:
    """Runs of 50 users beside each other; the answers that are another user's, and the graph."""
    draw = random.Random(runs)
    graph = speculate(
        GRAPHS[kind](ScriptedModel(script=SCRIPT, pace_s=0.002), [_inbox(draw, leaky)]),
        policy,
        predictor=Oracle(SCRIPT),
    )
    users = [f"u{draw.randrange(USERS)}" for _ in range(runs)]
    inputs = [({"messages": [("user", "go")]}, {"configurable": {"user": user}}) for user in users]
    states = beside_each_other(graph, way, inputs)
    told = [(user, text) for user, state in zip(users, states, strict=True) for text in answers(state["messages"])]
    assert len(told) == runs * 3
    return [text for user, text in told if "canary" in text and not text.endswith(_canary(user))], graph


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["create_agent", "hand_written"])
def test_no_run_is_told_what_was_read_for_another(kind: str, way: str) -> None:
    """
    50 runs of 50 users beside each other, a tenth of the reads failing, same ids and arguments in all of them.
    """
    foreign, graph = _storm(kind, way, 50)
    assert not foreign
    stats = speculation_of(graph).stats()
    assert stats.hits > 50
    assert stats.discarded.get("failed", 0) > 0


@pytest.mark.parametrize("way", WAYS)
def test_what_a_run_remembers_answers_no_other_and_is_gone_with_it(way: str) -> None:
    """
    The same storm, with each answer given again within its run.
    """
    foreign, graph = _storm("hand_written", way, 50, policy=REMEMBERING)
    assert not foreign
    assert speculation_of(graph).stats().repeats > 10
    del foreign
    gc.collect()
    assert not _canaries([graph])


def test_a_read_that_is_shared_between_runs_is_found_by_the_same_check() -> None:
    """
    The control: a tool that hands what it read for one to whoever comes next.
    """
    assert _storm("hand_written", "ainvoke", 20, leaky=True)[0]


@pytest.mark.parametrize(("way", "runs"), [("invoke", 40), ("ainvoke", 200)])
def test_nothing_of_a_run_is_left_in_memory(way: str, runs: int) -> None:
    """
    After all runs a search through all objects of the process finds no canary, and through those reachable from the
    wrapped graph neither.
    """
    foreign, graph = _storm("tool_node", way, runs)
    assert not foreign
    assert speculation_of(graph).stats().hits > runs
    del foreign
    gc.collect()
    assert not _canaries([graph])
    assert not _canaries(gc.get_objects())
    kept = [_canary("u1")]
    assert _canaries([{"graph": [kept]}])  # the search does find what is there


def _canaries(roots: list[Any]) -> list[str]:
    """Canaries among the things that *roots* hold, however deep."""
    seen, found, rest = set[int](), list[str](), list(roots)
    del roots
    skipped = {id(sys._getframe()), id(rest), id(seen), id(found)}
    while rest:
        one = rest.pop()
        if id(one) in seen or id(one) in skipped:
            continue
        seen.add(id(one))
        kind = type(one)  # what `isinstance` asks of the objects of other tests may raise
        if issubclass(kind, str):
            if str.startswith(one, "canary of ") and str.endswith(one, "!"):
                found.append(one)
        elif not issubclass(kind, type(sys)):
            rest.extend(gc.get_referents(one))
    return found
