"""T7: chains of guesses widen every other threat, because a guess rests on results that nobody asked for.

By default there are none. Where the owner allows them they are as long as the owner says and no longer, and nothing
that rests on a guess leaves the trust boundary, or is looked for behind something that does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from agents import WAYS, Oracle, ScriptedModel, agent_graph, ask, drive
from langchain_core.messages import AIMessage
from langchain_core.tools import tool

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.core import Call, Candidate, History, events
from langgraph_speculate.observe.observers import at_once

EAGERLY = {"read_only": True, "eagerness": "immediate"}
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
def test_by_default_a_predictor_sees_only_results_the_model_asked_for(way: str) -> None:
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
    graph = speculate(plain, {"tools": {"look": EAGERLY}}, predictor=watching)
    drive(graph, way, {"messages": [("user", "go")]})
    assert watching.shown == [[], ["secret 1"], ["secret 1", "secret 2", "secret 3"]]
    assert any(id > 100 for id in bodies)
    assert speculation_of(graph).stats().hits == 3


class Restless:
    """Whatever the history, it is sure of two more calls, and of one that would carry what it saw to somebody else."""

    bounded = True

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        number = 10 * len(history.calls)
        seen = history.calls[-1].result if history.calls else None
        more = [Candidate(Call("look", {"id": number + n}), 1.0, "restless") for n in (1, 2)]
        return [Candidate(Call("send", {"text": str(seen)}), 1.0, "restless"), *more][:k]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        """Nothing to learn."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_no_chain_is_longer_than_the_owner_allows_and_none_leaves_the_trust_boundary(way: str, depth: int) -> None:
    """
    A predictor that never stops, and that would carry away what guesses brought to light.
    """
    sent: list[str] = []

    @tool
    def look(id: int) -> str:
        """Look."""
        return f"secret {id}"

    @tool
    def send(text: str) -> str:
        """Tell somebody outside."""
        sent.append(text)
        return "sent"

    plain = agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.03), [look, send])
    policy = {
        "level": "open_world",
        "tools": {
            "look": EAGERLY,
            "send": {"read_only": True, "eagerness": "immediate", "open_world": True, "disclosure": "declared"},
        },
        "limits": {"max_depth": depth, "max_in_flight": 50, "max_ghost_per_run": 50},
    }
    graph = speculate(plain, policy, predictor=Restless())
    launches: list[events.Launched] = []
    speculation_of(graph).events(
        at_once(lambda event: launches.append(event) if isinstance(event, events.Launched) else None)
    )
    drive(graph, way, {"messages": [("user", "go")]})
    assert max(launch.depth for launch in launches) == depth
    assert {launch.depth for launch in launches if launch.tool == "send"} == {1}
    asked_for = {"None", "secret 1", "secret 3"}
    assert set(sent) <= asked_for, "a result that nobody asked for was told to somebody"
    parents = {launch.parent for launch in launches} - {None}
    assert not parents & {launch.id for launch in launches if launch.tool == "send"}
