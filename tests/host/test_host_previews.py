"""Previews: the model's next call on remembered results, taken over only by a real call with that very input."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    GRAPHS,
    START_INPUT,
    WAYS,
    Fixed,
    ScriptedModel,
    Seen,
    adrive,
    agent_graph,
    ask,
    canonical,
    drive,
    make_tool,
    sync_only_graph,
    tool_node_graph,
)
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, ModelCallLimitMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_openai import ChatOpenAI
from langgraph.config import get_stream_writer
from langsmith_server import LangSmithServer

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.core import events
from langgraph_speculate.core.events import Event
from langgraph_speculate.core.stakes import Bet, Tokens
from langgraph_speculate.demo.loopback import LoopbackServer, Pace, Reply
from langgraph_speculate.host import clock
from langgraph_speculate.observe.observers import at_once

PACE_S = 0.12
AHEAD: dict[str, Any] = {
    "model_ahead": True,
    "thrift": 0.0,
    "tools": {"look": {"read_only": True}},
    "limits": {"max_in_flight": 0},  # no tool runs early, so that the previews are alone
}
NOBODY = Fixed()
SCRIPT = [ask(("look", {"id": 1})), ask(("look", {"id": 2})), AIMessage("done")]


class Shop:
    """What a tool finds, which may change.

    Attributes:
        found: Answers by id.
        asked: How often the model was asked.
    """

    def __init__(self) -> None:
        self.found = {1: "one", 2: "two", 3: "three"}
        self.asked = 0

    def tool(self, flavour: str = "both", **settings: Any) -> Any:
        def look(id: int) -> str:
            "Look something up."
            return self.found[id]

        return make_tool("look", look, flavour, PACE_S, **settings)

    def model(self, script: list[Any] | None = None, kind: type[ScriptedModel] = ScriptedModel, **more: Any) -> Any:
        def during(_turn: int) -> None:
            self.asked += 1

        return kind(script=SCRIPT if script is None else script, pace_s=PACE_S, during=during, **more)


@contextmanager
def watching(graph: Any) -> Iterator[list[Event]]:
    """What happens in a graph meanwhile."""
    happened: list[Event] = []
    off = speculation_of(graph).events(at_once(happened.append))
    yield happened
    off()


def reasons(happened: list[Event]) -> list[str]:
    """What became of the previews, in order."""
    told = [event for event in happened if isinstance(event, events.PreviewUsed | events.PreviewWasted)]
    return ["used" if isinstance(event, events.PreviewUsed) else event.reason for event in told]


def wrapped(graph: Any, policy: dict[str, Any] | None = None) -> Any:
    return speculate(graph, AHEAD if policy is None else policy, predictor=NOBODY)


# -- taken over, or not ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("build", GRAPHS.values(), ids=GRAPHS)
def test_what_was_remembered_right_is_taken_over_and_nobody_can_tell(build: Callable[..., Any], way: str):
    """
    State, streams and callbacks are those of the plain graph, and the model is asked no more often.
    """
    shop, plain_shop = Shop(), Shop()
    plain = build(plain_shop.model(), [plain_shop.tool()])
    graph = wrapped(build(shop.model(), [shop.tool()]))
    drive(graph, way)  # from here on everything is remembered
    modes = {"stream_mode": ["values", "messages"]} if way.endswith("stream") else {}
    seen, plainly = Seen(), Seen()

    with watching(graph) as happened:
        shop.asked = 0
        got = drive(graph, way, config={"callbacks": [seen]}, **modes)
    expected = drive(plain, way, config={"callbacks": [plainly]}, **modes)

    assert canonical(got) == canonical(expected)
    assert seen.events == plainly.events
    assert reasons(happened) == ["used", "used"]
    assert shop.asked == 3
    # Of the first, what the tool took less what the preview took to begin; the last answer takes no time.
    assert speculation_of(graph).stats().previews.hidden_s > PACE_S / 4
    assert "previews of the model used" in str(speculation_of(graph).stats())


@pytest.mark.parametrize("way", WAYS)
def test_what_came_out_otherwise_is_asked_as_in_the_plain_graph(way: str):
    """
    A wrong preview is thrown away, and what the run says is about the real result.
    """
    shop = Shop()
    script = [*SCRIPT[:2], lambda messages: AIMessage(f"it is {messages[-1].content}")]
    graph = wrapped(agent_graph(shop.model(script), [shop.tool()]))
    drive(graph, way)
    shop.found[2] = "another"
    with watching(graph) as happened:
        drive(graph, way)
        (*_, last) = drive(graph, way, **({"stream_mode": "values"} if way.endswith("stream") else {}))
    assert last["messages"][-1].content == "it is another"
    assert reasons(happened)[:2] in (["used", "result"], ["used", "messages"])


@pytest.mark.parametrize("way", WAYS)
def test_parallel_calls_are_previewed_if_all_are_remembered(way: str):
    """
    One that is not known leaves nothing to begin with.
    """
    shop = Shop()
    script = [
        ask(("look", {"id": 1}), ("look", {"id": 2})),
        ask(("look", {"id": 1}), ("look", {"id": 3})),
        AIMessage(""),
    ]
    graph = wrapped(agent_graph(shop.model(script), [shop.tool()]))
    memory = graph.speculation_engine.memory
    drive(graph, way)
    assert memory is not None
    known = [shop.found[id] for id in (1, 2, 3)]
    with watching(graph) as happened:
        drive(graph, way)
    assert reasons(happened) == ["used", "used"]
    assert [shop.found[id] for id in (1, 2, 3)] == known


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_model_with_a_sync_body_only_is_previewed_in_a_thread(way: str):
    """
    LangChain runs such a body in an executor; what it waits for there is a thread of ours.
    """

    class Sync(BaseChatModel):
        shop: Any

        @property
        def _llm_type(self) -> str:
            return "sync"

        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            self.shop.asked += 1
            time.sleep(PACE_S)
            turn = sum(isinstance(message, AIMessage) for message in messages)
            return ChatResult(generations=[ChatGeneration(message=SCRIPT[turn].model_copy(deep=True))])

    shop = Shop()
    graph = wrapped(agent_graph(Sync(shop=shop), [shop.tool()]))
    drive(graph, way)
    shop.asked = 0
    with watching(graph) as happened:
        drive(graph, way)
    assert (reasons(happened), shop.asked) == (["used", "used"], 3)


@pytest.mark.parametrize("way", WAYS)
def test_sync_nodes_are_previewed_in_async_runs_too(way: str):
    """
    The node's function runs in a thread, and so does what runs ahead for it.
    """
    shop = Shop()
    graph = wrapped(sync_only_graph(shop.model(), [shop.tool("sync")]))
    drive(graph, way)
    with watching(graph) as happened:
        drive(graph, way)
    assert reasons(happened) == ["used", "used"]


@pytest.mark.parametrize("way", WAYS)
def test_the_middleware_does_the_same(way: str):
    """
    The model of each request is called through a view that takes previews over; the model itself is not changed.
    """
    shop, happened = Shop(), []
    model = shop.model()
    middleware = SpeculationMiddleware(AHEAD, predictor=NOBODY, observers=[at_once(happened.append)])
    graph = create_agent(model, [shop.tool()], middleware=[middleware])
    drive(graph, way)
    happened.clear()
    drive(graph, way)
    assert reasons(happened) == ["used", "used"]
    assert type(model) is ScriptedModel


def test_off_by_default_and_then_nothing_is_touched():
    """
    Models keep their class, nothing is remembered, and no event is about previews.
    """
    shop = Shop()
    model = shop.model()
    graph = speculate(agent_graph(model, [shop.tool()]), {"tools": AHEAD["tools"]}, predictor=NOBODY)
    with watching(graph) as happened:
        drive(graph, "invoke")
        drive(graph, "invoke")
    assert type(model) is ScriptedModel
    assert graph.speculation_engine.memory is None
    assert not [event for event in happened if type(event).__name__.startswith("Preview")]


def test_outside_of_a_speculating_run_an_adopting_model_is_as_before():
    """
    The object is shared with whoever else holds on to it.
    """
    shop = Shop()
    model = shop.model()
    wrapped(agent_graph(model, [shop.tool()]))
    assert (type(model).__name__, type(model).__module__) == ("ScriptedModel", ScriptedModel.__module__)
    assert model.invoke("hello").tool_calls[0]["name"] == "look"
    assert next(chunk.content for chunk in model.stream("hello")) == ""


# -- what must be the same -------------------------------------------------------------------------------------------


def _changing(change: Callable[[Any], Any]) -> AgentMiddleware[Any, Any, Any]:
    """A middleware that changes the second and later requests for the model."""

    class Changing(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            return handler(change(request) if len(request.messages) > 1 else request)

    return Changing()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda request: request.override(tool_choice="any"), "options"),
        (lambda request: request.override(model_settings={"stop": ["x"]}), "options"),
        (lambda request: request.override(tools=[]), "options"),
        (lambda request: request.override(model=request.model.model_copy()), "model"),
        (lambda request: request.override(messages=[*request.messages, HumanMessage("more")]), "messages"),
        (lambda request: request.override(messages=request.messages[1:]), "messages"),
    ],
    ids=["tool_choice", "stop", "tools", "model", "a message more", "a message less"],
)
def test_any_other_input_is_asked_for_real(change: Callable[[Any], Any], reason: str):
    """
    What the model is given differs from call to call, in one respect each.
    """
    shop = Shop()
    script = [SCRIPT[0], AIMessage("done")]
    graph = wrapped(agent_graph(shop.model(script), [shop.tool()], middleware=[_changing(change)]))
    drive(graph, "invoke")
    shop.asked = 0
    with watching(graph) as happened:
        drive(graph, "invoke")
    assert reasons(happened) == [reason]
    assert shop.asked == 3


def test_settings_of_the_model_that_change_meanwhile_are_noticed():
    """
    The same object with another setting is another model.
    """
    shop = Shop()

    def look(id: int) -> str:
        "Look something up, and set up the model anew."
        time.sleep(PACE_S)
        model.streams = not model.streams
        return "one"

    model = shop.model([SCRIPT[0], AIMessage("done")])
    graph = wrapped(agent_graph(model, [make_tool("look", look)]))
    drive(graph, "invoke")
    with watching(graph) as happened:
        drive(graph, "invoke")
    assert reasons(happened) == ["model"]


def test_a_context_variable_that_changes_meanwhile_is_noticed():
    """
    A model's client may read whose request it is from one.
    """
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
    shop = Shop()

    class Around(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            tenant.set(f"ann {len(request.messages)}")
            return handler(request)

    graph = wrapped(agent_graph(shop.model([SCRIPT[0], AIMessage("done")]), [shop.tool()], middleware=[Around()]))
    drive(graph, "invoke")
    with watching(graph) as happened:
        drive(graph, "invoke")
    assert reasons(happened) == ["circumstances"]


def test_messages_changed_in_place_are_noticed():
    """
    What is compared is what the model was given, not the objects that it was given.
    """
    shop = Shop()

    class Edits(AgentMiddleware[Any, Any, Any]):
        def wrap_model_call(self, request: Any, handler: Any) -> Any:
            request.messages[0].content += "!"
            return handler(request)

    graph = wrapped(agent_graph(shop.model([SCRIPT[0], AIMessage("done")]), [shop.tool()], middleware=[Edits()]))
    drive(graph, "invoke")
    with watching(graph) as happened:
        drive(graph, "invoke")
    assert reasons(happened) == ["messages"]


# -- what is not previewed -------------------------------------------------------------------------------------------


def test_a_model_that_shows_more_than_its_answer_is_not_previewed_again():
    """
    What it writes to streams would be lost; it trips a wire once, and then it is left alone.
    """

    class Telling(ScriptedModel):
        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            result = super()._generate(messages, stop, run_manager, **kwargs)
            if run_manager is not None:
                run_manager.on_llm_new_token("told")
            return result

    shop, seen = Shop(), []
    graph = wrapped(agent_graph(shop.model(kind=Telling), [shop.tool()]))
    drive(graph, "invoke")
    with watching(graph) as happened:
        for _ in range(2):
            drive(graph, "invoke", config={"callbacks": [_Tokens(seen)]})
    assert seen == ["told"] * 6
    assert "used" not in reasons(happened)
    assert len(reasons(happened)) <= 2
    told = speculation_of(graph).explain()
    assert [(verdict.tool, verdict.reason, verdict.origin) for verdict in told.models] == [
        ("Telling", "unpreviewable", "model_ahead")
    ]
    assert str(told).splitlines()[-1].startswith("no  Telling")


def test_a_model_whose_previews_cost_too_much_is_explained():
    """
    For as long as none of them begins.
    """
    now = clock.now()
    graph = wrapped(agent_graph(Shop().model(), [Shop().tool()]))
    stakes, bet = graph.speculation_engine.economy.stakes, Bet("gpt", ["get_order"], 0.9, Tokens(100_000, 100))
    for _ in range(16):
        stakes.made(bet)
        stakes.ended(bet)
        stakes.lost(bet, bet.tokens, now)
    (verdict,) = speculation_of(graph).explain().models

    assert (verdict.tool, verdict.allowed, verdict.reason) == ("gpt", False, "breaker")
    assert verdict.detail.startswith("16 previews cost")


class _Tokens(Seen):
    def __init__(self, seen: list[str]) -> None:
        super().__init__()
        self._tokens = seen

    def on_llm_new_token(self, token: Any, **_kwargs: Any) -> None:
        self._tokens.append(token)


def _writes(messages: Any) -> AIMessage:
    get_stream_writer()("told")
    return AIMessage("done")


class _Writing(ScriptedModel):
    """Its own code gets at the run's stream."""

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        get_stream_writer()("told")
        return super()._generate(messages, *args, **kwargs)


