"""Read-through: with it and without, a graph's user sees the same, only that a repeated call has no body of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import pytest
from agents import (
    ASYNC_WAYS,
    GRAPHS,
    NOTEBOOK_SCRIPT,
    WAYS,
    Fixed,
    Oracle,
    ScriptedModel,
    Seen,
    World,
    agent_graph,
    ask,
    canonical,
    drive,
    make_tool,
    notebook,
    outcome,
    tool_node_graph,
)
from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, ToolException
from langgraph.config import get_stream_writer
from langgraph.prebuilt import InjectedState, ToolRuntime

from langgraph_speculate import speculate, speculation_of

READ: dict[str, Any] = {"read_only": True, "reads": ["note:{id}"], "read_through": True}
POLICY: dict[str, Any] = {"tools": {"read": READ}}
NOTEBOOK: dict[str, Any] = {"tools": {"read": READ, "write": {"writes": ["note:{id}"]}}}
TWICE = [ask(("read", {"id": 1})), ask(("read", {"id": 1}), prefix="d"), AIMessage("done")]


def repeating(graph: Any, policy: Any = POLICY, predictor: Any = None) -> Any:
    return speculate(graph, policy, predictor=predictor or Fixed())


def twice(body: Any, way: str, tool: BaseTool | None = None, policy: Any = POLICY, **how: Any) -> Any:
    """The same call in two messages; the statistics."""
    graph = tool_node_graph(ScriptedModel(script=TWICE), [tool or make_tool("read", body, "both")])
    wrapped = repeating(graph, policy)
    assert drive(wrapped, way, **how)
    return speculation_of(wrapped).stats()


@pytest.mark.parametrize("mode", ["values", ["updates", "messages", "custom"]], ids=str)
@pytest.mark.parametrize("flavour", ["sync", "async", "both"])
@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("way", ["stream", "astream"])
def test_what_is_streamed_is_the_same(way: str, kind: str, flavour: str, mode: Any, world: World) -> None:
    """
    A read, a repeat of it, a write, and a read of what was written; calls that are seen being written start early.
    """
    if flavour == "async" and way not in ASYNC_WAYS:
        pytest.skip("an async tool cannot run here")
    repeat = ask(("read", {"id": 1}), prefix="d")
    script = [TWICE[0], repeat, ask(("write", {"id": 1, "text": "new"})), ask(("read", {"id": 1}), prefix="e")]
    script.append(AIMessage("done"))
    plain = GRAPHS[kind](ScriptedModel(script=script), notebook(world, flavour))
    expected, bodies = canonical(drive(plain, way, stream_mode=mode)), world.count("read")
    world.notes[1] = "one"
    wrapped = repeating(plain, NOTEBOOK)
    assert canonical(drive(wrapped, way, stream_mode=mode)) == expected
    assert (bodies, world.count("read") - bodies) == (3, 2)
    stats = speculation_of(wrapped).stats()
    assert (stats.real_calls, stats.repeats, stats.hits + stats.misses) == (4, 1, 3)


@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("way", WAYS)
def test_what_an_early_body_found_is_given_again(way: str, kind: str, world: World) -> None:
    """
    A hit first, then a repeat of it.
    """
    script = [TWICE[0], TWICE[1], AIMessage("done")]
    predictor = Oracle([script[0], AIMessage(""), AIMessage("")])
    graph = repeating(
        GRAPHS[kind](ScriptedModel(script=script, pace_s=0.02), notebook(world, "both")), POLICY, predictor
    )
    state = drive(graph, way)
    assert state
    stats = speculation_of(graph).stats()
    assert (stats.hits, stats.repeats, stats.misses, world.count("read")) == (1, 1, 0, 1)


@pytest.mark.parametrize("way", WAYS)
def test_beside_speculation_nothing_changes(way: str, world: World) -> None:
    """
    A whole conversation, foreseen, with each read asked for again.
    """
    script = [*NOTEBOOK_SCRIPT[:-1], *(m.model_copy(deep=True) for m in NOTEBOOK_SCRIPT[3:4]), AIMessage("done")]
    plain = agent_graph(ScriptedModel(script=script, pace_s=0.01), notebook(world, "both"))
    expected = canonical(drive(plain, way)[-1])
    world.notes[2] = "two"
    policy = {"tools": {**NOTEBOOK["tools"], "find": {**READ, "reads": ["notes"]}}}
    graph = repeating(plain, policy, Oracle(script))
    assert canonical(drive(graph, way)[-1]) == expected
    stats = speculation_of(graph).stats()
    assert stats.hits + stats.misses + stats.repeats == stats.real_calls


@pytest.mark.parametrize("way", WAYS)
def test_each_run_remembers_for_itself(way: str, world: World) -> None:
    """
    The end of a run is the end of what it remembers.
    """
    graph = repeating(agent_graph(ScriptedModel(script=TWICE), notebook(world, "both")))
    for runs in (1, 2, 3):
        drive(graph, way)
        assert world.count("read") == runs


# -- what a body writes besides ----------------------------------------------------------------------------------------


def _by_writer(id: int) -> str:
    get_stream_writer()({"note": id})
    return "read"


def _by_event(id: int) -> str:
    dispatch_custom_event("note", {"id": id})
    return "read"


async def _by_async_event(id: int) -> str:
    await adispatch_custom_event("note", {"id": id})
    return "read"


def _by_config(id: int, config: RunnableConfig) -> str:
    dispatch_custom_event("note", {"id": id}, config=config)
    return "read"


def _by_callbacks(id: int, callbacks: Any = None) -> str:
    RunnableLambda(lambda number: number + 1, name="inner").invoke(id, {"callbacks": callbacks})
    return "read"


def _by_runnable(id: int) -> str:
    return str(RunnableLambda(lambda number: number + 1, name="inner").invoke(id))


def _by_model(id: int) -> str:
    return str(ScriptedModel(script=[AIMessage("a note")]).invoke("read").content)


def _by_runtime(id: int, runtime: ToolRuntime) -> str:
    runtime.stream_writer({"note": id})
    return "read"


class _ByManager(BaseTool):
    name: str = "read"
    description: str = "Read."

    def _run(self, id: int, run_manager: Any = None) -> str:
        run_manager.on_text(f"note {id}")
        return "read"

    async def _arun(self, id: int, run_manager: Any = None) -> str:
        await run_manager.on_text(f"note {id}")
        return "read"


WRITING: dict[str, Callable[[], BaseTool]] = {
    **{
        body.__name__.removeprefix("_by_"): partial(
            StructuredTool.from_function, body, name="read", description="Read."
        )
        for body in (_by_writer, _by_event, _by_config, _by_callbacks, _by_runnable, _by_model, _by_runtime)
    },
    "async_event": partial(StructuredTool.from_function, coroutine=_by_async_event, name="read", description="Read."),
    "manager": _ByManager,
}


@pytest.mark.parametrize("how", WRITING)
@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_body_that_writes_anything_runs_each_time(way: str, how: str) -> None:
    """
    Nothing that streams or callbacks would have shown is missing, and nothing is shown twice.
    """
    if how == "async_event" and way not in ASYNC_WAYS:
        pytest.skip("an async tool cannot run here")
    plain = tool_node_graph(ScriptedModel(script=TWICE), [WRITING[how]()])
    wrapped = repeating(plain)
    shown = []
    for graph in (plain, wrapped):
        seen = Seen()
        shown.append(
            (canonical(drive(graph, way, config={"callbacks": [seen]}, stream_mode=["values", "custom"])), seen)
        )
    assert shown[1][0] == shown[0][0]
    assert shown[1][1].events == shown[0][1].events
    stats = speculation_of(wrapped).stats()
    assert (stats.repeats, stats.misses) == (0, 2)


@pytest.mark.parametrize("way", WAYS)
def test_what_an_early_body_wrote_is_not_given_again_either(way: str) -> None:
    """
    One rule for both.
    """
    tool = WRITING["writer"]()
    graph = tool_node_graph(ScriptedModel(script=TWICE, pace_s=0.02), [tool])
    wrapped = repeating(graph, POLICY, Oracle([TWICE[0], AIMessage(""), AIMessage("")]))
    assert drive(wrapped, way)
    stats = speculation_of(wrapped).stats()
    assert (stats.hits, stats.repeats, stats.misses) == (1, 0, 1)


@pytest.mark.parametrize("way", WAYS)
def test_a_silent_body_is_handed_what_it_always_was(way: str) -> None:
    """
    Its config, its callbacks and its writer work as ever; looking at them is no writing.
    """

    def read(id: int, config: RunnableConfig, callbacks: Any = None) -> str:
        "Read."
        get_stream_writer()
        return f"{config['configurable']['user']} {sorted(config['tags'])} {type(callbacks).__name__}"

    tool = StructuredTool.from_function(read)
    config = {"configurable": {"user": "ann"}, "tags": ["b", "a"]}
    plain = tool_node_graph(ScriptedModel(script=TWICE), [tool])
    wrapped = repeating(plain)
    assert canonical(drive(wrapped, way, config=config)) == canonical(drive(plain, way, config=config))
    assert speculation_of(wrapped).stats().repeats == 1


# -- what cannot be given again ----------------------------------------------------------------------------------------


class _Row:
    """Whatever a tool may return."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "answer",
    [
        lambda: _Row(),
        lambda: {"rows": [_Row()]},
        lambda: ToolMessage("read", tool_call_id="c-read-0"),
    ],
    ids=["object", "object inside", "message"],
)
def test_only_plain_values_are_given_again(answer: Any, way: str) -> None:
    """
    Two calls never share an object.
    """
    assert twice(lambda id: answer(), way).repeats == 0


