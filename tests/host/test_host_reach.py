"""What wrapping sees of hand-written code: tools a node reaches, and what stands between a model and its tools."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    NOTEBOOK_HITS,
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    START_INPUT,
    Oracle,
    ScriptedModel,
    State,
    World,
    agent_graph,
    ask,
    drive,
    hand_written_graph,
    notebook,
    outcome,
    sync_only_graph,
    tool_node_graph,
)
from langchain.agents.middleware import wrap_tool_call
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, interrupt

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of

TENANT: ContextVar[str] = ContextVar("tenant_of_reach")
WORLD = World()
TOOLS = {tool.name: tool for tool in notebook(WORLD)}
FIND, READ, WRITE = TOOLS.values()
THREAD: dict[str, Any] = {"configurable": {"thread_id": "t"}}


def _by_variable(state: State) -> Any:
    answers = []
    for call in state["messages"][-1].tool_calls:
        chosen = TOOLS[call["name"]]
        answers.append(chosen.invoke(call))
    return {"messages": answers}


def _by_subscript(state: State) -> Any:
    answers = []
    for call in state["messages"][-1].tool_calls:
        answers.append(TOOLS[call["name"]].invoke(call))
    return {"messages": answers}


def _by_comprehension(state: State) -> Any:
    return {"messages": [TOOLS[call["name"]].invoke(call) for call in state["messages"][-1].tool_calls]}


def _by_inner_function(state: State) -> Any:
    def run(call: Any) -> Any:
        return TOOLS[call["name"]].invoke(call)

    return {"messages": list(map(run, state["messages"][-1].tool_calls))}


def _by_name(state: State) -> Any:
    answers = []
    for call in state["messages"][-1].tool_calls:
        if call["name"] == "find":
            answers.append(FIND.invoke(call))
        elif call["name"] == "read":
            answers.append(READ.invoke(call))
        else:
            answers.append(WRITE.invoke(call))
    return {"messages": answers}


@pytest.mark.parametrize(
    "node",
    [
        _by_variable,
        _by_name,
        _by_subscript,
        _by_comprehension,
        _by_inner_function,
    ],
)
def test_tools_in_globals_of_a_hand_written_node_are_found(node: Any) -> None:
    """
    A module-level table of tools, used as people write it.
    """
    graph = tool_node_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), list(TOOLS.values()), node)
    wrapped = speculate(graph, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    wrapped.invoke(START_INPUT)
    assert speculation_of(wrapped).stats().hits == NOTEBOOK_HITS


_SOURCELESS = """
def tenant(id: int) -> str:
    "Which tenant this is."
    return TENANT.get("nobody")
