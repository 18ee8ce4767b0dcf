"""What a speculation's body wrote to streams and callbacks, and its replay under the real call.

The user's handlers see nothing of a speculation. If its result is adopted they see what it emitted, once, as children
of the real tool run; a nested model call cannot be replayed faithfully (it would have streamed), so it trips a wire
instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NoReturn
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from langgraph_speculate.host.compat import ahandle_event, child_config, handle_event, runtime_of

_IGNORED_BY = {
    "on_chain_start": "ignore_chain",
    "on_chain_end": "ignore_chain",
    "on_chain_error": "ignore_chain",
    "on_tool_start": "ignore_agent",
    "on_tool_end": "ignore_agent",
    "on_tool_error": "ignore_agent",
    "on_retriever_start": "ignore_retriever",
    "on_retriever_end": "ignore_retriever",
    "on_retriever_error": "ignore_retriever",
    "on_custom_event": "ignore_custom_event",
    "on_text": None,
    "on_retry": "ignore_retry",
}
_STREAM = "stream"


class Recorder(BaseCallbackHandler):
    """Records events in order.

    Args:
        trip: Called with a name when the body does what cannot be replayed.

    Attributes:
        root: The run id that stands for the speculation's own tool run.
        effects: (event, positional, named) in order; the event `"stream"` is a write to the stream.
    """

    run_inline = True
    raise_error = True

    def __init__(self, trip: Callable[[str], NoReturn]) -> None:
        self.root: UUID | None = None
        self.effects: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self._trip = trip

    def write(self, chunk: Any) -> None:
        """Stand in for the run's stream writer."""
        self.effects.append((_STREAM, (chunk,), {}))

    def on_chat_model_start(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """A nested model call."""
        self._trip("a nested model call")

    def on_llm_start(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """A nested model call."""
        self._trip("a nested model call")


def _recording(event: str) -> Callable[..., None]:
    def record(self: Recorder, *args: Any, **kwargs: Any) -> None:
        self.effects.append((event, args, kwargs))

    record.__name__ = event
    return record


for _event in _IGNORED_BY:
    setattr(Recorder, _event, _recording(_event))


def replay(recorder: Recorder) -> None:
    """Emit what was recorded as if the real call, in whose context this runs, had emitted it."""
    for handlers, event, args, kwargs in _translated(recorder):
        handle_event(handlers, event, _IGNORED_BY[event], *args, **kwargs)


async def areplay(recorder: Recorder) -> None:
    """`replay` for an async call."""
    for handlers, event, args, kwargs in _translated(recorder):
        await ahandle_event(handlers, event, _IGNORED_BY[event], *args, **kwargs)


def _translated(recorder: Recorder) -> Iterator[tuple[list[Any], str, tuple[Any, ...], dict[str, Any]]]:
    config = child_config() or {}
    manager: Any = config.get("callbacks")
    writer = getattr(runtime_of(config), "stream_writer", None)
    for event, args, kwargs in recorder.effects:
        if event == _STREAM:
            if writer is not None:
                writer(*args)
        elif manager is not None:
            yield manager.handlers, event, args, _under(manager, recorder.root, kwargs)


def _under(manager: Any, root: UUID | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    """The event's ids, tags and metadata as they would be below the real tool run."""
    moved = dict(kwargs)
    for name in ("run_id", "parent_run_id"):
        if moved.get(name) == root:
            moved[name] = manager.parent_run_id
    if "tags" in moved:
        moved["tags"] = [*manager.tags, *(moved["tags"] or ())]
    if "metadata" in moved:
        moved["metadata"] = {**manager.metadata, **(moved["metadata"] or {})}
    return moved
