"""T19: reads that nobody asked for overload a service, use up its rate limit, or cost more than they save.

The library promises budgets that always hold: bodies run at most as often as in the plain graph plus
`max_wasted_per_run`, never more than `max_in_flight` at once nor `max_per_turn` per model turn; and guesses that never
come true stop. (Services with limits of their own: `test_t19_rates.py`.)
"""

from __future__ import annotations

import itertools
import logging
import random
import re
import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest
from agents import EAGERLY, WAYS, Fixed, Oracle, ScriptedModel, agent_graph, ask, make_tool, tool_node_graph
from attacks import Gauge, beside_each_other, final, is_early
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool

from langgraph_speculate import speculate, speculation_of

PLENTY = {"max_in_flight": 50, "max_per_turn": 50, "max_per_run": 200, "max_wasted_per_run": 200, "cool_down_s": 0}


class Service:
    """Counts what is asked of it, and how many early requests are under way at once."""

    def __init__(self, latency_s: float = 0.0) -> None:
        self.asked: list[tuple[bool, int]] = []
        self.early = Gauge()
        self.gate = threading.Lock()
        self._latency_s = latency_s

    def tool(self, name: str = "look") -> BaseTool:
        def look(id: int) -> str:
            "Look something up."
            early = is_early()
            with self.gate:
                self.asked.append((early, id))
            if early:
                with self.early:
                    time.sleep(self._latency_s)
            return f"{id}"

        return make_tool(name, look, "both")


