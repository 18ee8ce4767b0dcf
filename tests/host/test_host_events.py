"""What events say about real runs: which graph and model, and which model call asked for which real call."""

from __future__ import annotations

from typing import Any

import pytest
from agents import (
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    agent_graph,
    drive,
    notebook,
)

from langgraph_speculate import SpeculationMiddleware, speculate
from langgraph_speculate.core import events
from langgraph_speculate.observe.observers import at_once

ASKED = [call["id"] for message in NOTEBOOK_SCRIPT for call in getattr(message, "tool_calls", ())]


def _wrapped(observer: Any) -> Any:
    model = ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005)
    plain = agent_graph(model, notebook(World(), "both"), name="clerk")
    return speculate(plain, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT), observers=[at_once(observer)])


def _with_middleware(observer: Any) -> Any:
    model = ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005)
    mine = SpeculationMiddleware(NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT), observers=[at_once(observer)])
    return agent_graph(model, notebook(World(), "both"), name="clerk", middleware=[mine])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("build", [_wrapped, _with_middleware], ids=["speculate", "middleware"])
def test_a_real_call_names_itself_and_the_model_call_that_asked_for_it(build: Any, way: str) -> None:
    """
    Hits and misses alike, so that an event finds its message, its turn and its trace.
    """
    seen: list[events.Event] = []
    drive(build(seen.append), way)
    settled = [event for event in seen if isinstance(event, events.CallSettled)]
    turns = {event.turn: event.calls for event in seen if isinstance(event, events.TurnEnded)}
    assert sorted(event.call for event in settled) == sorted(ASKED)
    assert all(event.tool in turns[event.turn] for event in settled)
    assert {event.id is None for event in settled} == {True, False}


@pytest.mark.parametrize("build", [_wrapped, _with_middleware], ids=["speculate", "middleware"])
def test_a_run_names_its_graph(build: Any) -> None:
    """
    One log may hold the runs of several graphs.
    """
    seen: list[events.Event] = []
    drive(build(seen.append), "invoke")
    began = next(event for event in seen if isinstance(event, events.RunBegan))
    assert (began.graph, began.level) == ("clerk", "declared")
    assert began.wall > 0
