"""Every private name of LangGraph and LangChain that this package touches, each with a contract test.

When a host release breaks something, it breaks here, and `tests/test_compat.py` says which promise is gone.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from langchain.agents.middleware import AgentMiddleware
from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler, BaseCallbackManager, CallbackManager
from langchain_core.callbacks.manager import ahandle_event, handle_event
from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.base import RunnableBindingBase, RunnableLambda, RunnableSequence
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tools import BaseTool, InjectedToolCallId
from langchain_core.tools.base import (
    _format_output,
    _get_runnable_config_param,
    _is_injected_arg_type,
    get_all_basemodel_annotations,
)
from langchain_core.tracers._streaming import _StreamingCallbackHandler
from langchain_core.tracers.langchain import LangChainTracer
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
from langgraph._internal._runnable import RunnableCallable, RunnableSeq
from langgraph.prebuilt import ToolNode
from langgraph.prebuilt.tool_node import _get_all_injected_args
from langgraph.pregel import Pregel
from langgraph.pregel._read import PregelNode
from langgraph.pregel._utils import get_function_nonlocals
from langsmith import RunTree, get_tracing_context

RUN_KEY = "__pregel_speculate_run"
"""Where a run's scope travels in `configurable`. Keys that begin like this reach neither checkpoints nor streams."""

StreamingHandler = _StreamingCallbackHandler
"""A model call is streamed if one of its handlers is of this kind, unless the model's owner said no."""

SHOULD_STREAM = "_should_stream"
"""The method with which a chat model decides, right before a call, whether that is streamed."""

SHOULD_STREAM_USAGE = "_should_stream_usage"
"""The method with which OpenAI-like chat models decide, right before they stream, whether to ask for token counts."""

_PRIVATE_PREFIX = "__pregel_"
_CHECKPOINT_KEYS = (CONFIG_KEY_CHECKPOINT_NS, CONFIG_KEY_CHECKPOINT_ID, CONFIG_KEY_CHECKPOINT_MAP)

__all__ = [
    "CONFIG_KEY_RUNTIME",
    "RUN_KEY",
    "SHOULD_STREAM",
    "SHOULD_STREAM_USAGE",
    "Building",
    "Injections",
    "Pregel",
    "PregelNode",
    "StreamingHandler",
    "ToolNode",
    "agent_being_built",
    "ahandle_event",
    "body_parameters",
    "body_slots",
    "cannot_stream",
    "child_config",
    "clone_tool_node",
    "configurable_of",
    "copy_graph",
    "deciding_functions",
    "get_function_nonlocals",
    "handle_event",
    "has_own_run",
    "has_steps_before_tools",
    "inherited",
    "injected_arguments",
    "injections_of",
    "is_agent_model_node",
    "is_host_variable",
    "is_node_private",
    "manager_of_call",
    "mappers",
    "max_concurrency_of",
    "middleware_of",
    "namespace_depth",
    "node_functions",
    "parts_of",
    "run_config",
    "runtime_of",
    "set_class",
    "shown_content",
    "state_of",
    "stops_of",
    "successors",
    "tool_call_wrappers",
    "tools_by_name",
    "traced_path",
    "traced_run",
    "var_child_runnable_config",
    "with_handlers",
]


# -- configs ---------------------------------------------------------------------------------------------------------


def child_config() -> RunnableConfig | None:
    """The config that runnables called from here inherit."""
    return var_child_runnable_config.get()


def run_config(config: RunnableConfig | None, run: Any, *handlers: BaseCallbackHandler) -> RunnableConfig:
    """*config* with a run's scope and handlers added; everything else as the caller gave it."""
    given = with_handlers(config, *handlers)
    given[CONF] = {**(given.get(CONF) or {}), RUN_KEY: run}
    return given


@contextmanager
def inherited(handlers: Sequence[BaseCallbackHandler]) -> Iterator[None]:
    """Around calls of runnables that are to inherit *handlers* from here."""
    if not handlers:
        yield
        return
    token = var_child_runnable_config.set(with_handlers(var_child_runnable_config.get(), *handlers))
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def with_handlers(config: RunnableConfig | None, *handlers: BaseCallbackHandler) -> RunnableConfig:
    """*config* with handlers added; everything else as the caller gave it."""
    given: RunnableConfig = {**config} if config else {}
    callbacks = given.get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        callbacks = callbacks.copy()
        for handler in handlers:
            callbacks.add_handler(handler, inherit=True)
        given["callbacks"] = callbacks
    else:
        given["callbacks"] = [*(callbacks or ()), *handlers]
    return given


