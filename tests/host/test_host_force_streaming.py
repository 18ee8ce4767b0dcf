"""`force_streaming`: the agent's turns are streamed although nobody asked, and what changes is what the page says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from agents import GRAPHS, WAYS, Fixed, State, drive, sync_only_graph, tool_node_graph
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelFallbackMiddleware, ModelRetryMiddleware
from langchain.agents.middleware.internal_call_transformer import internal_call_metadata
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.load import dumps
from langchain_core.messages import AIMessage
from langchain_core.runnables import ConfigurableField, RunnableBinding, RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.config import get_config
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.demo.loopback import LoopbackServer, Reply
from langgraph_speculate.host.forcing import FORCED
from langgraph_speculate.host.model import asking, chat_models_in

POLICY = {"tools": {"get_*": {"read_only": True}}}
KINDS = (*GRAPHS, "middleware")
PAGE = Path(__file__).parents[2] / "docs" / "streaming.md"

GONE = object()
CHANGES: dict[str, tuple[Any, Any]] = {
    "id": ("lc_run--<run>-0", "lc_run--<run>"),
    "additional_kwargs.refusal": (None, GONE),
    "response_metadata.id": ("<answer>", GONE),
    "response_metadata.logprobs": (None, GONE),
    "response_metadata.token_usage": ("<usage>", GONE),
}
"""What is different about a message of `ChatOpenAI` that was streamed: by field, plain and forced."""


@tool
def get_order(id: int) -> str:
    """Look up an order."""
    return f"order {id}"


@tool
def get_customer(id: int) -> str:
    """Look up a customer."""
    return f"customer {id}"


TOOLS = [get_order, get_customer]


def respond(messages: list[dict[str, Any]], tools: list[Any]) -> Reply:
    """Two calls at once, one more, an answer; to whom binds no tools, a summary."""
    if not tools:
        return Reply("a summary")
    answered = sum(message["role"] == "assistant" for message in messages)
    if answered == 0:
        return Reply("One moment.", tool_calls=[("c1", "get_order", {"id": 7}), ("c2", "get_customer", {"id": 1})])
    return Reply(tool_calls=[("c3", "get_order", {"id": 8})]) if answered == 1 else Reply("On its way.")


class Desk:
    """A loopback server with a model of it.

    Attributes:
        requests: What it was asked.
        model: A `ChatOpenAI`.
    """

    def __init__(self, server: LoopbackServer, settings: dict[str, Any]) -> None:
        self._server = server
        self.requests = server.requests
        self.model = self.another(**settings)

    def another(self, **settings: Any) -> ChatOpenAI:
        return ChatOpenAI(model="m", base_url=self._server.base_url, api_key="loopback", max_retries=0, **settings)

    def streamed(self) -> list[bool]:
        """For each request so far whether it was to be streamed."""
        return [bool(body.get("stream")) for body in self.requests]

    def counted(self) -> list[Any]:
        """For each request so far what it said about streams."""
        return [body.get("stream_options") for body in self.requests]


@contextmanager
def desk(**settings: Any) -> Iterator[Desk]:
    with LoopbackServer(respond) as server:
        yield Desk(server, settings)


def build(kind: str, model: Any, force: bool | None, tools: Any = TOOLS, **settings: Any) -> Any:
    """An agent: plain (None), or speculating with or without forced streaming."""
    options = {} if force is None else {"force_streaming": force}
    if kind != "middleware":
        plain = GRAPHS[kind](model, tools, **settings)
        return plain if force is None else speculate(plain, POLICY, **options)
    middleware = [*settings.pop("middleware", ())]
    if force is not None:
        middleware.append(SpeculationMiddleware(POLICY, **options))
    return create_agent(model, tools, middleware=middleware, **settings)


def answers(graph: Any, way: str, config: Any = None) -> list[AIMessage]:
    """The model's messages of one run."""
    modes = {"stream_mode": "values"} if "stream" in way else {}
    final = drive(graph, way, config=config, **modes)[-1]
    return [message for message in final["messages"] if isinstance(message, AIMessage)]


