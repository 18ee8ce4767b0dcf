"""What speculate() wraps, what it leaves alone, and what it refuses."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from agents import (
    EAGERLY,
    GRAPHS,
    NOTEBOOK_HITS,
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    START_INPUT,
    WAYS,
    Oracle,
    ScriptedModel,
    State,
    World,
    agent_graph,
    ask,
    canonical,
    drive,
    hand_written_graph,
    make_tool,
    notebook,
    outcome,
    tool_node_graph,
)
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.pregel.remote import RemoteGraph
from langgraph.types import Command, Send

from langgraph_speculate import (
    PolicyError,
    SpeculationPolicy,
    UnsupportedGraph,
    speculate,
    speculation_of,
)

# -- nested graphs ---------------------------------------------------------------------------------------------------


def _outer(inner: Any, *more: Any) -> Any:
    builder = StateGraph(State)
    before = START
    for number, graph in enumerate((inner, *more)):
        builder.add_node(f"agent{number}", graph)
        builder.add_edge(before, f"agent{number}")
        before = f"agent{number}"
    return builder.compile()


@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("kind", GRAPHS)
def test_agents_that_are_nodes_of_a_graph_speculate_too(kind: str, way: str) -> None:
    """
    The graph is wrapped all the way down.
    """
    plain = _outer(GRAPHS[kind](ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(World(), "both")))
    world = World()
    wrapped = speculate(
        _outer(GRAPHS[kind](ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), notebook(world, "both"))),
        NOTEBOOK_POLICY,
        predictor=Oracle(NOTEBOOK_SCRIPT),
    )
    assert canonical(drive(wrapped, way)[-1]) == canonical(drive(plain, way)[-1])
    assert speculation_of(wrapped).stats().hits == NOTEBOOK_HITS
    assert world.count("write") == 1


@pytest.mark.parametrize("way", WAYS)
def test_subgraphs_with_tools_of_one_name_keep_them_apart(way: str) -> None:
    """
    Two agents, each with its own `look`: each gets its own answer, and both are adopted.
    """

    def made(answer: str, pace_s: float) -> Any:
        def look(id: int) -> str:
            return f"{answer} {id}"

        script = [ask(("look", {"id": 1}), prefix=answer), AIMessage(f"{answer} done")]
        model = ScriptedModel(script=[script[0], script[1], script[0], script[1]], pace_s=pace_s)
        return agent_graph(model, [make_tool("look", look, "both")])

    script = [ask(("look", {"id": 1})), AIMessage("done")]
    plain = _outer(made("left", 0), made("right", 0))
    wrapped = speculate(
        _outer(made("left", 0.005), made("right", 0.005)), {"tools": {"look": True}}, predictor=Oracle(script)
    )
    assert canonical(drive(wrapped, way)[-1]) == canonical(drive(plain, way)[-1])
    assert speculation_of(wrapped).stats().hits == 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("wrap_inner", [False, True])
def test_a_graph_called_inside_of_a_function_node_gives_the_right_answer(wrap_inner: bool, way: str) -> None:
    """
    It cannot be replaced, so it is not accelerated, unless it was wrapped by hand.
    """

    def build(pace_s: float, wrap: bool) -> tuple[Any, Any]:
        tools = notebook(World(), "both")
        inner = agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=pace_s), tools)
        if wrap:
            inner = speculate(inner, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))

        def node(state: State) -> Any:
            return {"messages": inner.invoke(state)["messages"]}

        async def anode(state: State) -> Any:
            return {"messages": (await inner.ainvoke(state))["messages"]}

        builder = StateGraph(State)
        builder.add_node("node", RunnableLambda(node, afunc=anode))
        builder.add_edge(START, "node")
        return builder.compile(), inner

    plain, _ = build(0.0, False)
    outer, inner = build(0.02, wrap_inner)
    wrapped = speculate(outer, None if wrap_inner else NOTEBOOK_POLICY | {"tools": {}})
    assert canonical(drive(wrapped, way)[-1]) == canonical(drive(plain, way)[-1])
    if wrap_inner:
        assert speculation_of(inner).stats().hits == NOTEBOOK_HITS


@pytest.mark.parametrize("way", WAYS)
def test_a_wrapped_graph_as_a_node_of_a_plain_one_speculates(way: str) -> None:
    """
    Wrapping only the inner graph is enough for its own calls.
    """
    inner = speculate(
        agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), notebook(World(), "both")),
        NOTEBOOK_POLICY,
        predictor=Oracle(NOTEBOOK_SCRIPT),
    )
    plain = _outer(agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(World(), "both")))
    assert canonical(drive(_outer(inner), way)[-1]) == canonical(drive(plain, way)[-1])
    assert speculation_of(inner).stats().hits == NOTEBOOK_HITS


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "policy", [{"level": "off"}, {**NOTEBOOK_POLICY, "approval_gated": ["find", "read"]}], ids=repr
)
def test_a_wrapped_graph_keeps_its_policy_in_a_graph_that_is_wrapped_too(policy: Any, way: str) -> None:
    """
    What its owner said of the inner graph holds, whoever wraps the outer one, and however often.
    """
    inner = speculate(
        agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.02), notebook(World(), "both")),
        policy,
        predictor=Oracle(NOTEBOOK_SCRIPT),
    )
    once = speculate(_outer(inner), NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    for outer in (once, speculate(once, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))):
        drive(outer, way)
        assert speculation_of(outer).stats().launched == speculation_of(inner).stats().launched == 0


@pytest.mark.parametrize("way", WAYS)
def test_wrapping_anew_replaces_the_policy_of_graphs_inside_as_well(way: str) -> None:
    """
    A graph inside that was wrapped with the outer one is under that one's policy, the latest.
    """
    inner = agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.02), notebook(World(), "both"))
    first = speculate(_outer(inner), {"level": "off"})
    again = speculate(first, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    drive(again, way)
    assert speculation_of(again).stats().hits == NOTEBOOK_HITS


@pytest.mark.parametrize("way", WAYS)
def test_functional_graphs_speculate_where_their_tools_can_be_found(way: str) -> None:
    """
    `@entrypoint`: tools in the closure are reached, inside and outside of tasks; the answer is the plain one.
    """

    def build(pace_s: float) -> Any:
        tools = {tool.name: tool for tool in notebook(World(), "both")}
        model = ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=pace_s).bind_tools(list(tools.values()))

        if way in ("invoke", "stream"):

            @entrypoint()
            def agent(messages: list[Any]) -> Any:
                while (answer := model.invoke(messages)).tool_calls:
                    messages = [*messages, answer, *(tools[c["name"]].invoke(c) for c in answer.tool_calls)]
                return [*messages, answer]

            return agent

        @entrypoint()
        async def aagent(messages: list[Any]) -> Any:
            while (answer := await model.ainvoke(messages)).tool_calls:
                messages = [*messages, answer, *[await tools[c["name"]].ainvoke(c) for c in answer.tool_calls]]
            return [*messages, answer]

        return aagent

    given = [HumanMessage("go", id="h")]
    wrapped = speculate(build(0.005), NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    assert canonical(drive(wrapped, way, given)) == canonical(drive(build(0.0), way, given))
    assert speculation_of(wrapped).stats().hits == NOTEBOOK_HITS


def test_tools_inside_of_functional_tasks_answer_as_in_the_plain_graph() -> None:
    """
    A model and tools that run in `@task`s, handed over with `tools=`.
    """

    def build(pace_s: float) -> tuple[Any, list[Any]]:
        tools = {tool.name: tool for tool in notebook(World())}
        model = ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=pace_s).bind_tools(list(tools.values()))

        @task
        def think(messages: list[Any]) -> Any:
            return model.invoke(messages)

        @task
        def act(call: Any) -> Any:
            return tools[call["name"]].invoke(call)

        @entrypoint(checkpointer=InMemorySaver())
        def agent(messages: list[Any]) -> Any:
            while (answer := think(messages).result()).tool_calls:
                pending = [act(call) for call in answer.tool_calls]
                messages = [*messages, answer, *(one.result() for one in pending)]
            return [*messages, answer]

        return agent, list(tools.values())

    given, config = [HumanMessage("go", id="h")], {"configurable": {"thread_id": "t"}}
    plain, _ = build(0.0)
    graph, tools = build(0.005)
    wrapped = speculate(graph, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT), tools=tools)
    assert canonical(wrapped.invoke(given, config)) == canonical(plain.invoke(given, config))


@pytest.mark.parametrize("way", WAYS)
def test_deep_agents_speculate(way: str) -> None:
    """
    `create_deep_agent`: the plain agent's messages, with hits.
    """
    from deepagents import create_deep_agent

    def build(world: World, pace_s: float) -> Any:
        return create_deep_agent(
            model=ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=pace_s), tools=notebook(world, "both")
        )

    wrapped = speculate(build(World(), 0.005), NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    assert canonical(drive(wrapped, way)[-1]) == canonical(drive(build(World(), 0.0), way)[-1])
    assert speculation_of(wrapped).stats().hits == NOTEBOOK_HITS


@pytest.mark.parametrize("way", WAYS)
def test_send_and_command_routing_stay_the_graph_s_own(way: str) -> None:
    """
    A router that fans out with Send, and nodes that go on with Command.
    """

    def build(pace_s: float) -> Any:
        tools = {tool.name: tool for tool in notebook(World(), "both")}
        model = ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=pace_s).bind_tools(list(tools.values()))

        def call_model(state: State) -> Any:
            return {"messages": [model.invoke(state["messages"])]}

        async def acall_model(state: State) -> Any:
            return {"messages": [await model.ainvoke(state["messages"])]}

        def route(state: State) -> Any:
            calls = state["messages"][-1].tool_calls
            return [Send("tool", call) for call in calls] or END

        def run_tool(call: Any) -> Command[Any]:
            return Command(update={"messages": [tools[call["name"]].invoke(call)]})

        async def arun_tool(call: Any) -> Command[Any]:
            return Command(update={"messages": [await tools[call["name"]].ainvoke(call)]})

        builder = StateGraph(State)
        builder.add_node("model", RunnableLambda(call_model, afunc=acall_model))
        builder.add_node("tool", RunnableLambda(run_tool, afunc=arun_tool))
        builder.add_edge(START, "model")
        builder.add_conditional_edges("model", route, ["tool", END])
        builder.add_edge("tool", "model")
        return builder.compile()

    wrapped = speculate(build(0.005), NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    assert canonical(drive(wrapped, way)[-1]) == canonical(drive(build(0.0), way)[-1])
    assert speculation_of(wrapped).stats().hits == NOTEBOOK_HITS


# -- what stays ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["create_agent", "create_react_agent", "tool_node"])
def test_the_graph_given_is_not_changed(kind: str) -> None:
    """
    Its nodes, its ToolNode's tools and their classes are what they were; runs of it speculate nothing.
    """
    tools = notebook(World())
    graph = GRAPHS[kind](ScriptedModel(script=NOTEBOOK_SCRIPT), tools)
    before = (dict(graph.nodes), type(graph), [type(tool) for tool in tools], graph.nodes["tools"].bound)
    held = dict(graph.nodes["tools"].bound._tools_by_name)
    wrapped = speculate(graph, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
    assert (dict(graph.nodes), type(graph), [type(tool) for tool in tools], graph.nodes["tools"].bound) == before
    assert all(graph.nodes["tools"].bound._tools_by_name[name] is tool for name, tool in held.items())
    graph.invoke(START_INPUT)
    assert speculation_of(wrapped).stats().turns == 0
    with pytest.raises(UnsupportedGraph):
        speculation_of(graph)


def test_tools_of_hand_written_nodes_behave_as_before_outside_of_runs() -> None:
    """
    They are changed in place, but only inside of a speculating run does that show.
    """
    tools = notebook(World(), "both")
    schema = [tool.args for tool in tools]
    graph = hand_written_graph(ScriptedModel(script=NOTEBOOK_SCRIPT), tools)
    speculate(graph, NOTEBOOK_POLICY)
    assert [tool.args for tool in tools] == schema
    assert tools[0].invoke({"query": "x"}) == "found x"
    assert asyncio.run(tools[0].ainvoke({"query": "x"})) == "found x"
    assert type(tools[0]).__name__ == "StructuredTool"
    assert copy.deepcopy(tools[1].args_schema) is not None
    assert canonical(graph.invoke(START_INPUT))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("change", ["added", "replaced", "removed"])
def test_a_tool_node_that_changes_after_wrapping_changes_in_the_wrapped_graph_too(change: str, way: str) -> None:
    """
    Its owner gives the ToolNode another tool, replaces one that ran ahead before, or takes one away.
    """
    script = [ask(("look", {"id": 1})), ask(("late", {"id": 2})), AIMessage("done")]

    def answers(wrapped: bool) -> Any:
        def old(id: int) -> str:
            return f"old {id}"

        def new(id: int) -> str:
            return f"new {id}"

        look, late = make_tool("look", old, "both"), make_tool("late", old, "both")
        node = ToolNode([look] if change == "added" else [look, late])
        graph = tool_node_graph(ScriptedModel(script=script, pace_s=0.01), [look, late], node)
        if wrapped:
            policy: dict[str, Any] = {"tools": {"l*": EAGERLY}}
            graph = speculate(graph, policy, predictor=Oracle(script))
        if change == "removed":
            del node.tools_by_name["late"]
        else:
            name = "late" if change == "added" else "look"
            node.tools_by_name[name] = make_tool(name, new, "both")
        return canonical(drive(graph, way, START_INPUT))

    assert answers(wrapped=True) == answers(wrapped=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("config", [None, {}, {"tags": ["a"]}, {"configurable": {}}, {"configurable": {"user": 1}}])
def test_a_missing_thread_is_told_as_by_the_plain_graph(config: Any, way: str) -> None:
    """
    A graph with a checkpointer is called without a `thread_id`.
    """
    plain = agent_graph(ScriptedModel(script=[AIMessage("done")]), notebook(World()), checkpointer=InMemorySaver())
    wrapped = speculate(plain, NOTEBOOK_POLICY)
    told = [outcome(lambda graph=graph: drive(graph, way, START_INPUT, config)) for graph in (plain, wrapped)]
    assert told[0] == told[1]


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_wrapped_graph_looks_like_the_plain_one(kind: str) -> None:
    """
    Drawing, schemas, name and type.
    """
    graph = GRAPHS[kind](ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(World()))
    wrapped = speculate(graph, NOTEBOOK_POLICY)
    assert isinstance(wrapped, type(graph))
    assert type(wrapped).__name__ == type(graph).__name__
    assert wrapped.get_graph().draw_mermaid() == graph.get_graph().draw_mermaid()
    assert wrapped.get_graph(xray=True).draw_mermaid() == graph.get_graph(xray=True).draw_mermaid()
    for schema in ("get_input_jsonschema", "get_output_jsonschema", "get_context_jsonschema"):
        assert getattr(wrapped, schema)() == getattr(graph, schema)()
    assert wrapped.get_name() == graph.get_name()
    assert repr(type(wrapped)) == repr(type(graph))
    assert wrapped.stream_channels_list == graph.stream_channels_list


@pytest.mark.parametrize("kind", GRAPHS)
def test_wrapping_twice_is_wrapping_once(kind: str) -> None:
    """
    Without arguments the wrapped graph comes back as it is; with them they replace the former.
    """
    world = World()
    once = speculate(
        GRAPHS[kind](ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), notebook(world)),
        NOTEBOOK_POLICY,
        predictor=Oracle(NOTEBOOK_SCRIPT),
    )
    assert speculate(once) is once
    # `read` is called beside `find`: undeclared it would write everything, and which comes first is a race.
    again = speculate(once, {"tools": {"find": True, "read": {"writes": []}}}, predictor=Oracle(NOTEBOOK_SCRIPT))
    again.invoke(START_INPUT)
    assert speculation_of(again).stats().hits == 1
    assert speculation_of(once).stats().turns == 0
    assert [type(again).__mro__[1]] == [type(once).__mro__[1]]
    assert world.count("read") == 4
    once.invoke(START_INPUT)
    assert speculation_of(once).stats().hits == NOTEBOOK_HITS


@pytest.mark.parametrize(
    "thing",
    [
        StateGraph(State),
        RemoteGraph("agent", url="http://127.0.0.1:1"),
        RunnableLambda(lambda x: x),
        object(),
        None,
        "graph",
        agent_graph,
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_cannot_be_wrapped_is_refused_with_a_remedy(thing: Any) -> None:
    """
    UnsupportedGraph is a TypeError and says what to do.
    """
    with pytest.raises(UnsupportedGraph, match=r"compile it first|wrap the graph where it runs") as caught:
        speculate(thing)
    assert isinstance(caught.value, TypeError)


def test_a_graph_without_tools_runs_as_it_is() -> None:
    """
    Nothing to speculate, nothing to explain.
    """
    builder = StateGraph(State)
    builder.add_node("node", lambda state: {"messages": [AIMessage("hi")]})
    builder.add_edge(START, "node")
    graph = speculate(builder.compile())
    for way in WAYS:
        assert "hi" in str(drive(graph, way))
    assert speculation_of(graph).explain() == ()
    assert "no tools" in str(speculation_of(graph).explain())


@pytest.mark.parametrize("name", ["fnid", "Find", "finds"])
def test_unknown_tool_names_are_refused_with_the_nearest_right_one(name: str) -> None:
    """
    A policy that speaks of a tool the graph does not have.
    """
    graph = agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(World()))
    with pytest.raises(PolicyError, match="did you mean 'find'"):
        speculate(graph, {"tools": {name: True}})
    with pytest.raises(PolicyError, match="approval_gated"):
        speculate(graph, {"approval_gated": [name]})


def test_a_wrong_policy_leaves_the_graph_and_its_tools_alone() -> None:
    """
    If wrapping fails, nothing was changed in place either.
    """
    tools = notebook(World())
    graph = hand_written_graph(ScriptedModel(script=NOTEBOOK_SCRIPT), tools)
    before = [type(tool) for tool in tools]
    with pytest.raises(PolicyError):
        speculate(graph, {"tools": {"fnid": True}})
    assert [type(tool) for tool in tools] == before


@pytest.mark.parametrize("way", WAYS)
def test_the_kill_switch_is_read_at_each_run(way: str, monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """
    `off` and `shadow` take effect with the next run, and lifting them too; no value raises what the policy allows.
    """
    graph = speculate(
        agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.01), notebook(world, "both")),
        NOTEBOOK_POLICY,
        predictor=Oracle(NOTEBOOK_SCRIPT),
    )
    seen = []
    for value in ("off", "shadow", "nonsense", "on", ""):
        monkeypatch.setenv("LANGGRAPH_SPECULATE", value)
        before = speculation_of(graph).stats()
        drive(graph, way)
        after = speculation_of(graph).stats()
        seen.append((after.turns - before.turns, after.launched - before.launched, after.foreseen - before.foreseen))
    assert seen == [(0, 0, 0), (5, 0, 6), (0, 0, 0), (5, 5, 6), (5, 5, 6)]


@pytest.mark.parametrize("level", ["off", "shadow"])
def test_the_policy_s_level_is_not_raised_by_the_environment(
    level: Any, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    """
    `LANGGRAPH_SPECULATE=on` beats nothing that is stricter.
    """
    monkeypatch.setenv("LANGGRAPH_SPECULATE", "on")
    graph = speculate(
        tool_node_graph(ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(world)),
        SpeculationPolicy(level=level, tools={"find": True, "read": True}),
        predictor=Oracle(NOTEBOOK_SCRIPT),
    )
    graph.invoke(START_INPUT)
    assert speculation_of(graph).stats().launched == 0


def test_tools_found_at_run_time_are_reached_when_handed_over(world: World) -> None:
    """
    A node that fetches its tools from a registry: `tools=` names them.
    """
    registry: dict[str, Any] = {}

    def run_tools(state: State) -> Any:
        look = globals()["_REGISTRY"][0]
        return {"messages": [look[call["name"]].invoke(call) for call in state["messages"][-1].tool_calls]}

    tools = notebook(world)
    registry.update({tool.name: tool for tool in tools})
    _REGISTRY[:] = [registry]
    graph = tool_node_graph(
        ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), tools, RunnableLambda(run_tools, name="tools")
    )
    wrapped = speculate(graph, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT), tools=tools)
    wrapped.invoke(START_INPUT)
    assert speculation_of(wrapped).stats().hits == NOTEBOOK_HITS


_REGISTRY: list[Any] = []


class _ToolNodeObject:
    """A node that is an object with `__call__` and attributes of its own."""

    args = property(lambda self: 1 / 0)
    keywords = 7

    def __init__(self, tools: list[Any]) -> None:
        self.tools = {tool.name: tool for tool in tools}

    def __call__(self, state: State) -> Any:
        return {"messages": [self.tools[call["name"]].invoke(call) for call in state["messages"][-1].tool_calls]}


class _ToolNodeMethod(_ToolNodeObject):
    def run(self, state: State) -> Any:
        return self(state)


def test_nodes_that_are_objects_or_methods_are_looked_into_without_harm(world: World) -> None:
    """
    Attributes that raise or mean something else are no reason to fail.
    """
    for made in (_ToolNodeObject, lambda tools: _ToolNodeMethod(tools).run):
        tools = notebook(world)
        graph = tool_node_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), tools, made(tools))
        wrapped = speculate(graph, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT))
        wrapped.invoke(START_INPUT)
        assert speculation_of(wrapped).stats().hits == NOTEBOOK_HITS
