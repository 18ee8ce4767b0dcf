"""Bodies at the edges of their runs: stopped before they stood anywhere, never started, or in line somewhere else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    EAGERLY,
    START_INPUT,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    adrive,
    agent_graph,
    ask,
    canonical,
    drive,
    notebook,
)
from conftest import speculating_threads
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool

from langgraph_speculate import current_speculation, speculate, speculation_of
from langgraph_speculate.core import events
from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.session import Session
from langgraph_speculate.host.attempt import Attempt, in_process
from langgraph_speculate.host.errand import Errand
from langgraph_speculate.host.launcher import Launcher
from langgraph_speculate.host.parcels import Parcel
from langgraph_speculate.host.runner import Runner
from langgraph_speculate.host.sandbox import Sandbox
from langgraph_speculate.observe.observers import at_once

SCRIPT = [ask(("read", {"id": 1})), AIMessage("done")]
TOOL = {"tools": {"read": EAGERLY}}


def _attempt(body: Callable[[], Any], report: Callable[..., None], *, task: bool, **more: Any) -> Attempt[Any]:
    work = SimpleNamespace(id="s1", venue="task" if task else "thread", call_id=None, over=False)
    sandbox = Sandbox("t", {}, {}, uses_context=False, native=task)
    return Attempt(work, sandbox, body, report, 30.0, **more)


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_was_decided_on_does_not_start_once_its_run_is_over(
    way: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The run ends between the decision to launch, by a predictor's own thread, and the start of the body: it never runs.
    """
    decided, over, started = threading.Event(), threading.Event(), threading.Event()
    attempt = Launcher.attempt

    def late(self: Launcher, *args: Any, **kwargs: Any) -> Any:
        decided.set()
        assert over.wait(20)
        try:
            return attempt(self, *args, **kwargs)
        finally:
            started.set()

    monkeypatch.setattr(Launcher, "attempt", late)

    async def adecided(_turn: int) -> None:
        while not decided.is_set():
            await asyncio.sleep(0.002)

    waiting = adecided if way in ("ainvoke", "astream") else lambda _turn: decided.wait(20)
    model = ScriptedModel(script=[AIMessage("done")], during=waiting)
    graph = speculate(agent_graph(model, notebook(world, "both")), TOOL, predictor=Oracle(SCRIPT, bounded=False))
    drive(graph, way)
    over.set()
    assert started.wait(20)
    assert speculation_of(graph).flush()
    assert speculation_of(graph).stats().launched == 1
    assert world.log == []


def test_a_task_that_is_stopped_while_it_is_made_is_stopped() -> None:
    """
    Another thread stops a body in the moment in which its task is made, and is not yet there to be cancelled.
    """
    ended: list[str] = []

    async def body() -> None:
        await asyncio.sleep(0)
        ended.append("the body")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made, runner = loop.create_task, Runner(loop)
        attempt = _attempt(body, lambda *_: ended.append("the attempt"), task=True)

        def create(coroutine: Any, **settings: Any) -> Any:
            other = threading.Thread(target=runner.cancel, args=(["s1"],))
            other.start()
            other.join()
            return made(coroutine, **settings)

        loop.create_task = create  # type: ignore[method-assign, assignment]
        runner.start(attempt)
        loop.create_task = made  # type: ignore[method-assign]
        await asyncio.sleep(0.01)
        runner.close()

    before = in_process()
    asyncio.run(main())
    assert ended == ["the attempt"]
    assert in_process() == before


def test_a_body_that_stood_in_line_never_started() -> None:
    """
    The owner's executor is busy when somebody needs the result: the body is told as one that never ran.
    """
    told: list[tuple[Outcome, float | None]] = []
    busy = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(busy.wait, 20)
        errand = Errand(pool, Parcel("1", "t", "html:escape", ("a",), {}, {}, ()), lambda: None)
        attempt = _attempt(
            lambda: None, lambda _, outcome, started, now: told.append((outcome, started)), task=False, errand=errand
        )
        runner = Runner(None)
        runner.start(attempt)
        attempt.hurry()
        attempt.over.result(20)
        busy.set()
        runner.close()
    ((outcome, started),) = told
    assert isinstance(outcome.error, asyncio.CancelledError)
    assert started is None


