"""Every private name of LangGraph and LangChain that this package touches, each with a contract test.

When a host release breaks something, it breaks here, and `tests/test_compat.py` says which promise is gone.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.callbacks.manager import ahandle_event, handle_event
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.base import RunnableBindingBase, RunnableLambda, RunnableSequence
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tools import BaseTool
from langchain_core.tools.base import _get_runnable_config_param
from langgraph._internal._constants import (
    CONF,
    CONFIG_KEY_CHECKPOINT_ID,
    CONFIG_KEY_CHECKPOINT_MAP,
    CONFIG_KEY_CHECKPOINT_NS,
    CONFIG_KEY_RUNTIME,
    CONFIG_KEY_THREAD_ID,
    NS_SEP,
)
from langgraph._internal._runnable import RunnableCallable, RunnableSeq
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel
from langgraph.pregel._read import PregelNode
from langgraph.pregel._utils import get_function_nonlocals

RUN_KEY = "__pregel_speculate_run"
"""Where a run's scope travels in `configurable`. Keys that begin like this reach neither checkpoints nor streams."""

_PRIVATE_PREFIX = "__pregel_"
_CHECKPOINT_KEYS = (CONFIG_KEY_CHECKPOINT_NS, CONFIG_KEY_CHECKPOINT_ID, CONFIG_KEY_CHECKPOINT_MAP)

__all__ = [
    "CONFIG_KEY_RUNTIME",
    "RUN_KEY",
    "Building",
    "Pregel",
    "PregelNode",
    "ToolNode",
    "agent_being_built",
    "ahandle_event",
    "body_parameters",
    "body_slots",
    "child_config",
    "clone_tool_node",
    "configurable_of",
    "copy_graph",
    "get_function_nonlocals",
    "handle_event",
    "has_own_run",
    "injected_arguments",
    "is_node_private",
    "mappers",
    "middleware_of",
    "namespace_depth",
    "node_functions",
    "run_config",
    "runtime_of",
    "set_class",
    "tools_by_name",
    "var_child_runnable_config",
]


# -- configs ---------------------------------------------------------------------------------------------------------


def child_config() -> RunnableConfig | None:
    """The config that runnables called from here inherit."""
    return var_child_runnable_config.get()


def run_config(config: RunnableConfig | None, run: Any, handler: BaseCallbackHandler) -> RunnableConfig:
    """*config* with a run's scope and observer added; everything else as the caller gave it."""
    given: RunnableConfig = {**config} if config else {}
    given[CONF] = {**(given.get(CONF) or {}), RUN_KEY: run}
    callbacks = given.get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        callbacks = callbacks.copy()
        callbacks.add_handler(handler, inherit=True)
        given["callbacks"] = callbacks
    else:
        given["callbacks"] = [*(callbacks or ()), handler]
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


def namespace_depth(configurable: Mapping[str, Any]) -> int:
    """How deep in nested graphs a run lives: 0 for a root graph's, 1 for its nodes."""
    namespace = configurable.get(CONFIG_KEY_CHECKPOINT_NS) or ""
    return len(namespace.split(NS_SEP)) if namespace else 0


def is_node_private(key: str) -> bool:
    """Whether a key of `configurable` belongs to one node's task, and so not to a speculation."""
    return key.startswith(_PRIVATE_PREFIX) or key in _CHECKPOINT_KEYS


def runtime_of(config: Mapping[str, Any]) -> Any:
    """The LangGraph runtime in a node's config, or None outside of a graph."""
    return (config.get(CONF) or {}).get(CONFIG_KEY_RUNTIME)


@dataclass(frozen=True)
class Building:
    """An agent as `create_agent` is putting it together.

    Attributes:
        middleware: Its middleware, outermost first.
        interrupt_before, interrupt_after: Its static interrupts.
    """

    middleware: tuple[Any, ...]
    interrupt_before: tuple[str, ...]
    interrupt_after: tuple[str, ...]


