"""What LangSmith shows: the real SDK sends to a server on loopback, and the tests look at what arrived there."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from agents import (
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    START_INPUT,
    UNBRAKED,
    WAYS,
    Fixed,
    Oracle,
    ScriptedModel,
    World,
    agent_graph,
    ask,
    canonical,
    drive,
    make_tool,
    notebook,
    outcome,
)
from langchain_core.messages import AIMessage
from langchain_core.runnables.config import ContextThreadPoolExecutor
from langsmith import Client, RunTree, traceable, tracing_context
from langsmith_server import PROJECT, LangSmithServer, TracedRun
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from streaming import openai, streamed

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.core import Call, Candidate, History
from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.draft import Draft
from langgraph_speculate.core.events import Event, Finished, Wasted
from langgraph_speculate.core.speculation import Discard, Speculation
from langgraph_speculate.observe.langsmith import OUTCOMES, RunTrace, Tracing

GUESS_BYTES, FACTS_BYTES = 2_000, 600
NOISE = ("find", {"query": "nobody asks"})
SPECULATING = {**NOTEBOOK_POLICY, "limits": {**UNBRAKED, "max_in_flight": 8, "max_wasted_per_run": 50}}


@pytest.fixture
def langsmith() -> Iterator[LangSmithServer]:
    with LangSmithServer() as server:
        yield server


class Bodies:
    """Holds a scripted model back until so many early bodies have finished, one number a message.

    Args:
        expected: How many of the run, all in all.
    """

    def __init__(self, *expected: int) -> None:
        self._expected = expected
        self._finished = 0

    def __call__(self, event: Event) -> None:
        self._finished += isinstance(event, Finished)

    def during(self, turn: int) -> Any:
        until = time.monotonic() + 5
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            while not self._done(turn, until):
                time.sleep(0.001)
            return None
        return self._poll(turn, until)

    async def _poll(self, turn: int, until: float) -> None:
        while not self._done(turn, until):
            await asyncio.sleep(0.001)

    def _done(self, turn: int, until: float) -> bool:
        assert time.monotonic() < until, f"only {self._finished} bodies have finished"
        return turn >= len(self._expected) or self._finished >= self._expected[turn]


def paths(server: LangSmithServer) -> Counter[str]:
    """Every run by the names that lead to it, with its tags."""
    return Counter(" ".join([path(server, run), *of_speculation(run.tags)]) for run in server.runs.values())


def path(server: LangSmithServer, run: TracedRun) -> str:
    return run.name if run.parent is None else f"{path(server, server.runs[run.parent])}/{run.name}"


def of_speculation(tags: list[str]) -> list[str]:
    return [tag for tag in tags if tag.startswith("speculation")]


def assert_whole(server: LangSmithServer) -> None:
    """One trace, nothing sent twice, nothing left open, and what is added is small and was sent once."""
    assert len(server.roots) == 1
    assert {run.trace for run in server.runs.values()} == {server.roots[0].id}
    assert not [run.name for run in server.runs.values() if run.pending]
    assert {run.posts for run in server.runs.values()} == {1}
    for guess in server.tagged("speculation"):
        assert guess.patches == 0
        assert guess.bytes < GUESS_BYTES
    for run in server.runs.values():
        assert len(json.dumps(run.speculation)) < FACTS_BYTES


def traced_notebook(
    langsmith: LangSmithServer, way: str, wrap: Callable[[Any, Oracle, Bodies], Any], **settings: Any
) -> Any:
    """The notebook's script, played traced, with a wrong guess beside the right ones of each message."""
    bodies, world = Bodies(3, 5, 6, 9, 10), World()
    oracle = Oracle(NOTEBOOK_SCRIPT, also=[NOISE])
    tools = notebook(world, "both")
    with langsmith.tracing(**settings):
        graph = wrap((ScriptedModel(script=NOTEBOOK_SCRIPT, during=bodies.during), tools), oracle, bodies)
        return drive(graph, way)


def wrapped(parts: Any, oracle: Oracle, bodies: Bodies, trace: Any = "summary") -> Any:
    return speculate(agent_graph(*parts), SPECULATING, predictor=oracle, observers=[bodies], trace=trace)


