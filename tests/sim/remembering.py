"""What a speculating side remembers of tools before its program begins."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from langchain_core.messages import ToolMessage

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.memory import Reading, Result
from langgraph_speculate.core.partition import partition_of
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.host.archive import hashed
from langgraph_speculate.host.inputs import result_in
from tests.sim.programs import Program
from tests.sim.world import drawn

_TIMES = 4
"""How often each result was seen: enough to bet on it."""


def fill(speculation: Any, program: Program, told: list[list[Any]]) -> None:
    """Let a graph's memory know what the plain run was answered with, or something else (`programs.MEMORIES`)."""
    for visit, messages in zip(program.visits, told, strict=True):
        answered = list(_answered(messages))
        keys = program.settings.get("partition_by", ())
        partition = partition_of({"user_id": visit.user}[key] for key in keys)
        for place, (call, message) in enumerate(answered):
            parts = _remembered(program, place, message, answered)
            key, result = key_of(call), None if parts is None else Result.of(parts)
            if key is None or result is None:
                continue
            for _ in range(_TIMES):
                reading = Reading(frozenset(), Epochs(), 0)
                speculation.memory.learn(f"of {partition}", call.name, hashed(key), result, reading)


def _answered(messages: list[Any]) -> Iterator[tuple[Call, ToolMessage]]:
    calls = {
        call["id"]: Call(call["name"], call["args"])
        for message in messages
        for call in getattr(message, "tool_calls", None) or ()
    }
    for message in messages:
        if isinstance(message, ToolMessage) and message.tool_call_id in calls:
            yield calls[message.tool_call_id], message


def _remembered(program: Program, place: int, message: ToolMessage, answered: list[Any]) -> dict[str, Any] | None:
    kind = program.remembered
    if kind == "mixed":
        kind = ("right", "right", "wrong", "swapped")[drawn(program.seed, place) % 4]
    if kind == "partly":
        kind = ("right", "right", "nothing")[drawn(program.seed, place) % 3]
    if kind == "nothing":
        return None
    parts = result_in(message)
    if kind == "wrong":
        return {**parts, "content": f"{parts['content']} or so"}
    return result_in(answered[(place + 1) % len(answered)][1]) if kind == "swapped" else parts
