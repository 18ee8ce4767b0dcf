"""The scripted chat model: a pure function of (program, user, conversation so far) that thinks in virtual time."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool

from tests.sim.loop import sleep
from tests.sim.streams import Piece, Said, Stream, message_of, pieces_of
from tests.sim.world import WORLDS

_DRAWN = re.compile(r"#\d+|~[\d.]+")


def _steady(text: str) -> str:
    """A text without drawn numbers and times: which of them a call shows is nobody's promise."""
    return _DRAWN.sub("#", text)


class ModelFailure(RuntimeError):
    """What a scripted model raises."""


@dataclass(frozen=True)
class Ask:
    """One call the model makes.

    Attributes:
        tool: Its name.
        args: Its arguments.
        follows: The name of an argument that is taken from the latest results, or None.
    """

    tool: str
    args: Mapping[str, Any]
    follows: str | None = None

    def arguments(self, results: Sequence[str]) -> dict[str, Any]:
        """The arguments after these tool results."""
        if self.follows is None:
            return dict(self.args)
        return {**self.args, self.follows: zlib.crc32(_steady("|".join(results)).encode()) % 4}


@dataclass(frozen=True)
class Turn:
    """One answer of the model.

    Attributes:
        asks: Its calls; none makes it a final answer.
        pace_s: Seconds it takes to generate.
        fails: It raises instead.
        stream: How it is streamed, or None for text, calls in two pieces each, and an end.
    """

    asks: tuple[Ask, ...] = ()
    pace_s: float = 0.0
    fails: bool = False
    stream: Stream | None = None


Script = tuple[Turn, ...]


class _Scripts:
    """Where models find the scripts of the simulation that runs: by the tag that a conversation begins with."""

    current: Mapping[str, Script] = {}


SCRIPTS = _Scripts()


def turn_of(script: Script, number: int) -> Turn:
    """The n-th answer of a script; beyond its end it answers."""
    return script[number] if number < len(script) else Turn()


class ZooModel(BaseChatModel):
    """Finds its script by the conversation, so that one model serves all users of all programs.

    Attributes:
        streaming: Said explicitly, it streams always or never; else when somebody looks.
        steady: Its streams never fail, as it is what others fall back to.
        voice: What it hears besides the messages, so that another one answers otherwise.
    """

    streaming: bool = False
    steady: bool = False
    voice: str = ""

    @property
    def _llm_type(self) -> str:
        return "zoo"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=[_shown(tool) for tool in tools], **kwargs)

    async def _agenerate(self, messages: list[BaseMessage], stop: Any = None, **_kwargs: Any) -> ChatResult:
        with self._asked(messages, stop) as (heard, turn):
            await asyncio.sleep(turn.pace_s)
            return ChatResult(generations=[ChatGeneration(message=_message(heard, turn))])

    def _generate(self, messages: list[BaseMessage], stop: Any = None, **_kwargs: Any) -> ChatResult:
        with self._asked(messages, stop) as (heard, turn):
            sleep(turn.pace_s)
            return ChatResult(generations=[ChatGeneration(message=_message(heard, turn))])

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        with self._asked(messages, stop) as (heard, turn):
            for piece in _pieces(heard, turn):
                if piece.after_s is not None:
                    await asyncio.sleep(piece.after_s)
                yield ChatGenerationChunk(message=piece.chunk)

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        with self._asked(messages, stop) as (heard, turn):
            for piece in _pieces(heard, turn):
                if piece.after_s is not None:
                    sleep(piece.after_s)
                yield ChatGenerationChunk(message=piece.chunk)

    @contextmanager
    def _asked(self, messages: Sequence[BaseMessage], stop: Any) -> Iterator[tuple[Sequence[BaseMessage], Turn]]:
        """Around one request to the provider: what it hears, options included, and what it answers."""
        heard = [*(SystemMessage(str(one)) for one in (stop, self.voice) if one), *messages]
        with WORLDS().asking(tag_of(messages), [str(message.content) for message in messages]):
            yield heard, self._turn(messages)

    def _turn(self, messages: Sequence[BaseMessage]) -> Turn:
        tag, number = tag_of(messages), number_of(messages)
        turn = turn_of(SCRIPTS.current.get(tag, ()), number)
        stream = turn.stream
        if stream is not None and stream.ending == "raises" and (self.steady or not WORLDS().fails_now(tag, number)):
            stream = replace(stream, ending="whole")
        return replace(turn, pace_s=turn.pace_s + WORLDS().jitter(tag, number), stream=stream)


