"""A call runs as soon as the model has written it, and nothing else about the run changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from agents import (
    NOTEBOOK_POLICY,
    START_INPUT,
    WAYS,
    Fixed,
    World,
    agent_graph,
    canonical,
    drive,
    hand_written_graph,
    make_tool,
    notebook,
    react_graph,
    tool_node_graph,
)
from langchain.agents import create_agent
from langchain.agents.middleware import ModelRetryMiddleware
from langchain_core.messages import ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.prebuilt import ToolRuntime
from langgraph.types import Command
from streaming import SHAPES, finish, openai, part, streamed

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.core import Candidate, History, events
from langgraph_speculate.observe.observers import at_once

GRAPHS: dict[str, Callable[..., Any]] = {
    "agent": agent_graph,
    "react": react_graph,
    "tool_node": tool_node_graph,
    "hand_written": hand_written_graph,
}
READ = ("c1", "read", {"id": 1, "detail": 'all "of" it'})
FIND = ("c2", "find", {"query": "a"})


class AtFirst(Fixed):
    """Guesses before the first message only."""

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [] if history.calls else super().predict(history, k=k)


class Heard:
    """Observes a run, and plain and wrapped graphs of the same script."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def __call__(self, event: Any) -> None:
        self.events.append(event)

    def stages(self) -> list[str]:
        return [event.stage for event in self.events if isinstance(event, events.Launched)]

    def discards(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, events.Discarded)]


def run_both(
    script: Callable[[World], list[Any]],
    way: str = "ainvoke",
    build: Callable[..., Any] = agent_graph,
    policy: Any = NOTEBOOK_POLICY,
    tools: Callable[[World], Any] = notebook,
    predictor: Any = None,
    **kwargs: Any,
) -> tuple[World, Any, Heard]:
    """Run a script plain and wrapped; the outcomes must agree. Returns the wrapped run's world, handle and events."""
    plain_world, world, heard = World(), World(), Heard()
    pieces = [[piece for piece in answer if not callable(piece)] for answer in script(plain_world)]
    plain = build(streamed(script=pieces), tools(plain_world))
    graph = speculate(
        build(streamed(script=script(world)), tools(world)),
        policy,
        predictor=predictor or Fixed(),
        observers=[at_once(heard)],
    )
    shown = [canonical(drive(one, way, **kwargs)) for one in (graph, plain)]
    if not kwargs:  # of parallel calls the plain graph itself shows any order
        shown = [sorted(chunks, key=repr) for chunks in shown]
    assert shown[0] == shown[1]
    return world, speculation_of(graph), heard


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("way", WAYS)
def test_a_call_starts_before_the_message_ends_whatever_the_provider(shape: str, way: str) -> None:
    """
    The second call of the message is not written before the body of the first has run.
    """
    write = SHAPES[shape]

    def script(world: World) -> list[Any]:
        started = lambda: world.wait_for("read", ended=True)  # noqa: E731
        return [["Let me see. ", *write(0, READ), started, *write(1, FIND)], ["done"]]

    world, speculation, heard = run_both(script, way)
    assert heard.stages() == ["complete", "complete"]
    assert (speculation.stats().hits, speculation.stats().wasted) == (2, 0)
    assert (world.count("read"), world.count("find")) == (1, 1)


@pytest.mark.parametrize("build", GRAPHS)
def test_every_kind_of_graph_adopts_what_started_early(build: str) -> None:
    """
    Also a hand-written node that runs one call after the other.
    """

    def script(world: World) -> list[Any]:
        return [[*openai(0, READ), lambda: world.wait_for("read", ended=True), *openai(1, FIND)], ["done"]]

    for way in WAYS:
        world, speculation, _ = run_both(script, way, GRAPHS[build])
        assert speculation.stats().hits >= 1, way
        assert len(world.log) == 2


