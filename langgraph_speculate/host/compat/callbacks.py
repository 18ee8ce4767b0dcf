"""Callback handlers and managers of LangChain: who hears of a call."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from langchain_core.callbacks import AsyncCallbackManager, BaseCallbackHandler, BaseCallbackManager, CallbackManager
from langchain_core.callbacks.manager import ahandle_event, handle_event
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers._streaming import _StreamingCallbackHandler

__all__ = [
    "StreamingHandler",
    "ahandle_event",
    "handle_event",
    "hears_of_chunks",
    "inherited",
    "manager_of_call",
    "with_handlers",
]

StreamingHandler = _StreamingCallbackHandler
"""A model call is streamed if one of its handlers is of this kind, unless the model's owner said no."""

_LETS_PASS = ("langgraph.", "langgraph_speculate.")  # their handlers ask for models to be streamed, and no more

_STARTS = [inspect.unwrap(kind.on_chat_model_start).__code__ for kind in (CallbackManager, AsyncCallbackManager)]


@contextmanager
def inherited(handlers: Sequence[BaseCallbackHandler]) -> Iterator[None]:
    """Around calls of runnables that are to inherit *handlers* from here."""
    if not handlers:
        yield
        return
    token = var_child_runnable_config.set(with_handlers(var_child_runnable_config.get(), *handlers))
    try:
        yield
    finally:
        var_child_runnable_config.reset(token)


def with_handlers(config: RunnableConfig | None, *handlers: BaseCallbackHandler) -> RunnableConfig:
    """*config* with handlers added; everything else as the caller gave it."""
    given: RunnableConfig = {**config} if config else {}
    callbacks = given.get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        callbacks = callbacks.copy()
        for handler in handlers:
            callbacks.add_handler(handler, inherit=True)
        given["callbacks"] = callbacks
    else:
        given["callbacks"] = [*(callbacks or ()), *handlers]
    return given


def hears_of_chunks(callbacks: object) -> bool:
    """Whether a handler of a manager is told of the pieces that any runnable streams, as for `astream_events`."""
    kinds = {type(handler) for handler in getattr(callbacks, "handlers", ())}
    return any(hasattr(kind, "tap_output_iter") and not kind.__module__.startswith(_LETS_PASS) for kind in kinds)


def manager_of_call() -> BaseCallbackManager | None:
    """The callback manager of the model call whose start a handler is being told of; None if it cannot be seen.

    Its `handlers` belong to this one call: what is added to them hears of this call, and of nothing that is called in
    turn. A handler is not told what it is part of, so this looks.
    """
    frame = inspect.currentframe()
    for _ in range(8):
        frame = frame.f_back if frame is not None else None
        if frame is not None and frame.f_code in _STARTS:
            found: BaseCallbackManager = frame.f_locals["self"]
            return found
    return None
