"""T1: approvals in methods: of the node itself, of an object that it holds, of a class that it names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from agents import START_INPUT, WAYS, Oracle, ScriptedModel, State, World, agent_graph, ask, drive, tool_node_graph
from early import THREAD, ask_a_person, bodies, readers
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.host.handle import engine_behind

SCRIPT = [ask(("read", {"id": 1})), AIMessage("done")]
POLICY: dict[str, Any] = {"tools": {"read": True}}


class Approver:
    """Somebody who is asked."""

    def ask(self, call: Any) -> bool:
        return self._answer(call) == "yes"

    def _answer(self, call: Any) -> Any:
        return interrupt(f"run {call['name']}?")

    @property
    def consent(self) -> bool:
        return ask_a_person("ok?") == "yes"

    @staticmethod
    def of_nobody(call: Any) -> bool:
        return Approver().ask(call)

    @classmethod
    def of_all(cls, call: Any) -> bool:
        return cls().ask(call)


class Slotted:
    """An object that holds an approver in a slot."""

    __slots__ = ("approver",)

    def __init__(self) -> None:
        self.approver = Approver()


class Chief(Approver):
    """Somebody who asks as others do."""


@dataclass
class Desk:
    """A desk with an approver."""

    approver: Approver


approver, chief = Approver(), Chief()
desk = Desk(Approver())
office = SimpleNamespace(desk=desk)
by_kind: dict[str, Any] = {"read": Approver()}
slotted = Slotted()
asking = partial(Approver.ask, approver)
consulting = RunnableLambda(lambda call: approver.ask(call))


class Node:
    """A tool node with methods, as in LangGraph's tutorials."""

    def __init__(self, tools: Sequence[Any]) -> None:
        self.tools = {tool.name: tool for tool in tools}
        self.desk = SimpleNamespace(approver=approver)

    def __call__(self, state: State) -> Any:
        return {"messages": [self.answer(call) for call in state["messages"][-1].tool_calls]}

    def answer(self, call: Any) -> Any:
        if not self.approved(call):
            return ToolMessage("denied", tool_call_id=call["id"])
        return self.tools[call["name"]].invoke(call)

    def approved(self, call: Any) -> bool:
        return ask_a_person(f"run {call['name']}?") == "yes"


class Elsewhere(Node):
    """The same, with an approver that it was given."""

    def approved(self, call: Any) -> bool:
        return self.desk.approver.ask(call)


def _method(tools: Sequence[Any]) -> Callable[[State], Any]:
    return Node(tools).__call__


def _with(approved: Callable[[Any], bool]) -> Callable[[Sequence[Any]], Callable[[State], Any]]:
    def build(tools: Sequence[Any]) -> Callable[[State], Any]:
        by_name = {tool.name: tool for tool in tools}

        def run_tools(state: State) -> Any:
            calls = [call for call in state["messages"][-1].tool_calls if approved(call)]
            return {"messages": [by_name[call["name"]].invoke(call) for call in calls]}

        return run_tools

    return build


def _imported(call: Any) -> bool:
    from early import ask_a_person as somebody

    return bool(somebody("ok?") == "yes")


NODES: dict[str, Callable[[Sequence[Any]], Any]] = {
    "a node of a class": Node,
    "a method of an object": _method,
    "an object in a field of the node": Elsewhere,
    "an object": _with(lambda call: approver.ask(call)),
    "an object whose method is inherited": _with(lambda call: chief.ask(call)),
    "an object that is made on the spot": _with(lambda call: Approver().ask(call)),
    "an object of an object": _with(lambda call: desk.approver.ask(call)),
    "an object of an object of a namespace": _with(lambda call: office.desk.approver.ask(call)),
    "an object in a slot": _with(lambda call: slotted.approver.ask(call)),
    "an object in a table": _with(lambda call: by_kind[call["name"]].ask(call)),
    "a bound method": _with(approver.ask),
    "a partial": _with(lambda call: asking(call)),
    "a property": _with(lambda call: approver.consent),
    "a static method": _with(lambda call: Approver.of_nobody(call)),
    "a class method": _with(lambda call: Approver.of_all(call)),
    "a runnable": _with(lambda call: consulting.invoke(call)),
    "an import inside of the function": _with(_imported),
}


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_no_body_overtakes_an_approval_in_a_method(way: str, node: str) -> None:
    """
    Whoever is asked, and through however many objects: the body waits for the answer.
    """
    world = World()
    tools = readers(world, "read")
    graph = tool_node_graph(
        ScriptedModel(script=SCRIPT, pace_s=0.02), tools, NODES[node](tools), checkpointer=InMemorySaver()
    )
    drive(speculate(graph, POLICY, predictor=Oracle(SCRIPT)), way, START_INPUT, THREAD)
    assert bodies(world) == []


