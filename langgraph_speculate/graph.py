"""`speculate(graph)`: a compiled graph in, a compiled graph of the same type out.

The result is a shallow copy whose class is a dynamic subclass of the graph's own, so type, drawing, schemas,
checkpointer, store, interrupts and server use stay. Its ToolNodes hold clones of the tools that share their state; the
graph given is not changed, except that tools which hand-written nodes hold on to are made adopting in place, and with
`force_streaming` or `model_ahead` models (outside of a speculating run they behave as before).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Any, TypeVar, cast

from langchain_core.callbacks import BaseCallbackHandler, BaseCallbackManager
from langchain_core.tools import BaseTool
from langgraph.cache.base import BaseCache
from langsmith.utils import tracing_is_enabled

from langgraph_speculate.core.candidates import Predictor
from langgraph_speculate.errors import UnsupportedGraph
from langgraph_speculate.host import approvals
from langgraph_speculate.host.adopt import adopt_in_place, adopting_clone
from langgraph_speculate.host.adopt_model import adopt_model_in_place
from langgraph_speculate.host.compat.callbacks import with_handlers
from langgraph_speculate.host.compat.configs import configurable_of, max_concurrency_of, run_config
from langgraph_speculate.host.compat.graphs import Pregel, copy_graph, mappers
from langgraph_speculate.host.compat.tools import clone_tool_node
from langgraph_speculate.host.elsewhere import CallObserver
from langgraph_speculate.host.engine import Engine
from langgraph_speculate.host.forcing import Forcing
from langgraph_speculate.host.handle import SpeculationHandle
from langgraph_speculate.host.model import ask_in_place
from langgraph_speculate.host.observer import TurnObserver, Unspeculated
from langgraph_speculate.host.run import Run
from langgraph_speculate.host.survey import Survey, survey
from langgraph_speculate.host.toolbox import Toolbox
from langgraph_speculate.host.transparency import opaque_around
from langgraph_speculate.observe.langsmith import TraceLevel, Tracing
from langgraph_speculate.observe.observers import Observer, listed
from langgraph_speculate.patterns import PatternSource
from langgraph_speculate.policy import SpeculationPolicy
from langgraph_speculate.predict import default_predictor

G = TypeVar("G")
BY_MIDDLEWARE = "SpeculationMiddleware in it runs its tools ahead already; leave out either that or speculate()"
PolicySource = SpeculationPolicy | Mapping[str, Any] | str | os.PathLike[str] | None


def speculate(
    graph: G,
    policy: PolicySource = None,
    *,
    tools: Sequence[BaseTool] = (),
    patterns: PatternSource | None = None,
    memory: BaseCache[Any] | None = None,
    predictor: Predictor | None = None,
    observers: Iterable[Observer] = (),
    executor: Executor | None = None,
    force_streaming: bool = False,
    announce: bool = False,
    trace: TraceLevel = "summary",
    trace_feedback: bool = False,
) -> G:
    """Return *graph* with its tool calls predicted and run ahead while the model is still generating.

    What it returns is what the plain graph would have returned; only tools declared read-only run ahead.

    Args:
        graph: A compiled graph (`create_agent`, `create_react_agent`, `StateGraph(...).compile()`, deepagents).
        policy: A `SpeculationPolicy`, a dict of the same shape, or a path to a TOML file. None: tools whose own
            `metadata` says `read_only: True` may run ahead, all others are only predicted and scored.
        tools: Tools that hand-written nodes fetch at run time, where they cannot be found by looking.
        patterns: Where what is learned is kept: a path (a SQLite file), a LangGraph `BaseStore`, or a `PatternStore`.
            None: in memory, gone with the process.
        memory: Where what tools answered is kept for `model_ahead`: a LangGraph cache (`BaseCache`), such as
            `SqliteCache`; it stays yours to close. None: in memory, gone with the process.
        predictor: Who guesses; None is `default_predictor()`, which learns from every run.
        observers: Called with every event (`langgraph_speculate.core.events`), in threads of their own: no run
            waits for them. `speculation_of(graph).flush()` returns when they have been told everything.
        executor: Where sync tools run ahead that can be sent there, such as a `ProcessPoolExecutor`; it stays yours to
            shut down. None: in threads of this process.
        force_streaming: Stream the model's turns although nobody asked for it. Some metadata of messages then differs
            from the plain graph's (see "Forcing the model to stream" in the documentation); what a model's owner set
            against streaming wins.
        announce: Write `{"type": "speculation", "tool", "outcome", "saved_s", …}` to the stream mode `custom` whenever
            a result is adopted. The stream then has more than the plain graph's.
        trace: What traces in LangSmith say of speculations, where a run is traced: `"off"` nothing, `"summary"` what
            became of each call and of each speculation, `"full"` also the arguments that were guessed, and what was
            not started.
        trace_feedback: Whether each trace in LangSmith gets two scores, `speculation_saved_ms` and
            `speculation_hit_rate`, for charts that add them up. Its retention is not extended.

    Wrapping a wrapped graph without further arguments returns it as it is; with arguments they replace the former.

    Raises:
        UnsupportedGraph: *graph* is no compiled local graph; a `TypeError` too.
        PolicyError: The policy is missing, unreadable, misspelt or contradicts itself.
        TypeError: *executor*, *memory*, *predictor* or one of the *observers* is none.
        ValueError: There is no such *trace*.
        BadPatterns: *patterns* cannot be opened, or *predictor* has nothing that could be written down.

    >>> from langchain.agents import create_agent
    >>> from langchain_core.language_models import FakeListChatModel
    >>> from langchain_core.tools import tool
    >>> @tool
    ... def get_order(id: int) -> str:
    ...     "Look up an order."
    ...     return "sent"
    >>> agent = speculate(create_agent(FakeListChatModel(responses=["hi"])), tools=[get_order])
    >>> [(verdict.tool, verdict.reason) for verdict in speculation_of(agent).explain()]
    [('get_order', 'undeclared')]
    """
    if not isinstance(graph, Pregel):
        raise UnsupportedGraph(
            f"speculate() wraps compiled local graphs, not {type(graph).__qualname__}"
            + (": compile it first" if hasattr(graph, "compile") else "; wrap the graph where it runs")
        )
    observers = listed(observers)
    tracing = Tracing(trace, trace_feedback)
    given = (policy, patterns, memory, predictor, executor) != (None,) * 5 or tracing != Tracing()
    asked = tools or observers or force_streaming or announce or given
    if _is_wrapped(graph) and not asked:
        return cast(G, graph)
    for tool in tools:
        if not isinstance(tool, BaseTool):
            raise UnsupportedGraph(f"tools= takes LangChain tools, not {type(tool).__qualname__}")
    settings = SpeculationPolicy.load(policy)
    found = survey(graph, tools, settings.transparent)
    settings.check_names(found.names(), source=str(policy) if isinstance(policy, (str, os.PathLike)) else "")
    toolboxes = _toolboxes(found, settings)  # the last that can fail: what comes after changes tools in place
    guess = predictor if predictor is not None else default_predictor(apart=not settings.shared_patterns)
    engine = Engine(
        settings,
        guess,
        observers=observers,
        patterns=patterns,
        force_streaming=force_streaming,
        executor=executor,
        tracing=tracing,
        announce=announce,
        memory=memory,
    )
    return cast(G, _wrap(found, toolboxes, engine))


def speculation_of(graph: Any) -> SpeculationHandle:
    """The handle on a wrapped graph's speculation: `stats()`, `explain()`, `events(fn)`, `close()`.

    Raises:
        UnsupportedGraph: *graph* was not returned by `speculate()`.
    """
    if not _is_wrapped(graph):
        raise UnsupportedGraph(
            f"speculation_of() takes a graph that speculate() returned, not {type(graph).__qualname__}"
        )
    handle: SpeculationHandle = graph.speculation
    return handle


def _stream(self: Any, input: Any, config: Any = None, **kwargs: Any) -> Iterator[Any]:
    """As the plain graph's, inside of a run scope."""
    run = _open(self, config, kwargs, None)
    if run is None:
        yield from self.plain_kind.stream(self, input, _unspeculated(self, config), **kwargs)
        return
    try:
        yield from self.plain_kind.stream(self, input, run_config(config, run, *_handlers(self, run)), **kwargs)
    finally:
        run.close()