def fields_of(message: AIMessage) -> dict[str, Any]:
    """A message's fields, those inside of its metadata too, without what differs between any two runs."""
    found = message.model_dump()
    for name in ("additional_kwargs", "response_metadata"):
        found |= {f"{name}.{key}": value for key, value in found.pop(name).items()}
    found["id"] = re.sub(r"[0-9a-f]{8}(-[0-9a-f]+){4}", "<run>", found["id"])
    if "response_metadata.id" in found:
        found["response_metadata.id"] = re.sub(r"chatcmpl-\d+", "<answer>", found["response_metadata.id"])
    if found.get("response_metadata.token_usage"):
        found["response_metadata.token_usage"] = "<usage>"
    return found


def changes(plain: AIMessage, other: AIMessage) -> dict[str, tuple[Any, Any]]:
    before, after = fields_of(plain), fields_of(other)
    pairs = {name: (before.get(name, GONE), after.get(name, GONE)) for name in before.keys() | after.keys()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def run_of(kind: str, way: str, force: bool | None, **settings: Any) -> tuple[list[AIMessage], list[bool], list[Any]]:
    """The answers of one run on a server of its own, and how they were asked for."""
    with desk(**settings) as here:
        return answers(build(kind, here.model, force), way), here.streamed(), here.counted()


_PLAIN: dict[str, Any] = {}


def plain_run_of(kind: str, way: str, **settings: Any) -> tuple[list[AIMessage], list[bool], list[Any]]:
    """`run_of` the plain agent, which is the same for every test."""
    key = repr(("create_agent" if kind == "middleware" else kind, way, settings))
    if key not in _PLAIN:
        _PLAIN[key] = run_of(kind, way, None, **settings)
    return _PLAIN[key]


# -- what changes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_streaming_is_only_observed_by_default(kind: str, way: str) -> None:
    """
    Without the option nothing changes on the wire, and no field of any message does.
    """
    plain, wire, _ = plain_run_of(kind, way)
    watched, watched_wire, counted = run_of(kind, way, False)

    assert watched_wire == wire == [False] * 3
    assert counted == [None] * 3
    assert [changes(one, other) for one, other in zip(plain, watched, strict=True)] == [{}] * 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_forced_turns_are_streamed_and_change_what_is_documented(kind: str, way: str) -> None:
    """
    Every turn is streamed; content, calls, ids of calls and token counts stay, and exactly the table changes.
    """
    plain, _, _ = plain_run_of(kind, way)
    forced, wire, counted = run_of(kind, way, True)

    assert wire == [True] * 3
    assert counted == [{"include_usage": True}] * 3
    assert [changes(one, other) for one, other in zip(plain, forced, strict=True)] == [CHANGES] * 3
    assert all(message.usage_metadata["total_tokens"] for message in forced)


def test_the_page_lists_exactly_what_changes() -> None:
    """
    The table of the documentation is the table of these tests.
    """
    cell = {None: "`None`", "<answer>": "the answer's id", "<usage>": "a dict", GONE: "missing"}
    section = PAGE.read_text("utf-8").partition("## Forcing the model to stream")[2]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    documented = {row[0].strip("`"): (row[1], row[2]) for row in rows if len(row) == 3}

    assert documented == {
        name: tuple(cell.get(value) or f"`{value}`" for value in pair) for name, pair in CHANGES.items()
    }


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_handlers_of_the_user_hear_the_tokens(way: str) -> None:
    """
    Who listens to tokens hears those of forced turns, as of any streamed call; it is on the page.
    """

    class Listens(BaseCallbackHandler):
        tokens = 0

        def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
            self.tokens += 1

    heard = []
    for force in (False, True):
        listens = Listens()
        with desk() as here:
            answers(build("create_agent", here.model, force), way, {"callbacks": [listens]})
        heard.append(listens.tokens)

    assert heard[0] == 0
    assert heard[1] > 10


@pytest.mark.parametrize("kind", ["create_agent", "middleware"])
def test_a_run_without_speculation_is_not_forced(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The switch that turns speculation off turns this off too.
    """
    monkeypatch.setenv("LANGGRAPH_SPECULATE", "off")

    assert run_of(kind, "invoke", True)[1] == [False] * 3


def test_calls_run_ahead_in_forced_turns() -> None:
    """
    Besides what is guessed, every call that the model has written.
    """
    with desk() as here:
        plain = GRAPHS["create_agent"](here.model, TOOLS)
        graph = speculate(plain, POLICY, predictor=Fixed(("get_order", {"id": 7})), force_streaming=True)
        answers(graph, "invoke")
        stats = speculation_of(graph).stats()

    assert (stats.turns, stats.hits) == (3, 3)


def test_wrapping_again_can_ask_for_it() -> None:
    """
    Asking for it is an argument like the others: it replaces the former ones, and leaving it out is no argument.
    """
    with desk() as here:
        watched = speculate(GRAPHS["create_agent"](here.model, TOOLS), POLICY)
        assert speculate(watched) is watched
        forced = speculate(watched, POLICY, force_streaming=True)
        answers(forced, "invoke")
        assert speculate(forced) is forced
        assert here.streamed() == [True] * 3


# -- what wins ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("kind", ["create_agent", "tool_node", "middleware"])
@pytest.mark.parametrize(
    "settings", [{"disable_streaming": True}, {"disable_streaming": "tool_calling"}, {"streaming": False}], ids=str
)
def test_what_the_owner_set_against_streaming_wins(settings: dict[str, Any], kind: str, way: str) -> None:
    """
    Such a model is not streamed, and its messages are the plain graph's in every field.
    """
    plain, _, _ = plain_run_of(kind, way, **settings)
    forced, wire, _ = run_of(kind, way, True, **settings)

    assert wire == [False] * 3
    assert [changes(one, other) for one, other in zip(plain, forced, strict=True)] == [{}] * 3


@pytest.mark.parametrize("kind", ["create_agent", "hand_written", "middleware"])
@pytest.mark.parametrize(
    "settings",
    [
        {"stream_usage": False},
        {"model_kwargs": {"stream_options": {"include_usage": False}}},
        {"extra_body": {"stream_options": {"include_usage": False}}},
    ],
    ids=str,
)
def test_what_the_owner_said_about_token_counts_wins(settings: dict[str, Any], kind: str) -> None:
    """
    For servers that cannot count in streams: no request asks them to, and messages have no counts.
    """
    forced, wire, counted = run_of(kind, "invoke", True, **settings)

    assert wire == [True] * 3
    assert {"include_usage": True} not in counted
    assert [message.usage_metadata for message in forced] == [None] * 3


@pytest.mark.parametrize("kind", ["create_agent", "tool_node", "middleware"])
@pytest.mark.parametrize("settings", [{"streaming": True}, {"streaming": True, "stream_usage": True}], ids=str)
def test_a_model_that_streams_anyway_is_left_alone(settings: dict[str, Any], kind: str) -> None:
    """
    Where streaming is not our idea, the plain graph's messages say what belongs into them.
    """
    plain, _, asked = plain_run_of(kind, "invoke", **settings)
    forced, wire, counted = run_of(kind, "invoke", True, **settings)

    assert wire == [True] * 3
    assert counted == asked
    assert [changes(one, other) for one, other in zip(plain, forced, strict=True)] == [{}] * 3


@pytest.mark.parametrize("way", ["stream", "astream"])
@pytest.mark.parametrize("kind", ["create_agent", "middleware"])
def test_who_streams_messages_sees_what_the_plain_graph_streams(kind: str, way: str) -> None:
    """
    `stream_mode="messages"` turns streaming on by itself, and then nothing is ours.
    """
    seen = []
    for force in (None, True):
        with desk() as here:
            chunks = drive(build(kind, here.model, force), way, stream_mode="messages")
            seen.append([(chunk.content, chunk.usage_metadata) for chunk, _ in chunks if chunk.type != "tool"])
            assert here.counted() == [None] * 3

    assert seen[0] == seen[1]


# -- which calls -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_models_of_tools_are_not_forced(kind: str, way: str) -> None:
    """
    A tool's own model call is the tool's own business, with the agent's own model or another.
    """
    with desk() as here:

        @tool("get_order")
        def summarised(id: int) -> str:
            """Summarise an order."""
            return str(here.model.invoke(f"Summarise {id}.").content) + str(here.another().invoke("Once more.").content)

        answers(build(kind, here.model, True, [summarised, get_customer]), way)
        by_whom = [(bool(body.get("tools")), bool(body.get("stream"))) for body in here.requests]

    assert by_whom.count((True, True)) == 3
    assert by_whom.count((False, False)) == 4
    assert len(by_whom) == 7


class Assisted(AgentMiddleware):
    """Asks a model of its own in every hook around the agent's."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def ask(self) -> None:
        self.model.invoke("Select.", config={"metadata": internal_call_metadata()})

    def before_model(self, state: Any, runtime: Any) -> None:
        self.ask()

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        self.ask()
        return handler(request)

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        self.ask()
        return await handler(request)


@pytest.mark.tools_block
@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("kind", ["create_agent", "middleware"])
def test_models_of_middleware_are_not_forced(kind: str, way: str) -> None:
    """
    Auxiliary calls, even inside of the model's own node, even of the agent's own model object, go as they went.
    """
    with desk() as here:
        answers(build(kind, here.model, True, middleware=[Assisted(here.model)]), way)
        by_whom = [(bool(body.get("tools")), bool(body.get("stream"))) for body in here.requests]

    assert by_whom == [(False, False), (False, False), (True, True)] * 3


@pytest.mark.parametrize("way", WAYS)
def test_agents_inside_of_tools_are_not_forced(way: str) -> None:
    """
    A graph that a tool calls is not the wrapped graph.
    """
    with desk() as here:
        inner = create_agent(here.another(), [get_customer])

        @tool("get_order")
        def ask_inner(id: int) -> str:
            """Ask somebody else."""
            return str(inner.invoke({"messages": [("user", "inner")]})["messages"][-1].content)

        only_inner = lambda body: any(message["content"] == "inner" for message in body["messages"])  # noqa: E731
        answers(build("tool_node", here.model, True, [ask_inner, get_customer]), way)
        inside = [bool(body.get("stream")) for body in here.requests if only_inner(body)]
        outside = [bool(body.get("stream")) for body in here.requests if not only_inner(body)]

    assert inside
    assert not any(inside)
    assert outside == [True] * 3


@pytest.mark.parametrize("way", WAYS)
def test_agents_that_are_nodes_are_forced(way: str) -> None:
    """
    A graph that is a node of the wrapped graph has turns of its own.
    """
    with desk() as here:
        outer = StateGraph(State).add_node("agent", GRAPHS["create_agent"](here.model, TOOLS))
        graph = speculate(outer.add_edge(START, "agent").compile(), POLICY, force_streaming=True)
        forced = answers(graph, way)

        assert here.streamed() == [True] * 3
        assert all(message.usage_metadata for message in forced)


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "astream"])
def test_nodes_run_as_ever(way: str) -> None:
    """
    No streaming handler is among those of nodes and tools: LangGraph would run nodes another way, and only the first
    such handler of a run hears what chains inside of nodes stream.
    """
    found: list[Any] = []

    def look(state: State) -> None:
        found.extend(get_config()["callbacks"].handlers)

    with desk() as here:
        builder = StateGraph(State)
        builder.add_node("look", look)
        builder.add_node("agent", GRAPHS["create_agent"](here.model, TOOLS))
        graph = builder.add_edge(START, "agent").add_edge("agent", "look").compile()
        answers(speculate(graph, POLICY, tools=[get_order], force_streaming=True), way)

        assert here.streamed() == [True] * 3
    assert found
    assert FORCED not in found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("make", [sync_only_graph, tool_node_graph])