_STARTS = [inspect.unwrap(kind.on_chat_model_start).__code__ for kind in (CallbackManager, AsyncCallbackManager)]


def manager_of_call() -> BaseCallbackManager | None:
    """The callback manager of the model call whose start a handler is being told of; None if it cannot be seen.

    Its `handlers` belong to this one call: what is added to them hears of this call, and of nothing that is called in
    turn. A handler is not told what it is part of, so this looks.
    """
    frame = inspect.currentframe()
    for _ in range(8):
        frame = frame.f_back if frame is not None else None
        if frame is not None and frame.f_code in _STARTS:
            found: BaseCallbackManager = frame.f_locals["self"]
            return found
    return None


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


def traced_run(config: Mapping[str, Any] | None) -> RunTree | None:
    """The run in LangSmith that code with that *config* is part of, while it is open; None where nothing is traced.

    What is set on it before it ends is sent with its end.
    """
    path = _traced(config)
    return path[1] if path else None


def traced_path(config: Mapping[str, Any] | None) -> list[RunTree]:
    """The open runs in LangSmith around code with that *config*, outermost first; none where nothing is traced.

    Runs of another process, and those that the host was not told of, are not among them.
    """
    found = _traced(config)
    if found is None or get_tracing_context().get("enabled") is False or not _is_sampled(found[1]):
        return []
    runs, innermost = found
    ids = [step[-_UUID_LENGTH:] for step in innermost.dotted_order.split(".")]
    return [runs[id] for id in ids if id in runs]


def _traced(config: Mapping[str, Any] | None) -> tuple[Mapping[str, RunTree], RunTree] | None:
    """The open runs of the tracer in a config, and the one among them that the config is of."""
    callbacks = (config or {}).get("callbacks")
    for handler in getattr(callbacks, "handlers", ()):
        if isinstance(handler, LangChainTracer):
            run = handler.run_map.get(str(getattr(callbacks, "parent_run_id", None)))
            return None if run is None else (handler.run_map, run)
    return None


def _is_sampled(run: RunTree) -> bool:
    """Whether the trace of a run is among those that are sent."""
    client = run.client
    return client.tracing_sample_rate is None or bool(
        client._filter_for_sampling([{"id": run.id, "trace_id": run.trace_id}])
    )


_UUID_LENGTH = 36


def namespace_depth(configurable: Mapping[str, Any]) -> int:
    """How deep in nested graphs a run lives: 0 for a root graph's, 1 for its nodes."""
    namespace = configurable.get(CONFIG_KEY_CHECKPOINT_NS) or ""
    return len(namespace.split(NS_SEP)) if namespace else 0


_HOST_VARIABLES = frozenset(
    {"child_runnable_config", "tracing_callback_v2", "run_collector", "langgraph_tool_call_writer"}
    | {"_PROJECT_NAME", "_ADDRESS", "_TAGS", "_METADATA", "_TRACING_ENABLED", "_CLIENT", "_PARENT_RUN_TREE_REF"}
    | {"_REPLICAS", "_DISTRIBUTED_PARENT_ID"}
    | {"current_context", "decimal_context"}  # OpenTelemetry's, and Python's, which each thread makes for itself
)
_OWN_VARIABLES = "speculate_"


def is_host_variable(variable: ContextVar[Any]) -> bool:
    """Whether a context variable says where in a run or a trace its reader is: LangChain's, a tracer's, ours."""
    return variable.name in _HOST_VARIABLES or variable.name.startswith(_OWN_VARIABLES)


def is_node_private(key: str) -> bool:
    """Whether a key of `configurable` belongs to one node's task, and so not to a speculation."""
    return key.startswith(_PRIVATE_PREFIX) or key in _CHECKPOINT_KEYS


def runtime_of(config: Mapping[str, Any]) -> Any:
    """The LangGraph runtime in a node's config, or None outside of a graph."""
    return (config.get(CONF) or {}).get(CONFIG_KEY_RUNTIME)


