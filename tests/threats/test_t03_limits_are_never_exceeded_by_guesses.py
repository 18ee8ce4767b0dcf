"""T3: limits on calls, steps and concurrency count what the plain graph counts, and leave room only for real calls."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest
from agents import START_INPUT, WAYS, Oracle, ScriptedModel, World, agent_graph, ask, drive, outcome
from early import THREAD, bodies, last_state, readers, transcript
from langchain.agents.middleware import ModelCallLimitMiddleware, ToolCallLimitMiddleware
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of

COUNTERS = ("run_tool_call_count", "thread_tool_call_count", "run_model_call_count", "thread_model_call_count")
NOISE = [("read", {"id": 90}), ("find", {"id": 91})]
WASTED = 4
BUDGET = {"max_wasted_per_run": WASTED, "max_per_turn": 10, "max_in_flight": 10}
OPEN: dict[str, Any] = {"tools": {"read": True, "find": True}, "limits": BUDGET}
SCRIPT = [
    ask(("read", {"id": 1}), ("find", {"id": 2})),
    ask(("read", {"id": 3}), prefix="d"),
    ask(("find", {"id": 4}), ("read", {"id": 5}), prefix="e"),
    AIMessage("done"),
]


class Side:
    """One of the two graphs that are compared, and what happened to it."""

    def __init__(
        self, by: str, script: list[Any], middleware: list[Any], policy: Any = OPEN, noise: Any = NOISE
    ) -> None:
        self.world = World()
        oracle = Oracle(script, also=noise)
        inside = [SpeculationMiddleware(policy, predictor=oracle)] if by == "middleware" else []
        self.graph = agent_graph(
            ScriptedModel(script=script, pace_s=0.0 if by == "plain" else 0.006),
            readers(self.world),
            middleware=[*middleware, *inside],
            checkpointer=InMemorySaver(),
        )
        if by == "speculate":
            self.graph = speculate(self.graph, policy, predictor=oracle)
        self.handle = inside[0].speculation if inside else speculation_of(self.graph) if by == "speculate" else None

    def run(self, way: str, runs: int, config: Any = THREAD, **kwargs: Any) -> list[Any]:
        """Several runs of one thread: what each ends with, and LangChain's counters after it."""
        seen = []
        for _ in range(runs):
            seen.append(outcome(lambda: transcript(last_state(self.graph, way, START_INPUT, config, **kwargs))))
            values = self.graph.get_state(config).values
            seen.append({name: values.get(name) for name in COUNTERS})
        return seen


def _limited(**settings: Any) -> list[Any]:
    with contextlib.suppress(ValueError):  # no limit at all, or one below the other
        return [ToolCallLimitMiddleware(**settings)]
    return []


@pytest.mark.parametrize("exit_behavior", ["continue", "error", "end"])
@pytest.mark.parametrize(
    "limit", [{"run_limit": n} for n in range(6)] + [{"thread_limit": n} for n in range(6)], ids=repr
)
@pytest.mark.parametrize("by", ["speculate", "middleware"])
def test_a_tool_with_a_limit_of_its_own_runs_as_often_as_in_plain(by: str, limit: Any, exit_behavior: Any) -> None:
    """
    Without a word in its entry such a tool never runs ahead: same bodies, same answers, same counters over three runs
    of a thread; the other tool does run ahead.
    """
    way = WAYS[sum(limit.values()) % 4]
    script = [SCRIPT[0], SCRIPT[1], AIMessage("done")]
    settings = {"tool_name": "read", "exit_behavior": exit_behavior, **limit}
    plain, other = (Side(which, script, _limited(**settings), noise=()) for which in ("plain", by))
    assert other.run(way, 3) == plain.run(way, 3)
    assert sorted(bodies(other.world, "read")) == sorted(bodies(plain.world, "read"))  # parallel ones in any order
    assert bodies(other.world, "read", "early") == []
    assert other.handle.stats().by_tool["find"].launched > 0
    assert {verdict.tool: verdict.reason for verdict in other.handle.explain()}["read"] == "call_limit"


@pytest.mark.parametrize("most", range(6))
@pytest.mark.parametrize("kind", ["run_limit", "thread_limit"])
@pytest.mark.parametrize("way", WAYS)
def test_a_limit_on_all_tools_leaves_room_for_no_more_than_it_allows(way: str, kind: str, most: int) -> None:
    """
    Bodies of a run, real and early ones: no more than the limit and what a run may waste; early ones alone never more
    than the limit.
    """
    settings: dict[str, Any] = {kind: most}
    plain, other = (Side(which, SCRIPT, _limited(**settings)) for which in ("plain", "speculate"))
    for number in range(3):
        before = len(bodies(other.world)), len(bodies(other.world, when="early"))
        assert other.run(way, 1) == plain.run(way, 1)
        after = len(bodies(other.world)), len(bodies(other.world, when="early"))
        assert after[0] - before[0] <= most + WASTED
        assert after[1] - before[1] <= most
        if kind == "thread_limit":
            assert after[0] <= most + WASTED * (number + 1)
    if most == 0:
        assert bodies(other.world) == []
    if most >= 3:
        assert other.handle.stats().hits > 0


