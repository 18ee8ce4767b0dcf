"""A model that streams piece by piece what a test says, in the shape of the provider that the test wants."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool

Piece = Any
"""Text; a chunk; seconds to wait; an error to raise; or a function that is called in between."""


class StreamedModel(BaseChatModel):
    """Streams whenever it is asked, as `ChatOpenAI(streaming=True)` does.

    Args:
        script: One list of pieces an answer.
    """

    script: list[list[Piece]]
    streaming: bool = True

    @property
    def _llm_type(self) -> str:
        return "streamed"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(self, *args: Any, **kwargs: Any) -> ChatResult:
        raise AssertionError("it was asked not to stream")

    def _pieces(self, messages: list[BaseMessage]) -> list[Piece]:
        return self.script[sum(isinstance(message, AIMessage) for message in messages)]

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        for piece in self._pieces(messages):
            if callable(piece):
                piece()
            elif isinstance(piece, float):
                time.sleep(piece)
            else:
                yield _chunk(piece)
        yield ChatGenerationChunk(message=AIMessageChunk("", chunk_position="last"))

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        for piece in self._pieces(messages):
            if callable(piece):
                await _called(piece)
            elif isinstance(piece, float):
                await asyncio.sleep(piece)
            else:
                yield _chunk(piece)
        yield ChatGenerationChunk(message=AIMessageChunk("", chunk_position="last"))


async def _called(piece: Callable[[], Any]) -> None:
    """Call a function that may block, without holding up the loop."""
    waiting = piece() if inspect.iscoroutinefunction(piece) else asyncio.to_thread(piece)
    await waiting


def _chunk(piece: Piece) -> ChatGenerationChunk:
    if isinstance(piece, BaseException):
        raise piece
    message = AIMessageChunk(content=piece) if isinstance(piece, (str, list)) else piece
    return ChatGenerationChunk(message=message)


def streamed(**settings: Any) -> StreamedModel:
    """A model that streams; `streaming` counts only if it was set."""
    return StreamedModel(**{"streaming": True, **settings})


# -- shapes of providers ---------------------------------------------------------------------------------------------

Call = tuple[str, str, dict[str, Any]]
"""Id, name, arguments."""


def part(args: str | None, index: Any = 0, id: str | None = None, name: str | None = None) -> AIMessageChunk:
    """A piece of a call."""
    piece = {"name": name, "args": args, "id": id, "index": index, "type": "tool_call_chunk"}
    return AIMessageChunk(content="", tool_call_chunks=[piece])


def _cut(text: str, size: int = 5) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def openai(index: int, call: Call) -> list[Piece]:
    """Name and id first, then the arguments."""
    id, name, args = call
    return [part("", index, id, name), *(part(text, index) for text in _cut(json.dumps(args)))]


def anthropic(index: int, call: Call) -> list[Piece]:
    """Content blocks, of which the text was the first."""
    id, name, args = call
    begin = AIMessageChunk(
        content=[{"type": "tool_use", "id": id, "name": name, "input": {}, "index": index + 1}],
        tool_call_chunks=[{"name": name, "args": "", "id": id, "index": index + 1, "type": "tool_call_chunk"}],
    )
    return [
        begin,
        *(
            AIMessageChunk(
                content=[{"type": "input_json_delta", "partial_json": text, "index": index + 1}],
                tool_call_chunks=[
                    {"name": None, "args": text, "id": None, "index": index + 1, "type": "tool_call_chunk"}
                ],
            )
            for text in _cut(json.dumps(args))
        ),
    ]


def whole(index: int, call: Call) -> list[Piece]:
    """All of a call in one chunk, without an index."""
    id, name, args = call
    return [part(json.dumps(args), None, id, name)]


def blocks(index: int, call: Call) -> list[Piece]:
    """Standard content blocks, as `output_version="v1"` has them."""
    id, name, args = call
    texts = ["", *_cut(json.dumps(args))]
    made = []
    for at, text in enumerate(texts):
        piece = {"type": "tool_call_chunk", "args": text, "index": index + 1}
        piece |= {"id": id, "name": name} if not at else {"id": None, "name": None}
        made.append(AIMessageChunk(content=[dict(piece)], tool_call_chunks=[dict(piece)]))
    return made


SHAPES: dict[str, Callable[[int, Call], list[Piece]]] = {
    "openai": openai,
    "anthropic": anthropic,
    "whole": whole,
    "blocks": blocks,
}


def finish(reason: str) -> AIMessageChunk:
    """How a message ends."""
    return AIMessageChunk(content="", response_metadata={"finish_reason": reason})
