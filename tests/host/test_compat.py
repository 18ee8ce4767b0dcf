"""One contract for each private name of the host that the package touches: when one fails, a host release broke it."""

from __future__ import annotations

import contextvars
import inspect
from contextvars import ContextVar
from typing import Annotated, Any, Literal

import pytest
from agents import START_INPUT, ScriptedModel, Seen, State, World, agent_graph, notebook, tool_node_graph
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware
from langchain.tools import InjectedState, InjectedStore, ToolRuntime
from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler, CallbackManager
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool, tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config, get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from langsmith_server import LangSmithServer
from pydantic import BaseModel

from langgraph_speculate.host import compat

CONTRACTS: dict[str, Any] = {}


def contract(*names: str) -> Any:
    """Register a test as the contract of these names."""

    def register(function: Any) -> Any:
        CONTRACTS.update(dict.fromkeys(names, function))
        return function

    return register


@pytest.mark.parametrize("name", compat.__all__)
def test_every_private_name_keeps_its_contract(name: str) -> None:
    """
    Each name in `__all__` has a contract, and it holds on the installed versions.
    """
    assert hasattr(compat, name)
    CONTRACTS[name]()


def test_no_contract_is_of_a_name_that_is_gone() -> None:
    """
    The contracts and `__all__` are the same list.
    """
    assert set(CONTRACTS) == set(compat.__all__)


def _in_node(look: Any, **config: Any) -> Any:
    """What *look* returns inside of a node."""
    seen: list[Any] = []
    builder = StateGraph(State)
    builder.add_node("node", lambda state: seen.append(look()))
    builder.add_edge(START, "node")
    builder.compile().invoke(START_INPUT, config or None)
    return seen[0]


@contract("Injections", "injections_of")
def _injections() -> None:
    @tool
    def whole(
        id: int, state: Annotated[dict[str, Any], InjectedState], field: Annotated[list[Any], InjectedState("messages")]
    ) -> str:
        "Takes state."
        return ""

    @tool
    def other(id: int, runtime: ToolRuntime, store: Annotated[Any, InjectedStore()]) -> str:
        "Takes the rest."
        return ""

    @tool
    def marked(id: int, mine: Annotated[str, InjectedToolCallId]) -> str:
        "Takes the id of its call."
        return mine

    assert compat.injections_of(whole) == compat.Injections({"state": None, "field": "messages"}, None, None, None)
    assert compat.injections_of(other) == compat.Injections({}, "store", "runtime", None)
    assert compat.injections_of(marked) == compat.Injections({}, None, None, "mine")
    assert compat.body_parameters(marked, {"id": "1"}, None, "call_1") == ((), {"id": 1, "mine": "call_1"})
    call = {"type": "tool_call", "id": "call_1", "name": "marked", "args": {"id": 1}}
    assert marked.invoke(call).content == "call_1"


@contract("is_agent_model_node")
def _is_agent_model_node() -> None:
    agent = agent_graph(ScriptedModel(script=[]), notebook(World()))
    assert [name for name, node in agent.nodes.items() if compat.is_agent_model_node(node.bound)] == ["model"]


@contract("successors", "deciding_functions")
def _successors() -> None:
    def anywhere(state: State) -> str:
        return "b"

    def to_b(state: State) -> Command[Literal["b"]]:
        return Command(goto="b")

    builder = StateGraph(State)
    for name in ("a", "b", "c"):
        builder.add_node(name, lambda state: None)
    builder.add_node("d", to_b)
    builder.add_edge(START, "a")
    builder.add_edge("a", "b")
    builder.add_edge(["a", "b"], "c")
    builder.add_conditional_edges("b", anywhere)
    builder.add_conditional_edges("c", anywhere, ["a", "b"])
    graph = builder.compile()
    found = {name: compat.successors(graph, name) for name in ("a", "b", "c", "d")}
    assert found == {"a": {"b", "c"}, "b": None, "c": {"a", "b"}, "d": {"b"}}
    assert anywhere in compat.deciding_functions(graph, "b")
    assert compat.deciding_functions(graph, "a") == []