def with_middleware(parts: Any, oracle: Oracle, bodies: Bodies) -> Any:
    middleware = SpeculationMiddleware(SPECULATING, predictor=oracle, observers=[bodies])
    return agent_graph(*parts, middleware=[middleware])


ENDS = {
    "adopted": "speculation speculation:adopted",
    "wasted": "speculation speculation:wasted",
    **{end: f"speculation speculation:{end} speculation:wasted" for end in ("squashed", "hedged", "preempted")},
}
NOTEBOOK_PATHS = {
    "LangGraph": 1,
    "LangGraph/model": 5,
    "LangGraph/model/ScriptedModel": 5,
    f"LangGraph/model/speculate find {ENDS['adopted']}": 1,
    f"LangGraph/model/speculate read {ENDS['adopted']}": 4,
    f"LangGraph/model/speculate find {ENDS['squashed']}": 5,
    "LangGraph/tools": 6,
    "LangGraph/tools/find speculation:hit": 1,
    "LangGraph/tools/read speculation:hit": 4,
    "LangGraph/tools/write speculation:miss": 1,
}


@pytest.mark.parametrize("way", WAYS)
def test_hits_and_wasted_guesses_stand_beside_the_model_step(langsmith: LangSmithServer, way: str):
    """
    One trace a run; the call that adopted a result is its ordinary tool run, every guess one more run below its model
    step, and nothing else is added.
    """
    traced_notebook(langsmith, way, wrapped)

    assert_whole(langsmith)
    assert paths(langsmith) == NOTEBOOK_PATHS
    assert langsmith.roots[0].speculation | {"hidden_ms": 0} == {
        "mode": "on",
        "calls": 6,
        "launched": 10,
        "hits": 5,
        "wasted": 5,
        "hidden_ms": 0,
    }


@pytest.mark.parametrize("way", WAYS)
def test_a_tools_label_stands_with_its_hits_and_guesses(langsmith: LangSmithServer, way: str):
    """
    Its owner's word for it, to chart by; tools without one have none.
    """
    labelled = {**SPECULATING["tools"], "read": {**SPECULATING["tools"]["read"], "tag": "notes"}}

    def wrap(parts: Any, oracle: Oracle, bodies: Bodies) -> Any:
        return speculate(agent_graph(*parts), {**SPECULATING, "tools": labelled}, predictor=oracle, observers=[bodies])

    traced_notebook(langsmith, way, wrap)
    shown = [run.speculation for run in (*langsmith.tagged("speculation:hit"), *langsmith.tagged("speculation"))]
    assert {(facts["tool"], facts.get("tag")) for facts in shown} == {("read", "notes"), ("find", None)}
    assert_whole(langsmith)


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_wants_it_compressed_is_sent_the_same(way: str):
    """
    The SDK then sends each beginning and each end for itself: a guess is one of them.
    """
    with LangSmithServer(compressed=True) as server:
        traced_notebook(server, way, wrapped)

        assert_whole(server)
        assert paths(server) == NOTEBOOK_PATHS
        ordinary = [run for run in server.runs.values() if "speculation" not in run.tags]
        assert {(run.posts, run.patches) for run in ordinary} == {(1, 1)}


@pytest.mark.parametrize("way", WAYS)
def test_the_middleware_shows_the_same(langsmith: LangSmithServer, way: str):
    """
    With `SpeculationMiddleware` the guesses stand below the model step, and the calls carry the same tags.
    """
    traced_notebook(langsmith, way, with_middleware)

    assert_whole(langsmith)
    shown = {path: count for path, count in paths(langsmith).items() if "speculat" in path}
    hooks = {path.replace("SpeculationMiddleware.wrap", "SpeculationMiddleware.awrap"): n for path, n in shown.items()}
    inside = "LangGraph/tools/SpeculationMiddleware.awrap_tool_call"
    assert {path: n for path, n in hooks.items() if path.endswith((":hit", ":miss", ":adopted", ":wasted"))} == {
        f"LangGraph/model/speculate find {ENDS['adopted']}": 1,
        f"LangGraph/model/speculate read {ENDS['adopted']}": 4,
        f"LangGraph/model/speculate find {ENDS['squashed']}": 5,
        f"{inside}/find speculation:hit": 1,
        f"{inside}/read speculation:hit": 4,
        f"{inside}/write speculation:miss": 1,
    }
    assert langsmith.roots[0].speculation["hits"] == 5