async def _astream(self: Any, input: Any, config: Any = None, **kwargs: Any) -> AsyncIterator[Any]:
    """As the plain graph's, inside of a run scope."""
    run = _open(self, config, kwargs, asyncio.get_running_loop())
    try:
        given = _unspeculated(self, config) if run is None else run_config(config, run, *_handlers(self, run))
        async with aclosing(self.plain_kind.astream(self, input, given, **kwargs)) as chunks:
            async for chunk in chunks:
                yield chunk
    finally:
        if run is not None:
            await run.aclose()


def _copy(self: Any, update: dict[str, Any] | None = None) -> Any:
    """As the plain graph's, with the output mappers that it forgets."""
    copied = self.plain_kind.copy(self, update)
    copied.__dict__.update({name: mapper for name, mapper in mappers(self).items() if name not in (update or {})})
    return copied


def _open(graph: Any, config: Any, kwargs: Mapping[str, Any], loop: asyncio.AbstractEventLoop | None) -> Run | None:
    if not _is_usable(config):
        return None  # the plain graph says best what is wrong with it
    configurable = configurable_of(getattr(graph, "config", None), config)
    if not configurable and graph.checkpointer is not None:
        return None  # a checkpointer needs to know which thread; the plain graph says so
    engine: Engine = graph.speculation_engine
    blocked = _blocked(graph, kwargs) or approvals.bounded(max_concurrency_of(getattr(graph, "config", None), config))
    return engine.open_run(graph.toolbox, configurable, blocked, loop, graph.get_name())


