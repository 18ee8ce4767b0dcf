"""The config that a run travels with, in LangChain and in LangGraph: position, runtime, state, static interrupts."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, cast

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langgraph._internal._constants import (
    CONF,
    CONFIG_KEY_CALL,
    CONFIG_KEY_CHECKPOINT_ID,
    CONFIG_KEY_CHECKPOINT_MAP,
    CONFIG_KEY_CHECKPOINT_NS,
    CONFIG_KEY_READ,
    CONFIG_KEY_RUNTIME,
    CONFIG_KEY_THREAD_ID,
    NS_SEP,
)

from langgraph_speculate.host.compat.callbacks import with_handlers

__all__ = [
    "CONFIG_KEY_RUNTIME",
    "RUN_KEY",
    "child_config",
    "configurable_of",
    "is_host_variable",
    "is_node_private",
    "loop_of",
    "max_concurrency_of",
    "namespace_depth",
    "run_config",
    "runtime_of",
    "state_of",
    "stops_of",
    "var_child_runnable_config",
    "watches_progress",
    "with_runtime",
]

RUN_KEY = "__pregel_speculate_run"
"""Where a run's scope travels in `configurable`. Keys that begin like this reach neither checkpoints nor streams."""

_PRIVATE_PREFIX = "__pregel_"
_CHECKPOINT_KEYS = (CONFIG_KEY_CHECKPOINT_NS, CONFIG_KEY_CHECKPOINT_ID, CONFIG_KEY_CHECKPOINT_MAP)
_HOST_VARIABLES = frozenset(
    {"child_runnable_config", "tracing_callback_v2", "run_collector", "langgraph_tool_call_writer"}
    | {"_PROJECT_NAME", "_ADDRESS", "_TAGS", "_METADATA", "_TRACING_ENABLED", "_CLIENT", "_PARENT_RUN_TREE_REF"}
    | {"_REPLICAS", "_DISTRIBUTED_PARENT_ID"}
    | {"current_context", "decimal_context"}  # OpenTelemetry's, and Python's, which each thread makes for itself
)
_OWN_VARIABLES = "speculate_"
_INTERNAL_CHANNELS = ("__", "branch:")


def child_config() -> RunnableConfig | None:
    """The config that runnables called from here inherit."""
    return var_child_runnable_config.get()


def run_config(config: RunnableConfig | None, run: Any, *handlers: BaseCallbackHandler) -> RunnableConfig:
    """*config* with a run's scope and handlers added; everything else as the caller gave it."""
    given = with_handlers(config, *handlers)
    given[CONF] = {**(given.get(CONF) or {}), RUN_KEY: run}
    return given


def configurable_of(bound: Mapping[str, Any] | None, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """The `configurable` that a graph with *bound* config will run under when it is called with *config* here.

    As LangGraph does it: an explicit position (thread or checkpoint) leaves the one around the call behind.
    """
    given = (config or {}).get(CONF) or {}
    around = (var_child_runnable_config.get() or {}).get(CONF) or {}
    if any(given.get(key) for key in (CONFIG_KEY_THREAD_ID, *_CHECKPOINT_KEYS)):
        around = {}
    return {**around, **((bound or {}).get(CONF) or {}), **given}


def max_concurrency_of(bound: Mapping[str, Any] | None, config: Mapping[str, Any] | None) -> int | None:
    """The `max_concurrency` that a graph with *bound* config will run under when it is called with *config* here."""
    for source in (config, bound, var_child_runnable_config.get()):
        found: int | None = (source or {}).get("max_concurrency")
        if found is not None:
            return found
    return None


def namespace_depth(configurable: Mapping[str, Any]) -> int:
    """How deep in nested graphs a run lives: 0 for a root graph's, 1 for its nodes."""
    namespace = configurable.get(CONFIG_KEY_CHECKPOINT_NS) or ""
    return len(namespace.split(NS_SEP)) if namespace else 0


def is_host_variable(variable: ContextVar[Any]) -> bool:
    """Whether a context variable says where in a run or a trace its reader is: LangChain's, a tracer's, ours."""
    return variable.name in _HOST_VARIABLES or variable.name.startswith(_OWN_VARIABLES)


@functools.lru_cache(maxsize=512)
def is_node_private(key: str) -> bool:
    """Whether a key of `configurable` belongs to one node's task, and so not to a speculation."""
    return key.startswith(_PRIVATE_PREFIX) or key in _CHECKPOINT_KEYS


def runtime_of(config: Mapping[str, Any]) -> Any:
    """The LangGraph runtime in a node's config, or None outside of a graph."""
    return (config.get(CONF) or {}).get(CONFIG_KEY_RUNTIME)


def watches_progress(config: Mapping[str, Any]) -> bool:
    """Whether a node is stopped when it shows no progress for some time: its heartbeat is the method of a watch."""
    return getattr(getattr(runtime_of(config), "heartbeat", None), "__self__", None) is not None


def with_runtime(config: Mapping[str, Any], runtime: Any) -> RunnableConfig:
    """*config* with another LangGraph runtime."""
    return cast(RunnableConfig, {**config, CONF: {**(config.get(CONF) or {}), CONFIG_KEY_RUNTIME: runtime}})


def loop_of(config: Mapping[str, Any]) -> Any:
    """What runs the graph whose node has that *config*: one object for each run of each graph; None outside of one."""
    call = (config.get(CONF) or {}).get(CONFIG_KEY_CALL)
    return None if call is None else call.keywords["schedule_task"].__self__


def stops_of(config: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """Static interrupts of the run that a node with that *config* belongs to: before and after which nodes it stops.

    However they were given, with the graph or with the call; None outside of a graph.
    """
    loop = loop_of(config)
    return None if loop is None else (loop.interrupt_before, loop.interrupt_after)


def state_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The graph's state as a node with that *config* sees it; empty outside of a node."""
    read = (config.get(CONF) or {}).get(CONFIG_KEY_READ)
    if read is None:
        return {}
    return dict(read([name for name in read.args[1] if not name.startswith(_INTERNAL_CHANNELS)], False))