@pytest.mark.parametrize("way", WAYS)
def test_a_hit_and_its_speculation_lead_to_each_other(langsmith: LangSmithServer, way: str):
    """
    The adopting call names the run of its speculation and what it saved; that one names the call.
    """
    traced_notebook(langsmith, way, wrapped)

    for call in (run for run in langsmith.tagged("speculation:hit")):
        guess = langsmith.runs[call.speculation["run_id"]]
        assert guess.speculation["adopted_run_id"] == call.id
        assert guess.speculation["adopted_tool_call_id"] == call.fields["extra"]["tool_call_id"]
        assert (guess.kind, guess.name) == ("chain", f"speculate {call.name}")
        assert guess.metadata["ls_message_view_exclude"] is True
        for shown in (call.speculation, guess.speculation):
            facts = {key: shown[key] for key in ("tool", "outcome", "probability", "source", "stage", "depth")}
            assert facts == {
                "tool": call.name,
                "outcome": "hit",
                "probability": 0.9,
                "source": "oracle",
                "stage": "begin",
                "depth": 1,
            }
            assert shown["saved_ms"] <= shown["tool_ms"]
            assert min(shown["lead_ms"], shown["wait_ms"]) >= 0
        text = call.fields["outputs"]["output"]["content"]
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        assert guess.fields["outputs"] == {"outcome": "hit", "bytes": len(text), "sha": digest}
        assert guess.fields["inputs"] == {}


@pytest.mark.parametrize("way", WAYS)
def test_all_else_is_what_plain_tracing_sends(langsmith: LangSmithServer, way: str):
    """
    Without what is added, the trace is that of the plain graph: runs, parents, inputs, outputs, tags and metadata.
    """
    traced_notebook(langsmith, way, wrapped)
    with LangSmithServer() as plain:
        traced_notebook(plain, way, lambda parts, oracle, bodies: agent_graph(*parts[:0], *_unheld(parts)))

        assert _without_additions(langsmith) == _without_additions(plain)


def _unheld(parts: Any) -> Any:
    model, tools = parts
    return model.model_copy(update={"during": None}), tools


def _without_additions(server: LangSmithServer) -> list[str]:
    shown = []
    for run in server.runs.values():
        if "speculation" in run.tags:
            continue
        metadata = {key: value for key, value in run.metadata.items() if not key.startswith("speculation_")}
        tags = [tag for tag in run.tags if not tag.startswith("speculation:")]
        kept = (run.kind, path(server, run), tags, metadata, run.fields.get("error"))
        shown.append(str(canonical([kept, run.fields["inputs"], run.fields.get("outputs")])))
    return sorted(shown)


@pytest.mark.parametrize("way", WAYS)
def test_a_speculation_adds_one_small_run(langsmith: LangSmithServer, way: str):
    """
    What a speculation adds is one run that is sent once and takes less than 2 kB, whatever its result.
    """
    long = "a long result " * 2_000
    script = [ask(("look", {})), AIMessage("done")]
    bodies = Bodies(1)
    with langsmith.tracing():
        graph = agent_graph(
            ScriptedModel(script=script, during=bodies.during), [make_tool("look", lambda: long, "both")]
        )
        drive(speculate(graph, _reading("look"), predictor=Oracle(script), observers=[bodies]), way)

    (guess,) = langsmith.tagged("speculation:adopted")
    assert (guess.posts, guess.patches) == (1, 0)
    assert guess.fields["outputs"]["bytes"] == len(long)
    assert_whole(langsmith)
    assert paths(langsmith) == look_paths("speculation:hit", adopted=1)


@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_waits_is_shown_as_joined(langsmith: LangSmithServer, way: str):
    """
    A call that adopts what still runs is a hit that was joined, and says how long it waited.
    """
    script = [ask(("look", {})), AIMessage("done")]
    with langsmith.tracing():
        graph = agent_graph(ScriptedModel(script=script), [make_tool("look", lambda: "seen", "both", 0.3)])
        drive(speculate(graph, _reading("look"), predictor=Oracle(script)), way)

    (call,) = langsmith.tagged("speculation:joined")
    (guess,) = langsmith.tagged("speculation:adopted")
    assert (call.kind, of_speculation(call.tags)) == ("tool", ["speculation:hit", "speculation:joined"])
    assert call.speculation["outcome"] == guess.speculation["outcome"] == guess.fields["outputs"]["outcome"] == "joined"
    assert call.speculation["wait_ms"] > 0
    assert_whole(langsmith)
    assert paths(langsmith) == look_paths("speculation:hit", "speculation:joined", adopted=1)
    assert (call.speculation["run_id"], guess.speculation["adopted_run_id"]) == (guess.id, call.id)


