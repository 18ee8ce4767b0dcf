"""The scope of one agent run: the core's session, driven by real calls, real time and one lock.

Opened around `stream`/`astream` (or by the middleware) and closed in a `finally`: hooks at a run's end are skipped by
most ways a run can end. Nothing of a run outlives it, and no other run sees its results.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.commands import MISS, Commit, Join, Miss
from langgraph_speculate.core.gate import RunView, ToolFacts
from langgraph_speculate.core.history import Origin
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import Speculation
from langgraph_speculate.host import clock
from langgraph_speculate.host.compat import RUN_KEY, child_config
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.place import guarded
from langgraph_speculate.host.proposer import Proposer
from langgraph_speculate.host.recorder import areplay, replay
from langgraph_speculate.host.results import handed_over
from langgraph_speculate.host.runner import Attempt, Runner, wind_down
from langgraph_speculate.host.sandbox import circumstances_of
from langgraph_speculate.host.toolbox import TASK, THREAD, Arguments, Entry, Toolbox, keyable
from langgraph_speculate.host.turns import Turns
from langgraph_speculate.policy.guards import objection

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine

_INSIDE: ContextVar[Run | None] = ContextVar("speculate_inside", default=None)
"""The run whose real tool call is executing here: what that tool calls in turn is its own business."""


class Run:
    """One agent run.

    Args:
        engine: What the runs of one wrapped graph share.
        id: Unique in the process.
        toolbox: The graph's tools.
        view: What the gate may know about the run.
        loop: The run's event loop, or None for a sync run.
        depth: How deep in nested graphs the run lives; 0 for a root graph.
        thread: Early bodies of earlier runs of the same thread, by tool.
        origin: Whose run it is.

    Attributes:
        turns: The model's turns of the run.
    """

    def __init__(
        self,
        engine: Engine,
        id: str,
        toolbox: Toolbox,
        view: RunView,
        loop: asyncio.AbstractEventLoop | None,
        depth: int,
        thread: Counter[str],
        origin: Origin,
    ) -> None:
        self.depth = depth
        self._engine = engine
        self._toolbox = toolbox
        self._session = Session(id, view, engine.policy.limits, thread, engine.economy, engine.restraints)
        self._driver = Driver(self._session, Runner(loop), engine.lock, engine.publish, engine.warn)
        self._is_async = loop is not None
        proposer = Proposer(engine, self._driver, toolbox, view, self._is_async)
        self.turns = Turns(engine, self._driver, proposer, origin)

    # -- the model ---------------------------------------------------------------------------------------------------

    def is_own(self, config: Mapping[str, Any]) -> bool:
        """Whether something that starts with *config* belongs to this run, and not to one of its tools."""
        return (config.get("configurable") or {}).get(RUN_KEY) is self and not self.inside_tool()

    @property
    def awaits_predictor(self) -> bool:
        """Whether a model call in this run has to await a predictor's thread."""
        return self._is_async and not self._engine.forecaster.inline

    def binds_tools(self, parameters: Mapping[str, Any]) -> bool:
        """Whether a model call can end in tool calls, as far as its parameters tell."""
        return self._engine.binds_tools(bool(parameters.get("tools") or parameters.get("functions")))

    # -- real calls --------------------------------------------------------------------------------------------------

    def inside_tool(self) -> bool:
        """Whether this runs inside of one of the run's real tool calls."""
        return _INSIDE.get() is self

    def call(self, tool: BaseTool, arguments: Arguments, body: Callable[[], Any]) -> Any:
        """A real call reached the tool's sync body: adopt a result, or execute."""
        entry, arrived = self._toolbox.entry_of(tool), clock.now()
        call = entry.call(arguments)
        answer = self._resolve(call, entry, arguments, THREAD)
        joined = isinstance(answer, Join)
        if isinstance(answer, Join):
            with self._waiting(answer.speculation) as (attempt, patience):
                if attempt is not None:
                    attempt.wait(patience)
            answer = self._claim(answer.speculation)
        if isinstance(answer, Commit):
            with self._adopting(answer, entry.facts, joined, arrived):
                replay(answer.outcome.effects, arguments.config)
            return handed_over(answer.outcome.value)
        with self._executing(entry.facts, call, arrived):
            return body()

    async def acall(self, tool: BaseTool, arguments: Arguments, body: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """`call` for the tool's native async body."""
        entry, arrived = self._toolbox.entry_of(tool), clock.now()
        call = entry.call(arguments)
        answer = self._resolve(call, entry, arguments, TASK)
        joined = isinstance(answer, Join)
        if isinstance(answer, Join):
            with self._waiting(answer.speculation) as (attempt, patience):
                if attempt is not None:
                    await attempt.await_(patience)
            answer = self._claim(answer.speculation)
        if isinstance(answer, Commit):
            with self._adopting(answer, entry.facts, joined, arrived):
                await areplay(answer.outcome.effects, arguments.config)
            return handed_over(answer.outcome.value)
        with self._executing(entry.facts, call, arrived):
            return await body()

    def _resolve(self, call: Call, entry: Entry, arguments: Arguments, venue: str) -> Commit | Join | Miss:
        missed: Commit | Join | Miss = MISS
        self._toolbox.ran(entry.facts, self._is_async, venue)
        if call.name not in self._session.alive_tools() or keyable(call) is None:
            return missed
        config, guards = child_config() or {}, self._engine.policy.guards
        try:
            around = circumstances_of(config, self.turns.variables())
            here = entry.circumstances(around, arguments, config)
        except Exception as error:  # noqa: BLE001 - a value of the caller's: what cannot be compared is not used
            self._engine.trip(call.name, f"what cannot be compared ({type(error).__name__})")
            return missed
        against = objection(guards, guarded(call, config, "commit")) if guards else None
        return self._driver.answer(
            lambda now: self._session.resolve(call, entry.facts, venue, now, here, against, entry.id_of(arguments)),
            missed,
        )

    @contextmanager
    def _waiting(self, speculation: Speculation) -> Iterator[tuple[Attempt | None, float]]:
        """Around a real call's wait for a running body."""
        try:
            yield self._driver.runner.get(speculation.id), self._patience(speculation)
        except BaseException:
            self._driver.decide(lambda now: self._session.abandon(speculation, now))
            raise

    def _claim(self, speculation: Speculation) -> Commit | Miss:
        missed: Commit | Miss = MISS
        return self._driver.answer(lambda now: self._session.claim(speculation, now), missed)

    def _patience(self, speculation: Speculation) -> float:
        """Seconds to wait for a running body before the real call runs instead."""
        allowed = self._engine.economy.latencies.patience(
            speculation.call.name, self._engine.policy.limits.attempt_timeout_s
        )
        return min(allowed, speculation.launched_at + allowed - clock.now())  # clocks should not, but do, go back

    @contextmanager
    def _executing(self, facts: ToolFacts, call: Call, arrived: float) -> Iterator[None]:
        """Around the body of a real call: what it may write changes at its start and at its end."""
        began = clock.now()
        tags: frozenset[str] = frozenset()
        if facts.writes:
            tags = self._driver.answer(lambda now: self._session.begin_call(facts, call, now), tags)
        token = _INSIDE.set(self)
        error: BaseException | None = None
        self._engine.brakes.began(facts.name, facts.rule.tool, began)
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            _INSIDE.reset(token)
            self._engine.brakes.ended(facts.name, facts.rule.tool, error, clock.now())
            self._driver.note(lambda now: self._executed(facts, tags, now - arrived, now - began, now))

    def _executed(self, facts: ToolFacts, tags: frozenset[str], waited_s: float, tool_s: float, now: float) -> None:
        self._session.end_call(tags, now)
        self._session.settle(facts.name, hit=None, joined=False, waited_s=waited_s, tool_s=tool_s, now=now)

    @contextmanager
    def _adopting(self, answer: Commit, facts: ToolFacts, joined: bool, arrived: float) -> Iterator[None]:
        """Around what is made up for when a result is adopted."""
        hit = answer.speculation
        self._engine.brakes.adopted(facts.name, facts.rule.tool, arrived)
        try:
            yield
        finally:
            self._driver.note(
                lambda now: self._session.settle(
                    hit.call.name, hit=hit, joined=joined, waited_s=now - arrived, tool_s=hit.ran_s, now=now
                )
            )

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> list[asyncio.Task[None]]:
        """End the run; returns tasks that are winding down."""
        self._driver.decide(self._session.close)
        self._engine.forget(self)
        return self._driver.runner.close()

    async def aclose(self) -> None:
        """End the run and wait until its tasks have cleaned up."""
        await wind_down(self.close())
