"""The chat model whose body takes over a preview or executes.

A dynamic subclass of the model's own class overrides its bodies, those four that callbacks, caches, limits and streams
of LangChain stand around: all of these see one call, with the pieces that the preview had written first and those that
follow live. Outside of a speculating run the bodies are the model's own.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from typing import Any

from langchain_core.language_models import BaseChatModel

from langgraph_speculate.host.arithmetic import decimal_here
from langgraph_speculate.host.compat.configs import RUN_KEY, child_config, namespace_depth
from langgraph_speculate.host.inputs import ModelInput, variables_here
from langgraph_speculate.host.kinds import Overriding
from langgraph_speculate.host.model import chat_models_in
from langgraph_speculate.host.modelcall import ModelCall
from langgraph_speculate.host.previewer import Previewer

_PREVIEWER: ContextVar[Previewer | None] = ContextVar("speculate_previewer", default=None)
"""Whose model calls these are, where no config says so: around a call that a middleware hands on."""

_INSIDE: ContextVar[bool] = ContextVar("speculate_inside_model", default=False)
"""Whether this runs inside of a model's body: what that calls in turn is a part of it."""


def adopting(model: Any) -> Any:
    """*model* to be called instead, whose bodies take previews over; *model* itself stays as it is.

    Models that are inside of it (of fallbacks, say) are made adopting in place.
    """
    if isinstance(model, BaseChatModel):
        return _ADOPTING.view(model)
    for inner in chat_models_in([model]):
        adopt_model_in_place(inner)
    return model


def adopt_model_in_place(model: BaseChatModel) -> None:
    """Make the bodies of *model* itself take previews over, for nodes that hold on to the object."""
    _ADOPTING.put_on(model)


@contextmanager
def turns_of(previewer: Previewer | None) -> Iterator[None]:
    """Around a model call that is a turn of a run whose config does not say so."""
    token = _PREVIEWER.set(previewer)
    try:
        yield
    finally:
        _PREVIEWER.reset(token)


# -- which run -------------------------------------------------------------------------------------------------------


def _previewer() -> Previewer | None:
    """Whose call of a model's body this is, or None where it is nobody's turn."""
    if _INSIDE.get():
        return None
    given = _PREVIEWER.get()
    if given is not None:
        return given
    config = child_config() or {}
    run = (config.get("configurable") or {}).get(RUN_KEY)
    if run is None or run.previewer is None or not run.is_own(config):
        return None
    own = namespace_depth(config.get("configurable") or {}) == run.depth + 1
    found: Previewer | None = run.previewer if own else None
    return found


def _input(
    model: BaseChatModel, method: str, body: Callable[..., Any], messages: Any, args: Any, kwargs: Any
) -> ModelInput:
    """What a body is given: LangChain hands it `stop` and `run_manager` by place or by name."""
    given = {**dict(zip(("stop", "run_manager"), args, strict=False)), **kwargs}
    managed = given.pop("run_manager", None) is not None
    run = functools.partial(_as_inside, functools.partial(body, model))
    return ModelInput(
        model, method, run, messages, given, managed, child_config() or {}, variables_here(), decimal_here()
    )


