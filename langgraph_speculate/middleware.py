"""`SpeculationMiddleware` for `create_agent(middleware=[…])`: thin hooks over the same engine.

It has no place to end a run from (`after_agent` is skipped by most ways a run can end), so a run's scope hangs on what
runs the graph, which every run has of its own, ends with the model's answer, and at the latest when that is collected.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from cachetools import LRUCache
from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain.agents.middleware.types import ToolCallRequest
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool
from langgraph.cache.base import BaseCache
from langgraph.types import TracePolicy, omit_payload

from langgraph_speculate.core.candidates import Predictor
from langgraph_speculate.errors import MisplacedMiddleware, PolicyError
from langgraph_speculate.graph import PolicySource
from langgraph_speculate.host import approvals
from langgraph_speculate.host.adopt import adopting_clone
from langgraph_speculate.host.adopt_model import adopting, turns_of
from langgraph_speculate.host.compat.agents import Building, agent_being_built
from langgraph_speculate.host.compat.callbacks import inherited
from langgraph_speculate.host.compat.configs import (
    RUN_KEY,
    child_config,
    configurable_of,
    loop_of,
    max_concurrency_of,
    stops_of,
)
from langgraph_speculate.host.engine import Engine
from langgraph_speculate.host.forcing import FORCED
from langgraph_speculate.host.model import asking, name_of
from langgraph_speculate.host.observer import StreamObserver, note_off
from langgraph_speculate.host.reaper import REAPER, Note
from langgraph_speculate.host.run import Run
from langgraph_speculate.host.toolbox import Toolbox
from langgraph_speculate.host.transparency import CallLimit, is_opaque_after_model, limits_among, opaque_around
from langgraph_speculate.observe.langsmith import TraceLevel, Tracing
from langgraph_speculate.observe.observers import Observer, listed
from langgraph_speculate.patterns import PatternSource
from langgraph_speculate.policy import SpeculationPolicy
from langgraph_speculate.predict import default_predictor

_TOOL_NODES = frozenset({"tools"})  # as create_agent names its only one
_CLONES = 1024  # tools whose adopting clones are kept
_UNSEEN = "the agent around SpeculationMiddleware cannot be seen; wrap the agent with speculate() instead"


def _bounds_of_call() -> str | None:
    """Why nothing may run ahead in the run that this is called in, because of how the agent was called."""
    before, after = stops_of(child_config() or {}) or ((), ())
    stops = approvals.static_interrupt(before, after, _TOOL_NODES, _TOOL_NODES)
    return stops or approvals.bounded(max_concurrency_of(None, None))


class SpeculationMiddleware(AgentMiddleware[Any, Any, Any]):
    """Predict an agent's tool calls and run them ahead while its model is still generating.

    Put it **last** in the list: innermost, after approvals, limits and guards, so that what they stop is never adopted.

    Args:
        policy: As in `speculate()`.
        patterns: As in `speculate()`.
        memory: As in `speculate()`.
        predictor: As in `speculate()`.
        observers: As in `speculate()`.
        executor: As in `speculate()`.
        force_streaming: As in `speculate()`.
        announce: As in `speculate()`.
        trace: As in `speculate()`.
        trace_feedback: As in `speculate()`.

    Raises:
        PolicyError: The policy is missing, unreadable or contradicts itself.
        TypeError: *executor*, *memory*, *predictor* or one of the *observers* is none.
        ValueError: There is no such *trace*.
        BadPatterns: *patterns* cannot be opened, or *predictor* has nothing that could be written down.

    Attributes:
        speculation: The handle: `stats()`, `explain()`, `events(fn)`, `close()`.

    >>> from langchain.agents import create_agent
    >>> from langchain_core.language_models import FakeListChatModel
    >>> middleware = SpeculationMiddleware({"tools": {"get_*": {"read_only": True}}})
    >>> agent = create_agent(FakeListChatModel(responses=["hi"]), middleware=[middleware])
    >>> agent.invoke({"messages": [("user", "hello")]})["messages"][-1].content
    'hi'
    >>> middleware.speculation.stats().turns
    0
    """

    speculation_transparent = True
    trace_policy = TracePolicy(process_inputs=omit_payload)

    def __init__(
        self,
        policy: PolicySource = None,
        *,
        patterns: PatternSource | None = None,
        memory: BaseCache[Any] | None = None,
        predictor: Predictor | None = None,
        observers: Iterable[Observer] = (),
        executor: Executor | None = None,
        force_streaming: bool = False,
        announce: bool = False,
        trace: TraceLevel = "summary",
        trace_feedback: bool = False,
    ) -> None:
        super().__init__()
        tracing = Tracing(trace, trace_feedback)
        self._policy = SpeculationPolicy.load(policy)
        guess = predictor if predictor is not None else default_predictor(apart=not self._policy.shared_patterns)
        self._engine = Engine(
            self._policy,
            guess,
            observers=listed(observers),
            patterns=patterns,
            force_streaming=force_streaming,
            executor=executor,
            tracing=tracing,
            announce=announce,
            memory=memory,
        )
        self.speculation = self._engine.handle
        self._gated = frozenset(approvals.named(self._policy.approval_gated))
        self._toolbox = Toolbox((), self._policy, self._gated)
        self._blocked: str | None = _UNSEEN
        self._limits: tuple[CallLimit, ...] = ()
        self._graph = ""
        self._clones: LRUCache[int, tuple[BaseTool, BaseTool]] = LRUCache(_CLONES)
        self._runs: weakref.WeakKeyDictionary[Any, tuple[Run, Note]] = weakref.WeakKeyDictionary()
        self._engine.know(self._toolbox, self._blocked)

    @property
    def name(self) -> str:
        """The middleware's name. `create_agent` asks for it, which is the moment to look at what stands beside it."""
        building = agent_being_built()
        if building is not None and any(one is self for one in building.middleware):
            self._look_around(building)
        return type(self).__name__

    def _look_around(self, building: Building) -> None:
        position = next(index for index, one in enumerate(building.middleware) if one is self)
        overtaken = approvals.overtaken(building.middleware[position + 1 :])
        if overtaken:
            raise MisplacedMiddleware(
                f"SpeculationMiddleware must come last in create_agent(middleware=[...]), but {', '.join(overtaken)} "
                f"comes after it and would be overtaken: move SpeculationMiddleware() to the end of the list "
                f"(only retry middleware may follow)"
            )
        self._graph = building.name
        # At a call nobody says which agent it is of: what stands around any of them stands around all.
        known = self._gated, self._limits, self._blocked
        self._gated |= approvals.gated_by(building.middleware)
        self._limits = tuple(dict.fromkeys((*self._limits, *limits_among(building.middleware))))
        if self._blocked is None or self._blocked == _UNSEEN:
            self._blocked = self._standing(building)
        if (self._gated, self._limits, self._blocked) != known:
            self._toolbox = Toolbox((), self._policy, self._gated, self._limits)
            self._engine.views[:] = [(self._toolbox, self._blocked)]

    def _standing(self, building: Building) -> str | None:
        """Why nothing may run ahead in the agent that is being built."""
        named = self._policy.transparent
        others = [one for one in building.middleware if one is not self]
        asking = [type(one).__name__ for one in others if approvals.asks_around_model(one)]
        after_model = [type(one).__name__ for one in others if is_opaque_after_model(one, named)]
        return (
            approvals.static_interrupt(building.interrupt_before, building.interrupt_after, _TOOL_NODES, _TOOL_NODES)
            or approvals.unnamed(asking, after_model, self._policy.approval_gated)
            or opaque_around([one for one in others if approvals.wraps_tool_calls(type(one))], named)
        )

    # -- the model ---------------------------------------------------------------------------------------------------

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        """Speculations run while the model thinks."""
        run = self._run_of(request, None)
        if run is None:
            note_off(self._engine)
            return handler(request)
        turn = uuid4().hex
        run.turns.begin(turn, request.messages, child_config() or {}, name_of(request.model), None)
        try:
            with self._streamed(request, run, turn) as request:
                response = handler(request)
        except BaseException:
            self._fail_turn(run, turn)
            raise
        self._end_turn(run, turn, response)
        return response

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        """Speculations run while the model thinks."""
        loop = asyncio.get_running_loop()
        run = self._run_of(request, loop)
        if run is None:
            note_off(self._engine)
            return await handler(request)
        turn = uuid4().hex
        run.turns.begin(turn, request.messages, child_config() or {}, name_of(request.model), loop)
        try:
            with self._streamed(request, run, turn) as request:
                response = await handler(request)
        except BaseException:
            self._fail_turn(run, turn)
            raise
        self._end_turn(run, turn, response)
        return response

    @contextmanager
    def _streamed(self, request: ModelRequest[Any], run: Run, turn: str) -> Iterator[ModelRequest[Any]]:
        """Around a turn's model call, with the request for it."""
        forced = self._engine.force_streaming
        handlers = [*([StreamObserver(run, turn)] if run.turns.reading(turn) else ()), *([FORCED] if forced else ())]
        model = asking(request.model) if forced else request.model
        if run.previewer is not None:
            model = adopting(model)
        with inherited(handlers), turns_of(run.previewer):
            yield request if model is request.model else request.override(model=model)

    def _run_of(self, request: ModelRequest[Any], loop: asyncio.AbstractEventLoop | None) -> Run | None:
        self._meet(tool for tool in request.tools if isinstance(tool, BaseTool))
        runs_it, run = self._known(child_config() or {})
        if run is None and runs_it is not None:
            blocked = self._blocked or _bounds_of_call()
            run = self._engine.open_run(self._toolbox, configurable_of(None, None), blocked, loop, self._graph)
            if run is not None:
                self._runs[runs_it] = run, REAPER.when_gone(runs_it, run.close)
        return run

    def _meet(self, tools: Iterable[BaseTool]) -> None:
        """Take in the tools of a model call; a wrong policy shows only now, and must not fail the run."""
        before = len(self._toolbox)
        try:
            for tool in tools:
                self._toolbox.add(tool)
            if len(self._toolbox) != before:
                self._policy.check_names({entry.facts.name for entry in self._toolbox})
        except PolicyError as error:
            self._engine.warn(f"policy: {error}", str(error))

    def _end_turn(self, run: Run, turn: str, response: ModelResponse[Any]) -> None:
        message = next((m for m in reversed(response.result) if isinstance(m, AIMessage)), None)
        run.turns.end(turn, message)
        if message is None or not message.tool_calls:  # an answer: as far as this hook will ever see, the run is over
            self._close(run)

    def _fail_turn(self, run: Run, turn: str) -> None:
        run.turns.abort(turn)
        self._close(run)  # should the model be asked again, that opens another

    def _close(self, run: Run) -> None:
        run.close()
        runs_it, known = self._known(child_config() or {})
        if known is not None:
            _, note = self._runs.pop(runs_it)
            note.detach()

    def _known(self, config: Mapping[str, Any]) -> tuple[Any, Run | None]:
        """What runs the graph whose node has that config, if anything, and its run here, if there is one."""
        runs_it = loop_of(config)
        run, _ = (None, None) if runs_it is None else self._runs.get(runs_it, (None, None))
        return runs_it, run

    # -- the tools ---------------------------------------------------------------------------------------------------

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Any]) -> Any:
        """The tool's body adopts or executes."""
        return handler(self._adopting(request))

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[Any]]
    ) -> Any:
        """The tool's body adopts or executes."""
        return await handler(self._adopting(request))

    def _adopting(self, request: ToolCallRequest) -> ToolCallRequest:
        config = request.runtime.config
        _, run = self._known(config)
        if run is None or request.tool is None:
            return request
        config["configurable"] = {**(config.get("configurable") or {}), RUN_KEY: run}
        return request.override(tool=self._clone(request.tool))

    def _clone(self, tool: BaseTool) -> BaseTool:
        original, clone = self._clones.get(id(tool), (None, None))
        if original is not tool or clone is None:
            clone = adopting_clone(tool)
            self._clones[id(tool)] = (tool, clone)
        return clone
