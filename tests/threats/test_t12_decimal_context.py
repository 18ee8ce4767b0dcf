"""T12: an early body calculates in a context of its own, and its numbers are adopted by a run that rounds differently.

The library promises that an early body calculates with the decimal context of its run, and that its result is used only
while the run still calculates that way.
"""

from __future__ import annotations

import contextvars
import decimal
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from agents import EAGERLY, WAYS, Oracle, ScriptedModel, agent_graph, ask, hand_written_graph, make_tool, outcome
from attacks import answers, final
from langchain_core.messages import AIMessage

from langgraph_speculate import speculate, speculation_of

SCRIPT = [ask(("share", {"of": "1"})), AIMessage("done")]


def _share(of: str) -> str:
    "A third."
    return str(Decimal(of) / 3)


def _told(way: str, build: Any, wrap: bool, during: Any = None) -> tuple[Any, Any]:
    graph = build(ScriptedModel(script=SCRIPT, pace_s=0.02 * wrap, during=during), [make_tool("share", _share, "both")])
    if wrap:
        graph = speculate(graph, {"tools": {"share": EAGERLY}}, predictor=Oracle(SCRIPT))
    told = outcome(lambda: answers(final(graph, way)))
    return told, speculation_of(graph).stats() if wrap else None


def _traps(context: decimal.Context) -> None:
    context.traps[decimal.Inexact] = True


CHANGES: dict[str, Callable[[decimal.Context], None]] = {
    "precision": lambda context: setattr(context, "prec", 6),
    "rounding": lambda context: setattr(context, "rounding", decimal.ROUND_UP),
    "traps": _traps,
}


@pytest.mark.parametrize("build", [agent_graph, hand_written_graph])
@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("way", WAYS)
def test_an_early_body_calculates_as_its_run_does(way: str, kind: str, build: Any) -> None:
    """
    The application set its decimal context at start-up: same answer, or same error; an answer is the early one.
    """
    with decimal.localcontext() as context:
        CHANGES[kind](context)
        plain, _ = _told(way, build, wrap=False)
        told, stats = _told(way, build, wrap=True)
    assert told == plain
    assert (stats.launched, stats.hits) == (1, 0 if kind == "traps" else 1)


@pytest.mark.parametrize("kind", CHANGES)
@pytest.mark.parametrize("way", WAYS)
def test_a_result_is_not_used_by_a_run_that_calculates_differently_by_now(way: str, kind: str) -> None:
    """
    The context is changed in place while the model writes: the real call runs.
    """
    with decimal.localcontext() as context:
        told, stats = _told(way, agent_graph, wrap=True, during=partial(_change_once, kind, context))
        plain, _ = _told(way, agent_graph, wrap=False)  # by now it is changed
    assert told == plain
    assert (stats.launched, stats.hits) == (1, 0)


def _change_once(kind: str, context: decimal.Context, turn: int) -> None:
    CHANGES[kind](context)


def test_looking_at_the_context_makes_none() -> None:
    """
    Where nobody has calculated, nobody has a context after the run that was not there before.
    """

    def names() -> set[str]:
        return {variable.name for variable in contextvars.copy_context()}

    def run() -> set[str]:
        script = [ask(("look", {})), AIMessage("done")]
        graph = agent_graph(ScriptedModel(script=script, pace_s=0.02), [make_tool("look", lambda: "seen")])
        before = names()
        final(speculate(graph, {"tools": {"look": True}}, predictor=Oracle(script)), "invoke")
        return names() - before

    assert "decimal_context" not in contextvars.Context().run(run)