@contract("parts_of", "has_steps_before_tools")
def _parts_of() -> None:
    prompt, model, node = RunnableLambda(lambda x: x), ScriptedModel(script=[]), compat.ToolNode([])
    bound = prompt | model.bind(tools=[{"name": "t"}])
    assert list(compat.parts_of(bound)) == [(prompt, {}), (model, {"tools": [{"name": "t"}]})]
    assert compat.has_steps_before_tools(prompt | node)
    assert not compat.has_steps_before_tools(node)
    assert not compat.has_steps_before_tools(node | prompt)


@contract("max_concurrency_of")
def _max_concurrency_of() -> None:
    assert compat.max_concurrency_of(None, None) is None
    assert compat.max_concurrency_of({"max_concurrency": 2}, {"max_concurrency": 3}) == 3
    assert compat.max_concurrency_of({"max_concurrency": 2}, {}) == 2
    assert _in_node(lambda: compat.max_concurrency_of(None, None), max_concurrency=4) == 4


@contract("state_of")
def _state_of() -> None:
    assert compat.state_of({}) == {}
    state = _in_node(lambda: compat.state_of(get_config()))
    assert [message.content for message in state["messages"]] == ["go"]
    assert not any(name.startswith(("__", "branch:")) for name in state)


@contract("stops_of")
def _stops_of() -> None:
    assert compat.stops_of({}) is None
    seen: list[Any] = []
    builder = StateGraph(State)
    builder.add_node("node", lambda state: seen.append(compat.stops_of(get_config())))
    builder.add_edge(START, "node")
    for graph, given in (
        (builder.compile(checkpointer=InMemorySaver(), interrupt_after=["node"]), {}),
        (builder.compile(checkpointer=InMemorySaver()), {"interrupt_after": ["node"]}),
    ):
        graph.invoke(START_INPUT, {"configurable": {"thread_id": "1"}}, **given)
        assert [list(stops) for stops in seen.pop()] == [[], ["node"]]


@contract("tool_call_wrappers")
def _tool_call_wrappers() -> None:
    def around(request: Any, handler: Any) -> Any:
        return handler(request)

    assert compat.tool_call_wrappers(compat.ToolNode([])) == []
    assert compat.tool_call_wrappers(compat.ToolNode([], wrap_tool_call=around)) == [around]


@contract("child_config", "var_child_runnable_config")
def _child_config() -> None:
    assert compat.child_config() is None
    inside = _in_node(compat.child_config, configurable={"user": "ann"})
    assert inside["configurable"]["user"] == "ann"
    assert compat.var_child_runnable_config.get() is None


@contract("RUN_KEY", "run_config")
def _run_config() -> None:
    scope, handler = object(), Seen()
    for callbacks in (None, [], [BaseCallbackHandler()], CallbackManager([BaseCallbackHandler()])):
        given: RunnableConfig = {"configurable": {"user": "ann"}, "callbacks": callbacks, "tags": ["t"]}
        made = compat.run_config(given, scope, handler)
        assert made["configurable"] == {"user": "ann", compat.RUN_KEY: scope}
        assert given["configurable"] == {"user": "ann"}
        handlers = made["callbacks"] if isinstance(made["callbacks"], list) else made["callbacks"].handlers
        assert handler in handlers
        assert handler not in (callbacks.handlers if isinstance(callbacks, CallbackManager) else callbacks or [])
    made = compat.run_config(None, scope, handler)
    inside = _in_node(compat.child_config, **made)
    assert inside["configurable"][compat.RUN_KEY] is scope
    assert not [key for key in inside["metadata"] if "speculate" in key]


