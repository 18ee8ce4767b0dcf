"""`SpeculationMiddleware` in `create_agent`: the plain agent's run, next to other middleware and however it ends."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Any, ClassVar

import pytest
from agents import (
    ASYNC_WAYS,
    EAGERLY,
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
    agent_graph,
    ask,
    canonical,
    drive,
    in_steps,
    make_tool,
    notebook,
    outcome,
)
from conftest import speculating_threads
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelRetryMiddleware,
    ToolCallLimitMiddleware,
    ToolRetryMiddleware,
    after_model,
    before_model,
    wrap_model_call,
    wrap_tool_call,
)
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command

from langgraph_speculate import MisplacedMiddleware, SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.core import History

THREAD: dict[str, Any] = {"configurable": {"thread_id": "t"}}


def _by_node(chunk: Any) -> Any:
    return tuple(chunk) if isinstance(chunk, dict) else None


def _nothing() -> list[Any]:
    return []


def _limited() -> list[Any]:
    return [ToolCallLimitMiddleware(run_limit=2)]


BESIDE: dict[str, Any] = {
    "alone": _nothing,
    "retry_before": lambda: [ToolRetryMiddleware(max_retries=1, initial_delay=0)],
    "limit": _limited,
    "limit_of_a_tool": lambda: [ToolCallLimitMiddleware(tool_name="write", run_limit=1)],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("beside", BESIDE)
def test_an_agent_with_the_middleware_equals_the_plain_one(beside: str, way: str) -> None:
    """
    State and chunks, next to retries and call limits; reads are adopted.
    """
    plain = agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(World(), "both"), middleware=BESIDE[beside]())
    middleware = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    world = World()
    agent = agent_graph(
        ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005),
        notebook(world, "both"),
        middleware=[*BESIDE[beside](), middleware],
    )
    expected = in_steps(drive(plain, way), _by_node)
    assert in_steps(drive(agent, way), _by_node) == expected
    stats = middleware.speculation.stats()
    assert stats.hits == (2 if beside == "limit" else NOTEBOOK_HITS)
    assert world.count("write") == (0 if beside == "limit" else 1)
    gc.collect()
    assert middleware.speculation.stats().runs == 1


@pytest.mark.parametrize("way", WAYS)
def test_retry_middleware_may_follow(way: str) -> None:
    """
    A retry further in repeats the real call; a tool that fails at first answers as in the plain agent.
    """

    def build(world: World, middleware: list[Any], pace_s: float) -> Any:
        def flaky(id: int) -> str:
            world.begin("flaky")
            if world.count("flaky") < 3:
                raise ValueError("not yet")
            return "fine"

        return agent_graph(
            ScriptedModel(script=script, pace_s=pace_s), [make_tool("flaky", flaky, "both")], middleware=middleware
        )

    def retry() -> list[Any]:
        return [
            ToolRetryMiddleware(max_retries=4, initial_delay=0, jitter=False),
            ModelRetryMiddleware(max_retries=1),
        ]

    script = [ask(("flaky", {"id": 1})), AIMessage("done")]
    mine = SpeculationMiddleware({"tools": {"flaky": True}}, predictor=Oracle(script))
    world = World()
    agent = build(world, [mine, *retry()], 0.005)
    assert canonical(drive(agent, way)[-1]) == canonical(drive(build(World(), retry(), 0.0), way)[-1])
    assert world.count("flaky") == 3


@wrap_tool_call  # type: ignore[arg-type]
def _guard(request: Any, handler: Any) -> Any:
    return handler(request)


@wrap_model_call  # type: ignore[arg-type]
def _fallback(request: Any, handler: Any) -> Any:
    return handler(request)


def _no_model(messages: Any) -> ValueError:
    """A fresh error each time: one that is kept would keep the frames of its run."""
    return ValueError("no model")


class _Custom(AgentMiddleware):
    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await handler(request)


@pytest.mark.parametrize(
    "after",
    [HumanInTheLoopMiddleware({"read": True}), _guard, _fallback, _Custom()],
    ids=lambda one: type(one).__name__,
)
def test_middleware_that_would_be_overtaken_is_refused_when_the_agent_is_built(after: Any) -> None:
    """
    The message names what stands in the wrong place, and the remedy.
    """
    with pytest.raises(MisplacedMiddleware, match=type(after).__name__) as caught:
        agent_graph(
            ScriptedModel(script=NOTEBOOK_SCRIPT),
            notebook(World()),
            middleware=[SpeculationMiddleware(NOTEBOOK_POLICY), after],
        )
    assert "end of the list" in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_hooks_around_nodes_may_follow(world: World) -> None:
    """
    `before_model` overtakes nothing, and neither does an `after_model` that says it leaves calls alone.
    """

    @before_model
    def before(state: Any, runtime: Any) -> Any:
        return None

    @after_model
    def after(state: Any, runtime: Any) -> Any:
        return None

    for transparent, hits in (("after",), NOTEBOOK_HITS), ((), 0):
        policy = {**NOTEBOOK_POLICY, "transparent": transparent}
        middleware = SpeculationMiddleware(policy, predictor=Oracle(NOTEBOOK_SCRIPT))
        agent = agent_graph(
            ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), notebook(world), middleware=[middleware, before, after]
        )
        agent.invoke(START_INPUT)
        assert middleware.speculation.stats().hits == hits


@pytest.mark.parametrize("mode", ["batched", "per_call"])
@pytest.mark.parametrize("way", WAYS)
async def test_a_tool_that_waits_for_approval_never_runs_before_it(way: str, mode: str, world: World) -> None:
    """
    HumanInTheLoopMiddleware before it: no body before the decision, one after.
    """
    script = [ask(("read", {"id": 1}), ("find", {"query": "q"})), AIMessage("done")]
    middleware = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Oracle(script))
    agent = agent_graph(
        ScriptedModel(script=script, pace_s=0.005),
        notebook(world, "both"),
        middleware=[HumanInTheLoopMiddleware({"read": True}, interrupt_mode=mode), middleware],
        checkpointer=InMemorySaver(),
    )
    await asyncio.to_thread(drive, agent, way, START_INPUT, THREAD)
    assert world.count("read") == 0
    given = {"type": "approve"}
    resume = Command(resume={"decisions": [given]} if mode == "batched" else given)
    await asyncio.to_thread(drive, agent, way, resume, THREAD)
    assert world.count("read") == 1
    assert middleware.speculation.stats().by_tool["read"].launched == 0
    reasons = {verdict.tool: verdict.reason for verdict in middleware.speculation.explain()}
    assert reasons["read"] == "gated"


@pytest.mark.parametrize("stop", [{"interrupt_before": ["tools"]}, {"interrupt_after": ["model"]}], ids=repr)
@pytest.mark.parametrize("way", WAYS)
def test_nothing_runs_before_a_static_interrupt_of_the_agent(way: str, stop: Any, world: World) -> None:
    """
    Interrupts given to `create_agent` are seen when it is built.
    """
    script = [ask(("read", {"id": 1})), AIMessage("done")]
    middleware = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Oracle(script))
    agent = agent_graph(
        ScriptedModel(script=script, pace_s=0.005),
        notebook(world, "both"),
        middleware=[middleware],
        checkpointer=InMemorySaver(),
        **stop,
    )
    drive(agent, way, START_INPUT, THREAD)
    assert world.log == []
    drive(agent, way, None, THREAD)
    assert world.count("read") == 1
    assert middleware.speculation.stats().launched == 0


@pytest.mark.parametrize("way", WAYS)
def test_nothing_runs_before_a_static_interrupt_of_the_call(way: str, world: World) -> None:
    """
    `invoke(..., interrupt_before=["tools"])` waits for a person as well.
    """
    script = [ask(("read", {"id": 1})), AIMessage("done")]
    middleware = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Oracle(script))
    agent = agent_graph(
        ScriptedModel(script=script, pace_s=0.005),
        notebook(world, "both"),
        middleware=[middleware],
        checkpointer=InMemorySaver(),
    )
    drive(agent, way, START_INPUT, THREAD, interrupt_before=["tools"])
    assert world.log == []


def test_a_middleware_that_is_not_seen_runs_nothing(world: World) -> None:
    """
    An agent built by something else than `create_agent` shows nothing of what stands beside it: nothing runs ahead.
    """
    middleware = SpeculationMiddleware(NOTEBOOK_POLICY)
    explained = middleware.speculation.explain()
    assert explained == ()
    middleware._meet(notebook(world))
    assert {verdict.reason for verdict in middleware.speculation.explain()} == {"blocked", "undeclared"}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", ["tool", "model", "bad_arguments", "unknown_tool"])
def test_errors_are_those_of_the_plain_agent(error: str, way: str) -> None:
    """
    Same exception or same message, whatever fails.
    """

    def fail(id: int) -> str:
        raise ValueError("broken")

    first = {
        "tool": ask(("fail", {"id": 1})),
        "model": ask(("fine", {"id": 1})),
        "bad_arguments": ask(("fail", {"id": "x"})),
        "unknown_tool": ask(("nothing", {"id": 1})),
    }[error]
    script = [first, _no_model if error == "model" else AIMessage("done")]

    def build(middleware: list[Any], pace_s: float) -> Any:
        def fine(id: int) -> str:
            return "fine"

        tools = [make_tool("fail", fail, "both"), make_tool("fine", fine, "both")]
        return agent_graph(ScriptedModel(script=script, pace_s=pace_s), tools, middleware=middleware)

    class PassThrough(AgentMiddleware):
        """Any wrapping middleware changes how `create_agent` treats unknown tools: compare like with like."""

        def wrap_tool_call(self, request: Any, handler: Any) -> Any:
            return handler(request)

        async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
            return await handler(request)

    policy = {"tools": {"fail": True, "fine": True}}
    agent = build([SpeculationMiddleware(policy, predictor=Oracle(script))], 0.01)
    plain = build([PassThrough()], 0.0)
    assert outcome(lambda: drive(agent, way)) == outcome(lambda: drive(plain, way))


ENDINGS = ("normal", "break", "model_error", "recursion_limit", "timeout")


def _ending_cells() -> list[Any]:
    return [
        pytest.param(
            ending,
            hung,
            native,
            id=f"{ending}-{'hung' if hung else 'finished'}-{'task' if native else 'thread'}",
        )
        for ending in ENDINGS
        for hung in (True, False)
        for native in (True, False)
    ]


@pytest.mark.parametrize(("ending", "hung", "native"), _ending_cells())
def test_an_async_run_with_the_middleware_leaves_nothing_behind(
    ending: str, hung: bool, native: bool, world: World
) -> None:
    """
    There is no hook for the end of a run; when the run's objects are gone, its tasks are too.
    """

    def slow(id: int) -> str:
        "Look."
        world.begin("slow")
        if hung:
            world.release.wait(20)
        return "slow"

    async def aslow(id: int) -> str:
        "Look."
        world.begin("slow")
        if hung:
            await asyncio.sleep(20)
        return "slow"

    def quick(id: int) -> str:
        return "quick"

    async def during(turn: int) -> None:
        while turn == 0 and not world.log:
            await asyncio.sleep(0.001)
        if ending == "timeout":
            asyncio.get_running_loop().call_soon(lambda: limits[0].reschedule(0.0))
            await asyncio.sleep(20)

    limits: list[asyncio.Timeout] = []
    second: dict[str, Any] = {"model_error": _no_model, "recursion_limit": ask(("quick", {"id": 1}))}
    script = [ask(("quick", {"id": 1})), second.get(ending, AIMessage("done"))]
    middleware = SpeculationMiddleware({"tools": {"slow": True}}, predictor=Fixed(("slow", {"id": 1})))
    made = (
        StructuredTool.from_function(coroutine=aslow, name="slow")
        if native
        else StructuredTool.from_function(func=slow, name="slow")
    )

    async def run() -> None:
        agent = agent_graph(
            ScriptedModel(script=script, during=during), [made, make_tool("quick", quick)], middleware=[middleware]
        )
        if ending == "break":
            chunks = agent.astream(START_INPUT)
            async for _ in chunks:
                break
            await chunks.aclose()
        elif ending == "timeout":
            limits.append(asyncio.timeout(20))
            with pytest.raises(TimeoutError):
                async with limits[0]:
                    await agent.ainvoke(START_INPUT)
        elif ending == "normal":
            await agent.ainvoke(START_INPUT)
        else:
            with pytest.raises((ValueError, RecursionError)):
                await agent.ainvoke(START_INPUT, {"recursion_limit": 4})

    async def main() -> None:
        before = asyncio.all_tasks()
        await run()
        deadline = time.monotonic() + 1
        while asyncio.all_tasks() != before and time.monotonic() < deadline:
            gc.collect()
            await asyncio.sleep(0.01)
        assert asyncio.all_tasks() == before

    asyncio.run(main())
    gc.collect()
    until = time.monotonic() + 10  # a thread ends what was collected
    while not middleware.speculation.stats().runs and time.monotonic() < until:
        time.sleep(0.002)
    assert middleware.speculation.stats().runs == 1
    world.release.set()
    for thread in speculating_threads():
        thread.join(5)
    assert not speculating_threads()


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_failed_in_its_model_is_over_although_somebody_keeps_the_error(way: str, world: World) -> None:
    """
    A log, a monitor or an `except` clause holds on to the error: that keeps no speculation running.
    """
    script = [ask(("find", {"query": "a"})), _no_model]
    middleware = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Oracle(script))
    agent = agent_graph(ScriptedModel(script=script, pace_s=0.005), notebook(world, "both"), middleware=[middleware])
    with pytest.raises(ValueError, match="no model") as kept:
        drive(agent, way)
    gc.collect()
    runs = middleware.speculation.stats().runs
    kept.value.__traceback__ = None
    assert runs == 1


@pytest.mark.parametrize("way", WAYS)
def test_one_middleware_may_serve_two_agents(way: str) -> None:
    """
    Two agents whose tools share a name: neither gets the other's answer.
    """
    script = [ask(("look", {"id": 1})), AIMessage("done")]
    middleware = SpeculationMiddleware({"tools": {"look": True}}, predictor=Oracle(script))

    def build(answer: str) -> Any:
        def look(id: int) -> str:
            return answer

        return agent_graph(
            ScriptedModel(script=script, pace_s=0.01), [make_tool("look", look, "both")], middleware=[middleware]
        )

    left, right = build("left"), build("right")
    for _ in range(2):
        assert "left" in str(drive(left, way))
        assert "right" in str(drive(right, way))


@pytest.mark.parametrize("way", WAYS)
def test_an_approval_of_one_agent_is_not_forgotten_when_another_is_built(way: str, world: World) -> None:
    """
    One middleware in two agents, the first of which asks a person: building the second lifts nothing.
    """
    script = [ask(("read", {"id": 1})), AIMessage("done")]
    middleware = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Oracle(script))

    def build(beside: list[Any], **settings: Any) -> Any:
        model = ScriptedModel(script=script, pace_s=0.005)
        return agent_graph(
            model, notebook(world, "both"), middleware=[*beside, middleware], checkpointer=InMemorySaver(), **settings
        )

    asking = build([HumanInTheLoopMiddleware({"read": True})])
    build([])
    drive(asking, way, START_INPUT, THREAD)
    assert world.log == []
    stopping = build([], interrupt_before=["tools"])
    build([])
    drive(stopping, way, START_INPUT, THREAD)
    assert world.log == []


class _Denying(AgentMiddleware):
    """Lets no tool run."""

    def wrap_tool_call(self, request: Any, handler: Any) -> ToolMessage:
        return ToolMessage("denied", tool_call_id=request.tool_call["id"])

    async def awrap_tool_call(self, request: Any, handler: Any) -> ToolMessage:
        return self.wrap_tool_call(request, handler)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["guarded first", "guarded last"])
def test_what_one_agent_denies_is_not_run_ahead_once_another_is_built(
    order: tuple[int, int], way: str, world: World
) -> None:
    """
    One middleware in two agents, one of which lets no tool run: in neither order of building does a body run there.
    """
    script = [ask(("read", {"id": 1})), AIMessage("done")]
    middleware = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Oracle(script))

    def build(beside: list[Any]) -> Any:
        model = ScriptedModel(script=script, pace_s=0.005)
        return agent_graph(model, notebook(world, "both"), middleware=[*beside, middleware])

    agents = {at: build([[_Denying()], []][at]) for at in order}
    assert "denied" in str(drive(agents[0], way))
    assert world.log == []


@pytest.mark.parametrize("way", WAYS)
def test_a_limit_of_one_agent_holds_once_another_is_built(way: str, world: World) -> None:
    """
    One middleware in two agents, the first of which has a limit on calls that guesses may not spend.
    """
    script = [ask(("read", {"id": 1})), AIMessage("done")]
    middleware = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Fixed(("read", {"id": 2})))

    def build(beside: list[Any]) -> Any:
        model = ScriptedModel(script=script, pace_s=0.005)
        return agent_graph(model, notebook(world, "both"), middleware=[*beside, middleware])

    limited = build([ToolCallLimitMiddleware(tool_name="read", run_limit=1)])
    build([HumanInTheLoopMiddleware({"write": True})])
    drive(limited, way)
    assert world.log == [("read", {"id": 1, "detail": "short"})]


@pytest.mark.parametrize("way", WAYS)
def test_a_wrapped_agent_with_the_middleware_answers_as_the_plain_one(way: str) -> None:
    """
    Both at once is a mistake, and a harmless one.
    """
    middleware = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    world = World()
    agent = agent_graph(
        ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), notebook(world, "both"), middleware=[middleware]
    )
    both = speculate(agent, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    plain = agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(World(), "both"))
    assert canonical(drive(both, way)[-1]) == canonical(drive(plain, way)[-1])
    assert world.count("write") == 1
    assert middleware.speculation.stats().hits >= NOTEBOOK_HITS
    assert speculation_of(both).stats().launched == 0  # not each guess twice
    assert "blocked" in {verdict.reason for verdict in speculation_of(both).explain()}


@pytest.mark.parametrize("way", WAYS)
def test_runs_of_one_agent_in_one_node_are_runs_of_their_own(way: str) -> None:
    """
    A node may run an agent twice. What is true of the first run (whose it is, where it stops) is not of the second,
    although LangGraph gives both one stream writer where the graph around them is streamed with its subgraphs.
    """
    read: list[str] = []

    def get(config: RunnableConfig) -> str:
        "Get it."
        read.append(config["configurable"]["user_id"])
        return "x"

    def fail() -> str:
        "Fail."
        raise ValueError("boom")

    class Learning(Fixed):
        learned: ClassVar[list[tuple[str, list[str]]]] = []

        def learn(self, history: History, calls: Any) -> None:
            self.learned.append((history.origin.partition, [call.name for call in calls]))

    predictor = Learning(("get", {}))
    policy = {"partition_by": ["user_id"], "tools": {"get": EAGERLY}}
    middleware = SpeculationMiddleware(policy, predictor=predictor)
    script = [lambda messages: ask((messages[-1].content, {})), AIMessage("done")]
    tools = [StructuredTool.from_function(tool) for tool in (get, fail)]
    agent = agent_graph(ScriptedModel(script=script, pace_s=0.02), tools, middleware=[middleware])

    def node(_state: State) -> None:
        with pytest.raises(ValueError, match="boom"):
            agent.invoke({"messages": [("user", "fail")]}, {"configurable": {"user_id": "ann"}})
        agent.invoke({"messages": [("user", "get")]}, {"configurable": {"user_id": "bob"}}, interrupt_before=["tools"])

    graph = StateGraph(State).add_node("node", node).add_edge(START, "node").compile()
    drive(graph, way, START_INPUT, **({"subgraphs": True} if "stream" in way else {}))
    assert read.count("bob") == 0  # it stops before its tools
    assert predictor.learned == [("['ann']", ["fail"]), ("['bob']", ["get"])]


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_subagent_in_a_tool_with_the_same_middleware_answers_as_the_plain_one(way: str) -> None:
    """
    A tool that runs an agent of its own, which shares the middleware.
    """

    def build(middleware: list[Any], pace_s: float) -> Any:
        inner = agent_graph(
            ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=pace_s), notebook(World(), "both"), middleware=middleware
        )

        async def delegate(id: int) -> str:
            "Ask another agent."
            return str((await inner.ainvoke(START_INPUT))["messages"][-1].content)

        tool = StructuredTool.from_function(coroutine=delegate, name="delegate")
        return agent_graph(ScriptedModel(script=script, pace_s=pace_s), [tool], middleware=middleware)

    script = [ask(("delegate", {"id": 1})), AIMessage("all done")]
    middleware = SpeculationMiddleware(predictor=Oracle(NOTEBOOK_SCRIPT))
    assert canonical(drive(build([middleware], 0.01), way)[-1]) == canonical(drive(build([], 0.0), way)[-1])
