"""A real call that waits for a body which was started early: for how long, and when a second body is started."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from langgraph_speculate.core.commands import MISS, Commit, Miss
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.core.speculation import Speculation, State
from langgraph_speculate.host import clock
from langgraph_speculate.host.attempt import Attempt
from langgraph_speculate.host.compat.configs import child_config, watches_progress
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.place import Place

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine

Wait = tuple[list[Attempt[Speculation]], float]
"""Bodies of which one is to end, and for how many seconds to wait for that."""


class Waiting:
    """How the real calls of a run wait.

    Args:
        engine: What the runs of one wrapped graph share.
        driver: The run's session and runner.
        variables: Returns the context variables that the policy passes on, with their values.
    """

    def __init__(self, engine: Engine, driver: Driver, variables: Callable[[], Mapping[ContextVar[Any], Any]]) -> None:
        self._engine = engine
        self._driver = driver
        self._variables = variables

    @contextmanager
    def around(self, speculation: Speculation, facts: ToolFacts) -> Iterator[Iterator[Wait]]:
        """Around the waits for a running body, which are handed out one after the other."""
        taken: list[Attempt[Speculation]] = []
        try:
            yield self._waits(speculation, facts, taken)
        except BaseException:
            self._driver.decide(lambda now: self._driver.session.abandon(speculation, now))
            raise
        finally:
            for attempt in taken:
                attempt.taken = False

    def _waits(self, speculation: Speculation, facts: ToolFacts, taken: list[Attempt[Speculation]]) -> Iterator[Wait]:
        """On the way a second body may start."""
        first = self._driver.runner.get(speculation.id)
        if first is None or watches_progress(child_config() or {}):
            return  # what a body has written is held back until it has ended: a node that waits shows no progress
        first.taken = True
        taken.append(first)
        if not first.hurry():  # it may stand in line where nobody sees that, and the real call would not
            yield [first], self._until_usual(speculation)
            return
        yield [first], min(self._patience(speculation), self._until_hedged(speculation))
        if first.over.done() or self._patience(speculation) <= 0:
            return
        attempts = [first, *self._hedge(first, facts)]
        for second in attempts[1:]:
            second.taken = True
            taken.append(second)
            second.hurry()
        for _ in attempts:  # one that ends badly leaves the other
            running = [attempt for attempt in attempts if not attempt.over.done()]
            if running and not any(attempt.work.state is State.COMMITTED for attempt in attempts):
                yield running, self._patience(speculation)

    def _until_hedged(self, speculation: Speculation) -> float:
        """Seconds until a running body has taken longer than nearly all of its tool's."""
        usual = self._engine.economy.latencies.hedge_after(speculation.call.name)
        return math.inf if usual is None else speculation.launched_at + usual - clock.now()

    def _until_usual(self, speculation: Speculation) -> float:
        """Seconds until a body would have ended that began at once and took no longer than nearly all of its tool's."""
        return speculation.launched_at + self._engine.economy.latencies.usual(speculation.call.name) - clock.now()

    def _hedge(self, first: Attempt[Speculation], facts: ToolFacts) -> list[Attempt[Speculation]]:
        """Start a call once more, if there is room; returns the second attempt."""
        started: list[Attempt[Speculation]] = []
        again = first.again(Place(child_config() or {}, self._variables(), ())) if first.again is not None else None
        if again is None:
            return started

        def start(twin: Speculation) -> Attempt[Speculation]:
            started.append(again(twin))
            return started[-1]

        self._driver.decide(lambda now: self._driver.session.hedge(first.work, facts, now), start)
        return started

    def claim(self, speculation: Speculation) -> Commit | Miss:
        """What has come of it."""
        missed: Commit | Miss = MISS
        return self._driver.answer(lambda now: self._driver.session.claim(speculation, now), missed)

    def _patience(self, speculation: Speculation) -> float:
        """Seconds to wait for a running body before the real call runs instead."""
        latencies, cap_s = self._engine.economy.latencies, self._engine.policy.limits.attempt_timeout_s
        allowed = latencies.patience(speculation.call.name, cap_s)
        return min(allowed, speculation.launched_at + allowed - clock.now())  # clocks should not, but do, go back
