"""T1 over random graphs: a search of the test's own says where something undeclared stands in between."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from agents import START_INPUT, WAYS, Fixed, ScriptedModel, State, World, ask, drive
from early import THREAD, ask_a_person, bodies, model_node, readers
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command

from langgraph_speculate import speculate, speculation_of

POLICY: dict[str, Any] = {"tools": {"read": True}}
KINDS = ("prep", "review", "router", "human")
DRAWN = ("edge", "branch", "annotated")
HIDDEN = {"command": "hidden", "no path map": "open"}  # by what keeps it out of the drawing: how a node goes on then


@dataclass
class Plan:
    """A graph to be built: by node, how it goes on and where to."""

    ways: dict[str, str] = field(default_factory=dict)
    targets: dict[str, list[str]] = field(default_factory=dict)
    tools: list[str] = field(default_factory=list)


def _plan(seed: int, hidden: str | None = None, more_tools: bool = False) -> Plan:
    """A random wiring; *hidden* lets nodes go on in a way that is not drawn."""
    rng = random.Random(seed)
    plan = Plan(tools=["tools", "tools2"] if more_tools else ["tools"])
    others = [f"{rng.choice(KINDS)}{number}" for number in range(rng.randint(0, 3))]
    others += ["model2"] if rng.random() < 0.2 else []
    every = ["model", *others, *plan.tools]
    plan.ways[START], plan.targets[START] = "edge", [rng.choice(["model", "model", *others])]
    for name in every:
        plain = name in plan.tools or name.startswith("model")
        plan.ways[name] = rng.choice(DRAWN[:2] if plain else DRAWN)
        if hidden is not None and rng.random() < 0.4 and not (plain and hidden == "command"):
            plan.ways[name] = HIDDEN[hidden]
        ahead = [other for other in every if other != name] + [END]
        count = 1 if plan.ways[name] == "edge" else rng.randint(1, min(3, len(ahead)))
        plan.targets[name] = rng.sample(ahead, count)
    return plan


def _stands_between(plan: Plan) -> bool:
    """Whether a path from a model that is ever reached to a tool node leads through a node that is neither."""

    def search(name: str, goal: str, seen: frozenset[str], met: bool) -> bool:
        for after in plan.targets.get(name, ()):
            if after == goal:
                if met:
                    return True
            elif after not in seen and not after.startswith("model"):
                found = search(after, goal, seen | {after}, met or after not in plan.tools)
                if found:
                    return True
        return False

    reached, rest = {START}, [START]
    while rest:
        new = set(plan.targets.get(rest.pop(), ())) - reached
        reached |= new
        rest += new
    models = [name for name in reached if name.startswith("model")]
    return any(search(model, goal, frozenset({model, END}), False) for model in models for goal in plan.tools)


def _node(name: str, plan: Plan, rng: random.Random) -> Any:
    """What a node does besides going on; a human asks through a helper, so that nothing but its place tells."""
    targets, commands = plan.targets[name], plan.ways[name] in ("annotated", "hidden")

    def body(state: State) -> Any:
        if name.startswith("human"):
            ask_a_person("ok?")
        return Command(goto=rng.choice(targets)) if commands else {}

    return body


def _build(plan: Plan, world: World, script: list[Any], seed: int) -> Any:
    rng = random.Random(seed)
    tools = readers(world, "read")
    model = ScriptedModel(script=script, pace_s=0.005)
    builder = StateGraph(State)
    for name, way in plan.ways.items():
        if name == START:
            continue
        if name.startswith("model"):
            builder.add_node(name, model_node(model, tools))
        elif name in plan.tools:
            builder.add_node(name, ToolNode(tools))
        else:
            announced = {"destinations": tuple(plan.targets[name])} if way == "annotated" else {}
            builder.add_node(name, _node(name, plan, rng), **announced)
    for name, way in plan.ways.items():
        targets = plan.targets[name]

        def choose(state: State, targets: list[str] = targets) -> str:
            return rng.choice(targets)

        if way == "edge":
            builder.add_edge(name, targets[0])
        elif way in ("branch", "open"):
            builder.add_conditional_edges(name, choose, *([targets] if way == "branch" else []))
    return builder.compile(checkpointer=InMemorySaver())


def _overtaken(seeds: range, *ingredients: Any) -> tuple[list[int], int]:
    """Seeds of the graphs in which something undeclared stands between and tools may run ahead; graphs that may."""
    wrong, free = [], 0
    for seed in seeds:
        plan = _plan(seed, *ingredients)
        graph = speculate(_build(plan, World(), [AIMessage("done")], seed), POLICY, predictor=Fixed())
        allowed = any(verdict.allowed for verdict in speculation_of(graph).explain())
        if allowed and _stands_between(plan):
            wrong.append(seed)
        free += allowed
    return wrong, free


def test_nothing_undeclared_is_overtaken_in_two_thousand_graphs() -> None:
    """
    0 graphs in which tools may run ahead although something stands on a path to them; in many nothing does, and there
    they may.
    """
    wrong, free = _overtaken(range(2000))
    assert wrong == []
    assert free > 200


@pytest.mark.parametrize("ingredients", [("command",), ("no path map",), (None, True)], ids=str)
def test_nothing_undeclared_is_overtaken_in_stranger_graphs(ingredients: tuple[Any, ...]) -> None:
    """
    The same with `Command(goto=...)` that no annotation announces, with conditional edges without a path map, and with
    two tool nodes one after the other.
    """
    assert _overtaken(range(400), *ingredients)[0] == []


def test_a_sample_of_them_keeps_its_word_when_it_runs() -> None:
    """
    A hundred of the graphs, run for real until a person is asked or the steps are used up: no early body where
    something stands in between, and early ones elsewhere.
    """
    script = [ask(("read", {"id": 1}), prefix=str(turn)) for turn in range(12)]
    guarded = free = 0
    for seed in range(100):
        plan, world = _plan(seed), World()
        graph = speculate(_build(plan, world, script, seed), POLICY, predictor=Fixed(("read", {"id": 1})))
        with contextlib.suppress(GraphRecursionError, ValueError):  # a ToolNode that is handed no calls says so
            drive(graph, WAYS[seed % 4], START_INPUT, {**THREAD, "recursion_limit": 6})
        early = len(bodies(world, when="early"))
        if _stands_between(plan):
            guarded += 1
            assert early == 0, seed
        else:
            free += early
    assert guarded > 20
    assert free > 20