def _as_inside(body: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a body for good, in a context of its own."""
    _INSIDE.set(True)
    return body(*args, **kwargs)


# -- the four bodies -------------------------------------------------------------------------------------------------


def _generating(body: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(body)
    def _generate(self: BaseChatModel, messages: Any, *args: Any, **kwargs: Any) -> Any:
        previewer = _previewer()
        if previewer is None:
            return body(self, messages, *args, **kwargs)
        call = ModelCall(previewer, _input(self, "_generate", body, messages, args, kwargs))
        taken = list(_taken(call))
        if call.is_answered():
            return taken[0]
        call.begins()
        with _inside():
            result = body(self, messages, *args, **kwargs)
        call.ended([result])
        return result

    return _generate


def _agenerating(body: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(body)
    async def _agenerate(self: BaseChatModel, messages: Any, *args: Any, **kwargs: Any) -> Any:
        previewer = _previewer()
        if previewer is None:
            return await body(self, messages, *args, **kwargs)
        call = ModelCall(previewer, _input(self, "_agenerate", body, messages, args, kwargs))
        taken = [piece async for piece in _ataken(call)]
        if call.is_answered():
            return taken[0]
        call.begins()
        with _inside():
            result = await body(self, messages, *args, **kwargs)
        call.ended([result])
        return result

    return _agenerate


def _streaming(body: Callable[..., Any]) -> Callable[..., Any]:
    def pieces(previewer: Previewer, given: ModelInput, own: Callable[[], Any]) -> Iterator[Any]:
        call = ModelCall(previewer, given)
        yield from _taken(call)
        if call.is_answered():
            return
        call.begins()
        source = iter(own())
        try:
            while True:
                with _inside():  # a step at a time: what is set in a generator is set for who goes through it
                    piece = next(source, _OVER)
                if piece is _OVER:
                    break
                yield from call.wrote(piece)
        finally:
            if hasattr(source, "close"):
                source.close()
        yield from call.ended()

    @functools.wraps(body)
    def _stream(self: BaseChatModel, messages: Any, *args: Any, **kwargs: Any) -> Any:
        previewer = _previewer()
        own = functools.partial(body, self, messages, *args, **kwargs)
        if previewer is None:
            return own()
        return pieces(previewer, _input(self, "_stream", body, messages, args, kwargs), own)

    return _stream


def _astreaming(body: Callable[..., Any]) -> Callable[..., Any]:
    async def pieces(previewer: Previewer, given: ModelInput, own: Callable[[], Any]) -> AsyncIterator[Any]:
        call = ModelCall(previewer, given)
        async with aclosing(_ataken(call)) as taken:
            async for piece in taken:
                yield piece
        if call.is_answered():
            return
        call.begins()
        source = aiter(own())
        try:
            while True:
                with _inside():
                    piece = await anext(source, _OVER)
                if piece is _OVER:
                    break
                for one in call.wrote(piece):
                    yield one
        finally:
            if hasattr(source, "aclose"):
                await source.aclose()
        for one in call.ended():
            yield one

    @functools.wraps(body)
    def _astream(self: BaseChatModel, messages: Any, *args: Any, **kwargs: Any) -> Any:
        previewer = _previewer()
        own = functools.partial(body, self, messages, *args, **kwargs)
        if previewer is None:
            return own()
        return pieces(previewer, _input(self, "_astream", body, messages, args, kwargs), own)

    return _astream


_OVERRIDES: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "_generate": _generating,
    "_agenerate": _agenerating,
    "_stream": _streaming,
    "_astream": _astreaming,
}
_OVER = object()


def _overrides(kind: type[BaseChatModel]) -> dict[str, Callable[..., Any]]:
    # Where a class has no body of its own, LangChain's goes on to one that it has.
    own = {name for name in _OVERRIDES if getattr(kind, name) is not getattr(BaseChatModel, name)}
    return {name: _OVERRIDES[name](getattr(kind, name)) for name in own}


_ADOPTING = Overriding(_overrides)


def _taken(call: ModelCall) -> Iterator[Any]:
    """What a preview has for a call."""
    with call.taking() as preview:
        for piece in () if preview is None else preview.pieces():
            if not call.takes(piece):
                break
            yield piece


async def _ataken(call: ModelCall) -> AsyncGenerator[Any]:
    with call.taking() as preview:
        if preview is not None:
            async with aclosing(preview.apieces()) as pieces:
                async for piece in pieces:
                    if not call.takes(piece):
                        break
                    yield piece


@contextmanager
def _inside() -> Iterator[None]:
    token = _INSIDE.set(True)
    try:
        yield
    finally:
        _INSIDE.reset(token)
