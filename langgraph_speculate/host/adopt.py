"""The tool whose body adopts or executes.

A dynamic subclass of the tool's own class overrides the body, `_run` and `_arun`, and what leads there: that notes the
id of a call, and whose it is, or, where the class has a way of its own, that it may write. Callbacks, validation,
artifacts, error handling, ids and the ToolMessage stay those of the real call; outside of a speculating run the body is
the tool's own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool

from langgraph_speculate.host.compat.configs import RUN_KEY, child_config
from langgraph_speculate.host.compat.tools import body_slots, own_ways
from langgraph_speculate.host.entry import TASK, Arguments, venues_of
from langgraph_speculate.host.kinds import Overriding, own_kind

if TYPE_CHECKING:
    from langgraph_speculate.host.run import Run

_CALL_ID: ContextVar[str] = ContextVar("speculate_call_id", default="")
"""The id of the call that is on its way to a body: most bodies are not told."""


def adopting_clone(tool: BaseTool) -> BaseTool:
    """*tool* to be called instead, whose body adopts; what either of the two is told, the other knows.

    *tool* itself stays as it is, unless two objects could not share all that it knows.
    """
    return _ADOPTING.view(tool)


def adopt_in_place(tool: BaseTool) -> None:
    """Make the body of *tool* itself adopt, for nodes that hold on to the object."""
    _ADOPTING.put_on(tool)


def speculative_body(tool: BaseTool, venue: str, arguments: Arguments, slots: Any) -> Any:
    """Call the tool's own body, past `run`, its callbacks and the adopting override.

    Args:
        tool: The tool.
        venue: Which body.
        arguments: The arguments it receives.
        slots: A function from the names of the parameters that `run` fills in to their values.
    """
    kind = own_kind(tool)
    body = kind._arun if venue == TASK else kind._run
    return body(tool, *arguments.positional, **arguments.named, **slots(body_slots(body)))


def _active_run(config: Mapping[str, Any] | None) -> Run | None:
    run: Run | None = (config.get("configurable") or {}).get(RUN_KEY) if config else None
    return None if run is None or run.calls.executing() else run


def _overrides(kind: type[BaseTool]) -> dict[str, Any]:
    sync_slots = body_slots(kind._run)

    @functools.wraps(kind._run)
    def _run(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        run = _active_run(child_config())
        if run is None:
            return kind._run(self, *args, **kwargs)
        arguments = _arguments(args, kwargs, sync_slots)
        return run.calls.call(self, arguments, functools.partial(kind._run, self, *args, **kwargs), _CALL_ID.get())

    overrides: dict[str, Any] = {"_run": _run, **_ways(kind)}
    if kind._arun is not BaseTool._arun:
        async_slots = body_slots(kind._arun)

        @functools.wraps(kind._arun)
        async def _arun(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
            # Without a native coroutine the host's `_arun` goes on to `_run`, which adopts by itself.
            run = _active_run(child_config()) if TASK in venues_of(self) else None
            if run is None:
                return await kind._arun(self, *args, **kwargs)
            arguments = _arguments(args, kwargs, async_slots)
            body = functools.partial(kind._arun, self, *args, **kwargs)
            return await run.calls.acall(self, arguments, body, _CALL_ID.get())

        overrides["_arun"] = _arun
    return overrides


_ADOPTING = Overriding(_overrides)


def _ways(kind: type[BaseTool]) -> dict[str, Any]:
    """Overrides of what leads to a body of *kind*: `run` and `arun`, and whatever the class itself has put there."""
    own = own_ways(kind)
    names = {"run", "arun", *own}
    return {name: (_aleading if name in ("ainvoke", "arun") else _leading)(kind, name, name in own) for name in names}


def _leading(kind: type[BaseTool], name: str, past: bool) -> Any:
    @functools.wraps(getattr(kind, name))
    def way(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        with _called(self, args, kwargs, past):
            return getattr(kind, name)(self, *args, **kwargs)  # which somebody may have patched since

    return way


def _aleading(kind: type[BaseTool], name: str, past: bool) -> Any:
    @functools.wraps(getattr(kind, name))
    async def way(self: BaseTool, *args: Any, **kwargs: Any) -> Any:
        with _called(self, args, kwargs, past):
            return await getattr(kind, name)(self, *args, **kwargs)

    return way


@contextmanager
def _called(tool: BaseTool, args: tuple[Any, ...], given: Mapping[str, Any], past: bool) -> Iterator[None]:
    """Around what leads to a tool's body, but may go *past* it, so that the call itself is all there is to see."""
    here, id = child_config(), given.get("tool_call_id")
    told = (one for one in (given.get("config"), *args[1:2]) if isinstance(one, dict))
    run = _active_run(next((config for config in told if config.get("configurable") is not None), here))
    writing = run or _active_run(here)
    token = _CALL_ID.set(id if isinstance(id, str) else "")
    try:
        with ExitStack() as around:
            if run is not None:
                around.enter_context(run.elsewhere.arriving())
            if writing is not None and past:
                around.enter_context(writing.elsewhere.around(tool.name))
            yield
    finally:
        _CALL_ID.reset(token)


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any], slots: frozenset[str]) -> Arguments:
    named = {name: value for name, value in kwargs.items() if name not in slots}
    return Arguments(args, named, slots={name: kwargs[name] for name in slots if name in kwargs})
