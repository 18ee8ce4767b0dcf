"""The model's turns of a run: what is expected of a model call, what is launched beside it, what came of it."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from langgraph_speculate.core.calls import Call, Outcome, size_of
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Proposal
from langgraph_speculate.core.gate import RunView, forbids
from langgraph_speculate.core.history import History
from langgraph_speculate.core.speculation import Speculation
from langgraph_speculate.host.adopt import speculative_body
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.forecast import Prediction
from langgraph_speculate.host.runner import Attempt
from langgraph_speculate.host.sandbox import Sandbox, circumstances_of
from langgraph_speculate.host.toolbox import TASK, THREAD, Arguments, Entry, Toolbox, keyable

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine

_BROKEN_OFF = frozenset({"length", "content_filter", "max_tokens", "refusal"})


class Turns:
    """Moments 1 and 3 of a run.

    Args:
        engine: What the runs of one wrapped graph share.
        driver: The run's session and runner.
        toolbox: The graph's tools.
        view: What the gate may know about the run.
        is_async: Whether the run has an event loop.
    """

    def __init__(self, engine: Engine, driver: Driver, toolbox: Toolbox, view: RunView, is_async: bool) -> None:
        self._engine = engine
        self._driver = driver
        self._toolbox = toolbox
        self._view = view
        self._is_async = is_async
        self._histories: dict[str, History] = {}
        self._last_history: History | None = None
        self._coerced: dict[str, dict[str, Call]] = {}  # by turn and key of the guess: the call as the body receives it

    def begin(self, turn: str, messages: Sequence[Any], config: Mapping[str, Any]) -> Prediction | None:
        """A model call starts."""
        history = History.from_messages(list(messages), self._last_history)
        self._last_history = self._histories[turn] = history
        self._driver.decide(lambda now: self._driver.session.begin_turn(turn, now))
        variables = self.variables()
        return self._engine.forecaster.predict(
            history, self._engine.width, lambda candidates: self._predicted(turn, candidates, config, variables)
        )

    def variables(self) -> dict[ContextVar[Any], Any]:
        """The context variables that the policy passes on, with their values here."""
        listed = self._engine.policy.propagate_context
        context = contextvars.copy_context() if listed else {}
        return {variable: context[variable] for variable in listed if variable in context}

    def _predicted(
        self,
        turn: str,
        candidates: Sequence[Candidate],
        config: Mapping[str, Any],
        variables: Mapping[ContextVar[Any], Any],
    ) -> None:
        forbidden: set[str] = set()
        bodies: dict[str, tuple[Entry, Arguments]] = {}
        proposals = [self._propose(turn, candidate, forbidden, bodies) for candidate in candidates]
        here = circumstances_of(config, variables) if bodies else None

        def start(speculation: Speculation) -> Attempt:
            return self._attempt(speculation, *bodies[speculation.call.key], config, variables)

        self._driver.decide(lambda now: self._driver.session.predicted(turn, proposals, now, here), start)

    def _propose(
        self, turn: str, candidate: Candidate, forbidden: set[str], bodies: dict[str, tuple[Entry, Arguments]]
    ) -> Proposal:
        name = candidate.call.name
        entry = self._toolbox.get(name)
        if entry is None:
            return Proposal(candidate, None, None, THREAD)
        venue = self._toolbox.venue(entry.facts, self._is_async)
        if name in forbidden or forbids(entry.facts, venue, self._view) is not None:  # whatever the arguments
            forbidden.add(name)
            return Proposal(candidate, None, entry.facts, venue)
        arguments = entry.coerce(candidate.call.args)
        call = None if arguments is None else keyable(arguments.call(name))
        if call is not None and arguments is not None and keyable(candidate.call) is not None:
            bodies[call.key] = entry, arguments
            self._coerced.setdefault(turn, {})[candidate.call.key] = call
        return Proposal(candidate, call, entry.facts, venue)

    def end(self, turn: str, message: Any) -> None:
        """The model's message is final."""
        history = self._histories.pop(turn, None)
        known = self._coerced.pop(turn, {})
        raw = [Call(call["name"], call["args"]) for call in getattr(message, "tool_calls", None) or ()]
        alive = self._driver.session.alive_tools()
        wanted = [call for one in raw if one.name in alive and (call := self._as_received(one, known)) is not None]
        self._driver.decide(lambda now: self._driver.session.end_turn(turn, raw, wanted, now))
        if message is not None and history is not None and not _broken_off(message):
            self._engine.forecaster.learn(history, raw)

    def _as_received(self, call: Call, known: Mapping[str, Call]) -> Call | None:
        """The call as the tool's body will receive it."""
        if keyable(call) is not None and call.key in known:
            return known[call.key]
        entry = self._toolbox.get(call.name)
        arguments = entry.coerce(call.args) if entry is not None else None
        return keyable(call if arguments is None else arguments.call(call.name))

    def abort(self, turn: str) -> None:
        """The model call failed."""
        self._histories.pop(turn, None)
        self._coerced.pop(turn, None)
        self._driver.decide(lambda now: self._driver.session.abort_turn(turn, now))

    def _attempt(
        self,
        speculation: Speculation,
        entry: Entry,
        arguments: Arguments,
        config: Mapping[str, Any],
        variables: Mapping[ContextVar[Any], Any],
    ) -> Attempt:
        native = speculation.venue == TASK
        sandbox = Sandbox(config, variables, uses_context="context" in entry.facts.uses, native=native)

        def body() -> Any:
            return speculative_body(entry.tool, speculation.venue, arguments, sandbox.slots)

        return Attempt(speculation, sandbox, body, self._ended, self._engine.policy.limits.attempt_timeout_s)

    def _ended(self, speculation: Speculation, outcome: Outcome, started: float | None, now: float) -> None:
        name = speculation.call.name
        self._driver.runner.forget(speculation.id)
        if outcome.taint is not None:
            self._engine.trip(name, outcome.taint)
        elif outcome.ok and started is not None:
            self._engine.durations.add(name, now - started)
        size = size_of(outcome.value, self._engine.policy.limits.max_result_bytes)
        self._driver.note(lambda _: self._driver.session.finish(speculation.id, outcome, size, now, started))


def _broken_off(message: Any) -> bool:
    metadata = getattr(message, "response_metadata", None) or {}
    return (metadata.get("finish_reason") or metadata.get("stop_reason")) in _BROKEN_OFF