@pytest.mark.parametrize("way", WAYS)
def test_the_middleware_starts_calls_early_too(way: str) -> None:
    """
    From inside of `create_agent`.
    """
    world, plain_world, heard = World(), World(), Heard()
    middleware = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Fixed(), observers=[at_once(heard)])
    pieces = [*openai(0, READ), lambda: world.wait_for("read", ended=True), *openai(1, FIND)]
    agent = create_agent(streamed(script=[pieces, ["done"]]), notebook(world), middleware=[middleware])
    plain_pieces = [piece for piece in pieces if not callable(piece)]
    plain = create_agent(streamed(script=[plain_pieces, ["done"]]), notebook(plain_world))
    shown = [canonical(drive(one, way))[-1] for one in (agent, plain)]
    assert shown[0] == shown[1]
    assert heard.stages() == ["complete", "complete"]
    assert middleware.speculation.stats().hits == 2


def test_a_model_that_is_called_again_starts_over() -> None:
    """
    What the failed call had written is void; the call of the message that came through runs once for that.
    """
    world, heard, tries = World(), Heard(), []

    def fails_once() -> None:
        world.wait_for("read", len(tries) + 1)
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError("gone")

    middleware = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Fixed(), observers=[at_once(heard)])
    retry = ModelRetryMiddleware(max_retries=1, initial_delay=0.0, jitter=False)
    model = streamed(script=[[*openai(0, READ), fails_once], ["done"]])
    agent = create_agent(model, notebook(world), middleware=[middleware, retry])
    agent.invoke(START_INPUT)
    assert heard.stages() == ["complete", "complete"]
    assert heard.discards() == ["contradicted"]
    assert middleware.speculation.stats().hits == 1
    assert world.count("read") == 2


def test_a_number_without_its_delimiter_starts_nothing() -> None:
    """
    `{"id": 1` may become 12; and so it does.
    """

    def script(world: World) -> list[Any]:
        return [[part("", 0, "c", "read"), part('{"id": 1'), 0.05, part("2"), 0.05, part("}")], ["done"]]

    world, speculation, _ = run_both(script)
    assert world.log == [("read", {"id": 12, "detail": "short"})]
    assert speculation.stats().hits == 1


def test_the_same_call_twice_runs_twice() -> None:
    """
    As in the plain graph, and never three times.
    """

    def script(world: World) -> list[Any]:
        twice = [*openai(0, READ), *openai(1, ("c9", *READ[1:]))]
        return [[*twice, lambda: world.wait_for("read", 2, ended=True)], ["done"]]

    for way in WAYS:
        world, speculation, _ = run_both(script, way)
        assert world.count("read") == 2
        assert speculation.stats().hits == 2


def test_a_guess_that_runs_is_not_started_again() -> None:
    """
    A double start for one call is impossible: what was predicted is there when the call has been written.
    """

    def script(world: World) -> list[Any]:
        return [[0.05, *openai(0, READ)], ["done"]]

    for way in WAYS:
        world, speculation, heard = run_both(script, way, predictor=AtFirst(READ[1:]))
        assert heard.stages() == ["begin"]
        assert world.count("read") == 1
        assert speculation.stats().hits == 1


@pytest.mark.parametrize(
    "reason", ["length", "content_filter", "MAX_TOKENS", "SAFETY", "model_context_window_exceeded"]
)
def test_a_message_that_is_cut_off_confirms_nothing(reason: str) -> None:
    """
    Its calls run as in the plain graph, but from scratch.
    """

    def script(world: World) -> list[Any]:
        return [[*openai(0, READ), lambda: world.wait_for("read", ended=True), finish(reason)], ["done"]]

    for way in WAYS:
        world, speculation, heard = run_both(script, way)
        assert (speculation.stats().hits, heard.discards()) == (0, ["model_failed"])
        assert world.count("read") == 2


@pytest.mark.parametrize("reason", ["stop", "STOP", "tool_calls", "tool_use", "end_turn", "eos_token", "COMPLETE"])
def test_a_message_that_ended_by_itself_is_whole(reason: str) -> None:
    """
    However its provider says so.
    """

    def script(world: World) -> list[Any]:
        return [[*openai(0, READ), lambda: world.wait_for("read", ended=True), finish(reason)], ["done"]]

    _, speculation, _ = run_both(script)
    assert speculation.stats().hits == 1


