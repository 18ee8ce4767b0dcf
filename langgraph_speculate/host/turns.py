"""The model's turns of a run: what is expected of a model call, what is launched beside it, what came of it."""

from __future__ import annotations

import contextvars
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from langgraph_speculate.core.calls import Call, Outcome, size_of
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Proposal
from langgraph_speculate.core.gate import RunView, forbids
from langgraph_speculate.core.history import History, Origin
from langgraph_speculate.core.provenance import Provenance, provenance
from langgraph_speculate.core.speculation import Speculation
from langgraph_speculate.host.adopt import speculative_body
from langgraph_speculate.host.compat import runtime_of, state_of
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.forecast import Prediction
from langgraph_speculate.host.runner import Attempt
from langgraph_speculate.host.sandbox import Sandbox, callers, circumstances_of
from langgraph_speculate.host.toolbox import TASK, THREAD, Arguments, Entry, Toolbox, keyable
from langgraph_speculate.policy.guards import Guard, GuardedCall, objection

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
        origin: Whose run it is.
    """

    def __init__(
        self, engine: Engine, driver: Driver, toolbox: Toolbox, view: RunView, is_async: bool, origin: Origin
    ) -> None:
        self._engine = engine
        self._driver = driver
        self._toolbox = toolbox
        self._view = view
        self._is_async = is_async
        self._origin = origin
        self._histories: dict[str, History] = {}
        self._last_history: History | None = None
        self._coerced: dict[str, dict[str, Call]] = {}  # by turn and key of the guess: the call as the body receives it

    def begin(self, turn: str, messages: Sequence[Any], config: Mapping[str, Any]) -> Prediction | None:
        """A model call starts."""
        history = History.from_messages(list(messages), self._last_history, self._origin)
        if not self._origin.thread and history.user_turns:
            # A client that sends the conversation along with each run has one thread, not as many as runs.
            self._origin = replace(self._origin, thread=f"begins with {history.user_turns[0].text}")
            history = replace(history, origin=self._origin)
        self._last_history = self._histories[turn] = history
        self._driver.decide(lambda now: self._driver.session.begin_turn(turn, now))
        place = Place(config, self.variables(), self._engine.policy.guards)
        return self._engine.forecaster.predict(
            history, self._engine.width, lambda candidates: self._predicted(turn, candidates, history, place)
        )

    def variables(self) -> dict[ContextVar[Any], Any]:
        """The context variables that the policy passes on, with their values here."""
        listed = self._engine.policy.propagate_context
        context = contextvars.copy_context() if listed else {}
        return {variable: context[variable] for variable in listed if variable in context}

    def _predicted(self, turn: str, candidates: Sequence[Candidate], history: History, place: Place) -> None:
        forbidden: set[str] = set()
        bodies: dict[str, Body] = {}
        proposals = [self._propose(turn, candidate, forbidden, bodies, history, place) for candidate in candidates]
        headroom = self._toolbox.headroom(place.state) if bodies else None

        def start(speculation: Speculation) -> Attempt:
            return self._attempt(speculation, bodies[speculation.call.key], place)

        self._driver.decide(lambda now: self._driver.session.predicted(turn, proposals, now, headroom), start)

    def _propose(
        self,
        turn: str,
        candidate: Candidate,
        forbidden: set[str],
        bodies: dict[str, Body],
        history: History,
        place: Place,
    ) -> Proposal:
        name = candidate.call.name
        entry = self._toolbox.get(name)
        if entry is None:
            return Proposal(candidate, None, None, THREAD)
        venue = self._toolbox.venue(entry.facts, self._is_async)
        if name in forbidden or forbids(entry.facts, venue, self._view) is not None:  # whatever the arguments
            forbidden.add(name)
            return Proposal(candidate, None, entry.facts, venue)
        arguments = entry.coerce(candidate.call.args, place.state)
        call = None if arguments is None else keyable(entry.call(arguments))
        if call is None or arguments is None or keyable(candidate.call) is None:
            return Proposal(candidate, None, entry.facts, venue)
        try:
            circumstances = entry.circumstances(place.circumstances, arguments, place.config)
        except Exception:  # noqa: BLE001 - a value of the caller's: what cannot be compared later is not run
            return Proposal(candidate, None, entry.facts, venue)
        found = self._provenance(call, history) if entry.facts.leaves else None
        bodies[call.key] = Body(entry, arguments, found)
        self._coerced.setdefault(turn, {})[candidate.call.key] = call
        asked = sum(past.name == name for past in history.calls) if entry.facts.counts_thread else 0
        return Proposal(candidate, call, entry.facts, venue, circumstances, place.objection(call), found, asked)

    def _provenance(self, call: Call, history: History) -> Provenance:
        return provenance(call, history, self._toolbox.trusts, lambda past: self._as_received(past, {}))

    def end(self, turn: str, message: Any) -> None:
        """The model's message is final."""
        history = self._histories.pop(turn, None)
        known = self._coerced.pop(turn, {})
        raw = [Call(call["name"], call["args"]) for call in getattr(message, "tool_calls", None) or ()]
        alive = self._driver.session.alive_tools()
        wanted = [call for one in raw if one.name in alive and (call := self._as_received(one, known)) is not None]
        self._driver.decide(lambda now: self._driver.session.end_turn(turn, raw, wanted, now))
        if message is not None and history is not None and not _broken_off(message):
            self._engine.learn(history, raw)

    def _as_received(self, call: Call, known: Mapping[str, Call]) -> Call | None:
        """The call as the tool's body will receive it."""
        if keyable(call) is not None and call.key in known:
            return known[call.key]
        entry = self._toolbox.get(call.name)
        if entry is None or entry.injection is not None:  # its state is not known here; the model's own words will do
            return keyable(call)
        arguments = entry.coerce(call.args)
        return keyable(call if arguments is None else entry.call(arguments))

    def abort(self, turn: str) -> None:
        """The model call failed."""
        self._histories.pop(turn, None)
        self._coerced.pop(turn, None)
        self._driver.decide(lambda now: self._driver.session.abort_turn(turn, now))

    def _attempt(self, speculation: Speculation, body: Body, place: Place) -> Attempt:
        entry, arguments = body.entry, body.arguments
        sandbox = Sandbox(
            entry.facts.name,
            place.config,
            place.variables,
            uses_context="context" in entry.facts.uses,
            native=speculation.venue == TASK,
            hosts=body.hosts,
        )

        def run() -> Any:
            given = arguments
            if entry.injection is not None:
                named = entry.injection.swapped(arguments.named, sandbox.trip, sandbox.tool_runtime())
                given = replace(arguments, named=named)
            return speculative_body(entry.tool, speculation.venue, given, sandbox.slots)

        return Attempt(speculation, sandbox, run, self._ended, self._engine.policy.limits.attempt_timeout_s)

    def _ended(self, speculation: Speculation, outcome: Outcome, started: float | None, now: float) -> None:
        name = speculation.call.name
        self._driver.runner.forget(speculation.id)
        if outcome.taint is not None:
            self._engine.trip(name, outcome.taint)
        elif outcome.ok and started is not None:
            self._engine.durations.add(name, now - started)
        size = size_of(outcome.value, self._engine.policy.limits.max_result_bytes)
        self._driver.note(lambda _: self._driver.session.finish(speculation.id, outcome, size, now, started))