@contract("with_handlers")
def _with_handlers() -> None:
    mine, own = Seen(), Seen()
    model = ScriptedModel(script=[AIMessage("x")])
    manager = CallbackManager([own], [own])
    for callbacks in ([own], manager):
        model.invoke("go", compat.with_handlers({"callbacks": callbacks, "tags": ["kept"]}, mine))
    assert mine.events == own.events == 2 * [("model_start", 1), ("model_end", None)]
    assert manager.handlers == [own]  # what is the caller's stays as it is


@contract("inherited")
def _inherited() -> None:
    outer, inner = Seen(), Seen()
    model = ScriptedModel(script=[AIMessage("x")])
    with compat.inherited([inner]):
        model.invoke("go")
        model.invoke("go", {"callbacks": [outer]})  # who says so leaves what it would inherit
    model.invoke("go")
    assert inner.events == outer.events == [("model_start", 1), ("model_end", None)]
    in_node, seen = [], Seen()

    def look() -> None:
        with compat.inherited([inner]):
            model.invoke("go")
            in_node.append(compat.child_config())

    _in_node(look, callbacks=[seen])
    assert inner.events == 2 * seen.events
    assert "checkpoint_ns" in in_node[0]["configurable"]


class _HandsOver(BaseCallbackHandler):
    run_inline = True

    def __init__(self, handler: BaseCallbackHandler) -> None:
        self.handler = handler

    def on_chat_model_start(self, serialized: Any, messages: list[list[Any]], **kwargs: Any) -> None:
        if messages[0][0].content == "this one":
            compat.manager_of_call().handlers.append(self.handler)


class _Asks(BaseCallbackHandler):
    run_inline = True

    def __init__(self) -> None:
        self.seen: list[type] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.seen.append(type(compat.manager_of_call()))


class _Streams(Seen, compat.StreamingHandler[Any]):
    run_inline = True

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.events.append(("token", token))


@contract("StreamingHandler")
def _streaming_handler() -> None:
    import asyncio

    model = ScriptedModel(script=[AIMessage("x")])
    for settings, streams in (({}, True), ({"disable_streaming": True}, False)):
        one, other = _Streams(), Seen()
        asked = model.model_copy(update=settings)
        asked.invoke("go", {"callbacks": [one, other]})
        asyncio.run(asked.ainvoke("go", {"callbacks": [one, other]}))
        assert (("token", "x") in one.events) is streams
        assert other.events == 2 * [("model_start", 1), ("model_end", None)]


@contract("manager_of_call")
def _manager_of_call() -> None:
    import asyncio

    assert compat.manager_of_call() is None
    handed = _Streams()
    model, given = ScriptedModel(script=[AIMessage("x")]), [_HandsOver(handed)]
    for text in ("another", "this one", "another"):
        model.invoke(text, {"callbacks": given})
    assert [kind for kind, _ in handed.events] == ["model_start", "token", "token", "model_end"]
    handed.events.clear()
    for text in ("another", "this one", "another"):
        asyncio.run(model.ainvoke(text, {"callbacks": given}))
    assert [kind for kind, _ in handed.events] == ["token", "token", "model_end"]  # it came too late for the start
    assert len(given) == 1

    asking = _Asks()
    model.invoke("go", {"callbacks": [asking]})
    asyncio.run(model.ainvoke("go", {"callbacks": [asking]}))
    assert asking.seen == [CallbackManager, AsyncCallbackManager]


@contract("SHOULD_STREAM", "SHOULD_STREAM_USAGE")
def _should_stream() -> None:
    from langchain_core.language_models import BaseChatModel
    from langchain_openai import ChatOpenAI

    asked: list[str] = []

    class Asked(ChatOpenAI):
        def _should_stream(self, *, run_manager: Any = None, **kwargs: Any) -> bool:
            asked.append(compat.SHOULD_STREAM)
            return super()._should_stream(run_manager=run_manager, **kwargs)

        def _should_stream_usage(self, stream_usage: bool | None = None, **kwargs: Any) -> bool:
            asked.append(compat.SHOULD_STREAM_USAGE)
            return super()._should_stream_usage(stream_usage, **kwargs)

    model = Asked(api_key="x", base_url="http://127.0.0.1:9", max_retries=0)
    for callbacks, expected in (([], 1), ([_Streams()], 2)):
        asked.clear()
        with pytest.raises(Exception, match="onnection"):
            model.invoke("go", {"callbacks": callbacks})
        assert asked == ["_should_stream", "_should_stream_usage"][:expected]
    assert callable(BaseChatModel._should_stream)
    assert {"stream_usage", "model_kwargs", "extra_body"} <= set(ChatOpenAI.model_fields)