class Flood(Fixed):
    """Other guesses each time, wrong ones, and now and then a right one among them."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._draw = random.Random(seed)

    def predict(self, history: Any, *, k: int) -> Any:
        self._calls = tuple(("look", {"id": self._draw.randrange(40)}) for _ in range(k))
        return super().predict(history, k=k)


def _script(draw: random.Random) -> list[Any]:
    turns = [[("look", {"id": draw.randrange(40)}) for _ in range(draw.randint(1, 3))] for _ in range(4)]
    return [*(ask(*calls, prefix=f"c{number}") for number, calls in enumerate(turns)), AIMessage("done")]


@pytest.mark.parametrize("way", WAYS)
def test_a_flood_of_guesses_never_costs_more_than_the_budgets(way: str) -> None:
    """
    25 seeds (one costs about 25 ms), limits drawn at random, ten guesses a turn: each budget holds in each run.
    """
    wasted = 0
    for seed in range(25):
        draw, service = random.Random(seed), Service(latency_s=0.001)
        script = _script(draw)
        plain = sum(len(message.tool_calls) for message in script)
        limits = {
            "max_in_flight": draw.randrange(5),
            "max_per_turn": draw.randrange(6),
            "max_per_run": draw.randrange(20),
            "max_wasted_per_run": draw.randrange(12),
        }
        build = draw.choice([agent_graph, tool_node_graph])
        graph = speculate(
            build(ScriptedModel(script=script, pace_s=0.002), [service.tool()]),
            {"tools": {"look": {**EAGERLY, "scope": draw.choice(["step", "run"])}}, "limits": limits},
            predictor=Flood(seed),
        )
        final(graph, way)
        stats = speculation_of(graph).stats()
        assert len(service.asked) <= plain + limits["max_wasted_per_run"], seed
        assert sum(early for early, _ in service.asked) <= min(limits["max_per_run"], limits["max_per_turn"] * 5), seed
        assert service.early.peak <= limits["max_in_flight"], seed
        assert stats.wasted <= limits["max_wasted_per_run"], seed
        wasted += stats.wasted
    assert wasted > 25


@pytest.mark.parametrize("way", WAYS)
def test_without_budgets_the_same_flood_would_overload_the_service(way: str) -> None:
    """
    The control: with budgets nobody reaches, the same guesses ask far more of the service than the plain graph.
    """
    service = Service(latency_s=0.003)
    script = _script(random.Random(1))
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.004), [service.tool()]),
        {"tools": {"look": EAGERLY}, "limits": PLENTY},
        predictor=Flood(1),
    )
    final(graph, way)
    assert len(service.asked) > sum(len(message.tool_calls) for message in script) + 25
    if way in ("invoke", "stream"):  # a body that blocks blocks the loop, one at a time
        assert service.early.peak > 4


@pytest.mark.tools_block  # the service is asked from wherever the body runs
@pytest.mark.parametrize("way", WAYS)
def test_right_guesses_cost_nothing(way: str) -> None:
    """
    Foreseen perfectly, the service is asked exactly as often as by the plain graph.
    """
    service, script = Service(), _script(random.Random(2))
    script = [ask(*{call["args"]["id"]: ("look", call["args"]) for call in m.tool_calls}.values()) for m in script[:-1]]
    script.append(AIMessage("done"))
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.005), [service.tool()]),
        {"tools": {"look": EAGERLY}},
        predictor=Oracle(script),
    )
    final(graph, way)
    stats, plain = speculation_of(graph).stats(), sum(len(message.tool_calls) for message in script)
    assert len(service.asked) <= plain + stats.wasted
    assert stats.wasted <= 1  # on a machine so busy that a body of no time takes a quarter second
    assert stats.hits >= plain - 1


@pytest.mark.parametrize("way", WAYS)
def test_each_of_many_runs_has_its_own_budget_and_no_more(way: str) -> None:
    """
    30 runs beside each other that guess nothing but wrong: at most `max_wasted_per_run` each.
    """
    service, runs = Service(), 30
    script = [ask(("look", {"id": 99})), ask(("look", {"id": 98})), AIMessage("done")]
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.002), [service.tool()]),
        {"tools": {"look": EAGERLY}, "limits": {"max_wasted_per_run": 2}},
        predictor=Flood(3),
    )
    beside_each_other(graph, way, [({"messages": [("user", "go")]}, None)] * runs)
    assert runs * 2 < len(service.asked) <= runs * (2 + 2)
    assert speculation_of(graph).stats().wasted <= runs * 2


class AlwaysWrong(Fixed):
    """Three guesses a turn, of other arguments each time, of the tools in turns."""

    def __init__(self, tools: Sequence[str]) -> None:
        super().__init__()
        self._fresh = itertools.count(1000)
        self._tools = itertools.cycle(tools)

    def predict(self, history: Any, *, k: int) -> Any:
        self._calls = tuple((next(self._tools), {"id": next(self._fresh)}) for _ in range(3))
        return super().predict(history, k=k)


@pytest.mark.tools_block  # the service is asked from wherever the body runs
@pytest.mark.parametrize("names", [["look"], ["look", "find"], ["look", "find", "read", "list", "peek"]])
@pytest.mark.parametrize("way", WAYS)
def test_guesses_that_never_come_true_stop_within_fifty(way: str, names: list[str]) -> None:
    """
    Over many runs, each with its own budget for waste; then they are only scored, and the owner can see why.
    """
    service = Service()
    tools = [service.tool(name) for name in names]
    script = [*(ask(("look", {"id": id})) for id in range(8)), AIMessage("done")]
    graph = speculate(
        agent_graph(ScriptedModel(script=script, pace_s=0.001), tools),
        {"tools": {key: {"read_only": True, "eagerness": "moderate"} for key in names}},  # however fast they are
        predictor=AlwaysWrong(names),
    )
    for _ in range(8):
        final(graph, way)
    stats = speculation_of(graph).stats()
    assert stats.predicted >= 8 * 8 * 3
    assert stats.launched <= 50
    assert stats.denied["breaker"] > 0
    assert len(service.asked) <= 8 * 8 + 50
    verdict = next(verdict for verdict in speculation_of(graph).explain() if verdict.tool == "look")
    assert (verdict.allowed, verdict.reason) == (False, "breaker")
    assert "more than they saved" in verdict.detail


def test_a_switch_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """
    With the figures that caused it.
    """
    service = Service()
    script = [*(ask(("look", {"id": id})) for id in range(8)), AIMessage("done")]
    graph = speculate(
        agent_graph(ScriptedModel(script=script), [service.tool()]),
        {"tools": {"look": {"read_only": True, "eagerness": "moderate"}}},
        predictor=AlwaysWrong(["look"]),
    )
    with caplog.at_level(logging.INFO, "langgraph_speculate"):
        for _ in range(4):
            final(graph, "invoke")
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert [line.split(":")[1].split(" is ")[0].strip() for line in lines] == ["pattern fixed", "tool look"]
    assert re.fullmatch(r"speculation: tool look is off \(worth: worth_s -0\.\d+, settled 16, pause_s 60\)", lines[1])
