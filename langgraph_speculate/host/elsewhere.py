"""Tool calls of a run that need not reach a body of ours: all that is known of them is when they begin and end.

A tool that replaces `run`, a tool that a node fetched where nobody could look for it, one that the model's node calls:
each may write while it runs whatever its name may write, and that is everything, unless the policy says less.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.toolbox import Toolbox

if TYPE_CHECKING:
    from langgraph_speculate.host.run import Run


_HEARD: ContextVar[Epochs | None] = ContextVar("speculate_heard", default=None)
"""Where the writes of the call that starts here will be noted by its body."""


class Elsewhere:
    """The writes that such calls of a run may make.

    Args:
        driver: The run's session and runner.
        toolbox: The graph's tools.
    """

    def __init__(self, driver: Driver, toolbox: Toolbox) -> None:
        self._driver = driver
        self._toolbox = toolbox
        self._epochs = driver.session.view.epochs
        self._open: dict[UUID, frozenset[str]] = {}

    def began(self, id: UUID, name: str) -> None:
        """A call of the tool of that name starts, be it on its way to a body of ours or not."""
        if _HEARD.get() is not self._epochs:
            self._open[id] = self._begin(name)

    def ended(self, id: UUID) -> None:
        """It ended, one way or another."""
        self._end(self._open.pop(id, frozenset()))

    @contextmanager
    def arriving(self) -> Iterator[None]:
        """Around a call on its way to a body of ours, which notes by itself what it may write."""
        token = _HEARD.set(self._epochs)
        try:
            yield
        finally:
            _HEARD.reset(token)

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        """Around a call of the tool of that name."""
        tags = self._begin(name)
        try:
            yield
        finally:
            self._end(tags)

    def close(self) -> None:
        """The run is over: what has not told of its end must not keep others from reading for ever."""
        for id in tuple(self._open):
            self.ended(id)

    def _begin(self, name: str) -> frozenset[str]:
        facts, none = self._toolbox.facts_of(name), frozenset[str]()
        if not facts.writes:
            return none
        # Its arguments are not known as its body receives them, so that templates which need them stand for everything.
        return self._driver.answer(lambda now: self._driver.session.begin_call(facts, Call(name), now), none)

    def _end(self, tags: frozenset[str]) -> None:
        if tags:
            self._driver.note(lambda now: self._driver.session.end_call(tags, now))


class CallObserver(BaseCallbackHandler):
    """For one run: tells its `elsewhere` of tool calls that no body of ours will hear of.

    Args:
        run: The run.
    """

    run_inline = True
    ignore_chain = True
    ignore_llm = True
    ignore_chat_model = True
    ignore_retriever = True
    ignore_custom_event = True
    ignore_retry = True

    def __init__(self, run: Run) -> None:
        self._run = run

    def on_tool_start(self, serialized: dict[str, Any] | None, input_str: str, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool is called."""
        if not self._run.calls.executing():  # what a tool calls in turn is its own business
            self._run.elsewhere.began(run_id, str((serialized or {}).get("name", "")))

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """It answered."""
        self._run.elsewhere.ended(run_id)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """It failed."""
        self._run.elsewhere.ended(run_id)
