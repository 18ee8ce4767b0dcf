"""What several threat tests share: ways to run, and the difference between an early body and a real one."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Container, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from agents import ASYNC_WAYS, START_INPUT, adrive, drive
from langchain_core.messages import BaseMessage, ToolMessage
from langgraph.config import get_config

from langgraph_speculate.host.compat.configs import RUN_KEY
from langgraph_speculate.host.wires import Poison

THREAD = {"configurable": {"thread_id": "t"}}


def final(graph: Any, way: str, input: Any = START_INPUT, config: Any = None) -> list[BaseMessage]:
    """Run a graph and return the messages of its last state."""
    extra = {"stream_mode": "values"} if way in ("stream", "astream") else {}
    messages: list[BaseMessage] = drive(graph, way, input, config, **extra)[-1]["messages"]
    return messages


def answers(messages: Sequence[BaseMessage]) -> list[Any]:
    """The contents of the tool messages."""
    return [message.content for message in messages if isinstance(message, ToolMessage)]


def beside_each_other(graph: Any, way: str, runs: Sequence[tuple[Any, Any]], threads: int = 16) -> list[Any]:
    """Run (input, config) pairs at once, as tasks of one loop or in threads, and return the last states."""
    extra = {"stream_mode": "values"} if way in ("stream", "astream") else {}

    async def gather() -> list[Any]:
        every = await asyncio.gather(*(adrive(graph, way, input, config, **extra) for input, config in runs))
        return [chunks[-1] for chunks in every]

    if way in ASYNC_WAYS:
        return asyncio.run(gather())
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda run: drive(graph, way, run[0], run[1], **extra)[-1], runs))


def is_early() -> bool:
    """Inside of a tool's body: whether this is an attempt, told by the tripwire where a real call has its run."""
    return isinstance((get_config().get("configurable") or {}).get(RUN_KEY), Poison)


class Gauge:
    """How many bodies run at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now = 0
        self.peak = 0

    def __enter__(self) -> None:
        with self._lock:
            self._now += 1
            self.peak = max(self.peak, self._now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._now -= 1


def holding(way: str, reached: Callable[[], bool], turns: Container[int] = (0,)) -> Callable[[int], Any]:
    """For `ScriptedModel.during`: the answers to these turns are not given before *reached* (or 5 s have passed)."""
    deadline = 5.0

    def during(turn: int) -> None:
        until = time.monotonic() + deadline
        while turn in turns and not reached() and time.monotonic() < until:
            time.sleep(0.0003)

    async def aduring(turn: int) -> None:
        until = time.monotonic() + deadline
        while turn in turns and not reached() and time.monotonic() < until:
            await asyncio.sleep(0)

    return aduring if way in ASYNC_WAYS else during
