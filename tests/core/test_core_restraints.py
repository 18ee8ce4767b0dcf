"""What restrains a launch besides a run's own budgets, as a session meets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from langgraph_speculate.core import events
from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.breaker import LEAST, Breakers
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Commit, Launch, Proposal
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.events import Switched
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.latency import Ahead, Expected, Latencies
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.restraints import Restraints
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.sketch import Sketch
from langgraph_speculate.core.speculation import Stage
from langgraph_speculate.core.worth import COORDINATION_S, Prices
from langgraph_speculate.policy import Limits, Rule, ToolPolicy

GET = ToolFacts("get", Rule(ToolPolicy(read_only=True, cost=0.002), "tools.get"))
PRICES = Prices(thrift=0.5, value_per_second=0.01)
WIDE = Limits(max_in_flight=100, max_per_turn=100, max_per_run=10_000, max_wasted_per_run=10_000)


class Even(Ahead):
    def of(self, tool: str) -> Expected:
        return Expected(1.0, 1.0)


class Steady(Latencies):
    """Tools always take a second, and models leave them that: admission lets any guess through."""

    def ahead(self, *_: Any, **__: Any) -> Ahead:
        return Even({}, Sketch(), 0.0)


class Asked:
    """A throttle that refuses what it is told to, and counts."""

    def __init__(self, refusal: Refusal | None = None) -> None:
        self.refuses = refusal
        self.asked = 0
        self.stoppable: list[bool] = []
        self.switches: list[Switched] = []

    def crowding(self, tool: str, policy: ToolPolicy, now: float) -> float:
        return 0.0

    def refusal(self, tool: str, policy: ToolPolicy, now: float, *, stoppable: bool = False) -> Refusal | None:
        self.asked += 1
        self.stoppable.append(stoppable)
        return self.refuses

    def take_switches(self) -> Sequence[Switched]:
        switches, self.switches = self.switches, []
        return switches


class Run:
    """One run whose guesses are all of one source."""

    def __init__(self, throttle: Asked | None = None, cool_down_s: float = 60.0) -> None:
        restraints = Restraints(Breakers({}, cool_down_s), throttle, PRICES)
        view, economy = RunView("declared", None, Epochs()), Economy(Steady(), PRICES, restraints)
        self.session = Session("r", view, WIDE, economy=economy)
        self.told: list[events.Event] = []
        self.turns = 0

    def guess(self, *ids: int, now: float, stage: Stage = Stage.BEGIN) -> list[Any]:
        """A turn begins and these calls are predicted."""
        self.turns += 1
        self.session.begin_turn(f"t{self.turns}", now)
        proposals = [Proposal(Candidate(call, 0.9, "s"), call, GET, "thread", stage=stage) for call in calls(*ids)]
        if stage is Stage.COMPLETE:
            return [c for p in proposals for c in self.session.written(f"t{self.turns}", p, now)]
        return self.session.predicted(f"t{self.turns}", proposals, now)

    def ask(self, *ids: int, now: float) -> None:
        """The model's message asks for these."""
        asked = calls(*ids)
        self.session.end_turn(f"t{self.turns}", asked, asked, now)

    def finish(self, commands: Sequence[Any], now: float, seconds: float) -> None:
        for command in commands:
            if isinstance(command, Launch):
                self.session.finish(command.speculation.id, Outcome("value"), 5, now, now - seconds)

    def of(self, kind: type[events.Event]) -> list[Any]:
        self.told += self.session.take_events()
        return [event for event in self.told if isinstance(event, kind)]


def calls(*ids: int) -> list[Call]:
    return [Call("get", {"id": id}) for id in ids]


def wrong(run: Run, turns: int, now: float = 0.0) -> None:
    """So many turns, each with a guess that nobody wants."""
    for number in range(turns):
        run.finish(run.guess(number, now=now), now, seconds=0.5)
        run.ask(-1, now=now)


@pytest.mark.parametrize("refusal", [Refusal.COOLING_DOWN, Refusal.SLOTS, Refusal.RATE])
def test_a_launch_that_its_service_does_not_bear_is_refused(refusal: Refusal):
    """
    And the event has the reason.
    """
    run = Run(Asked(refusal))
    assert run.guess(1, now=0.0) == []
    assert [event.reason for event in run.of(events.Refused)] == [refusal]


def test_services_are_asked_only_about_what_would_be_launched():
    """
    Asking takes what one call needs, so nothing else may refuse after it.
    """
    throttle = Asked()
    run = Run(throttle)
    assert len(run.guess(1, 1, 1, 2, now=0.0)) == 2
    assert throttle.asked == 2


