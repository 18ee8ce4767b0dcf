"""What a graph is, as far as speculation is concerned, and what its owner should be warned of."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from langsmith.utils import tracing_is_enabled

from langgraph_speculate.doctor.tools import ToolFinding, findings
from langgraph_speculate.errors import UnsupportedGraph
from langgraph_speculate.graph import BY_MIDDLEWARE, speculate, speculation_of
from langgraph_speculate.host.compat.models import cannot_stream
from langgraph_speculate.host.engine import Engine
from langgraph_speculate.host.handle import engine_behind
from langgraph_speculate.host.inputs import obstacle_of
from langgraph_speculate.host.survey import Survey, survey
from langgraph_speculate.middleware import SpeculationMiddleware
from langgraph_speculate.policy import SpeculationPolicy, ToolPolicy
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.policy.levels import ENVIRONMENT_VARIABLE

_FEW = 4  # tools that a warning names
PACKAGES = ("langgraph", "langchain", "langchain-core", "langgraph-speculate")


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found.

    Attributes:
        kind: The graph's class.
        nodes: Names of its nodes.
        tools: What is known about each tool.
        models: Its chat models by class, each with why it does not stream, or None if it does.
        unpreviewed: Models of which no call can be started ahead (`model_ahead`), each with the reason.
        asks_models: Whether a node calls a model with tools.
        middleware: Classes of its middleware.
        checkpointer, store: Their classes, or None.
        gated: Tools that an approval middleware may ask a person about.
        asking: Other nodes that can ask a person.
        blocked: Why nothing of the graph may run ahead, or None.
        missing: Tools that a model is told of and no node was seen to hold.
        versions: Of the packages that matter.
        traced: Whether LangSmith traces runs.
        environment: `LANGGRAPH_SPECULATE`, or None.
        wrapped: `speculate`, `middleware`, or None if nothing speculates yet.
        policy: The policy that was asked about, or the graph's own; None if there is neither.
    """

    kind: str
    nodes: tuple[str, ...]
    tools: tuple[ToolFinding, ...]
    models: tuple[tuple[str, str | None], ...]
    unpreviewed: tuple[tuple[str, str], ...]
    asks_models: bool
    middleware: tuple[str, ...]
    checkpointer: str | None
    store: str | None
    gated: tuple[str, ...]
    asking: tuple[str, ...]
    blocked: str | None
    missing: tuple[str, ...]
    versions: Mapping[str, str]
    traced: bool
    environment: str | None
    wrapped: str | None
    policy: SpeculationPolicy | None

    @property
    def allowed(self) -> tuple[str, ...]:
        """Names of the tools that may run ahead, as things are."""
        return tuple(one.name for one in self.tools if one.verdict.allowed)

    @property
    def streams(self) -> bool:
        """Whether a model may stream: of those that were seen none is known not to, or none was seen."""
        return not self.models or any(why is None for _, why in self.models)

    def as_policy(self) -> SpeculationPolicy | None:
        """The policy, with what tools say of themselves written into it; None if it lets nothing run ahead."""
        if not self.allowed:
            return None
        entries = {one.name: one.policy or ToolPolicy() for one in self.tools if one.verdict.allowed}
        others = {one.name: one.policy for one in self.tools if one.policy and not one.policy.read_only}
        return replace(self.policy or SpeculationPolicy(), tools=entries | others)


def diagnose(graph: Any, policy: SpeculationPolicy | None = None) -> Diagnosis:
    """Look at a compiled graph; nothing of it is run.

    Args:
        graph: The graph, plain or wrapped already.
        policy: What to ask about; None: the graph's own, if it is wrapped.

    Raises:
        PolicyError: The policy does not fit the graph.
        UnsupportedGraph: It cannot be wrapped.
    """
    found = survey(graph)
    wrapped, present = _present(graph, found)
    settings = policy or (None if present is None else present.policy)
    engine = present
    if engine is None or wrapped != "speculate" or policy is not None:  # middleware meets its tools in runs only
        known = () if present is None else (entry.tool for toolbox, _ in present.views for entry in toolbox)
        named = [tool for tool in known if tool.name not in found.names()]  # given as tools=, where it was wrapped
        engine = engine_behind(speculation_of(speculate(graph, settings or SpeculationPolicy(), tools=named)))
        # What the middleware itself would say is to be told, not that it is there.
        engine.views[:] = [(box, None if why == BY_MIDDLEWARE else why) for box, why in engine.views]
    tools = findings(engine)
    inner = tuple(_all(found))
    return Diagnosis(
        kind=type(graph).__name__,
        nodes=tuple(name for name in graph.nodes if not name.startswith("__")),
        tools=tools,
        models=tuple(dict.fromkeys((type(m).__name__, cannot_stream(m)) for one in inner for m in one.chat_models)),
        unpreviewed=tuple(
            dict.fromkeys((type(m).__name__, why) for one in inner for m in one.chat_models if (why := obstacle_of(m)))
        ),
        asks_models=any(one.models for one in inner),
        middleware=tuple(dict.fromkeys(type(m).__name__ for one in inner for m in one.middleware)),
        checkpointer=_class_of(graph.checkpointer),
        store=_class_of(graph.store),
        gated=tuple(sorted(frozenset().union(*(one.gated for one in inner)))),
        asking=tuple(sorted(found.asking)),
        blocked=next((blocked for toolbox, blocked in engine.views if blocked and len(toolbox)), None),
        missing=tuple(sorted(frozenset().union(*(one.offered for one in inner)) - {one.name for one in tools})),
        versions={name: _version(name) for name in PACKAGES},
        traced=bool(tracing_is_enabled()),
        environment=os.environ.get(ENVIRONMENT_VARIABLE),
        wrapped=wrapped,
        policy=settings,
    )


