"""Runs beside each other never see each other's results, and never a value that was written over meanwhile."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest
from agents import (
    EAGERLY,
    GRAPHS,
    START_INPUT,
    Fixed,
    Oracle,
    ScriptedModel,
    State,
    World,
    agent_graph,
    ask,
    hand_written_graph,
    make_tool,
    tool_node_graph,
)
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.host.results import handed_over
from langgraph_speculate.host.sandbox import mark

SCRIPT = [ask(("whoami", {"id": 1}), ("inbox", {"id": 1})), ask(("inbox", {"id": 2})), AIMessage("done")]
POLICY: dict[str, Any] = {"tools": {"whoami": EAGERLY, "inbox": EAGERLY}}
TENANT: ContextVar[str] = ContextVar("tenant")


def _personal_tools() -> list[BaseTool]:
    @tool
    def whoami(id: int, config: RunnableConfig) -> str:
        "Who is asking."
        return f"whoami {config['configurable']['user']}"

    @tool
    async def inbox(id: int, config: RunnableConfig) -> str:
        "Messages of the one who asks."
        await asyncio.sleep(0.005)
        return f"inbox {config['configurable']['user']}"

    @tool("inbox")
    def sync_inbox(id: int, config: RunnableConfig) -> str:
        "Messages of the one who asks."
        return f"inbox {config['configurable']['user']}"

    inbox.func = sync_inbox.func  # type: ignore[attr-defined]
    return [whoami, inbox]


def _foreign(result: Any, user: str) -> list[str]:
    answers = [message.content for message in result["messages"] if message.type == "tool"]
    assert len(answers) == 3
    return [answer for answer in answers if answer.split()[1] != user]


@pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "unbounded"])
@pytest.mark.parametrize("kind", GRAPHS)
def test_sixty_concurrent_async_runs_get_their_own_answers(kind: str, bounded: bool) -> None:
    """
    Same graph, same call ids, same arguments, another user each: no answer is another run's.
    """

    async def main() -> None:
        users = [f"u{number}" for number in range(60)]
        results = await asyncio.gather(*(graph.ainvoke(START_INPUT, {"configurable": {"user": u}}) for u in users))
        assert not [wrong for user, result in zip(users, results, strict=True) for wrong in _foreign(result, user)]

    graph = speculate(
        GRAPHS[kind](ScriptedModel(script=SCRIPT, pace_s=0.005), _personal_tools()),
        POLICY,
        predictor=Oracle(SCRIPT, bounded=bounded),
    )
    asyncio.run(main())
    stats = speculation_of(graph).stats()
    assert stats.real_calls == 180
    assert stats.hits > 0
    assert stats.hits + stats.wasted == stats.launched


@pytest.mark.parametrize("kind", GRAPHS)
def test_threads_running_one_graph_get_their_own_answers(kind: str) -> None:
    """
    24 threads, two runs each.
    """
    graph = speculate(
        GRAPHS[kind](ScriptedModel(script=SCRIPT, pace_s=0.01), _personal_tools()), POLICY, predictor=Oracle(SCRIPT)
    )
    start = threading.Barrier(24)

    def run(number: int) -> list[str]:
        start.wait(10)
        user = f"u{number}"
        return [
            wrong
            for _ in range(2)
            for wrong in _foreign(graph.invoke(START_INPUT, {"configurable": {"user": user}}), user)
        ]

    with ThreadPoolExecutor(24) as pool:
        assert not [wrong for wrongs in pool.map(run, range(24)) for wrong in wrongs]
    assert speculation_of(graph).stats().hits > 0


@pytest.mark.parametrize("run_async", [True, False], ids=["async", "threads"])
def test_runs_with_the_middleware_get_their_own_answers(run_async: bool) -> None:
    """
    The middleware keeps runs apart by itself.
    """
    middleware = SpeculationMiddleware(POLICY, predictor=Oracle(SCRIPT))
    graph = agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.005), _personal_tools(), middleware=[middleware])
    users = [f"u{number}" for number in range(40 if run_async else 16)]

    async def main() -> list[Any]:
        return await asyncio.gather(*(graph.ainvoke(START_INPUT, {"configurable": {"user": u}}) for u in users))

    def run(user: str) -> Any:
        return graph.invoke(START_INPUT, {"configurable": {"user": user}})

    if run_async:
        results = asyncio.run(main())
    else:
        with ThreadPoolExecutor(16) as pool:
            results = list(pool.map(run, users))
    assert not [wrong for user, result in zip(users, results, strict=True) for wrong in _foreign(result, user)]
    assert middleware.speculation.stats().hits > 0


def _tenant_tool(native: bool) -> BaseTool:
    if native:

        @tool
        async def tenant(id: int) -> str:
            "Which tenant this is."
            return TENANT.get("nobody")

        return tenant

    @tool("tenant")
    def sync_tenant(id: int) -> str:
        "Which tenant this is."
        return TENANT.get("nobody")

    return sync_tenant


def _tenants(made: BaseTool, policy: dict[str, Any]) -> tuple[list[str], int]:
    """The answers of ten runs beside each other, one a tenant, and how many of them were adopted."""
    script = [ask(("tenant", {"id": 1})), AIMessage("done")]
    graph = speculate(agent_graph(ScriptedModel(script=script, pace_s=0.01), [made]), policy, predictor=Oracle(script))

    async def one(name: str) -> str:
        TENANT.set(name)
        return str((await graph.ainvoke(START_INPUT))["messages"][-2].content)

    async def main() -> list[str]:
        return await asyncio.gather(*(one(f"t{number}") for number in range(10)))

    return asyncio.run(main()), speculation_of(graph).stats().hits


@pytest.mark.parametrize("native", [False, True], ids=["thread", "task"])
def test_a_listed_context_variable_has_the_runs_value_in_early_bodies(native: bool) -> None:
    """
    Ten runs at once, a tenant each: every adopted answer is the own tenant's.
    """
    answers, hits = _tenants(_tenant_tool(native), {"tools": {"tenant": EAGERLY}, "propagate_context": [TENANT]})
    assert answers == [f"t{number}" for number in range(10)]
    assert hits == 10


@pytest.mark.parametrize("native", [False, True], ids=["thread", "task"])
def test_a_tool_that_reads_an_unlisted_context_variable_never_runs_ahead(native: bool) -> None:
    """
    It would see the variable unset and answer for nobody; the real call answers for its own tenant.
    """
    answers, hits = _tenants(_tenant_tool(native), {"tools": {"tenant": EAGERLY}})
    assert answers == [f"t{number}" for number in range(10)]
    assert hits == 0


@pytest.mark.parametrize("native", [False, True], ids=["thread", "task"])
def test_an_unlisted_context_variable_behind_a_wrapper_of_another_module_changes_no_answer(native: bool) -> None:
    """
    The body is wrapped by a function of another package (a decorator without `functools.wraps`): still the plain
    graph's answers.
    """

    def tenant(id: int) -> str:
        return TENANT.get("nobody")

    answers, _ = _tenants(make_tool("tenant", tenant, "async" if native else "sync"), {"tools": {"tenant": EAGERLY}})
    assert answers == [f"t{number}" for number in range(10)]


# -- stale reads -----------------------------------------------------------------------------------------------------

TEMPLATED = {
    "read": {**EAGERLY, "reads": ["note:{id}"]},
    "write": {"writes": ["note:{id}"]},
}
DECLARED: dict[str, dict[str, Any]] = {"templates": {"tools": TEMPLATED}, "undeclared": {"tools": {"read": EAGERLY}}}


def _shared_notebook(world: World, during_write: Any = None) -> list[BaseTool]:
    def read(id: int) -> str:
        "Read a note."
        text = world.notes[id]
        world.begin("read", id=id, text=text)
        world.end("read", id=id, text=text)
        return text

    def write(id: int, text: str) -> str:
        "Write a note."
        world.begin("write", id=id)
        if during_write is not None:
            during_write()
        world.notes[id] = text
        world.end("write", id=id)
        return "written"

    return [make_tool("read", read), make_tool("write", write)]


@pytest.mark.parametrize("build", [agent_graph, tool_node_graph, hand_written_graph])
@pytest.mark.parametrize("declared", DECLARED)
def test_a_write_of_another_run_makes_an_early_read_stale(declared: str, build: Any, world: World) -> None:
    """
    Run B has read early when run A writes; B's real read runs again and sees what A wrote.
    """
    written = threading.Event()

    def during(turn: int) -> None:
        if turn == 0 and threading.current_thread().name.startswith("reader"):
            world.wait_for("read", ended=True)
            may_write.set()
            assert written.wait(5)

    may_write = threading.Event()
    reader = ScriptedModel(script=[_of_user(ask(("read", {"id": 1})), ask(("write", {"id": 1, "text": "new"})))])
    script = [reader.script[0], AIMessage("done")]
    graph = speculate(
        build(ScriptedModel(script=script, during=during), _shared_notebook(world)),
        DECLARED[declared],
        predictor=Fixed(("read", {"id": 1})),
    )

    def write() -> None:
        assert may_write.wait(5)
        graph.invoke({"messages": [("user", "write")]}, {"max_concurrency": 1})
        written.set()

    with ThreadPoolExecutor(1, thread_name_prefix="writer") as pool:
        pending = pool.submit(write)
        result = _in_thread("reader", lambda: graph.invoke({"messages": [("user", "read")]}))
        pending.result(5)
    assert [m.content for m in result["messages"] if m.type == "tool"] == ["new"]
    assert speculation_of(graph).stats().discarded.get("stale", 0) >= 1


def _of_user(read: AIMessage, write: AIMessage) -> Any:
    return lambda messages: write if messages[0].content == "write" else read


def _in_thread(name: str, run: Any) -> Any:
    """Run in a thread of that name; LangGraph runs single tasks in the caller's thread."""
    with ThreadPoolExecutor(1, thread_name_prefix=name) as pool:
        return pool.submit(run).result(10)


