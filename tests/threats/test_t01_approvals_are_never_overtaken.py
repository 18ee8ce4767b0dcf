"""T1: no tool that waits for a person runs before the person has answered, in whatever way it is made to wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Literal

import pytest
from agents import ASYNC_WAYS, START_INPUT, WAYS, Oracle, ScriptedModel, World, adrive, agent_graph, ask, drive
from early import THREAD, ask_a_person, asks, bodies, contents, last_state, readers, transcript, wired
from langchain.agents.middleware import AgentMiddleware, HumanInTheLoopMiddleware, ToolRetryMiddleware
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END
from langgraph.types import Command, interrupt

from langgraph_speculate import MisplacedMiddleware, SpeculationMiddleware, speculate, speculation_of

POLICY: dict[str, Any] = {"tools": {"read": True, "find": True}}
SCRIPT = [ask(("find", {"id": 9})), ask(("read", {"id": 1}), prefix="d"), AIMessage("done")]
DECISIONS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "approve": ({"type": "approve"}, [1]),
    "edit": ({"type": "edit", "edited_action": {"name": "read", "args": {"id": 3}}}, [3]),
    "reject": ({"type": "reject", "message": "no"}, []),
    "respond": ({"type": "respond", "message": "it says: one"}, []),
}


def _agent(world: World, middleware: list[Any], by: str, **settings: Any) -> tuple[Any, Any]:
    """An agent and its handle on speculation; *by* is `"plain"`, `"speculate"` or `"middleware"`."""
    inside = SpeculationMiddleware(POLICY, predictor=Oracle(SCRIPT)) if by == "middleware" else None
    graph = agent_graph(
        ScriptedModel(script=SCRIPT, pace_s=0.0 if by == "plain" else 0.01),
        readers(world),
        middleware=[*middleware, *([inside] if inside else [])],
        checkpointer=InMemorySaver(),
        **settings,
    )
    if by == "speculate":
        graph = speculate(graph, POLICY, predictor=Oracle(SCRIPT))
        return graph, speculation_of(graph)
    return graph, inside.speculation if inside else None


def _approval(mode: Any, order: str, settings: Any = True) -> list[Any]:
    both = [HumanInTheLoopMiddleware({"read": settings}, interrupt_mode=mode), ToolRetryMiddleware(max_retries=1)]
    return both if order == "approval_first" else both[::-1]


@pytest.mark.parametrize("decision", DECISIONS)
@pytest.mark.parametrize("order", ["approval_first", "approval_last"])
@pytest.mark.parametrize("mode", ["batched", "per_call"])
@pytest.mark.parametrize("by", ["speculate", "middleware"])
@pytest.mark.parametrize("way", WAYS)
def test_a_body_waits_for_the_decision_and_follows_it(way: str, by: str, mode: str, order: str, decision: str) -> None:
    """
    No body before the decision and none after a rejection or an answer by hand; one with the new arguments after an
    edit. The other tool of the same run does run ahead.
    """
    given, expected = DECISIONS[decision]
    seen = []
    for which in ("plain", by):
        world = World()
        graph, handle = _agent(world, _approval(mode, order), which)
        drive(graph, way, START_INPUT, THREAD)
        assert bodies(world, "read") == []
        state = last_state(graph, way, Command(resume={"decisions": [given]} if mode == "batched" else given), THREAD)
        assert bodies(world, "read") == expected
        assert bodies(world, "read", "early") == []
        seen.append(transcript(state))
    assert seen[0] == seen[1]
    assert handle.stats().by_tool["find"].hits == 1
    assert {verdict.tool: verdict.reason for verdict in handle.explain()} == {"read": "gated", "find": "allowed"}


def test_speculation_in_front_of_approval_is_refused() -> None:
    """
    The order of middleware that would overtake the approval cannot be built.
    """
    beside = [SpeculationMiddleware(POLICY), HumanInTheLoopMiddleware({"read": True}, interrupt_mode="per_call")]
    with pytest.raises(MisplacedMiddleware, match="must come last"):
        agent_graph(ScriptedModel(script=SCRIPT), readers(World()), middleware=beside)


@pytest.mark.parametrize("when", [True, False])
@pytest.mark.parametrize("mode", ["batched", "per_call"])
@pytest.mark.parametrize("way", WAYS)
def test_a_predicate_does_not_make_a_gated_tool_free(way: str, mode: str, when: bool) -> None:
    """
    `when=` is asked about the real call; whatever it would say, no guess of the tool runs.
    """
    settings = {"allowed_decisions": ["approve"], "when": lambda request: when}
    world = World()
    graph, handle = _agent(world, _approval(mode, "approval_first", settings), "speculate")
    drive(graph, way, START_INPUT, THREAD)
    assert bodies(world, "read", "early") == []
    assert bodies(world, "read") == ([] if when else [1])
    assert handle.stats().by_tool["find"].hits == 1


STOPS: list[dict[str, Any]] = [
    {"interrupt_before": ["tools"]},
    {"interrupt_after": ["model"]},
    {"interrupt_after": "*"},
]


@pytest.mark.parametrize("stop", [*STOPS, {}], ids=repr)
@pytest.mark.parametrize("at", ["compile", "call"])
@pytest.mark.parametrize("way", WAYS)
def test_nothing_runs_ahead_of_a_static_interrupt(way: str, at: str, stop: dict[str, Any]) -> None:
    """
    A run that stops between model and tools starts no tool, whoever said so; without the stop it does.
    """
    world = World()
    compiled, called = (stop, {}) if at == "compile" else ({}, stop)
    graph, handle = _agent(world, [], "speculate", **compiled)
    drive(graph, way, START_INPUT, THREAD, **called)
    if stop:
        assert (bodies(world), handle.stats().launched) == ([], 0)
    else:
        assert handle.stats().hits == 2


# -- nodes of one's own ----------------------------------------------------------------------------------------------


def _static(builder: Any) -> None:
    def approve(state: Any) -> Any:
        return {} if ask_a_person("ok?") == "yes" else {"messages": [AIMessage("refused")]}

    builder.add_node("approve", approve)
    builder.add_conditional_edges("model", lambda state: "approve" if asks(state) else END, ["approve", END])
    builder.add_conditional_edges("approve", lambda state: "tools" if asks(state) else END, ["tools", END])


def _without_path_map(builder: Any) -> None:
    def approve(state: Any) -> Any:
        return {} if ask_a_person("ok?") == "yes" else {"messages": [AIMessage("refused")]}

    builder.add_node("approve", approve)
    builder.add_conditional_edges("model", lambda state: "approve" if asks(state) else END)
    builder.add_conditional_edges("approve", lambda state: "tools" if asks(state) else END)


def _goes_on(state: Any) -> Command[Any]:
    return Command(goto="tools" if not asks(state) or ask_a_person("ok?") == "yes" else END)


def _says_where(state: Any) -> Command[Literal["tools", "__end__"]]:
    return _goes_on(state) if asks(state) else Command(goto=END)


def _commands(approve: Callable[[Any], Any], **settings: Any) -> Callable[[Any], None]:
    def wire(builder: Any) -> None:
        def checked(state: Any) -> Any:
            return approve(state) if asks(state) else Command(goto=END)

        checked.__annotations__ = {"return": approve.__annotations__["return"]}
        builder.add_node("approve", checked, **settings)
        builder.add_edge("model", "approve")

    return wire


NODES: dict[str, Callable[[Any], None]] = {
    "static edges": _static,
    "no path map": _without_path_map,
    "command, destinations": _commands(_goes_on, destinations=("tools", END)),
    "command, annotated": _commands(_says_where),
    "command, nothing said": _commands(_goes_on),
}


@pytest.mark.parametrize("answer", ["yes", "no"])
@pytest.mark.parametrize("said", ["nothing", "read", "none"])
@pytest.mark.parametrize("wire", NODES)
@pytest.mark.parametrize("way", WAYS)
def test_a_node_of_ones_own_that_asks_is_not_overtaken(
    way: str, wire: str, said: str, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    """
    Until the owner says what such a node gates, nothing runs ahead of it, and a warning says how to say it. What is
    named waits, the rest does not; `[]` is the owner's word that nothing waits.
    """
    script = [ask(("read", {"id": 1}), ("find", {"id": 9})), AIMessage("done")]
    gated: dict[str, Any] = {"nothing": {}, "read": {"approval_gated": ["read"]}, "none": {"approval_gated": []}}[said]
    world = World()
    model = ScriptedModel(script=script, pace_s=0.01)
    with caplog.at_level(logging.WARNING, "langgraph_speculate"):
        plain = wired(model, readers(world), NODES[wire], InMemorySaver())
        graph = speculate(plain, {**POLICY, **gated}, predictor=Oracle(script))
    drive(graph, way, START_INPUT, THREAD)
    early = {"nothing": [], "read": ["find"], "none": ["find", "read"]}[said]
    assert sorted(name for name, _ in world.log) == early  # the control, too: what may run ahead does
    assert bodies(world, when="real") == []
    state = last_state(graph, way, Command(resume=answer), THREAD)
    assert sorted(bodies(world, when="real")) == ([1, 9] if answer == "yes" else [])
    assert len(contents(state)) == (2 if answer == "yes" else 0)
    warned = "approval_gated" in caplog.text
    assert warned == (said == "nothing")
    if warned:
        assert "'approve'" in caplog.text


class Asking(AgentMiddleware[Any, Any, Any]):
    """An approval of somebody's own, after the model; without `interrupt` in sight if *plainly* is False."""

    def __init__(self, plainly: bool) -> None:
        super().__init__()
        self._plainly = plainly

    def after_model(self, state: Any, runtime: Any) -> Any:
        if asks(state):
            answer = interrupt("ok?") if self._plainly else ask_a_person("ok?")
            assert answer
        return None


@pytest.mark.parametrize("plainly", [True, False])
@pytest.mark.parametrize("by", ["speculate", "middleware"])
@pytest.mark.parametrize("way", WAYS)
async def test_middleware_of_ones_own_that_asks_after_the_model_is_not_overtaken(
    way: str, by: str, plainly: bool
) -> None:
    """
    Nothing runs before the answer; afterwards each call runs once.
    """
    world = World()
    graph, handle = _agent(world, [Asking(plainly)], by)
    run = adrive if way in ASYNC_WAYS else lambda *args: asyncio.to_thread(drive, *args)
    await run(graph, way, START_INPUT, THREAD)
    assert bodies(world) == []
    for _ in range(2):
        await run(graph, way, Command(resume="yes"), THREAD)
    assert (bodies(world, "find"), bodies(world, "read"), bodies(world, when="early")) == ([9], [1], [])
    assert handle.stats().launched == 0
    assert all("approval_gated" in verdict.detail for verdict in handle.explain())
