"""Looking further ahead in real graphs: what is launched for later messages, from what, and that nobody can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    GRAPHS,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    agent_graph,
    ask,
    drive,
    make_tool,
    outcome,
)
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.core import Call, Candidate, History, events
from langgraph_speculate.observe.observers import at_once

THREE_STEPS = [ask(("look", {"id": 1})), ask(("look", {"id": 2})), ask(("look", {"id": 3})), AIMessage("done")]


def looker(world: World, flavour: str = "both", hold: Callable[[int], Any] | None = None) -> BaseTool:
    """A tool that reads, answers with what it was asked and what comes next, and may be held up."""

    def look(id: int) -> dict[str, Any]:
        "Look."
        world.begin("look", id=id)
        if hold is not None:
            hold(id)
        world.end("look", id=id)
        return {"id": id, "next": id + 1}

    return make_tool("look", look, flavour)


EAGERLY = {"read_only": True, "eagerness": "immediate"}  # it answers at once, so that nothing is worth it


def policy(depth: int, **limits: int) -> dict[str, Any]:
    return {"tools": {"look": EAGERLY}, "limits": {"max_depth": depth, **limits}}


def until_ended(world: World, way: str, times: int) -> Callable[[int], Any]:
    """Holds the first answer of a model up until so many bodies have ended."""

    async def soon() -> None:
        while len(world.ended) < times:
            await asyncio.sleep(0.001)

    def during(turn: int) -> Any:
        if turn == 0:
            return soon() if way in ASYNC_WAYS else world.wait_for("look", times, ended=True)
        return None

    return during


class Following:
    """Guesses from the newest call alone, with or without its result.

    Args:
        by_result: Whether it needs the result.
        first: What it guesses where nothing was called yet.
    """

    bounded = True

    def __init__(self, by_result: bool, first: int | None = 1) -> None:
        self._by_result = by_result
        self._first = first

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        newest = history.calls[-1] if history.calls else None
        if newest is None:
            next_id = self._first
        elif self._by_result:
            next_id = (newest.value or {}).get("next")
        else:
            next_id = newest.args["id"] + 1
        return [] if next_id is None else [Candidate(Call("look", {"id": next_id}), 0.9, "following")]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """Nothing to learn."""


@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_calls_of_later_messages_run_ahead_and_nobody_can_tell(kind: str, way: str, depth: int) -> None:
    """
    Each body runs once, as far ahead as is allowed, and what comes out is what the plain graph gives.
    """
    worlds = World(), World()
    plain, graph = (GRAPHS[kind](ScriptedModel(script=THREE_STEPS, pace_s=0.005), [looker(world)]) for world in worlds)
    early = speculate(graph, policy(depth), predictor=Oracle(THREE_STEPS))
    assert outcome(lambda: drive(early, way)) == outcome(lambda: drive(plain, way))
    assert sorted(id["id"] for _, id in worlds[1].log) == [1, 2, 3]
    stats = speculation_of(early).stats()
    assert (
        dict(stats.launched_by_depth)
        == dict(stats.hits_by_depth)
        == {1: {1: 3}, 2: {1: 1, 2: 2}, 3: dict.fromkeys((1, 2, 3), 1)}[depth]
    )
    assert stats.wasted == 0


@pytest.mark.parametrize("way", WAYS)
def test_the_middleware_looks_as_far(way: str) -> None:
    world = World()
    ahead = SpeculationMiddleware(policy(3), predictor=Oracle(THREE_STEPS))
    graph = agent_graph(ScriptedModel(script=THREE_STEPS, pace_s=0.005), [looker(world)], middleware=[ahead])
    drive(graph, way)
    assert dict(ahead.speculation.stats().hits_by_depth) == {1: 1, 2: 1, 3: 1}
    assert sorted(id["id"] for _, id in world.log) == [1, 2, 3]


@pytest.mark.parametrize("way", WAYS)
def test_in_shadow_nobody_looks_further(way: str) -> None:
    """
    Nothing would come of it.
    """
    asked: list[History] = []

    class Counting(Oracle):
        def predict(self, history: History, *, k: int) -> list[Candidate]:
            asked.append(history)
            return super().predict(history, k=k)

    graph = agent_graph(ScriptedModel(script=THREE_STEPS), [looker(World())])
    graph = speculate(graph, {**policy(3), "level": "shadow"}, predictor=Counting(THREE_STEPS))
    drive(graph, way)
    assert len(asked) == 4


@pytest.mark.parametrize("way", WAYS)
def test_a_result_that_nobody_asked_for_yet_tells_what_comes_next(way: str) -> None:
    """
    The predictor reads it as the model would, and the call that it leads to runs while the first message is written.
    """
    world = World()
    model = ScriptedModel(script=THREE_STEPS, during=until_ended(world, way, 2))
    graph = speculate(agent_graph(model, [looker(world)]), policy(2), predictor=Following(by_result=True))
    drive(graph, way)
    stats = speculation_of(graph).stats()
    assert stats.hits_by_depth[2] >= 1
    assert stats.hits == 3


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_while_the_tools_of_a_message_run_calls_of_the_next_one_start(way: str) -> None:
    """
    Nobody foresaw the first call; its body waits here until the second one's has begun.
    """
    world = World()
    tool = looker(world, hold=lambda id: world.wait_for("look", 2) if id == 1 else None)
    graph = agent_graph(ScriptedModel(script=THREE_STEPS), [tool])
    graph = speculate(graph, policy(2), predictor=Following(by_result=False, first=None))
    drive(graph, way)
    assert speculation_of(graph).stats().hits_by_depth[2] >= 1


@pytest.mark.parametrize("way", WAYS)
def test_what_rests_on_a_wrong_guess_is_let_go_with_it(way: str) -> None:
    """
    The guess and all that was launched behind it: nothing of that is answered with, and the plain outcome stays.
    """
    script = [ask(("look", {"id": 7})), AIMessage("done")]
    worlds = World(), World()
    plain, graph = (agent_graph(ScriptedModel(script=script, pace_s=0.005), [looker(world)]) for world in worlds)
    early = speculate(graph, policy(3), predictor=Following(by_result=False))
    assert outcome(lambda: drive(early, way)) == outcome(lambda: drive(plain, way))
    stats = speculation_of(early).stats()
    assert dict(stats.discarded) == {"contradicted": 2, "lineage": 4}  # of each of the two messages
    assert stats.hits == 0


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_launched_behind_a_message_that_may_write(way: str) -> None:
    """
    What comes after a write rests on what that leaves behind.
    """
    world = World()

    def note(id: int) -> str:
        "Write."
        world.begin("note", id=id)
        return "noted"

    script = [ask(("note", {"id": 1})), ask(("look", {"id": 1})), AIMessage("done")]
    tools = [looker(world), make_tool("note", note, "both")]
    graph = speculate(agent_graph(ScriptedModel(script=script), tools), policy(3), predictor=Oracle(script))
    drive(graph, way)
    assert dict(speculation_of(graph).stats().launched_by_depth) == {1: 1}
    assert [name for name, _ in world.log] == ["note", "look"]


@pytest.mark.parametrize("way", WAYS)
def test_a_predictor_that_takes_its_time_is_asked_once_a_turn(way: str) -> None:
    world = World()
    graph = agent_graph(ScriptedModel(script=THREE_STEPS, pace_s=0.02), [looker(world)])
    graph = speculate(graph, policy(3), predictor=Oracle(THREE_STEPS, bounded=False))
    drive(graph, way)
    assert set(speculation_of(graph).stats().launched_by_depth) <= {1}


def test_a_predictor_learns_what_happened_and_not_what_was_imagined() -> None:
    world = World()
    oracle = Oracle(THREE_STEPS)
    graph = speculate(agent_graph(ScriptedModel(script=THREE_STEPS), [looker(world)]), policy(3), predictor=oracle)
    drive(graph, "invoke")
    assert oracle.learned == [["look"], ["look"], ["look"], []]


@pytest.mark.parametrize("way", WAYS)
def test_a_look_that_fails_is_left_out_and_the_run_goes_on(way: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    A predictor that cannot stand a history that never was is no reason to lose what is known.
    """

    class Touchy(Oracle):
        def predict(self, history: History, *, k: int) -> list[Candidate]:
            if any(call.id.startswith("if-") for call in history.calls):
                raise RuntimeError("never was")
            return super().predict(history, k=k)

    world = World()
    graph = agent_graph(ScriptedModel(script=THREE_STEPS, pace_s=0.005), [looker(world)])
    graph = speculate(graph, policy(3), predictor=Touchy(THREE_STEPS))
    drive(graph, way)
    assert speculation_of(graph).stats().hits == 3
    assert "RuntimeError" in caplog.text


def test_budgets_hold_for_later_messages_too() -> None:
    """
    Two guesses a run are two, whatever they are about.
    """
    world = World()
    graph = agent_graph(ScriptedModel(script=THREE_STEPS, pace_s=0.005), [looker(world, hold=lambda id: None)])
    graph = speculate(graph, policy(3, max_per_run=2), predictor=Oracle(THREE_STEPS))
    launched: list[events.Event] = []
    speculation_of(graph).events(
        at_once(lambda event: launched.append(event) if isinstance(event, events.Launched) else None)
    )
    drive(graph, "invoke")
    assert len(launched) == 2
