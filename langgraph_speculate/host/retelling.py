"""What an adopted body wrote to streams and callbacks, told once more, as if the real call had written it.

The user's handlers see it once, as children of the real tool run. What the body left running goes on to where the real
call's would go.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Iterator, Mapping
from concurrent.futures import Future
from functools import cached_property
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables.config import get_callback_manager_for_config

from langgraph_speculate.host.compat.callbacks import ahandle_event, handle_event
from langgraph_speculate.host.compat.configs import child_config, runtime_of
from langgraph_speculate.host.compat.tools import RUN_MANAGER
from langgraph_speculate.host.entry import Arguments
from langgraph_speculate.host.recorder import COMMIT, OF_A_RUN, RECORDED, STREAM, Effect, Recorder
from langgraph_speculate.host.threads import running_loop


def replay(recorder: Recorder, given: Arguments) -> None:
    """Emit what was recorded as if the real call, in whose context this runs, had emitted it.

    Args:
        recorder: What was recorded.
        given: What the real call's body receives.
    """
    for handlers, event, args, kwargs in _translated(recorder, given):
        if event == COMMIT:
            if inspect.isawaitable(done := args[0]()):
                _complete(done)
            continue
        handle_event(handlers, event, RECORDED[event], *args, **kwargs)


def _complete(effect: Awaitable[Any]) -> None:
    """Wait for an async effect of a body that ran in a thread, on a loop of its own; what it raises is raised here."""
    ended: Future[None] = Future()

    async def complete() -> None:
        await effect

    def run() -> None:
        try:
            ended.set_result(asyncio.run(complete()))
        except BaseException as error:  # noqa: BLE001 - the call's
            ended.set_exception(error)

    threading.Thread(target=contextvars.copy_context().run, args=(run,)).start()
    ended.result()


_PENDING: set[asyncio.Future[Any]] = set()
"""Async effects of what a body left running on a loop; the loop itself holds on to none."""


def _start(effect: Awaitable[Any]) -> None:
    """Have a late async effect completed: on the loop that it was given on, if it was on one."""
    if running_loop() is None:
        _complete(effect)
        return
    pending = asyncio.ensure_future(effect)
    _PENDING.add(pending)
    pending.add_done_callback(_PENDING.discard)


async def areplay(recorder: Recorder, given: Arguments) -> None:
    """`replay` for an async call."""
    for handlers, event, args, kwargs in _translated(recorder, given):
        if event == COMMIT:
            if inspect.isawaitable(done := args[0]()):
                await done
            continue
        await ahandle_event(handlers, event, RECORDED[event], *args, **kwargs)


_Emission = tuple[list[BaseCallbackHandler], str, tuple[Any, ...], dict[str, Any]]


def _translated(recorder: Recorder, given: Arguments) -> Iterator[_Emission]:
    recorder.replayed()
    call = _RealCall(recorder, given)
    for effect in recorder.kept(call.late):
        yield from call.emissions(effect)


class _RealCall:
    """Where effects go when they are those of the real call, in whose context this is made."""

    def __init__(self, recorder: Recorder, given: Arguments) -> None:
        self._recorder = recorder
        self._around = given.config
        self._run = given.slots.get(RUN_MANAGER)
        self._inside = child_config() or {}
        self._context = contextvars.copy_context()

    @cached_property
    def _managers(self) -> tuple[Any, dict[UUID, Any]]:
        """The manager within the call, and by run the one whose tags and handlers that inherits."""
        inner = get_callback_manager_for_config(self._inside)
        outer = get_callback_manager_for_config(self._around) if self._around is not None else inner
        return inner, {self._recorder.inner: inner, self._recorder.outer: outer}

    @cached_property
    def _roots(self) -> dict[UUID, Any]:
        return dict(self._managers[1])

    def emissions(self, effect: Effect) -> Iterator[_Emission]:
        """What handlers are to be told, if anything; writes to the stream are made."""
        event, args, kwargs = effect
        if event == STREAM:
            writer = getattr(runtime_of(self._inside), "stream_writer", None)
            if writer is not None:
                writer(*args)
        elif event == COMMIT:
            yield [], event, args, kwargs
        else:
            run = self._run if event in OF_A_RUN and kwargs["run_id"] == self._recorder.inner else None
            if run is not None:  # its handlers and tags are the tool's, too
                ids = {"run_id": run.run_id, "parent_run_id": run.parent_run_id}
                yield run.handlers, event, args, {**kwargs, **ids, "tags": run.tags}
                return
            roots, (inner, managers) = self._roots, self._managers
            parent = kwargs.get("parent_run_id") or kwargs["run_id"]
            manager = managers.setdefault(kwargs["run_id"], managers.get(parent, inner))
            yield manager.handlers, event, args, _under(manager, roots, kwargs)

    def late(self, effect: Effect) -> None:
        """An effect of what the body left running, in whatever thread."""
        self._context.copy().run(self._tell, effect)

    def _tell(self, effect: Effect) -> None:
        for handlers, event, args, kwargs in self.emissions(effect):
            if event == COMMIT:
                if inspect.isawaitable(done := args[0]()):
                    _start(done)
                continue
            handle_event(handlers, event, RECORDED[event], *args, **kwargs)


def _under(manager: Any, roots: Mapping[UUID, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The event's ids, tags and metadata as they would be below the real tool run."""
    moved = dict(kwargs)
    for name in ("run_id", "parent_run_id"):
        if moved.get(name) in roots:
            moved[name] = roots[moved[name]].parent_run_id
    if "tags" in moved:
        own = moved["tags"] or []
        moved["tags"] = [*(tag for tag in manager.tags if tag not in own), *own]
    if "metadata" in moved:
        moved["metadata"] = {**manager.metadata, **(moved["metadata"] or {})}
    return moved