@pytest.mark.parametrize("declared", DECLARED)
def test_nothing_is_read_early_while_it_is_being_written(declared: str, world: World) -> None:
    """
    A read that would begin during an overlapping write is denied, and the real call sees the written value.
    """
    writing, go_on = threading.Event(), threading.Event()

    def during_write() -> None:
        writing.set()
        assert go_on.wait(5)

    script = [_of_user(ask(("read", {"id": 1})), ask(("write", {"id": 1, "text": "new"}))), AIMessage("done")]
    graph = speculate(
        tool_node_graph(ScriptedModel(script=script), _shared_notebook(world, during_write)),
        DECLARED[declared],
        predictor=Fixed(("read", {"id": 1})),
    )
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(graph.invoke, {"messages": [("user", "write")]})
        assert writing.wait(5)
        before = speculation_of(graph).stats().launched
        chunks = graph.stream({"messages": [("user", "read")]})
        next(chunks)
        assert speculation_of(graph).stats().launched == before
        assert speculation_of(graph).stats().denied.get("pending_write", 0) >= 1
        go_on.set()
        pending.result(5)
        assert "new" in str(list(chunks))


def test_a_write_to_something_else_leaves_an_early_read_alone(world: World) -> None:
    """
    With templates, a write of note 2 in the same message does not spoil the read of note 1.
    """
    script = [ask(("write", {"id": 2, "text": "x"}), ("read", {"id": 1})), AIMessage("done")]
    graph = speculate(
        hand_written_graph(ScriptedModel(script=script, pace_s=0.01), _shared_notebook(world)),
        DECLARED["templates"],
        predictor=Oracle(script),
    )
    graph.invoke(START_INPUT)
    assert speculation_of(graph).stats().hits == 1


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
@pytest.mark.parametrize("declared", DECLARED)
def test_a_write_before_a_read_in_one_message_is_seen_by_the_read(declared: str, way: str, world: World) -> None:
    """
    A sequential node writes, then reads what it wrote: the early value is not adopted.
    """
    from agents import drive

    script = [ask(("write", {"id": 1, "text": "new"}), ("read", {"id": 1})), AIMessage("done")]
    graph = speculate(
        hand_written_graph(ScriptedModel(script=script, pace_s=0.01), _shared_notebook(world)),
        DECLARED[declared],
        predictor=Oracle(script),
    )
    result = drive(graph, way)[-1]
    assert [m.content for m in result["messages"] if m.type == "tool"] == ["written", "new"]
    assert speculation_of(graph).stats().discarded == {"stale": 1}


