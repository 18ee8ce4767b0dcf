"""Previews of models whose code does more than write its answer: what it reaches for, and what it changes."""

from __future__ import annotations

import asyncio
import decimal
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextvars import ContextVar
from copy import deepcopy
from functools import reduce
from operator import add
from typing import Any

import pytest
from agents import (
    WAYS,
    Fixed,
    ScriptedModel,
    Seen,
    State,
    agent_graph,
    ask,
    canonical,
    drive,
    make_tool,
    outcome,
)
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.messages.utils import message_chunk_to_message
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.core import events
from langgraph_speculate.host.continuation import Continuation
from langgraph_speculate.host.inputs import ModelInput
from langgraph_speculate.host.previewer import Previewer
from langgraph_speculate.observe.observers import at_once

PACE_S = 0.12
AHEAD: dict[str, Any] = {
    "model_ahead": True,
    "thrift": 0.0,
    "tools": {"look": {"read_only": True}},
    "limits": {"max_in_flight": 0},  # no tool runs early, so that the previews are alone
}
SCRIPT = [ask(("look", {"id": 1})), ask(("look", {"id": 2})), AIMessage("done")]


def look(id: int) -> str:
    "Look something up."
    return f"found {id}"


TOOL = make_tool("look", look, "both", PACE_S)


def plain(model: Any) -> Any:
    return agent_graph(model, [TOOL])


def wrapped(model: Any, happened: list[Any] | None = None) -> Any:
    observers = [] if happened is None else [at_once(happened.append)]
    return speculate(plain(model), AHEAD, predictor=Fixed(), observers=observers)


def runs(graph: Any, way: str, times: int, *, modes: Sequence[str] = ("values", "messages")) -> list[Any]:
    """What each of several runs gives, or how it fails."""
    named = {"stream_mode": list(modes)} if way.endswith("stream") else {}
    return [outcome(lambda: canonical(drive(graph, way, **named))) for _ in range(times)]


def ends(happened: list[Any]) -> list[str]:
    told = [one for one in happened if isinstance(one, events.PreviewUsed | events.PreviewWasted)]
    return ["used" if isinstance(one, events.PreviewUsed) else one.reason for one in told]


def _turn(messages: Any) -> int:
    return sum(isinstance(message, AIMessage) for message in messages)


def _words(text: str) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=AIMessageChunk(content=text))


class Router(ScriptedModel):
    """Says something at once; of its last message, another model says the rest.

    Args:
        inner: Finds that model.
        routes: Whether it is so already.
        begins: What it says first, by how often it was asked for that message.
    """

    inner: Any
    routes: Any
    begins: Any = None

    def _first(self, turn: int) -> ChatGenerationChunk:
        first = "Let me see. " if self.begins is None else self.begins(turn)
        return _words(first) if isinstance(first, str) else first

    def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        turn = _turn(messages)
        yield self._first(turn)
        time.sleep(2 * PACE_S)
        if turn < 2 or not self.routes[0]:
            yield from self._chunks(messages)
        else:
            for chunk in self.inner().stream(messages):
                yield ChatGenerationChunk(message=chunk)

    async def _astream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        turn = _turn(messages)
        yield self._first(turn)
        await asyncio.sleep(2 * PACE_S)
        if turn < 2 or not self.routes[0]:
            for chunk in self._chunks(messages):
                yield chunk
        else:
            async for chunk in self.inner().astream(messages):
                yield ChatGenerationChunk(message=chunk)


INNER = ScriptedModel(script=SCRIPT)


class Holding(Router):
    """As `Router`, and it can be seen that there is another model in it."""

    held: Any = None