"""


def _sourceless() -> Any:
    namespace: dict[str, Any] = {"TENANT": TENANT, "__name__": __name__}
    exec(_SOURCELESS, namespace)
    return namespace["tenant"]


VARIABLES = {"tenant": TENANT}


def _in_a_table(id: int) -> str:
    "Which tenant this is."
    return str(VARIABLES["tenant"].get("nobody"))


@pytest.mark.parametrize(
    "body", [pytest.param(_sourceless(), id="without_source"), pytest.param(_in_a_table, id="in_a_table")]
)
def test_context_variables_are_noticed_however_the_code_is_written(body: Any) -> None:
    """
    Code without source (notebooks, compiled packages) or a variable in a table: the answer is the own tenant's.
    """
    script = [ask(("tenant", {"id": 1})), AIMessage("done")]
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.01), [StructuredTool.from_function(body, name="tenant")]),
        {"tools": {"tenant": True}},
        predictor=Oracle(script),
    )
    token = TENANT.set("acme")
    try:
        assert graph.invoke(START_INPUT)["messages"][-2].content == "acme"
    finally:
        TENANT.reset(token)


# -- between the model and its tools ---------------------------------------------------------------------------------


@wrap_tool_call  # type: ignore[arg-type]
def _forbid(request: Any, handler: Any) -> Any:
    return ToolMessage("forbidden", tool_call_id=request.tool_call["id"])


@pytest.mark.parametrize("by", ["speculate", "middleware"])
def test_no_body_runs_that_a_guard_around_tool_calls_forbids(by: str, world: World) -> None:
    """
    An unknown `wrap_tool_call` may be an authorisation check: what it would forbid must not have run.
    """
    oracle = Oracle(NOTEBOOK_SCRIPT)
    beside = [SpeculationMiddleware(NOTEBOOK_POLICY, predictor=oracle)] if by == "middleware" else []
    graph = agent_graph(
        ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), notebook(world), middleware=[_forbid, *beside]
    )
    if by == "speculate":
        graph = speculate(graph, NOTEBOOK_POLICY, predictor=oracle)
    graph.invoke(START_INPUT)
    assert world.log == []


def test_no_body_runs_before_a_node_that_asks_a_person_although_nobody_named_it(world: World) -> None:
    """
    A node that cannot be seen through stands between model and tools: nothing runs ahead until the owner says so.
    """
    tools = notebook(world)
    model = ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005)

    def call_model(state: State) -> Any:
        return {"messages": [model.bind_tools(tools).invoke(state["messages"])]}

    def approve(state: State) -> Command[Any]:
        return Command(goto="tools" if interrupt("ok?") == "yes" else END)

    builder = StateGraph(State)
    builder.add_node("model", call_model)
    builder.add_node("approve", approve, destinations=("tools", END))
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "model")
    builder.add_edge("model", "approve")
    builder.add_edge("tools", "model")
    graph = speculate(builder.compile(checkpointer=InMemorySaver()), NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    graph.invoke(START_INPUT, THREAD)
    assert world.log == []


def test_no_body_runs_before_a_tool_node_of_ones_own_has_asked_a_person() -> None:
    """
    A hand-written tool node that calls `interrupt()` before it runs its tools.
    """

    def asks(state: State) -> Any:
        if interrupt("ok?") != "yes":
            return {}
        answers = []
        for call in state["messages"][-1].tool_calls:
            chosen = TOOLS[call["name"]]
            answers.append(chosen.invoke(call))
        return {"messages": answers}

    graph = tool_node_graph(
        ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), list(TOOLS.values()), asks, checkpointer=InMemorySaver()
    )
    wrapped = speculate(graph, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    WORLD.log.clear()
    wrapped.invoke(START_INPUT, THREAD)
    assert WORLD.log == []


# -- venues ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_sync_nodes_in_async_runs_adopt_tools_with_both_bodies(way: str, world: World) -> None:
    """
    Nodes without an async twin call the sync body, also in an async run: guesses of it must not all go to waste.
    """
    graph = speculate(
        sync_only_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.01), notebook(world, "both")),
        NOTEBOOK_POLICY,
        predictor=Oracle(NOTEBOOK_SCRIPT),
    )
    for _ in range(3):
        drive(graph, way)
    assert speculation_of(graph).stats().hits > 0


# -- configs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_config_that_cannot_be_used_leaves_no_run_open(way: str, world: World) -> None:
    """
    The caller's mistake is theirs to see; nothing stays open because of it.
    """
    graph = speculate(agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(world)), NOTEBOOK_POLICY)
    assert "Error" in outcome(lambda: drive(graph, way, START_INPUT, {"callbacks": 3}))
    still_open = len(graph.speculation_engine._runs)
    speculation_of(graph).close()
    assert not still_open


@pytest.mark.parametrize("way", ["invoke", "stream", *ASYNC_WAYS])
@pytest.mark.parametrize("config", ["oops", {"callbacks": 3}, {"configurable": "oops"}], ids=str)
def test_a_config_that_cannot_be_used_fails_as_in_the_plain_graph(config: Any, way: str, world: World) -> None:
    """
    Same exception, same text.
    """
    plain = agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(world))
    wrapped = speculate(agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(world)), NOTEBOOK_POLICY)
    expected = outcome(lambda: drive(plain, way, START_INPUT, config))
    assert outcome(lambda: drive(wrapped, way, START_INPUT, config)) == expected


# -- what is looked at -----------------------------------------------------------------------------------------------


class Fluent:
    """A client that has an answer for every name, as REST clients have it."""

    def __init__(self, path: str = "") -> None:
        self._path = path

    def __getattr__(self, name: str) -> Fluent:
        ASKED.append(name)
        return Fluent(f"{self._path}/{name}")

    def __call__(self, **query: Any) -> str:
        return f"GET {self._path} {query}"


class Lazy:
    """An object that connects once it is asked for something."""

    @property
    def connection(self) -> Any:
        ASKED.append("connection")
        raise RuntimeError("no network while graphs are built")

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        ASKED.append("__dict__")
        raise RuntimeError("no context")

    @property
    def __class__(self) -> Any:
        ASKED.append("__class__")
        raise RuntimeError("no context")

    def __call__(self) -> str:
        return "here"


ASKED: list[str] = []
api = Fluent()


def _price(sku: str) -> str:
    "Look up a price."
    return api.prices.get(sku=sku)


def _through_a_property() -> Any:
    lazy = Lazy()

    def price(sku: str) -> str:
        "Look up a price."
        return str(lazy.connection.get(sku)) if sku == "none" else lazy()

    return price


@pytest.mark.parametrize("by", ["speculate", "middleware"])
@pytest.mark.parametrize("body", [_price, _through_a_property()], ids=["fluent", "lazy"])
def test_looking_at_a_tool_runs_nothing_of_what_it_holds(body: Any, by: str) -> None:
    """
    Clients with an answer for every name, properties that connect: none is asked before the tool runs.
    """
    script = [ask(("price", {"sku": "a"})), AIMessage("done")]
    tools = [StructuredTool.from_function(body, name="price")]
    oracle, policy = Oracle(script), {"tools": {"price": True}}
    inside = [SpeculationMiddleware(policy, predictor=oracle)] if by == "middleware" else []
    ASKED.clear()
    graph = agent_graph(ScriptedModel(script=script, pace_s=0.01), tools, middleware=inside)
    handle = inside[0].speculation if inside else None
    if by == "speculate":
        graph = speculate(graph, policy, predictor=oracle)
        handle = speculation_of(graph)
    assert ASKED == []
    graph.invoke(START_INPUT)
    assert handle is not None
    assert handle.stats().hits == 1


def test_looking_at_a_node_runs_nothing_of_what_it_holds(world: World) -> None:
    """
    The same for what model nodes and tool nodes hold.
    """

    def node(state: State) -> Any:
        api.audit.log(size=len(state["messages"]))
        return {"messages": [TOOLS[call["name"]].invoke(call) for call in state["messages"][-1].tool_calls]}

    graph = tool_node_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), list(TOOLS.values()), node)
    ASKED.clear()
    wrapped = speculate(graph, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    assert ASKED == []
    wrapped.invoke(START_INPUT)
    assert speculation_of(wrapped).stats().hits == NOTEBOOK_HITS


class _Odd(BaseTool):
    """A tool that does not say what it takes."""

    name: str = "odd"
    description: str = "Odd."

    @property
    def args(self) -> Any:
        raise LookupError("no arguments today")

    def _run(self, id: int) -> str:
        return str(id)


@pytest.mark.parametrize("by", ["speculate", "middleware"])
def test_a_tool_that_cannot_be_looked_at_stays_where_it_is_and_says_why(by: str, world: World) -> None:
    """
    It is the only one that does not run ahead; neither wrapping nor the run fails.
    """
    oracle, policy = Oracle(NOTEBOOK_SCRIPT), {"tools": {**NOTEBOOK_POLICY["tools"], "odd": True}}
    inside = [SpeculationMiddleware(policy, predictor=oracle)] if by == "middleware" else []
    model = ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005)
    graph = agent_graph(model, [*notebook(world), _Odd()], middleware=inside)
    handle = inside[0].speculation if inside else None
    if by == "speculate":
        graph = speculate(graph, policy, predictor=oracle)
        handle = speculation_of(graph)
    graph.invoke(START_INPUT)
    assert handle is not None
    assert handle.stats().hits == NOTEBOOK_HITS
    verdict = next(one for one in handle.explain() if one.tool == "odd")
    assert (verdict.allowed, verdict.reason) == (False, "unknown_tool")
    assert "LookupError: no arguments today" in verdict.detail


class _Own(BaseTool):
    """A tool that is a class of its own."""

    name: str = "own"
    description: str = "Its own."

    def _run(self) -> str:
        return "own"


def test_wrapping_again_does_not_make_our_variables_the_tools() -> None:
    """
    A tool that a hand-written node holds is made to adopt in place: the next look at it sees through that.
    """
    own, script = _Own(), [ask(("own", {})), AIMessage("done")]
    for _ in range(2):
        graph = hand_written_graph(ScriptedModel(script=script, pace_s=0.01), [own])
        graph = speculate(graph, {"tools": {"own": True}}, predictor=Oracle(script))
        graph.invoke(START_INPUT)
        assert speculation_of(graph).stats().hits == 1
