"""T13: what an early body was lent (its config, its managers, its view of the state) does not leave it with its result.

The library promises that an adopted result is one that the real call could have made: what holds a part of the sandbox
belongs to the early run alone, so the real call runs.
"""

from __future__ import annotations

import functools
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from agents import EAGERLY, WAYS, Oracle, ScriptedModel, agent_graph, ask, drive, tool_node_graph
from early import last_state
from injecting import USER
from langchain.agents import AgentState
from langchain_core.callbacks import BaseCallbackHandler, dispatch_custom_event
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.config import get_config, get_stream_writer
from langgraph.prebuilt import InjectedState, ToolRuntime

from langgraph_speculate import current_speculation, speculate, speculation_of

SCRIPT = [ask(("look", {})), AIMessage("done")]
RUN: dict[str, Any] = {"metadata": {"tenant": "acme"}, "configurable": {"user": "ann"}}


class Who(AgentState):
    user: str


@dataclass
class Kept:
    """An object of the tool's that keeps what it was made with."""

    given: Any


class Slotted:
    __slots__ = ("given",)

    def __init__(self, given: Any) -> None:
        self.given = given


def _tool(body: Callable[..., Any], annotation: Any) -> BaseTool:
    """A tool whose artifact is what *body* makes of what is injected."""

    def look(given: Any = None) -> Any:
        return "looked", body(given)

    async def alook(given: Any = None) -> Any:
        return "looked", body(given)

    look.__annotations__ = alook.__annotations__ = {"given": annotation}
    return StructuredTool.from_function(look, alook, "look", "l", response_format="content_and_artifact")


CONFIG, STATE = RunnableConfig, Annotated[dict, InjectedState]
# What a body may keep, and how the plain graph's user looks at it.
HELD: dict[str, tuple[Any, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "metadata": (CONFIG, lambda config: config["metadata"], lambda kept: kept["langgraph_node"]),
    "configurable": (CONFIG, lambda config: config["configurable"], lambda kept: len(kept["checkpoint_ns"]) > 0),
    "config in an object": (CONFIG, Kept, lambda kept: kept.given["metadata"]["langgraph_node"]),
    "config in slots": (CONFIG, lambda config: [Slotted(config)], lambda kept: kept[0].given["metadata"]["tenant"]),
    "config in a closure": (CONFIG, lambda config: lambda: config["metadata"], lambda kept: kept()["langgraph_node"]),
    "config in a partial": (
        CONFIG,
        lambda config: functools.partial(dict, config["metadata"]),
        lambda kept: kept()["langgraph_node"],
    ),
    "config of the context": (CONFIG, lambda _: {"deep": [[Kept(get_config())]]}, lambda kept: len(kept)),
    "callbacks": (CONFIG, lambda config: config["callbacks"], lambda kept: kept.inheritable_tags),
    "state": (STATE, lambda state: state, lambda kept: sorted(kept)),
    "state in an object": (STATE, Kept, lambda kept: sorted(kept.given)),
    "runtime": (ToolRuntime, lambda runtime: runtime, lambda kept: len(kept.tool_call_id) > 0),
    "state of a runtime": (ToolRuntime, lambda runtime: (runtime.state,), lambda kept: sorted(kept[0])),
    "the early run": (CONFIG, lambda _: {"ahead": current_speculation()}, lambda kept: kept["ahead"]),
}


def _artifact(way: str, kind: str, wrap: bool) -> tuple[Any, Any]:
    annotation, keep, _ = HELD[kind]
    graph = agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.02 * wrap), [_tool(keep, annotation)], state_schema=Who)
    if wrap:
        needs = USER if annotation in (STATE, ToolRuntime) else {}
        graph = speculate(graph, {"tools": {"look": {**EAGERLY, **needs}}}, predictor=Oracle(SCRIPT))
    state = last_state(graph, way, {"messages": [("user", "go")], "user": "ann"}, RUN)
    message = next(message for message in state["messages"] if isinstance(message, ToolMessage))
    return message.artifact, speculation_of(graph).stats() if wrap else None


