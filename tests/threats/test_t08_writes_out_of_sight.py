"""T8: a write that passes every body of ours makes old what was read ahead, as one that does not.

What a graph's own tools write is seen wherever LangChain says that a tool is called, or the graph holds the tool.
Writes by plain code of a node, and calls whose callbacks were taken away, are seen nowhere (documented).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from agents import (
    EAGERLY,
    WAYS,
    Fixed,
    Oracle,
    ScriptedModel,
    State,
    agent_graph,
    ask,
    hand_written_graph,
    tool_node_graph,
)
from attacks import answers, final
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, StructuredTool, tool
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of

READS = {"tools": {"read": EAGERLY}}
Held = dict[str, str]


def _tools(held: Held) -> tuple[BaseTool, BaseTool]:
    """A tool that reads and one that writes what there is."""

    @tool
    def read() -> str:
        "Read."
        return held["text"]

    @tool
    def write(text: str) -> str:
        "Write."
        held["text"] = text
        return "written"

    return read, write


WRITE_THEN_READ = [ask(("write", {"text": "new"}), ("read", {})), AIMessage("done")]


# -- nodes that call a tool through something else -------------------------------------------------------------------

REGISTRY: dict[str, BaseTool] = {}


def _looked_up(write: BaseTool) -> Any:
    REGISTRY["write"] = write
    return RunnableLambda(lambda call: globals()["REGIS" + "TRY"]["write"].invoke(call))


def _with_config_of_its_own(write: BaseTool) -> Any:
    return RunnableLambda(lambda call: write.invoke(call, {"configurable": {"mine": 1}}))


PASSED_BY: dict[str, Callable[[BaseTool], Any]] = {
    "retried": lambda write: write.with_retry(),
    "with a fallback": lambda write: write.with_fallbacks([RunnableLambda(lambda call: "none")]),
    "in a lambda": lambda write: RunnableLambda(lambda call: write.invoke(call)),
    "in a chain": lambda write: RunnableLambda(lambda call: call) | write.with_config(run_name="noted"),
    "looked up by name": _looked_up,
    "under a config of its own": _with_config_of_its_own,
}


def _in_order(read: Any, write: Any) -> Any:
    """A node that goes through the calls one after the other."""
    by_name = {"read": read, "write": write}

    def run(state: State, config: RunnableConfig) -> Any:
        return {"messages": [by_name[call["name"]].invoke(call, config) for call in state["messages"][-1].tool_calls]}

    async def arun(state: State, config: RunnableConfig) -> Any:
        calls = state["messages"][-1].tool_calls
        return {"messages": [await by_name[call["name"]].ainvoke(call, config) for call in calls]}

    return RunnableLambda(run, afunc=arun, name="tools")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", PASSED_BY)
def test_a_write_by_way_of_something_else_makes_old_what_was_read_ahead(how: str, way: str) -> None:
    """
    However a node gets to its writing tool, a read after the write tells what was written.
    """
    read, write = _tools(held := {"text": "old"})
    node = _in_order(read, PASSED_BY[how](write))
    model = ScriptedModel(script=WRITE_THEN_READ, pace_s=0.02)
    graph = speculate(tool_node_graph(model, [read, write], node), READS, predictor=Oracle(WRITE_THEN_READ))

    assert answers(final(graph, way)) == ["written", "new"]
    assert speculation_of(graph).stats().launched == 1
    assert held["text"] == "new"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("how", [how for how in PASSED_BY if how.startswith(("retried", "with", "in"))])
def test_a_reading_tool_in_something_else_is_found_and_adopted_in(how: str, way: str) -> None:
    """
    Retries, fallbacks, chains and lambdas are looked into, so that nothing is lost by being careful.
    """
    read, write = _tools({"text": "old"})
    script = [ask(("read", {})), AIMessage("done")]
    node = _in_order(PASSED_BY[how](read), write)
    model = ScriptedModel(script=script, pace_s=0.02)
    graph = speculate(tool_node_graph(model, [read, write], node), READS, predictor=Oracle(script))

    assert answers(final(graph, way)) == ["old"]
    assert speculation_of(graph).stats().hits == 1


# -- tools with a way of their own -----------------------------------------------------------------------------------


def _own(name: str, held: Held) -> BaseTool:
    """A tool whose `invoke` or `run`, and their twins, go past its body."""

    def change(tool: BaseTool, given: Any, *_: Any, **settings: Any) -> ToolMessage:
        held["text"] = given.get("args", given)["text"]
        return ToolMessage("written", tool_call_id=settings.get("tool_call_id") or given["id"])

    async def achange(tool: BaseTool, *args: Any, **settings: Any) -> ToolMessage:
        return change(tool, *args, **settings)

    def body(self: BaseTool, text: str) -> str:
        raise NotImplementedError

    namespace = {"__annotations__": {"name": str, "description": str}, "name": "write", "description": "Write."}
    kind = type("Write", (BaseTool,), {**namespace, "_run": body, name: change, "a" + name: achange})
    made: BaseTool = kind()
    return made


BUILDS = {"create_agent": agent_graph, "tool_node": tool_node_graph, "hand_written": hand_written_graph}
READ_WRITE_READ = [ask(("read", {})), ask(("write", {"text": "new"})), ask(("read", {})), AIMessage("done")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kept", [{"read_through": True}, {"scope": "run"}], ids=["given again", "kept for the run"])
@pytest.mark.parametrize("name", ["run", "invoke"])
@pytest.mark.parametrize("how", [*BUILDS, "middleware"])
def test_a_writing_tool_that_goes_past_its_body_is_noticed(how: str, name: str, kept: Any, way: str) -> None:
    """
    A tool that replaces `run` or `invoke` writes all the same; nothing from before is used after it, turns later too.
    """
    held = {"text": "old"}
    read, write = _tools(held)[0], _own(name, held)
    model, policy = ScriptedModel(script=READ_WRITE_READ, pace_s=0.02), {"tools": {"read": {**EAGERLY, **kept}}}
    guess = Fixed(("read", {}))
    if how == "middleware":
        graph = agent_graph(model, [read, write], middleware=[SpeculationMiddleware(policy, predictor=guess)])
    else:
        graph = speculate(BUILDS[how](model, [read, write]), policy, predictor=guess)

    assert answers(final(graph, way)) == ["old", "written", "new"]


# -- other nodes -----------------------------------------------------------------------------------------------------


def _writing_model_node(script: list[Any], read: BaseTool, write: BaseTool, written: Any) -> Any:
    """A graph whose model node calls the writing tool itself once it has its answer."""
    bound = ScriptedModel(script=script, pace_s=0.02).bind_tools([read, write])

    def call_model(state: State) -> Any:
        answer = bound.invoke(state["messages"])
        written.invoke({"text": "new"})
        return {"messages": [answer]}

    async def acall_model(state: State) -> Any:
        answer = await bound.ainvoke(state["messages"])
        await written.ainvoke({"text": "new"})
        return {"messages": [answer]}

    builder = StateGraph(State)
    builder.add_node("model", RunnableLambda(call_model, afunc=acall_model, name="model"))
    builder.add_node("tools", ToolNode([read, write]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile()


@pytest.mark.parametrize("way", WAYS)
def test_a_write_by_the_node_of_the_model_makes_old_what_was_read_beside_it(way: str) -> None:
    """
    A tool that another node than the tools' calls is a tool of the graph that writes.
    """
    read, write = _tools({"text": "old"})
    script = [ask(("read", {})), AIMessage("done")]
    graph = speculate(_writing_model_node(script, read, write, write), READS, predictor=Oracle(script))

    assert answers(final(graph, way)) == ["new"]
    assert speculation_of(graph).stats().launched == 1


@pytest.mark.parametrize("way", WAYS)
def test_what_a_policy_says_of_a_name_holds_wherever_it_is_called(way: str) -> None:
    """
    A call out of sight of a tool that is declared read-only, or to write something else, makes nothing old.
    """
    for declared in (True, {"read_only": False, "writes": ["log"]}):
        read, write = _tools({"text": "old"})
        known, called = (StructuredTool.from_function(lambda text: text, name="tell", description="") for _ in "12")
        policy = {"tools": {"read": {**EAGERLY, "reads": ["text"]}, "tell": declared}}
        script = [ask(("read", {})), AIMessage("done")]
        plain = _writing_model_node(script, read, write, _looked_up(called))
        graph = speculate(plain, policy, tools=[known], predictor=Oracle(script))

        assert answers(final(graph, way)) == ["old"]
        assert speculation_of(graph).stats().hits == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_write_out_of_sight_that_fails_is_over(way: str) -> None:
    """
    What began a write ends it, so that later turns and runs read ahead again.
    """
    read, write = _tools({"text": "old"})

    def fail(text: str) -> str:
        raise ValueError(text)

    failing = StructuredTool.from_function(fail, name="fail", description="Fail.")
    given_up = _looked_up(failing).with_fallbacks([RunnableLambda(lambda _: "none")])
    script = [ask(("read", {})), ask(("read", {})), AIMessage("done")]
    graph = speculate(_writing_model_node(script, read, write, given_up), READS, predictor=Oracle(script))

    for _ in range(2):
        assert answers(final(graph, way)) == ["old", "old"]
    assert speculation_of(graph).stats().launched == 4


@pytest.mark.parametrize("way", WAYS)
def test_what_a_reading_tool_calls_in_turn_is_its_own_business(way: str) -> None:
    """
    The owner of a tool declared it with all that it calls.
    """
    held = {"text": "old"}
    read, write = _tools(held)

    def look(text: str) -> str:
        return str(write.invoke({"text": text}))

    async def alook(text: str) -> str:
        return str(await write.ainvoke({"text": text}))

    looking = StructuredTool.from_function(look, alook, name="look", description="Look.")
    script = [ask(("look", {"text": "new"}), ("read", {})), AIMessage("done")]
    policy = {"tools": {"read": EAGERLY, "look": {"read_only": True}}}
    plain = hand_written_graph(ScriptedModel(script=script, pace_s=0.02), [looking, read])
    graph = speculate(plain, policy, predictor=Fixed(("read", {})))

    assert answers(final(graph, way)) == ["written", "old"]
    assert speculation_of(graph).stats().hits == 1