def with_runtime(config: Mapping[str, Any], runtime: Any) -> RunnableConfig:
    """*config* with another LangGraph runtime."""
    return cast(RunnableConfig, {**config, CONF: {**(config.get(CONF) or {}), CONFIG_KEY_RUNTIME: runtime}})


def stops_of(config: Mapping[str, Any]) -> tuple[Any, Any] | None:
    """Static interrupts of the run that a node with that *config* belongs to: before and after which nodes it stops.

    However they were given, with the graph or with the call; None outside of a graph.
    """
    call = (config.get(CONF) or {}).get(CONFIG_KEY_CALL)
    if call is None:
        return None
    loop = call.keywords["schedule_task"].__self__
    return loop.interrupt_before, loop.interrupt_after


@dataclass(frozen=True)
class Building:
    """An agent as `create_agent` is putting it together.

    Attributes:
        middleware: Its middleware, outermost first.
        name: Its name; empty if it has none.
        interrupt_before, interrupt_after: Its static interrupts.
    """

    middleware: tuple[Any, ...]
    name: str
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
            return Building(tuple(found["middleware"]), found.get("name") or "", *stops)
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


def tool_call_wrappers(node: ToolNode) -> list[Callable[..., Any]]:
    """The functions around a ToolNode's calls."""
    return [wrapper for wrapper in (node._wrap_tool_call, node._awrap_tool_call) if wrapper is not None]


def node_functions(bound: Any) -> Iterator[Callable[..., Any]]:
    """The Python functions a hand-written node runs."""
    for part, _ in parts_of(bound):
        if isinstance(part, (RunnableCallable, RunnableLambda)):
            yield from (f for f in (getattr(part, "func", None), getattr(part, "afunc", None)) if callable(f))


def successors(graph: Any, name: str) -> set[str] | None:
    """The nodes that a node may lead to: edges, conditional edges, declared commands. None: it may lead anywhere."""
    builder = getattr(graph, "builder", None)
    if builder is None:
        return None
    after = {target for source, target in builder.edges if source == name}
    after |= {target for sources, target in getattr(builder, "waiting_edges", ()) if name in sources}
    for branch in builder.branches.get(name, {}).values():
        if branch.ends is None:
            return None
        after |= set(branch.ends.values())
    spec = builder.nodes.get(name)
    return after | set(getattr(spec, "ends", None) or ())


def deciding_functions(graph: Any, name: str) -> list[Callable[..., Any]]:
    """The functions that decide where a node leads to."""
    branches = getattr(getattr(graph, "builder", None), "branches", {}).get(name, {})
    return [function for branch in branches.values() for function in node_functions(branch.path)]


def has_steps_before_tools(bound: Any) -> bool:
    """Whether a node runs something else before a ToolNode in it."""
    steps = [step for step, _ in parts_of(bound)]
    return any(isinstance(step, ToolNode) for step in steps[1:])


def parts_of(value: Any, kwargs: Mapping[str, Any] | None = None) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """The runnables that a runnable is put together from, each with what is bound to its calls."""
    if isinstance(value, (RunnableSequence, RunnableSeq)):
        for step in value.steps:
            yield from parts_of(step)
    elif isinstance(value, RunnableBindingBase):
        yield from parts_of(value.bound, {**(kwargs or {}), **value.kwargs})
    else:
        yield value, kwargs or {}


def is_agent_model_node(bound: Any) -> bool:
    """Whether a node is the model node of a `create_agent` graph."""
    return any(getattr(function, "__qualname__", None) in _MODEL_NODES for function in node_functions(bound))


_MODEL_NODES = ("create_agent.<locals>.model_node", "create_agent.<locals>.amodel_node")


def middleware_of(bound: Any) -> Any:
    """The middleware instance a `create_agent` hook node belongs to, or None."""
    for function in node_functions(bound):
        owner = getattr(function, "__self__", None)
        if isinstance(owner, AgentMiddleware):  # a method of anything else may do anything
            return owner
    return None


