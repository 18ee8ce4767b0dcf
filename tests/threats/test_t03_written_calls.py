"""T1, T3, T9 for calls that start while the message is written: what the model wrote is not yet what the graph does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from agents import START_INPUT, WAYS, Fixed, World, agent_graph, canonical, drive, make_tool, outcome
from early import THREAD, asks, bodies, last_state, readers, transcript, wired
from langchain.agents.middleware import (
    AgentMiddleware,
    HumanInTheLoopMiddleware,
    ModelRetryMiddleware,
    ToolCallLimitMiddleware,
    hook_config,
)
from langchain_core.messages import ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END
from langgraph.prebuilt import ToolRuntime
from streaming import openai, part, streamed, whole

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.core import Call, Candidate, History
from langgraph_speculate.predict import BlendedPredictor

OPEN: dict[str, Any] = {"tools": {"read": True, "find": True}}
TWO = [*openai(0, ("c1", "read", {"id": 1})), *openai(1, ("c2", "find", {"id": 2}))]


class Rewrites(AgentMiddleware[Any, Any]):
    """Changes the calls of each message before they run."""

    def __init__(self, change: Callable[[list[Any]], list[Any]]) -> None:
        super().__init__()
        self.change = change

    @hook_config(can_jump_to=["end"])
    def after_model(self, state: Any, runtime: Any) -> Any:
        message = state["messages"][-1]
        if not message.tool_calls:
            return None
        calls = self.change([dict(call) for call in message.tool_calls])
        return {"messages": [message.model_copy(update={"tool_calls": calls})]}


CHANGES: dict[str, Callable[[list[Any]], list[Any]]] = {
    "arguments": lambda calls: [{**call, "args": {"id": 7}} for call in calls],
    "ids": lambda calls: [{**call, "id": f"new_{call['id']}"} for call in calls],
    "names": lambda calls: [{**call, "name": "find"} for call in calls],
    "swapped": lambda calls: [{**call, "id": other["id"]} for call, other in zip(calls, calls[::-1], strict=True)],
    "first": lambda calls: calls[:1],
    "doubled": lambda calls: [*calls, {**calls[0], "id": "c9"}],
}


def both(way: str, build: Callable[[World, Any], Any], script: Callable[[World], list[Any]]) -> tuple[World, Any]:
    """Run the plain and the wrapped graph; what they answer must agree. Returns the wrapped one's world and handle."""
    shown = []
    for is_plain in (True, False):
        world = World()
        pieces = [[one for one in answer if not (is_plain and callable(one))] for answer in script(world)]
        graph = build(world, streamed(script=pieces))
        graph = graph if is_plain else speculate(graph, OPEN, predictor=Fixed())
        shown.append(canonical(outcome(lambda: transcript(last_state(graph, way, START_INPUT, THREAD)))))  # noqa: B023
    assert shown[0] == shown[1]
    return world, speculation_of(graph)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", WAYS)
def test_calls_that_middleware_changes_are_answered_as_changed(way: str, change: str) -> None:
    """
    What was started for the calls as the model wrote them answers none but its equals.
    """

    def build(world: World, model: Any) -> Any:
        middleware = [Rewrites(CHANGES[change])]
        return agent_graph(model, readers(world), middleware=middleware, checkpointer=InMemorySaver())

    both(way, build, lambda world: [[*TWO, 0.02], ["done"]])


def ids(world: World) -> list[Any]:
    @tool
    def read(id: int, call_id: Annotated[str, InjectedToolCallId]) -> ToolMessage:
        "Read."
        world.begin("read", id=id, call_id=call_id)
        return ToolMessage(f"{id} for {call_id}", tool_call_id=call_id)

    @tool
    def find(id: int, runtime: ToolRuntime) -> str:
        "Find."
        world.begin("find", id=id, call_id=runtime.tool_call_id)
        return f"{id} for {runtime.tool_call_id}"

    return [read, find]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", ["invoke", "astream"])
def test_ids_that_middleware_changes_are_those_that_the_tools_see(way: str, change: str) -> None:
    """
    A result that carries the id of a call goes to that call or to nobody.
    """

    def build(world: World, model: Any) -> Any:
        return agent_graph(model, ids(world), middleware=[Rewrites(CHANGES[change])], checkpointer=InMemorySaver())

    both(way, build, lambda world: [[*TWO, 0.02], ["done"]])


