"""An agent with a tool of an MCP server, which opens a session (and so a process) for each call: plain, then warmed up.

    pip install "langgraph-speculate[mcp]"
    python examples/mcp_warm/run.py

Which words the model looks up cannot be foreseen; that it looks one up can, and that is enough to open the session
while the model is still writing.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, tool
from mcp import StdioServerParameters
from server import MEANINGS
from sessions import Sessions

from langgraph_speculate import ToolPolicy, speculate, speculation_of

SERVER = StdioServerParameters(command=sys.executable, args=[str(Path(__file__).with_name("server.py"))])
QUESTION = {"messages": [("user", "Explain the words of the day.")]}
WORDS_A_RUN = 2
LESSONS = 3


class Teacher(BaseChatModel):
    """Looks up one word after the other, then answers; a script in place of a model."""

    pace_s: float = 0.8
    words: Any

    @property
    def _llm_type(self) -> str:
        return "teacher"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self.bind(tools=[tool.name for tool in tools])

    def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        raise NotImplementedError("this example is async")

    async def _agenerate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
        await asyncio.sleep(self.pace_s)
        looked_up = [message for message in messages if message.type == "tool"]
        reply = AIMessage("; ".join(message.content for message in looked_up))
        if len(looked_up) < WORDS_A_RUN:
            reply = AIMessage("", tool_calls=[{"name": "define", "args": {"word": next(self.words)}, "id": "1"}])
        return ChatResult(generations=[ChatGeneration(message=reply)])


def dictionary(sessions: Sessions) -> BaseTool:
    """The agent's tool: a session for each call, as MCP adapters have it."""

    @tool
    async def define(word: str) -> str:
        """Tell what a word means."""
        async with sessions.session() as session:
            result = await session.call_tool("define", {"word": word})
        return "".join(part.text for part in result.content)

    return define


async def timed(agent: Any) -> tuple[float, str]:
    began = time.perf_counter()
    answer = await agent.ainvoke(QUESTION)
    return time.perf_counter() - began, answer["messages"][-1].content


async def main(rounds: int = 5) -> None:
    cold, pool = Sessions(SERVER), Sessions(SERVER)
    plain = create_agent(Teacher(words=itertools.cycle(MEANINGS)), [dictionary(cold)])
    policy = {"tools": {"define": ToolPolicy(read_only=True, eagerness="conservative", warm=pool.warm)}}
    model = Teacher(words=itertools.cycle(MEANINGS), pace_s=0.0)
    warmed = speculate(create_agent(model, [dictionary(pool)]), policy)
    try:
        for _ in range(LESSONS):  # it learns what comes next
            await warmed.ainvoke(QUESTION)
        model.pace_s, pool.taken_warm = 0.8, 0
        # In turns, so that both meet the same weather.
        times = [(await timed(plain), await timed(warmed)) for _ in range(rounds)]
    finally:
        await pool.close()
    before, after = (statistics.median(seconds for seconds, _ in column) for column in zip(*times, strict=True))
    stats = speculation_of(warmed).stats()
    print(f"plain {before:.2f} s, warmed up {after:.2f} s a run (medians of {rounds})")
    print(f"{pool.taken_warm} of {rounds * WORDS_A_RUN} calls found a session that had been opened ahead")
    print(f"warmed {stats.warmed}, used {stats.warm_used}, wasted {stats.warm_wasted_s:.2f} s")


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
