"""What listening to the model's stream costs: microseconds of the run's observer for each piece of a message.

    python -m benchmarks.stream_overhead

Inside of the model's node the pieces of a long message go through the callback manager that LangChain made for it, as
they do when a model streams: 2,000 pieces of text and 500 pieces of one call's arguments, four characters each; then,
in a message of its own, 500 pieces of nested arguments, where braces close all the time. The time is compared with that
of the same graph, not wrapped, with a handler that ignores the same and does nothing: what LangChain takes for having
any handler is not the observer's. Agents take turns in every round, on one core, with the garbage collector at rest.
What counts is the processor's time in the thread that tells the pieces; a cost is the median over the rounds of the
difference within a round.

Three states: no tool may run ahead; tools may, but nothing is predicted; and four candidates are in flight, which the
arguments contradict with their last piece only. That piece is timed apart: a call may start with it.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field

from benchmarks.command import rounds_parser, show
from benchmarks.overhead import EAGER
from benchmarks.progress import progress
from benchmarks.surroundings import no_collection, one_core, undisturbed
from benchmarks.variants import model_turns
from langgraph_speculate import SpeculationPolicy, speculate
from langgraph_speculate.core import Call, Candidate, History, Predictor
from langgraph_speculate.host.observer import ModelsOnly
from langgraph_speculate.policy import Limits
from langgraph_speculate.predict import Never

_FIRST_LINE = (__doc__ or "").split("\n")[0]
TEXT_PIECES, ARGUMENT_PIECES, _PIECE_CHARS = 2000, 500, 4
BARE, HANDLER = "no handler", "idle handler"
FORBIDDEN, NOTHING, IN_FLIGHT = "nothing may run ahead", "nothing is predicted", "four are in flight"
STATES = (FORBIDDEN, NOTHING, IN_FLIGHT)
TEXT, ARGUMENTS, NESTED, LAST = "text", "arguments", "nested arguments", "last of the arguments"
LIMITS_US: Mapping[str, float] = {TEXT: 1.0, ARGUMENTS: 5.0, NESTED: 5.0}
"""The most that a piece of each kind may cost."""
_CANDIDATES = 4
TURNS = range(2)
_PATIENCE_S = 10.0


def arguments(turn: int, ending: str) -> dict[str, Any]:
    """What the call of a turn is made with: 2,000 characters as JSON, the last of its text being *ending*.

    >>> [len(json.dumps(arguments(turn, "."))) for turn in (0, 1)]
    [2000, 2000]
    """
    chars = ARGUMENT_PIECES * _PIECE_CHARS
    made: dict[str, Any] = {"items": [{"a": {"b": 1}} for _ in range(100)]} if turn else {}
    made["text"] = ""
    return {**made, "text": "x" * (chars - len(json.dumps(made)) - 1) + ending}


def call(turn: int) -> dict[str, Any]:
    """The tool call of a turn."""
    return {"id": f"call_{turn}", "name": "look_up", "args": arguments(turn, ".")}


@cache
def sections(turn: int) -> list[tuple[str | None, list[ChatGenerationChunk]]]:
    """The pieces of a turn's message: what kind each is, or None where it is not timed."""
    whole = json.dumps(arguments(turn, "."))
    texts = [AIMessageChunk(content="word") for _ in range(TEXT_PIECES)] if turn == 0 else []
    name = [_argument_piece("", name="look_up", id=f"call_{turn}")]
    pieces = [_argument_piece(whole[at : at + _PIECE_CHARS]) for at in range(0, len(whole), _PIECE_CHARS)]
    cut: list[tuple[str | None, list[AIMessageChunk]]] = [
        (TEXT, texts),
        (None, name),
        (NESTED if turn else ARGUMENTS, pieces[:-1]),
        (LAST, pieces[-1:]),
    ]
    return [(kind, [ChatGenerationChunk(message=message) for message in messages]) for kind, messages in cut]


