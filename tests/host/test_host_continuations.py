"""Continuations: calls that a preview of the model writes run early, and stand or fall with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from agents import GRAPHS, WAYS, Fixed, ScriptedModel, Seen, agent_graph, ask, canonical, drive, make_tool
from langchain_core.messages import AIMessage
from langchain_core.tools import InjectedToolCallId

from langgraph_speculate import speculate
from langgraph_speculate.core import events
from langgraph_speculate.core.events import Event
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.observe.observers import at_once

SLOW_S, QUICK_S = 0.3, 0.05
AHEAD: dict[str, Any] = {
    "model_ahead": True,
    "thrift": 0.0,
    "tools": {"fetch": {"read_only": True, "reads": ["shelf"]}, "look": {"read_only": True, "reads": ["shelf"]}},
}
SCRIPT = [ask(("fetch", {"id": 1})), ask(("look", {"id": 2})), AIMessage("done")]
OF_PREVIEWS = "preview"
"""The source of guesses that previews wrote."""


class Library:
    """What tools find, and when their bodies ran.

    Attributes:
        found: Answers by id.
        ran: Bodies that began, each with its tool and id, in order.
    """

    def __init__(self) -> None:
        self.found = {1: "one", 2: "two", 3: "three"}
        self.ran: list[tuple[str, int]] = []

    def tools(self, *more: Any) -> list[Any]:
        """A slow tool, a quick one, and others."""
        return [self._tool("fetch", SLOW_S), self._tool("look", QUICK_S), *more]

    def _tool(self, name: str, seconds: float) -> Any:
        def body(id: int) -> str:
            "Look something up."
            self.ran.append((name, id))
            return self.found[id]

        return make_tool(name, body, "both", seconds)


def model(script: list[Any] | None = None) -> ScriptedModel:
    return ScriptedModel(script=SCRIPT if script is None else script, pace_s=QUICK_S)


def wrapped(graph: Any, **policy: Any) -> tuple[Any, list[Event]]:
    """A graph of which nothing but previews guesses, and what happens in it."""
    happened: list[Event] = []
    return speculate(graph, {**AHEAD, **policy}, predictor=Fixed(), observers=[at_once(happened.append)]), happened


def launched(happened: list[Event]) -> list[tuple[str, int]]:
    """What previews had launched: tools, and how many messages ahead."""
    begun = [event for event in happened if isinstance(event, events.Launched) and event.source == OF_PREVIEWS]
    return [(event.tool, event.depth) for event in begun]


def adopted(happened: list[Event]) -> list[str]:
    """Tools whose real calls took the result of something that was launched further ahead."""
    return [e.tool for e in happened if isinstance(e, events.CallSettled) and e.id is not None and e.depth > 1]


def discards(happened: list[Event]) -> list[str]:
    return [event.reason for event in happened if isinstance(event, events.Discarded)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("build", GRAPHS.values(), ids=GRAPHS)
def test_a_call_that_a_preview_writes_runs_beside_the_tools_before_it(build: Callable[..., Any], way: str):
    """
    Its result is the real call's, its body runs once, and nobody can tell but by the time.
    """
    library, plain_library = Library(), Library()
    graph, happened = wrapped(build(model(), library.tools()))
    plain = build(model(), plain_library.tools())
    for _ in range(2):
        drive(graph, way)
    happened.clear()
    library.ran.clear()
    modes = {"stream_mode": ["values", "messages"]} if way.endswith("stream") else {}
    seen, plainly = Seen(), Seen()

    got = drive(graph, way, config={"callbacks": [seen]}, **modes)
    expected = drive(plain, way, config={"callbacks": [plainly]}, **modes)

    assert canonical(got) == canonical(expected)
    assert seen.events == plainly.events
    assert sorted(library.ran) == plain_library.ran == [("fetch", 1), ("look", 2)]
    assert (launched(happened), adopted(happened)) == ([("look", 2)], ["look"])
    assert audit(happened) == []


@pytest.mark.parametrize("way", WAYS)
def test_what_a_wrong_preview_had_launched_is_let_go(way: str):
    """
    The run goes on with the real result, and what rested on another one answers nobody.
    """
    library = Library()
    follow = {"one": 2, "another": 3}
    script = [
        SCRIPT[0],
        lambda messages: ask(("look", {"id": follow[messages[-1].content]})),
        lambda messages: AIMessage(f"it is {messages[-1].content}"),
    ]
    graph, happened = wrapped(agent_graph(model(script), library.tools()))
    for _ in range(3):
        drive(graph, way)
    happened.clear()
    library.found[1] = "another"
    (*_, last) = drive(graph, way, **({"stream_mode": "values"} if way.endswith("stream") else {}))
    assert last["messages"][-1].content == "it is three"
    assert launched(happened) == [("look", 2)]
    assert (adopted(happened), discards(happened)) == ([], ["lineage"])
    assert audit(happened) == []


@pytest.mark.parametrize("streams", [True, False])
def test_a_tool_that_is_handed_the_id_of_its_call_is_handed_that_of_the_preview(streams: bool):
    """
    The preview's ids are those of the real message, so its answer may carry one.
    """

    def signed(id: int, call: Annotated[str, InjectedToolCallId]) -> str:
        "Look something up, and sign for it."
        time.sleep(QUICK_S)
        return f"{id} for {call}"

    library = Library()
    script = [SCRIPT[0], ask(("signed", {"id": 2}), prefix="s"), AIMessage("done")]
    tools = {**AHEAD["tools"], "signed": {"read_only": True}}
    graph, happened = wrapped(agent_graph(model(script), library.tools(make_tool("signed", signed))), tools=tools)
    way, modes = ("stream", {"stream_mode": "values"}) if streams else ("invoke", {})
    for _ in range(3):
        (*_, last) = drive(graph, way, **modes)
    assert last["messages"][-2].content == "2 for s-signed-0"
    assert adopted(happened) == ["signed"] * len(launched(happened)) != []


@pytest.mark.parametrize(
    "said",
    [{"writes": ["diary"]}, {}, {"read_only": True, "reads": ["shelf"], "scope": "run", "ttl_s": 60.0}],
    ids=["writes", "undeclared", "reads"],
)
def test_nothing_is_launched_beyond_tools_that_may_write(said: dict[str, Any]):
    """
    As for chains: what comes after a write is not looked for before that has ended.
    """
    library = Library()
    tools = {"look": AHEAD["tools"]["look"], **({"fetch": said} if said else {})}
    graph, happened = wrapped(agent_graph(model(), library.tools()), tools=tools)
    for _ in range(3):
        drive(graph, "invoke")
    used = [event for event in happened if isinstance(event, events.PreviewUsed)]
    assert used
    assert bool(launched(happened)) is ("read_only" in said)


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_what_a_preview_that_breaks_off_had_launched_is_let_go(way: str):
    """
    A provider whose stream breaks confirms nothing; the real call asks it again.
    """
    library, breaks = Library(), []

    class Breaking(ScriptedModel):
        def _chunks(self, messages: Any) -> Any:
            *most, last = super()._chunks(messages)
            yield from most
            if breaks and len(messages) > 2:
                raise breaks.pop()
            yield last

    graph, happened = wrapped(agent_graph(Breaking(script=SCRIPT, pace_s=QUICK_S), library.tools()))
    for _ in range(2):
        drive(graph, way, stream_mode="messages")
    happened.clear()
    breaks.append(RuntimeError("broke"))
    (*_, (_, last)) = drive(graph, way, stream_mode=["messages", "values"])
    assert [message.content for message in last["messages"][2::2]] == ["one", "two"]
    assert (launched(happened), adopted(happened)) == ([("look", 2)], [])
    assert "lineage" in discards(happened)
    assert audit(happened) == []
