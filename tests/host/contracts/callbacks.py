"""What the package counts on of `host/compat/callbacks.py`."""

from __future__ import annotations

import asyncio
from typing import Any

from agents import ScriptedModel, Seen
from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler, CallbackManager
from langchain_core.messages import AIMessage
from langgraph.graph import START, StateGraph

from contracts import contract, in_node
from langgraph_speculate.host.compat import callbacks, configs


@contract("with_handlers")
def _with_handlers() -> None:
    mine, own = Seen(), Seen()
    model = ScriptedModel(script=[AIMessage("x")])
    manager = CallbackManager([own], [own])
    for given in ([own], manager):
        model.invoke("go", callbacks.with_handlers({"callbacks": given, "tags": ["kept"]}, mine))
    assert mine.events == own.events == 2 * [("model_start", 1), ("model_end", None)]
    assert manager.handlers == [own]  # what is the caller's stays as it is


@contract("inherited")
def _inherited() -> None:
    outer, inner = Seen(), Seen()
    model = ScriptedModel(script=[AIMessage("x")])
    with callbacks.inherited([inner]):
        model.invoke("go")
        model.invoke("go", {"callbacks": [outer]})  # who says so leaves what it would inherit
    model.invoke("go")
    assert inner.events == outer.events == [("model_start", 1), ("model_end", None)]
    inside, seen = [], Seen()

    def look() -> None:
        with callbacks.inherited([inner]):
            model.invoke("go")
            inside.append(configs.child_config())

    in_node(look, callbacks=[seen])
    assert inner.events == 2 * seen.events
    assert "checkpoint_ns" in inside[0]["configurable"]


class _HandsOver(BaseCallbackHandler):
    run_inline = True

    def __init__(self, handler: BaseCallbackHandler) -> None:
        self.handler = handler

    def on_chat_model_start(self, serialized: Any, messages: list[list[Any]], **kwargs: Any) -> None:
        if messages[0][0].content == "this one":
            callbacks.manager_of_call().handlers.append(self.handler)


class _Asks(BaseCallbackHandler):
    run_inline = True

    def __init__(self) -> None:
        self.seen: list[type] = []

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.seen.append(type(callbacks.manager_of_call()))


class Listens(Seen, callbacks.StreamingHandler[Any]):
    run_inline = True

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.events.append(("token", token))


@contract("StreamingHandler")
def _streaming_handler() -> None:
    model = ScriptedModel(script=[AIMessage("x")])
    for settings, streams in (({}, True), ({"disable_streaming": True}, False)):
        one, other = Listens(), Seen()
        asked = model.model_copy(update=settings)
        asked.invoke("go", {"callbacks": [one, other]})
        asyncio.run(asked.ainvoke("go", {"callbacks": [one, other]}))
        assert (("token", "x") in one.events) is streams
        assert other.events == 2 * [("model_start", 1), ("model_end", None)]


@contract("manager_of_call")
def _manager_of_call() -> None:
    assert callbacks.manager_of_call() is None
    handed = Listens()
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


@contract("handle_event", "ahandle_event")
def _handle_event() -> None:
    seen = Seen()
    callbacks.handle_event([seen], "on_custom_event", "ignore_custom_event", "half", {"a": 1})
    asyncio.run(callbacks.ahandle_event([seen], "on_custom_event", "ignore_custom_event", "rest", {"a": 2}))
    assert seen.events == [("custom", ("half", {"a": 1})), ("custom", ("rest", {"a": 2}))]


@contract("hears_of_chunks")
def _hears_of_chunks() -> None:
    found: list[bool] = []

    def look() -> None:
        found.append(callbacks.hears_of_chunks((configs.child_config() or {}).get("callbacks")))

    async def listened() -> None:
        builder = StateGraph(dict)
        builder.add_node("look", lambda _: look())
        builder.add_edge(START, "look")
        graph = builder.compile()
        async for _ in graph.astream({}, stream_mode=["messages", "custom", "updates", "tools"]):
            pass
        async for _ in graph.astream_events({}, version="v2"):
            pass

    in_node(look)
    asyncio.run(listened())
    assert found == [False, False, True]
    assert not callbacks.hears_of_chunks(None)


@contract("heeded")
def _heeded() -> None:
    class Raising(BaseCallbackHandler):
        raise_error = True

        def on_text(self, *args: Any, **kwargs: Any) -> None:
            raise ValueError

    class Ignoring(Raising):
        ignore_retry = True

        def on_retry(self, *args: Any, **kwargs: Any) -> None:
            raise ValueError

    heard: list[str] = []
    manager = CallbackManager(handlers=[Raising()])
    run = manager.on_tool_start({}, "")
    try:
        run.on_text("a")
    except ValueError:
        heard.append("on_text")
    events = {"on_text": None, "on_retry": "ignore_retry"}
    assert callbacks.heeded(manager, events) == frozenset(heard)
    assert callbacks.heeded([Ignoring()], events) == {"on_text"}
    assert callbacks.heeded([BaseCallbackHandler()], events) == callbacks.heeded(None, events) == frozenset()
