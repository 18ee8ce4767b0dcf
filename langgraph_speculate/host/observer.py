"""The model's calls, as the run's callback handler sees them.

A plain handler: it observes what is streamed anyway and never turns streaming on. It sits in the run's callbacks, so it
also sees models it must not mistake for the agent's own: those of tools, of nested graphs, of other wrapped graphs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult

from langgraph_speculate.host.compat.callbacks import manager_of_call
from langgraph_speculate.host.compat.configs import child_config, namespace_depth
from langgraph_speculate.host.compat.langsmith import traced_path
from langgraph_speculate.host.reading import Reading
from langgraph_speculate.host.threads import running_loop
from langgraph_speculate.observe.langsmith import RunTrace

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine
    from langgraph_speculate.host.run import Run

_MODEL_NAMES = ("ls_model_name", "model", "model_name")
_INTERNAL_CALL = "lc_internal_call"  # what LangChain marks the auxiliary model calls of middleware with


class ModelsOnly(BaseCallbackHandler):
    """A handler that takes notice of model calls, where they run."""

    run_inline = True
    ignore_chain = True
    ignore_agent = True
    ignore_retriever = True
    ignore_custom_event = True
    ignore_retry = True


class StreamObserver(ModelsOnly):
    """For one turn that somebody else begins and ends: reads its stream.

    Args:
        run: The run.
        turn: The turn. If its model is called again, what the call before had written is void.
    """

    def __init__(self, run: Run, turn: str) -> None:
        self._run = run
        self._turn = turn
        self._call: UUID | None = None
        self._reading: Reading | None = None

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """The model is called."""
        if self._call is not None:
            self._run.turns.start_over(self._turn)
        self._call, self._reading = run_id, self._run.turns.reading(self._turn)

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **kwargs: Any) -> None:
        """A chunk of the message: moment 2."""
        if self._reading is not None and run_id == self._call:
            self._reading.token(token, chunk)

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """An event of the newer protocol: moment 2."""
        if self._reading is not None and run_id == self._call:
            self._reading.event(event)


class TurnObserver(ModelsOnly):
    """For one run: which model calls are turns of it, what they write, and how they end."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._turns: dict[UUID, Reading | None] = {}

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """A model call starts: moment 1."""
        if not is_turn(self._run, kwargs) or not messages:
            return
        id = str(run_id)
        self._turns[run_id] = None
        # A model that is called without await, be it in an async node, holds up its loop: nothing could be done later.
        loop = running_loop() if isinstance(manager_of_call(), AsyncCallbackManager) else None
        self._run.turns.begin(id, messages[0], child_config() or {}, _model(kwargs), loop)
        self._turns[run_id] = self._run.turns.reading(id)

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, run_id: UUID, **kwargs: Any) -> None:
        """A chunk of the message: moment 2."""
        reading = self._turns.get(run_id)
        if reading is not None:
            reading.token(token, chunk)

    def on_stream_event(self, event: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """An event of the newer protocol: moment 2."""
        reading = self._turns.get(run_id)
        if reading is not None:
            reading.event(event)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """The model's message is final: moment 3."""
        if run_id in self._turns:
            del self._turns[run_id]
            self._run.turns.end(str(run_id), _message(response))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """The model call failed."""
        if run_id in self._turns:
            del self._turns[run_id]
            self._run.turns.abort(str(run_id))


class Unspeculated(ModelsOnly):
    """For runs in which speculation is off: their traces say so, so that charts can set them against others."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def on_chat_model_start(self, *_args: Any, **_kwargs: Any) -> None:
        """A model call starts, below what is to say so."""
        note_off(self._engine)


def note_off(engine: Engine) -> None:
    """Note in the trace that this is called in that speculation is off."""
    RunTrace(engine.tracing, "off", engine.warn).turn_began("", traced_path(child_config()))


def is_turn(run: Run, start: Mapping[str, Any]) -> bool:
    """Whether the model call that starts here, with what handlers are told of its *start*, is a turn of the run."""
    config = child_config() or {}
    return (
        run.is_own(config)
        and namespace_depth(config.get("configurable") or {}) == run.depth + 1
        and not (start.get("metadata") or {}).get(_INTERNAL_CALL)
        and run.binds_tools(start.get("invocation_params") or {})
    )


def _model(start: Mapping[str, Any]) -> str:
    """The name of the model that starts, as far as it tells."""
    told = {**(start.get("invocation_params") or {}), **(start.get("metadata") or {})}
    return next((str(told[key]) for key in _MODEL_NAMES if told.get(key)), "")


def _message(response: LLMResult) -> Any:
    generations = response.generations
    return getattr(generations[0][0], "message", None) if generations and generations[0] else None