@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_waits_for_approval_never_starts_while_it_is_written(way: str) -> None:
    """
    Nor does any other of a graph that stops for people before its tools.
    """

    def approved(world: World, model: Any) -> Any:
        middleware = [HumanInTheLoopMiddleware(interrupt_on={"read": True})]
        return agent_graph(model, readers(world), middleware=middleware, checkpointer=InMemorySaver())

    def stopped(world: World, model: Any) -> Any:
        def wire(builder: Any) -> None:
            builder.add_conditional_edges("model", lambda state: "tools" if asks(state) else END, ["tools", END])

        graph = wired(model, readers(world), wire, InMemorySaver())
        graph.interrupt_before_nodes = ["tools"]
        return graph

    for build, names in ((approved, ["read"]), (stopped, ["read", "find"])):
        world, _ = both(way, build, lambda world: [[*TWO, 0.02], ["done"]])
        assert [bodies(world, name, "early") for name in names] == [[]] * len(names)


@pytest.mark.parametrize("most", range(4))
@pytest.mark.parametrize("way", WAYS)
def test_written_calls_never_exceed_a_limit_on_all_tools(way: str, most: int) -> None:
    """
    Three calls of a message, and a limit below: no more early bodies than the limit.
    """
    calls = [*TWO, *openai(2, ("c3", "read", {"id": 3}))]

    def build(world: World, model: Any) -> Any:
        limit = ToolCallLimitMiddleware(run_limit=most) if most else ToolCallLimitMiddleware(thread_limit=1)
        return agent_graph(model, readers(world), middleware=[limit], checkpointer=InMemorySaver())

    world, _ = both(way, build, lambda world: [[*calls, 0.02], ["done"]])
    assert len(bodies(world, when="early")) <= max(most, 1)


# -- a body for each call --------------------------------------------------------------------------------------------


class SaysAgain(Fixed):
    """Foresees the same call once it is written."""

    bounded = True

    def narrow(self, history: History, draft: Any, *, k: int) -> list[Candidate]:
        return [Candidate(Call("read", {"id": 1}), 0.99)] if any(call.complete for call in draft.calls) else []


@pytest.mark.parametrize("predictor", [SaysAgain, lambda: SaysAgain(("read", {"id": 1})), BlendedPredictor])
@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_fails_while_the_message_goes_on_is_not_started_again(way: str, predictor: Any) -> None:
    """
    Once ahead, and once for the real call, which shows how it fails.
    """

    def tools(world: World) -> list[Any]:
        def read(id: int) -> str:
            world.begin("read", id=id)
            world.end("read", id=id)
            raise ValueError("down")

        return [make_tool("read", read, handle_tool_error=True), *readers(world, "find")]

    world = World()
    pieces = [*openai(0, ("c1", "read", {"id": 1})), lambda: world.wait_for("read", ended=True), 0.02]
    script = [[*pieces, *openai(1, ("c2", "find", {"id": 2})), "", 0.02], ["done"]]
    graph = speculate(agent_graph(streamed(script=script), tools(world)), OPEN, predictor=predictor())
    assert "down" in repr(outcome(lambda: drive(graph, way)))
    assert world.count("read") == 2


@pytest.mark.filterwarnings("ignore:The v3 streaming protocol")
@pytest.mark.parametrize("id", [None, ""])
def test_calls_without_ids_have_one_body_each_in_events_of_the_protocol(id: Any) -> None:
    """
    A block's end is no second call.
    """
    world = World()
    script = [[*openai(0, (id, "read", {"id": 1})), lambda: world.wait_for("read"), 0.02], ["done"]]
    graph = speculate(agent_graph(streamed(script=script), readers(world)), OPEN, predictor=Fixed())
    outcome(lambda: list(graph.stream_events(START_INPUT, version="v3")))
    assert len(bodies(world, "read", "early")) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_is_never_handed_an_empty_id_ahead(way: str) -> None:
    """
    Some providers have none: such calls run as in the plain graph.
    """
    world = World()
    calls = [*openai(0, ("", "read", {"id": 1})), *whole(1, ("", "find", {"id": 2})), 0.02]
    graph = speculate(agent_graph(streamed(script=[calls, ["done"]]), ids(world)), OPEN, predictor=Fixed())
    outcome(lambda: drive(graph, way))
    assert speculation_of(graph).stats().launched == 0


