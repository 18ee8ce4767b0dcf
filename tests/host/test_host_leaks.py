"""However a run ends, nothing of it is left running: no task, no thread whose body ended, no log of asyncio's."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import weakref
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    START_INPUT,
    WAYS,
    Fixed,
    Oracle,
    ScriptedModel,
    World,
    adrive,
    agent_graph,
    ask,
    drive,
    hand_written_graph,
    make_tool,
)
from conftest import speculating_threads
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool

import langgraph_speculate
from langgraph_speculate import SpeculationMiddleware, ToolPolicy, speculate, speculation_of
from langgraph_speculate.host.threads import Threads

STATES = ("finished", "running", "hung")
POLICY = {"tools": {"slow": True}}


def _slow_tools(world: World, state: str, native: bool) -> list[BaseTool]:
    """A tool that is done at once, takes a moment, or hangs until the test lets go; and a quick one."""

    def slow(id: int) -> str:
        "Look something up."
        world.begin("slow", id=id)
        if state == "running":
            time.sleep(0.1)
        elif state == "hung":
            world.release.wait(20)
        world.end("slow", id=id)
        return "slow"

    async def aslow(id: int) -> str:
        "Look something up."
        world.begin("slow", id=id)
        try:
            if state == "running":
                await asyncio.sleep(0.1)
            elif state == "hung":
                await asyncio.sleep(20)
        finally:
            world.end("slow", id=id)
        return "slow"

    def quick(id: int) -> str:
        "Look something up."
        return "quick"

    tool = (
        StructuredTool.from_function(coroutine=aslow, name="slow")
        if native
        else StructuredTool.from_function(func=slow, name="slow")
    )
    return [tool, make_tool("quick", quick, "both")]


def _started(world: World, state: str) -> Callable[[int], None]:
    """Sync: the model answers once the speculation is where the test wants it."""

    def during(turn: int) -> None:
        if turn == 0:
            world.wait_for("slow", ended=state == "finished")

    return during


def _astarted(world: World, state: str) -> Callable[[int], Awaitable[None]]:
    async def during(turn: int) -> None:
        while turn == 0 and not (world.ended if state == "finished" else world.log):
            await asyncio.sleep(0.001)

    return during


SCRIPTS: dict[str, list[Any]] = {
    "answer": [AIMessage("done")],
    "another_call": [ask(("quick", {"id": 1})), AIMessage("done")],
    "model_error": [ask(("quick", {"id": 1})), ValueError("no model")],
    "model_error_at_once": [ValueError("no model")],
    "endless": [ask(("quick", {"id": 1}))],
}


def _sync_ending(name: str, build: Callable[[str], Any]) -> None:
    if name == "normal":
        build("another_call").invoke(START_INPUT)
    elif name == "answer":
        build("answer").invoke(START_INPUT)
    elif name == "break":
        for _ in build("another_call").stream(START_INPUT):
            break
    elif name == "generator_close":
        chunks = build("another_call").stream(START_INPUT)
        next(chunks)
        chunks.close()
    elif name == "generator_throw":
        chunks = build("another_call").stream(START_INPUT)
        next(chunks)
        with pytest.raises(KeyboardInterrupt):
            chunks.throw(KeyboardInterrupt())
    elif name in ("model_error", "model_error_at_once"):
        with pytest.raises(ValueError, match="no model"):
            build(name).invoke(START_INPUT)
    elif name == "recursion_limit":
        with pytest.raises(RecursionError):
            build("endless").invoke(START_INPUT, {"recursion_limit": 4})


SYNC_ENDINGS = (
    "normal",
    "answer",
    "break",
    "generator_close",
    "generator_throw",
    "model_error",
    "model_error_at_once",
    "recursion_limit",
)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("ending", SYNC_ENDINGS)
def test_a_sync_run_leaves_nothing_behind(ending: str, state: str, world: World) -> None:
    """
    When the run is over the ledger is closed, the run does not wait for a hung body, and the thread ends with its body.
    """

    def build(script: str) -> Any:
        nonlocal graph
        during = _started(world, state)
        model = ScriptedModel(script=SCRIPTS[script], during=during)
        graph = speculate(agent_graph(model, _slow_tools(world, state, False)), POLICY, predictor=Fixed(_SLOW))
        return graph

    graph: Any = None
    started = time.monotonic()
    _sync_ending(ending, build)
    assert time.monotonic() - started < 10
    gc.collect()
    stats = speculation_of(graph).stats()
    assert stats.launched == stats.wasted >= 1
    assert stats.runs == 1
    if state == "hung":
        assert speculating_threads()
        world.release.set()
    for thread in speculating_threads():
        thread.join(5)
    assert not speculating_threads()


_SLOW = ("slow", {"id": 1})


async def _async_ending(name: str, build: Callable[[str], Any], world: World) -> None:
    if name == "normal":
        await build("another_call").ainvoke(START_INPUT)
    elif name == "answer":
        await build("answer").ainvoke(START_INPUT)
    elif name == "break":
        chunks = build("another_call").astream(START_INPUT)
        async for _ in chunks:
            break
        del chunks
    elif name == "aclose":
        chunks = build("another_call").astream(START_INPUT)
        await anext(chunks)
        await chunks.aclose()
    elif name == "athrow":
        chunks = build("another_call").astream(START_INPUT)
        await anext(chunks)
        with pytest.raises(ZeroDivisionError):
            await chunks.athrow(ZeroDivisionError())
    elif name == "timeout_in_model":
        graph = build("answer", stuck=True)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await graph.ainvoke(START_INPUT)
    elif name == "cancelled":
        graph = build("answer", stuck=True)
        task = asyncio.create_task(graph.ainvoke(START_INPUT))
        while not world.log:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    elif name in ("model_error", "model_error_at_once"):
        with pytest.raises(ValueError, match="no model"):
            await build(name).ainvoke(START_INPUT)
    elif name == "recursion_limit":
        with pytest.raises(RecursionError):
            await build("endless").ainvoke(START_INPUT, {"recursion_limit": 4})


ASYNC_ENDINGS = (
    "normal",
    "answer",
    "break",
    "aclose",
    "athrow",
    "timeout_in_model",
    "cancelled",
    "model_error",
    "model_error_at_once",
    "recursion_limit",
)


@pytest.fixture
def asyncio_log(caplog: pytest.LogCaptureFixture) -> Any:
    """Fails the test if asyncio complains about what was left behind."""
    caplog.set_level(logging.WARNING)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
        gc.collect()
    complaints = [record.getMessage() for record in caplog.records if record.name == "asyncio"]
    assert not complaints
    assert not [str(one.message) for one in caught if "never awaited" in str(one.message)]


@pytest.mark.parametrize("native", [True, False], ids=["task", "thread"])
@pytest.mark.parametrize(
    ("ending", "state"),
    [(ending, state) for ending in ASYNC_ENDINGS for state in ("finished", "hung")]
    + [("normal", "running"), ("aclose", "running"), ("cancelled", "running")],
)
def test_an_async_run_leaves_nothing_behind(
    ending: str, state: str, native: bool, world: World, asyncio_log: None
) -> None:
    """
    The loop's tasks are back to what they were, also for tasks that hang; threads end with their body.
    """

    def build(script: str, stuck: bool = False) -> Any:
        nonlocal graph
        reached = _astarted(world, state)

        async def during(turn: int) -> None:
            await reached(turn)
            if stuck:
                await asyncio.sleep(20)

        model = ScriptedModel(script=SCRIPTS[script], during=during)
        graph = speculate(agent_graph(model, _slow_tools(world, state, native)), POLICY, predictor=Fixed(_SLOW))
        return graph

    async def main() -> None:
        before = asyncio.all_tasks()
        started = time.monotonic()
        await _async_ending(ending, build, world)
        assert time.monotonic() - started < 10
        gc.collect()
        for _ in range(200):  # the loop closes a dropped generator in a task of its own
            if ending != "break" or (speculation_of(graph).stats().runs and asyncio.all_tasks() == before):
                break
            await asyncio.sleep(0.005)
        assert asyncio.all_tasks() == before
        assert speculation_of(graph).stats().runs == 1

    graph: Any = None
    asyncio.run(main())
    stats = speculation_of(graph).stats()
    assert stats.launched == stats.wasted >= 1
    if native:
        assert len(world.ended) == len(world.log)
    world.release.set()
    for thread in speculating_threads():
        thread.join(5)
    assert not speculating_threads()


@pytest.mark.parametrize("native", [True, False], ids=["task", "thread"])
@pytest.mark.parametrize("state", ["running", "hung"])
@pytest.mark.parametrize("build", [agent_graph, hand_written_graph])
def test_cancelling_a_real_call_that_waits_for_a_speculation_leaves_nothing_behind(
    build: Any, state: str, native: bool, world: World, asyncio_log: None
) -> None:
    """
    The real call joined a running body and is cancelled while it waits: the run ends at once, the body is stopped.
    """
    script = [ask(_SLOW), AIMessage("done")]

    async def main() -> None:
        before = asyncio.all_tasks()
        model = ScriptedModel(script=script, during=_astarted(world, state))
        graph = speculate(build(model, _slow_tools(world, state, native)), POLICY, predictor=Oracle(script))
        task = asyncio.create_task(graph.ainvoke(START_INPUT))
        while not world.log:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.03)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == before
        stats = speculation_of(graph).stats()
        assert stats.launched == 1
        if native:
            assert (stats.hits, stats.wasted, stats.real_calls) == (0, 1, 0)
            assert len(world.log) == len(world.ended) == 1
        world.release.set()  # asyncio.run joins the default executor, in which the real sync call runs

    asyncio.run(main())


def test_a_tool_that_ignores_cancellation_does_not_hold_up_the_end_of_the_run(world: World) -> None:
    """
    The end of a run waits for a task's clean-up for a moment, not for ever.
    """
    let_go = asyncio.Event()

    async def stubborn(id: int) -> str:
        "Ignore cancellation."
        world.begin("stubborn")
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        return "at last"

    async def during(turn: int) -> None:
        while not world.log:
            await asyncio.sleep(0.001)

    async def main() -> float:
        graph = speculate(
            agent_graph(
                ScriptedModel(script=[AIMessage("done")], during=during),
                [StructuredTool.from_function(coroutine=stubborn, name="stubborn")],
            ),
            {"tools": {"stubborn": True}},
            predictor=Fixed(("stubborn", {"id": 1})),
        )
        started = time.monotonic()
        await graph.ainvoke(START_INPUT)
        spent = time.monotonic() - started
        let_go.set()
        return spent

    assert asyncio.run(main()) < 1


@pytest.mark.parametrize("way", ASYNC_WAYS)
@pytest.mark.parametrize("what", ["a tool", "a warm-up"])
@pytest.mark.parametrize("stays", [True, False], ids=["the loop goes on", "the loop ends"])
def test_what_takes_its_time_to_clean_up_does_not_hold_up_the_end_of_the_run(
    way: str, what: str, stays: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """
    It goes on beyond the run, to its end if the loop runs that long; otherwise the loop's own end stops it.
    """
    done: list[str] = []

    async def slow(id: int = 1) -> str:
        "Look something up."
        done.append("began")
        try:
            await asyncio.sleep(30)
        finally:
            try:
                await asyncio.sleep(0.5)
                done.append("cleaned")
            except asyncio.CancelledError:
                done.append("stopped")
                raise
        return "never"

    async def during(turn: int) -> None:
        while not done:
            await asyncio.sleep(0.001)

    async def quick(id: int) -> str:
        "Look something up."
        return "found"

    def names(history: Any) -> dict[str, float]:
        return {"look": 0.95}

    async def main() -> float:
        predictor: Any = Fixed(("look", {"id": 1}) if what == "a tool" else ("other", {}))
        predictor.names = names
        tool = StructuredTool.from_function(coroutine=slow if what == "a tool" else quick, name="look")
        policy = ToolPolicy(read_only=True, warm=slow if what == "a warm-up" else None)
        graph = speculate(
            agent_graph(ScriptedModel(script=[AIMessage("done")], during=during), [tool]),
            {"tools": {"look": policy}},
            predictor=predictor,
        )
        started = time.monotonic()
        await adrive(graph, way)
        spent = time.monotonic() - started
        gc.collect()  # whoever still cleans up is not lost
        if stays:
            await asyncio.sleep(0.7)
        return spent

    assert asyncio.run(main()) < 0.4
    assert done == ["began", "cleaned" if stays else "stopped"]
    gc.collect()
    assert "pending" not in caplog.text


def test_nothing_of_a_finished_run_is_kept_in_memory(world: World) -> None:
    """
    Runs, sandboxes and results are collected once the run is over.
    """
    from langgraph_speculate.host.run import Run
    from langgraph_speculate.host.sandbox import Sandbox

    script = [ask(_SLOW), AIMessage("done")]
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.01), _slow_tools(world, "finished", False)),
        POLICY,
        predictor=Oracle(script),
    )
    gc.collect()
    before = {id(one) for one in gc.get_objects() if type(one) in (Run, Sandbox)}
    for _ in range(3):
        graph.invoke(START_INPUT)
        asyncio.run(graph.ainvoke(START_INPUT))
    for thread in speculating_threads():
        thread.join(5)
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) in (Run, Sandbox) and id(one) not in before]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ahead", [{"limits": {"max_depth": 2}}, {"model_ahead": True}], ids=["depth", "model"])
def test_a_middleware_keeps_no_finished_run_however_far_it_looked_ahead(way: str, ahead: dict[str, Any]) -> None:
    """
    What a run launched ahead, with the config that it was launched beside, ends with the run.
    """
    from langgraph_speculate.host.run import Run

    def look(id: int) -> str:
        "Look something up."
        return str(id)

    script = [ask(("look", {"id": 1})), ask(("look", {"id": 2})), ask(("look", {"id": 3})), AIMessage("done")]
    policy = {"tools": {"look": {"read_only": True, "eagerness": "immediate"}}, "thrift": 0.0, **ahead}
    middleware = SpeculationMiddleware(policy, predictor=Oracle(script))
    gc.collect()
    before = {id(one) for one in gc.get_objects() if type(one) is Run}
    for _ in range(3):
        drive(
            create_agent(ScriptedModel(script=script), [make_tool("look", look, "both")], middleware=[middleware]), way
        )
    assert middleware.speculation.stats().hits > 0
    for thread in speculating_threads():
        thread.join(0.1)
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is Run and id(one) not in before]


def test_closing_the_handle_ends_runs_under_way(world: World) -> None:
    """
    `speculation_of(graph).close()` in the middle of a run: nothing is adopted any more, the run goes on as plain.
    """
    script = [ask(_SLOW), ask(_SLOW, prefix="d"), AIMessage("done")]
    graph = speculate(
        agent_graph(
            ScriptedModel(script=script, during=lambda turn: turn or world.wait_for("slow")),
            _slow_tools(world, "finished", False),
        ),
        POLICY,
        predictor=Oracle(script),
    )
    chunks = graph.stream(START_INPUT)
    next(chunks)
    speculation_of(graph).close()
    assert len(list(chunks)) == 4
    assert speculation_of(graph).stats().hits == 0
    assert world.count("slow") == 3
    graph.invoke(START_INPUT)
    assert world.count("slow") == 5
    assert speculation_of(graph).stats().runs == 1
    verdict = next(one for one in speculation_of(graph).explain() if one.tool == "slow")
    assert (verdict.allowed, verdict.reason) == (False, "level_off")
    assert "wrap the plain graph anew" in verdict.detail


def test_threads_are_bounded_and_counted_until_their_body_ends(world: World) -> None:
    """
    Hung bodies of many runs never occupy more threads than the pool allows; runs go on without.
    """
    from langgraph_speculate.host.threads import MAX_BUSY

    graph = speculate(
        agent_graph(ScriptedModel(script=[AIMessage("done")]), _slow_tools(world, "hung", False)),
        {**POLICY, "limits": {"max_per_turn": 3}},
        predictor=Fixed(*(("slow", {"id": number}) for number in range(3))),
    )
    for _ in range(MAX_BUSY // 3 + 5):
        graph.invoke(START_INPUT)
    assert len(speculating_threads()) <= MAX_BUSY
    assert graph.invoke(START_INPUT)["messages"][-1].content == "done"
    world.release.set()
    for thread in speculating_threads():
        thread.join(5)
    assert not speculating_threads()


_EXIT = """
import sys, time, threading
sys.path.insert(0, {here!r}); sys.path.insert(0, {package!r})
from agents import ASYNC_WAYS, adrive, START_INPUT, Fixed, ScriptedModel, agent_graph
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph_speculate import speculate
import asyncio

