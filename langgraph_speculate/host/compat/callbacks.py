"""Callback handlers and managers of LangChain: who hears of a call."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManager,
    BaseCallbackHandler,
    BaseCallbackManager,
    CallbackManager,
)
from langchain_core.callbacks.manager import ahandle_event, handle_event
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import var_child_runnable_config
from langchain_core.tracers._streaming import _StreamingCallbackHandler

__all__ = [
    "StreamingHandler",
    "ahandle_event",
    "handle_event",
    "hears_of_chunks",
    "heeded",
    "inherited",
    "manager_of_call",
    "with_handlers",
]

StreamingHandler = _StreamingCallbackHandler
"""A model call is streamed if one of its handlers is of this kind, unless the model's owner said no."""

_LETS_PASS = (
    "langgraph.",
    "langgraph_speculate.",
)  # their handlers ask for models to be streamed, or note things

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
    handlers = getattr(callbacks, "handlers", ())
    return any(hasattr(type(handler), "tap_output_iter") and not _is_known(handler) for handler in handlers)


def heeded(callbacks: object, events: Mapping[str, str | None]) -> frozenset[str]:
    """Which of *events* a handler hears that may raise into their teller, and so has a say in what comes next.

    Args:
        callbacks: A manager, or a list of handlers.
        events: Names of events, each with the attribute of a handler that ignores it.
    """
    handlers = callbacks if isinstance(callbacks, list) else getattr(callbacks, "handlers", ())
    raising = [handler for handler in handlers if getattr(handler, "raise_error", False) and not _is_known(handler)]
    return frozenset(
        event
        for event, ignores in events.items()
        for handler in raising
        if not (ignores and getattr(handler, ignores, False)) and _hears(handler, event)
    )


def _is_known(handler: object) -> bool:
    return type(handler).__module__.startswith(_LETS_PASS)


def _hears(handler: object, event: str) -> bool:
    told = getattr(getattr(handler, event, None), "__func__", None)
    return told not in (getattr(BaseCallbackHandler, event), getattr(AsyncCallbackHandler, event))


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