def _handlers(graph: Any, run: Run) -> list[BaseCallbackHandler]:
    """What a run adds to its callbacks."""
    return [TurnObserver(run), CallObserver(run), *([Forcing(run)] if graph.speculation_engine.force_streaming else [])]


def _unspeculated(graph: Any, config: Any) -> Any:
    """The config of a run that does not speculate: as given, but that a trace of it says so."""
    engine: Engine = graph.speculation_engine
    if engine.tracing.level == "off" or not tracing_is_enabled() or not _is_usable(config):
        return config
    return with_handlers(config, Unspeculated(engine))


def _is_usable(config: Any) -> bool:
    if config is None:
        return True
    if not isinstance(config, dict) or not isinstance(config.get("configurable") or {}, dict):
        return False
    callbacks = config.get("callbacks")
    return callbacks is None or isinstance(callbacks, (list, BaseCallbackManager))


def _blocked(graph: Any, kwargs: Mapping[str, Any]) -> str | None:
    """Why nothing of this graph may run ahead, as it is called now."""
    before = kwargs.get("interrupt_before") or getattr(graph, "interrupt_before_nodes", ())
    after = kwargs.get("interrupt_after") or getattr(graph, "interrupt_after_nodes", ())
    return approvals.static_interrupt(before, after, graph.tool_users, graph.tool_nodes) or graph.standing


def _standing(found: Survey, policy: SpeculationPolicy) -> str | None:
    """Why nothing of this graph may run ahead, however it is called."""
    unnamed = approvals.unnamed(found.asking, found.between, policy.approval_gated)
    own = any(isinstance(getattr(one, "speculation", None), SpeculationHandle) for one in found.middleware)
    return unnamed or opaque_around(found.around, policy.transparent) or (BY_MIDDLEWARE if own else None)


def _is_wrapped(graph: Any) -> bool:
    return isinstance(getattr(type(graph), "speculation", None), SpeculationHandle)


def _toolboxes(found: Survey, policy: SpeculationPolicy) -> dict[int, Toolbox]:
    """The tools of a graph and of the graphs in it, described under a policy, by the graph's id."""
    gated = found.gated | set(approvals.named(policy.approval_gated))
    boxes = {id(found.graph): Toolbox((*found.listed, *found.loose), policy, gated, found.limits)}
    for inner in _own(found).values():
        boxes.update(_toolboxes(inner, policy))
    return boxes


def _own(found: Survey) -> Mapping[str, Survey]:
    """The graphs in a graph that speculate as it does; one that somebody wrapped for itself keeps its own policy."""
    engine = getattr(type(found.graph), "speculation_engine", None)
    return {
        name: inner
        for name, inner in found.inner.items()
        if not _is_wrapped(inner.graph) or inner.graph.speculation_engine is engine
    }


def _wrap(found: Survey, toolboxes: Mapping[int, Toolbox], engine: Engine) -> Any:
    """A copy of the surveyed graph that speculates; graphs that are its nodes become runs of their own."""
    for tool in found.loose:
        adopt_in_place(tool)
    for model in found.chat_models if engine.force_streaming else ():
        ask_in_place(model)
    if engine.policy.model_ahead:
        for model in found.chat_models:
            adopt_model_in_place(model)
        if found.models and not found.chat_models:
            engine.warn("previews", "model_ahead: no model object can be reached, so no model call is started ahead")
    nodes = dict(found.graph.nodes)
    for name in found.tool_nodes:
        nodes[name] = nodes[name].copy({"bound": clone_tool_node(nodes[name].bound, adopting_clone)})
    for name, inner in _own(found).items():
        wrapped_inner = _wrap(inner, toolboxes, engine)
        nodes[name] = nodes[name].copy({"bound": wrapped_inner, "subgraphs": [wrapped_inner]})
    graph, toolbox = found.graph, toolboxes[id(found.graph)]
    # The graph's own class is the only base: the class of a live object can only become one of the same layout.
    plain_kind = graph.plain_kind if _is_wrapped(graph) else type(graph)
    kind = type(
        plain_kind.__name__,
        (plain_kind,),
        {
            "stream": _stream,
            "astream": _astream,
            "copy": _copy,
            "__module__": plain_kind.__module__,
            "__qualname__": plain_kind.__qualname__,
            "__doc__": plain_kind.__doc__,
            "speculation": engine.handle,
            "speculation_engine": engine,
            "toolbox": toolbox,
            "tool_nodes": found.tool_nodes,
            "tool_users": found.tool_users,
            "standing": _standing(found, engine.policy),
            "plain_kind": plain_kind,
        },
    )
    wrapped = copy_graph(graph, nodes, kind)
    engine.know(toolbox, _blocked(wrapped, {}))
    return wrapped
