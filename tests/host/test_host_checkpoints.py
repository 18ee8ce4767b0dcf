"""Checkpoints, interrupts, approvals and time travel are the plain graph's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    GRAPHS,
    NOTEBOOK_HITS,
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    START_INPUT,
    WAYS,
    Fixed,
    Oracle,
    ScriptedModel,
    State,
    World,
    adrive,
    agent_graph,
    ask,
    canonical,
    drive,
    make_tool,
    notebook,
    tool_node_graph,
)
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_config
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt

from langgraph_speculate import speculate, speculation_of

THREAD: dict[str, Any] = {"configurable": {"thread_id": "t"}}


def _snapshot(snapshot: Any) -> Any:
    plain = canonical(snapshot)
    for task in plain["tasks"]:
        task["result"] = _without_ids(task["result"])
    plain["tasks"] = sorted(plain["tasks"], key=repr)  # of parallel calls, in the order in which they ended
    return plain


def _without_ids(value: Any) -> Any:
    """The host writes results in a thread, before or after it has given their messages ids."""
    if isinstance(value, dict):
        return {key: _without_ids(item) for key, item in value.items() if key != "id"}
    return [_without_ids(item) for item in value] if isinstance(value, list) else value


def _history(graph: Any, config: Any = THREAD) -> list[Any]:
    return [_snapshot(snapshot) for snapshot in graph.get_state_history(config)]


async def _ahistory(graph: Any, config: Any = THREAD) -> list[Any]:
    return [_snapshot(snapshot) async for snapshot in graph.aget_state_history(config)]


def _pair(
    kind: str = "create_agent", script: list[Any] = NOTEBOOK_SCRIPT, saver: Callable[[], Any] = InMemorySaver, **kw: Any
) -> tuple[Any, Any, World, World]:
    worlds = World(), World()
    plain = GRAPHS[kind](ScriptedModel(script=script), notebook(worlds[0], "both"), checkpointer=saver(), **kw)
    other = GRAPHS[kind](
        ScriptedModel(script=script, pace_s=0.005), notebook(worlds[1], "both"), checkpointer=saver(), **kw
    )
    return plain, speculate(other, NOTEBOOK_POLICY, predictor=Oracle(script)), *worlds


_KINDS = ("create_agent", "tool_node", "hand_written")


@pytest.mark.parametrize(
    ("kind", "way", "durability"),
    [(kind, way, "sync") for kind in _KINDS for way in ("invoke", "astream")]
    + [("create_agent", way, durability) for way in ("stream", "ainvoke") for durability in ("async", "exit")],
)
def test_the_history_of_a_thread_is_the_plain_graphs(kind: str, way: str, durability: str) -> None:
    """
    Same checkpoints in the same order with the same metadata, values and pending writes, over two user turns.
    """
    plain, wrapped, _, _ = _pair(kind)
    for graph in (plain, wrapped):
        drive(graph, way, START_INPUT, THREAD, durability=durability)
        drive(graph, way, {"messages": [HumanMessage("again")]}, THREAD, durability=durability)
    assert _history(wrapped) == _history(plain)
    assert speculation_of(wrapped).stats().hits == 2 * NOTEBOOK_HITS


def test_nothing_of_a_run_reaches_a_sqlite_file(tmp_path: Path) -> None:
    """
    The rows that SqliteSaver stores are those of the plain graph, metadata included.
    """
    rows = []
    for position in range(2):
        with SqliteSaver.from_conn_string(str(tmp_path / f"{position}.db")) as saver:
            plain, wrapped, _, _ = _pair(saver=lambda saver=saver: saver)
            graph = (plain, wrapped)[position]
            drive(graph, "invoke", START_INPUT, THREAD)
            rows.append(_history(graph))
            assert b"__speculate" not in (tmp_path / f"{position}.db").read_bytes()
            assert all("__speculate" not in repr(row) for row in saver.conn.execute("select * from checkpoints"))
    assert rows[0] == rows[1]


async def test_async_sqlite_keeps_the_same_history(tmp_path: Path) -> None:
    """
    AsyncSqliteSaver under astream: same checkpoints, same metadata.
    """
    rows = []
    for position in range(2):
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / f"{position}.db")) as saver:
            plain, wrapped, _, _ = _pair(saver=lambda saver=saver: saver)
            graph = (plain, wrapped)[position]
            await adrive(graph, "astream", START_INPUT, THREAD)
            rows.append(await _ahistory(graph))
            if graph is wrapped:
                assert speculation_of(wrapped).stats().hits == NOTEBOOK_HITS
    assert rows[0] == rows[1]


# -- interrupts inside tools -----------------------------------------------------------------------------------------


def _bare(question: str) -> str:
    return str(interrupt(question))


def _swallowing(question: str) -> str:
    try:
        return str(interrupt(question))
    except Exception as error:
        if type(error).__name__ == "GraphInterrupt":
            raise
        return "swallowed"


def _swallowing_everything(question: str) -> str:
    try:
        return str(interrupt(question))
    except BaseException as error:
        if type(error).__name__ == "GraphInterrupt":
            raise
        return "swallowed all"


def _reading_config(question: str) -> str:
    position = get_config()["configurable"]["checkpoint_ns"].split(":")[0]
    return f"{interrupt(question)} at {position}"


def _in_nested_graph(question: str) -> str:
    def node(state: State) -> Any:
        return {"messages": [AIMessage(str(interrupt(question)), id="inner")]}

    builder = StateGraph(State)
    builder.add_node("node", node)
    builder.add_edge(START, "node")
    return str(builder.compile().invoke({"messages": []})["messages"][-1].content)


INTERRUPTING = {
    body.__name__.strip("_"): body
    for body in (_bare, _swallowing, _swallowing_everything, _reading_config, _in_nested_graph)
}


def _asking_tools(world: World, body: Callable[[str], str], flavour: str) -> list[Any]:
    def confirm(question: str) -> str:
        "Ask a person."
        world.begin("confirm", question=question)
        answer = body(question)
        world.end("confirm", answer=answer)
        return answer

    def delete(question: str) -> str:
        "Delete something, after asking."
        answer = str(interrupt(f"delete: {question}"))
        world.begin("delete", answer=answer)
        return f"deleted: {answer}"

    return [make_tool("confirm", confirm, flavour), make_tool("delete", delete, flavour)]


async def _converse(graph: Any, way: str, answers: list[Any]) -> list[Any]:
    """Run to the end, answering interrupts in order; every chunk and every state on the way."""
    seen: list[Any] = []
    step: Any = START_INPUT
    pending = list(answers)
    for _ in range(10):
        if way in ASYNC_WAYS:
            chunks = await adrive(graph, way, step, THREAD)
        else:
            chunks = await asyncio.to_thread(drive, graph, way, step, THREAD)
        state = await graph.aget_state(THREAD)
        seen.append((canonical(chunks[-1]), _snapshot(state)))
        if not state.next:
            return seen
        step = Command(resume=pending.pop(0))
    raise AssertionError("the conversation did not end")


@pytest.mark.tools_block  # a graph invoked in a coroutine
@pytest.mark.parametrize("body", INTERRUPTING)
@pytest.mark.parametrize("way", WAYS)
async def test_an_interrupt_in_a_speculated_tool_is_the_plain_graphs(body: str, way: str) -> None:
    """
    A tool wrongly declared read-only that asks a person: same interrupts, each answer goes to its own question, the
    attempt is never adopted, and the tool never runs ahead again.
    """
    script = [
        ask(("delete", {"question": "prod"})),
        ask(("confirm", {"question": "faq"})),
        ask(("confirm", {"question": "more"}), prefix="d"),
        AIMessage("done"),
    ]
    worlds = World(), World()
    flavour = "both"
    plain = tool_node_graph(
        ScriptedModel(script=script),
        _asking_tools(worlds[0], INTERRUPTING[body], flavour),
        checkpointer=InMemorySaver(),
    )
    wrapped = speculate(
        tool_node_graph(
            ScriptedModel(script=script, pace_s=0.05),
            _asking_tools(worlds[1], INTERRUPTING[body], flavour),
            checkpointer=InMemorySaver(),
        ),
        {"tools": {"confirm": True}},
        predictor=Oracle(script),
    )
    answers = ["YES, delete prod", "about the faq", "more of it"]
    assert await _converse(wrapped, way, answers) == await _converse(plain, way, answers)
    assert worlds[1].ended[-2:] == worlds[0].ended[-2:]
    assert [call for call in worlds[1].log if call[0] == "delete"] == [("delete", {"answer": "YES, delete prod"})]
    stats = speculation_of(wrapped).stats()
    assert stats.hits == 0
    assert stats.launched <= 1  # nested graphs may or may not reach the wire; nobody tries twice
    if body != "in_nested_graph":
        assert (stats.launched, stats.discarded) == (1, {"tainted": 1})
        assert [v.reason for v in speculation_of(wrapped).explain() if v.tool == "confirm"] == ["tripped"]


async def test_parallel_interrupting_tools_are_resumed_by_id() -> None:
    """
    Two tools of one message ask at once; each answer reaches the one that asked.
    """
    script = [ask(("confirm", {"question": "a"}), ("delete", {"question": "b"})), AIMessage("done")]
    seen = []
    for wrap in (False, True):
        world = World()
        graph = agent_graph(
            ScriptedModel(script=script, pace_s=0.01), _asking_tools(world, _bare, "both"), checkpointer=InMemorySaver()
        )
        if wrap:
            graph = speculate(graph, {"tools": {"confirm": True}}, predictor=Oracle(script))
        result = await graph.ainvoke(START_INPUT, THREAD)
        asked = sorted((one.value, one.id) for one in result["__interrupt__"])
        assert [value for value, _ in asked] == ["a", "delete: b"]
        done = await graph.ainvoke(Command(resume={id: f"to {value}" for value, id in asked}), THREAD)
        seen.append(canonical([done, world.ended]))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("flavour", ["sync", "async"])
async def test_a_body_that_swallows_the_tripwire_is_still_not_adopted(world: World, flavour: str) -> None:
    """
    `except BaseException` around a forbidden look does not make the attempt's answer usable.
    """

    def look(question: str) -> str:
        "Look where one must not."
        world.begin("look")
        try:
            here = get_config()["configurable"]["__pregel_scratchpad"].call_counter
        except BaseException as error:  # noqa: BLE001 - that is the point
            return f"an answer of the sandbox: {type(error).__name__}"
        return f"real: {here is not None}"

    script = [ask(("look", {"question": "x"})), AIMessage("done")]
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.05), [make_tool("look", look, flavour)]),
        {"tools": {"look": True}},
        predictor=Oracle(script),
    )
    result = await graph.ainvoke(START_INPUT)
    assert result["messages"][-2].content == "real: True"
    assert world.count("look") == 2
    assert speculation_of(graph).stats().discarded == {"tainted": 1}


# -- static interrupts -----------------------------------------------------------------------------------------------

STOPS: list[dict[str, Any]] = [
    {"interrupt_before": ["tools"]},
    {"interrupt_after": ["model"]},
    {"interrupt_before": "*"},
    {"interrupt_after": "*"},
]


@pytest.mark.parametrize(
    ("kind", "way", "at", "stop"),
    [
        (_KINDS[(number + index) % 3], way, at, stop)
        for index, way in enumerate(WAYS)
        for at in ("compile", "call")
        for number, stop in enumerate(STOPS)
    ],
    ids=repr,
)
def test_nothing_runs_before_a_static_interrupt(kind: str, way: str, at: str, stop: dict[str, Any]) -> None:
    """
    A graph that stops between model and tools runs no tool early, whoever said so and when; resuming is as in plain.
    """
    script = [ask(("read", {"id": 1})), AIMessage("done")]
    compiled, called = (stop, {}) if at == "compile" else ({}, stop)
    plain, wrapped, plain_world, world = _pair(kind, script, **compiled)
    for step in (START_INPUT, None, None, None):
        expected = drive(plain, way, step, THREAD, **called)
        assert canonical(drive(wrapped, way, step, THREAD, **called)) == canonical(expected)
        assert world.log == plain_world.log
    assert _history(wrapped) == _history(plain)
    assert speculation_of(wrapped).stats().launched == 0


def test_an_interrupt_elsewhere_does_not_stop_speculation() -> None:
    """
    Stopping before the model waits for nobody's decision about a tool call.
    """
    script = [ask(("read", {"id": 1})), AIMessage("done")]
    plain, wrapped, _, _ = _pair("tool_node", script, interrupt_before=["model"])
    for step in (START_INPUT, None, None):
        expected = drive(plain, "invoke", step, THREAD)
        assert canonical(drive(wrapped, "invoke", step, THREAD)) == canonical(expected)
    assert speculation_of(wrapped).stats().hits == 1


# -- approvals -------------------------------------------------------------------------------------------------------

DECISIONS: dict[str, dict[str, Any]] = {
    "approve": {"type": "approve"},
    "reject": {"type": "reject", "message": "no"},
    "edit": {"type": "edit", "edited_action": {"name": "read", "args": {"id": 3}}},
}


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("mode", ["batched", "per_call"])
@pytest.mark.parametrize("way", ["invoke", "astream"])
async def test_a_tool_that_waits_for_approval_never_runs_before_it(way: str, mode: str, decision: str) -> None:
    """
    Body count 0 before the decision and after a rejection, 1 after approval, 1 with the new arguments after an edit.
    """
    script = [ask(("read", {"id": 1}), ("find", {"query": "q"})), AIMessage("done")]
    seen = []
    for wrap in (False, True):
        world = World()
        graph = agent_graph(
            ScriptedModel(script=script, pace_s=0.01),
            notebook(world, "both"),
            middleware=[HumanInTheLoopMiddleware({"read": True}, interrupt_mode=mode)],
            checkpointer=InMemorySaver(),
        )
        if wrap:
            graph = speculate(graph, NOTEBOOK_POLICY, predictor=Oracle(script))
        run = adrive if way in ASYNC_WAYS else lambda *args: asyncio.to_thread(drive, *args)
        await run(graph, way, START_INPUT, THREAD)
        assert world.count("read") == 0
        given = DECISIONS[decision]
        answer = Command(resume={"decisions": [given]} if mode == "batched" else given)
        await run(graph, way, answer, THREAD)
        assert [args["id"] for name, args in world.log if name == "read"] == {
            "approve": [1],
            "reject": [],
            "edit": [3],
        }[decision]
        seen.append(await _ahistory(graph))
        if wrap:
            assert speculation_of(graph).stats().by_tool["read"].launched == 0
    assert seen[0] == seen[1]


@pytest.mark.parametrize("when", [True, False])
def test_a_conditional_approval_gates_the_tool_always(when: bool) -> None:
    """
    `when=` may say no this time; the tool is not run ahead all the same.
    """
    script = [ask(("read", {"id": 1})), AIMessage("done")]
    world = World()
    settings = {"allowed_decisions": ["approve"], "when": lambda request: when}
    graph = agent_graph(
        ScriptedModel(script=script, pace_s=0.005),
        notebook(world),
        middleware=[HumanInTheLoopMiddleware({"read": settings})],
        checkpointer=InMemorySaver(),
    )
    wrapped = speculate(graph, NOTEBOOK_POLICY, predictor=Oracle(script))
    wrapped.invoke(START_INPUT, THREAD)
    assert world.count("read") == (0 if when else 1)
    assert speculation_of(wrapped).stats().launched == 0


@pytest.mark.parametrize("way", WAYS)
def test_approval_gated_names_tools_a_node_of_ones_own_asks_about(way: str) -> None:
    """
    A hand-written approval node between model and tools: what the policy names is not touched before the answer.
    """
    script = [ask(("read", {"id": 1})), AIMessage("done")]
    world = World()
    model, tools = ScriptedModel(script=script, pace_s=0.005), notebook(world, "both")

    def build() -> Any:
        from langchain_core.runnables import RunnableLambda
        from langgraph.prebuilt import ToolNode

        async def acall_model(state: State) -> Any:
            return {"messages": [await model.bind_tools(tools).ainvoke(state["messages"])]}

        def call_model(state: State) -> Any:
            return {"messages": [model.bind_tools(tools).invoke(state["messages"])]}

        def approve(state: State) -> Command[Any]:
            if not state["messages"][-1].tool_calls:
                return Command(goto="__end__")
            return Command(goto="tools" if interrupt("ok?") == "yes" else "__end__")

        builder = StateGraph(State)
        builder.add_node("model", RunnableLambda(call_model, afunc=acall_model))
        builder.add_node("approve", approve, destinations=("tools", "__end__"))
        builder.add_node("tools", ToolNode(tools))
        builder.add_edge(START, "model")
        builder.add_edge("model", "approve")
        builder.add_edge("tools", "model")
        return builder.compile(checkpointer=InMemorySaver())

    graph = speculate(build(), {**NOTEBOOK_POLICY, "approval_gated": ["read"]}, predictor=Oracle(script))
    drive(graph, way, START_INPUT, THREAD)
    assert world.count("read") == 0
    drive(graph, way, Command(resume="yes"), THREAD)
    assert world.count("read") == 1


# -- time travel -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["invoke", "astream"])
def test_forks_from_every_checkpoint_equal_the_plain_graphs(way: str) -> None:
    """
    Replaying and forking with another note executes for real: nothing of the first run is adopted.
    """
    plain, wrapped, plain_world, world = _pair("tool_node")
    results: list[list[Any]] = []
    for graph, where in ((plain, plain_world), (wrapped, world)):
        drive(graph, way, START_INPUT, THREAD)
        mine = []
        for number, snapshot in enumerate(list(graph.get_state_history(THREAD))):
            where.notes = {1: f"one {number}", 2: f"two {number}", 3: f"three {number}"}
            mine.append(canonical(drive(graph, way, None, snapshot.config)))
            fork = graph.update_state(snapshot.config, {"messages": [HumanMessage("by the way", id=f"h{number}")]})
            mine.append(canonical(drive(graph, way, None, fork)))
        results.append(mine)
    assert results[0] == results[1]


def test_a_result_of_one_run_is_never_adopted_by_the_next_of_the_thread(world: World) -> None:
    """
    A run that stopped with a ready speculation leaves nothing to the run that continues its thread.
    """
    script = [ask(("write", {"id": 9, "text": "x"})), ask(("read", {"id": 1})), AIMessage("done")]
    policy = {
        "tools": {
            "read": {"read_only": True, "scope": "run", "reads": ["note:{id}"]},
            "write": {"writes": ["note:{id}"]},
        }
    }
    graph = speculate(
        tool_node_graph(ScriptedModel(script=script, pace_s=0.01), notebook(world), checkpointer=InMemorySaver()),
        policy,
        predictor=Fixed(("read", {"id": 1})),
    )
    for chunk in graph.stream(START_INPUT, THREAD):
        if "model" in chunk:
            break
    world.notes[1] = "changed by somebody else"
    graph.update_state(THREAD, None, as_node="tools")
    final = graph.invoke(None, THREAD)
    assert "changed by somebody else" in [m for m in final["messages"] if m.type == "tool"][-1].content


def test_update_state_works_on_a_wrapped_graph() -> None:
    """
    Edited state is taken up: an answer edited in, or a tool call removed.
    """
    plain, wrapped, _, _ = _pair("tool_node", interrupt_before=["model"])
    for graph in (plain, wrapped):
        drive(graph, "invoke", START_INPUT, THREAD)
        drive(graph, "invoke", None, THREAD)
        graph.update_state(THREAD, {"messages": [AIMessage("edited", id="e")]}, as_node="model")
        drive(graph, "invoke", None, THREAD)
    assert _history(wrapped) == _history(plain)


def test_a_hung_speculation_does_not_hold_up_an_interrupt(world: World) -> None:
    """
    A run that stops for a person ends at once, whatever still hangs.
    """

    def hang(id: int) -> str:
        "Hang when run early."
        world.begin("hang")
        world.release.wait(20)
        return "late"

    def confirm(question: str) -> str:
        "Ask."
        return str(interrupt(question))

    script = [ask(("confirm", {"question": "?"})), AIMessage("done")]
    graph = speculate(
        tool_node_graph(
            ScriptedModel(script=script, during=lambda turn: world.wait_for("hang")),
            [make_tool("hang", hang), make_tool("confirm", confirm)],
            checkpointer=InMemorySaver(),
        ),
        {"tools": {"hang": True}},
        predictor=Fixed(("hang", {"id": 1})),
    )
    done = threading.Event()

    def run() -> None:
        graph.invoke(START_INPUT, THREAD)
        done.set()

    threading.Thread(target=run, daemon=True).start()
    assert done.wait(5)
