"""Every stream mode, event API and way to hand a graph on shows what the plain graph shows."""

from __future__ import annotations

import asyncio
import copy
from typing import Annotated, Any

import pytest
from agents import (
    GRAPHS,
    NOTEBOOK_HITS,
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    START_INPUT,
    Oracle,
    ScriptedModel,
    State,
    World,
    adrive,
    agent_graph,
    ask,
    canonical,
    drive,
    hand_written_graph,
    in_steps,
    notebook,
    tool_node_graph,
)
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.store.memory import InMemoryStore
from pydantic import BaseModel

from langgraph_speculate import speculate, speculation_of

MODES: list[Any] = [
    "values",
    "updates",
    "messages",
    "custom",
    "debug",
    "tasks",
    "checkpoints",
    "tools",
    ["updates", "messages"],
    ["values", "custom", "debug", "tools"],
]
# One call a message: of parallel calls the plain graph itself shows any order.
SERIAL = [
    ask(("find", {"query": "a"}), text="looking for it"),
    ask(("read", {"id": 2, "detail": "long"})),
    ask(("write", {"id": 2, "text": "new"})),
    ask(("read", {"id": 2})),
    AIMessage("done and done"),
]
SERIAL_HITS = 3
THREAD: dict[str, Any] = {"configurable": {"thread_id": "t"}}


def _pair(build: Any, script: list[Any] = SERIAL, saved: bool = False) -> tuple[Any, Any]:
    def made(pace_s: float) -> Any:
        tools = notebook(World(), "both")
        given = {"checkpointer": InMemorySaver()} if saved else {}
        return build(ScriptedModel(script=script, pace_s=pace_s), tools, **given)

    return made(0.0), speculate(made(0.005), NOTEBOOK_POLICY, predictor=Oracle(script))


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize(("kind", "way"), [("create_agent", "stream"), ("hand_written", "astream")])
def test_every_chunk_of_every_stream_mode_is_the_plain_graphs(kind: str, way: str, mode: Any) -> None:
    """
    Same chunks in the same order, checkpoints and metadata included.
    """
    plain, wrapped = _pair(GRAPHS[kind], saved=True)
    expected = canonical(drive(plain, way, START_INPUT, THREAD, stream_mode=mode))
    assert canonical(drive(wrapped, way, START_INPUT, THREAD, stream_mode=mode)) == expected
    assert speculation_of(wrapped).stats().hits == SERIAL_HITS


@pytest.mark.parametrize("mode", ["values", "updates", "messages", ["updates", "custom"]], ids=str)
@pytest.mark.parametrize("way", ["stream", "astream"])
def test_version_two_of_streaming_is_the_plain_graphs(way: str, mode: Any) -> None:
    """
    `version="v2"`: typed parts instead of tuples.
    """
    plain, wrapped = _pair(agent_graph)
    expected = canonical(drive(plain, way, START_INPUT, stream_mode=mode, version="v2"))
    assert canonical(drive(wrapped, way, START_INPUT, stream_mode=mode, version="v2")) == expected


class Typed(BaseModel):
    messages: Annotated[list[Any], add_messages] = []


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("handed_on", ["as_is", "with_config", "copy"])
def test_version_two_of_invoke_keeps_the_type_of_the_state(way: str, handed_on: str) -> None:
    """
    A pydantic state comes back as one, also after `copy()` and `with_config()`, which forget how in the plain graph.
    """

    def build() -> Any:
        model = ScriptedModel(script=[AIMessage("done")])
        builder = StateGraph(Typed)
        builder.add_node("model", lambda state: {"messages": [model.invoke(state.messages)]})
        builder.add_node("tools", ToolNode(notebook(World())))
        builder.add_edge(START, "model")
        builder.add_edge("model", END)
        return builder.compile()

    graph = speculate(build(), NOTEBOOK_POLICY)
    graph = {"as_is": graph, "with_config": graph.with_config(tags=["t"]), "copy": graph.copy()}[handed_on]
    plain = drive(build(), way, START_INPUT, version="v2")[0]
    result = drive(graph, way, START_INPUT, version="v2")[0]
    assert type(result.value) is type(plain.value) is Typed