@pytest.mark.parametrize("way", WAYS)
def test_a_message_that_is_tried_again_answers_nothing_of_the_first_try(way: str) -> None:
    """
    A stream that breaks after a call, and the same call from the next try: the plain graph's answers.
    """

    class Flaky:
        def __init__(self) -> None:
            self.tries = 0

        def __call__(self) -> None:
            self.tries += 1
            if self.tries == 1:
                raise ConnectionError("gone")

    def run(is_plain: bool) -> tuple[Any, World]:
        world = World()
        script = [
            [*openai(0, ("c1", "read", {"id": 1})), 0.02, Flaky(), *openai(1, ("c2", "find", {"id": 2}))],
            ["done"],
        ]
        middleware = [ModelRetryMiddleware(max_retries=2, initial_delay=0.0, jitter=False)]
        graph = agent_graph(streamed(script=script), readers(world), middleware=middleware)
        graph = graph if is_plain else speculate(graph, OPEN, predictor=Fixed())
        return canonical(transcript(last_state(graph, way))), world

    shown, world = run(False)
    assert shown == run(True)[0]
    assert len(bodies(world, "read")) <= 2
    assert len(bodies(world, "find")) == 1


def test_a_predictor_that_answers_while_the_message_is_written_disturbs_nobody() -> None:
    """
    It answers from a thread of its own, at any moment: one body a call, and no error in anybody's stream.
    """

    class Late(Fixed):
        bounded = False

        def __init__(self, gate: threading.Event) -> None:
            super().__init__(*[("read", {"id": number}) for number in range(8)])
            self.gate = gate

        def predict(self, history: History, *, k: int) -> list[Candidate]:
            self.gate.wait(1.0)
            return [] if history.calls else super().predict(history, k=k)

    for way in WAYS:
        world, gate = World(), threading.Event()
        calls = [piece for number in range(8) for piece in openai(number, (f"c{number}", "read", {"id": number}))]
        script = [[calls[0], gate.set, *calls[1:], 0.02], ["done"]]
        policy = {**OPEN, "limits": {"max_in_flight": 8, "max_per_turn": 8}}
        graph = speculate(agent_graph(streamed(script=script), readers(world)), policy, predictor=Late(gate))
        state = last_state(graph, way)
        assert [message.content for message in state["messages"] if message.type == "tool"] == [
            f"read {number}" for number in range(8)
        ]
        assert sorted(bodies(world)) == list(range(8))


def test_a_revised_message_with_results_at_hand_uses_none_of_them() -> None:
    """
    All four ways: what was told is void, whatever has finished.
    """
    pieces = [part('{"id": 1}', 0, "c1", "read"), 0.02, part('{"id": 2}')]

    def build(world: World, model: Any) -> Any:
        return agent_graph(model, readers(world), checkpointer=InMemorySaver())

    for way in WAYS:
        _, speculation = both(way, build, lambda world: [pieces, ["done"]])
        assert speculation.stats().hits == 0


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_who_stops_listening_in_the_middle_of_a_message_leaves_nothing_running(mode: str) -> None:
    """
    What had started is let go, and its result goes to nobody.
    """
    world = World()
    script = [[*TWO, lambda: world.wait_for("find"), "more", 0.02, "more"], ["done"]]
    graph = speculate(agent_graph(streamed(script=script), readers(world)), OPEN, predictor=Fixed())

    async def listen() -> None:
        chunks = graph.astream(START_INPUT, stream_mode="messages")
        async for message, _ in chunks:
            if message.content:
                break
        await chunks.aclose()

    if mode == "astream":
        asyncio.run(listen())
    else:
        chunks = graph.stream(START_INPUT, stream_mode="messages")
        next(chunk for chunk in chunks if chunk[0].content)
        chunks.close()
    stats = speculation_of(graph).stats()
    assert (stats.launched, stats.hits, stats.wasted) == (2, 0, 2)
    assert sorted(bodies(world)) == [1, 2]