@pytest.mark.parametrize("kind", HELD)
@pytest.mark.parametrize("way", WAYS)
def test_what_a_body_was_lent_is_never_part_of_an_answer(way: str, kind: str) -> None:
    """
    The artifact is the real call's, and may be used in every way in which the plain graph's may.
    """
    use = HELD[kind][2]
    plain, _ = _artifact(way, kind, wrap=False)
    kept, stats = _artifact(way, kind, wrap=True)
    assert use(kept) == use(plain)
    assert type(kept) is type(plain)
    assert (stats.launched, stats.hits) == (1, 0)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_read_of_it_may_be(way: str) -> None:
    """
    The control: values out of the config and the state are answers like any other.
    """
    graph = agent_graph(
        ScriptedModel(script=SCRIPT, pace_s=0.02),
        [_tool(lambda runtime: Kept([runtime.state["user"], runtime.config["metadata"]["tenant"]]), ToolRuntime)],
        state_schema=Who,
    )
    graph = speculate(graph, {"tools": {"look": {**EAGERLY, **USER}}}, predictor=Oracle(SCRIPT))
    state = last_state(graph, way, {"messages": [("user", "go")], "user": "ann"}, RUN)
    assert state["messages"][2].artifact == Kept(["ann", "acme"])
    assert speculation_of(graph).stats().hits == 1


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_nor_is_it_written_to_a_stream(way: str) -> None:
    """
    A body streams its config: what is streamed is the real call's.
    """

    def write(config: Any) -> str:
        get_stream_writer()({"at": config["metadata"]})
        return "written"

    graph = agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.02), [_tool(write, CONFIG)])
    graph = speculate(graph, {"tools": {"look": EAGERLY}}, predictor=Oracle(SCRIPT))
    chunks = drive(graph, way, config=RUN, stream_mode="custom")
    assert [chunk["at"]["langgraph_node"] for chunk in chunks] == ["tools"]
    assert speculation_of(graph).stats().hits == 0


class Stubborn:
    """A result that does not like to be looked at."""

    @property
    def __class__(self) -> Any:
        raise SystemExit("not for you")

    def __len__(self) -> int:
        raise SystemExit("not for you")


@pytest.mark.parametrize("way", WAYS)
def test_a_result_that_cannot_be_looked_at_holds_nobody_up(way: str) -> None:
    """
    A result whose own code raises what no `except Exception` stops: the real call runs, at once, and so do later ones.
    """
    script = [ask(("look", {})), ask(("note", {})), AIMessage("done")]

    def note() -> str:
        "Note."
        return "noted"

    look = _tool(lambda _: {"kept": Stubborn() if current_speculation() else "real"}, CONFIG)
    spoken = _tool(lambda _: Stubborn() if current_speculation() else "real", CONFIG)
    for tool in (look, spoken):
        tools = [tool, StructuredTool.from_function(note)]
        graph = agent_graph(ScriptedModel(script=script, pace_s=0.02), tools)
        graph = speculate(graph, {"tools": {"look": EAGERLY, "note": EAGERLY}}, predictor=Oracle(script))
        began = time.monotonic()
        state = last_state(graph, way)
        assert time.monotonic() - began < 5
        assert [m.content for m in state["messages"] if isinstance(m, ToolMessage)] == ["looked", "noted"]
        assert speculation_of(graph).stats().launched == 2


class Nodes(BaseCallbackHandler):
    """A user's handler that looks at the metadata of what it is told."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_custom_event(self, name: str, data: Any, *, metadata: Any = None, **_: Any) -> None:
        self.seen.append((name, metadata["langgraph_node"], metadata["tenant"]))

    def on_chain_start(self, serialized: Any, inputs: Any, *, metadata: Any = None, **named: Any) -> None:
        if named.get("name") == "inner":
            self.seen.append((named["name"], metadata["langgraph_node"], metadata["tenant"]))


@pytest.mark.parametrize("way", WAYS)
def test_handlers_are_told_the_metadata_of_the_real_calls_node(way: str) -> None:
    """
    Events and runs of an adopted body, and no tripwire in what comes with them.
    """

    def look(_: Any) -> str:
        dispatch_custom_event("looked", 1)
        return str(RunnableLambda(lambda text: text, name="inner").invoke("x"))

    nodes = Nodes()
    graph = agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.02), [_tool(look, CONFIG)])
    graph = speculate(graph, {"tools": {"look": EAGERLY}}, predictor=Oracle(SCRIPT))
    last_state(graph, way, config={**RUN, "callbacks": [nodes]})
    assert nodes.seen == [("looked", "tools", "acme"), ("inner", "tools", "acme")]
    assert speculation_of(graph).stats().hits == 1


@pytest.mark.parametrize("hidden", [False, True], ids=["plainly", "in an object"])
@pytest.mark.parametrize("way", WAYS)
def test_what_only_its_thread_may_use_is_made_by_the_real_call(way: str, hidden: bool) -> None:
    """
    A node that calls its tools itself reads their results in its own thread: a cursor made in ours fails there.
    """

    def look() -> Any:
        "Look."
        cursor = sqlite3.connect(":memory:").execute("select 1 union select 2")
        return "looked", Kept(cursor) if hidden else cursor

    tool = StructuredTool.from_function(look, name="look", response_format="content_and_artifact")

    def call_tools(state: AgentState) -> Any:
        answer = tool.invoke(state["messages"][-1].tool_calls[0])
        cursor = answer.artifact.given if hidden else answer.artifact
        return {"messages": [ToolMessage(str(cursor.fetchall()), tool_call_id=answer.tool_call_id)]}

    plain = tool_node_graph(ScriptedModel(script=SCRIPT, pace_s=0.05), [tool], call_tools)
    graph = speculate(plain, {"tools": {"look": EAGERLY}}, predictor=Oracle(SCRIPT))

    assert "[(1,), (2,)]" in repr(drive(graph, way))
    assert speculation_of(graph).stats().discarded == {"tainted": 1}