@pytest.mark.parametrize(
    "make",
    [
        lambda shop: shop.model(kind=_Writing),
        lambda shop: shop.model(rate_limiter=InMemoryRateLimiter(requests_per_second=1_000.0)),
    ],
    ids=["writes to streams", "rate limiter"],
)
def test_some_models_are_left_alone(make: Callable[[Shop], Any], caplog: pytest.LogCaptureFixture):
    """
    One whose code gets at the run, and one whose real calls would wait for what a preview took; it is said once.
    """
    shop = Shop()
    graph = wrapped(tool_node_graph(make(shop), [shop.tool()]))
    with watching(graph) as happened:
        for _ in range(3):
            drive(graph, "invoke")
    assert reasons(happened) == []
    assert sum("are not started ahead" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("said", [{"private": True}, {"read_only": True, "ttl_s": 1.0}], ids=["private", "ordinary"])
def test_results_of_private_tools_are_never_remembered(said: dict[str, Any]):
    """
    Whatever else is said of them.
    """
    shop = Shop()
    graph = wrapped(agent_graph(shop.model(), [shop.tool()]), {**AHEAD, "tools": {"look": said}})
    drive(graph, "invoke")
    with watching(graph) as happened:
        drive(graph, "invoke")
    assert reasons(happened) == ([] if "private" in said else ["used", "used"])


@pytest.mark.parametrize("shared", [False, True])
def test_users_share_what_was_remembered_only_if_the_owner_says_so(shared: bool):
    """
    Partitions are those of the policy.
    """
    shop = Shop()
    tools = {"look": {"read_only": True, "shared_results": shared}}
    graph = wrapped(agent_graph(shop.model(), [shop.tool()]), {**AHEAD, "tools": tools, "partition_by": ["user"]})
    drive(graph, "invoke", config={"configurable": {"user": "ann"}})
    drive(graph, "invoke", config={"configurable": {"user": "ann"}})
    with watching(graph) as happened:
        drive(graph, "invoke", config={"configurable": {"user": "bob"}})
    assert (reasons(happened).count("used") > 1) is shared


@pytest.mark.parametrize("level", ["shadow", "off"])
def test_nothing_is_previewed_where_nothing_runs_ahead(level: str):
    """
    Shadow mode and the switch hold for models, too.
    """
    shop = Shop()
    graph = wrapped(agent_graph(shop.model(), [shop.tool()]), {**AHEAD, "level": level})
    with watching(graph) as happened:
        for _ in range(2):
            drive(graph, "invoke")
    assert reasons(happened) == []


def test_a_limit_on_model_calls_sees_each_call_once():
    """
    The limit is on what the run asks for, and an answer that was there already is one of those.
    """
    shop, plain_shop = Shop(), Shop()
    limit = [ModelCallLimitMiddleware(run_limit=2)]
    plain = agent_graph(plain_shop.model(), [plain_shop.tool()], middleware=limit)
    graph = wrapped(agent_graph(shop.model(), [shop.tool()], middleware=limit))
    drive(graph, "invoke")
    assert canonical(drive(graph, "invoke")) == canonical(drive(plain, "invoke"))


# -- ChatOpenAI, as its server sees it -------------------------------------------------------------------------------


def _serving(shop: Shop, long: bool = False) -> LoopbackServer:
    def respond(messages: Any, _tools: Any) -> Reply:
        turn = sum(message["role"] == "assistant" for message in messages)
        if turn < 2:
            return Reply(tool_calls=[(f"c{turn}", "look", {"id": turn + 1})])
        if long:
            return Reply("long " * 80 + messages[-1]["content"], pace=Pace.fixed(20 * PACE_S))
        return Reply(f"it is {messages[-1]['content']}")

    return LoopbackServer(respond, pace=Pace.fixed(0.3))


def _client(server: LoopbackServer, **settings: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model="scripted", base_url=server.base_url, api_key="loopback", max_retries=0, stream_usage=True, **settings
    )


def _without_numbers(value: Any) -> str:
    """Without the numbers that the server gives to its replies."""
    return re.sub(r"chatcmpl-\d+", "chatcmpl", repr(canonical(value)))


@pytest.mark.parametrize("way", WAYS)
def test_an_openai_model_is_billed_once_and_counts_its_tokens(way: str):
    """
    Messages with their usage are those of the plain graph, and so is the number of requests.
    """
    shop = Shop()
    modes = {"stream_mode": ["messages", "values"]} if way.endswith("stream") else {}

    async def runs(graph: Any) -> list[Any]:
        return [await adrive(graph, way, **modes) for _ in range(3)]

    def all_of(graph: Any) -> list[Any]:
        return asyncio.run(runs(graph)) if way in ASYNC_WAYS else [drive(graph, way, **modes) for _ in range(3)]

    with _serving(shop) as server, _serving(shop) as other:
        graph = wrapped(agent_graph(_client(server), [shop.tool()]))
        with watching(graph) as happened:
            got = all_of(graph)
        expected = all_of(agent_graph(_client(other), [shop.tool()]))
        requests = len(server.requests) - len(other.requests)
    assert _without_numbers(got[2]) == _without_numbers(expected[2])
    assert reasons(happened).count("used") >= 4
    assert requests == len(reasons(happened)) - reasons(happened).count("used")


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_mismatch_closes_the_stream_of_its_provider(way: str):
    """
    The rest of its answer is never sent.
    """
    shop = Shop()
    with _serving(shop, long=True) as server:
        graph = wrapped(agent_graph(_client(server), [shop.tool()]))

        async def run() -> None:
            for value in ("two", "two", "another"):
                shop.found[2] = value
                await adrive(graph, way, stream_mode="messages")

        with watching(graph) as happened:
            if way == "astream":
                asyncio.run(run())
            else:
                for value in ("two", "two", "another"):
                    shop.found[2] = value
                    drive(graph, way, stream_mode="messages")
        sent = list(server.sent)
    assert "result" in reasons(happened)
    cut = [reply for reply in sent if len(reply.at) < len(reply.deltas)]
    wasted = [event.tokens for event in happened if isinstance(event, events.PreviewWasted)]
    assert len(cut) >= 1
    assert 0 < max(wasted) < 150  # the whole answer has more


# -- nothing is left -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_run_that_is_cancelled_takes_its_previews_along(way: str):
    """
    Neither one that waits nor one that is being taken over outlives it.
    """
    shop = Shop()
    graph = wrapped(agent_graph(shop.model(), [shop.tool()]))

    async def run() -> list[Any]:
        await adrive(graph, way)
        for delay in (1.5, 2.5):
            task = asyncio.ensure_future(adrive(graph, way, stream_mode="messages"))
            await asyncio.sleep(delay * PACE_S)
            task.cancel()
            await asyncio.wait([task])
        await asyncio.sleep(0)
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    with watching(graph) as happened:
        assert asyncio.run(run()) == []
    begun = sum(isinstance(event, events.PreviewBegan) for event in happened)
    assert begun == len(reasons(happened)) > 0


def test_closing_the_handle_in_the_midst_of_a_stream_does_not_break_it():
    """
    What a real call has taken over is that call's: it goes on to its end.
    """
    shop, chunks = Shop(), []

    def respond(messages: Any, _tools: Any) -> Reply:
        asked = messages[-1]["role"] == "tool"
        return Reply("word " * 40) if asked else Reply(tool_calls=[("c", "look", {"id": 1})])

    with LoopbackServer(respond, pace=Pace.fixed(0.5)) as server:
        graph = wrapped(agent_graph(_client(server), [shop.tool()]))

        async def run() -> None:
            for _ in range(2):
                await adrive(graph, "astream", stream_mode="messages")
            async for chunk, _ in graph.astream(START_INPUT, stream_mode="messages"):
                chunks.append(chunk.content)
                if len(chunks) == 12:
                    speculation_of(graph).close()

        with watching(graph) as happened:
            asyncio.run(run())
    assert "".join(chunks).count("word") == 40
    assert reasons(happened)[-1] == "used"


def test_a_sync_run_that_ends_leaves_no_thread_at_work():
    """
    A stream in a thread ends with its next piece.
    """
    shop = Shop()
    graph = wrapped(agent_graph(shop.model(), [shop.tool("sync")]))
    drive(graph, "invoke")
    for _ in graph.stream(START_INPUT, stream_mode="updates"):
        break
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(t.name == "speculate-worker" for t in threading.enumerate()):
        time.sleep(0.02)
    assert not [thread for thread in threading.enumerate() if thread.name == "speculate-worker"]
    assert speculation_of(graph).stats().previews.began == sum(
        [speculation_of(graph).stats().previews.used, *speculation_of(graph).stats().previews.wasted.values()]
    )


# -- traces ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_langsmith_shows_each_preview_below_the_step_that_it_was_started_beside(way: str):
    """
    With what it was bet on and what became of it; a used one names the step that took it over.
    """
    shop = Shop()
    graph = wrapped(agent_graph(shop.model(), [shop.tool()]))
    drive(graph, way)
    shop.found[2] = "another"
    with LangSmithServer() as server, server.tracing():
        drive(graph, way)
    (used,), (wasted,) = server.tagged("speculation:adopted"), server.tagged("speculation:wasted")
    assert [run.name for run in (used, wasted)] == ["speculate model"] * 2
    assert {run.id for run in server.tagged("speculation:model-ahead")} == {used.id, wasted.id}
    assert {server.runs[run.parent].name for run in (used, wasted)} == {"model"}
    assert server.runs[used.speculation["adopted_step_id"]].name == "model"
    assert used.speculation["adopted_step_id"] != used.parent
    assert used.speculation["tools"] == "look"
    assert wasted.speculation["reason"] in ("result", "messages")
    assert wasted.speculation["wasted_tokens"] > 0
    assert not [run.name for run in server.runs.values() if run.pending]