# -- what it reaches for -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("routes", [True, False], ids=["always", "later on"])
def test_a_model_that_says_something_and_then_calls_another_one_shows_no_wire(way: str, routes: bool):
    """
    A preview that may not go on is nobody's error, and nothing is said twice, be it the first preview or a later one.
    """
    model = Router(script=SCRIPT, inner=lambda: INNER, routes=[routes])
    graph = wrapped(model)
    runs(graph, way, 1)
    model.routes[0] = True
    assert runs(graph, way, 2) == runs(plain(model.model_copy()), way, 2)


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_model_with_another_one_in_it_is_handed_on_when_it_has_ended(way: str):
    """
    That its previews ended well so far says nothing of the next one.
    """
    happened: list[Any] = []
    model = Holding(script=SCRIPT, inner=lambda: model.held, held=INNER, routes=[False])
    graph = wrapped(model, happened)
    runs(graph, way, 1)
    model.routes[0] = True
    happened.clear()
    got = runs(graph, way, 1)
    assert got == runs(plain(model.model_copy()), way, 1)
    assert ends(happened) == ["used", "tainted"]


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_words_that_cannot_be_taken_back_are_followed_by_all_that_the_model_really_says(way: str):
    """
    One that begins otherwise each time it is asked is not cut short, and no error is raised.
    """
    asked: list[int] = []

    def begins(turn: int) -> str:
        asked.append(turn)
        return f"Try {asked.count(turn)}. "

    model = Router(script=SCRIPT, inner=lambda: INNER, routes=[False], begins=begins)
    graph = wrapped(model)
    runs(graph, way, 1)
    model.routes[0] = True
    asked.clear()
    (*_, (_, last)) = drive(graph, way, stream_mode=["values", "messages"])
    assert last["messages"][-1].content == "Try 1. Try 2. done"


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_call_that_was_begun_is_never_put_together_with_another_one(way: str):
    """
    Half of one and half of another would be a call that no model has written: that breaks off, with an ordinary error.
    """
    asked: list[int] = []

    def begins(turn: int) -> Any:
        asked.append(turn)
        piece = {"name": "look", "args": '{"id"', "id": "x", "index": 0, "type": "tool_call_chunk"}
        if turn < 2 or not model.routes[0]:
            return ""
        return (
            _words("Well. ")
            if asked.count(turn) > 1
            else ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[piece]))
        )

    model = Router(script=SCRIPT, inner=lambda: INNER, routes=[False], begins=begins)
    graph = wrapped(model)
    runs(graph, way, 1)
    model.routes[0] = True
    asked.clear()
    with pytest.raises(RuntimeError, match="broke off in a tool call"):
        drive(graph, way, stream_mode=["values", "messages"])


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_streams_are_handed_on_in_pieces_once_one_has_shown_to_be_harmless(way: str):
    """
    The first preview of a class comes as a whole, the next ones while they are written.
    """
    done: list[int] = []

    class Slow(ScriptedModel):
        def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            yield _words("Well. ")
            time.sleep(3 * PACE_S)
            yield from self._chunks(messages)
            done.append(_turn(messages))

        async def _astream(self, messages: Any, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
            yield _words("Well. ")
            await asyncio.sleep(3 * PACE_S)
            for chunk in self._chunks(messages):
                yield chunk
            done.append(_turn(messages))

    whole: list[bool] = []

    class Ears(Seen):
        def on_llm_new_token(self, token: Any, **_kwargs: Any) -> None:
            if token == "Well. ":
                whole.append(len(whole) in done)

    graph = wrapped(Slow(script=SCRIPT))
    runs(graph, way, 1)
    done.clear()
    drive(graph, way, stream_mode="messages", config={"callbacks": [Ears()]})
    assert speculation_of(graph).stats().previews.used == 2
    assert whole == [False, True, False]  # asked for real, the first preview, the second


# -- what it changes ---------------------------------------------------------------------------------------------------


def _stamps(messages: Any, kwargs: dict[str, Any]) -> None:
    messages[0].content += "!"


def _caches(messages: Any, kwargs: dict[str, Any]) -> None:
    messages[0].content[0]["cache_control"] = {"type": f"ephemeral {len(messages)}"}


def _tags(messages: Any, kwargs: dict[str, Any]) -> None:
    for message in messages:
        message.additional_kwargs["seen"] = message.additional_kwargs.get("seen", 0) + 1


def _marks_options(messages: Any, kwargs: dict[str, Any]) -> None:
    kwargs["tools"][0]["function"]["description"] += "!"
    messages[0].content = kwargs["tools"][0]["function"]["description"]


class Changing(ScriptedModel):
    """Changes in place what it is given."""

    change: Any

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.change(messages, kwargs)
        return super()._generate(messages, *args, **kwargs)

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.change(messages, kwargs)
        return await super()._agenerate(messages, *args, **kwargs)

    def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.change(messages, kwargs)
        yield from super()._stream(messages, *args, **kwargs)

    async def _astream(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        self.change(messages, kwargs)
        async for chunk in super()._astream(messages, *args, **kwargs):
            yield chunk


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("change", [_stamps, _caches, _tags, _marks_options])
def test_what_a_body_changes_in_place_is_changed_by_real_calls_alone(way: str, change: Any):
    """
    A preview is given messages and options of its own; one that changes them is not used, and there is no other.
    """
    start = {"messages": [HumanMessage([{"type": "text", "text": "go"}] if change is _caches else "go")]}

    def contents(graph: Any) -> list[Any]:
        given = deepcopy(start)
        modes = {"stream_mode": "values"} if way.endswith("stream") else {}
        return canonical([drive(graph, way, given, **modes)[-1], given])

    happened: list[Any] = []
    graph = wrapped(Changing(script=SCRIPT, change=change, pace_s=PACE_S), happened)
    other = plain(Changing(script=SCRIPT, change=change, pace_s=PACE_S))
    assert [contents(graph) for _ in range(3)] == [contents(other) for _ in range(3)]
    assert "used" not in ends(happened)
    assert len(ends(happened)) == 1


def test_what_changed_in_place_is_told():
    """
    The log and `explain()` name it, in the words used of tools.
    """
    graph = wrapped(Changing(script=SCRIPT, change=_stamps))
    runs(graph, "invoke", 3)
    (verdict,) = speculation_of(graph).explain().models
    assert (verdict.tool, verdict.detail) == ("Changing", "it uses messages that it changes in place")


def test_a_long_conversation_is_copied_in_a_few_milliseconds():
    """
    What is copied are messages, not the texts and artifacts in them.
    """
    artifact, messages = object(), []
    for turn in range(100):
        asking = ask(("look", {"id": turn}))
        messages += [asking, ToolMessage("found" * 200, tool_call_id=asking.tool_calls[0]["id"], artifact=artifact)]
    given = ModelInput(INNER, "_generate", None, messages, {"stop": ["x"]}, False, {}, {})

    began = time.perf_counter()
    apart = given.apart()
    took = time.perf_counter() - began

    assert apart.form().difference(given.form()) is None
    assert all(mine is not theirs for mine, theirs in zip(apart.messages, messages, strict=True))
    assert apart.messages[0].tool_calls is not messages[0].tool_calls
    assert apart.messages[1].content is messages[1].content
    assert apart.messages[1].artifact is artifact
    assert took < 0.1  # 2 ms


SPENT: ContextVar[int] = ContextVar("spent", default=0)
BILLS: ContextVar[list[int]] = ContextVar("bills")


def _counts() -> None:
    SPENT.set(SPENT.get() + 10)


def _bills() -> None:
    BILLS.get().append(10)


def _rounds() -> None:
    decimal.getcontext().prec = 3


class Accounting(ScriptedModel):
    """Says in a context variable what it came to."""

    account: Any

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._generate(*args, **kwargs)
        self.account()
        return result

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        result = await super()._agenerate(*args, **kwargs)
        self.account()
        return result

    def _stream(self, *args: Any, **kwargs: Any) -> Any:
        yield from super()._stream(*args, **kwargs)
        self.account()

    async def _astream(self, *args: Any, **kwargs: Any) -> Any:
        async for chunk in super()._astream(*args, **kwargs):
            yield chunk
        self.account()


def _accounted(model: Any, streams: bool) -> Any:
    """A graph whose model node notes what the model's call left in its context."""
    bound = model.bind_tools([TOOL])

    def noted(message: Any) -> Any:
        message.additional_kwargs["left"] = [SPENT.get(), list(BILLS.get()), decimal.getcontext().prec]
        return {"messages": [message]}

    def begin() -> None:
        SPENT.set(0)
        BILLS.set([])
        decimal.setcontext(decimal.Context(prec=9))

    def call_model(state: Any) -> Any:
        begin()
        if not streams:
            return noted(bound.invoke(state["messages"]))
        return noted(message_chunk_to_message(reduce(add, list(bound.stream(state["messages"])))))

    async def acall_model(state: Any) -> Any:
        begin()
        if not streams:
            return noted(await bound.ainvoke(state["messages"]))
        chunks = [chunk async for chunk in bound.astream(state["messages"])]
        return noted(message_chunk_to_message(reduce(add, chunks)))

    builder = StateGraph(State)
    builder.add_node("model", RunnableLambda(call_model, afunc=acall_model))
    builder.add_node("tools", ToolNode([TOOL]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("streams", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("account", [_counts, _bills, _rounds])
def test_what_a_body_leaves_in_its_callers_context_is_there(way: str, streams: bool, account: Any):
    """
    A preview has a context of its own: one that leaves something there which a real call would show is not used.
    """
    graph = speculate(_accounted(Accounting(script=SCRIPT, account=account), streams), AHEAD, predictor=Fixed())
    other = _accounted(Accounting(script=SCRIPT, account=account), streams)
    values = {"modes": ["values"]}
    assert runs(graph, way, 3, **values) == runs(other, way, 3, **values)


@pytest.mark.parametrize("way", WAYS)
def test_a_preview_calculates_as_its_run_does(way: str):
    """
    The decimal context is the run's, and one that has changed meanwhile is noticed.
    """

    def told(messages: Any) -> AIMessage:
        return AIMessage(str(decimal.Decimal(1) / 3))

    happened: list[Any] = []
    graph = wrapped(ScriptedModel(script=[*SCRIPT[:2], told], pace_s=PACE_S), happened)
    with decimal.localcontext(prec=5):
        (*_, got) = runs(graph, way, 3, modes=["values"])
    assert "0.33333'" in repr(got)
    assert ends(happened).count("used") >= 2


# -- messages that are not what the model wrote ------------------------------------------------------------------------


class Broken(ScriptedModel):
    """The arguments of its second call are no JSON."""

    def _chunks(self, messages: Any) -> Iterator[ChatGenerationChunk]:
        calls = [("a", '{"id": 1}'), ("b", '{"id": 2, }')] if _turn(messages) == 0 else []
        for index, (id, args) in enumerate(calls):
            piece = {"name": "look", "args": args, "id": id, "index": index, "type": "tool_call_chunk"}
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[piece]))
        yield ChatGenerationChunk(message=AIMessageChunk(content="", chunk_position="last"))

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return generate_from_stream(self._chunks(messages))

    async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return generate_from_stream(self._chunks(messages))


class Repairs(AgentMiddleware[Any, Any, Any]):
    """Mends calls whose arguments were no JSON."""

    def after_model(self, state: Any, runtime: Any) -> Any:
        last = state["messages"][-1]
        if not last.invalid_tool_calls:
            return None
        mended = [
            {"name": call["name"], "id": call["id"], "args": json.loads(call["args"].replace(", }", "}"))}
            for call in last.invalid_tool_calls
        ]
        changed = {"tool_calls": [*last.tool_calls, *mended], "invalid_tool_calls": []}
        return {"messages": [last.model_copy(update=changed)]}


class Swaps(AgentMiddleware[Any, Any, Any]):
    """Gives the model's calls other ids, in place."""

    def after_model(self, state: Any, runtime: Any) -> Any:
        last = state["messages"][-1]
        last.tool_calls = [{**call, "id": f"mine-{call['id']}"} for call in last.tool_calls]


class Queues(AgentMiddleware[Any, Any, Any]):
    """Lets one call of a message through, in place."""

    def after_model(self, state: Any, runtime: Any) -> Any:
        last = state["messages"][-1]
        last.tool_calls = last.tool_calls[:1]


TWO = [ask(("look", {"id": 1}), ("look", {"id": 2})), AIMessage("done")]


def _odd(kind: str, *more: Any) -> Any:
    if kind == "repaired":
        return agent_graph(Broken(script=TWO), [TOOL], middleware=[Repairs(), *more])
    hook = Queues() if kind == "queued" else Swaps()
    return agent_graph(ScriptedModel(script=TWO), [TOOL], middleware=[hook, *more])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["repaired", "queued", "swapped"])
@pytest.mark.parametrize("by", ["speculate", "SpeculationMiddleware"])
def test_calls_that_the_model_did_not_write_run_as_in_the_plain_graph(way: str, kind: str, by: str):
    """
    A hook that mends, drops or renames calls decides what is called, and nothing of ours fails over it.
    """
    if by == "speculate":
        graph = speculate(_odd(kind), AHEAD, predictor=Fixed())
    else:
        graph = _odd(kind, SpeculationMiddleware(AHEAD, predictor=Fixed()))
    values = {"modes": ["values"]}  # parallel calls end in any order
    assert runs(graph, way, 3, **values) == runs(_odd(kind), way, 3, **values)


def _moving(model: Any) -> Any:
    """A graph whose model node takes the calls out of the message, in place, and keeps them in a field of their own."""
    bound = model.bind_tools([TOOL])

    def moved(message: Any) -> Any:
        calls, message.tool_calls = message.tool_calls, []
        return {"messages": [message], "calls": calls}

    async def acall_model(state: Any) -> Any:
        return moved(await bound.ainvoke(state["messages"]))

    async def arun_tools(state: Any) -> Any:
        return {"messages": [await TOOL.ainvoke(call) for call in state["calls"]], "calls": []}

    class Moved(State):
        calls: list[Any]

    builder = StateGraph(Moved)
    builder.add_node("model", RunnableLambda(lambda state: moved(bound.invoke(state["messages"])), afunc=acall_model))
    tools: Any = lambda state: {"messages": [TOOL.invoke(call) for call in state["calls"]], "calls": []}  # noqa: E731
    builder.add_node("tools", RunnableLambda(tools, afunc=arun_tools))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", lambda state: "tools" if state["calls"] else END, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile()


@pytest.mark.parametrize("way", WAYS)
def test_calls_that_a_node_moves_out_of_the_message_run_as_in_the_plain_graph(way: str):
    """
    The message that the step is known by does not list them any more.
    """
    graph = speculate(_moving(ScriptedModel(script=TWO)), AHEAD, predictor=Fixed())
    assert runs(graph, way, 3) == runs(_moving(ScriptedModel(script=TWO)), way, 3)


# -- a bug of ours -----------------------------------------------------------------------------------------------------


@pytest.mark.errors_of_ours
@pytest.mark.observers_raise  # what is put off until the request has left logs its errors
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("entry", ["asked", "took", "wrote", "let_go", "message", "take_in", "tool_runs", "tool_ended"])
def test_a_bug_in_what_follows_the_run_is_not_the_runs(
    way: str, entry: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """
    Whatever of it fails, the run gives what the plain graph gives, and it is said once.
    """

    def fails(*_args: Any, **_kwargs: Any) -> Any:
        raise KeyError("of ours")

    model = ScriptedModel(script=SCRIPT, pace_s=PACE_S)
    graph = wrapped(model)
    runs(graph, way, 1)
    monkeypatch.setattr(Previewer, entry, fails)
    got = runs(graph, way, 2)
    assert got == runs(plain(model.model_copy()), way, 2)
    assert sum("internal error" in record.message for record in caplog.records) <= 2


@pytest.mark.errors_of_ours
@pytest.mark.parametrize("way", ["stream", "astream"])
def test_what_follows_a_preview_may_fail_while_a_real_call_reads_it(way: str, monkeypatch: pytest.MonkeyPatch):
    """
    The stream that is taken over goes on.
    """

    def fails(*_args: Any) -> Any:
        raise KeyError("of ours")

    model = ScriptedModel(script=SCRIPT, pace_s=PACE_S)
    graph = wrapped(model)
    runs(graph, way, 2)
    monkeypatch.setattr(Continuation, "piece", fails)
    assert runs(graph, way, 1) == runs(plain(model.model_copy()), way, 1)