@pytest.mark.parametrize("mode", ["updates", "values", "messages", "debug", ["updates", "custom"]], ids=str)
@pytest.mark.parametrize("way", ["stream", "astream"])
def test_streams_of_subgraphs_are_the_plain_graphs(way: str, mode: Any) -> None:
    """
    `subgraphs=True`, with the agent as a node of another graph.
    """

    def outer(pace_s: float) -> Any:
        inner = agent_graph(ScriptedModel(script=SERIAL, pace_s=pace_s), notebook(World(), "both"))
        builder = StateGraph(State)
        builder.add_node("agent", inner)
        builder.add_edge(START, "agent")
        return builder.compile()

    wrapped = speculate(outer(0.005), NOTEBOOK_POLICY, predictor=Oracle(SERIAL))
    expected = canonical(drive(outer(0.0), way, START_INPUT, stream_mode=mode, subgraphs=True))
    assert canonical(drive(wrapped, way, START_INPUT, stream_mode=mode, subgraphs=True)) == expected
    assert speculation_of(wrapped).stats().hits == SERIAL_HITS


def _event(event: dict[str, Any]) -> Any:
    return canonical({key: value for key, value in event.items() if key not in ("run_id", "parent_ids")})


@pytest.mark.parametrize("kind", GRAPHS)
def test_astream_events_are_the_plain_graphs(kind: str) -> None:
    """
    The same events in the same order, each below as many parents; nothing of early calls.
    """

    async def events(graph: Any) -> list[Any]:
        return [
            (_event(event), len(event["parent_ids"])) async for event in graph.astream_events(START_INPUT, version="v2")
        ]

    plain, wrapped = _pair(GRAPHS[kind])
    expected = asyncio.run(events(plain))
    got = asyncio.run(events(wrapped))
    assert [event for event, _ in got] == [event for event, _ in expected]
    assert got == expected
    assert speculation_of(wrapped).stats().hits == SERIAL_HITS


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
@pytest.mark.parametrize("kind", ["create_agent", "tool_node"])
def test_stream_events_of_version_three_are_the_plain_graphs(kind: str) -> None:
    """
    Messages, tool calls and values of the v3 event stream, sync and async.
    """
    plain, wrapped = _pair(GRAPHS[kind])

    def collect(graph: Any) -> Any:
        return canonical([_plain_event(event) for event in graph.stream_events(START_INPUT, version="v3")])

    async def acollect(graph: Any) -> Any:
        stream = await graph.astream_events(START_INPUT, version="v3")
        return canonical([_plain_event(event) async for event in stream])

    assert collect(wrapped) == collect(plain)
    assert asyncio.run(acollect(wrapped)) == asyncio.run(acollect(plain))
    assert speculation_of(wrapped).stats().hits == 2 * SERIAL_HITS


def _plain_event(event: Any) -> Any:
    if isinstance(event, dict):
        return {key: _plain_event(item) for key, item in event.items() if key not in ("timestamp", "seq", "time")}
    return event


# -- handing a graph on ----------------------------------------------------------------------------------------------


def test_batches_are_the_plain_graphs() -> None:
    """
    `batch`, `abatch`, `batch_as_completed`: each input is a run of its own.
    """
    plain, wrapped = _pair(tool_node_graph)
    inputs = [START_INPUT] * 4

    def by_id(results: Any) -> Any:
        return sorted(canonical(list(results)), key=repr)

    assert by_id(wrapped.batch(inputs, {"max_concurrency": 1})) == by_id(plain.batch(inputs, {"max_concurrency": 1}))
    assert len(list(wrapped.batch_as_completed(inputs))) == 4
    assert len(asyncio.run(wrapped.abatch(inputs))) == 4
    assert speculation_of(wrapped).stats().runs == 12


