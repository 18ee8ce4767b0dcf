"""T6: what a body writes bit by bit, or after it has answered, belongs to its call as much as its answer does.

The library promises that whoever listens to an adopted call hears what the plain graph's listeners hear: pieces that a
runnable within the body streams, and what a task or a thread that the body left running writes later.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from agents import ASYNC_WAYS, START_INPUT, Oracle, ScriptedModel, adrive, agent_graph, ask, canonical, drive
from langchain_core.callbacks import BaseCallbackHandler, adispatch_custom_event, dispatch_custom_event
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableGenerator
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.config import get_stream_writer

from langgraph_speculate import speculate, speculation_of

SCRIPT = [ask(("say", {})), AIMessage("done")]
ENTRY = {"read_only": True, "eagerness": "immediate"}


def _graph(tool: BaseTool, wrap: bool, during: Any = None) -> Any:
    graph = agent_graph(ScriptedModel(script=SCRIPT, pace_s=0.03, during=during), [tool])
    return speculate(graph, {"tools": {"say": ENTRY}}, predictor=Oracle(SCRIPT)) if wrap else graph


def _up(parts: Iterator[str]) -> Iterator[str]:
    for part in parts:
        yield from (letter.upper() for letter in part)


async def _aup(parts: AsyncIterator[str]) -> AsyncIterator[str]:
    async for part in parts:
        for letter in part:
            yield letter.upper()


INNER = RunnableGenerator(_up, _aup).with_config(run_name="inner")


def _streaming() -> BaseTool:
    async def asay() -> str:
        return "".join([piece async for piece in INNER.astream("abc")])

    return StructuredTool.from_function(lambda: "".join(INNER.stream("abc")), asay, "say", "s")


@pytest.mark.filterwarnings("ignore:astream_events version")
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_pieces_of_a_nested_runnable_are_told_as_they_come(version: str) -> None:
    """
    `astream_events` tells the same of a runnable within a tool, piece by piece.
    """

    async def told(wrap: bool) -> list[Any]:
        events = _graph(_streaming(), wrap).astream_events(START_INPUT, version=version)
        return [(e["event"], e["data"].get("chunk")) async for e in events if e["name"] == "inner"]

    plain = asyncio.run(told(wrap=False))
    assert [piece for _, piece in plain if piece] == ["A", "B", "C"]
    assert asyncio.run(told(wrap=True)) == plain


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
def test_where_nobody_hears_of_pieces_such_a_tool_runs_ahead(way: str) -> None:
    """
    The control: LangGraph's own streams, messages too, tell nothing of them.
    """
    modes = {"stream_mode": ["messages", "custom", "updates"]} if "stream" in way else {}
    graph = _graph(_streaming(), wrap=True)
    assert canonical(drive(graph, way, **modes)) == canonical(drive(_graph(_streaming(), wrap=False), way, **modes))
    assert speculation_of(graph).stats().hits == 1


class Told(BaseCallbackHandler):
    """What a user's handler hears of custom events: their data, and below which node."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def on_custom_event(self, name: str, data: Any, *, metadata: Any = None, **_: Any) -> None:
        self.heard.append((data, metadata["langgraph_node"]))


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_what_a_task_of_the_body_writes_later_is_shown(way: str) -> None:
    """
    It writes to the stream and tells handlers after the result was adopted, while the model answers.
    """

    async def run(wrap: bool) -> tuple[list[Any], list[Any], Any]:
        go_on, finished, tasks = asyncio.Event(), asyncio.Event(), []

        async def asay() -> str:
            write = get_stream_writer()
            write("started")

            async def later() -> None:
                await go_on.wait()
                write("finished")
                await adispatch_custom_event("late", "finished")
                finished.set()

            tasks.append(asyncio.create_task(later()))
            return "said"

        async def during(turn: int) -> None:
            if turn:
                go_on.set()
                await finished.wait()

        told, modes = Told(), {"stream_mode": "custom"} if way == "astream" else {}
        tool = StructuredTool.from_function(coroutine=asay, name="say", description="s")
        graph = _graph(tool, wrap, during)
        chunks = await adrive(graph, way, config={"callbacks": [told]}, **modes)
        return canonical(chunks), told.heard, speculation_of(graph).stats() if wrap else None

    plain, got = (asyncio.run(run(wrap)) for wrap in (False, True))
    assert got[:2] == plain[:2]
    assert got[1] == [("finished", "tools")]
    assert got[2].hits == 1


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_what_a_thread_of_the_body_writes_later_is_shown(way: str) -> None:
    """
    The same of a sync body.
    """

    def run(wrap: bool) -> tuple[list[Any], list[Any], Any]:
        go_on, finished = threading.Event(), threading.Event()

        def say() -> str:
            write = get_stream_writer()
            write("started")

            def later() -> None:
                go_on.wait(5)
                write("finished")
                dispatch_custom_event("late", "finished")
                finished.set()

            threading.Thread(target=contextvars.copy_context().run, args=(later,)).start()
            return "said"

        def during(turn: int) -> None:
            if turn:
                go_on.set()
                finished.wait(5)

        told, modes = Told(), {"stream_mode": "custom"} if way == "stream" else {}
        graph = _graph(StructuredTool.from_function(say, description="s"), wrap, during)
        chunks = drive(graph, way, config={"callbacks": [told]}, **modes)
        return canonical(chunks), told.heard, speculation_of(graph).stats() if wrap else None

    plain, got = run(wrap=False), run(wrap=True)
    assert got[:2] == plain[:2]
    assert got[1] == [("finished", "tools")]
    assert got[2].hits == 1
