"""What a speculation's body wrote to streams and callbacks.

The user's handlers see nothing of a speculation. If its result is adopted they see what it emitted (`retelling.py`); a
nested model call cannot be told faithfully (it would have streamed), so it trips a wire instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any, NoReturn
from uuid import UUID, uuid4

from langchain_core.callbacks import BaseCallbackHandler

from langgraph_speculate.core.canonical import canonical_key
from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.host.compat.callbacks import StreamingHandler
from langgraph_speculate.host.results import handed_over, repeatable
from langgraph_speculate.host.wires import Lent, Trip

RECORDED = {
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
"""What callbacks are told of a body, but for nested model calls, and how a handler says that it ignores it."""

OF_A_RUN = {event: RECORDED[event] for event in ("on_text", "on_retry")}
"""What the manager of a tool's run tells by itself, and the tool's own handlers hear, too."""

Effect = tuple[str, tuple[Any, ...], dict[str, Any]]
"""An event, and what comes with it: by position, by name."""

STREAM = "stream"
COMMIT = "commit"


class Recorder(Lent, BaseCallbackHandler):
    """Records events in order.

    Args:
        trip: Called with a name when the body does what cannot be replayed.
        heeded: Events at which a handler of the run may raise: what the body makes of that cannot be made up for.

    Attributes:
        outer: The run id that stands for whatever the real tool run is a child of.
        inner: The run id that stands for the real tool run.
        effects: (event, positional, named) in order; the event `"stream"` is a write to the stream, `"commit"` a
            function to call.
    """

    run_inline = True
    raise_error = True

    def __init__(self, trip: Trip, heeded: Collection[str] = ()) -> None:
        self.outer, self.inner = uuid4(), uuid4()
        self.effects: list[Effect] = []
        self._trip = trip
        self._heeded = heeded
        self._replayed = False
        self._lock = threading.Lock()
        self._onward: Callable[[Effect], None] | None = None
        self._seen: list[tuple[Any, str]] = []

    def write(self, chunk: Any) -> None:
        """Stand in for the run's stream writer."""
        self.note((STREAM, (chunk,), {}))

    def note(self, effect: Effect) -> None:
        """Keep *effect* as it is now; once what was kept has been made up for, it goes where the real call's would."""
        event, args, named = effect
        kept = effect if event == COMMIT else (event, handed_over(args), handed_over(named))
        seen = _seen(kept[1]) if event in _WRITTEN else None
        with self._lock:
            onward = self._onward
            if onward is None:
                self.effects.append(kept)
                if seen is not None:
                    self._seen.append(seen)
        if onward is not None:
            onward(effect)

    def kept(self, onward: Callable[[Effect], None]) -> Iterator[Effect]:
        """What is kept, in order; when that is done, what a task or a thread of the body still writes goes *onward*."""
        at = 0
        while True:
            with self._lock:
                if at == len(self.effects):
                    self._onward = onward
                    return
                effect = self.effects[at]
            yield effect
            at += 1

    def on_commit(self, effect: Callable[[], Any]) -> None:
        """Have *effect* called when the result is adopted; at once if all before it has been made up for."""
        self.note((COMMIT, (effect,), {}))

    @property
    def written(self) -> list[Any]:
        """What handlers and streams would be handed, in order."""
        return [(args, named) for event, args, named in self.effects if event != COMMIT]

    @property
    def has_changed(self) -> bool:
        """Whether an object that was written is no more what it was then, which is what streams would have shown."""
        return any(_key(value) != key for value, key in self._seen)

    @property
    def is_replayed(self) -> bool:
        """Whether what is recorded is, or has been, made up for: the result was adopted."""
        return self._replayed

    def replayed(self) -> None:
        """What is recorded is being made up for."""
        self._replayed = True

    def on_chat_model_start(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """A nested model call."""
        self._trip("a nested model call")

    def on_llm_start(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """A nested model call."""
        self._trip("a nested model call")

    def on_llm_new_token(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """The body of a model tells its handlers of a piece by itself."""
        self._trip("its callbacks")

    def on_stream_event(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """The same in the newer protocol."""
        self._trip("its callbacks")


_WRITTEN = (STREAM, "on_custom_event")  # what the body itself has made up, as it goes on


def _seen(value: Any) -> tuple[Any, str] | None:
    """A written value with what it looks like now, where a copy is not all that there is to keep."""
    key = None if repeatable(value) else _key(value)
    return None if key is None else (value, key)


def _key(value: Any) -> str | None:
    """What an object looks like, or None where nobody can tell."""
    try:
        return canonical_key("", {"": value})
    except UnkeyableArguments:
        return None


class ListenedRecorder(Recorder, StreamingHandler):  # type: ignore[type-arg]
    """One for a run in which somebody hears of the pieces that runnables stream: when they came cannot be replayed."""

    def tap_output_aiter(self, run_id: UUID, output: Any) -> NoReturn:
        """The output of a nested runnable, about to be streamed."""
        self._trip("a stream within it that somebody listens to")

    def tap_output_iter(self, run_id: UUID, output: Any) -> NoReturn:
        """The same of a sync one."""
        self._trip("a stream within it that somebody listens to")


def _recording(event: str) -> Callable[..., None]:
    def record(self: Recorder, *args: Any, **kwargs: Any) -> None:
        if event in self._heeded and not self.is_replayed:
            self._trip("callbacks that may raise")
        metadata = kwargs.get("metadata")
        if metadata:  # what is its node's stands there as tripwires; the real call's will be put in their place
            kwargs["metadata"] = {key: item for key, item in metadata.items() if not issubclass(type(item), Lent)}
        self.note((event, args, kwargs))

    record.__name__ = event
    return record


for _event in RECORDED:
    setattr(Recorder, _event, _recording(_event))