@pytest.mark.parametrize("partitioned", [True, False])
def test_partitions_do_not_spoil_each_others_reads(partitioned: bool, world: World) -> None:
    """
    With `partition_by`, a write of another tenant leaves this tenant's early read valid; without, it does not.
    """
    written = threading.Event()

    def during(turn: int) -> None:
        if turn == 0 and threading.current_thread().name.startswith("reader"):
            world.wait_for("read", ended=True)
            _in_thread("writer", lambda: graph.invoke({"messages": [("user", "write")]}, _tenant("b")))
            written.set()

    script = [_of_user(ask(("read", {"id": 1})), ask(("write", {"id": 1, "text": "new"}))), AIMessage("done")]
    graph = speculate(
        tool_node_graph(ScriptedModel(script=script, during=during), _shared_notebook(world)),
        {**DECLARED["templates"], **({"partition_by": ["tenant"]} if partitioned else {})},
        predictor=Fixed(("read", {"id": 1})),
    )
    _in_thread("reader", lambda: graph.invoke({"messages": [("user", "read")]}, _tenant("a")))
    assert written.is_set()
    assert speculation_of(graph).stats().by_tool["read"].hits == (1 if partitioned else 0)


def _tenant(name: str) -> dict[str, Any]:
    return {"configurable": {"tenant": name}}


