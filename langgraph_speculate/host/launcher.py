"""From a launch to a body that runs early: in what sandbox, who hears of its end, how it is started once more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from langgraph_speculate.core.calls import Call, Outcome, size_of
from langgraph_speculate.core.slots import Guest, can_be_stopped
from langgraph_speculate.core.speculation import Speculation
from langgraph_speculate.host import clock
from langgraph_speculate.host.adopt import speculative_body
from langgraph_speculate.host.attempt import Attempt, Report
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.entry import CHANGES_ARGUMENTS, TASK, THREAD, Entry, keyable
from langgraph_speculate.host.place import Place
from langgraph_speculate.host.proposed import Body
from langgraph_speculate.host.proposer import Proposer
from langgraph_speculate.host.sandbox import Sandbox
from langgraph_speculate.policy import ToolPolicy

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine


class Launcher:
    """Makes the attempts of what one run launches.

    Args:
        engine: What the runs of one wrapped graph share.
        driver: The run's session and runner.
        proposer: Makes arguments of the model's words.
    """

    def __init__(self, engine: Engine, driver: Driver, proposer: Proposer) -> None:
        self._engine = engine
        self._driver = driver
        self._proposer = proposer

    def attempt(
        self, speculation: Speculation, body: Body, place: Place, then: Callable[[Speculation], None] | None = None
    ) -> Attempt[Speculation]:
        """The body of a speculation, ready to start; *then*, if anything, hears of its end.

        Raises what making its sandbox raises: it has ended then.
        """
        ended = self._ending(speculation, body, then)
        self._driver.trace.launched(speculation)
        errand = None
        try:
            sandbox = self._sandbox(speculation, body.entry, body.hosts, place)
            if speculation.venue == THREAD:
                errand = self._engine.dispatcher.errand(speculation.id, body.entry, body.arguments, place, body.hosts)
        except Exception as error:
            ended(speculation, Outcome(error=error), None, clock.now())
            raise
        return Attempt(
            speculation,
            sandbox,
            partial(_run, speculation, body, sandbox),
            ended,
            self._engine.policy.limits.attempt_timeout_s,
            again=partial(self._again, speculation.call, body),
            errand=errand,
        )

    def _sandbox(self, speculation: Speculation, entry: Entry, hosts: tuple[str, ...], place: Place) -> Sandbox:
        sandbox = Sandbox(
            entry.facts.name,
            place.config,
            place.variables,
            uses_context="context" in entry.facts.uses,
            native=speculation.venue == TASK,
            hosts=hosts,
            metadata=entry.tool.metadata,
            callbacks=entry.tool.callbacks,
            decimals=place.decimals,
        )
        sandbox.context.run(self._engine.audience.entering, self._driver.session.run)
        return sandbox

    def _ending(
        self, speculation: Speculation, body: Body, then: Callable[[Speculation], None] | None
    ) -> Report[Speculation]:
        """What hears of a body's end."""
        policy = body.entry.facts.rule.tool
        guest = self._guest(speculation, policy)

        def ended(speculation: Speculation, outcome: Outcome, started: float | None, now: float) -> None:
            try:
                self._engine.brakes.ended_early(speculation.call.name, policy, outcome, started is not None, now, guest)
                self._ended(speculation, outcome, started, now)
            except BaseException as error:  # noqa: BLE001 - errors and results of users' may run code when looked at
                self._ended(speculation, Outcome(error=error), started, now)  # or its real call would wait in vain
            if then is not None:
                then(speculation)

        return _unless_changed(body, ended)

    def _guest(self, speculation: Speculation, policy: ToolPolicy | None) -> Guest | None:
        """A body that leaves its slot to the first real call that finds none, if it can be stopped."""
        if policy is None or not can_be_stopped(speculation.venue, speculation.drain):
            return None
        session = self._driver.session
        guest = Guest(
            speculation.worth,
            lambda: self._driver.answer(lambda now: session.give_way(speculation.id, now), False),
        )
        self._engine.brakes.began_early(speculation.call.name, policy, guest)
        return guest

    def _again(self, call: Call, body: Body, place: Place) -> Callable[[Speculation], Attempt[Speculation]] | None:
        """What makes a second attempt at *call*, with arguments that no other body has got hold of."""
        if body.entry.injection is not None:
            return None
        arguments = self._proposer.coerced(body.entry, body.raw, place)
        if arguments is None or keyable(made := body.entry.call(arguments)) is None or made != call:
            return None  # a schema that makes something else of the same words each time
        return lambda twin: self.attempt(twin, replace(body, arguments=arguments), place)

    def _ended(self, speculation: Speculation, outcome: Outcome, started: float | None, now: float) -> None:
        name = speculation.call.name
        self._driver.runner.forget(speculation.id)
        if outcome.taint is not None:
            self._engine.trip(name, outcome.taint)
        size = size_of(outcome.value, self._engine.policy.limits.max_result_bytes)
        self._driver.trace.ended(speculation.id, outcome, size)
        self._driver.decide(lambda _: self._driver.session.finish(speculation.id, outcome, size, now, started))


def _run(speculation: Speculation, body: Body, sandbox: Sandbox) -> Any:
    """Call a tool's body; where it is native, what that returns is awaited."""
    entry, given = body.entry, body.arguments
    if entry.injection is not None:
        own = {**sandbox.tool_runtime(), **({"tool_call_id": speculation.call_id} if speculation.call_id else {})}
        given = replace(given, named=entry.injection.swapped(given.named, sandbox.trip, own))
    return speculative_body(entry.tool, speculation.venue, given, sandbox.slots)


def _unless_changed(body: Body, report: Report[Speculation]) -> Report[Speculation]:
    """*report*, told that nothing comes of a body that changed the model's words, which the message of a call shows."""
    name = body.entry.facts.name

    def told(speculation: Speculation, outcome: Outcome, started: float | None, now: float) -> None:
        given = body.arguments.given
        if outcome.ok and given is not None and keyable(Call(name, given)) != Call(name, body.raw):
            outcome = replace(outcome, taint=CHANGES_ARGUMENTS)
        report(speculation, outcome, started, now)

    return told
