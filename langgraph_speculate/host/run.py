"""The scope of one agent run: the core's session, driven by real calls, real time and one lock.

Opened around `stream`/`astream` (or by the middleware) and closed in a `finally`: hooks at a run's end are skipped by
most ways a run can end. Nothing of a run outlives it, and no other run sees its results.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.tools import BaseTool

from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.gate import RunView, ToolFacts, forbids
from langgraph_speculate.core.history import History
from langgraph_speculate.core.session import MISS, Cancel, Command, Commit, Join, Launch, Miss, Proposal, Session
from langgraph_speculate.core.speculation import Speculation
from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.host.adopt import speculative_body
from langgraph_speculate.host.compat import RUN_KEY
from langgraph_speculate.host.forecast import PATIENCE_S
from langgraph_speculate.host.recorder import areplay, replay
from langgraph_speculate.host.runner import Attempt, Runner, wind_down
from langgraph_speculate.host.sandbox import Sandbox
from langgraph_speculate.host.toolbox import TASK, THREAD, Arguments, Entry, Toolbox

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine

_INSIDE: ContextVar[Run | None] = ContextVar("speculate_inside", default=None)
"""The run whose real tool call is executing here: what that tool calls in turn is its own business."""
Answer = TypeVar("Answer")
_BROKEN_OFF = frozenset({"length", "content_filter", "max_tokens", "refusal"})


class Prediction:
    """An answer that may still be on its way from a predictor on another thread."""

    def __init__(self, future: Future[None]) -> None:
        self._future = future

    def wait(self) -> None:
        """Give it a moment, but not more."""
        try:
            self._future.result(PATIENCE_S)
        except TimeoutError:
            return

    async def await_(self) -> None:
        """`wait` without holding up the loop."""
        await asyncio.wait({asyncio.wrap_future(self._future)}, timeout=PATIENCE_S)


class Run:
    """One agent run.

    Args:
        engine: What the runs of one wrapped graph share.
        id: Unique in the process.
        toolbox: The graph's tools.
        view: What the gate may know about the run.
        loop: The run's event loop, or None for a sync run.
        depth: How deep in nested graphs the run lives; 0 for a root graph.
    """

    def __init__(
        self,
        engine: Engine,
        id: str,
        toolbox: Toolbox,
        view: RunView,
        loop: asyncio.AbstractEventLoop | None,
        depth: int,
    ) -> None:
        self.depth = depth
        self._engine = engine
        self._toolbox = toolbox
        self._session = Session(id, view, engine.policy.limits)
        self._runner = Runner(loop)
        self._is_async = loop is not None
        self._view = view
        self._histories: dict[str, History] = {}
        self._last_history: History | None = None

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

    def begin_turn(self, turn: str, messages: Sequence[Any], config: Mapping[str, Any]) -> Prediction | None:
        """A model call starts."""
        history = History.from_messages(list(messages), self._last_history)
        self._last_history = self._histories[turn] = history
        self._decide(lambda now: self._session.begin_turn(turn, now))
        variables = _values_of(self._engine.policy.propagate_context)
        forecast = self._engine.forecaster.predict(
            history, self._engine.width, lambda candidates: self._predicted(turn, candidates, config, variables)
        )
        return None if forecast is None else Prediction(forecast)

    def _predicted(
        self,
        turn: str,
        candidates: Sequence[Candidate],
        config: Mapping[str, Any],
        variables: Mapping[ContextVar[Any], Any],
    ) -> None:
        coerced: dict[str, tuple[Entry, Arguments]] = {}
        proposals = [self._propose(candidate, coerced) for candidate in candidates]

        def start(speculation: Speculation) -> Attempt:
            return self._attempt(speculation, *coerced[speculation.call.key], config, variables)

        self._decide(lambda now: self._session.predicted(turn, proposals, now), start)

    def _propose(self, candidate: Candidate, known: dict[str, tuple[Entry, Arguments]]) -> Proposal:
        entry = self._toolbox.get(candidate.call.name)
        if entry is None:
            return Proposal(candidate, None, None, THREAD)
        venue = TASK if self._is_async and TASK in entry.facts.venues else THREAD
        if forbids(entry.facts, venue, self._view) is not None:  # whatever the arguments; most guesses end here
            return Proposal(candidate, None, entry.facts, venue)
        coerced = entry.coerce(candidate.call.args)
        call = None if coerced is None else _keyable(coerced.call(candidate.call.name))
        if call is not None and coerced is not None:
            known[call.key] = entry, coerced
        return Proposal(candidate, call, entry.facts, venue)

    def end_turn(self, turn: str, message: Any) -> None:
        """The model's message is final."""
        history = self._histories.pop(turn, None)
        raw = [Call(call["name"], call["args"]) for call in getattr(message, "tool_calls", None) or ()]
        alive = self._session.alive_tools()
        wanted = [self._coerced(call) for call in raw if call.name in alive]
        self._decide(lambda now: self._session.end_turn(turn, raw, [call for call in wanted if call is not None], now))
        if message is not None and history is not None and not _broken_off(message):
            self._engine.forecaster.learn(history, raw)

    def abort_turn(self, turn: str) -> None:
        """The model call failed."""
        self._histories.pop(turn, None)
        self._decide(lambda now: self._session.abort_turn(turn, now))

    def _coerced(self, call: Call) -> Call | None:
        entry = self._toolbox.get(call.name)
        coerced = entry.coerce(call.args) if entry is not None else None
        return _keyable(call if coerced is None else coerced.call(call.name))

    # -- real calls --------------------------------------------------------------------------------------------------

    def inside_tool(self) -> bool:
        """Whether this runs inside of one of the run's real tool calls."""
        return _INSIDE.get() is self

    def call(self, tool: BaseTool, arguments: Arguments, body: Callable[[], Any]) -> Any:
        """A real call reached the tool's sync body: adopt a result, or execute."""
        facts, call, arrived = self._toolbox.facts_of(tool), _keyable(arguments.call(tool.name)), monotonic()
        answer = self._resolve(call, facts, THREAD)
        joined = isinstance(answer, Join)
        if isinstance(answer, Join):
            with self._waiting(answer.speculation) as (attempt, patience):
                if attempt is not None:
                    attempt.wait(patience)
            answer = self._claim(answer.speculation)
        if isinstance(answer, Commit):
            replay(answer.outcome.effects)
            return self._adopted(answer, joined, arrived)
        with self._executing(facts, call, arrived):
            return body()

    async def acall(self, tool: BaseTool, arguments: Arguments, body: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """`call` for the tool's native async body."""
        facts, call, arrived = self._toolbox.facts_of(tool), _keyable(arguments.call(tool.name)), monotonic()
        answer = self._resolve(call, facts, TASK)
        joined = isinstance(answer, Join)
        if isinstance(answer, Join):
            with self._waiting(answer.speculation) as (attempt, patience):
                if attempt is not None:
                    await attempt.await_(patience)
            answer = self._claim(answer.speculation)
        if isinstance(answer, Commit):
            await areplay(answer.outcome.effects)
            return self._adopted(answer, joined, arrived)
        with self._executing(facts, call, arrived):
            return await body()

    def _resolve(self, call: Call | None, facts: ToolFacts, venue: str) -> Commit | Join | Miss:
        missed: Commit | Join | Miss = MISS
        if call is None:
            return missed
        return self._answer(lambda now: self._session.resolve(call, facts, venue, now), missed)

    @contextmanager
    def _waiting(self, speculation: Speculation) -> Iterator[tuple[Attempt | None, float]]:
        """Around a real call's wait for a running body."""
        try:
            yield self._runner.get(speculation.id), self._patience(speculation)
        except BaseException:
            self._decide(lambda now: self._session.abandon(speculation, now))
            raise

    def _claim(self, speculation: Speculation) -> Commit | Miss:
        missed: Commit | Miss = MISS
        return self._answer(lambda now: self._session.claim(speculation, now), missed)

    def _patience(self, speculation: Speculation) -> float:
        """Seconds to wait for a running body before the real call runs instead."""
        allowed = self._engine.durations.patience(speculation.call.name, self._engine.policy.limits.attempt_timeout_s)
        return speculation.launched_at + allowed - monotonic()

    def _adopted(self, answer: Commit, joined: bool, arrived: float) -> Any:
        now = monotonic()
        speculation = answer.speculation
        name, ran_s = speculation.call.name, speculation.ran_s
        self._settle(name, hit=speculation, joined=joined, waited_s=now - arrived, tool_s=ran_s, now=now)
        return answer.outcome.value

    @contextmanager
    def _executing(self, facts: ToolFacts, call: Call | None, arrived: float) -> Iterator[None]:
        """Around the body of a real call: what it may write changes at its start and at its end."""
        began = monotonic()
        none: frozenset[str] = frozenset()
        tags = self._answer(lambda now: self._session.begin_call(facts, call or Call(facts.name), now), none)
        token = _INSIDE.set(self)
        try:
            yield
        finally:
            _INSIDE.reset(token)
            now = monotonic()
            self._engine.durations.add(facts.name, now - began)
            self._note(lambda _: self._session.end_call(tags))
            self._settle(facts.name, hit=None, joined=False, waited_s=now - arrived, tool_s=now - began, now=now)

    def _settle(
        self, tool: str, *, hit: Speculation | None, joined: bool, waited_s: float, tool_s: float, now: float
    ) -> None:
        self._note(
            lambda _: self._session.settle(tool, hit=hit, joined=joined, waited_s=waited_s, tool_s=tool_s, now=now)
        )

    # -- speculations ------------------------------------------------------------------------------------------------

    def _attempt(
        self,
        speculation: Speculation,
        entry: Entry,
        arguments: Arguments,
        config: Mapping[str, Any],
        variables: Mapping[ContextVar[Any], Any],
    ) -> Attempt:
        sandbox = Sandbox(config, variables, uses_context="context" in entry.facts.uses)

        def body() -> Any:
            return speculative_body(entry.tool, speculation.venue, arguments, sandbox.slots)

        return Attempt(speculation, sandbox, body, self._ended, self._engine.policy.limits.attempt_timeout_s)

    def _ended(self, speculation: Speculation, outcome: Outcome, started: float | None, now: float) -> None:
        name = speculation.call.name
        self._runner.forget(speculation.id)
        if outcome.taint is not None:
            self._engine.trip(name, outcome.taint)
        elif outcome.ok and started is not None:
            self._engine.durations.add(name, now - started)
        size = _size(outcome.value, self._engine.policy.limits.max_result_bytes)
        self._note(lambda _: self._session.finish(speculation.id, outcome, size, now, started))

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> list[asyncio.Task[None]]:
        """End the run; returns tasks that are winding down."""
        self._decide(self._session.close)
        self._engine.forget(self)
        return self._runner.close()

    async def aclose(self) -> None:
        """End the run and wait until its tasks have cleaned up."""
        await wind_down(self.close())

    # -- driving the session -----------------------------------------------------------------------------------------

    def _decide(
        self, step: Callable[[float], list[Command]], start: Callable[[Speculation], Attempt] | None = None
    ) -> None:
        self._answer(lambda now: (None, step(now)), None, start)

    def _note(self, step: Callable[[float], None]) -> None:
        def noted(now: float) -> tuple[None, list[Command]]:
            step(now)
            return None, []

        self._answer(noted, None)

    def _answer(
        self,
        step: Callable[[float], tuple[Answer, list[Command]]],
        otherwise: Answer,
        start: Callable[[Speculation], Attempt] | None = None,
    ) -> Answer:
        """Take one step of the session under the lock, then carry out what it commands."""
        answer = otherwise
        commands: list[Command] = []
        try:
            with self._engine.lock:
                answer, commands = step(monotonic())
                happened = self._session.take_events()
        except Exception as error:  # noqa: BLE001 - a bug of ours must not become the user's
            self._engine.warn(f"internal-{error!r}", f"an internal error, so this run speculates no further: {error!r}")
            self._session.closed = True
            happened = []
        for command in commands:
            if isinstance(command, Launch) and start is not None:
                self._runner.start(start(command.speculation))
            elif isinstance(command, Cancel) and not command.drain:
                self._runner.cancel([command.id])
        self._engine.publish(happened)
        return answer


def _values_of(variables: Sequence[ContextVar[Any]]) -> dict[ContextVar[Any], Any]:
    context = contextvars.copy_context() if variables else {}
    return {variable: context[variable] for variable in variables if variable in context}


def _keyable(call: Call) -> Call | None:
    try:
        return call if call.key else None
    except UnkeyableArguments:
        return None


def _broken_off(message: Any) -> bool:
    metadata = getattr(message, "response_metadata", None) or {}
    return (metadata.get("finish_reason") or metadata.get("stop_reason")) in _BROKEN_OFF


def _size(value: Any, enough: int) -> int:
    """About how many bytes a result takes; exact only as far as *enough*."""
    return len(value) if isinstance(value, (str, bytes)) else 0 if value is None else _nested_size(value, enough)


def _nested_size(value: Any, enough: int) -> int:
    total, rest = 0, [value]
    while rest and total <= enough:
        item = rest.pop()
        if isinstance(item, Mapping):
            rest.extend(item.values())
            total += 64 + 16 * len(item)
        elif isinstance(item, (list, tuple, set, frozenset)):
            rest.extend(item)
            total += 56 + 8 * len(item)
        else:
            total += len(item) if isinstance(item, (str, bytes, bytearray)) else 32
    return total
