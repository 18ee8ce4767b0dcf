"""How long the model's first token takes with model calls that start on remembered results, beside the plain agent.

    python -m benchmarks.first_token
    python -m benchmarks.first_token --virtual

An agent makes eight calls of a tool, one after the other; a server on loopback, in a process of its own, streams the
model's messages to `ChatOpenAI`, each after a wait of its own. The time is that of a streamed call of the model as a
caller's callbacks see it, from its start to its first piece, of every call but a run's first. What is remembered is
right for all calls, for none, or for every other one, and tokens cost nothing and nothing is ever switched off, so that
whatever is remembered is bet on. Plain and previewing agent take turns; *later* is the median of how much later the
first piece of a call came than that of the same call of the plain agent just before. With `--virtual` the model is in
the process and time is virtual: what is left is what waiting makes of it, without what comparing inputs takes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any
from uuid import UUID

from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.tools import BaseTool, StructuredTool
from langchain_openai import ChatOpenAI

from benchmarks.elsewhere import elsewhere
from benchmarks.progress import Tell, progress
from benchmarks.surroundings import undisturbed
from benchmarks.variants import AHEAD, PLAIN
from benchmarks.virtual import InProcessModel, in_virtual_time
from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.demo.loopback import LoopbackServer, Pace, Reply
from langgraph_speculate.host import clock

_FIRST_LINE = (__doc__ or "").split("\n")[0]
KINDS = RIGHT, WRONG, MIXED = "right", "wrong", "mixed"
STEPS = 8
_LESSONS = 3  # runs before anything is measured: enough to bet on what is the same each time
_SHIPPED: Mapping[str, Any] = {
    "model_ahead": True,
    "tools": {"look": {"read_only": True}},
    "limits": {"max_in_flight": 0},
}
_RECKLESS: Mapping[str, Any] = {
    **_SHIPPED,
    "thrift": 0.0,
    "limits": {
        "max_in_flight": 0,
        "cool_down_s": 0.0,
        "max_wasted_tokens_per_run": 10**9,
        "max_wasted_tokens_per_hour": 10**9,
    },
}


class World:
    """What the tool finds, and how long it takes.

    Args:
        kind: What memories of it are: right, wrong, or right for every other thing.

    Attributes:
        visit: The number of the run: what changes, changes from run to run.
    """

    def __init__(self, kind: str) -> None:
        self.visit = 0
        self._kind = kind

    def tool(self) -> BaseTool:
        """The tool."""

        async def look(id: int) -> str:
            "Look something up."
            await asyncio.sleep(_drawn("tool", id, 0.05, 0.5))
            changes = self._kind == WRONG or (self._kind == MIXED and id % 2 == 1)
            return f"thing {id}" + (f" at visit {self.visit}" if changes else "")

        return StructuredTool.from_function(coroutine=look)


def respond(messages: Sequence[Any], _tools: Sequence[Any]) -> Reply:
    """The model's next message: a call for each step, then an answer."""
    step = sum(message["role"] == "assistant" for message in messages)
    pace = Pace(first_token_s=_drawn("model", step, 0.1, 0.4), per_token_s=0.01)
    if step == STEPS:
        return Reply("All looked up, and nothing is missing.", pace=pace)
    return Reply("Looking.", tool_calls=[(f"call_{step}", "look", {"id": step})], pace=pace)


def _drawn(what: str, number: int, least: float, most: float) -> float:
    """Seconds that are the same in every run."""
    return random.Random(f"{what} {number}").uniform(least, most)


class FirstTokens(BaseCallbackHandler):
    """Takes the time of each call of the model.

    Attributes:
        seconds: To its first piece, in order.
    """

    run_inline = True

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._began: dict[UUID, float] = {}

    def on_chat_model_start(self, _serialized: Any, _messages: Any, *, run_id: UUID, **_kwargs: Any) -> None:
        self._began[run_id] = clock.now()

    def on_llm_new_token(self, _token: Any, *, run_id: UUID, **_kwargs: Any) -> None:
        began = self._began.pop(run_id, None)
        if began is not None:
            self.seconds.append(clock.now() - began)