_SHOWN: dict[int, tuple[Any, Any]] = {}


def _shown(tool: Any) -> Any:
    """A tool as providers are told of it; converting costs more than a model call here."""
    known, schema = _SHOWN.get(id(tool), (None, None))
    if known is not tool:
        schema = convert_to_openai_tool(tool)
        _SHOWN[id(tool)] = (tool, schema)
    return schema


def tag_of(messages: Sequence[BaseMessage]) -> str:
    """Whose conversation it is: the first word its user says."""
    first = next((m for m in messages if isinstance(m, HumanMessage)), None)
    return str(first.content).partition(" ")[0] if first is not None else ""


def number_of(messages: Sequence[BaseMessage]) -> int:
    """Which answer is asked for: the n-th of the conversation."""
    return sum(isinstance(message, AIMessage) for message in messages)


def latest_results(messages: Sequence[BaseMessage]) -> list[str]:
    """The texts of the tool results since the last answer, in order."""
    texts: list[str] = []
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            break
        texts.append(str(message.content))
    return texts[::-1]


def _said(messages: Sequence[BaseMessage], turn: Turn) -> Said:
    tag, number, results = tag_of(messages), number_of(messages), latest_results(messages)
    if turn.fails:
        raise ModelFailure(f"{tag} turn {number}")
    calls = [(ask.tool, f"{tag}.{number}.{index}", ask.arguments(results)) for index, ask in enumerate(turn.asks)]
    heard = zlib.crc32(_steady("|".join(str(m.content) for m in messages)).encode())
    return Said(f"{tag} turn {number} heard {heard}", tuple(calls), f"m.{tag}.{number}")


def _message(messages: Sequence[BaseMessage], turn: Turn) -> AIMessage:
    """The whole message, when nobody streams it."""
    if turn.stream is not None:
        return message_of(list(_pieces(messages, turn)))
    said = _said(messages, turn)
    calls = [{"name": name, "args": args, "id": id, "type": "tool_call"} for name, id, args in said.calls]
    return AIMessage(said.text, tool_calls=calls, id=said.id)


def _pieces(messages: Sequence[BaseMessage], turn: Turn) -> Iterator[Piece]:
    """The chunks of an answer.

    Raises:
        ModelFailure: After the last, where the stream breaks.
    """
    said = _said(messages, turn)
    if turn.stream is None:
        yield from _simple_pieces(said, turn.pace_s)
        return
    yield from pieces_of(said, turn.stream, turn.pace_s)
    if turn.stream.ending == "raises":
        raise ModelFailure(f"stream of {said.id} broke")


def _simple_pieces(said: Said, pace_s: float) -> Iterator[Piece]:
    chunks = [AIMessageChunk(content=said.text, id=said.id)]
    for index, (name, id, args) in enumerate(said.calls):
        text = json.dumps(args)
        half = len(text) // 2
        for part in (
            {"name": name, "args": text[:half], "id": id},
            {"name": None, "args": text[half:], "id": None},
        ):
            piece = {**part, "index": index, "type": "tool_call_chunk"}
            chunks.append(AIMessageChunk(content="", id=said.id, tool_call_chunks=[piece]))
    chunks.append(AIMessageChunk(content="", id=said.id, chunk_position="last"))
    for number, chunk in enumerate(chunks):
        yield Piece(pace_s / 2 / len(chunks) + (0.0 if number else pace_s / 2), chunk)