started = threading.Event()

@tool
def hang(id: int) -> str:
    "Hang."
    started.set()
    time.sleep(30)
    return "late"

graph = agent_graph(ScriptedModel(script=[AIMessage("done")], during=lambda turn: started.wait(5) and None), [hang])
if {wrap}:
    graph = speculate(graph, {{"tools": {{"hang": True}}}}, predictor=Fixed(("hang", {{"id": 1}})))
else:
    started.set()
if {native}:
    asyncio.run(graph.ainvoke(START_INPUT))
else:
    graph.invoke(START_INPUT)
assert started.is_set()
print(time.time())
"""


@pytest.mark.parametrize("native", [False, True], ids=["invoke", "ainvoke"])
def test_a_hung_sync_tool_does_not_delay_the_end_of_the_process(native: bool) -> None:
    """
    The process is gone as soon after its last line as without speculation, within what a busy machine may add.
    """
    package = str(Path(langgraph_speculate.__file__).parents[1])
    delays = []
    for wrap in (False, True):
        code = textwrap.dedent(_EXIT).format(here=str(Path(__file__).parent), package=package, wrap=wrap, native=native)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env={**os.environ}, check=False
        )
        ended = time.time()
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        delays.append(ended - float(done.stdout.split()[-1]))
    assert delays[1] - delays[0] <= 1.0, f"plain exits after {delays[0]:.3f} s, wrapped after {delays[1]:.3f} s"


def test_keyboard_interrupt_in_a_real_tool_call_ends_the_run(world: World) -> None:
    """
    A BaseException through a real call closes the run like any other.
    """

    def stop(id: int) -> str:
        "Stop."
        raise KeyboardInterrupt

    tools = [*_slow_tools(world, "hung", False), make_tool("stop", stop)]
    graph = speculate(
        hand_written_graph(
            ScriptedModel(script=[ask(("stop", {"id": 1}))], during=lambda turn: world.wait_for("slow")), tools
        ),
        POLICY,
        predictor=Fixed(_SLOW),
    )
    with pytest.raises(KeyboardInterrupt):
        graph.invoke(START_INPUT)
    assert speculation_of(graph).stats().runs == 1
    assert threading.active_count() < 50


def test_an_idle_thread_keeps_nothing_of_its_last_body() -> None:
    """
    While another run keeps the pool open, what an ended run's body held is free.
    """
    pool = Threads()
    pool.open()

    class Result:
        pass

    def body(result: Result) -> None:
        ended.set()

    ended, result = threading.Event(), Result()
    held = weakref.ref(result)
    assert pool.submit(partial(body, result))
    del result
    assert ended.wait(5)
    for _ in range(500):  # the thread lets go a moment after
        if held() is None:
            break
        time.sleep(0.01)
    assert held() is None
    pool.close()


def test_a_pool_without_a_free_thread_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    All are busy, or the system has none to give: the job is not run, and what comes later is not counted against it.
    """
    pool, go, done = Threads(max_busy=1), threading.Event(), threading.Event()
    pool.open()

    def none_left(work: Any, name: str) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("langgraph_speculate.host.threads.start_daemon", none_left)
        assert not pool.submit(done.set)
    assert pool.submit(partial(go.wait, 5))
    assert not pool.submit(done.set)
    go.set()
    for _ in range(500):
        if pool.submit(done.set):
            break
        time.sleep(0.01)
    assert done.wait(5)
    pool.close()
