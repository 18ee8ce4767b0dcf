"""What the package counts on of `host/compat/configs.py`."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from contextvars import ContextVar
from typing import Any

from agents import START_INPUT, Seen, State
from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config, get_stream_writer
from langgraph.graph import START, StateGraph
from langgraph.types import TimeoutPolicy
from langsmith_server import LangSmithServer

from contracts import contract, in_node
from langgraph_speculate.host.compat import configs


@contract("max_concurrency_of")
def _max_concurrency_of() -> None:
    assert configs.max_concurrency_of(None, None) is None
    assert configs.max_concurrency_of({"max_concurrency": 2}, {"max_concurrency": 3}) == 3
    assert configs.max_concurrency_of({"max_concurrency": 2}, {}) == 2
    assert in_node(lambda: configs.max_concurrency_of(None, None), max_concurrency=4) == 4


@contract("state_of")
def _state_of() -> None:
    assert configs.state_of({}) == {}
    state = in_node(lambda: configs.state_of(get_config()))
    assert [message.content for message in state["messages"]] == ["go"]
    assert not any(name.startswith(("__", "branch:")) for name in state)


@contract("loop_of")
def _loop_of() -> None:
    assert configs.loop_of({}) is None
    seen: list[Any] = []
    builder = StateGraph(State)
    builder.add_node("first", lambda state: seen.append(configs.loop_of(get_config())))
    builder.add_node("second", lambda state: seen.append(configs.loop_of(get_config())))
    builder.add_edge(START, "first")
    builder.add_edge("first", "second")
    graph = builder.compile()
    for _ in range(2):
        graph.invoke(START_INPUT)
    first, second, *others = seen
    assert first is second
    assert first not in others
    gone = weakref.ref(first)
    del first, second
    seen.clear()
    gc.collect()
    assert gone() is None


@contract("stops_of")
def _stops_of() -> None:
    assert configs.stops_of({}) is None
    seen: list[Any] = []
    builder = StateGraph(State)
    builder.add_node("node", lambda state: seen.append(configs.stops_of(get_config())))
    builder.add_edge(START, "node")
    for graph, given in (
        (builder.compile(checkpointer=InMemorySaver(), interrupt_after=["node"]), {}),
        (builder.compile(checkpointer=InMemorySaver()), {"interrupt_after": ["node"]}),
    ):
        graph.invoke(START_INPUT, {"configurable": {"thread_id": "1"}}, **given)
        assert [list(stops) for stops in seen.pop()] == [[], ["node"]]


@contract("child_config", "var_child_runnable_config")
def _child_config() -> None:
    assert configs.child_config() is None
    inside = in_node(configs.child_config, configurable={"user": "ann"})
    assert inside["configurable"]["user"] == "ann"
    assert configs.var_child_runnable_config.get() is None


@contract("RUN_KEY", "run_config")
def _run_config() -> None:
    scope, handler = object(), Seen()
    for callbacks in (None, [], [BaseCallbackHandler()], CallbackManager([BaseCallbackHandler()])):
        given: RunnableConfig = {"configurable": {"user": "ann"}, "callbacks": callbacks, "tags": ["t"]}
        made = configs.run_config(given, scope, handler)
        assert made["configurable"] == {"user": "ann", configs.RUN_KEY: scope}
        assert given["configurable"] == {"user": "ann"}
        handlers = made["callbacks"] if isinstance(made["callbacks"], list) else made["callbacks"].handlers
        assert handler in handlers
        assert handler not in (callbacks.handlers if isinstance(callbacks, CallbackManager) else callbacks or [])
    made = configs.run_config(None, scope, handler)
    inside = in_node(configs.child_config, **made)
    assert inside["configurable"][configs.RUN_KEY] is scope
    assert not [key for key in inside["metadata"] if "speculate" in key]


@contract("configurable_of")
def _configurable_of() -> None:
    assert configs.configurable_of({"configurable": {"a": 1, "b": 1}}, {"configurable": {"b": 2}}) == {"a": 1, "b": 2}
    assert configs.configurable_of(None, None) == {}
    inherited = in_node(lambda: configs.configurable_of(None, None), configurable={"user": "ann"})
    assert inherited["user"] == "ann"
    fresh = in_node(
        lambda: configs.configurable_of(None, {"configurable": {"thread_id": "other"}}), configurable={"user": "ann"}
    )
    assert "user" not in fresh


@contract("namespace_depth")
def _namespace_depth() -> None:
    depths: list[int] = []

    def look(state: Any) -> None:
        depths.append(configs.namespace_depth(get_config()["configurable"]))

    inner = StateGraph(State).add_node("inner", look).add_edge(START, "inner").compile()
    outer = StateGraph(State).add_node("outer", look).add_node("sub", inner)
    outer.add_edge(START, "outer").add_edge("outer", "sub").compile().invoke(START_INPUT)
    assert depths == [1, 2]
    assert configs.namespace_depth({}) == 0


@contract("is_node_private")
def _is_node_private() -> None:
    keys = in_node(lambda: list(get_config()["configurable"]), configurable={"user": "ann"})
    private = {key for key in keys if configs.is_node_private(key)}
    assert {"__pregel_scratchpad", "__pregel_send", "__pregel_read", "checkpoint_ns"} <= private
    assert not configs.is_node_private("user")
    assert not configs.is_node_private("thread_id")


@contract("is_host_variable")
def _is_host_variable() -> None:
    def set_around_a_model() -> list[ContextVar[Any]]:
        token = mine.set("mine")
        try:
            return in_node(lambda: list(contextvars.copy_context()))
        finally:
            mine.reset(token)

    mine: ContextVar[str] = ContextVar("mine")
    with LangSmithServer() as server, server.tracing():
        found = contextvars.Context().run(set_around_a_model)  # not where other tests have left theirs
    assert [variable for variable in found if not configs.is_host_variable(variable)] == [mine]
    assert configs.var_child_runnable_config in found


@contract("CONFIG_KEY_RUNTIME", "runtime_of", "with_runtime")
def _runtime_of() -> None:
    runtime, writer = in_node(lambda: (configs.runtime_of(get_config()), get_stream_writer()))
    assert runtime.stream_writer is writer
    assert in_node(lambda: get_config()["configurable"][configs.CONFIG_KEY_RUNTIME]) is not None
    assert configs.runtime_of({}) is None
    config = {"tags": ["t"], "configurable": {"user": "ann"}}
    other = configs.with_runtime(config, runtime)
    assert configs.runtime_of(other) is runtime
    assert (other["tags"], other["configurable"]["user"]) == (["t"], "ann")
    assert configs.runtime_of(config) is None


@contract("watches_progress")
def _watches_progress() -> None:
    found: list[bool] = []

    async def look(_state: Any) -> None:
        found.append(configs.watches_progress(get_config()))

    for timeout in (None, TimeoutPolicy(run_timeout=60), TimeoutPolicy(idle_timeout=60)):
        builder = StateGraph(dict)
        builder.add_node("look", look, timeout=timeout)
        builder.add_edge(START, "look")
        asyncio.run(builder.compile().ainvoke({}))
    assert found == [False, False, True]
    assert not configs.watches_progress({})
