"""Recordings played in virtual time: seconds of waiting take none, and two runs with the same seed are the same.

The loop is that of the simulation (`tests/sim/loop.py`), on which unmodified graphs run; the model is in the process,
because a server would answer in real time. Processor time does not pass there: what the engine itself costs has to be
measured apart (`benchmarks.grid` adds it).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool

from langgraph_speculate.demo.loopback import Pace, Respond
from langgraph_speculate.host import clock
from tests.sim import loop

T = TypeVar("T")


class InProcessModel(BaseChatModel):
    """What `LoopbackServer` is to a client, on the agents' own event loop: streams a script's replies at their pace.

    Attributes:
        respond: Given messages and tools in the OpenAI format, returns the reply.
    """

    respond: Respond
    streaming: bool = True

    @property
    def _llm_type(self) -> str:
        return "in-process"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise NotImplementedError("plays async agents only")

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        began = clock.now()
        asked = convert_to_openai_messages(messages, include_id=False)
        reply = self.respond(asked if isinstance(asked, list) else [asked], kwargs.get("tools") or [])
        deltas, pace = list(reply.deltas()), reply.pace or Pace()
        for delta, offset in zip(deltas, pace.offsets(len(deltas)), strict=True):
            await _sleep_until(began + offset)
            yield ChatGenerationChunk(message=_chunk(delta))
        await _sleep_until(began + pace.offsets(len(deltas))[-1] + pace.tail_s)
        yield ChatGenerationChunk(message=AIMessageChunk("", chunk_position="last"))


def in_virtual_time(playing: Coroutine[Any, Any, T], seed: int = 0) -> T:
    """Run a coroutine to its end in virtual time; what it raises, this raises."""
    ran = loop.run(playing, seed)
    if ran.error is not None:
        raise ran.error
    result: T = ran.result
    return result


async def _sleep_until(due: float) -> None:
    seconds = due - clock.now()
    if seconds > 0:
        await asyncio.sleep(seconds)


def _chunk(delta: Mapping[str, Any]) -> AIMessageChunk:
    """A piece of a reply in LangChain's words."""
    pieces = [
        {
            "name": call["function"].get("name"),
            "args": call["function"]["arguments"],
            "id": call.get("id"),
            "index": call["index"],
            "type": "tool_call_chunk",
        }
        for call in delta.get("tool_calls", ())
    ]
    return AIMessageChunk(delta.get("content", ""), tool_call_chunks=pieces)
