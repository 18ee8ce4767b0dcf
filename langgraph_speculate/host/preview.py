"""One call of a chat model that runs ahead: what it has written so far, for a real call that may take it over.

Its pieces (chunks of a stream, or one whole result) are kept in order and handed out once. Whoever takes it over gets
those that are there at once and the others as they come.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import replace
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.messages import BaseMessage

from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.history import text_of
from langgraph_speculate.core.memory import Result
from langgraph_speculate.core.stakes import TOKEN_CHARS, Tokens
from langgraph_speculate.host import clock
from langgraph_speculate.host.arithmetic import decimal_here
from langgraph_speculate.host.entry import TASK, THREAD
from langgraph_speculate.host.inputs import Form, ModelInput, variables_here
from langgraph_speculate.host.results import handed_over
from langgraph_speculate.host.sandbox import Sandbox

VENUES: Mapping[str, str] = {"_generate": THREAD, "_stream": THREAD, "_agenerate": TASK, "_astream": TASK}
"""Where each of a model's bodies runs ahead."""

_CHANGES = {
    "options": "options that it changes in place",
    "messages": "messages that it changes in place",
    "circumstances": "context variables that it sets",
}
"""Why no more calls of a model are started ahead, by the part of its input that is another after its body."""

_FOREVER_S = 86_400.0  # a model has time-outs of its own