def look_paths(*call: str, **guesses: int) -> Counter[str]:
    """All runs of an agent that calls `look` once and then answers: the tags of the call, and how its guesses ended."""
    model = {"LangGraph": 1, "LangGraph/model": 2, "LangGraph/model/ScriptedModel": 2}
    tools = {"LangGraph/tools": 1, " ".join(["LangGraph/tools/look", *call]): 1}
    ends = {f"LangGraph/model/speculate look {ENDS[end]}": count for end, count in guesses.items()}
    return Counter({**model, **tools, **ends})


def _reading(*names: str, **limits: Any) -> dict[str, Any]:
    once = {"read_only": True, "eagerness": "immediate"}
    return {"tools": dict.fromkeys(names, once), "limits": {**UNBRAKED, **limits}}


@pytest.mark.parametrize("way", WAYS)
def test_a_miss_says_why(langsmith: LangSmithServer, way: str):
    """
    A call that ran as ever says what kept it from being run ahead.
    """
    traced_notebook(langsmith, way, wrapped)

    (miss,) = langsmith.tagged("speculation:miss")
    assert miss.name == "write"
    assert miss.speculation == {"outcome": "miss", "reason": "undeclared"}


@pytest.mark.parametrize("way", WAYS)
def test_a_call_nobody_foresaw_is_a_miss(langsmith: LangSmithServer, way: str):
    """
    Without a guess of the tool there is nothing else to say.
    """
    script = [ask(("look", {})), AIMessage("done")]
    with langsmith.tracing():
        graph = agent_graph(ScriptedModel(script=script), [make_tool("look", lambda: "seen")])
        drive(speculate(graph, _reading("look"), predictor=Fixed()), way)

    (miss,) = langsmith.tagged("speculation:miss")
    assert miss.speculation == {"outcome": "miss", "reason": "not_predicted"}


@pytest.mark.parametrize("way", WAYS)
def test_a_full_trace_shows_arguments_and_denials(langsmith: LangSmithServer, way: str):
    """
    With `trace="full"` a guess shows its arguments, and what was not started is there with the reason.
    """
    traced_notebook(langsmith, way, lambda *parts: wrapped(*parts, trace="full"))

    assert_whole(langsmith)
    (denied,) = langsmith.tagged("speculation:denied")
    assert paths(langsmith) == {**NOTEBOOK_PATHS, "LangGraph/model/speculate write speculation speculation:denied": 1}
    assert denied.speculation["reason"] == "undeclared"
    assert "read_only" in denied.speculation["detail"]
    assert denied.fields["outputs"] == {"outcome": "denied"}
    assert {str(guess.fields["inputs"]) for guess in langsmith.tagged("speculation:squashed")} == {str(NOISE[1])}


@pytest.mark.parametrize("way", WAYS)
def test_a_failed_run_leaves_nothing_open(langsmith: LangSmithServer, way: str):
    """
    When the model fails, its guesses are closed as wasted, and the run's error is the plain one.
    """
    script = [ask(("look", {})), ValueError("the model is gone")]
    bodies = Bodies(1)
    with langsmith.tracing():
        model = ScriptedModel(script=script, during=bodies.during)
        graph = agent_graph(model, [make_tool("look", lambda: "seen", "both")])
        speculating = speculate(graph, _reading("look"), predictor=Fixed(("look", {})), observers=[bodies])
        assert outcome(lambda: drive(speculating, way)) == "builtins.ValueError: the model is gone"

    assert_whole(langsmith)
    assert paths(langsmith) == look_paths("speculation:hit", adopted=1, wasted=1)
    (lost,) = langsmith.tagged("speculation:wasted")
    assert lost.speculation["reason"] == "model_failed"
    assert "error" not in lost.fields or lost.fields["error"] is None
    assert "the model is gone" in langsmith.roots[0].fields["error"]
    assert langsmith.roots[0].speculation["wasted"] == 1