class _Asking(AgentMiddleware[Any, Any, Any]):
    """Asks before the model's answer is used, in a method of its own."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        response = handler(request)
        self.ok()
        return response

    async def awrap_model_call(self, request: Any, handler: Any) -> Any:
        response = await handler(request)
        self.ok()
        return response

    def ok(self) -> None:
        interrupt("ok?")


@pytest.mark.parametrize("by", ["speculate", "middleware"])
@pytest.mark.parametrize("way", WAYS)
def test_no_body_overtakes_middleware_that_asks_in_a_method(way: str, by: str) -> None:
    """
    Around the model, too, an approval counts that a hook does not write out itself.
    """
    world = World()
    inside = [SpeculationMiddleware(POLICY, predictor=Oracle(SCRIPT))] if by == "middleware" else []
    graph = agent_graph(
        ScriptedModel(script=SCRIPT, pace_s=0.02),
        readers(world, "read"),
        middleware=[_Asking(), *inside],
        checkpointer=InMemorySaver(),
    )
    if by == "speculate":
        graph = speculate(graph, POLICY, predictor=Oracle(SCRIPT))
    drive(graph, way, START_INPUT, THREAD)
    assert bodies(world) == []


class Team:
    """The nodes of a graph as methods of one object."""

    def __init__(self, model: Any, tools: Sequence[Any]) -> None:
        self.model = model.bind_tools(list(tools))

    def think(self, state: State) -> Any:
        return {"messages": [self.answer(state["messages"])]}

    def answer(self, messages: Any) -> Any:
        return self.model.invoke(messages)

    def review(self, state: State) -> Any:
        raise PermissionError("not this one")


def _graph_of_a_team(world: World, *, reviewed: bool) -> Any:
    tools = readers(world, "read")
    team = Team(ScriptedModel(script=SCRIPT, pace_s=0.02), tools)
    builder = StateGraph(State)
    builder.add_node("think", team.think)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "think")
    next_node = "review" if reviewed else "tools"
    builder.add_conditional_edges("think", tools_condition, {"tools": next_node, END: END})
    if reviewed:
        builder.add_node("review", team.review)
        builder.add_edge("review", "tools")
    builder.add_edge("tools", "think")
    return builder.compile()


def test_a_method_between_the_model_and_its_tools_is_not_taken_for_the_model() -> None:
    """
    An object that has a model has it for the methods that name it: another may forbid what the model asked for.
    """
    world = World()
    with contextlib.suppress(PermissionError):
        speculate(_graph_of_a_team(world, reviewed=True), POLICY, predictor=Oracle(SCRIPT)).invoke(START_INPUT)
    assert bodies(world) == []


# -- the controls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_methods_that_ask_nobody_let_tools_run_ahead(way: str) -> None:
    """
    A model node that is a method and calls another one, and nobody in between.
    """
    graph = speculate(_graph_of_a_team(World(), reviewed=False), POLICY, predictor=Oracle(SCRIPT))
    drive(graph, way)
    assert speculation_of(graph).stats().hits == 1


class _Consent(AgentMiddleware[Any, Any, Any]):
    """Asks at the start of a run, and only looks on around the model."""

    def before_agent(self, state: Any, runtime: Any) -> None:
        interrupt("may I?")

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        return self.noted(handler(request))

    def noted(self, response: Any) -> Any:
        return response


def test_what_middleware_asks_before_the_agent_begins_does_not_stand_around_its_model() -> None:
    """
    Hooks of one class are judged apart: each where the agent calls it.
    """
    world = World()
    inside = SpeculationMiddleware(POLICY, predictor=Oracle(SCRIPT))
    agent_graph(ScriptedModel(script=SCRIPT), readers(world, "read"), middleware=[_Consent(), inside])
    assert engine_behind(inside.speculation).views[0][1] is None


def test_tools_that_ask_in_their_own_body_hold_nobody_else_up() -> None:
    """
    A tool that asks a person does so for itself: what its node gets at through it is no approval of the others.
    """
    world = World()
    tools = readers(world, "read")
    asking_tool = _asks_itself(world)
    graph = tool_node_graph(
        ScriptedModel(script=SCRIPT, pace_s=0.02),
        [*tools, asking_tool],
        _with(lambda call: True)([*tools, asking_tool]),
    )
    graph = speculate(graph, POLICY, predictor=Oracle(SCRIPT))
    graph.invoke(START_INPUT)
    assert speculation_of(graph).stats().hits == 1


def _asks_itself(world: World) -> Any:
    (tool,) = readers(world, "ask")
    inner = tool.func

    def body(id: int) -> Any:
        "Ask somebody."
        approver.ask({"name": "ask"})
        return inner(id)

    return tool.model_copy(update={"func": body, "coroutine": None})
