"""Effects that an early body keeps for the commit: their order, their errors, their kinds."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from functools import partial
from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    adrive,
    agent_graph,
    canonical,
    drive,
    outcome,
)
from langchain.agents.middleware import ToolRetryMiddleware
from langchain_core.tools import StructuredTool
from langgraph.config import get_config, get_stream_writer
from readers import POLICY, SCRIPT, auditing, reader, wrapped

from langgraph_speculate import current_speculation, speculate, speculation_of


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_effects_keep_their_place_among_stream_writes(way: str, world: World) -> None:
    """
    What the body writes before and after the effect comes before and after it, and the effect writes for the real call.
    """

    def body(id: int) -> str:
        writer, ahead = get_stream_writer(), current_speculation()

        def effect() -> None:
            assert current_speculation() is None
            get_stream_writer()(f"effect in {get_config()['metadata']['langgraph_node']}")

        writer("before")
        if ahead is None:
            effect()
        else:
            ahead.on_commit(effect)
        writer("after")
        return "read"

    plain = agent_graph(ScriptedModel(script=SCRIPT), [reader(body)])
    graph = wrapped(reader(body))
    chunks = [canonical(drive(one, way, stream_mode=["custom", "updates"])) for one in (plain, graph)]
    assert chunks[1] == chunks[0]
    written = [chunk for mode, chunk in chunks[1] if mode == "custom"]
    assert written == ["before", "effect in tools", "after"]
    assert speculation_of(graph).stats().hits == 1


@pytest.mark.parametrize("handled", [False, True], ids=["raised", "retried"])
@pytest.mark.parametrize("way", WAYS)
def test_what_an_effect_raises_the_call_raises(way: str, handled: bool) -> None:
    """
    As in the plain graph, where the body itself would have raised it; a retry then runs the real body.
    """
    seen, tries = [], []
    for wrap in (False, True):
        world, failed = World(), []

        def effect(id: int, world: World = world, failed: list[int] = failed) -> None:
            world.begin("audit", id=id)
            if not failed:
                failed.append(id)
                raise RuntimeError("the audit log is full")

        middleware = [ToolRetryMiddleware(max_retries=1, initial_delay=0.0)] if handled else []
        model = ScriptedModel(script=SCRIPT, pace_s=0.02 if wrap else 0.0)
        graph: Any = agent_graph(model, [reader(auditing(world, effect))], middleware=middleware)
        graph = speculate(graph, POLICY, predictor=Oracle(SCRIPT)) if wrap else graph
        seen.append(outcome(partial(drive, graph, way)))
        tries.append(sum(name == "audit" for name, _ in world.log))
    assert seen[1] == seen[0]
    assert tries == ([2, 2] if handled else [1, 1])
    assert handled or "the audit log is full" in seen[1]
    assert speculation_of(graph).stats().hits == 1


@pytest.mark.parametrize("kind", ["async function", "partial", "returns a coroutine", "sync function"])
@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_an_async_body_may_keep_an_async_effect(way: str, kind: str) -> None:
    """
    Awaited within the real call, once.
    """
    audit: list[int] = []

    async def log(id: int) -> None:
        await asyncio.sleep(0)
        audit.append(id)

    async def aread(id: int) -> str:
        ahead = current_speculation()
        assert ahead is not None

        async def one() -> None:
            await log(id)

        effects = {"async function": one, "partial": partial(log, id), "returns a coroutine": lambda: log(id)}
        ahead.on_commit(effects.get(kind, lambda: audit.append(id)))
        return "read"

    tool = StructuredTool.from_function(coroutine=aread, name="read", description="Read.")
    drive(wrapped(tool), way)
    assert audit == [1]


@pytest.mark.parametrize(
    "kind",
    [
        "function",
        "returns a coroutine",
    ],
)
@pytest.mark.parametrize("way", WAYS)
def test_an_async_effect_of_a_sync_body_is_not_lost(way: str, kind: str) -> None:
    """
    A body in a thread has no loop; its effect is given one, and is complete before the call is.
    """
    audit: list[int] = []

    async def log() -> None:
        audit.append(2)

    def body(id: int) -> str:
        ahead = current_speculation()
        if ahead is None:
            audit.append(1)
        else:
            ahead.on_commit(log if kind == "function" else lambda: log())
        return "read"

    graph = wrapped(reader(body, "sync"))
    drive(graph, way)
    gc.collect()
    assert audit == [2]
    assert speculation_of(graph).stats().hits == 1


def test_an_effect_given_after_the_commit_is_not_lost(world: World) -> None:
    """
    A body's helper thread that is done only when the result has been adopted: its effect belongs to a real call.
    """

    def body(id: int) -> str:
        ahead = current_speculation()
        world.begin("body", id=id)

        def later() -> None:
            world.release.wait(5)
            if ahead is None:
                world.begin("audit", id=id)
            else:
                ahead.on_commit(lambda: world.begin("audit", id=id))
            world.begin("later", id=id)

        threading.Thread(target=later, daemon=True).start()
        return "read"

    graph = wrapped(reader(body, "sync"))
    drive(graph, "invoke")
    assert speculation_of(graph).stats().hits == 1
    world.release.set()
    world.wait_for("later")
    time.sleep(0.01)
    assert world.count("audit") == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_an_async_effect_given_after_the_commit_is_not_lost(way: str) -> None:
    """
    It is completed on the loop on which the body's task gave it.
    """
    audit: list[int] = []

    async def log() -> None:
        await asyncio.sleep(0)
        audit.append(1)

    async def aread(id: int) -> str:
        ahead, adopted = current_speculation(), asyncio.Event()
        assert ahead is not None
        ahead.on_commit(adopted.set)

        async def later() -> None:
            await adopted.wait()
            await asyncio.sleep(0.01)
            ahead.on_commit(log)

        tasks.append(asyncio.create_task(later()))
        return "read"

    tasks: list[Any] = []

    async def main() -> None:
        graph = wrapped(StructuredTool.from_function(coroutine=aread, name="read", description="Read."))
        await adrive(graph, way)
        await tasks[0]
        await asyncio.sleep(0.01)
        assert speculation_of(graph).stats().hits == 1

    asyncio.run(main())
    gc.collect()
    assert audit == [1]


@pytest.mark.parametrize("way", WAYS)
def test_an_effect_given_while_others_are_made_up_for_comes_after_them(way: str) -> None:
    """
    A helper thread gives one while the result is being adopted: effects keep their order.
    """
    order: list[str] = []

    def body(id: int) -> str:
        ahead = current_speculation()
        if ahead is None:
            return "read"
        adopting, given = threading.Event(), threading.Event()

        def first() -> None:
            order.append("first")
            adopting.set()
            given.wait(5)

        def helper() -> None:
            adopting.wait(5)
            ahead.on_commit(lambda: order.append("helper's"))
            given.set()

        threading.Thread(target=helper, daemon=True).start()
        ahead.on_commit(first)
        ahead.on_commit(lambda: order.append("second"))
        return "read"

    graph = wrapped(reader(body, "sync"))
    drive(graph, way)
    assert speculation_of(graph).stats().hits == 1
    assert order == ["first", "second", "helper's"]


@pytest.mark.parametrize("way", WAYS)
def test_what_an_async_effect_of_a_sync_body_raises_the_call_raises(way: str) -> None:
    """
    It is no less an effect for running on a loop of its own.
    """

    async def log() -> None:
        raise RuntimeError("the audit log is full")

    def body(id: int) -> str:
        ahead = current_speculation()
        if ahead is not None:
            ahead.on_commit(log)
        return "read"

    graph = wrapped(reader(body, "sync"))
    assert "the audit log is full" in outcome(partial(drive, graph, way))


@pytest.mark.parametrize("way", WAYS)
def test_an_effect_may_use_what_the_body_might_but_reaches_no_further(way: str, world: World) -> None:
    """
    Of the config that its body was lent it reads the caller's part; what belongs to the real call's node is an error
    like any other, and no tripwire.
    """
    seen: list[Any] = []

    def body(id: int) -> str:
        config, ahead = get_config(), current_speculation()

        def effect() -> None:
            seen.append(config["metadata"]["tenant"])
            with pytest.raises(RuntimeError, match="when an early run is over"):
                str(config["metadata"]["langgraph_node"])

        if ahead is not None:
            ahead.on_commit(effect)
        return "read"

    graph = wrapped(reader(body))
    drive(graph, way, config={"metadata": {"tenant": "acme"}})
    assert speculation_of(graph).stats().hits == 1
    assert seen == ["acme"]
