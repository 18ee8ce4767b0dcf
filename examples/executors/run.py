"""An agent whose tools compute, run ahead in a pool of processes or in a Dask cluster.

    python examples/executors/run.py            # a ProcessPoolExecutor
    python examples/executors/run.py dask       # a Dask client's executor: pip install "langgraph-speculate[dask]"

Threads of one process take turns at computing, so a tool that computes would hold up the model's client; another
process does not.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from texts import count_words

from langgraph_speculate import speculate, speculation_of

CHAPTERS = 4
POLICY = {"tools": {"count_words": {"read_only": True, "reads": []}}}


class Reader(BaseChatModel):
    """Looks at one chapter after the other, then answers; a script in place of a model."""

    pace_s: float = 0.5

    @property
    def _llm_type(self) -> str:
        return "reader"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=[tool.name for tool in tools])

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        time.sleep(self.pace_s)
        chapter = sum(message.type == "tool" for message in messages) + 1
        reply = AIMessage("These were all.")
        if chapter <= CHAPTERS:
            call = {"name": "count_words", "args": {"chapter": chapter}, "id": str(chapter)}
            reply = AIMessage("", tool_calls=[call])
        return ChatResult(generations=[ChatGeneration(message=reply)])


@contextmanager
def processes() -> Iterator[Executor]:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@contextmanager
def dask() -> Iterator[Executor]:
    from distributed import Client

    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        yield client.get_executor()


def main(kind: str = "processes") -> None:
    with {"processes": processes, "dask": dask}[kind]() as executor:
        agent = speculate(create_agent(Reader(), [count_words]), POLICY, executor=executor)
        for _ in range(3):  # it learns what comes next from the first runs
            answer = agent.invoke({"messages": [("user", "Count the words of each chapter.")]})
    elsewhere = sum(f'"process": {os.getpid()}' not in str(m.content) for m in answer["messages"] if m.type == "tool")
    stats = speculation_of(agent).stats()
    print(f"{elsewhere} of {CHAPTERS} results of the last run came from other processes, {stats.hits} hits in all")


if __name__ == "__main__":
    main(*sys.argv[1:])
