"""Warm-ups: when one is worth it, how often a tool is warmed, and what becomes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from langgraph_speculate.core import Call, Candidate, events
from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.commands import Proposal
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.restraints import Restraints
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.throttle import Unthrottled
from langgraph_speculate.core.warming import Warming, WarmTimes, is_worthwhile
from langgraph_speculate.core.worth import Prices
from langgraph_speculate.policy import Limits, Rule, ToolPolicy

READS = ToolPolicy(read_only=True)


def session(level: str = "declared", tripped: Sequence[str] = (), **limits: Any) -> Session:
    made = Session("r", RunView(level, None, Epochs(), set(tripped)), Limits(**limits))
    made.begin_turn("t1", 0.0)
    return made


def facts(tool: str = "search", policy: ToolPolicy | None = READS, **known: Any) -> ToolFacts:
    return ToolFacts(tool, Rule(policy, "entry"), **known)


def begin(
    of: Session,
    tool: str | ToolFacts = "search",
    probability: float = 0.9,
    *,
    turn: str = "t1",
    now: float = 1.0,
    saves_s: float | None = 0.6,
    objection: str | None = None,
) -> Warming | None:
    known = facts(tool) if isinstance(tool, str) else tool
    call = Call(known.name)
    proposal = Proposal(Candidate(call, probability), call, known, "thread", objection=objection, call_id="")
    return of.warm_ups.begin(turn, proposal, "thread", saves_s, now)


def guess(of: Session, probability: float, tool: str = "search") -> None:
    call = Call(tool, {"q": probability})
    assert of.predicted("t1", [Proposal(Candidate(call, probability), call, facts(tool), "thread")], 0.5)


def told(of: Session, kind: type[events.Event]) -> list[Any]:
    return [event for event in of.take_events() if isinstance(event, kind)]


# -- worth it or not --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probability", "saves_s", "thrift", "worthwhile"),
    [
        (0.22, 0.6, 0.5, True),
        (0.18, 0.6, 0.5, False),
        (0.68, 0.6, 1.0, True),  # the cheapest: what is almost certain
        (0.65, 0.6, 1.0, False),
        (0.01, 0.6, 0.0, True),  # the fastest: waste weighs nothing
        (0.0, 0.6, 0.0, False),
        (0.9, None, 0.5, True),  # nobody knows what it saves: as much as a call of any tool
        (0.1, None, 0.5, False),
        (1.0, 0.004, 0.0, False),  # too fast for anything to be gained
        (float("nan"), 0.6, 0.5, False),
    ],
)
def test_a_warm_up_must_be_worth_what_it_wastes(
    probability: float, saves_s: float | None, thrift: float, worthwhile: bool
) -> None:
    """
    What it saves if the tool is called, against what it wastes if not, by the rule for guesses.
    """
    assert is_worthwhile(probability, saves_s, Prices(thrift)) is worthwhile


def test_what_it_saves_is_how_long_it_took_of_late() -> None:
    """
    The mean of the recent ones: a session that has become cheap to open is not worth preparing any more.
    """
    times = WarmTimes()
    for _ in range(100):
        times.add("search", 10.0)
    for _ in range(32):
        times.add("search", 0.5)

    assert (times.mean("search"), times.mean("other")) == (0.5, None)


def test_guesses_that_run_leave_less_to_warm_up() -> None:
    """
    A guess with the right arguments does all of the work: only what is left of the tool's probability counts.
    """
    covered, open_ = session(), session()
    guess(covered, 0.8)
    guess(open_, 0.8, tool="other")

    assert begin(covered, probability=0.9) is None
    assert begin(open_, probability=0.9) is not None


# -- allowed or not ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tool",
    [
        facts(policy=None),
        facts(policy=ToolPolicy(read_only=False)),
        facts(policy=ToolPolicy(read_only=True, open_world=True, disclosure="declared")),
        facts(gated=True),
        facts(changed="its description"),
        facts(injected=frozenset({"state"})),
        facts(variables=frozenset({"user"})),
        facts(limited=("run_limit",)),
    ],
    ids=["undeclared", "writes", "open_world", "gated", "pin", "injected", "context", "limited"],
)
def test_only_tools_that_may_run_ahead_are_warmed_up(tool: ToolFacts) -> None:
    """
    The gate decides, as about a call without arguments.
    """
    assert begin(session(), tool) is None


def test_the_id_of_a_call_is_not_needed_to_warm_up() -> None:
    """
    What comes with the call alone is no reason against what needs no call.
    """
    assert begin(session(), facts(injected=frozenset({"id"}), by_call=frozenset({"id"}))) is not None


def test_a_guard_a_tripped_wire_and_shadow_keep_tools_cold() -> None:
    """
    The owner's word and the level count here too.
    """
    assert begin(session(), objection="guard no said no") is None
    assert begin(session(tripped=["search"])) is None
    assert begin(session("shadow")) is None


# -- how often --------------------------------------------------------------------------------------------------------


def test_services_are_asked_only_about_what_would_be_warmed_up() -> None:
    """
    Asking takes what one call needs; one that does not bear it keeps its tools cold.
    """
    asked: list[str] = []

    class Full(Unthrottled):
        def refusal(self, tool: str, policy: ToolPolicy, now: float, *, stoppable: bool = False) -> Refusal | None:
            asked.append(tool)
            return Refusal.RATE

    one = Session(
        "r", RunView("declared", None, Epochs()), Limits(), economy=Economy(restraints=Restraints(throttle=Full()))
    )
    one.begin_turn("t1", 0.0)
    assert begin(one, probability=0.01) is None
    assert asked == []
    assert begin(one) is None
    assert asked == ["search"]
    assert told(one, events.WarmUpBegan) == []


def test_a_tool_is_warmed_once_a_turn_and_not_while_it_is_warm() -> None:
    """
    However often the stream asks; in the next turn only once it is used, or has gone cold after `ttl_s`.
    """
    of = session()
    first = begin(of)
    assert first is not None
    of.warm_ups.ended(first.id, ok=True, seconds=0.6, now=1.6)

    assert begin(of, now=2.0) is None
    assert begin(of, turn="t2", now=11.5) is None  # warm for ten seconds, counted from its end
    assert begin(of, turn="t3", now=11.6) is not None
    assert [event.seconds for event in told(of, events.WarmUpWasted)] == [pytest.approx(0.6)]


def test_a_real_call_uses_it_up() -> None:
    """
    Then the next turn may warm the tool again.
    """
    of = session()
    first = begin(of)
    assert first is not None
    of.warm_ups.ended(first.id, ok=True, seconds=0.6, now=1.6)
    of.settle("search", hit=None, joined=False, waited_s=1.0, tool_s=1.0, now=3.0)
    of.settle("search", hit=None, joined=False, waited_s=1.0, tool_s=1.0, now=3.0)

    assert begin(of, now=3.0) is None  # once a turn
    assert begin(of, turn="t2", now=3.0) is not None
    assert [event.warm_up for event in told(of, events.WarmUpUsed)] == [first.id]


def test_one_that_came_too_late_to_be_used_is_wasted() -> None:
    """
    A session that its server has closed by then was for nothing.
    """
    of = session()
    first = begin(of)
    assert first is not None
    of.warm_ups.ended(first.id, ok=True, seconds=0.6, now=1.6)
    of.settle("search", hit=None, joined=False, waited_s=1.0, tool_s=1.0, now=20.0)

    happened = of.take_events()
    assert not any(isinstance(event, events.WarmUpUsed) for event in happened)
    assert any(isinstance(event, events.WarmUpWasted) for event in happened)


def test_one_that_failed_is_wasted_and_tried_again_in_the_next_turn() -> None:
    """
    It made nothing warm.
    """
    of = session()
    first = begin(of)
    assert first is not None
    of.warm_ups.ended(first.id, ok=False, seconds=0.2, now=1.2)

    assert begin(of, now=1.3) is None
    assert begin(of, turn="t2", now=1.4) is not None
    assert [event.seconds for event in told(of, events.WarmUpWasted)] == [pytest.approx(0.2)]


# -- budgets ----------------------------------------------------------------------------------------------------------


def test_warm_ups_and_attempts_share_what_may_be_in_flight() -> None:
    """
    A warm-up takes only a place that is free.
    """
    of = session(max_in_flight=2)
    guess(of, 0.9, tool="other")

    assert begin(of, "search") is not None
    assert begin(of, "third") is None


def test_one_that_hangs_gives_its_place_back() -> None:
    """
    After `attempt_timeout_s` it is given up; should it end after all, nobody is told.
    """
    of = session(max_in_flight=1, attempt_timeout_s=5.0)
    hung = begin(of)
    assert hung is not None

    assert begin(of, "other", now=5.0) is None
    assert begin(of, "other", turn="t2", now=6.5) is not None
    assert [event.seconds for event in told(of, events.WarmUpWasted)] == [5.5]
    of.warm_ups.ended(hung.id, ok=True, seconds=9.0, now=10.0)
    assert told(of, events.WarmUpEnded) == []


@pytest.mark.parametrize("limits", [{"max_per_run": 2}, {"max_wasted_per_run": 2}])
def test_a_run_warms_up_so_often_and_no_more(limits: dict[str, int]) -> None:
    """
    What is warm may be wasted too: counting it keeps the budget a bound.
    """
    of = session(**limits)

    assert [begin(of, tool) is not None for tool in ("a", "b", "c")] == [True, True, False]


def test_what_was_wasted_stays_wasted() -> None:
    """
    A tool that goes cold again and again does not get another chance for each.
    """
    of = session(max_wasted_per_run=1)
    first = begin(of)
    assert first is not None
    of.warm_ups.ended(first.id, ok=True, seconds=0.6, now=1.6)

    assert begin(of, turn="t2", now=20.0) is None
    assert len(told(of, events.WarmUpWasted)) == 1


def test_used_ones_are_no_waste() -> None:
    """
    A run may go on as long as they are of use.
    """
    of = session(max_wasted_per_run=1)
    for turn in ("t1", "t2", "t3"):
        assert begin(of, turn=turn) is not None
        of.settle("search", hit=None, joined=False, waited_s=1.0, tool_s=1.0, now=1.0)


def test_when_the_run_ends_what_nobody_used_is_wasted() -> None:
    """
    Each one that was started is used or wasted, once; what ends later is not told.
    """
    of = session()
    used, running = begin(of, "used"), begin(of, "running")
    assert used is not None
    assert running is not None
    of.settle("used", hit=None, joined=False, waited_s=1.0, tool_s=1.0, now=2.0)
    of.close(3.0)
    of.warm_ups.ended(running.id, ok=True, seconds=5.0, now=6.0)

    happened = of.take_events()
    assert [(e.tool, e.seconds) for e in happened if isinstance(e, events.WarmUpWasted)] == [("running", 2.0)]
    assert isinstance(happened[-1], events.RunClosed)