@contract("configurable_of")
def _configurable_of() -> None:
    assert compat.configurable_of({"configurable": {"a": 1, "b": 1}}, {"configurable": {"b": 2}}) == {"a": 1, "b": 2}
    assert compat.configurable_of(None, None) == {}
    inherited = _in_node(lambda: compat.configurable_of(None, None), configurable={"user": "ann"})
    assert inherited["user"] == "ann"
    fresh = _in_node(
        lambda: compat.configurable_of(None, {"configurable": {"thread_id": "other"}}), configurable={"user": "ann"}
    )
    assert "user" not in fresh


@contract("namespace_depth")
def _namespace_depth() -> None:
    depths: list[int] = []

    def look(state: Any) -> None:
        depths.append(compat.namespace_depth(get_config()["configurable"]))

    inner = StateGraph(State).add_node("inner", look).add_edge(START, "inner").compile()
    outer = StateGraph(State).add_node("outer", look).add_node("sub", inner)
    outer.add_edge(START, "outer").add_edge("outer", "sub").compile().invoke(START_INPUT)
    assert depths == [1, 2]
    assert compat.namespace_depth({}) == 0


@contract("is_node_private")
def _is_node_private() -> None:
    keys = _in_node(lambda: list(get_config()["configurable"]), configurable={"user": "ann"})
    private = {key for key in keys if compat.is_node_private(key)}
    assert {"__pregel_scratchpad", "__pregel_send", "__pregel_read", "checkpoint_ns"} <= private
    assert not compat.is_node_private("user")
    assert not compat.is_node_private("thread_id")


@contract("is_host_variable")
def _is_host_variable() -> None:
    def set_around_a_model() -> list[ContextVar[Any]]:
        token = mine.set("mine")
        try:
            return _in_node(lambda: list(contextvars.copy_context()))
        finally:
            mine.reset(token)

    mine: ContextVar[str] = ContextVar("mine")
    with LangSmithServer() as server, server.tracing():
        found = contextvars.Context().run(set_around_a_model)  # not where other tests have left theirs
    assert [variable for variable in found if not compat.is_host_variable(variable)] == [mine]
    assert compat.var_child_runnable_config in found


@contract("CONFIG_KEY_RUNTIME", "runtime_of")
def _runtime_of() -> None:
    runtime, writer = _in_node(lambda: (compat.runtime_of(get_config()), get_stream_writer()))
    assert runtime.stream_writer is writer
    assert _in_node(lambda: get_config()["configurable"][compat.CONFIG_KEY_RUNTIME]) is not None
    assert compat.runtime_of({}) is None


@contract("Building", "agent_being_built")
def _agent_being_built() -> None:
    seen: list[Any] = []

    class Looks(AgentMiddleware):
        @property
        def name(self) -> str:
            seen.append(compat.agent_being_built())
            return "Looks"

    middleware = Looks()
    assert middleware.name == "Looks"
    assert seen == [None]
    agent_graph(ScriptedModel(script=[AIMessage("x")]), [], middleware=[middleware], interrupt_before=["model"])
    building = seen[-1]
    assert isinstance(building, compat.Building)
    assert building.middleware == (middleware,)
    assert building.interrupt_before == ("model",)
    assert building.interrupt_after == ()