HANDED_ON: dict[str, Any] = {
    "with_config": lambda graph: graph.with_config({"tags": ["t"], "configurable": {"user": "ann"}}),
    "copy": lambda graph: graph.copy(),
    "copy_copy": copy.copy,
    "server": lambda graph: graph.copy(update={"checkpointer": InMemorySaver(), "store": InMemoryStore()}),
    "twice": lambda graph: graph.with_config(tags=["a"]).copy().with_config(recursion_limit=50),
    "bound": lambda graph: graph.bind(),
    "sequence": lambda graph: RunnableLambda(lambda x: x) | graph | RunnableLambda(lambda x: x),
    "retry": lambda graph: graph.with_retry(stop_after_attempt=2),
    "fallbacks": lambda graph: graph.with_fallbacks([RunnableLambda(lambda x: x)]),
}


@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("handed_on", HANDED_ON)
def test_a_graph_that_was_handed_on_goes_on_speculating(handed_on: str, way: str) -> None:
    """
    Copies, bindings and sequences: the plain graph's result, and hits as before.
    """
    plain, wrapped = _pair(tool_node_graph, NOTEBOOK_SCRIPT)
    hand_on = HANDED_ON[handed_on]
    config = THREAD if handed_on == "server" else None
    expected = canonical(drive(hand_on(plain), way, START_INPUT, config)[-1])
    assert canonical(drive(hand_on(wrapped), way, START_INPUT, config)[-1]) == expected
    assert speculation_of(wrapped).stats().hits == NOTEBOOK_HITS


def test_a_server_s_copy_keeps_its_threads() -> None:
    """
    `copy(update={"checkpointer", "store"})`, as servers do it for each request: same saver, same engine, history kept.
    """
    saver, store = InMemorySaver(), InMemoryStore()
    _, wrapped = _pair(tool_node_graph, NOTEBOOK_SCRIPT)
    for turn in range(1, 4):
        served = wrapped.copy(update={"checkpointer": saver, "store": store})
        assert type(served) is type(wrapped)
        result = asyncio.run(adrive(served, "ainvoke", START_INPUT, THREAD))[-1]
        assert sum(message.type == "human" for message in result["messages"]) == turn
        assert served.checkpointer is saver
        assert speculation_of(served) is speculation_of(wrapped)
    assert speculation_of(wrapped).stats().hits == 3 * NOTEBOOK_HITS


@pytest.mark.parametrize("build", [agent_graph, tool_node_graph, hand_written_graph])
def test_async_runs_block_no_event_loop(build: Any) -> None:
    """
    Under blockbuster, which servers run in development, nothing of ours makes a blocking call.
    """
    from blockbuster import blockbuster_ctx

    async def main() -> None:
        with blockbuster_ctx("langgraph_speculate"):
            await adrive(wrapped, "ainvoke")
            await adrive(unbounded, "astream")

    _, wrapped = _pair(build, NOTEBOOK_SCRIPT)
    unbounded = speculate(
        build(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.05), notebook(World(), "sync")),
        NOTEBOOK_POLICY,
        predictor=Oracle(NOTEBOOK_SCRIPT, bounded=False),
    )
    asyncio.run(main())
    assert speculation_of(wrapped).stats().hits == NOTEBOOK_HITS
    assert speculation_of(unbounded).stats().hits == NOTEBOOK_HITS


def test_parallel_calls_stream_the_same_chunks_in_each_step() -> None:
    """
    With several calls in one message, `updates`, `messages` and `tools` hold the same chunks, step by step.
    """

    def part(chunk: Any) -> Any:
        mode, content = chunk
        return mode if mode != "updates" else tuple(content)

    for mode in (["updates"], ["messages"], ["tools"]):
        plain, wrapped = _pair(agent_graph, NOTEBOOK_SCRIPT)
        expected = in_steps(drive(plain, "stream", START_INPUT, stream_mode=mode), part)
        assert in_steps(drive(wrapped, "stream", START_INPUT, stream_mode=mode), part) == expected
