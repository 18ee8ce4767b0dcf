"""T18: a tool that answers differently each time (time, chance, ranking) is read once and the answer used twice, or is
used although it had to be of this very moment, or the choice of which answers are used bends their distribution.

The library promises that a result is handed out once, that `deterministic = false` keeps it in its step, that
`ttl_s = 0` keeps nothing, and that answers are distributed as in the plain graph.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import random
import time
from typing import Any

import pytest
from agents import EAGERLY, WAYS, Fixed, Oracle, ScriptedModel, agent_graph, ask, hand_written_graph, make_tool
from attacks import answers, final
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool, StructuredTool

from langgraph_speculate import PolicyError, SpeculationPolicy, speculate, speculation_of

LIMITS = {"max_per_turn": 20, "max_in_flight": 20, "max_per_run": 100, "max_wasted_per_run": 100}
UNSTEADY: dict[str, Any] = {**EAGERLY, "deterministic": False}


def _tickets() -> BaseTool:
    numbers = itertools.count()

    def ticket(queue: int) -> str:
        "Take a sample."
        return f"sample {next(numbers)}"

    return make_tool("ticket", ticket, "both")


@pytest.mark.parametrize("build", [agent_graph, hand_written_graph])
@pytest.mark.parametrize("way", WAYS)
def test_no_sample_is_handed_out_twice(way: str, build: Any) -> None:
    """
    The same call four times in a message, in each of five runs, and other calls beside it: every answer is a sample of
    its own.
    """
    calls = [("ticket", {"queue": 1})] * 4 + [("ticket", {"queue": number}) for number in (2, 3)]
    script = [ask(*calls), ask(*calls, prefix="d"), AIMessage("done")]
    graph = speculate(
        build(ScriptedModel(script=script, pace_s=0.002), [_tickets()]),
        {"tools": {"ticket": UNSTEADY}, "limits": LIMITS},
        predictor=Oracle(script),
    )
    told = [answer for _ in range(5) for answer in answers(final(graph, way))]
    assert len(set(told)) == len(told) == 5 * 12
    assert speculation_of(graph).stats().hits >= 5 * 3 * 2


@pytest.mark.parametrize(("deterministic", "hits"), [(False, 0), (True, 1)])
@pytest.mark.parametrize("way", WAYS)
def test_a_sample_does_not_outlive_its_step(way: str, deterministic: bool, hits: int) -> None:
    """
    Read in the first turn, wanted in the second: not adopted, and to keep such a result for the run is refused. The
    control is the same read of a deterministic tool, kept for the run.
    """

    class Once(Fixed):
        def predict(self, history: Any, *, k: int) -> Any:
            return [] if history.calls else super().predict(history, k=k)

    entry = UNSTEADY if not deterministic else {**EAGERLY, "scope": "run"}
    script = [ask(("ticket", {"queue": 2})), ask(("ticket", {"queue": 1})), AIMessage("done")]
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.003), [_tickets()]),
        {"tools": {"ticket": entry}},
        predictor=Once(("ticket", {"queue": 1})),
    )
    final(graph, way)
    stats = speculation_of(graph).stats()
    assert (stats.launched, stats.hits) == (1, hits)
    with pytest.raises(PolicyError, match="deterministic"):
        SpeculationPolicy.load({"tools": {"ticket": {**UNSTEADY, "scope": "run"}}})


@pytest.mark.parametrize("way", WAYS)
def test_what_must_be_of_the_moment_is_never_read_ahead(way: str) -> None:
    """
    `ttl_s = 0`: the clock is read when the model asks, after everything that happened before.
    """
    ticks = itertools.count()

    def clock(zone: str) -> str:
        "The time."
        return str(next(ticks))

    def think(turn: int) -> None:
        next(ticks)

    script = [ask(("clock", {"zone": "UTC"})), AIMessage("done")]
    for ttl_s, expected in ((0, ["1"]), (10, ["0"])):
        ticks = itertools.count()
        slow = ScriptedModel(script=script, pace_s=0.005, during=think if ttl_s == 0 else None)
        graph = speculate(
            agent_graph(slow, [make_tool("clock", clock, "both")]),
            {"tools": {"clock": {**EAGERLY, "ttl_s": ttl_s}}},
            predictor=Oracle(script),
        )
        assert answers(final(graph, way)) == expected
        stats = speculation_of(graph).stats()
        assert stats.launched == (1 if ttl_s else 0)
        assert stats.denied.get("ttl_zero", 0) == (0 if ttl_s else 1)


def _distance(left: list[float], right: list[float]) -> float:
    """The Kolmogorov-Smirnov statistic."""
    left, right = sorted(left), sorted(right)
    return max(
        abs(bisect.bisect_right(left, at) / len(left) - bisect.bisect_right(right, at) / len(right))
        for at in (*left, *right)
    )


def _chance(seed: int) -> BaseTool:
    """Large numbers take longer: whoever took what is there first would get small ones."""
    draw = random.Random(seed)

    def roll(die: int) -> str:
        "Roll."
        value = draw.random()
        time.sleep(value * 0.008)
        return str(value)

    async def aroll(die: int) -> str:
        "Roll."
        value = draw.random()
        await asyncio.sleep(value * 0.008)
        return str(value)

    return StructuredTool.from_function(roll, coroutine=aroll, name="roll")


@pytest.mark.parametrize("way", WAYS)
def test_answers_are_distributed_as_in_the_plain_graph(way: str) -> None:
    """
    200 samples a side (10,000 would take half a minute), adopted and missed: Kolmogorov-Smirnov, p > 0.01.
    """
    per_run, runs = 10, 20
    script = [ask(*(("roll", {"die": number}) for number in range(per_run))), AIMessage("done")]
    samples: list[list[float]] = []
    for wrap in (False, True):
        model = ScriptedModel(script=script, pace_s=0.002)  # time for a body to start
        graph = agent_graph(model, [_chance(seed=wrap)])
        if wrap:
            graph = speculate(
                graph, {"tools": {"roll": UNSTEADY}, "limits": LIMITS | {"max_per_turn": 6}}, predictor=Oracle(script)
            )
        samples.append([float(text) for _ in range(runs) for text in answers(final(graph, way))])
    stats = speculation_of(graph).stats()
    assert stats.hits > 0
    assert stats.misses > 0
    assert len(samples[1]) == runs * per_run
    critical = 1.63 * (2 / len(samples[1])) ** 0.5
    assert _distance(*samples) < critical
    fast = [value for value in samples[1] if value < 0.8]  # the control: without the slowest fifth
    assert _distance(samples[0], fast) > critical


def test_an_answer_that_is_another_each_time_is_never_given_again() -> None:
    """
    `read_through` of a tool that says so of itself is refused before anything runs.
    """
    with pytest.raises(PolicyError, match="read_through needs a deterministic tool"):
        SpeculationPolicy(tools={"ticket": UNSTEADY | {"read_through": True}})
