"""Streaming a model's turns although nobody asked for it.

LangChain streams a model call if one of its handlers is a streaming one. Such a handler among a run's callbacks would
reach every model of the run, those of tools and of middleware too, and make LangGraph run its nodes another way; so
here a plain handler watches, and hands a streaming one to the calls that are turns. It is not inherited from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage

from langgraph_speculate.host.compat.callbacks import StreamingHandler, manager_of_call
from langgraph_speculate.host.observer import ModelsOnly, is_turn

if TYPE_CHECKING:
    from langgraph_speculate.host.run import Run


class _Deaf(ModelsOnly):
    """A handler that takes no notice of anything."""

    ignore_chat_model = True
    ignore_llm = True


class _Forced(_Deaf, StreamingHandler[Any]):
    """Makes the model calls that have it streamed, and does nothing else."""

    def tap_output_iter(self, run_id: UUID, output: Iterator[Any]) -> Iterator[Any]:
        """What a runnable streams, as it is."""
        return output

    def tap_output_aiter(self, run_id: UUID, output: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """What a runnable streams, as it is."""
        return output


FORCED = _Forced()
"""The handler with which a model call is streamed."""


class Forcing(_Deaf):
    """Makes the turns of a run streamed.

    Args:
        run: The run.
    """

    ignore_chat_model = False

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """A model call starts."""
        manager = manager_of_call()
        if manager is not None and FORCED not in manager.handlers and is_turn(self._run, kwargs):
            manager.handlers.append(FORCED)


def is_forced_alone(handlers: Iterable[BaseCallbackHandler]) -> bool:
    """Whether, of the handlers of a model call, none but ours asks for it to be streamed."""
    asking: list[object] = [handler for handler in handlers if isinstance(handler, StreamingHandler)]
    return bool(asking) and all(handler is FORCED for handler in asking)
