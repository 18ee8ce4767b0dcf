"""What it costs to show speculations in LangSmith: the same agent, traced, with and without them in its traces.

    python -m benchmarks.tracing

An agent asks for something four times; three of its calls are foreseen, each beside a guess that comes to nothing,
and one is not. Its model is `ChatOpenAI`, asked over HTTP, whose server takes 50 ms a message, and its tool takes 20
ms. All runs are traced by the real SDK into a server on loopback, which has them compressed, as the SDK expects of a
new one, or with `--uncompressed` as older ones had them. Both servers have processes of their own. With `--no-client`
the model is a few lines in this process that ask nobody: the adverse case, in which an agent does hardly anything but
be traced. In each round every agent makes 100 runs, ten at a time, and the agents take turns; what is sent counts
until it has arrived. A cost is the median over the rounds of what an agent took, as a ratio to the agent whose traces
say nothing of speculations, in the same round.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_openai import ChatOpenAI
from langsmith import Client, tracing_context

from benchmarks.command import rounds_parser, show
from benchmarks.elsewhere import elsewhere
from benchmarks.progress import progress
from benchmarks.surroundings import own_garbage, undisturbed
from benchmarks.variants import model_turns
from langgraph_speculate import SpeculationPolicy, ToolPolicy, speculate, speculation_of
from langgraph_speculate.core import Call, Candidate, History
from langgraph_speculate.demo.loopback import LoopbackServer, Pace, Reply
from tests.host.langsmith_server import LangSmithServer

_FIRST_LINE = (__doc__ or "").split("\n")[0]
RUNS = 100
AT_ONCE = 10
TOOL_TURNS = 4
UNFORESEEN = 2
MODEL_S, TOOL_S = 0.05, 0.02
ALONE, SUMMARY, FULL = "off", "summary", "full"
LIMIT = 0.05
PROMPT = "You look up orders for the support team of a shop. Answer in one short sentence, and name the order. " * 8
RECORD = '{"order": %d, "state": "sent", "items": [' + ", ".join(['{"sku": "A-1", "count": 2}'] * 20) + "]}"


ANSWER = "All four were sent."


def respond(messages: Sequence[Any], _tools: Sequence[Any]) -> Reply:
    """Ask for four orders, one after the other, then answer."""
    turn = sum(message["role"] == "assistant" for message in messages)
    pace = Pace.fixed(MODEL_S)
    if turn == TOOL_TURNS:
        return Reply(ANSWER, pace=pace)
    return Reply(tool_calls=[(f"call_{turn}", "get_order", {"order": turn})], pace=pace)


class PacedModel(BaseChatModel):
    """The same without a server and its client."""

    @property
    def _llm_type(self) -> str:
        return "paced"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        await asyncio.sleep(MODEL_S)
        turn = sum(isinstance(message, AIMessage) for message in messages)
        call = {"id": f"call_{turn}", "name": "get_order", "args": {"order": turn}}
        message = AIMessage("", tool_calls=[call]) if turn < TOOL_TURNS else AIMessage(ANSWER)
        return ChatResult(generations=[ChatGeneration(message=message)])


class MostlyRight:
    """Foresees three of the four calls, each time beside another one."""

    bounded = True

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        turn = model_turns(history)
        if turn == UNFORESEEN or turn >= TOOL_TURNS:
            return []
        return [Candidate(Call("get_order", {"order": order}), 0.9, "mostly right") for order in (turn, 100 + turn)]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        pass


@dataclass(frozen=True)
class Sample:
    """What a round of one agent took and sent."""

    wall_s: float
    processor_s: float
    operations: int
    bytes: int


def measure(
    rounds: int, runs: int, tell: Callable[[str], None], *, compressed: bool = True, client: bool = True
) -> dict[str, Any]:
    """The costs of each level over *rounds* of *runs* runs."""
    with undisturbed(), _model(client) as model, _server(compressed) as (url, sent):
        played = asyncio.run(_rounds(model, rounds, runs, url, sent, tell))
    return {"rounds": rounds, "runs": runs, "limit": LIMIT, "levels": _figures(played, runs)}


async def _rounds(
    model: BaseChatModel,
    rounds: int,
    runs: int,
    url: str,
    sent: Callable[[], tuple[int, int]],
    tell: Callable[[str], None],
) -> list[dict[str, Sample]]:
    client = Client(api_url=url, api_key="none")
    agents = {level: _agent(model, level) for level in (ALONE, SUMMARY, FULL)}
    played = []
    for number in range(rounds + 1):
        samples = {}
        start = number % len(agents)
        for level in [*agents, *agents][start : start + len(agents)]:
            with own_garbage():
                samples[level] = await _round(agents[level], runs, client, sent)
        played.append(samples)
        tell(f"{samples[SUMMARY].processor_s / samples[ALONE].processor_s - 1:+.1%}")
    for agent in agents.values():
        stats = speculation_of(agent).stats()
        assert stats.hits == (TOOL_TURNS - 1) * stats.runs, "every foreseen call is adopted"
    return played[1:]


async def _round(agent: Any, runs: int, client: Client, sent: Callable[[], tuple[int, int]]) -> Sample:
    places = asyncio.Semaphore(AT_ONCE)

    async def run() -> None:
        async with places:
            await agent.ainvoke({"messages": [("user", "Where are my four orders?")]})

    sent()
    began, processor = time.perf_counter(), time.process_time()
    with tracing_context(enabled=True, client=client, project_name="tracing"):
        await asyncio.gather(*(run() for _ in range(runs)))
    took_s = time.perf_counter() - began
    await asyncio.to_thread(client.flush)
    return Sample(took_s, time.process_time() - processor, *sent())


def _agent(model: BaseChatModel, level: Any) -> Any:
    once = ToolPolicy(read_only=True, eagerness="immediate")
    policy = SpeculationPolicy(tools={"get_order": once}, limits={"cool_down_s": 0, "max_in_flight": 8})  # type: ignore[arg-type]
    agent = create_agent(model, [_get_order()], system_prompt=PROMPT)
    return speculate(agent, policy, predictor=MostlyRight(), trace=level)


def _get_order() -> BaseTool:
    async def get_order(order: int) -> str:
        """Look up an order by its number."""
        await asyncio.sleep(TOOL_S)
        return RECORD % order

    return StructuredTool.from_function(coroutine=get_order)


@contextmanager
def _model(client: bool) -> Iterator[BaseChatModel]:
    if not client:
        yield PacedModel()
        return
    with elsewhere(_answer) as pipe:
        key: Any = "none"
        yield ChatOpenAI(model="scripted", base_url=pipe.recv(), api_key=key)


def _answer(pipe: Connection) -> None:
    with LoopbackServer(respond) as server:
        pipe.send(server.base_url)
        pipe.recv()


@contextmanager
def _server(compressed: bool) -> Iterator[tuple[str, Callable[[], tuple[int, int]]]]:
    """A server in a process of its own; yields its address, and what tells how much it was sent since it was asked."""
    with elsewhere(_serve, compressed) as pipe:

        def sent() -> tuple[int, int]:
            pipe.send("sent")
            operations, size = pipe.recv()
            return operations, size

        yield pipe.recv(), sent


def _serve(pipe: Connection, compressed: bool) -> None:
    with LangSmithServer(compressed=compressed) as server:
        pipe.send(server.url)
        while pipe.recv():
            pipe.send((server.operations, server.bytes))
            server.runs, server.bytes = {}, 0


def _figures(played: Sequence[Mapping[str, Sample]], runs: int) -> dict[str, Any]:
    def median(take: Callable[[Mapping[str, Sample]], float]) -> float:
        return statistics.median(take(samples) for samples in played)

    def of(level: str) -> dict[str, float]:
        return {
            "wall_ms": median(lambda one: one[level].wall_s / runs * 1000),
            "processor_ms": median(lambda one: one[level].processor_s / runs * 1000),
            "wall_extra": median(lambda one: one[level].wall_s / one[ALONE].wall_s - 1),
            "processor_extra": median(lambda one: one[level].processor_s / one[ALONE].processor_s - 1),
            "operations": median(lambda one: one[level].operations / runs),
            "kb": median(lambda one: one[level].bytes / runs / 1000),
        }

    return {level: of(level) for level in played[0]}


_COLUMNS = (
    *(("wall ms", 9), ("processor ms", 14), ("extra wall", 12), ("extra processor", 17)),
    *(("sent", 7), ("kB", 8)),
)


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures, for people."""
    yield f"{report['rounds']} rounds of {report['runs']} runs, medians; all figures are of one run"
    headings = "".join(f"{name:>{width}}" for name, width in _COLUMNS)
    yield f"{'trace':8}{headings}"
    for level, f in report["levels"].items():
        yield (
            f"{level:8} {f['wall_ms']:8.1f} {f['processor_ms']:13.2f} {f['wall_extra']:+11.1%}"
            f" {f['processor_extra']:+16.1%} {f['operations']:6.1f} {f['kb']:7.1f}"
        )


def main(argv: Sequence[str] | None = None) -> int:
    parser = rounds_parser("tracing", _FIRST_LINE, rounds=9)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of each agent in a round (default {RUNS})")
    parser.add_argument("--uncompressed", action="store_true", help="to a server that takes nothing compressed")
    parser.add_argument("--no-client", action="store_true", help="with a model in this process that asks nobody")
    options = parser.parse_args(argv)
    with progress("tracing", options.rounds + 1, quiet=options.quiet) as tell:
        how = {"compressed": not options.uncompressed, "client": not options.no_client}
        report = measure(options.rounds, options.runs, tell, **how)
    show(report, table, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