class Meter:
    """What is measured in one run.

    Args:
        expected: Early bodies that have to be running before the pieces of a message are told.

    Attributes:
        seconds: By kind of piece.
        counts: How many pieces of each kind there were.
    """

    def __init__(self, expected: int) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.counts: Counter[str] = Counter()
        self._expected = expected
        self._running: Counter[int] = Counter()
        self._over = (threading.Event(), threading.Event())
        self._asleep: list[asyncio.Event] = []
        self._lock = threading.Lock()

    def add(self, kind: str | None, pieces: int, seconds: float) -> None:
        """So many pieces took so long."""
        if kind is not None and pieces:
            self.seconds[kind] += seconds
            self.counts[kind] += pieces

    def micros(self, kind: str) -> float:
        """Microseconds for each piece."""
        return self.seconds[kind] / self.counts[kind] * 1e6

    def enter(self, turn: int) -> None:
        """An early body began."""
        with self._lock:
            self._running[turn] += 1

    def stay(self, turn: int) -> None:
        """Block until the turn's message is over."""
        self._over[turn].wait(_PATIENCE_S)

    async def astay(self) -> None:
        """`stay` on the loop of the run."""
        awake = asyncio.Event()
        self._asleep.append(awake)
        await awake.wait()

    def waiting(self, turn: int) -> Iterator[float]:
        """Seconds to sleep, again and again, until the early bodies of a turn run."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._running[turn] < self._expected:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._running[turn]} candidates in flight instead of {self._expected}")
            yield 0.001

    def end(self, turn: int) -> None:
        """The turn's message is over."""
        self._over[turn].set()
        for asleep in self._asleep:
            asleep.set()
        self._asleep.clear()


