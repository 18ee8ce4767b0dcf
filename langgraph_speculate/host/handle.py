"""The owner's handle on what speculates beside a graph: what it did, what it may do, and how to end it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from langgraph_speculate.observe.delivery import LAST_S
from langgraph_speculate.observe.observers import Observer
from langgraph_speculate.observe.stats import Stats
from langgraph_speculate.policy import SpeculationPolicy

if TYPE_CHECKING:
    from langgraph_speculate.host.archive import Archive
    from langgraph_speculate.host.engine import Engine
    from langgraph_speculate.host.explanation import Explanation
    from langgraph_speculate.host.keeper import Keeper


class SpeculationHandle:
    """What `speculation_of(graph)` returns, and `SpeculationMiddleware` has as `speculation`.

    As a context manager it closes at the end of the block.

    >>> from langchain.agents import create_agent
    >>> from langchain_core.language_models import FakeListChatModel
    >>> from langgraph_speculate import speculate, speculation_of
    >>> graph = speculate(create_agent(FakeListChatModel(responses=["hi"])))
    >>> with speculation_of(graph) as speculation:
    ...     _ = graph.invoke({"messages": [("user", "hello")]})
    ...     speculation.stats().hits
    0
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def policy(self) -> SpeculationPolicy:
        """What may run ahead."""
        return self._engine.policy

    @property
    def patterns(self) -> Keeper | None:
        """The keeper of what is learned (`patterns=`), with `flush()` and `forget(*partition)`, or None."""
        return self._engine.patterns

    @property
    def archive(self) -> Archive | None:
        """The keeper of what tools answered (`memory=`), with `flush()` and `forget(*partition)`, or None."""
        return self._engine.archive

    def stats(self) -> Stats:
        """Counts and seconds over all runs so far."""
        return self._engine.stats()

    def explain(self) -> Explanation:
        """For each tool whether it may run ahead, and why: the same gate that decides in a run.

        Its `models` are those whose calls are not started ahead although `model_ahead` is set.
        """
        return self._engine.explain()

    def events(self, observer: Observer) -> Callable[[], None]:
        """Call *observer* with every event from now on; returns a function that takes it off again.

        It is called in a thread of its own, so that it cannot hold up a run; `flush` waits until it has been.
        """
        return self._engine.events(observer)

    def flush(self, timeout_s: float = LAST_S) -> bool:
        """Return when all observers have been told what happened so far; False if that takes longer than *timeout_s*.

        It blocks: on an event loop call it with `asyncio.to_thread`.
        """
        return self._engine.flush(timeout_s)

    def close(self) -> None:
        """Stop speculating: nothing is left running, and the graph goes on as the plain one."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def engine_behind(handle: SpeculationHandle) -> Engine:
    """What a handle stands before, for the rest of this package."""
    return handle._engine
