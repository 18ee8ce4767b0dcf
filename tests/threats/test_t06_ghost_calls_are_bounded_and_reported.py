"""T6: honest guesses tell third parties what a user may be about to do (Ghost Tool Calls, arXiv 2606.02483).

By default nothing leaves early; at the level `open_world` a run costs at most `max_ghost_per_run` calls that nobody
asked for, and says who saw them.
"""

from __future__ import annotations

from typing import Any

import pytest
from agents import EAGERLY, WAYS, Oracle, ScriptedModel, agent_graph, ask, drive
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, tool

from langgraph_speculate import PolicyError, SpeculationPolicy, speculate, speculation_of
from langgraph_speculate.core import Call, Candidate, History
from langgraph_speculate.core.events import Ghost
from langgraph_speculate.observe.observers import at_once

QUESTIONS = [f"question {number}" for number in range(6)]
SCRIPT = [ask(("search", {"query": question})) for question in QUESTIONS] + [AIMessage("done")]


class Wrong:
    """Guesses a call the model never makes, another one each time."""

    bounded = True

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [Candidate(Call("search", {"query": f"ghost {len(history.calls)}"}), 0.9, "wrong")]

    def learn(self, history: History, calls: Any) -> None:
        """Nothing to learn."""


def searching(log: list[str]) -> BaseTool:
    @tool
    def search(query: str) -> str:
        """Search the web."""
        log.append(query)
        return f"results for {query}"

    return search


def policy(level: str, disclosure: str, ghosts: int) -> dict[str, Any]:
    search = {**EAGERLY, "open_world": True, "disclosure": disclosure}
    return {"level": level, "tools": {"search": search}, "limits": {"max_ghost_per_run": ghosts}}


def outbound(way: str, given: dict[str, Any], predictor: Any) -> tuple[list[str], Any, list[Ghost]]:
    """What the third party saw, the statistics, and the report."""
    log: list[str] = []
    seen: list[Ghost] = []
    plain = agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.005), [searching(log)])
    graph = speculate(
        plain,
        given,
        predictor=predictor,
        observers=[at_once(lambda e: seen.append(e) if isinstance(e, Ghost) else None)],
    )
    drive(graph, way, {"messages": [("user", "go")]})
    return log, speculation_of(graph).stats(), seen


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("level", ["declared", "annotated"])
def test_by_default_outsiders_see_what_plain_shows_them(level: str, way: str) -> None:
    """
    The set of what they see, minus plain's, is empty.
    """
    for predictor in (Wrong(), Oracle(SCRIPT)):
        log, stats, ghosts = outbound(way, policy(level, "declared", 5), predictor)
        assert (sorted(log), stats.launched, ghosts) == (sorted(QUESTIONS), 0, [])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("budget", [1, 2, 3])
def test_unwanted_calls_stay_within_the_budget_and_are_reported(budget: int, way: str) -> None:
    """
    One event and one count for each that nobody asked for.
    """
    log, stats, ghosts = outbound(way, policy("open_world", "declared", budget), Wrong())
    unasked = [query for query in log if query not in QUESTIONS]
    assert len(unasked) == budget == stats.launched == len(ghosts)
    assert {ghost.destinations for ghost in ghosts} == {("search",)}
    assert dict(stats.ghosts) == {"search": budget}
    assert stats.denied["max_ghost_per_run"] > 0


@pytest.mark.parametrize("way", WAYS)
def test_hits_cost_no_ghosts(way: str) -> None:
    """
    A call that the model makes is no secret: good guesses go on beyond the budget.
    """
    log, stats, ghosts = outbound(way, policy("open_world", "declared", 1), Oracle(SCRIPT))
    assert (sorted(log), stats.hits, ghosts) == (sorted(QUESTIONS), len(QUESTIONS), [])


@pytest.mark.parametrize("way", WAYS)
def test_same_arguments_only_tells_outsiders_nothing_new(way: str) -> None:
    """
    What the destination has seen in this thread it may see again; everything else waits for the model.
    """
    script = [ask(("search", {"query": "a"})), ask(("search", {"query": "a"})), AIMessage("done")]
    log: list[str] = []
    plain = agent_graph(ScriptedModel(script=script, pace_s=0.005), [searching(log)])
    graph = speculate(plain, policy("open_world", "same_args_only", 5), predictor=Oracle(script))
    drive(graph, way, {"messages": [("user", "go")]})
    stats = speculation_of(graph).stats()
    assert (log, stats.hits, stats.denied["egress"]) == (["a", "a"], 1, 1)
    log, stats, _ = outbound(way, policy("open_world", "same_args_only", 5), Wrong())
    assert (sorted(log), stats.launched) == (sorted(QUESTIONS), 0)


def test_the_level_needs_a_budget() -> None:
    """
    Nobody opens the door without saying how far.
    """
    with pytest.raises(PolicyError, match=r"limits\.max_ghost_per_run"):
        SpeculationPolicy(level="open_world")
