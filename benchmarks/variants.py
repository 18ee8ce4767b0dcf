"""The agents that are compared: the plain one, ours with several predictors, and eager-tools-langgraph.

Ours is trained beforehand; the oracle knows the recorded message that comes next, and the always-wrong predictor never
names a call that is made. All go through the same gate, limits and runner.
"""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool

from benchmarks.script import Script
from benchmarks.traces import Run
from benchmarks.world import world_of_run
from langgraph_speculate import SpeculationPolicy, speculate
from langgraph_speculate.core import Call, Candidate, History, Predictor
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.core.memory import Expectation, Memory, Result
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.predict import default_predictor
from langgraph_speculate.replay.recollection import Recollection

PLAIN, OURS, ORACLE, WRONG, EAGER = "plain", "ours", "oracle", "always wrong", "eager-tools"
AHEAD, WITH_AHEAD, DELUDED = "model ahead", "both", "wrong memory"
EAGER_INSTALLED = importlib.util.find_spec("eager_tools_langgraph") is not None
SYSTEM_PROMPT = "You are a helpful assistant. Use the tools."
Declared = Mapping[str, Mapping[str, Any]]
"""What a policy says of tools, by name, besides whether they only read."""

NOTHING: Declared = {}
_MISTAKES = 3  # guesses of the always-wrong predictor for each message: as many as may run


@dataclass(frozen=True)
class Oracle:
    """Names the calls of the next recorded message, each with probability 1."""

    bounded = True

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        script, place = world_of_run().script, model_turns(history)
        calls = script.steps[place].calls if place < len(script.steps) else ()
        return [Candidate(recorded.call, 1.0, "oracle") for recorded in calls[:k]]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        pass


class AlwaysWrong:
    """Names calls to reading tools with arguments that were once right, but for one value; each with probability 0.9.

    Args:
        scripts: Where it takes calls from.
        reading: For each tool whether it only reads.
    """

    bounded = True

    def __init__(self, scripts: Sequence[Script], reading: Mapping[str, bool]) -> None:
        self._calls = [_mistaken(call) for call in _calls_made(scripts, reading)]

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        if not self._calls:
            return []
        start = len(history.events) * _MISTAKES
        chosen = {(start + number) % len(self._calls) for number in range(min(k, _MISTAKES))}
        return [Candidate(self._calls[at], 0.9, "always wrong") for at in sorted(chosen)]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        pass


class Guessing:
    """Names calls that were once made, any of them, and says any probability.

    Args:
        scripts: Where it takes calls from.
        reading: For each tool whether it only reads.
        seed: Draws them.
    """

    bounded = True

    def __init__(self, scripts: Sequence[Script], reading: Mapping[str, bool], seed: int) -> None:
        self._calls = _calls_made(scripts, reading)
        self._draw = random.Random(seed)

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        chosen = self._draw.sample(self._calls, min(k, _MISTAKES, len(self._calls)))
        return [Candidate(call, self._draw.random(), "random") for call in chosen]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        pass


class Deluded(Memory):
    """Expects of every call what no tool ever answers, and is sure of it."""

    def expect(self, partition: str, tool: str, key: str) -> Expectation | None:
        result = Result.of({"content": "never said", "status": "success"})
        return None if result is None else Expectation(result, 0.9)

    def learn(self, *_: Any) -> None:
        pass


