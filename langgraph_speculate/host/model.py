"""Chat models that keep their token counts when their turns are streamed although nobody asked for it.

OpenAI and servers like it count tokens in a stream only if asked to, and `ChatOpenAI` asks none but OpenAI itself,
unless its owner sets `stream_usage`. A dynamic subclass of the model's own class asks where streaming was our idea and
its owner has said nothing; every other call is the model's own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from langgraph_speculate.host.anatomy import members
from langgraph_speculate.host.compat.graphs import Pregel
from langgraph_speculate.host.compat.models import SHOULD_STREAM, SHOULD_STREAM_USAGE
from langgraph_speculate.host.forcing import is_forced_alone
from langgraph_speculate.host.kinds import Overriding

_OUR_IDEA: ContextVar[BaseChatModel | None] = ContextVar("our_idea_of_streaming", default=None)
"""The model that is about to stream because of us, from its decision to stream until it asks what to ask for."""


def name_of(model: Any) -> str:
    """The name of a chat model, as far as it tells."""
    told = (getattr(model, name, None) for name in ("model_name", "model"))
    return next((name for name in told if isinstance(name, str)), "")


def chat_models_in(values: Iterable[Any]) -> Iterator[BaseChatModel]:
    """The models among values, in tables and lists of them, and inside of bindings, chains, fallbacks and the like."""
    seen: set[int] = set()
    rest = _with_members(values)
    while rest:
        value = rest.pop()
        if id(value) not in seen and isinstance(value, Runnable) and not isinstance(value, Pregel):
            seen.add(id(value))
            if isinstance(value, BaseChatModel):
                yield value
            else:
                rest.extend(_with_members(getattr(value, "__dict__", {}).values()))


def _with_members(values: Iterable[Any]) -> list[Any]:
    return [one for value in values for one in (value, *members(value))]


def asking(model: Any) -> Any:
    """*model* to be called instead, which asks for token counts; *model* itself stays as it is.

    What is returned shares its state with *model*. Models that are inside of it (of fallbacks, say) are made asking in
    place.
    """
    if isinstance(model, BaseChatModel):
        return _ASKING.view(model) if _can_ask(model) else model
    for inner in chat_models_in([model]):
        ask_in_place(inner)
    return model


def ask_in_place(model: BaseChatModel) -> None:
    """Make *model* itself ask for token counts, for nodes that hold on to the object."""
    if _can_ask(model):
        _ASKING.put_on(model)


def _can_ask(model: BaseChatModel) -> bool:
    return callable(getattr(type(model), SHOULD_STREAM_USAGE, None))


def _usage_overrides(kind: type[BaseChatModel]) -> dict[str, Callable[..., Any]]:
    streams, asks = getattr(kind, SHOULD_STREAM), getattr(kind, SHOULD_STREAM_USAGE)

    @functools.wraps(streams)
    def should_stream(self: BaseChatModel, *, run_manager: Any = None, **kwargs: Any) -> bool:
        wanted: bool = streams(self, run_manager=run_manager, **kwargs)
        ours = wanted and run_manager is not None and is_forced_alone(run_manager.handlers)
        _OUR_IDEA.set(self if ours and not streams(self, run_manager=None, **kwargs) else None)
        return wanted

    @functools.wraps(asks)
    def should_stream_usage(self: BaseChatModel, stream_usage: bool | None = None, **kwargs: Any) -> bool:
        ours = _OUR_IDEA.get() is self and stream_usage is None and not _has_said(self, kwargs)
        _OUR_IDEA.set(None)
        return ours or asks(self, stream_usage=stream_usage, **kwargs)

    return {SHOULD_STREAM: should_stream, SHOULD_STREAM_USAGE: should_stream_usage}


_ASKING = Overriding(_usage_overrides)


def _has_said(model: BaseChatModel, kwargs: dict[str, Any]) -> bool:
    """Whether its owner, or who calls it, has said anything about token counts in streams."""
    options = [kwargs, *(getattr(model, name, None) for name in ("model_kwargs", "extra_body"))]
    return getattr(model, "stream_usage", None) is not None or any(
        one is not None and one.get("stream_options") is not None for one in options
    )
