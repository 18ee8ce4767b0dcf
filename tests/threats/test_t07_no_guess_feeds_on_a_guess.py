"""T7: chains of guesses widen every other threat, because a guess would rest on results that nobody asked for.

There are none: a predictor sees the messages of the run and nothing else, so that an early result can lead nowhere
before the model has asked for it.
"""

from __future__ import annotations

from typing import Any

import pytest
from agents import WAYS, Oracle, ScriptedModel, agent_graph, ask, drive
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.core import Call, Candidate, History

SCRIPT = [ask(("look", {"id": 1})), ask(("look", {"id": 2}), ("look", {"id": 3})), AIMessage("done")]


class Watching:
    """Guesses right and wrong at once, and keeps what it was shown."""

    bounded = True

    def __init__(self) -> None:
        self.oracle = Oracle(SCRIPT)
        self.shown: list[list[str]] = []

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        self.shown.append([str(call.result) for call in history.calls])
        wrong = Candidate(Call("look", {"id": 100 + len(self.shown)}), 0.9, "wrong")
        return [*self.oracle.predict(history, k=k), wrong][:k]

    def learn(self, history: History, calls: Any) -> None:
        """Nothing to learn."""


@pytest.mark.parametrize("way", WAYS)
def test_a_predictor_sees_only_results_the_model_asked_for(way: str) -> None:
    """
    Wrong guesses ran and had results; none of them is ever shown, and no more runs than one turn's guesses.
    """
    bodies: list[int] = []

    @tool
    def look(id: int) -> str:
        """Look."""
        bodies.append(id)
        return f"secret {id}"

    watching = Watching()
    plain = agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.01), [look])
    graph = speculate(plain, {"tools": {"look": True}}, predictor=watching)
    drive(graph, way, {"messages": [("user", "go")]})
    assert watching.shown == [[], ["secret 1"], ["secret 1", "secret 2", "secret 3"]]
    assert any(id > 100 for id in bodies)
    assert speculation_of(graph).stats().hits == 3