@pytest.mark.parametrize("way", WAYS)
def test_containers_are_given_again_as_copies(way: str) -> None:
    """
    What one caller, or the tool, does to an answer the next one does not see.
    """
    kept: list[Any] = []

    def read(id: int) -> Any:
        kept.append([{"type": "text", "text": f"note {id}"}])
        return kept[-1]

    def spoiling(state: Any) -> Any:
        for message in state["messages"]:
            if isinstance(message, ToolMessage):
                message.content.append({"type": "text", "text": "spoilt"})
        kept[0].append("spoilt by the tool")
        return ScriptedModel(script=TWICE).invoke(state["messages"])

    script = [TWICE[0], lambda messages: spoiling({"messages": messages}), AIMessage("done")]
    graph = repeating(tool_node_graph(ScriptedModel(script=script), [make_tool("read", read, "both")]))
    messages = drive(graph, way, **({"stream_mode": "values"} if "stream" in way else {}))[-1]["messages"]
    assert messages[-2].content == [{"type": "text", "text": "note 1"}]
    assert len(kept) == 1


@pytest.mark.parametrize("way", WAYS)
def test_content_with_an_artifact_is_given_again_if_both_are_plain(way: str) -> None:
    """
    Each call gets an artifact of its own.
    """
    tool = make_tool("read", lambda id: ("note", {"rows": [id]}), "both", response_format="content_and_artifact")
    graph = repeating(tool_node_graph(ScriptedModel(script=TWICE), [tool]))
    messages = drive(graph, way, **({"stream_mode": "values"} if "stream" in way else {}))[-1]["messages"]
    first, second = (message.artifact for message in messages if isinstance(message, ToolMessage))
    assert first == second == {"rows": [1]}
    assert first is not second
    assert first["rows"] is not second["rows"]
    assert speculation_of(graph).stats().repeats == 1