def test_guesses_that_do_not_pay_are_held_back():
    """
    With the figures in the event: each half second of a body, its price in money, and the coordination.
    """
    run = Run()
    wrong(run, LEAST)
    assert run.guess(99, now=1.0) == []
    assert [event.reason for event in run.of(events.Refused)] == [Refusal.BREAKER]
    each = -PRICES.waste * 0.5 - 0.002 / 0.01 - COORDINATION_S
    assert [(s.scope, s.state, s.settled, s.run) for s in run.of(Switched)] == [
        ("pattern", "off", LEAST, "r"),
        ("tool", "off", LEAST, "r"),
    ]
    assert [s.worth_s for s in run.of(Switched)] == pytest.approx([each * LEAST] * 2)


def test_hits_are_worth_what_nobody_waited():
    """
    One hit of six seconds outweighs fifteen misses.
    """
    run = Run()
    run.finish(run.guess(7, now=0.0), 3.0, seconds=6.0)
    run.ask(7, now=3.0)
    answer, _ = run.session.resolve(calls(7)[0], GET, "thread", 3.0)
    assert isinstance(answer, Commit)
    run.session.settle("get", hit=answer.speculation, joined=False, waited_s=0.0, tool_s=6.0, now=3.0)
    wrong(run, LEAST - 1, now=4.0)
    assert run.of(Switched) == []
    assert run.guess(99, now=4.0)


def test_hits_of_a_tool_that_takes_no_time_are_no_waste():
    """
    Nothing is gained by them, and nothing is lost.
    """
    run = Run()
    for number in range(2 * LEAST):
        now = float(number)
        run.finish(run.guess(number, now=now), now, seconds=0.0001)
        run.ask(number, now=now)
        answer, _ = run.session.resolve(calls(number)[0], GET, "thread", now)
        assert isinstance(answer, Commit)
        run.session.settle("get", hit=answer.speculation, joined=False, waited_s=0.0004, tool_s=0.0001, now=now)
    assert run.of(Switched) == []


def test_a_call_that_the_model_has_written_is_no_guess():
    """
    Breakers neither hold it back nor learn from it; its service is asked.
    """
    throttle = Asked()
    run = Run(throttle)
    wrong(run, LEAST)
    assert run.guess(5, now=1.0) == []
    asked = throttle.asked
    assert len(run.guess(5, now=1.0, stage=Stage.COMPLETE)) == 1
    assert throttle.asked == asked + 1
    for number in range(2 * LEAST):
        run.finish(run.guess(number, now=1.0, stage=Stage.COMPLETE), 1.0, seconds=9.0)
        run.session.abort_turn(f"t{run.turns}", 1.0)
    assert {s.scope for s in run.of(Switched)} == {"pattern", "tool"}  # what 32 wasted guesses would switch is on


def test_guesses_that_are_held_back_are_scored_against_the_model():
    """
    Those that come true bring them back sooner, and nothing runs for that.
    """
    run = Run()
    wrong(run, LEAST)
    for number in range(4):
        assert run.guess(number, now=1.0) == []
        run.ask(number, now=1.0)
    assert run.guess(50, now=5.0) == []
    assert len(run.guess(50, now=7.5)) == 1
    assert [s.state for s in run.of(Switched) if s.scope == "tool"] == ["off", "probing"]


def test_what_a_service_switches_is_told_by_the_run():
    """
    In the order in which things happened: a log in which time runs backwards would not pass an audit.
    """
    throttle = Asked()
    run = Run(throttle)
    run.guess(1, now=5.0)
    off = Switched(run="", at=4.9, scope="tool", name="get", state="off", reason="overloaded", status=429, pause_s=60.0)
    throttle.switches.append(off)
    (told,) = run.of(Switched)
    assert (told.run, told.at, told.status, told.pause_s) == ("r", 5.0, 429, 60.0)
    assert [event.number for event in run.told] == list(range(1, len(run.told) + 1))


def test_a_body_that_never_started_cost_nothing():
    """
    A pool of threads that is full says nothing about guesses.
    """
    run = Run()
    for number in range(3 * LEAST):
        for command in run.guess(number, now=0.0):
            run.session.finish(command.speculation.id, Outcome(error=RuntimeError()), 0, 0.0, None)
        run.ask(-1, now=0.0)
    assert run.of(Switched) == []
