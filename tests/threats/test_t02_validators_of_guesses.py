"""T2: the schema of a tool is code, too: its validators see guesses that nobody made, in the midst of the model's node.

The library promises that they look at guesses off the record: what they write is not shown, `interrupt()` in one takes
nobody's answer, and whatever they raise is a guess that does not fit.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
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
    canonical,
    drive,
    tool_node_graph,
)
from langchain_core.callbacks import BaseCallbackHandler, dispatch_custom_event
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_config, get_store, get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Command, interrupt
from pydantic import BaseModel, field_validator

from langgraph_speculate import speculate, speculation_of

SCRIPT = [ask(("find", {"q": "asked"})), AIMessage("done")]
SEEN: ContextVar[str] = ContextVar("seen", default="nothing")


def _finder(validate: Callable[[str], str]) -> BaseTool:
    class Query(BaseModel):
        q: str

        @field_validator("q")
        @classmethod
        def check(cls, q: str) -> str:
            return validate(q)

    async def afind(q: str) -> str:
        return f"found {q}"

    return StructuredTool(name="find", description="f", args_schema=Query, func=lambda q: f"found {q}", coroutine=afind)


def _graph(validate: Callable[[str], str], wrap: bool, guess: str = "ghost") -> Any:
    graph = agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.02 * wrap), [_finder(validate)])
    if wrap:
        graph = speculate(graph, {"tools": {"find": EAGERLY}}, predictor=Fixed(("find", {"q": guess})))
    return graph


class Told(BaseCallbackHandler):
    """Hears of custom events, and of runs within tools."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_custom_event(self, name: str, data: Any, **_: Any) -> None:
        self.heard.append((name, data))

    def on_chain_start(self, serialized: Any, inputs: Any, **named: Any) -> None:
        if named.get("name") == "inner":
            self.heard.append(("inner", inputs))


def _written(q: str) -> str:
    get_stream_writer()({"checking": q})
    return q


def _event(q: str) -> str:
    dispatch_custom_event("checking", q)
    return q


def _chain(q: str) -> str:
    return RunnableLambda(lambda text: text, name="inner").invoke(q)


WRITING = {"stream": _written, "custom event": _event, "chain": _chain}


@pytest.mark.parametrize("how", WRITING)
@pytest.mark.parametrize("way", WAYS)
def test_what_a_validator_writes_about_a_guess_is_not_shown(way: str, how: str) -> None:
    """
    Streams and handlers are told of the call that the model made, once, and of no guess.
    """
    streaming = {"stream_mode": "custom"} if "stream" in way else {}
    seen = []
    for wrap in (False, True):
        told = Told()
        graph = _graph(WRITING[how], wrap)
        chunks = drive(graph, way, config={"callbacks": [told]}, **streaming)
        seen.append((canonical(chunks) if streaming else None, told.heard))
    assert seen[1] == seen[0]
    assert speculation_of(graph).stats().launched == 2  # at each of two model calls


def _asking(q: str) -> str:
    if q == "secret" and interrupt("may I read the secret?") != "YES":
        raise ValueError("no")
    return q


def _asking_in_vain(q: str) -> str:
    with suppress(BaseException):
        return _asking(q)
    return q


def _approved(script: list[Any], tools: list[BaseTool]) -> Any:
    """A graph whose model node asks a person before it lets calls pass."""
    bound = ScriptedModel(script=script, pace_s=0.02).bind_tools(tools)

    def call_model(state: State) -> Any:
        answer = bound.invoke(state["messages"])
        denied = answer.tool_calls and interrupt("delete prod?") != "YES"
        return {"messages": [AIMessage("denied") if denied else answer]}

    builder = StateGraph(State)
    builder.add_node("model", call_model)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile(checkpointer=InMemorySaver())


@pytest.mark.parametrize("validate", [_asking, _asking_in_vain])
@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_in_a_validator_takes_nobodys_answer(way: str, validate: Callable[[str], str]) -> None:
    """
    The person says YES to the deletion: that is deleted, and the secret is not read.
    """
    done: list[str] = []
    danger = StructuredTool.from_function(lambda: done.append("deleted") or "deleted", name="danger", description="d")
    script = [ask(("danger", {})), AIMessage("done")]
    graph = speculate(
        _approved(script, [_finder(validate), danger]),
        {"approval_gated": ["danger"], "tools": {"find": EAGERLY}},
        predictor=Fixed(("find", {"q": "secret"})),
    )
    config = {"configurable": {"thread_id": "1"}}
    drive(graph, way, config=config)
    drive(graph, way, Command(resume="YES"), config)
    assert done == ["deleted"]
    assert speculation_of(graph).stats().launched == 0
    assert [tool.reason for tool in speculation_of(graph).explain() if tool.tool == "find"] == ["tripped"]


def _exits(q: str) -> str:
    if q == "ghost":
        raise SystemExit("not this one")
    return q


def _reads_its_node(q: str) -> str:
    return q if q != "ghost" else str(get_config()["metadata"]["langgraph_node"])


def _reads_the_store(q: str) -> str:
    return q if q != "ghost" else str(get_store())


@pytest.mark.parametrize("validate", [_exits, _reads_its_node, _reads_the_store])
@pytest.mark.parametrize("way", WAYS)
def test_whatever_a_validator_does_with_a_guess_is_a_guess_that_does_not_fit(
    way: str, validate: Callable[[str], str]
) -> None:
    """
    Nothing is launched, and the run is the plain one.
    """
    plain, graph = _graph(validate, wrap=False), _graph(validate, wrap=True)
    assert canonical(drive(graph, way)) == canonical(drive(plain, way))
    assert speculation_of(graph).stats().launched == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_validator_leaves_no_context_variable_behind(way: str) -> None:
    """
    What a validator sets while it looks at a guess, the model's node does not see.
    """
    seen = []

    def marks(q: str) -> str:
        SEEN.set(q)
        return q

    model = ScriptedModel(script=SCRIPT, pace_s=0.02, during=lambda turn: seen.append(SEEN.get()))
    graph = speculate(
        tool_node_graph(model, [_finder(marks)]),
        {"tools": {"find": EAGERLY}},
        predictor=Fixed(("find", {"q": "ghost"})),
    )
    drive(graph, way)
    assert set(seen) == {"nothing"}


@pytest.mark.parametrize("way", WAYS)
def test_a_validator_may_read_what_the_body_may(way: str) -> None:
    """
    The caller's part of the config decides for guesses as it does for calls, and the tool still runs ahead.
    """

    def prefixed(q: str) -> str:
        return f"{get_config()['configurable']['user']}'s {q}"

    graph = agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.02), [_finder(prefixed)])
    graph = speculate(graph, {"tools": {"find": EAGERLY}}, predictor=Oracle(SCRIPT))
    told = canonical(drive(graph, way, config={"configurable": {"user": "ann"}}))
    assert "found ann's asked" in str(told)
    assert speculation_of(graph).stats().hits == 1