def agent_being_built() -> Building | None:
    """The agent that a `create_agent` further up the stack is building, or None.

    Middleware is not told what stands beside it, and a middleware must know what it would overtake; so this looks.
    """
    frame = inspect.currentframe()
    for _ in range(6):
        frame = frame.f_back if frame is not None else None
        if frame is not None and frame.f_code.co_name == "create_agent" and "middleware" in frame.f_locals:
            found = frame.f_locals
            stops = (tuple(found.get(name) or ()) for name in ("interrupt_before", "interrupt_after"))
            return Building(tuple(found["middleware"]), *stops)
    return None


# -- graphs ----------------------------------------------------------------------------------------------------------


def copy_graph(graph: Any, nodes: Mapping[str, Any], kind: type) -> Any:
    """A shallow copy of a compiled graph with other nodes and another class.

    Not `Pregel.copy()`, which drops the output mappers, and not a re-compile, which loses what was set since.
    """
    wrapped = copy.copy(graph)
    wrapped.nodes = dict(nodes)
    wrapped.__class__ = kind
    return wrapped


def mappers(graph: Any) -> dict[str, Any]:
    """The `version="v2"` output mappers that `Pregel.copy()` forgets."""
    return {name: graph.__dict__[name] for name in ("_output_mapper", "_state_mapper") if name in graph.__dict__}


def clone_tool_node(node: ToolNode, tools: Mapping[str, BaseTool]) -> ToolNode:
    """A copy of a ToolNode with other tools; the original stays as it is."""
    clone = copy.copy(node)
    clone._tools_by_name = dict(tools)
    clone.func, clone.afunc = clone._func, clone._afunc
    return clone


def tools_by_name(node: ToolNode) -> dict[str, BaseTool]:
    """A ToolNode's tools."""
    return dict(node._tools_by_name)


def node_functions(bound: Any) -> Iterator[Callable[..., Any]]:
    """The Python functions a hand-written node runs."""
    if isinstance(bound, (RunnableSequence, RunnableSeq)):
        for step in bound.steps:
            yield from node_functions(step)
    elif isinstance(bound, RunnableBindingBase):
        yield from node_functions(bound.bound)
    elif isinstance(bound, (RunnableCallable, RunnableLambda)):
        yield from (f for f in (getattr(bound, "func", None), getattr(bound, "afunc", None)) if callable(f))


def middleware_of(bound: Any) -> Any:
    """The middleware instance a `create_agent` hook node belongs to, or None."""
    for function in node_functions(bound):
        owner = getattr(function, "__self__", None)
        if owner is not None:
            return owner
    return None


# -- tools -----------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def body_slots(function: Callable[..., Any]) -> frozenset[str]:
    """Names of the parameters of a tool's body that its `run` fills in, which are no arguments of the call."""
    slots = {"run_manager"} & inspect.signature(function).parameters.keys()
    config_slot = _get_runnable_config_param(function)
    return frozenset(slots | ({config_slot} if config_slot else set()))


def body_parameters(tool: BaseTool, args: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Raw arguments validated, coerced and defaulted as the tool's own `run` does it.

    Raises whatever the tool's schema raises.
    """
    positional, named = tool._to_args_and_kwargs(copy.deepcopy(dict(args)), None)
    return tuple(positional), dict(named)


def injected_arguments(tool: BaseTool) -> frozenset[str]:
    """Names of arguments that the host supplies and the model never sees."""
    hidden = set(tool._injected_args_keys)
    full, shown = tool.get_input_schema(), tool.tool_call_schema
    if isinstance(shown, type) and not isinstance(tool.args_schema, dict):
        hidden |= set(_fields(full)) - set(_fields(shown))
    return frozenset(hidden)


def _fields(model: Any) -> Sequence[str]:
    return list(getattr(model, "model_fields", None) or getattr(model, "__fields__", {}))


_OWN_RUN = ("run", "arun")


def has_own_run(tool: BaseTool) -> bool:
    """Whether a tool replaces `run` or `arun`, so that its calls may never reach a body we could adopt in."""
    return any(getattr(type(tool), name) is not getattr(BaseTool, name) for name in _OWN_RUN)


def set_class(tool: BaseTool, kind: type[BaseTool]) -> None:
    """Change the class of a tool in place, past pydantic's own setter."""
    object.__setattr__(tool, "__class__", kind)