def test_a_write_under_a_wrapped_copy_counts(world: World) -> None:
    """
    `with_config` and `copy` share the resources of the graph they were made of.
    """
    done = threading.Event()

    def during(turn: int) -> None:
        if turn == 0 and threading.current_thread().name.startswith("reader"):
            world.wait_for("read", ended=True)
            _in_thread("writer", lambda: copied.invoke({"messages": [("user", "write")]}))
            done.set()

    script = [_of_user(ask(("read", {"id": 1})), ask(("write", {"id": 1, "text": "new"}))), AIMessage("done")]
    graph = speculate(
        tool_node_graph(ScriptedModel(script=script, during=during), _shared_notebook(world)),
        DECLARED["templates"],
        predictor=Fixed(("read", {"id": 1})),
    )
    copied = graph.with_config({"tags": ["copy"]}).copy({"checkpointer": None})
    result = _in_thread("reader", lambda: graph.invoke({"messages": [("user", "read")]}))
    assert done.is_set()
    assert [m.content for m in result["messages"] if m.type == "tool"] == ["new"]


def test_an_adopted_value_is_handed_out_once(world: World) -> None:
    """
    The same call twice in one message runs twice, as in the plain graph: one answer is adopted, one is read anew.
    """
    script = [ask(("read", {"id": 1}), ("read", {"id": 1})), AIMessage("done")]
    for build in (agent_graph, tool_node_graph, hand_written_graph):
        fresh = World()
        graph = speculate(
            build(ScriptedModel(script=script, pace_s=0.01), _shared_notebook(fresh)),
            DECLARED["templates"],
            predictor=Oracle(script),
        )
        graph.invoke(START_INPUT)
        assert speculation_of(graph).stats().hits == 1
        assert fresh.count("read") == 2


def test_a_mutable_result_is_not_shared_between_state_and_anything_kept(world: World) -> None:
    """
    Changing an adopted artifact afterwards changes nothing a later run gets.
    """

    def read(id: int) -> Any:
        "Read a note."
        return "text", {"rows": [world.notes[id]]}

    script = [ask(("read", {"id": 1})), AIMessage("done")]
    graph = speculate(
        agent_graph(
            ScriptedModel(script=script, pace_s=0.01), [make_tool("read", read, response_format="content_and_artifact")]
        ),
        {"tools": {"read": {**EAGERLY, "scope": "run"}}},
        predictor=Oracle(script),
    )
    first = graph.invoke(START_INPUT)["messages"][-2].artifact
    first["rows"].append("mine")
    assert graph.invoke(START_INPUT)["messages"][-2].artifact == {"rows": ["one"]}
    assert speculation_of(graph).stats().hits == 2


def test_users_of_one_saver_keep_their_threads_apart() -> None:
    """
    30 async runs on 15 threads of a checkpointer, two each one after the other.
    """
    graph = speculate(
        tool_node_graph(
            ScriptedModel(script=SCRIPT, pace_s=0.01), _personal_tools(), checkpointer=InMemorySaver(), state=State
        ),
        POLICY,
        predictor=Oracle(SCRIPT),
    )

    async def one(user: str) -> list[str]:
        config = {"configurable": {"user": user, "thread_id": user}}
        await graph.ainvoke(START_INPUT, config)
        result = await graph.ainvoke(START_INPUT, config)
        answers = [message.content for message in result["messages"] if message.type == "tool"]
        assert len(answers) == 6
        return [answer for answer in answers if answer.split()[1] != user]

    async def main() -> list[list[str]]:
        return await asyncio.gather(*(one(f"u{number}") for number in range(15)))

    assert not any(asyncio.run(main()))


def test_a_dict_that_holds_an_object_is_compared_value_by_value() -> None:
    """
    What has no key of its own does not hide that something beside it changed.
    """
    client = object()
    before = mark({"client": client, "tenant": {"id": 1}})
    assert before == mark({"tenant": {"id": 1}, "client": client})
    assert before != mark({"client": client, "tenant": {"id": 2}})
    assert before != mark({"client": object(), "tenant": {"id": 1}})


def test_a_result_in_a_cycle_is_handed_over_as_it_is() -> None:
    """
    It cannot be copied, and no call may fail for that.
    """
    value: list[Any] = [1]
    value.append(value)
    assert handed_over(value) is value