@pytest.mark.errors_of_ours
@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_cannot_be_started_is_no_body(
    way: str, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Making a sandbox fails: the run goes on as the plain one, its slot is free again, and its end is told.
    """
    init = Sandbox.__init__

    def broken(self: Sandbox, tool: str, *args: Any, **kwargs: Any) -> None:
        if tool == "read":
            raise LookupError("alice@mail.example")
        init(self, tool, *args, **kwargs)

    seen: list[events.Event] = []
    model = ScriptedModel(script=SCRIPT, pace_s=0.01)
    plain = drive(agent_graph(ScriptedModel(script=SCRIPT), notebook(World(), "both")), way, START_INPUT)
    policy: dict[str, Any] = {"tools": {"read": {**EAGERLY, "slots": 4}}}
    graph = speculate(
        agent_graph(model, notebook(world, "both")), policy, predictor=Oracle(SCRIPT), observers=[at_once(seen.append)]
    )
    before = in_process()
    with monkeypatch.context() as patched:
        patched.setattr(Sandbox, "__init__", broken)
        for _ in range(3):
            assert canonical(drive(graph, way, START_INPUT)) == canonical(plain)
    assert in_process() == before
    kinds = [type(event).__name__ for event in seen]
    assert kinds.count("Launched") == kinds.count("Discarded") == kinds.count("RunClosed") == 3
    assert "LookupError" in caplog.text
    assert "alice" not in caplog.text
    drive(graph, way, START_INPUT)  # in another run all is well, and there is a slot
    assert speculation_of(graph).stats().hits == 1


@pytest.mark.errors_of_ours
@pytest.mark.parametrize("way", WAYS)
def test_a_session_that_fails_ends_and_says_so(
    way: str, world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    A bug of ours in a decision: what runs ahead is stopped, the run is told as closed, and its answer is the plain one.
    """

    def broken(self: Session, *args: Any, **kwargs: Any) -> None:
        raise LookupError("alice@mail.example")

    monkeypatch.setattr(Session, "end_turn", broken)
    seen: list[events.Event] = []
    plain = drive(agent_graph(ScriptedModel(script=SCRIPT), notebook(World(), "both")), way, START_INPUT)
    graph = speculate(
        agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.01), notebook(world, "both")),
        TOOL,
        predictor=Oracle(SCRIPT),
        observers=[at_once(seen.append)],
    )
    assert canonical(drive(graph, way, START_INPUT)) == canonical(plain)
    kinds = [type(event).__name__ for event in seen]
    assert kinds.count("Launched") == kinds.count("Discarded") == kinds.count("RunClosed") == 1
    assert caplog.text.count("an internal error, so this run speculates no further: LookupError") == 1
    assert "alice" not in caplog.text


class Bodies:
    """The bodies of one tool, which end when they may.

    Attributes:
        early: Whether each ran ahead, in the order of their start.
        may_end: Lets them end.
    """

    def __init__(self) -> None:
        self.early: list[bool] = []
        self.may_end = threading.Event()

    def tool(self, flavour: str) -> BaseTool:
        def read(id: int) -> str:
            "Read."
            self.early.append(current_speculation() is not None)
            self.may_end.wait(10)
            return f"read {id}"

        async def aread(id: int) -> str:
            "Read."
            self.early.append(current_speculation() is not None)
            until = time.monotonic() + 10
            while not self.may_end.is_set() and time.monotonic() < until:
                await asyncio.sleep(0.001)
            return f"read {id}"

        body = {"func": read} if flavour == "sync" else {"coroutine": aread}
        return StructuredTool.from_function(**body, name="read", description="Read.")

    def joined(self, then: Callable[[], None]) -> Any:
        """An observer that does something soon after a real call has begun to wait."""

        def matched(event: Any) -> None:
            if isinstance(event, events.Matched):
                threading.Timer(0.05, then).start()

        return at_once(matched)


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_run_that_is_cancelled_while_a_call_waits_starts_no_second_body(way: str) -> None:
    """
    The thread in which a real call waits cannot be cancelled: it has the early body's result, as in the plain graph it
    would have that of its own, and starts nothing once the run is over.
    """
    bodies, before = Bodies(), set(speculating_threads())

    async def main() -> None:
        loop, model = asyncio.get_running_loop(), ScriptedModel(script=SCRIPT, pace_s=0.05)
        run: asyncio.Task[Any]
        graph = speculate(
            agent_graph(model, [bodies.tool("sync")]),
            TOOL,
            predictor=Oracle(SCRIPT),
            observers=[bodies.joined(lambda: loop.call_soon_threadsafe(run.cancel))],  # type: ignore[arg-type, return-value]
        )
        run = asyncio.create_task(adrive(graph, way))
        with pytest.raises(asyncio.CancelledError):
            await run
        bodies.may_end.set()
        assert speculation_of(graph).stats().discarded == {"run_ended": 1}

    asyncio.run(main())
    assert bodies.early == [True]
    assert not set(speculating_threads()) - before


@pytest.mark.parametrize(
    ("way", "flavour"), [*((way, "sync") for way in WAYS), *((way, "async") for way in ASYNC_WAYS)]
)
def test_a_call_keeps_the_body_that_it_waits_for_when_speculation_is_closed(way: str, flavour: str) -> None:
    """
    `close()` in the midst of a run: what a real call waits for is that call's. It counts for nothing any more.
    """
    bodies = Bodies()

    def close() -> None:
        speculation_of(graph).close()
        bodies.may_end.set()

    model = ScriptedModel(script=SCRIPT, pace_s=0.05)
    graph = speculate(
        agent_graph(model, [bodies.tool(flavour)]), TOOL, predictor=Oracle(SCRIPT), observers=[bodies.joined(close)]
    )
    answer = drive(graph, way)

    assert bodies.early == [True]
    assert "read 1" in repr(answer)
    assert (speculation_of(graph).stats().hits, speculation_of(graph).stats().discarded) == (0, {"run_ended": 1})


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_call_that_is_cancelled_after_speculation_was_closed_stops_the_body_that_it_waits_for(way: str) -> None:
    """
    It is the call's own now, and no end of a run comes that would stop it.
    """
    bodies, before = Bodies(), in_process()

    async def main() -> None:
        loop, model = asyncio.get_running_loop(), ScriptedModel(script=SCRIPT, pace_s=0.05)
        run: asyncio.Task[Any]

        def close() -> None:
            speculation_of(graph).close()
            loop.call_soon_threadsafe(run.cancel)

        graph = speculate(
            agent_graph(model, [bodies.tool("async")]),
            TOOL,
            predictor=Oracle(SCRIPT),
            observers=[bodies.joined(close)],
        )
        run = asyncio.create_task(adrive(graph, way))
        with pytest.raises(asyncio.CancelledError):
            await run
        await asyncio.sleep(0.01)
        assert in_process() == before

    asyncio.run(main())
    assert bodies.early == [True]
