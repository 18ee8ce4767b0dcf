"""T13: what the host injects is the real call's own; an early body sees declared state alone, and only in a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from agents import WAYS, Oracle, ScriptedModel, agent_graph
from early import contents, last_state, moment
from injecting import ANY, SCRIPT, USER, WHOLE, Model, Part, Record, Run, Typed, taking
from langchain.agents import AgentState
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import ToolMessage
from langchain_core.tools import InjectedToolCallId
from langgraph.graph import END, START
from langgraph.prebuilt import InjectedState, InjectedStore, ToolRuntime
from langgraph.types import Command, Send

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of

SUPPORTED: dict[str, tuple[Any, Callable[[Any], Any], dict[str, Any]]] = {
    "whole, dict": (WHOLE, lambda state: state["user"], USER),
    "whole, typed": (Annotated[Typed, InjectedState], lambda state: state["user"], USER),
    "whole, part of it": (Annotated[Part, InjectedState], lambda state: state["user"], USER),
    "whole, get": (WHOLE, lambda state: state.get("user", "nobody"), USER),
    "field": (Annotated[str, InjectedState("user")], lambda user: user, USER),
    "field, nested": (
        Annotated[dict, InjectedState("prefs")],
        lambda prefs: prefs["tags"][0],
        {"reads_state": ["prefs"]},
    ),
    "runtime.state": (ToolRuntime, lambda runtime: runtime.state["user"], USER),
    "runtime.context": (ToolRuntime, lambda runtime: runtime.context["role"], {"uses": ["context"]}),
    "runtime.config": (ToolRuntime, lambda runtime: str(sorted(runtime.config["tags"])), USER),
    "runtime.stream_writer": (ToolRuntime, lambda runtime: runtime.stream_writer("x") or "written", USER),
}
UNSUPPORTED: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "store": (Annotated[Any, InjectedStore()], lambda store: type(store).__name__),
    "call id": (Annotated[str, InjectedToolCallId], lambda id: id),
    "runtime.store": (ToolRuntime, lambda runtime: type(runtime.store.search(("a",))).__name__),
    "runtime.tool_call_id": (ToolRuntime, lambda runtime: str(runtime.tool_call_id)),
    "runtime.emit_output_delta": (ToolRuntime, lambda runtime: runtime.emit_output_delta("x") or "emitted"),
    "runtime.context, not used": (ToolRuntime, lambda runtime: runtime.context["role"]),
    "command": (WHOLE, lambda state: Command(update={"messages": [ToolMessage("moved", tool_call_id="c-read-0")]})),
    "send": (WHOLE, lambda state: [Send("model", {})]),
    "message": (WHOLE, lambda state: ToolMessage("made by hand", tool_call_id="c-read-0")),
    "messages": (WHOLE, lambda state: [ToolMessage("made by hand", tool_call_id="c-read-0")]),
}


@pytest.mark.parametrize("kind", SUPPORTED)
@pytest.mark.parametrize("way", WAYS)
def test_declared_state_is_read_ahead(way: str, kind: str) -> None:
    """
    Same transcript, and the early result is used; without the declaration the tool never runs ahead.
    """
    annotation, use, entry = SUPPORTED[kind]
    run = Run(taking(annotation, use), way, **entry)
    assert run.same
    assert run.stats.hits == 1
    silent = Run(taking(annotation, use), way)
    assert silent.same
    assert (silent.stats.launched, silent.explained[0].reason) == (0, "injected_arguments")


@pytest.mark.parametrize("entry", [USER, {}], ids=repr)
@pytest.mark.parametrize("kind", UNSUPPORTED)
@pytest.mark.parametrize("way", WAYS)
def test_what_belongs_to_a_call_is_the_real_calls(way: str, kind: str, entry: dict[str, Any]) -> None:
    """
    Store, call id, partial output, results that move the graph or carry the id of a call: never from an early body.
    """
    run = Run(taking(*UNSUPPORTED[kind]), way, runs=2, **entry)
    assert run.same
    assert run.stats.hits == 0
    assert run.stats.launched <= 1  # it tripped, and is not tried again


@pytest.mark.parametrize("annotation", [ANY, "own"], ids=["any", "own"])
@pytest.mark.parametrize("state", [Model, Record])
@pytest.mark.parametrize("way", WAYS)
def test_state_that_is_no_dict_is_the_real_calls(way: str, state: Any, annotation: Any) -> None:
    """
    Pydantic models and records, which speculation does not know how to watch, must not show through.
    """
    wanted = Annotated[state, InjectedState] if annotation == "own" else annotation
    assert Run(taking(wanted, lambda value: getattr(value, "lang", "en")), way, state, **USER).same
    assert Run(taking(wanted, lambda value: "whatever it is"), way, state, **USER).same


@pytest.mark.parametrize(
    "use",
    [lambda r: getattr(r.state, "lang", "en"), lambda r: type(r.state).__name__, lambda r: hasattr(r.state, "lang")],
    ids=["getattr", "type", "hasattr"],
)
@pytest.mark.parametrize("way", WAYS)
def test_attributes_of_a_state_are_not_made_up(way: str, use: Callable[[Any], Any]) -> None:
    """
    A tool that may see the runtime context alone asks the state for an attribute.
    """
    assert Run(taking(ToolRuntime, use), way, Model, uses=["context"]).same


# -- state that changes ----------------------------------------------------------------------------------------------


class Prefers(AgentState[Any]):
    lang: str


class Switching(AgentMiddleware[Any, Any, Any]):
    """Changes the state after the model, and says that it leaves calls alone."""

    state_schema = Prefers
    speculation_transparent = True

    def __init__(self, key: str | None) -> None:
        super().__init__()
        self._key = key

    def after_model(self, state: Any, runtime: Any) -> Any:
        return {self._key: "fr"} if self._key else None


@pytest.mark.parametrize("changed", [True, False])
@pytest.mark.parametrize("by", ["speculate", "middleware"])
@pytest.mark.parametrize("way", WAYS)
def test_state_that_changed_after_the_launch_discards(way: str, by: str, changed: bool) -> None:
    """
    Middleware after the model rewrites what the early body has read: the answer is of the new state.
    """
    policy = {"tools": {"read": {"read_only": True, "reads_state": ["lang"]}}}
    inside = SpeculationMiddleware(policy, predictor=Oracle(SCRIPT))
    tool = taking(Annotated[str, InjectedState("lang")], lambda lang: lang)()
    middleware = [Switching("lang" if changed else None), *([inside] if by == "middleware" else [])]
    graph = agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.02), [tool], middleware=middleware)
    graph = speculate(graph, policy, predictor=Oracle(SCRIPT)) if by == "speculate" else graph
    handle = inside.speculation if by == "middleware" else speculation_of(graph)
    given = {"messages": [("user", "go")], "lang": "de"}
    assert contents(last_state(graph, way, given)) == ["fr" if changed else "de"]
    assert (handle.stats().launched, handle.stats().hits) == (1, not changed)
    assert handle.stats().denied == ({"changed": 1} if changed else {})


@pytest.mark.parametrize("reads", ["lang", "user"])
@pytest.mark.parametrize("way", WAYS)
def test_a_branch_beside_the_model_may_change_the_state(way: str, reads: str) -> None:
    """
    A node of the model's own step writes `lang`: what was read of it is dropped, what was read of others stays.
    """

    def branch(builder: Any) -> None:
        builder.add_node("beside", lambda state: {"lang": "fr"})
        builder.add_edge(START, "beside")
        builder.add_edge("beside", END)

    run = Run(
        taking(ToolRuntime, lambda runtime: runtime.state[reads]), way, extra=branch, pace_s=0.03, reads_state=[reads]
    )
    assert run.same
    assert run.answers == (["fr"] if reads == "lang" else ["ann"])
    assert run.stats.hits == (reads == "user")


@pytest.mark.parametrize("where", ["field", "runtime", "whole"])
@pytest.mark.parametrize("way", WAYS)
def test_what_an_early_body_does_to_its_state_stays_with_it(way: str, where: str) -> None:
    """
    An early body that appends to a list of the state changes its own copy: the graph's state is what a plain run that
    never made that body would have.
    """
    annotation = {"field": Annotated[dict, InjectedState("prefs")], "runtime": ToolRuntime, "whole": WHOLE}[where]
    moments: list[str] = []

    def spoil(given: Any) -> str:
        prefs = given if where == "field" else (given.state if where == "runtime" else given)["prefs"]
        moments.append(moment())
        if moments[-1] == "early":
            prefs["tags"].append("spoilt")
        return "done"

    run = Run(taking(annotation, spoil), way, reads_state=["prefs"])
    assert run.same
    assert moments == ["real", "early"]
    assert run.stats.hits == 1