@contract("Pregel", "PregelNode", "copy_graph")
def _copy_graph() -> None:
    graph = tool_node_graph(ScriptedModel(script=[AIMessage("x")]), notebook(World()))
    assert isinstance(graph, compat.Pregel)
    assert all(isinstance(node, compat.PregelNode) for node in graph.nodes.values())
    kind = type("Kind", (type(graph),), {})
    nodes = {name: node.copy({}) for name, node in graph.nodes.items()}
    copied = compat.copy_graph(graph, nodes, kind)
    assert type(copied) is kind
    assert copied.nodes == nodes
    assert graph.nodes != nodes
    assert type(graph) is not kind
    assert copied.invoke(START_INPUT)["messages"][-1].content == "x"
    for way in ("stream", "astream", "copy"):
        assert callable(getattr(compat.Pregel, way))
    assert "self.stream" in inspect.getsource(compat.Pregel.invoke)
    assert "self.astream" in inspect.getsource(compat.Pregel.ainvoke)


@contract("mappers")
def _mappers() -> None:
    class Typed(BaseModel):
        messages: list[Any] = []

    graph = StateGraph(Typed).add_node("node", lambda state: None).add_edge(START, "node").compile()
    found = compat.mappers(graph)
    assert found
    copied = graph.copy()
    copied.__dict__.update(found)
    assert isinstance(copied.invoke({"messages": []}, version="v2").value, Typed)


@contract("ToolNode", "clone_tool_node", "tools_by_name")
def _tool_nodes() -> None:
    tools = notebook(World())
    node = compat.ToolNode(tools, handle_tool_errors=True)
    assert compat.tools_by_name(node) == {one.name: one for one in tools}
    others = {one.name: one.model_copy() for one in tools}
    clone = compat.clone_tool_node(node, others)
    assert compat.tools_by_name(clone) == others
    assert compat.tools_by_name(node)["find"] is tools[0]
    assert clone.func.__self__ is clone
    assert clone.afunc.__self__ is clone
    assert clone._handle_tool_errors is True


@contract("node_functions")
def _node_functions() -> None:
    def sync(state: State) -> None:
        return None

    async def later(state: State) -> None:
        return None

    builder = StateGraph(State).add_node("node", RunnableLambda(sync, afunc=later)).add_edge(START, "node")
    bound = builder.compile().nodes["node"].bound
    assert {sync, later} <= set(compat.node_functions(bound))
    chained = RunnableLambda(sync).with_config(tags=["t"]) | RunnableLambda(later)
    assert {sync, later} <= set(compat.node_functions(chained))


@contract("get_function_nonlocals")
def _get_function_nonlocals() -> None:
    held = object()

    def function() -> Any:
        return held, CONTRACTS

    found = compat.get_function_nonlocals(function)
    assert any(value is held for value in found)
    assert any(value is CONTRACTS for value in found)


@contract("middleware_of")
def _middleware_of() -> None:
    asks = HumanInTheLoopMiddleware({"read": True})
    agent = agent_graph(ScriptedModel(script=[AIMessage("x")]), notebook(World()), middleware=[asks])
    found = [compat.middleware_of(node.bound) for node in agent.nodes.values()]
    assert any(one is asks for one in found)


@contract("body_slots")
def _body_slots() -> None:
    def body(id: int, config: RunnableConfig, run_manager: Any = None) -> None:
        return None

    def plain(id: int) -> None:
        return None

    assert compat.body_slots(body) == {"config", "run_manager"}
    assert compat.body_slots(plain) == frozenset()
    assert compat.body_slots(StructuredTool._run) == {"config", "run_manager"}


@contract("body_parameters")
def _body_parameters() -> None:
    @tool
    def look(id: int, detail: str = "short") -> str:
        "Look."
        return ""

    given = {"id": "7"}
    assert compat.body_parameters(look, given) == ((), {"id": 7, "detail": "short"})
    assert given == {"id": "7"}
    with pytest.raises(ValueError, match="id"):
        compat.body_parameters(look, {"id": "x"})