def test_a_predictor_on_its_own_thread_changes_nothing_about_it(make: Any, way: str) -> None:
    """
    Whether the observer waits for a predictor or not, and whether the model's node is a coroutine or not.
    """
    predictor = Fixed(("get_order", {"id": 7}))
    predictor.bounded = False
    with desk() as here:
        graph = speculate(make(here.model, TOOLS), POLICY, predictor=predictor, force_streaming=True)
        forced = answers(graph, way)

        assert here.streamed() == [True] * 3
        assert all(message.usage_metadata for message in forced)


# -- models ------------------------------------------------------------------------------------------------------------


def hand_bound(bound: Any) -> Any:
    """A graph whose node calls a model that its builder has put together."""

    def call_model(state: State, config: RunnableConfig) -> Any:
        return {"messages": [bound.invoke(state["messages"], config)]}

    async def acall_model(state: State, config: RunnableConfig) -> Any:
        return {"messages": [await bound.ainvoke(state["messages"], config)]}

    builder = StateGraph(State)
    builder.add_node("model", RunnableLambda(call_model, afunc=acall_model))
    builder.add_node("tools", ToolNode(TOOLS))
    builder.add_edge(START, "model").add_conditional_edges("model", tools_condition, ["tools", END])
    return builder.add_edge("tools", "model").compile()