@pytest.mark.parametrize("way", ["stream", "astream"])
def test_a_run_closed_early_leaves_nothing_open(langsmith: LangSmithServer, way: str):
    """
    Whoever stops listening after the first chunk leaves a trace without open speculations.
    """
    script = [ask(("look", {})), AIMessage("done")]
    bodies = Bodies(2)
    with langsmith.tracing():
        graph = agent_graph(
            ScriptedModel(script=script, during=bodies.during), [make_tool("look", lambda x=0: "seen", "both")]
        )
        guesses = Fixed(("look", {}), ("look", {"x": 1}))
        speculating = speculate(graph, _reading("look"), predictor=guesses, observers=[bodies])
        if way == "stream":
            chunks = speculating.stream(START_INPUT)
            next(chunks)
            chunks.close()
        else:
            asyncio.run(_first_chunk(speculating))

    guessed = langsmith.tagged("speculation")
    assert len(langsmith.roots) == 1
    assert len(guessed) == 2
    assert not [run for run in guessed if run.pending]
    root = langsmith.roots[0].speculation
    assert (root["launched"], root["hits"] + root["wasted"]) == (2, 2)


async def _first_chunk(graph: Any) -> None:
    chunks = graph.astream(START_INPUT)
    await anext(chunks)
    await chunks.aclose()


@pytest.mark.parametrize("way", WAYS)
def test_a_body_that_outlives_its_run_is_closed_when_it_ends(langsmith: LangSmithServer, world: World, way: str):
    """
    A thread cannot be stopped: its run in the trace ends with it, in the same trace, as what it came to be. By then the
    loop of an async run is closed.
    """

    def hang() -> str:
        world.begin("hang")
        world.release.wait(5)
        return "late"

    script = [AIMessage("done")]
    model = ScriptedModel(script=script, during=lambda _turn: _begun(world, "hang"))
    with langsmith.tracing():
        graph = speculate(
            agent_graph(model, [make_tool("hang", hang)]), _reading("hang"), predictor=Fixed(("hang", {}))
        )
        wasted = []
        speculation_of(graph).events(lambda event: wasted.append(event) if isinstance(event, Wasted) else None)
        drive(graph, way)
        assert not wasted
        world.release.set()
        _until(lambda: wasted)

    assert_whole(langsmith)
    (late,) = langsmith.tagged("speculation:wasted")
    assert late.speculation["reason"] == "contradicted"
    assert langsmith.roots[0].speculation["wasted"] == 1


def _until(happened: Callable[[], Any]) -> None:
    until = time.monotonic() + 5
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)