@contract("shown_content")
def _shown_content() -> None:
    for content in ("sent", 7, ["a", {"b": "é"}], {"rows": [1, None]}, [{"type": "text", "text": "sent"}], []):
        look = StructuredTool.from_function(lambda value=content: value, name="look", description="Look.")
        message = look.invoke({"type": "tool_call", "name": "look", "id": "c", "args": {}})
        assert compat.shown_content(content) == message.content


@contract("injected_arguments")
def _injected_arguments() -> None:
    @tool
    def look(
        id: int,
        state: Annotated[Any, InjectedState],
        tool_call_id: Annotated[str, InjectedToolCallId],
    ) -> str:
        "Look."
        return ""

    assert compat.injected_arguments(look) == {"state", "tool_call_id"}
    assert compat.injected_arguments(notebook(World())[0]) == frozenset()


@contract("cannot_stream")
def _cannot_stream() -> None:
    streaming, silent = ScriptedModel(script=[]), FakeListChatModel(responses=["hi"], disable_streaming="tool_calling")
    assert compat.cannot_stream(streaming) is None
    assert compat.cannot_stream(silent) == "disable_streaming='tool_calling'"
    assert compat.cannot_stream(ChatOpenAI(model="m", api_key="none", streaming=False)) == "streaming=False"
    assert compat.cannot_stream(ChatOpenAI(model="m", api_key="none")) is None

    class Whole(ScriptedModel):
        _stream, _astream = BaseChatModel._stream, BaseChatModel._astream

    assert compat.cannot_stream(Whole(script=[])) == "its class has no streaming"


@contract("has_own_run")
def _has_own_run() -> None:
    class Own(BaseTool):
        name: str = "own"
        description: str = "Own."

        def _run(self) -> str:
            return ""

        def run(self, *args: Any, **kwargs: Any) -> Any:
            return ""

    assert compat.has_own_run(Own())
    assert not compat.has_own_run(notebook(World())[0])


@contract("set_class")
def _set_class() -> None:
    made = notebook(World())[0]
    kind = type("Kind", (type(made),), {"__module__": __name__})
    compat.set_class(made, kind)
    assert type(made) is kind
    assert made.invoke({"query": "x"}) == "found x"


@contract("handle_event", "ahandle_event")
def _handle_event() -> None:
    import asyncio

    seen = Seen()
    compat.handle_event([seen], "on_custom_event", "ignore_custom_event", "half", {"a": 1})
    asyncio.run(compat.ahandle_event([seen], "on_custom_event", "ignore_custom_event", "rest", {"a": 2}))
    assert seen.events == [("custom", ("half", {"a": 1})), ("custom", ("rest", {"a": 2}))]


@contract("traced_run", "traced_path")
def _traced() -> None:
    @tool
    def probe(x: int) -> str:
        """Look at what is traced."""
        config = compat.child_config()
        seen.append((compat.traced_run(config), compat.traced_path(config)))
        return "seen"

    seen: list[tuple[Any, list[Any]]] = []
    with LangSmithServer() as server:
        for settings in ({}, {"tracing_sampling_rate": 0.0}):
            with server.tracing(**settings):
                RunnableLambda(probe.invoke, name="around").invoke({"x": 1})
    probe.invoke({"x": 1})

    (run, path), (_, unsampled), (untraced, nowhere) = seen
    assert run is not None
    assert (run.name, [step.name for step in path]) == ("probe", ["around", "probe"])
    assert (unsampled, untraced, nowhere) == ([], None, [])


def test_interrupts_use_the_scratchpad_that_speculations_are_kept_from() -> None:
    """
    `interrupt()` reaches for the scratchpad in `configurable`: without that, the tripwire would not hold.
    """
    assert "CONFIG_KEY_SCRATCHPAD" in inspect.getsource(interrupt)
    assert compat.is_node_private("__pregel_scratchpad")