@dataclass(frozen=True, slots=True)
class Body:
    """A tool's body with what it is called with.

    Attributes:
        entry: The tool.
        arguments: Its arguments, coerced.
        found: Where they would go, if the tool leaves the trust boundary.
    """

    entry: Entry
    arguments: Arguments
    found: Provenance | None

    @property
    def hosts(self) -> tuple[str, ...]:
        """Hosts that it may contact: what its policy allows, and what the gate saw it sent to."""
        policy = self.entry.facts.rule.tool
        return (*(policy.allowed_hosts if policy else ()), *(self.found.destinations if self.found else ()))


class Place:
    """What a model call's guesses may look at: the config and the context of the model's node.

    Args:
        config: The node's config.
        variables: Context variables that the policy passes on, with their values.
        guards: The policy's guards, to be asked in the node's context.
    """

    def __init__(
        self, config: Mapping[str, Any], variables: Mapping[ContextVar[Any], Any], guards: Sequence[Guard]
    ) -> None:
        self.config = config
        self.variables = variables
        self._guards = guards
        self._context = contextvars.copy_context() if guards else None

    def state(self) -> Mapping[str, Any]:
        """The graph's state, read once."""
        return self._state

    @cached_property
    def _state(self) -> Mapping[str, Any]:
        return state_of(self.config)

    @cached_property
    def circumstances(self) -> Any:
        """What any tool may see of the run."""
        return circumstances_of(self.config, self.variables)

    def objection(self, call: Call) -> str | None:
        """Why a guard does not let *call* run ahead, or None."""
        if self._context is None:
            return None
        return self._context.run(objection, self._guards, guarded(call, self.config, "issue"))


def guarded(call: Call, config: Mapping[str, Any], moment: Literal["issue", "commit"]) -> GuardedCall:
    """What a guard is asked about a call under *config*."""
    context = getattr(runtime_of(config), "context", None)
    return GuardedCall(call.name, call.args, callers(config.get("configurable")), context, moment)


def _broken_off(message: Any) -> bool:
    metadata = getattr(message, "response_metadata", None) or {}
    return (metadata.get("finish_reason") or metadata.get("stop_reason")) in _BROKEN_OFF
