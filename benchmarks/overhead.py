"""What the engine itself costs: an agent whose model and tools take no time, plain and wrapped.

    python -m benchmarks.overhead

The model lives in this process and answers at once; a run has 20 tool turns, 41 supersteps. Plain and wrapped agents
take turns in every round, on one core, with the garbage collector at rest; a cost is the median over the rounds of the
difference between two runs of the same round.

Three costs have a limit: wrapped but switched off, wrapped with nothing to run ahead (the tools are undeclared and the
default predictor works), and adopting every call (the predictor is perfect, and its own time is taken off).
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from benchmarks.command import rounds_parser, show
from benchmarks.progress import progress
from benchmarks.surroundings import no_collection, one_core, undisturbed
from benchmarks.variants import model_turns
from langgraph_speculate import SpeculationPolicy, ToolPolicy, speculate, speculation_of
from langgraph_speculate.core import Call, Candidate, History, Predictor
from langgraph_speculate.policy.levels import ENVIRONMENT_VARIABLE
from langgraph_speculate.predict import default_predictor

_FIRST_LINE = (__doc__ or "").split("\n")[0]
TOOL_TURNS = 20
MODEL_TURNS = TOOL_TURNS + 1
SUPERSTEPS = 2 * TOOL_TURNS + 1
PLAIN, OFF, IDLE, ADOPTING = "plain", "off", "nothing admitted", "adopting every call"


@dataclass(frozen=True)
class Limit:
    """The most that one state may cost.

    Attributes:
        micros: Microseconds.
        per: What they are counted for, in words.
        count: How many of those a run has.
    """

    micros: float
    per: str
    count: int


LIMITS: Mapping[str, Limit] = {
    OFF: Limit(60.0, "superstep", SUPERSTEPS),
    IDLE: Limit(500.0, "model turn", MODEL_TURNS),
    ADOPTING: Limit(300.0, "superstep", SUPERSTEPS),
}


class InstantModel(BaseChatModel):
    """Calls the tool 20 times, then answers; takes no time and shows the tools it binds."""

    @property
    def _llm_type(self) -> str:
        return "instant"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        turn = len(messages) // 2
        call = {"id": f"call_{turn}", "name": "look_up", "args": {"number": turn}}
        message = AIMessage("", tool_calls=[call]) if turn < TOOL_TURNS else AIMessage("done")
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        return self._generate(messages)


class Timed:
    """A predictor whose time is added up.

    Attributes:
        seconds: Spent in it since it was last set to 0.
    """

    def __init__(self, predictor: Predictor) -> None:
        self.bounded = getattr(predictor, "bounded", False)
        self.seconds = 0.0
        self._predictor = predictor

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        began = time.perf_counter()
        try:
            return self._predictor.predict(history, k=k)
        finally:
            self.seconds += time.perf_counter() - began

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        began = time.perf_counter()
        try:
            self._predictor.learn(history, calls)
        finally:
            self.seconds += time.perf_counter() - began


class Perfect:
    """Names the call that `InstantModel` is about to make."""

    bounded = True

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        turn = model_turns(history)
        return [Candidate(Call("look_up", {"number": turn}), 1.0, "perfect")] if turn < TOOL_TURNS else []

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        pass


@dataclass(frozen=True)
class Contender:
    """One agent to be timed: the graph, the switch in the environment, the predictor whose time is known."""

    graph: Any
    switch: str | None = None
    predictor: Timed | None = None


@dataclass(frozen=True)
class Sample:
    """One run: its seconds, and those of the predictor in it."""

    seconds: float
    predictor_s: float


EAGER = ToolPolicy(read_only=True, eagerness="immediate")
"""Of a tool that answers at once: no guess of it is worth it, but what one costs is to be seen."""


def contenders() -> dict[str, Contender]:
    """The plain agent, and the wrapped ones."""
    timed, perfect = Timed(default_predictor()), Timed(Perfect())
    declared = SpeculationPolicy(tools={"look_up": EAGER})
    return {
        PLAIN: Contender(_agent()),
        OFF: Contender(speculate(_agent(), declared, predictor=Perfect()), switch="off"),
        IDLE: Contender(speculate(_agent(), predictor=timed), predictor=timed),
        ADOPTING: Contender(speculate(_agent(), _without_budget(declared), predictor=perfect), predictor=perfect),
    }


def measure(rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """The costs of each state over *rounds*, for the sync and the async interface."""
    report: dict[str, Any] = {"rounds": rounds, "supersteps": SUPERSTEPS, "model_turns": MODEL_TURNS}
    with undisturbed(), one_core() as core:
        report["core"] = core
        sync = contenders()
        report["sync"] = _figures(_sync_rounds(sync, rounds, tell), sync)
        native = contenders()
        report["async"] = _figures(asyncio.run(_async_rounds(native, rounds, tell)), native)
    return report


def _agent() -> Any:
    return create_agent(InstantModel(), [_look_up()])


def _look_up() -> BaseTool:
    def look_up(number: int) -> str:
        """Look a number up."""
        return str(number)

    async def alook_up(number: int) -> str:
        return str(number)

    return StructuredTool.from_function(look_up, coroutine=alook_up)


def _without_budget(policy: SpeculationPolicy) -> SpeculationPolicy:
    """20 calls of one run are all adopted, so neither its budget nor a breaker, for it saves nothing, may end that."""
    limits: Any = {"max_per_run": 10 * TOOL_TURNS, "cool_down_s": 0}
    return SpeculationPolicy(tools=policy.tools, limits=limits)


def _sync_rounds(agents: Mapping[str, Contender], rounds: int, tell: Callable[[str], None]) -> list[dict[str, Sample]]:
    played = []
    for number in range(rounds + 1):
        samples = {}
        for name in _order(agents, number):
            with _timing(agents[name]) as take:
                agents[name].graph.invoke(_question(), _config())
                samples[name] = take()
        played.append(samples)
        tell("sync")
    return played[1:]


async def _async_rounds(
    agents: Mapping[str, Contender], rounds: int, tell: Callable[[str], None]
) -> list[dict[str, Sample]]:
    played = []
    for number in range(rounds + 1):
        samples = {}
        for name in _order(agents, number):
            with _timing(agents[name]) as take:
                await agents[name].graph.ainvoke(_question(), _config())
                samples[name] = take()
        played.append(samples)
        tell("async")
    return played[1:]


def _order(agents: Mapping[str, Contender], number: int) -> list[str]:
    names = list(agents)
    start = number % len(names)
    return names[start:] + names[:start]


def _question() -> dict[str, Any]:
    return {"messages": [("user", "Look all of them up.")]}


def _config() -> Any:
    return {"recursion_limit": 2 * SUPERSTEPS}


@contextmanager
def _timing(agent: Contender) -> Iterator[Callable[[], Sample]]:
    """Yields a function that stops the clock."""
    if agent.predictor is not None:
        agent.predictor.seconds = 0.0
    if agent.switch is not None:
        os.environ[ENVIRONMENT_VARIABLE] = agent.switch
    try:
        with no_collection():
            began = time.perf_counter()
            yield lambda: Sample(time.perf_counter() - began, agent.predictor.seconds if agent.predictor else 0.0)
    finally:
        os.environ.pop(ENVIRONMENT_VARIABLE, None)


def _figures(played: Sequence[Mapping[str, Sample]], agents: Mapping[str, Contender]) -> dict[str, Any]:
    figures: dict[str, Any] = {
        PLAIN: {"superstep_us": statistics.median(samples[PLAIN].seconds for samples in played) / SUPERSTEPS * 1e6}
    }
    for name, limit in LIMITS.items():
        own_s = statistics.median(samples[name].predictor_s for samples in played)
        extra_s = statistics.median(samples[name].seconds - samples[PLAIN].seconds for samples in played)
        counted_s = extra_s - own_s if name == ADOPTING else extra_s
        stats = speculation_of(agents[name].graph).stats()
        figures[name] = {
            "extra_us": extra_s / limit.count * 1e6,
            "predictor_us": own_s / limit.count * 1e6,
            "counted_us": counted_s / limit.count * 1e6,
            "per": limit.per,
            "limit_us": limit.micros,
            "within": counted_s / limit.count * 1e6 <= limit.micros,
            "hit_rate": stats.hits / stats.real_calls if stats.real_calls else 0.0,
        }
    return figures


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    core = "not pinned" if report["core"] is None else "on one core"
    yield f"{report['supersteps']} supersteps, {report['model_turns']} model turns; {report['rounds']} rounds, {core}"
    yield f"{'':6} {'':20} {'extra µs':>9} {'of it predictor':>15} {'counted':>8} {'limit':>6}  {'per':<10}   hits"
    for interface in ("sync", "async"):
        yield f"{interface:6} {PLAIN:20} {report[interface][PLAIN]['superstep_us']:9.0f} a superstep"
        for name in LIMITS:
            f = report[interface][name]
            verdict = "" if f["within"] else "  OVER"
            yield (
                f"{interface:6} {name:20} {f['extra_us']:+9.0f} {f['predictor_us']:15.0f} {f['counted_us']:+8.0f}"
                f" {f['limit_us']:6.0f}  {f['per']:<10} {f['hit_rate']:6.0%}{verdict}"
            )


def main(argv: Sequence[str] | None = None) -> int:
    parser = rounds_parser("overhead", _FIRST_LINE, rounds=15)
    options = parser.parse_args(argv)
    with progress("overhead", 2 * (options.rounds + 1), quiet=options.quiet) as tell:
        report = measure(options.rounds, tell)
    show(report, table, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