@pytest.mark.parametrize("way", WAYS)
def test_errors_are_not_given_again(way: str) -> None:
    """
    The second try may go well.
    """
    tries: list[int] = []

    def read(id: int) -> str:
        tries.append(id)
        if len(tries) == 1:
            raise ToolException("not now")
        return "read"

    assert twice(read, way, make_tool("read", read, "both", handle_tool_error=True)).repeats == 0
    assert len(tries) == 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", ["id", "state", "runtime"])
def test_what_the_host_injects_is_not_in_the_call_so_its_answer_is_no_other_calls(what: str, way: str) -> None:
    """
    Two calls with the same arguments may see something else.
    """
    bodies: list[int] = []

    def of_id(id: int, tool_call_id: Annotated[str, InjectedToolCallId]) -> str:
        "Read."
        bodies.append(id)
        return tool_call_id

    def of_state(id: int, state: Annotated[dict[str, Any], InjectedState]) -> str:
        "Read."
        bodies.append(id)
        return str(len(state["messages"]))

    def of_runtime(id: int, runtime: ToolRuntime) -> str:
        "Read."
        bodies.append(id)
        return str(runtime.tool_call_id)

    body = {"id": of_id, "state": of_state, "runtime": of_runtime}[what]
    assert twice(body, way, StructuredTool.from_function(body, name="read")).repeats == 0
    assert len(bodies) == 2


# -- when it may not be ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["off", "shadow"])
@pytest.mark.parametrize("way", WAYS)
def test_where_nothing_runs_ahead_nothing_is_given_again(way: str, level: str) -> None:
    """
    Shadow mode only watches.
    """
    bodies: list[int] = []

    def read(id: int) -> str:
        bodies.append(id)
        return "read"

    assert twice(read, way, policy={**POLICY, "level": level}).repeats == 0
    assert len(bodies) == 2


@pytest.mark.parametrize("setting", [{"ttl_s": 0}, {"read_through": False}], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_without_the_owners_word_a_call_is_a_body(way: str, setting: dict[str, Any]) -> None:
    """
    Off by default, and of no use to what is too volatile to be kept.
    """
    assert twice(lambda id: "read", way, policy={"tools": {"read": {**READ, **setting}}}).repeats == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_guard_that_objects_gets_the_real_call(way: str) -> None:
    """
    Rights that end in the middle of a run end for what was read with them, too.
    """
    asked: list[str] = []

    def lets(call: Any) -> bool:
        asked.append(call.moment)
        return False

    assert twice(lambda id: "read", way, policy={**POLICY, "guards": [lets]}).repeats == 0
    assert asked == ["commit"]


async def test_calls_beside_each_other_have_a_body_each() -> None:
    """
    What has not been answered yet answers nobody.
    """
    bodies: list[int] = []

    async def read(id: int) -> str:
        "Read."
        bodies.append(id)
        await asyncio.sleep(0.01)
        return "read"

    script = [ask(("read", {"id": 1}), ("read", {"id": 1})), AIMessage("done")]
    graph = repeating(tool_node_graph(ScriptedModel(script=script), [StructuredTool.from_function(coroutine=read)]))
    await graph.ainvoke({"messages": [("user", "go")]})
    assert len(bodies) == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_raises_past_the_graph_leaves_nothing_wrong(way: str) -> None:
    """
    The error is the plain graph's.
    """

    def read(id: int) -> str:
        raise OSError("the disk is gone")

    plain = tool_node_graph(ScriptedModel(script=TWICE), [make_tool("read", read, "both")])
    assert outcome(lambda: drive(repeating(plain), way)) == outcome(lambda: drive(plain, way))