def _begun(world: World, *tools: str) -> Any:
    """For `ScriptedModel.during`: the model answers when bodies of those tools have begun."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        for tool in tools:
            world.wait_for(tool)
        return None
    return asyncio.to_thread(_begun, world, *tools)


@pytest.mark.parametrize("way", WAYS)
def test_the_loser_of_two_bodies_is_shown_as_hedged(langsmith: LangSmithServer, world: World, way: str):
    """
    A call that waits for a body which hangs gets a second one: that is adopted, and the first one was hedged.
    """

    numbers = itertools.count()

    def look() -> str:
        is_first = next(numbers) == 0
        world.begin("look")
        if is_first:
            world.release.wait(5)
        return "seen"

    script = [ask(("look", {})), AIMessage("done")]
    model = ScriptedModel(script=script, during=lambda turn: _begun(world, "look") if turn == 0 else None)
    with langsmith.tracing():
        policy = {"tools": {"look": {"read_only": True}}}
        graph = speculate(agent_graph(model, [make_tool("look", look)]), policy, predictor=Oracle(script))
        for _ in range(19):
            graph.speculation_engine.economy.latencies.took("look", 0.01)
        drive(graph, way)
        world.release.set()
        _until(lambda: speculation_of(graph).stats().wasted_s)

    assert_whole(langsmith)
    assert paths(langsmith) == look_paths("speculation:hit", "speculation:joined", adopted=1, hedged=1)
    (call,) = langsmith.tagged("speculation:joined")
    (winner,) = langsmith.tagged("speculation:adopted")
    assert (call.speculation["run_id"], winner.speculation["adopted_run_id"]) == (winner.id, call.id)
    assert (call.speculation["source"], winner.speculation["source"]) == ("hedge", "hedge")


class SecondThoughts:
    """Foresees `look`, until it has read some of the message: then `read` is far more likely."""

    bounded = True

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [] if history.calls else [Candidate(Call("look"), 0.2, "first")]

    def narrow(self, history: History, draft: Draft, *, k: int) -> list[Candidate]:
        return [] if history.calls else [Candidate(Call("read"), 0.9, "second"), Candidate(Call("look"), 0.2, "first")]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        return None


@pytest.mark.parametrize("way", WAYS)
def test_a_guess_that_makes_room_is_shown_as_preempted(langsmith: LangSmithServer, world: World, way: str):
    """
    The only place of a message goes from a guess that still runs to one that is worth more.
    """

    def look() -> str:
        world.begin("look")
        world.release.wait(5)
        return "late"

    def read() -> str:
        world.begin("read")
        return "read"

    thinking = ["It has to be looked up where such things are kept.", lambda: world.wait_for("read")]
    script = [[lambda: world.wait_for("look"), *thinking, *openai(0, ("c-1", "read", {}))], ["done"]]
    with langsmith.tracing():
        graph = agent_graph(streamed(script=script), [make_tool("look", look), make_tool("read", read)])
        graph = speculate(graph, _reading("look", "read", max_per_turn=1), predictor=SecondThoughts())
        drive(graph, way)
        world.release.set()
        _until(lambda: speculation_of(graph).stats().wasted_s)

    assert_whole(langsmith)
    assert paths(langsmith) == {
        "LangGraph": 1,
        "LangGraph/model": 2,
        "LangGraph/model/StreamedModel": 2,
        f"LangGraph/model/speculate look {ENDS['preempted']}": 1,
        f"LangGraph/model/speculate read {ENDS['adopted']}": 1,
        "LangGraph/tools": 1,
        "LangGraph/tools/read speculation:hit": 1,
    }


@pytest.mark.parametrize("reason", Discard)
def test_every_end_has_its_word(langsmith: LangSmithServer, reason: Discard):
    """
    Whatever a speculation is discarded for, its run is tagged as waste, and with what it was.
    """
    guess = Speculation("r:1", Call("look"), "t", 1, 0.5, "x", "thread", frozenset(), 0, 1.0, "step", False, 10.0)
    with langsmith.tracing():
        root = RunTree(name="graph", project_name=PROJECT, ls_client=langsmith.client())
        root.post()
        trace = RunTrace(Tracing(), "on", lambda *_: None)
        trace.turn_began("t", [root])
        trace.launched(guess)
        trace.ended("r:1", Outcome(error=ValueError()), 0)
        guess.ended_at = 10.25
        guess.take("fail" if reason is not Discard.PREEMPTED else "preempt", reason)
        trace.take([Wasted(run="r", at=11.0, id="r:1", tool="look", seconds=0.25)])
        root.client.flush()

    (shown,) = langsmith.tagged("speculation:wasted")
    assert shown.speculation["outcome"] == OUTCOMES.get(reason, "wasted")
    assert shown.speculation["reason"] == reason.value
    assert set(of_speculation(shown.tags)) == {
        "speculation",
        "speculation:wasted",
        f"speculation:{OUTCOMES.get(reason, 'wasted')}",
    }
    assert round(shown.ms) == 250


# -- where nothing is to be seen ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_off_adds_nothing(langsmith: LangSmithServer, way: str):
    """
    With `trace="off"` the trace is the plain graph's.
    """
    traced_notebook(langsmith, way, lambda *parts: wrapped(*parts, trace="off"))

    assert not [path for path in paths(langsmith) if "speculat" in path]
    assert not [run.name for run in langsmith.runs.values() if run.speculation]


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_sent_where_tracing_is_off(langsmith: LangSmithServer, way: str):
    """
    A block in which tracing is disabled stays untraced.
    """
    with langsmith.tracing(), tracing_context(enabled=False):
        parts = ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(World(), "both")
        drive(wrapped(parts, Oracle(NOTEBOOK_SCRIPT), Bodies()), way)

    assert not langsmith.runs


@pytest.mark.parametrize("way", WAYS)
def test_traces_that_are_not_sampled_stay_away(langsmith: LangSmithServer, way: str):
    """
    Speculations share the lot of their trace.
    """
    traced_notebook(langsmith, way, wrapped, tracing_sampling_rate=0.0)

    assert not langsmith.runs


@pytest.mark.parametrize("way", WAYS)
def test_hidden_inputs_and_outputs_stay_hidden(langsmith: LangSmithServer, way: str):
    """
    What the client hides is hidden of speculations, too: arguments, and what tells results apart.
    """
    traced_notebook(langsmith, way, lambda *parts: wrapped(*parts, trace="full"), hide_inputs=True, hide_outputs=True)

    for guess in langsmith.tagged("speculation"):
        assert guess.fields["inputs"] == {}
        assert guess.fields["outputs"] == {}
    assert "nobody asks" not in str([run.fields for run in langsmith.tagged("speculation")])


@pytest.mark.parametrize("way", WAYS)
def test_speculations_are_written_wherever_their_trace_is(langsmith: LangSmithServer, way: str):
    """
    A trace that the SDK writes to several places has its speculations in each of them.
    """
    with LangSmithServer() as other:
        client = langsmith.client()
        places = [{"api_url": server.url, "api_key": "none", "project_name": PROJECT} for server in (langsmith, other)]
        with tracing_context(enabled=True, client=client, replicas=places):
            bodies, world = Bodies(3, 5, 6, 9, 10), World()
            model = ScriptedModel(script=NOTEBOOK_SCRIPT, during=bodies.during)
            parts = model, notebook(world, "both")
            drive(wrapped(parts, Oracle(NOTEBOOK_SCRIPT, also=[NOISE]), bodies), way)
        client.flush()

        assert paths(langsmith) == paths(other)
        for server in (langsmith, other):
            assert len(server.tagged("speculation:adopted")) == 5
            assert len(server.tagged("speculation:wasted")) == 5


@pytest.mark.parametrize("way", WAYS)
def test_a_trace_that_fails_costs_nothing_but_itself(
    langsmith: LangSmithServer, way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """
    If the SDK raises, the run goes on as ever, and the log says once that the trace does not.
    """

    create_run = Client.create_run

    def broken(self: Client, name: str, *args: Any, **kwargs: Any) -> None:
        if name.startswith("speculate"):
            raise RuntimeError("no child of mine")
        create_run(self, name, *args, **kwargs)

    monkeypatch.setattr(Client, "create_run", broken)
    with caplog.at_level(logging.WARNING, "langgraph_speculate"):
        answers = traced_notebook(langsmith, way, wrapped)

    assert "content='done'" in str(answers[-1])
    assert len([record for record in caplog.records if "no child of mine" in record.getMessage()]) == 1
    assert not [run for run in langsmith.runs.values() if run.pending]


def test_there_is_no_other_level():
    """
    A misspelt level is an error that names the right ones.
    """
    with pytest.raises(ValueError, match="'off', 'summary', 'full', not 'verbose'"):
        SpeculationMiddleware(trace="verbose")  # type: ignore[arg-type]


# -- the runs around ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_the_root_of_the_trace_carries_the_summary(langsmith: LangSmithServer, way: str):
    """
    Graphs inside of somebody's traced function: the function's run, too, says what the speculations came to, and if
    there are several, what they came to together.
    """

    def graph() -> Any:
        bodies = Bodies(3, 5, 6, 9, 10)
        model = ScriptedModel(script=NOTEBOOK_SCRIPT, during=bodies.during)
        return wrapped((model, notebook(World(), "both")), Oracle(NOTEBOOK_SCRIPT, also=[NOISE]), bodies)

    @traceable
    def answer() -> None:
        with ContextThreadPoolExecutor() as pool:
            list(pool.map(lambda graph: drive(graph, way), [graph(), graph()]))

    with langsmith.tracing():
        answer()

    assert_whole(langsmith)
    (root,) = langsmith.roots
    graphs = langsmith.below(root.id)
    assert (root.name, {run.name for run in graphs}) == ("answer", {"LangGraph"})
    assert len(graphs) == 2
    sums = {"calls": 6, "launched": 10, "hits": 5, "wasted": 5}
    for run in graphs:
        assert {name: run.speculation[name] for name in sums} == sums
    assert {name: root.speculation[name] for name in sums} == {name: 2 * each for name, each in sums.items()}
    assert root.speculation["hidden_ms"] == sum(run.speculation["hidden_ms"] for run in graphs)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("switch", "mode"), [("off", "off"), ("shadow", "shadow"), ("", "on")])
@pytest.mark.parametrize("wrap", [wrapped, with_middleware])
def test_traces_can_be_told_apart_by_mode(
    langsmith: LangSmithServer, monkeypatch: pytest.MonkeyPatch, wrap: Any, switch: str, mode: str, way: str
):
    """
    With the kill switch, in shadow mode and as ever: a chart can be grouped by `speculation_mode`.
    """
    if switch:
        monkeypatch.setenv("LANGGRAPH_SPECULATE", switch)
    with langsmith.tracing():
        parts = ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(World(), "both")
        drive(wrap(parts, Oracle(NOTEBOOK_SCRIPT), Bodies()), way)

    assert langsmith.roots[0].speculation["mode"] == mode


def test_in_shadow_traces_show_misses_and_no_speculation(langsmith: LangSmithServer, monkeypatch: pytest.MonkeyPatch):
    """
    What is imagined did not happen: it is no run, counts as nothing, and is the reason of the miss.
    """
    monkeypatch.setenv("LANGGRAPH_SPECULATE", "shadow")
    with langsmith.tracing():
        parts = ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(World(), "both")
        drive(wrapped(parts, Oracle(NOTEBOOK_SCRIPT), Bodies()), "invoke")

    assert not [run for run in langsmith.walk() if run.name.startswith("speculate")]
    missed = [run for run in langsmith.tagged("speculation:miss") if run.name == "find"]
    assert [run.speculation["reason"] for run in missed] == ["shadow"]
    sums = langsmith.roots[0].speculation
    assert (sums["launched"], sums["hits"], sums["wasted"]) == (0, 0, 0)


@pytest.mark.parametrize("way", WAYS)
def test_an_export_to_opentelemetry_has_the_same_tree(way: str):
    """
    Where the SDK sends spans instead of runs, a speculation's is below its model step's, though it ends later.
    """
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    script = [ask(("look", {})), AIMessage("done")]
    client = Client(api_key="none", tracing_mode="otel", otel_tracer_provider=provider)
    with tracing_context(enabled=True, client=client):
        graph = agent_graph(ScriptedModel(script=script), [make_tool("look", lambda: "seen", "both", 0.3)])
        drive(speculate(graph, _reading("look"), predictor=Oracle(script)), way)
    client.flush()

    spans = {span.context.span_id: span for span in exporter.get_finished_spans()}
    (guess,) = [span for span in spans.values() if span.name == "speculate look"]
    (call,) = [span for span in spans.values() if span.name == "look"]
    assert spans[guess.parent.span_id].name == "model"
    assert len({span.context.trace_id for span in spans.values()}) == 1
    for span in (guess, call):
        assert span.attributes["langsmith.metadata.speculation_outcome"] == "joined"
    assert "speculation:hit" in call.attributes["langsmith.span.tags"]


@pytest.mark.parametrize("way", WAYS)
def test_scores_come_on_request_and_keep_the_retention(langsmith: LangSmithServer, way: str):
    """
    `trace_feedback=True` gives each trace two scores, without extending how long it is kept; they are not sent else.
    """

    def scored(parts: Any, oracle: Oracle, bodies: Bodies) -> Any:
        return speculate(agent_graph(*parts), SPECULATING, predictor=oracle, observers=[bodies], trace_feedback=True)

    traced_notebook(langsmith, way, scored)
    _until(lambda: len(langsmith.feedback) == 2)

    scores = {score["key"]: score for score in langsmith.feedback}
    root = langsmith.roots[0]
    assert scores.keys() == {"speculation_saved_ms", "speculation_hit_rate"}
    assert scores["speculation_hit_rate"]["score"] == round(5 / 6, 4)
    assert scores["speculation_saved_ms"]["score"] == root.speculation["hidden_ms"]
    assert {score["trace_id"] for score in langsmith.feedback} == {root.id}
    assert {score["extend_trace_retention"] for score in langsmith.feedback} == {False}