def cannot_stream(model: BaseChatModel) -> str | None:
    """Why a chat model never streams its messages, or None if it does where somebody listens."""
    if model.disable_streaming:
        return f"disable_streaming={model.disable_streaming!r}"
    if "streaming" in model.model_fields_set and getattr(model, "streaming", None) is False:
        return "streaming=False"
    bare = all(getattr(type(model), name) is getattr(BaseChatModel, name) for name in ("_stream", "_astream"))
    return "its class has no streaming" if bare else None


# -- tools -----------------------------------------------------------------------------------------------------------


RUN_MANAGER = "run_manager"
"""The parameter of a tool's body that its `run` fills with the callback manager of the call."""


@functools.lru_cache(maxsize=512)
def body_slots(function: Callable[..., Any]) -> frozenset[str]:
    """Names of the parameters of a tool's body that its `run` fills in, which are no arguments of the call."""
    slots = {RUN_MANAGER} & inspect.signature(function).parameters.keys()
    config_slot = _get_runnable_config_param(function)
    return frozenset(slots | ({config_slot} if config_slot else set()))


def body_parameters(
    tool: BaseTool, args: Mapping[str, Any], injected: Mapping[str, Any] | None = None, call_id: str | None = None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Raw arguments validated, coerced and defaulted as the tool's own `run` does it, with what the host *injected*.

    With *call_id*, for a tool that is handed the id of its call.
    Raises whatever the tool's schema raises.
    """
    positional, named = tool._to_args_and_kwargs({**copy.deepcopy(dict(args)), **(injected or {})}, call_id)
    return tuple(positional), dict(named)


def injected_arguments(tool: BaseTool) -> frozenset[str]:
    """Names of arguments that the host supplies and the model never sees."""
    hidden = set(tool._injected_args_keys)
    full, shown = tool.get_input_schema(), tool.tool_call_schema
    if isinstance(shown, type) and not isinstance(tool.args_schema, dict):
        hidden |= set(_fields(full)) - set(_fields(shown))
    return frozenset(hidden)


class Injections(NamedTuple):
    """What the host injects: by argument the key of the state (None: all of it), and three arguments' names."""

    state: dict[str, str | None]
    store: str | None
    runtime: str | None
    call_id: str | None


def injections_of(tool: BaseTool) -> Injections:
    """What a ToolNode, or the tool itself, injects into a tool's arguments."""
    found = _get_all_injected_args(tool)
    return Injections(dict(found.state), found.store, found.runtime, _call_id_argument(tool))


def _call_id_argument(tool: BaseTool) -> str | None:
    """The argument that a tool's `run` fills with the id of the call."""
    schema = tool.get_input_schema()
    fields = get_all_basemodel_annotations(schema) if isinstance(schema, type) else {}
    marked = (name for name, kind in fields.items() if _is_injected_arg_type(kind, injected_type=InjectedToolCallId))
    bare = "tool_call_id" if "tool_call_id" in tool._injected_args_keys else None
    return next(marked, bare)


def shown_content(content: Any) -> Any:
    """What the message holds that a tool's run makes of *content*: a text, or blocks."""
    return getattr(_format_output(content, None, "", "", "success"), "content", None)


def state_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The graph's state as a node with that *config* sees it; empty outside of a node."""
    read = (config.get(CONF) or {}).get(CONFIG_KEY_READ)
    if read is None:
        return {}
    return dict(read([name for name in read.args[1] if not name.startswith(_INTERNAL_CHANNELS)], False))


_INTERNAL_CHANNELS = ("__", "branch:")


def _fields(model: Any) -> Sequence[str]:
    found = getattr(model, "model_fields", None)  # an empty one is an answer; pydantic warns of the other name
    return list(getattr(model, "__fields__", {}) if found is None else found)


_OWN_RUN = ("run", "arun")


def has_own_run(tool: BaseTool) -> bool:
    """Whether a tool replaces `run` or `arun`, so that its calls may never reach a body we could adopt in."""
    return any(getattr(type(tool), name) is not getattr(BaseTool, name) for name in _OWN_RUN)


def set_class(thing: BaseTool | BaseChatModel, kind: type[BaseTool] | type[BaseChatModel]) -> None:
    """Change the class of a tool or a model in place, past pydantic's own setter."""
    object.__setattr__(thing, "__class__", kind)