@pytest.mark.parametrize("noise", [(), NOISE], ids=["perfect", "noisy"])
@pytest.mark.parametrize("most", range(6))
@pytest.mark.parametrize("kind", ["run_limit", "thread_limit"])
@pytest.mark.parametrize("way", ["invoke", "astream"])
def test_an_entrys_own_limits_bound_real_and_early_bodies_together(way: str, kind: str, most: int, noise: Any) -> None:
    """
    `run_limit` and `thread_limit` of an entry: no early body starts that would be one more than the limit. Real calls
    are never denied.
    """
    policy = {"tools": {"read": {"read_only": True, kind: most}, "find": True}, "limits": BUDGET}
    settings: dict[str, Any] = {"tool_name": "read", kind: most}
    plain, other = (Side(which, SCRIPT, _limited(**settings), policy, noise) for which in ("plain", "speculate"))
    for number in range(3):
        before = len(bodies(other.world, "read", "early"))
        assert other.run(way, 1) == plain.run(way, 1)
        early, every = bodies(other.world, "read", "early"), bodies(other.world, "read")
        assert len(early) - before <= most
        if kind == "thread_limit":
            assert len(early) <= most
        assert len(every) <= len(bodies(plain.world, "read")) + min(most * (number + 1), len(early))
    if most >= 2 and not noise:
        assert other.handle.stats().by_tool["read"].hits > 0
    if most == 0:
        assert bodies(other.world, "read", "early") == []


@pytest.mark.parametrize("exit_behavior", ["end", "error"])
@pytest.mark.parametrize(
    "limit", [{"run_limit": n} for n in range(1, 5)] + [{"thread_limit": n} for n in (2, 4)], ids=repr
)
@pytest.mark.parametrize("way", WAYS)
def test_a_limit_on_model_calls_is_the_plain_graphs(way: str, limit: Any, exit_behavior: Any) -> None:
    """
    Same end at the same step with the same counters; tools run ahead of the model calls that are left.
    """
    made = [ModelCallLimitMiddleware(exit_behavior=exit_behavior, **limit) for _ in range(2)]
    plain, other = Side("plain", SCRIPT, [made[0]]), Side("speculate", SCRIPT, [made[1]])
    assert other.run(way, 3) == plain.run(way, 3)
    assert other.handle.stats().hits > 0


@pytest.mark.parametrize("steps", range(1, 9))
@pytest.mark.parametrize("way", WAYS)
def test_the_recursion_limit_is_the_plain_graphs(way: str, steps: int) -> None:
    """
    Speculation takes no steps: same error at the same limit, same result beyond it.
    """
    plain, other = Side("plain", SCRIPT, []), Side("speculate", SCRIPT, [])
    config = {**THREAD, "recursion_limit": steps}
    assert other.run(way, 1, config) == plain.run(way, 1, config)
    assert set(bodies(other.world, when="real")) <= set(bodies(plain.world))
    assert other.handle.stats().launched > 0


@pytest.mark.parametrize("given", ["call", "bound", None])
@pytest.mark.parametrize("by", ["speculate", "middleware"])
@pytest.mark.parametrize("way", WAYS)
def test_a_bound_on_concurrency_keeps_every_early_body_away(way: str, by: str, given: str | None) -> None:
    """
    Under `max_concurrency`, given with the call or bound to the graph, no body runs that the bound does not know of.
    """
    other = Side(by, SCRIPT, [])
    graph = other.graph.with_config({"max_concurrency": 1}) if given == "bound" else other.graph
    drive(graph, way, START_INPUT, {**THREAD, "max_concurrency": 1} if given == "call" else THREAD)
    assert (other.handle.stats().launched > 0) == (given is None)
    if given is not None:
        assert sorted(bodies(other.world)) == [1, 2, 3, 4, 5]


def _program(rng: random.Random) -> tuple[list[Any], list[dict[str, Any]], dict[str, Any]]:
    """A script, limits and a policy."""
    turns = []
    for turn in range(rng.randint(1, 4)):
        calls = [(rng.choice(["read", "find"]), {"id": rng.randint(1, 4)}) for _ in range(rng.randint(1, 3))]
        turns.append(ask(*calls, prefix=f"c{turn}"))
    limits = []
    for name in rng.choice([[None], ["read"], [None, "read"]]):
        limit: dict[str, Any] = {rng.choice(["run_limit", "thread_limit"]): rng.randint(0, 5)}
        # "end" refuses parallel calls of other tools: as an error of the plain graph it is compared like all others.
        limits.append({"tool_name": name, "exit_behavior": rng.choice(["continue", "error", "end"]), **limit})
    entry: dict[str, Any] = {"read_only": True}
    if rng.random() < 0.5:
        entry |= {"run_limit": rng.randint(0, 5), "thread_limit": rng.randint(0, 5)}
    return [*turns, AIMessage("done")], limits, {"tools": {"read": entry, "find": True}, "limits": BUDGET}


def test_a_hundred_programs_keep_to_their_limits() -> None:
    """
    Random scripts, limits, policies and wrong guesses over three runs of a thread: answers and counters of the plain
    graph; a denied tool runs exactly as often; all others within limit and budget.
    """
    hits = launched = 0
    for seed in range(100):
        rng = random.Random(seed)
        script, limits, policy = _program(rng)
        way, noise = WAYS[seed % 4], rng.sample(NOISE, rng.randint(0, 2))
        plain, other = (
            Side(which, script, [ToolCallLimitMiddleware(**limit) for limit in limits], policy, noise)
            for which in ("plain", "speculate")
        )
        for number in range(3):
            before = len(bodies(other.world, when="early"))
            assert other.run(way, 1) == plain.run(way, 1), seed
            early = len(bodies(other.world, when="early"))
            for limit in limits:
                most = limit.get("run_limit", limit.get("thread_limit"))
                if limit["tool_name"] is None:
                    assert early - before <= most, seed
                    real = len(bodies(other.world)) - len(bodies(plain.world))
                    assert real <= WASTED * (number + 1), seed
                elif "run_limit" not in policy["tools"]["read"]:
                    assert sorted(bodies(other.world, "read")) == sorted(bodies(plain.world, "read")), seed
        stats = other.handle.stats()
        hits, launched = hits + stats.hits, launched + stats.launched
    assert hits > 100
    assert launched > 1.5 * hits