def warnings(found: Diagnosis) -> Iterator[str]:
    """What the owner should know before anything runs ahead, the most important first."""
    if not found.tools:
        yield (
            "No tool was found: speculate(graph, tools=[…]) takes those that nodes fetch at run time, and remote "
            "graphs are wrapped where they run."
        )
    if found.blocked and found.tools:
        yield f"Nothing of this graph runs ahead: {printable(found.blocked, 300)}."
    if found.missing:
        listed = ", ".join(map(printable, found.missing))
        yield f"The model may call {listed}, which no node was seen to hold: hand them to speculate(graph, tools=[…])."
    for one in found.tools:
        yield from _about(one)
    if found.policy is not None and found.policy.model_ahead:
        yield from _about_previews(found)
    for name, why in found.models:
        if why is not None:
            yield f"{name} does not stream ({why}): guesses start with each message, nothing starts as it is written."
    if found.tools and not found.models:
        yield "No model object was found, as where a function makes it at run time: whether it streams is not known."
    if found.tools and found.policy is None and not found.allowed:
        yield "There is no policy: calls are predicted and scored, and none runs ahead."
    if found.environment:
        yield f"{ENVIRONMENT_VARIABLE}={printable(found.environment)} is set here: it beats every policy."


def _about_previews(found: Diagnosis) -> Iterator[str]:
    if not found.models:
        yield "model_ahead: no model object was found, so no model call is started on remembered results."
    for name, why in found.unpreviewed:
        yield f"model_ahead: calls of {name} are not started on remembered results: {why}."
    vague = [
        one.name for one in found.tools if one.policy is not None and one.policy.read_only and "*" in one.policy.reads
    ]
    writing = [one.name for one in found.tools if one.policy is None or not one.policy.read_only]
    if vague and writing:
        yield (
            f"model_ahead: a call of {_listed(writing)} makes old what {_listed(vague)} answered, as nobody says what "
            "they read: give each reads = […], and what writes writes = […], so that more results are still expected."
        )


def _listed(names: Sequence[str]) -> str:
    """The first few of several tools."""
    more = f" or {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(map(printable, names[:_FEW])) + more


def _about(one: ToolFinding) -> Iterator[str]:
    name = printable(one.name)
    declared = one.policy is not None and one.policy.read_only
    told = one.policy is not None and one.policy.open_world
    if declared and one.looks.kind in ("writes", "depends", "leaves") and not (one.looks.kind == "leaves" and told):
        yield f"{name} is declared read-only, but {one.looks}: a wrong guess of it would really happen. Look again."
    if one.verdict.reason == "unknown_tool":
        yield f"{name} cannot be reached: {one.verdict.detail}."
    if one.blocking:
        yield (
            f"{name} is async, but its body names {', '.join(one.blocking)}: run ahead, it would hold up the event "
            "loop as it does now. Use asyncio.to_thread, or make it sync."
        )


def _present(graph: Any, found: Survey) -> tuple[str | None, Engine | None]:
    """How a graph speculates already."""
    try:
        return "speculate", engine_behind(speculation_of(graph))
    except UnsupportedGraph:
        own = (one for one in found.middleware if isinstance(one, SpeculationMiddleware))
        middleware = next(own, None)
        return (None, None) if middleware is None else ("middleware", engine_behind(middleware.speculation))


def _all(found: Survey) -> Iterator[Survey]:
    yield found
    for inner in found.inner.values():
        yield from _all(inner)


def _class_of(value: Any) -> str | None:
    """The class of a checkpointer or store; True and False say something about inheriting one, and name none."""
    return None if value is None or isinstance(value, bool) else type(value).__name__


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # a checkout that was never installed
        return "not installed"