PUT_TOGETHER: dict[str, Callable[[Desk], Any]] = {
    "bind_tools": lambda here: here.model.bind_tools(TOOLS),
    "with_retry": lambda here: here.model.bind_tools(TOOLS).with_retry(),
    "with_fallbacks": lambda here: here.model.bind_tools(TOOLS).with_fallbacks([here.another().bind_tools(TOOLS)]),
    "fallback": lambda here: RunnableLambda(lambda messages: 1 / 0).with_fallbacks([here.another().bind_tools(TOOLS)]),
    "configurable_fields": lambda here: RunnableBinding(
        bound=here.model.configurable_fields(temperature=ConfigurableField("temperature")),
        kwargs=here.model.bind_tools(TOOLS).kwargs,
    ),
    "chain": lambda here: RunnableLambda(lambda messages: messages) | here.model.bind_tools(TOOLS),
    "in a table": lambda here: {"m": here.model.bind_tools(TOOLS)}["m"],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", PUT_TOGETHER)
def test_models_are_reached_however_they_are_put_together(how: str, way: str) -> None:
    """
    Inside of bindings, retries, fallbacks, chains: turns are streamed, and their tokens counted.
    """
    with desk() as here:
        graph = speculate(hand_bound(PUT_TOGETHER[how](here)), POLICY, force_streaming=True)
        forced = answers(graph, way)

        assert here.streamed() == [True] * 3
        assert all(message.usage_metadata for message in forced)


@pytest.mark.parametrize("settings", [{}, {"streaming": True}], ids=str)
def test_a_model_that_is_configured_in_the_call_is_the_plain_graphs(settings: dict[str, Any]) -> None:
    """
    LangChain then builds another model in which every field counts as set by its owner, `streaming` as well: what that
    says wins, as it does for who asks for tokens.
    """
    config = {"configurable": {"temperature": 0.5}}
    wires, found = [], []
    for force, modes in ((None, {}), (True, {}), (None, {"stream_mode": "messages"})):
        with desk(**settings) as here:
            plain = hand_bound(PUT_TOGETHER["configurable_fields"](here))
            graph = speculate(plain, POLICY, force_streaming=True) if force else plain
            found.append(
                answers(graph, "invoke", config) if not modes else drive(graph, "stream", config=config, **modes)
            )
            wires.append(here.streamed())
            assert {body["temperature"] for body in here.requests} == {0.5}

    assert wires == [[bool(settings)] * 3] * 3
    assert [changes(one, other) for one, other in zip(found[0], found[1], strict=True)] == [{}] * 3


def test_a_model_made_in_the_node_is_streamed_without_counts() -> None:
    """
    An object that cannot be found by looking cannot be made asking; everything else is as with those that can.
    """
    with desk() as here:

        def call_model(state: State) -> Any:
            return {"messages": [here.another().bind_tools(TOOLS).invoke(state["messages"])]}

        builder = StateGraph(State)
        builder.add_node("model", call_model)
        builder.add_node("tools", ToolNode(TOOLS))
        builder.add_edge(START, "model").add_conditional_edges("model", tools_condition, ["tools", END])
        forced = answers(
            speculate(builder.add_edge("tools", "model").compile(), POLICY, force_streaming=True), "invoke"
        )

        assert here.streamed() == [True] * 3
        assert [message.usage_metadata for message in forced] == [None] * 3


@pytest.mark.parametrize("way", WAYS)
def test_middleware_that_changes_the_model_is_followed(way: str) -> None:
    """
    The model that the last middleware gets is the one that is called: fallbacks and retries included.
    """
    with desk() as here:
        broken = ChatOpenAI(model="m", base_url="http://127.0.0.1:9/v1", api_key="x", max_retries=0)
        around = [ModelFallbackMiddleware(here.model), ModelRetryMiddleware(max_retries=0, on_failure="error")]
        forced = answers(build("middleware", broken, True, middleware=around), way)

        assert here.streamed() == [True] * 3
        assert all(message.usage_metadata for message in forced)
        assert type(here.model) is ChatOpenAI


@pytest.mark.parametrize("kind", KINDS)
def test_outside_of_the_graph_the_model_is_as_before(kind: str) -> None:
    """
    By itself, and in graphs that were not wrapped: not streamed, the same in name, fields and what it serialises to.
    """

    def looks(model: ChatOpenAI) -> Any:
        return repr(model), dumps(model), model.lc_id(), model.model_fields_set, model.asdict(), type(model).__module__

    with desk() as here:
        before = looks(here.model)
        unwrapped = GRAPHS["create_agent"](here.model, TOOLS)
        answers(build(kind, here.model, True), "invoke")
        assert here.streamed() == [True] * 3

        assert looks(here.model) == before
        assert type(here.model).__name__ == "ChatOpenAI"
        assert (type(here.model) is ChatOpenAI) is (kind == "middleware")  # which calls a view; others it is in place
        expected = plain_run_of("create_agent", "invoke")[0]
        found = answers(unwrapped, "invoke")
        assert [changes(one, other) for one, other in zip(expected, found, strict=True)] == [{}] * 3
        assert here.model.invoke("hello").usage_metadata
        assert not any(chunk.usage_metadata for chunk in here.model.stream("hello"))
        assert here.streamed() == [True] * 3 + [False] * 4 + [True]
        assert here.counted()[3:] == [None] * 5


def test_the_models_state_is_shared_with_what_asks_for_it() -> None:
    """
    What is called instead of a model is that model under another class: neither gets out of step with the other.
    """
    model = ChatOpenAI(model="m", api_key="x", base_url="http://127.0.0.1:9")
    other = asking(model)
    other.temperature = 0.25
    model.max_tokens = 7

    assert other is not model
    assert (model.temperature, other.max_tokens) == (0.25, 7)
    assert isinstance(other, ChatOpenAI)
    assert asking(other) is other
    assert list(chat_models_in([[model], model.bind(stop=["x"])])) in ([model, model], [model])


def test_copies_of_a_model_work_too() -> None:
    """
    Other people copy models: `model_copy`, `with_config`, `bind`.
    """
    with desk() as here:
        other = asking(here.model)
        copies = [other.model_copy(update={"temperature": 0.5}), other.with_config(tags=["t"]), other.bind(stop=["x"])]
        for one in copies:
            assert one.invoke("hello").content == "a summary"
        asyncio.run(copies[0].ainvoke("hello"))
        assert here.streamed() == [False] * 4