class Preview:
    """A call of a model that runs ahead.

    Args:
        id: Unique in the process.
        given: What the model is given.
        expected: What the tools are expected to answer, by the id of the call.
        tokens: About what it reads, and writes to its end.
        wrote: Is handed each piece as it comes.

    Attributes:
        venue: Where it runs.
        call_id: None: it belongs to no call of a tool.
        given: What the model is given.
        form: What it was given, as it is compared; None until it has begun.
        joined: Whether it was still being written when a real call took it over.
        in_pieces: Whether that may hand on what there is before all of it is.
        hid_s: Seconds of it that had passed by then.
        shown: Whether it is known what became of it: somebody had a piece of it, or nobody ever will.
        over: Whether nobody wants it any more.
        is_stopped: Whether it was told to write no more.
    """

    call_id: str | None = None

    def __init__(
        self,
        id: str,
        given: ModelInput,
        expected: Mapping[str, Result],
        tokens: Tokens,
        wrote: Callable[[Any], None],
    ) -> None:
        self.id = id
        self.venue = VENUES[given.method]
        self.expected = expected
        self.form: Form | None = None
        self.joined = self.in_pieces = self.shown = self.over = self.is_stopped = False
        self.hid_s = 0.0
        self._variables = handed_over(dict(given.variables))
        self.sandbox = Sandbox(
            type(given.model).__name__,
            given.config,
            self._variables,
            uses_context=False,
            native=self.venue == TASK,
            decimals=given.decimals,
        )
        self.given = self._lent = given
        self._tokens = tokens
        self._wrote = wrote
        self._pieces: list[Any] = []
        self._outcome: Outcome | None = None
        self._changed: Future[None] = Future()
        self._lock = threading.Lock()
        self._started_at = self._ended_at = 0.0

    # -- while it runs -----------------------------------------------------------------------------------------------

    def body(self) -> Any:
        """Call the model; a coroutine where the venue is a task."""
        bodies: dict[str, Callable[[], Any]] = {
            "_generate": self._generate,
            "_stream": self._stream,
            "_agenerate": self._agenerate,
            "_astream": self._astream,
        }
        return bodies[self.given.method]()

    def _generate(self) -> None:
        result = self._call()
        self._look_after_it()
        self._put(result)

    def _stream(self) -> None:
        pieces = self._call()
        try:
            for piece in pieces:
                self._put(piece)
                if self.is_stopped:
                    return
            self._look_after_it()
        finally:
            if hasattr(pieces, "close"):
                pieces.close()

    async def _agenerate(self) -> None:
        result = await self._call()
        self._look_after_it()
        self._put(result)

    async def _astream(self) -> None:
        pieces = self._call()
        try:
            async for piece in pieces:
                self._put(piece)
            self._look_after_it()
        finally:
            if hasattr(pieces, "aclose"):
                await pieces.aclose()

    def _call(self) -> Any:
        self._lent = given = self.given.apart()
        self._started_at = clock.now()
        # What is compared later is what the model gets now: messages may be changed in place.
        self.form = given.form()
        options = {**given.options, **({"run_manager": self._manager()} if given.managed else {})}
        return given.body(list(given.messages), **options)

    def _look_after_it(self) -> None:
        """The body is over: what it has changed it would have changed in the run, had that called it."""
        # LangChain calls `_agenerate` in a task: what is set there stays there, what is changed in place does not.
        variables = self._variables if self.given.method == "_agenerate" else variables_here()
        here = replace(self._lent, variables=variables, decimals=decimal_here())
        difference = None if self.form is None else here.form().difference(self.form)
        self.sandbox.taint = self.sandbox.taint or _CHANGES.get(difference or "")

    def _manager(self) -> Any:
        """In place of the real call's callback manager: one that trips a wire when a piece is told of."""
        recorder = self.sandbox.recorder
        kind: Any = AsyncCallbackManagerForLLMRun if self.venue == TASK else CallbackManagerForLLMRun
        return kind(run_id=recorder.inner, handlers=[recorder], inheritable_handlers=[recorder])

    def _put(self, piece: Any) -> None:
        with self._lock:
            self._pieces.append(piece)
        self._tell()
        self._wrote(piece)

    def end(self, outcome: Outcome, now: float) -> None:
        """Its body ended."""
        self._outcome, self._ended_at = outcome, now
        self._tell()

    def stop(self) -> None:
        """Nobody wants it: a stream that cannot be cancelled ends with its next piece."""
        self.is_stopped = True

    def _tell(self) -> None:
        with self._lock:
            changed, self._changed = self._changed, Future()
        with suppress(InvalidStateError):  # one who waited may have given up
            changed.set_result(None)

    # -- for who takes it over ---------------------------------------------------------------------------------------

    @property
    def trouble(self) -> str | None:
        """Why what it wrote must not be used, as far as is known yet."""
        if self.sandbox.taint is not None or self.sandbox.recorder.effects:
            return "tainted"
        if self._outcome is not None and not self._outcome.ok:
            return "failed"
        return "not begun" if self.form is None else None

    @property
    def error(self) -> BaseException | None:
        """What its body raised."""
        return None if self._outcome is None else self._outcome.error

    def pieces(self) -> Iterator[Any]:
        """What it writes, from the beginning; what has been handed out is let go."""
        while True:
            changed, over = self._changed, self._outcome is not None
            yield from self._there(over)
            if over:
                return
            clock.wait(changed, _FOREVER_S)

    async def apieces(self) -> AsyncGenerator[Any]:
        """`pieces` on the loop that it runs on."""
        while True:
            changed, over = self._changed, self._outcome is not None
            for piece in self._there(over):
                yield piece
            if over:
                return
            await asyncio.wrap_future(changed)

    def _there(self, over: bool) -> Iterator[Any]:
        while self._pieces and (over or self.in_pieces):
            yield self._pieces.pop(0)

    def take(self, now: float, *, in_pieces: bool) -> None:
        """A real call takes it over."""
        self.in_pieces = in_pieces
        self.joined = self._outcome is None
        self.hid_s = max(0.0, (now if self.joined else self._ended_at) - self._started_at)

    def spent(self) -> Tokens:
        """What it has read and written so far: as its provider counted it, or about."""
        if self.form is None:
            return Tokens(0, 0)
        messages = [message for piece in self._pieces for message in messages_of(piece)]
        counted = next((tokens for message in reversed(messages) if (tokens := counted_in(message))), None)
        if counted is not None:
            return counted
        # One that is not streamed is written to its end, whether anybody is there to take it or not.
        whole = self.given.method in ("_generate", "_agenerate")
        written = sum(map(length_of, messages)) // TOKEN_CHARS
        return self._tokens if whole else self._tokens._replace(output=written)


def messages_of(piece: Any) -> list[Any]:
    """The messages in a piece."""
    generations = getattr(piece, "generations", None)
    return [piece.message] if generations is None else [one.message for one in generations]


def call_ids(piece: Any) -> list[str]:
    """The ids of the calls that a piece begins, or holds."""
    return [
        call["id"]
        for message in messages_of(piece)
        for call in getattr(message, "tool_call_chunks", None) or getattr(message, "tool_calls", None) or ()
        if call.get("id")
    ]


def counted_in(message: Any) -> Tokens | None:
    """The tokens that a provider says a message took, or None where it says nothing."""
    return Tokens.counted(getattr(message, "usage_metadata", None))


def estimated(messages: Iterable[BaseMessage]) -> int:
    """About how many tokens messages take."""
    return sum(map(length_of, messages)) // TOKEN_CHARS


def length_of(message: BaseMessage) -> int:
    """About how many characters a message takes."""
    calls = [*(getattr(message, "tool_calls", None) or ()), *(getattr(message, "tool_call_chunks", None) or ())]
    return len(text_of(message.content)) + sum(len(str(call.get("args"))) for call in calls)
