"""T27: a run is cancelled, broken off or fails in the middle, and what it had running ahead lives on: a task, a
thread, a process that cannot exit.

The library promises that nothing of a run goes on after it but threads that cannot be stopped, and tasks that need more
than a moment to clean up; both are counted until their body ends, and do not hold up the exit
(`tests/host/test_host_leaks.py` shows each ending by name; here a run is ended at every step it has).
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    START_INPUT,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    adrive,
    agent_graph,
    ask,
    hand_written_graph,
    outcome,
)
from attacks import final
from host_conftest import speculating_threads
from langchain_core.messages import AIMessage
from langchain_core.tools import StructuredTool

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.host import later

SCRIPT = [ask(("slow", {"id": 1})), AIMessage("done")]
POLICY = {"tools": {"slow": True}}


def _slow(world: World) -> StructuredTool:
    def slow(id: int) -> str:
        "Look something up."
        world.begin("slow", id=id)
        world.release.wait(0.002)
        world.end("slow", id=id)
        return str(id)

    return StructuredTool.from_function(slow, name="slow")


def _native(world: World) -> StructuredTool:
    async def slow(id: int) -> str:
        "Look something up."
        world.begin("slow", id=id)
        try:
            for _ in range(5):
                await asyncio.sleep(0)
        finally:
            world.end("slow", id=id)
        return str(id)

    return StructuredTool.from_function(coroutine=slow, name="slow")


def _failing(error: BaseException) -> list[StructuredTool]:
    def fail(id: int) -> str:
        "Fail."
        raise error

    async def afail(id: int) -> str:
        "Fail."
        raise error

    return [StructuredTool.from_function(fail, coroutine=afail, name="fail")]


def _graph(world: World, build: Any, native: bool) -> Any:
    """A tool of several steps, one right and one wrong guess at every turn."""

    async def during(turn: int) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    model = ScriptedModel(script=SCRIPT, during=during, travels_s=0.0) if native else ScriptedModel(script=SCRIPT)
    tool = _native(world) if native else _slow(world)
    return speculate(build(model, [tool]), POLICY, predictor=Oracle(SCRIPT, also=[("slow", {"id": 9})]))


@pytest.mark.parametrize(("way", "build"), [*zip(ASYNC_WAYS, (agent_graph, hand_written_graph), strict=True)])
def test_a_run_cancelled_at_any_step_leaves_no_task(way: str, build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The run is cancelled after its 1st, 2nd, 3rd, ... turn of the event loop, up to its end: each time the loop's tasks
    are what they were, every body that began has ended, and the ledger is closed.
    """
    monkeypatch.setattr(later, "_MOMENT_S", 0.0)  # what takes time takes no certain number of turns
    world, launched, cancelled = World(), 0, 0

    async def main() -> int:
        nonlocal launched, cancelled
        for step in itertools.count():
            graph = _graph(world, build, native=True)
            before = asyncio.all_tasks()
            task = asyncio.create_task(adrive(graph, way))
            for _ in range(step):
                await asyncio.sleep(0)
            done = task.done()
            task.cancel()
            (result,) = await asyncio.gather(task, return_exceptions=True)
            cancelled += isinstance(result, asyncio.CancelledError)
            for _ in range(20):  # LangGraph's own tasks wind down too
                if asyncio.all_tasks() == before:
                    break
                await asyncio.sleep(0)
            assert asyncio.all_tasks() == before, step
            stats = speculation_of(graph).stats()
            assert stats.hits + stats.wasted == stats.launched, step
            assert stats.runs <= 1
            assert sorted(map(str, world.log)) == sorted(map(str, world.ended)), step
            launched += stats.launched
            if done:
                return step
        return 0

    steps = asyncio.run(main())
    assert steps > 20
    assert cancelled >= steps - 1
    assert launched > steps


@pytest.mark.parametrize("how", ["close", "throw", "drop"])
def test_a_sync_run_left_at_any_chunk_leaves_no_thread(how: str) -> None:
    """
    Its stream is closed, broken by an exception or just dropped after each number of chunks: the threads end with their
    bodies.
    """
    launched = 0
    for chunks in range(6):
        for build in (agent_graph, hand_written_graph):
            graph = _graph(World(), build, native=False)
            stream = graph.stream(START_INPUT)
            for _ in range(chunks):
                next(stream, None)
            if how == "close":
                stream.close()
            elif how == "throw":
                with pytest.raises((KeyboardInterrupt, StopIteration)):
                    stream.throw(KeyboardInterrupt())
            del stream
            gc.collect()
            stats = speculation_of(graph).stats()
            assert stats.hits + stats.wasted == stats.launched
            assert stats.runs == (chunks > 0)
            launched += stats.launched
    for thread in speculating_threads():
        thread.join(5)
    assert not speculating_threads()
    assert launched > 20


class _Stop(BaseException):
    """What a tool of somebody's own may raise."""


@pytest.mark.parametrize("way", WAYS)
def test_a_failure_at_any_place_leaves_nothing(way: str) -> None:
    """
    20 seeds: the model or a real call fails at a random place, with an error or something worse. Nothing is left.
    """
    launched = 0
    for seed in range(20):
        draw, world = random.Random(seed), World()
        error = draw.choice([ValueError("broken"), _Stop(), TimeoutError()])
        script: list[Any] = [*SCRIPT]
        if draw.random() < 0.5:
            script[draw.randrange(2)] = error
        else:
            script[0] = ask(("fail", {"id": 1}))

        plain = hand_written_graph(ScriptedModel(script=script), [_slow(world), *_failing(error)])
        graph = speculate(
            hand_written_graph(ScriptedModel(script=script), [_slow(world), *_failing(error)]),
            POLICY,
            predictor=Oracle(SCRIPT, also=[("slow", {"id": 9})]),
        )
        ended = outcome(lambda graph=graph: final(graph, way))
        assert ended == outcome(lambda plain=plain: final(plain, way))
        assert isinstance(ended, str)  # it did fail
        stats = speculation_of(graph).stats()
        assert stats.runs == 1
        assert stats.hits + stats.wasted == stats.launched
        launched += stats.launched
    for thread in speculating_threads():
        thread.join(5)
    assert not speculating_threads()
    assert launched > 20