def test_a_stream_that_breaks_leaves_nothing() -> None:
    """
    The error is the plain graph's, and what had started is let go.
    """
    world, heard = World(), Heard()
    pieces = [*openai(0, READ), lambda: world.wait_for("read"), ConnectionError("gone")]
    graph = speculate(
        agent_graph(streamed(script=[pieces]), notebook(world)),
        NOTEBOOK_POLICY,
        predictor=Fixed(),
        observers=[at_once(heard)],
    )
    for way in WAYS:
        with pytest.raises(ConnectionError, match="gone"):
            drive(graph, way)
    assert heard.discards() == ["model_failed"] * len(WAYS)


@pytest.mark.parametrize(
    "pieces",
    [
        [part('{"id": 1}', 0, "c", "read"), part('{"id": 2}')],  # cumulative, or another after the first
        [part('{"id": 1}', 0, "c", "read"), part('{"id": 1}')],
        [part('{"id": 1}', 0, "c", "read"), part(None, 0, None, "_more")],  # the name goes on
    ],
)
def test_arguments_that_are_revised_confirm_nothing(pieces: list[Any]) -> None:
    """
    What started for the first version is squashed, and nothing else is started from this message.
    """

    def script(world: World) -> list[Any]:
        return [[pieces[0], lambda: world.wait_for("read"), *pieces[1:], *openai(1, FIND)], ["done"]]

    _, speculation, heard = run_both(script)
    assert heard.discards() == ["contradicted"]
    assert heard.stages() == ["complete"]
    assert speculation.stats().hits == 0


def test_calls_whose_pieces_mix_are_told_apart() -> None:
    """
    By their index.
    """
    pieces = [
        part("", 0, "c0", "read"),
        part("", 1, "c1", "find"),
        part('{"query": "', 1),
        part('{"id": 3', 0),
        part('x"}', 1),
        part("}", 0),
    ]

    def script(world: World) -> list[Any]:
        return [[*pieces, lambda: world.wait_for("read", ended=True)], ["done"]]

    world, speculation, _ = run_both(script)
    assert speculation.stats().hits == 2
    assert len(world.log) == 2


def test_a_call_without_arguments_is_closed_by_the_next() -> None:
    """
    Some providers write no arguments as no text at all.
    """

    def tools(world: World) -> Any:
        def clock() -> str:
            "Tell the time."
            world.begin("clock")
            return "noon"

        return [*notebook(world), make_tool("clock", clock)]

    def script(world: World) -> list[Any]:
        return [[part("", 0, "c0", "clock"), part("", 1, "c1", "find"), lambda: world.wait_for("clock")], ["done"]]

    policy = {"tools": {"clock": True, "find": True}}
    world, speculation, _ = run_both(script, tools=tools, policy=policy)
    assert world.count("clock") == 1
    assert speculation.stats().hits == 1


def test_undeclared_tools_and_writes_never_start() -> None:
    """
    A call that is complete passes the same gate as a guess.
    """

    def script(world: World) -> list[Any]:
        return [[*openai(0, ("c", "write", {"id": 1, "text": "x"})), *openai(1, READ), 0.05], ["done"]]

    world, _, heard = run_both(script, policy={"tools": {"find": True}})
    assert heard.stages() == []
    assert len(world.log) == 2


# -- tools that are handed the call's id -----------------------------------------------------------------------------


def ids(world: World) -> list[Any]:
    """Tools that answer with the id of their call, in the ways there are."""

    @tool
    def by_argument(id: int, call_id: Annotated[str, InjectedToolCallId]) -> Command[Any]:
        "Answer with a command."
        world.begin("by_argument", id=id, call_id=call_id)
        return Command(update={"messages": [ToolMessage(f"note {id}", tool_call_id=call_id)]})

    @tool
    def by_runtime(id: int, runtime: ToolRuntime) -> Command[Any]:
        "Answer with a command."
        world.begin("by_runtime", id=id, call_id=runtime.tool_call_id)
        return Command(update={"messages": [ToolMessage(f"note {id}", tool_call_id=runtime.tool_call_id)]})

    @tool
    def plain_text(id: int, call_id: Annotated[str, InjectedToolCallId]) -> str:
        "Answer with the id."
        world.begin("plain_text", id=id, call_id=call_id)
        return f"{id} for {call_id}"

    return [by_argument, by_runtime, plain_text]