class StreamingModel(BaseChatModel):
    """Tells two long messages to its callback manager, piece by piece, and takes the time; then it answers."""

    meter: Any = Field(default=None, repr=False)  # a run's log of the model would show it

    @property
    def _llm_type(self) -> str:
        return "streaming"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        turn = len(messages) // 2
        if turn not in TURNS:
            return _result(AIMessage("done"))
        for seconds in self.meter.waiting(turn):
            time.sleep(seconds)
        for kind, chunks in sections(turn):
            began = time.thread_time()
            for chunk in chunks:
                run_manager.on_llm_new_token(chunk.message.content, chunk=chunk)
            self.meter.add(kind, len(chunks), time.thread_time() - began)
        self.meter.end(turn)
        return _result(AIMessage("", tool_calls=[call(turn)]))

    async def _agenerate(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> ChatResult:
        turn = len(messages) // 2
        if turn not in TURNS:
            return _result(AIMessage("done"))
        for seconds in self.meter.waiting(turn):
            await asyncio.sleep(seconds)
        for kind, chunks in sections(turn):
            began = time.thread_time()
            for chunk in chunks:
                await run_manager.on_llm_new_token(chunk.message.content, chunk=chunk)
            self.meter.add(kind, len(chunks), time.thread_time() - began)
        self.meter.end(turn)
        return _result(AIMessage("", tool_calls=[call(turn)]))


class NearlyRight:
    """Names four calls that are wrong with the last of their text only."""

    bounded = True

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        turn = model_turns(history)
        if turn not in TURNS:
            return []
        endings = range(_CANDIDATES)
        return [Candidate(Call("look_up", arguments(turn, str(n))), 0.9, "nearly right") for n in endings]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        pass


class Idle(ModelsOnly):
    """Ignores what the run's observer ignores, and does nothing with the rest."""

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        pass

    def on_llm_new_token(self, *args: Any, **kwargs: Any) -> None:
        pass


@dataclass(frozen=True)
class Contender:
    """One agent to be timed: the graph, its model, a handler to give it, how many early bodies it has to have."""

    graph: Any
    model: StreamingModel
    handler: BaseCallbackHandler | None = None
    expected: int = 0

    def start(self) -> tuple[Meter, dict[str, Any], Any]:
        """A new meter, and what to invoke the graph with."""
        self.model.meter = Meter(self.expected)
        config = {"callbacks": [self.handler]} if self.handler is not None else {}
        return self.model.meter, {"messages": [("user", "Look it all up.")]}, config


def contenders() -> dict[str, Contender]:
    """The plain agent without and with a handler, and the wrapped ones."""
    # What the first message contradicted may still be on its way out when the second begins.
    limits = Limits(max_in_flight=2 * _CANDIDATES, max_per_turn=_CANDIDATES, max_wasted_per_run=10 * _CANDIDATES)
    declared = SpeculationPolicy(tools={"look_up": EAGER}, limits=limits)
    return {
        BARE: _contender(),
        HANDLER: _contender(handler=Idle()),
        FORBIDDEN: _contender(SpeculationPolicy(), Never()),
        NOTHING: _contender(declared, Never()),
        IN_FLIGHT: _contender(declared, NearlyRight(), expected=_CANDIDATES),
    }


def measure(rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """The costs of each state over *rounds*, for the sync and the async interface."""
    report: dict[str, Any] = {"rounds": rounds, "text_pieces": TEXT_PIECES, "argument_pieces": ARGUMENT_PIECES}
    with undisturbed(), one_core() as core:
        report["core"] = core
        report["sync"] = figures(_sync_rounds(contenders(), rounds, tell))
        report["async"] = figures(asyncio.run(_async_rounds(contenders(), rounds, tell)))
    return report


def figures(played: Sequence[Mapping[str, Meter]]) -> dict[str, Any]:
    """What a piece of each kind costs: any handler, and in each state the observer more than that."""

    def extra(name: str, base: str, kind: str) -> float:
        return statistics.median(meters[name].micros(kind) - meters[base].micros(kind) for meters in played)

    found: dict[str, Any] = {
        HANDLER: {kind: {"extra_us": extra(HANDLER, BARE, kind)} for kind in (TEXT, ARGUMENTS, NESTED, LAST)}
    }
    for state in STATES:
        found[state] = {}
        for kind in (TEXT, ARGUMENTS, NESTED, LAST):
            extra_us, limit_us = extra(state, HANDLER, kind), LIMITS_US.get(kind)
            within = None if limit_us is None else extra_us <= limit_us
            found[state][kind] = {"extra_us": extra_us, "limit_us": limit_us, "within": within}
    return found


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    core = "not pinned" if report["core"] is None else "on one core"
    yield (
        f"{report['text_pieces']} pieces of text, {report['argument_pieces']} of arguments; "
        f"{report['rounds']} rounds, {core}; microseconds of the processor a piece"
    )
    yield f"{'':6} {'':24} {TEXT:>8} {ARGUMENTS:>10} {NESTED:>17} {LAST:>22}"
    for interface in ("sync", "async"):
        for name, costs in report[interface].items():
            over = [kind for kind, cost in costs.items() if cost.get("within") is False]
            text, flat, nested, last = (costs[kind]["extra_us"] for kind in (TEXT, ARGUMENTS, NESTED, LAST))
            yield (
                f"{interface:6} {name:24} {text:+8.2f} {flat:+10.2f} {nested:+17.2f} {last:+22.1f}"
                f"{'  OVER: ' + ', '.join(over) if over else ''}"
            )
    limits = ", ".join(f"{kind} {limit:g}" for kind, limit in LIMITS_US.items())
    yield f"limits of the observer, on top of the idle handler: {limits}"


def _contender(
    policy: SpeculationPolicy | None = None,
    predictor: Predictor | None = None,
    *,
    handler: BaseCallbackHandler | None = None,
    expected: int = 0,
) -> Contender:
    model = StreamingModel()
    graph = create_agent(model, [_look_up(model)])
    wrapped = graph if policy is None else speculate(graph, policy, predictor=predictor)
    return Contender(wrapped, model, handler, expected)


def _look_up(model: StreamingModel) -> BaseTool:
    """A tool whose body takes no time for the calls that are made, and all of the message for those that are not."""

    def early(text: str, items: list[Any] | None) -> int | None:
        turn = 0 if items is None else 1
        if text.endswith("."):
            return None
        model.meter.enter(turn)
        return turn

    def look_up(text: str, items: list[Any] | None = None) -> str:
        """Look something up."""
        turn = early(text, items)
        if turn is not None:
            model.meter.stay(turn)
        return "found"

    async def alook_up(text: str, items: list[Any] | None = None) -> str:
        if early(text, items) is not None:
            await model.meter.astay()
        return "found"

    return StructuredTool.from_function(look_up, coroutine=alook_up)


def _sync_rounds(agents: Mapping[str, Contender], rounds: int, tell: Callable[[str], None]) -> list[dict[str, Meter]]:
    played = []
    for number in range(rounds + 1):
        meters = {}
        with no_collection():
            for name in _order(agents, number):
                meters[name], question, config = agents[name].start()
                agents[name].graph.invoke(question, config)
        played.append(meters)
        tell("sync")
    return played[1:]


async def _async_rounds(
    agents: Mapping[str, Contender], rounds: int, tell: Callable[[str], None]
) -> list[dict[str, Meter]]:
    played = []
    for number in range(rounds + 1):
        meters = {}
        with no_collection():
            for name in _order(agents, number):
                meters[name], question, config = agents[name].start()
                await agents[name].graph.ainvoke(question, config)
        played.append(meters)
        tell("async")
    return played[1:]


def _order(agents: Mapping[str, Contender], number: int) -> list[str]:
    names = list(agents)
    start = number % len(names)
    return names[start:] + names[:start]


def _result(message: AIMessage) -> ChatResult:
    return ChatResult(generations=[ChatGeneration(message=message)])


def _argument_piece(text: str, *, name: str | None = None, id: str | None = None) -> AIMessageChunk:
    return AIMessageChunk(content="", tool_call_chunks=[{"name": name, "args": text, "id": id, "index": 0}])


def main(argv: Sequence[str] | None = None) -> int:
    parser = rounds_parser("stream_overhead", _FIRST_LINE, rounds=40)
    options = parser.parse_args(argv)
    with progress("stream overhead", 2 * (options.rounds + 1), quiet=options.quiet) as tell:
        report = measure(options.rounds, tell)
    show(report, table, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