async def measure(
    model: BaseChatModel, kind: str, rounds: int, tell: Tell, policy: Mapping[str, Any] = _RECKLESS
) -> dict[str, Any]:
    """Let both agents do the same in turns, and report."""
    world = World(kind)
    plain = create_agent(model, [world.tool()])
    ahead = speculate(create_agent(model, [world.tool()]), dict(policy))
    took: dict[str, list[float]] = {PLAIN: [], AHEAD: []}
    for world.visit in range(_LESSONS + rounds):
        for name, graph in ((PLAIN, plain), (AHEAD, ahead)):
            watch = FirstTokens()
            async for _ in graph.astream(
                {"messages": [("user", "Look them up.")]}, {"callbacks": [watch]}, stream_mode="messages"
            ):
                pass
            if world.visit >= _LESSONS:
                took[name] += watch.seconds[1:]
        tell(f"round {world.visit + 1}")
    previews = speculation_of(ahead).stats().previews
    speculation_of(ahead).close()
    figures = {name: _figures(seconds) for name, seconds in took.items()}
    later = statistics.median(ahead - plain for ahead, plain in zip(took[AHEAD], took[PLAIN], strict=True))
    counts = {"calls": len(took[PLAIN]), "previews": previews.began, "used": previews.used}
    return {"memory": kind, **counts, **figures, "later_s": later}


def _figures(seconds: Sequence[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"median_s": statistics.median(seconds), "p95_s": cuts[-1]}


@contextmanager
def _model(virtual: bool) -> Iterator[BaseChatModel]:
    if virtual:
        yield InProcessModel(respond=respond)
        return
    with elsewhere(_serve) as pipe:
        key: Any = "none"
        yield ChatOpenAI(model="scripted", base_url=pipe.recv(), api_key=key, streaming=True)


def _serve(pipe: Connection) -> None:
    with LoopbackServer(respond) as server:
        pipe.send(server.base_url)
        pipe.recv()


def report(
    kinds: Sequence[str], rounds: int, *, virtual: bool, shipped: bool = False, quiet: bool = True
) -> list[dict[str, Any]]:
    """Measure with memories of these kinds; *shipped*: with the policy's defaults, which give up what does not pay."""
    reports, policy = [], _SHIPPED if shipped else _RECKLESS
    with undisturbed():
        for kind in kinds:  # a client is bound to the event loop that it was first used on
            with _model(virtual) as model, progress(f"memory {kind}", _LESSONS + rounds, quiet=quiet) as tell:
                playing = measure(model, kind, rounds, tell, policy)
                reports.append(in_virtual_time(playing) if virtual else asyncio.run(playing))
    return reports


def table(reports: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The reports, as Markdown."""
    yield "| memory | calls | previews used | plain: median, p95 | model ahead: median, p95 | later, call by call |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in reports:
        times = [f"{one[name]['median_s'] * 1e3:.0f}, {one[name]['p95_s'] * 1e3:.0f} ms" for name in (PLAIN, AHEAD)]
        counts = f"{one['calls']} | {one['used']} of {one['previews']}"
        yield f"| {one['memory']} | {counts} | {times[0]} | {times[1]} | {one['later_s'] * 1e3:+.1f} ms |"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and say what came out."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.first_token", description=_FIRST_LINE)
    parser.add_argument("--rounds", type=int, default=12, help="runs of each agent that are measured (default 12)")
    parser.add_argument("--memory", choices=KINDS, action="append", help="default: all")
    parser.add_argument("--virtual", action="store_true", help="in virtual time, with the model in this process")
    parser.add_argument(
        "--shipped", action="store_true", help="with the defaults: budgets, breakers, and bets that pay"
    )
    parser.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    given = parser.parse_args(argv)
    kinds = given.memory or KINDS
    reports = report(kinds, given.rounds, virtual=given.virtual, shipped=given.shipped, quiet=given.quiet)
    print(json.dumps(reports) if given.json else "\n".join(table(reports)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
