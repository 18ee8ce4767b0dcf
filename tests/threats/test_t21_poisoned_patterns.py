"""T21: an attacker teaches the predictor: in runs of theirs (or through content that tools return) they make the model
do what they would like to see run ahead in everybody else's runs.

The library promises that what was learned only suggests. However many runs are the attacker's, no body of an
undeclared, gated or writing tool runs early, and what it costs stays within the budgets. (That patterns are kept apart
and forgotten is shown in `tests/host/test_host_patterns.py`.)
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from agents import EAGERLY, WAYS, ScriptedModel, World, ask, make_tool, tool_node_graph
from attacks import answers, final, is_early
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool

from langgraph_speculate import speculate, speculation_of

RUNS = 24
POLICY: dict[str, Any] = {
    "tools": {
        "find": EAGERLY,
        "read": EAGERLY,
        "write": {"writes": ["*"]},
        "pay": {**EAGERLY},
        "browse": {**EAGERLY, "open_world": True},
    },
    "approval_gated": ["pay"],
    # Without breakers: tools that answer at once save nothing, so that any waste would switch them off.
    "limits": {"max_wasted_per_run": 4, "cool_down_s": 0},
}
UNSAFE = ("write", "pay", "browse", "wipe")


def _tools(world: World) -> list[BaseTool]:
    def tool(name: str) -> BaseTool:
        def body(id: str) -> str:
            world.begin(name, id=id, early=is_early())
            return f'{{"id": "{id}", "next": "order-{id[-1:]}"}}'

        return make_tool(name, body, "both")

    return [tool(name) for name in ("find", "read", *UNSAFE)]


def _honest(order: str) -> list[Any]:
    return [ask(("find", {"id": order})), ask(("read", {"id": order})), AIMessage("done")]


def _hostile(draw: random.Random, order: str) -> list[Any]:
    """Whatever an honest run begins with, then what should happen in other people's runs."""
    wanted = [(name, {"id": draw.choice([order, "order-0"])}) for name in UNSAFE]
    return [ask(("find", {"id": order})), ask(*wanted), ask(("read", {"id": "order-0"}), *wanted), AIMessage("done")]


def _season(way: str, share: float, seed: int) -> tuple[World, Any, tuple[int, int, int]]:
    """Runs of both kinds in random order; the world, the handle, and of the honest runs: how many, launches, hits."""
    draw, world, current = random.Random(seed), World(), list[Any]()

    def answer(turn: int) -> Any:
        return lambda messages: current[min(turn, len(current) - 1)]

    graph = speculate(
        tool_node_graph(ScriptedModel(script=[answer(turn) for turn in range(4)], pace_s=0.001), _tools(world)), POLICY
    )
    honest = launched = hits = 0
    for number in range(RUNS):
        order = f"order-{number % 7}"
        attacks = draw.random() < share
        current[:] = _hostile(draw, order) if attacks else _honest(order)
        before = speculation_of(graph).stats()
        messages = final(graph, way, {"messages": [("user", f"Where is {order}?")]})
        after = speculation_of(graph).stats()
        assert len(answers(messages)) == (10 if attacks else 2)
        if not attacks:
            honest += 1
            launched += after.launched - before.launched
            hits += after.hits - before.hits
        hedges = after.hedged - before.hedged  # of two bodies of a call one is for nothing, and that is no guess
        assert after.wasted - before.wasted <= POLICY["limits"]["max_wasted_per_run"] + hedges
    return world, speculation_of(graph), (honest, launched, hits)


@pytest.mark.parametrize(("way", "share"), [*((way, 0.5) for way in WAYS), ("invoke", 0.1), ("ainvoke", 0.9)])
def test_no_unsafe_body_runs_early_however_many_runs_are_the_attackers(way: str, share: float) -> None:
    """
    24 runs, a tenth to nine tenths of them hostile: unsafe tools are predicted, and denied every time.
    """
    world, handle, _ = _season(way, share, seed=int(share * 10))
    stats = handle.stats()
    assert not [(name, args) for name, args in world.log if name in UNSAFE and args["early"]]
    assert [name for name, args in world.log if name in ("find", "read") and args["early"]]
    for name, reason in (
        ("write", "not_read_only"),
        ("pay", "gated"),
        ("browse", "open_world"),
        ("wipe", "undeclared"),
    ):
        counts = stats.by_tool[name]
        assert counts.launched == 0
        assert counts.predicted > 0  # the control: the attack does teach the predictor
        assert counts.denied[reason] > 0


def test_what_an_attacker_of_half_of_the_runs_costs_the_others_is_bounded() -> None:
    """
    Honest runs keep at least half of their hits, and waste within their budget.
    """
    _, _, (_, _, alone) = _season("ainvoke", 0.0, seed=1)
    _, _, (honest, launched, hits) = _season("ainvoke", 0.5, seed=1)
    assert alone > RUNS
    assert 4 < honest < RUNS - 4
    assert hits / honest >= alone / RUNS / 2
    assert launched - hits <= honest * POLICY["limits"]["max_wasted_per_run"]
