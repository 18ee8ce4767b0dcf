"""The scripted chat model: a pure function of (program, user, conversation so far) that thinks in virtual time."""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.function_calling import convert_to_openai_tool

from tests.sim.loop import sleep
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
    """

    asks: tuple[Ask, ...] = ()
    pace_s: float = 0.0
    fails: bool = False


Script = tuple[Turn, ...]


class _Scripts:
    """Where models find the scripts of the simulation that runs: by the tag that a conversation begins with."""

    current: Mapping[str, Script] = {}


SCRIPTS = _Scripts()


def turn_of(script: Script, number: int) -> Turn:
    """The n-th answer of a script; beyond its end it answers."""
    return script[number] if number < len(script) else Turn()


class ZooModel(BaseChatModel):
    """Finds its script by the conversation, so that one model serves all users of all programs."""

    @property
    def _llm_type(self) -> str:
        return "zoo"

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Any:
        return self.bind(tools=[_shown(tool) for tool in tools], **kwargs)

    async def _agenerate(self, messages: list[BaseMessage], *_args: Any, **_kwargs: Any) -> ChatResult:
        turn = _turn(messages)
        await asyncio.sleep(turn.pace_s)
        return ChatResult(generations=[ChatGeneration(message=_answer(messages, turn))])

    def _generate(self, messages: list[BaseMessage], *_args: Any, **_kwargs: Any) -> ChatResult:
        turn = _turn(messages)
        sleep(turn.pace_s)
        return ChatResult(generations=[ChatGeneration(message=_answer(messages, turn))])

    async def _astream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        turn = _turn(messages)
        await asyncio.sleep(turn.pace_s / 2)
        chunks = list(_chunks(_answer(messages, turn)))
        for chunk in chunks:
            await asyncio.sleep(turn.pace_s / 2 / len(chunks))
            if run_manager is not None:
                await run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
            yield chunk

    def _stream(
        self, messages: list[BaseMessage], stop: Any = None, run_manager: Any = None, **_kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        turn = _turn(messages)
        sleep(turn.pace_s)
        for chunk in _chunks(_answer(messages, turn)):
            if run_manager is not None:
                run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
            yield chunk


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


def _turn(messages: Sequence[BaseMessage]) -> Turn:
    tag, number = tag_of(messages), _number(messages)
    turn = turn_of(SCRIPTS.current.get(tag, ()), number)
    return replace(turn, pace_s=turn.pace_s + WORLDS().jitter(tag, number))


def _number(messages: Sequence[BaseMessage]) -> int:
    return sum(isinstance(message, AIMessage) for message in messages)


def latest_results(messages: Sequence[BaseMessage]) -> list[str]:
    """The texts of the tool results since the last answer, in order."""
    texts: list[str] = []
    for message in reversed(messages):
        if not isinstance(message, ToolMessage):
            break
        texts.append(str(message.content))
    return texts[::-1]


def _answer(messages: Sequence[BaseMessage], turn: Turn) -> AIMessage:
    tag, number, results = tag_of(messages), _number(messages), latest_results(messages)
    if turn.fails:
        raise ModelFailure(f"{tag} turn {number}")
    calls = [
        {"name": ask.tool, "args": ask.arguments(results), "id": f"{tag}.{number}.{index}", "type": "tool_call"}
        for index, ask in enumerate(turn.asks)
    ]
    heard = zlib.crc32(_steady("|".join(str(m.content) for m in messages)).encode())
    return AIMessage(f"{tag} turn {number} heard {heard}", tool_calls=calls, id=f"m.{tag}.{number}")


def _chunks(answer: AIMessage) -> Iterator[ChatGenerationChunk]:
    yield ChatGenerationChunk(message=AIMessageChunk(content=answer.content, id=answer.id))
    for index, call in enumerate(answer.tool_calls):
        text = json.dumps(call["args"])
        half = len(text) // 2
        for name, id, part in ((call["name"], call["id"], text[:half]), (None, None, text[half:])):
            piece = {"name": name, "args": part, "id": id, "index": index, "type": "tool_call_chunk"}
            yield ChatGenerationChunk(message=AIMessageChunk(content="", id=answer.id, tool_call_chunks=[piece]))
    yield ChatGenerationChunk(message=AIMessageChunk(content="", id=answer.id, chunk_position="last"))
