"""What a turn begins with waits until the model's request is on its way, and is never left out or done twice."""

from __future__ import annotations

import asyncio
import itertools
import logging
import queue
import threading
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from agents import START_INPUT, WAYS, Oracle, ScriptedModel, State, World, agent_graph, ask, drive, make_tool
from langchain.agents import create_agent
from langchain_core.callbacks import UsageMetadataCallbackHandler
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.core.events import TurnBegan, TurnEnded
from langgraph_speculate.core.history import History
from langgraph_speculate.demo.loopback import LoopbackServer, Reply
from langgraph_speculate.host import forecast, later, turns

SCRIPT = [ask(("read", {"id": 1})), ask(("read", {"id": 2})), AIMessage("done")]
NAMES = ("early", "late")
POLICY: dict[str, Any] = {"tools": {"read": {"read_only": True}}}
_ENOUGH_S = 0.2


class Watching(Oracle):
    """Notes when it is asked, and what *before* says then."""

    def __init__(self, script: Sequence[Any], before: Any) -> None:
        super().__init__(script)
        self._before = before
        self.found: list[Any] = []

    def predict(self, history: History, *, k: int) -> list[Any]:
        self.found.append(self._before())
        return super().predict(history, k=k)


class Broken(ScriptedModel):
    """Fails before there is anything of its message."""

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        raise ConnectionError("no route")
        yield

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        raise ConnectionError("no route")


