"""Runs warm-ups: the owner's function of a tool that is likely to be called, off the record and beside the model.

It runs where a body of the tool would run early, under the same tripwires, and is stopped with the run. What it returns
is nobody's; what it raises is logged once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.commands import Proposal
from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.history import History
from langgraph_speculate.core.warming import Warming, WarmUp, may_run
from langgraph_speculate.host.attempt import Attempt
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.entry import TASK, THREAD
from langgraph_speculate.host.place import Place
from langgraph_speculate.host.proposer import Proposer
from langgraph_speculate.host.results import handed_over
from langgraph_speculate.host.sandbox import Sandbox
from langgraph_speculate.host.toolbox import Toolbox
from langgraph_speculate.policy import ToolPolicy

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine


class Warmer:
    """The warm-ups of one run.

    Args:
        engine: What the runs of one wrapped graph share.
        driver: The run's session and runner.
        toolbox: The graph's tools.
        proposer: Makes what the gate is asked about.
        view: What the gate may know about the run.
        is_async: Whether the run has an event loop.
    """

    def __init__(
        self, engine: Engine, driver: Driver, toolbox: Toolbox, proposer: Proposer, view: RunView, is_async: bool
    ) -> None:
        self._engine = engine
        self._driver = driver
        self._toolbox = toolbox
        self._proposer = proposer
        self._view = view
        self._is_async = is_async

    @property
    def needed(self) -> bool:
        """Whether there is a tool that could be warmed up."""
        return bool(self._toolbox.warmable)

    def warm(
        self, turn: str, names: Mapping[str, float], history: History, place: Place, guesses: Sequence[Proposal]
    ) -> None:
        """Warm up which tools are worth it, the likeliest first.

        Args:
            turn: The model turn.
            names: P(its message calls a tool) by tool.
            history: What the run has seen so far.
            place: The model's node.
            guesses: What was just proposed to run ahead.
        """
        likely = (self._toolbox.warmable & names.keys()) - self._engine.unwarmable
        for name in sorted(likely, key=lambda name: (-names[name], name)):
            proposal = self._proposer.without_arguments(name, names[name], history, place)
            policy = None if proposal is None or proposal.tool is None else proposal.tool.rule.tool
            if proposal is None or policy is None or policy.warm is None:
                continue
            warming = self._begin(turn, proposal, policy.warm)
            if warming is not None:
                args = tuple(_shown(guess) for guess in guesses if _is_of(name, guess) and may_run(guess, self._view))
                self._driver.runner.start(self._attempt(warming, policy, policy.warm, WarmUp(name, args), place))

    def _begin(self, turn: str, proposal: Proposal, function: Callable[..., Any]) -> Warming | None:
        name, session = proposal.candidate.call.name, self._driver.session
        venue, saves_s = TASK if is_async(function) else THREAD, self._engine.warm_times.mean(name)
        if venue == TASK and not self._is_async:
            self._engine.warn(f"warm-{name}", f"warm of {name!r} is async, so sync runs go without it")
            return None
        return self._driver.answer(lambda now: (session.warm_ups.begin(turn, proposal, venue, saves_s, now), []), None)

    def _attempt(
        self, warming: Warming, policy: ToolPolicy, function: Callable[..., Any], told: WarmUp, place: Place
    ) -> Attempt[Warming]:
        sandbox = Sandbox(
            warming.tool,
            place.config,
            place.variables,
            uses_context="context" in policy.uses,
            native=warming.venue == TASK,
            hosts=policy.allowed_hosts,
            decimals=place.decimals,
        )
        sandbox.context.run(self._engine.audience.entering, self._driver.session.run)
        body = partial(_call, function, told, warming.venue)
        ended = partial(self._ended, policy)
        return Attempt(warming, sandbox, body, ended, self._engine.policy.limits.attempt_timeout_s)

    def _ended(self, policy: ToolPolicy, warming: Warming, outcome: Outcome, started: float | None, now: float) -> None:
        self._engine.brakes.ended_early(warming.tool, policy, outcome, started is not None, now)
        seconds = 0.0 if started is None else now - started
        self._driver.runner.forget(warming.id)
        session = self._driver.session
        if outcome.ok:
            self._engine.warm_times.add(warming.tool, seconds)
        elif started is not None and not session.closed:
            self._failed(warming.tool, outcome)
        self._driver.note(lambda now: session.warm_ups.ended(warming.id, ok=outcome.ok, seconds=seconds, now=now))

    def _failed(self, tool: str, outcome: Outcome) -> None:
        if outcome.taint is not None:
            self._engine.unwarmable.add(tool)
        why = f"failed: {type(outcome.error).__name__}" if outcome.taint is None else f"uses {outcome.taint}"
        self._engine.warn(f"warm-{tool}", f"warm of {tool!r} {why}; calls go on without it")


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling a function, or an object that can be called, makes a coroutine."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _call(function: Callable[..., Any], told: WarmUp, venue: str) -> Any:
    result = function(told) if _takes_something(function) else function()
    if venue == THREAD and inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise TypeError("it returns something to await: make it an async function")
    return result


def _takes_something(function: Callable[..., Any]) -> bool:
    """Whether a function has a parameter that takes what it is told."""
    kinds = {parameter.kind for parameter in inspect.signature(function).parameters.values()}
    return bool(kinds - {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD})


def _is_of(name: str, guess: Proposal) -> bool:
    return guess.call is not None and guess.candidate.call.name == name


def _shown(guess: Proposal) -> Mapping[str, Any]:
    shown: Mapping[str, Any] = handed_over(dict(guess.candidate.call.args))
    return shown