class Frozen:
    """A predictor that has stopped learning.

    Args:
        predictor: What it learned so far is all it knows.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.bounded = getattr(predictor, "bounded", False)
        self._predictor = predictor

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return self._predictor.predict(history, k=k)

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        pass


def taught_by(runs: Iterable[Run]) -> Predictor:
    """The default predictor, which has seen *runs*.

    Threads are worlds of their own here, but the users of one service, so they learn together.
    """
    predictor = default_predictor(apart=False)
    for run in runs:
        for history, calls in run.decisions():
            predictor.learn(history, calls)
    return predictor


def previewing_agent(
    model: BaseChatModel,
    tools: Sequence[BaseTool],
    reading: Mapping[str, bool],
    predictor: Predictor,
    runs: Iterable[Run],
    *,
    alone: bool,
    declared: Declared = NOTHING,
    wrong: bool = False,
    **settings: Any,
) -> Any:
    """The agent whose model calls start on what tools answered in *runs*; *alone*, no tool runs ahead besides.

    Threads are worlds of their own here, but what tools answered in others is known to all. A *wrong* memory has never
    been right, and never finds out.
    """
    limits = {"limits": {"max_in_flight": 0}} if alone else {}
    shared = {tool.name: {**declared.get(tool.name, {}), "shared_results": True} for tool in tools}
    agent = speculating_agent(model, tools, reading, predictor, declared=shared, model_ahead=True, **limits, **settings)
    engine = agent.speculation_engine
    if wrong:
        engine.memory = Deluded({}, {})
        return agent

    def facts(tool: str) -> ToolFacts:
        return ToolFacts(tool, engine.policy.rule_for(tool))

    for run in runs if engine.memory is not None else ():
        Recollection(engine.memory, facts, run.id, Epochs()).take_in(run)
    return agent


def model_turns(history: History) -> int:
    """How many messages of the model a history holds."""
    return sum(type(event).__name__ == "ModelTurn" for event in history.events)


def plain_agent(
    model: BaseChatModel, tools: Sequence[BaseTool], middleware: Sequence[AgentMiddleware[Any, Any]] = ()
) -> Any:
    """The agent that all others are compared with."""
    return create_agent(model, list(tools), system_prompt=SYSTEM_PROMPT, middleware=middleware)


def speculating_agent(
    model: BaseChatModel,
    tools: Sequence[BaseTool],
    reading: Mapping[str, bool],
    predictor: Predictor | None,
    middleware: Sequence[AgentMiddleware[Any, Any]] = (),
    *,
    declared: Declared = NOTHING,
    **settings: Any,
) -> Any:
    """The same agent with tools run ahead; those that only read are declared, with every default but for *settings*.

    Each performance has a world of its own, so a write in one does not concern another: they are partitioned by thread.

    Args:
        model: Of the agent.
        tools: Its tools.
        reading: For each tool whether it only reads.
        predictor: Who guesses.
        middleware: Around model and tools.
        declared: What else is said of tools, by name.
        settings: Of the policy.
    """
    entries = {tool.name: {"read_only": reading[tool.name], **declared.get(tool.name, {})} for tool in tools}
    policy = SpeculationPolicy(tools=entries, partition_by=("thread_id",), **settings)  # type: ignore[arg-type]
    return speculate(plain_agent(model, tools, middleware), policy, predictor=predictor)


def eager_agent(
    model: BaseChatModel,
    tools: Sequence[BaseTool],
    reading: Mapping[str, bool],
    middleware: Sequence[AgentMiddleware[Any, Any]] = (),
) -> Any:
    """The same agent with the eager-tools middleware, its reading tools declared idempotent.

    It stands after the first of the other middleware, so that there is some on both sides of it.
    """
    from eager_tools_langgraph import eager_middleware

    eager = {tool.name: _EagerTool(tool, reading[tool.name]) for tool in tools}
    around = [*middleware[:1], eager_middleware(eager), *middleware[1:]]
    return create_agent(model, list(tools), system_prompt=SYSTEM_PROMPT, middleware=around)


class _EagerTool:
    """A tool as eager-tools takes it."""

    def __init__(self, tool: BaseTool, idempotent: bool) -> None:
        self.name = tool.name
        self.idempotent = idempotent
        self._tool = tool

    async def __call__(self, arguments: dict[str, Any]) -> Any:
        answer = await self._tool.ainvoke(arguments)
        return answer.content if isinstance(answer, ToolMessage) else answer


def _calls_made(scripts: Sequence[Script], reading: Mapping[str, bool]) -> list[Call]:
    """Every call to a reading tool, once."""
    made = {r.call for script in scripts for step in script.steps for r in step.calls if reading[r.call.name]}
    return sorted(made, key=lambda call: call.key)


def _mistaken(call: Call) -> Call:
    """*call* with its first text changed, or else with an argument that nobody uses."""
    text = next((name for name, value in call.args.items() if isinstance(value, str)), None)
    if text is None:
        return Call(call.name, {**call.args, "mistaken": True})
    return Call(call.name, {**call.args, text: f"{call.args[text]} (mistaken)"})