def respond(messages: Sequence[Any], _tools: Sequence[Any]) -> Reply:
    """Three calls, one after the other, then an answer."""
    step = sum(message["role"] == "assistant" for message in messages)
    return Reply("done") if step == 3 else Reply("", tool_calls=[(f"c{step}", "read", {"id": step})])


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("with_middleware", [False, True])
@pytest.mark.parametrize("handlers", [[], [UsageMetadataCallbackHandler()]], ids=["alone", "watched"])
def test_the_model_has_its_request_before_the_predictor_is_asked(
    streaming: bool, with_middleware: bool, handlers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A predictor that holds up the event loop does not hold up the request: the server has got it by then, even where
    handlers of the caller's are told of the call on another thread first.
    """
    monkeypatch.setattr(later, "_HOP_S", 0.2)  # a busy machine takes its time for another thread
    arrived = threading.Semaphore(0)

    def has_arrived() -> bool:
        until = time.monotonic() + 5
        while not (there := arrived.acquire(blocking=False)) and time.monotonic() < until:
            pass  # as a predictor that computes: it gives the loop no chance
        return there

    def told(messages: Sequence[Any], tools: Sequence[Any]) -> Reply:
        arrived.release()
        return respond(messages, tools)

    script = [ask(("read", {"id": step})) for step in range(3)] + [AIMessage("done")]
    predictor = Watching(script, has_arrived)
    tool = make_tool("read", lambda id: f"thing {id}", "async")
    with LoopbackServer(told) as server:
        key: Any = "none"
        config: Any = {"callbacks": handlers}
        model = ChatOpenAI(model="scripted", base_url=server.base_url, api_key=key, streaming=streaming, max_retries=0)

        async def play() -> None:
            await model.ainvoke("hello")  # opens the connection
            assert has_arrived()
            if with_middleware:
                middleware = [SpeculationMiddleware(POLICY, predictor=predictor)]
                await create_agent(model, [tool], middleware=middleware).ainvoke(START_INPUT, config)
            else:
                graph = speculate(create_agent(model, [tool]), POLICY, predictor=predictor)
                await graph.ainvoke(START_INPUT, config)

        asyncio.run(play())
    assert predictor.found == [True] * 4


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
@pytest.mark.parametrize("with_middleware", [False, True])
def test_an_async_model_call_does_not_wait_for_a_predictor_on_another_thread(
    way: str, with_middleware: bool, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The model is called while the predictor thinks, and what the predictor answers meanwhile is launched.
    """
    monkeypatch.setattr(forecast, "PATIENCE_S", 30.0)
    called, answered = threading.Semaphore(0), threading.Semaphore(0)

    async def during(turn: int) -> None:
        called.release()
        for _ in range(500):  # until the call that is predicted runs
            if turn == 2 or world.count("read") > turn:
                return
            await asyncio.sleep(0.01)

    class Slow(Watching):
        def predict(self, history: History, *, k: int) -> list[Any]:
            answer = super().predict(history, k=k)
            answered.release()
            return answer

    predictor = Slow(SCRIPT, lambda: called.acquire(timeout=5))
    predictor.bounded = False
    model, tools = ScriptedModel(script=SCRIPT, during=during), [_reading(world)]
    if with_middleware:
        middleware = SpeculationMiddleware(POLICY, predictor=predictor)
        graph, handle = create_agent(model, tools, middleware=[middleware]), middleware.speculation
    else:
        graph = speculate(agent_graph(model, tools), POLICY, predictor=predictor)
        handle = speculation_of(graph)
    drive(graph, way, START_INPUT)
    for _ in SCRIPT:
        assert answered.acquire(timeout=5)
    assert predictor.found == [True] * 3
    assert handle.stats().hits == 2


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_a_model_that_never_waits_is_predicted_before_its_first_word(way: str, world: World) -> None:
    """
    Nothing of the message is known when the predictor is asked, and each turn is predicted once.
    """
    predictor = Watching(SCRIPT, lambda: None)
    graph = speculate(
        agent_graph(ScriptedModel(script=SCRIPT, travels_s=0.0), [_reading(world)]), POLICY, predictor=predictor
    )
    drive(graph, way, START_INPUT)
    stats = speculation_of(graph).stats()
    assert len(predictor.found) == 3
    assert (stats.launched, stats.hits) == (2, 2)


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_a_model_that_fails_at_once_is_not_predicted(way: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Nothing is launched beside a call that has failed already, and its error is the caller's.
    """
    monkeypatch.setattr(later, "_MOMENT_S", 10.0)
    predictor = Watching(SCRIPT, lambda: None)
    graph = speculate(agent_graph(Broken(script=SCRIPT), [_reading(world)]), POLICY, predictor=predictor)
    with pytest.raises(ConnectionError, match="no route"):
        drive(graph, way, START_INPUT)
    assert predictor.found == []
    assert world.log == []


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
@pytest.mark.parametrize("streams", [False, True])
def test_a_model_that_an_async_node_does_not_await_is_predicted_before(way: str, streams: bool, world: World) -> None:
    """
    It holds up the loop until its message is complete: later would be too late.
    """
    predictor = Watching(SCRIPT, lambda: None)
    asked: list[bool] = []
    model = ScriptedModel(
        script=SCRIPT, streams=streams, during=lambda turn: asked.append(len(predictor.found) == turn + 1)
    )
    tool = _reading(world)
    bound = model.bind_tools([tool])

    async def think(state: State) -> Any:
        return {"messages": [bound.invoke(state["messages"])]}

    building = StateGraph(State)
    building.add_node("model", think)
    building.add_node("tools", ToolNode([tool]))
    building.add_edge(START, "model")
    building.add_conditional_edges("model", tools_condition, ["tools", END])
    building.add_edge("tools", "model")
    graph = speculate(building.compile(), POLICY, predictor=predictor)
    drive(graph, way, START_INPUT)
    assert asked == [True, True, True]
    assert speculation_of(graph).stats().hits == 2


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_models_that_begin_side_by_side_are_of_one_step_however_late_one_is_looked_at(
    way: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    One that answers at once does not make a later step of the other, which would end what runs ahead for the first.
    """
    monkeypatch.setattr(later, "_MOMENT_S", 10.0)
    predictor = Watching(SCRIPT, lambda: None)
    tool = _reading(world)
    quick, slow = ScriptedModel(script=SCRIPT), ScriptedModel(script=[AIMessage("nothing to add")], travels_s=0.1)
    asking, talking = quick.bind_tools([tool]), slow.bind_tools([tool])

    async def think(state: State) -> Any:
        return {"messages": [await asking.ainvoke(state["messages"])]}

    async def comment(state: State) -> Any:
        await talking.ainvoke(state["messages"])
        return {}

    building = StateGraph(State)
    building.add_node("agent", think)
    building.add_node("comment", comment)
    building.add_node("tools", ToolNode([tool]))
    building.add_edge(START, "agent")
    building.add_edge(START, "comment")
    building.add_conditional_edges("agent", tools_condition, ["tools", END])
    building.add_edge("tools", "agent")
    graph = speculate(building.compile(), POLICY, predictor=predictor)
    told: queue.Queue[str] = queue.Queue()

    def note(event: Any) -> None:
        if isinstance(event, TurnBegan | TurnEnded):
            told.put(type(event).__name__)

    speculation_of(graph).events(note)
    drive(graph, way, START_INPUT)
    assert [told.get(timeout=5) for _ in range(2)] == ["TurnBegan", "TurnBegan"]
    assert speculation_of(graph).stats().hits == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_turn_ends_while_another_thread_starts_one(way: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Sync nodes think side by side: the one that is done is over, however long the other takes to begin.
    """
    starting, over, starts = threading.Event(), threading.Event(), itertools.count()
    real = turns.Turns._history

    def slowly(self: Any, messages: Any) -> Any:
        if next(starts) == 1:
            starting.set()
            assert over.wait(5)
        return real(self, messages)

    monkeypatch.setattr(turns.Turns, "_history", slowly)
    tool = _reading(world)
    models = [ScriptedModel(script=[AIMessage("done")], during=lambda _: starting.wait(5)) for _ in range(2)]

    def thinking(model: Any) -> Any:
        bound = model.bind_tools([tool])
        return lambda state: {"messages": [bound.invoke(state["messages"])]}

    building = StateGraph(State)
    for name, model in zip(NAMES, models, strict=True):
        building.add_node(name, thinking(model))
        building.add_edge(START, name)
    building.add_node("tools", ToolNode([tool]))
    building.add_edge("early", END)
    building.add_edge("late", END)
    graph = speculate(building.compile(), POLICY, predictor=Watching([AIMessage("done")], lambda: None))
    ended = threading.Semaphore(0)

    def note(event: Any) -> None:
        if isinstance(event, TurnEnded):
            over.set()
            ended.release()

    speculation_of(graph).events(note)
    drive(graph, way, START_INPUT)
    assert over.is_set()
    for _ in models:
        assert ended.acquire(timeout=5)


def test_nobody_is_asked_once_speculation_is_closed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What was put off before is left out.
    """
    monkeypatch.setattr(later, "_MOMENT_S", 10.0)
    predictor = Watching(SCRIPT, lambda: None)
    model = ScriptedModel(script=SCRIPT, during=lambda turn: speculation_of(graph).close())
    graph = speculate(agent_graph(model, [_reading(world)]), POLICY, predictor=predictor)
    drive(graph, "ainvoke", START_INPUT)
    assert predictor.found == []


def test_a_sync_run_is_predicted_at_once(world: World) -> None:
    """
    Nobody could do it later.
    """
    asked: list[bool] = []
    model = ScriptedModel(script=SCRIPT, during=lambda turn: asked.append(len(predictor.found) == turn + 1))
    predictor = Watching(SCRIPT, lambda: None)
    graph = speculate(agent_graph(model, [_reading(world)]), POLICY, predictor=predictor)
    drive(graph, "invoke", START_INPUT)
    assert asked == [True, True, True]


def test_work_is_done_once_whoever_asks_first() -> None:
    """
    By the loop, or by who needs it before; at once where a thread waits.
    """
    done: list[str] = []

    async def play() -> None:
        loop = asyncio.get_running_loop()
        early, tardy = (later.Later(lambda name=name: done.append(name), loop) for name in NAMES)
        early.start()
        tardy.start()
        assert done == []
        early.now()
        assert done == ["early"]
        await asyncio.sleep(_ENOUGH_S)
        assert done == ["early", "late"]
        tardy.now()

    asyncio.run(play())
    assert done == ["early", "late"]
    later.Later(lambda: done.append("no loop"), None).start()
    assert done[-1] == "no loop"


@pytest.mark.observers_raise
@pytest.mark.parametrize("error", [KeyError("missing"), asyncio.CancelledError()])
def test_an_error_of_ours_is_logged_and_does_not_reach_the_loop(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Nobody waits for the work, so nobody else would hear of it.
    """

    def fail() -> None:
        raise error

    async def play() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: pytest.fail(str(context)))
        later.Later(fail, loop).start()
        await asyncio.sleep(_ENOUGH_S)
        later.Later(fail, loop).now()

    asyncio.run(play())
    assert [(record.levelno, record.name) for record in caplog.records] == 2 * [(logging.ERROR, "langgraph_speculate")]


def test_an_interrupt_from_the_keyboard_passes() -> None:
    """
    It is the owner's.
    """

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        later.Later(stop, None).start()


def _reading(world: World) -> Any:
    def read(id: int) -> str:
        "Read."
        world.begin("read")
        return f"thing {id}"

    return make_tool("read", read, "both")