IDS = {"tools": dict.fromkeys(("by_argument", "by_runtime", "plain_text"), True)}


@pytest.mark.parametrize("name", ["by_argument", "by_runtime", "plain_text"])
@pytest.mark.parametrize("build", ["agent", "tool_node"])
def test_tools_that_take_the_id_of_their_call_start_under_it(name: str, build: str) -> None:
    """
    So their commands and messages are those of the real call; twice the same call are two ids.
    """

    def script(world: World) -> list[Any]:
        calls = [*openai(0, ("call_a", name, {"id": 1})), *openai(1, ("call_b", name, {"id": 1}))]
        return [[*calls, lambda: world.wait_for(name, 2)], ["done"]]

    for way in WAYS:
        world, speculation, _ = run_both(script, way, GRAPHS[build], IDS, ids)
        assert speculation.stats().hits == 2, way
        assert sorted(args["call_id"] for _, args in world.log) == ["call_a", "call_b"]


def test_no_guess_of_a_tool_that_takes_the_id_runs() -> None:
    """
    A guess has no id.
    """

    def script(world: World) -> list[Any]:
        return [[0.05, *openai(0, ("call_a", "by_argument", {"id": 1}))], ["done"]]

    _, speculation, heard = run_both(
        script, policy=IDS, tools=ids, predictor=AtFirst(("by_argument", {"id": 1}), ("by_runtime", {"id": 1}))
    )
    assert heard.stages() == ["complete"]
    assert speculation.stats().denied["injected_arguments"] == 2


# -- streams of the user ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["messages", "updates", "values", "tools", ["messages", "custom", "tools"]])
def test_the_users_streams_are_those_of_the_plain_graph(mode: Any) -> None:
    """
    No tool event before the call it belongs to.
    """

    def script(world: World) -> list[Any]:
        return [["I look. ", *openai(0, READ), lambda: world.wait_for("read", ended=True), 0.02], ["done"]]

    for way in ("stream", "astream"):
        _, speculation, _ = run_both(script, way, stream_mode=mode)
        assert speculation.stats().hits == 1


def test_events_of_the_protocol_are_read_too() -> None:
    """
    A run that is streamed as protocol events tells its messages by blocks, not by chunks.
    """
    world, heard = World(), Heard()
    script = [["I look. ", *openai(0, READ), lambda: world.wait_for("read", ended=True), 0.02], ["done"]]
    graph = speculate(
        agent_graph(streamed(script=script), notebook(world)),
        NOTEBOOK_POLICY,
        predictor=Fixed(),
        observers=[at_once(heard)],
    )
    run = graph.stream_events(START_INPUT, version="v3")
    for _ in run:
        pass
    assert heard.stages() == ["complete"]
    assert speculation_of(graph).stats().hits == 1
    assert world.count("read") == 1


def test_models_of_tools_are_not_mistaken_for_the_agents() -> None:
    """
    A sub-agent inside of a tool streams a call of the same name; it starts nothing.
    """
    world, inner_world, heard = World(), World(), Heard()
    inner = agent_graph(streamed(script=[[*openai(0, READ), 0.05], ["inner"]]), notebook(inner_world))

    def ask_helper(question: str) -> str:
        "Ask."
        return str(inner.invoke(START_INPUT)["messages"][-1].content)

    async def main() -> None:
        graph = speculate(
            agent_graph(
                streamed(script=[openai(0, ("c", "ask_helper", {"question": "?"})), ["done"]]),
                [*notebook(world), make_tool("ask_helper", ask_helper)],
            ),
            NOTEBOOK_POLICY,
            predictor=Fixed(),
            observers=[at_once(heard)],
        )
        await graph.ainvoke(START_INPUT)

    asyncio.run(main())
    assert heard.stages() == []
    assert inner_world.count("read") == 1
