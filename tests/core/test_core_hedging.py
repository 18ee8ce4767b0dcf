"""Hedging: a real call that waits too long for an early body gets a second one, and takes the first answer."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from test_core_session import GET, KEEP, SEVEN, a_session, launch, running, told, tool

from langgraph_speculate.core import events
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.commands import MISS, Cancel, Commit, Join, Launch
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import HEDGE, Discard, Speculation, Stage, State
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.observe.stats import StatsCollector


def joined(facts: ToolFacts = GET, **limits: Any) -> tuple[Session, Speculation]:
    """A real call waits for a speculation."""
    session = a_session(**limits)
    session.begin_turn("t1", 0.0)
    speculation = launch(session, Call(facts.name, {"id": 7}), facts=facts)
    answer, _ = session.resolve(speculation.call, facts, "thread", 1.0)
    assert answer == Join(speculation)
    return session, speculation


def hedged(facts: ToolFacts = GET, **limits: Any) -> tuple[Session, Speculation, Speculation]:
    session, first = joined(facts, **limits)
    (launch,) = session.hedge(first, facts, 2.0)
    assert isinstance(launch, Launch)
    return session, first, launch.speculation


def ends(session: Session, speculation: Speculation, now: float, **how: Any) -> list[Any]:
    outcome = Outcome(speculation.id, **how)
    return session.finish(speculation.id, outcome, 5, now, speculation.launched_at)


def test_the_second_body_is_no_guess_and_a_real_call_waits_for_it_too():
    """
    So nothing makes room at its cost, and no budget of guesses pays for it.
    """
    _, first, twin = hedged()
    assert (twin.call, twin.venue, twin.turn) == (first.call, first.venue, first.turn)
    assert (twin.stage, twin.source, twin.state, twin.launched_at) == (Stage.COMPLETE, HEDGE, State.PROMOTED, 2.0)
    assert first.state is State.PROMOTED


@pytest.mark.parametrize("winner", ["first", "second"])
@pytest.mark.parametrize("facts", [GET, KEEP], ids=["drain", "cancel"])
def test_whichever_ends_well_first_answers_and_the_other_is_discarded(winner: str, facts: ToolFacts):
    """
    At once, and by its own policy: it drains, or is cancelled.
    """
    session, first, twin = hedged(facts)
    won, lost = (first, twin) if winner == "first" else (twin, first)
    assert ends(session, won, 3.0) == [Cancel(lost.id, drain=facts is GET)]
    assert (won.state, lost.state, lost.reason) == (State.COMMITTED, State.DISCARDED, Discard.HEDGED)
    assert session.claim(first, 3.0) == (Commit(won, Outcome(won.id)), [])
    assert ends(session, lost, 4.0) == []
    session.settle(facts.name, hit=won, joined=True, waited_s=2.0, tool_s=won.ran_s, now=4.0)
    session.close(5.0)
    log = session.take_events()
    assert audit(log) == []
    collector = StatsCollector()
    collector.add(log)
    stats = collector.snapshot()
    assert (stats.hits, stats.joined, stats.hedged, stats.hedge_wins) == (1, 1, 1, winner == "second")
    assert (stats.launched, stats.wasted, stats.discarded) == (2, 1, {"hedged": 1})


@pytest.mark.parametrize("how", [{"error": ValueError()}, {"taint": "interrupt"}], ids=["failed", "tainted"])
@pytest.mark.parametrize("loser", ["first", "second"])
def test_one_that_ends_badly_leaves_the_answer_to_the_other(how: dict[str, Any], loser: str):
    """
    It is never the answer.
    """
    session, first, twin = hedged()
    bad, good = (first, twin) if loser == "first" else (twin, first)
    assert ends(session, bad, 3.0, **how) == []
    assert (bad.state, good.state) == (State.DISCARDED, State.PROMOTED)
    assert ends(session, good, 4.0) == []
    answer, _ = session.claim(first, 4.0)
    assert answer == Commit(good, Outcome(good.id))


def test_if_both_end_badly_or_neither_ends_the_real_call_runs():
    """
    As it does without a second body.
    """
    session, first, twin = hedged()
    ends(session, first, 3.0, error=ValueError())
    ends(session, twin, 3.0, error=ValueError())
    assert session.claim(first, 4.0) == (MISS, [])
    session, first, twin = hedged()
    assert session.claim(first, 9.0) == (MISS, [Cancel(first.id, drain=True), Cancel(twin.id, drain=True)])
    assert {first.reason, twin.reason} == {Discard.OVERRUN}


def test_a_real_call_that_is_cancelled_takes_both_with_it():
    """
    Nobody waits any more.
    """
    session, first, twin = hedged(KEEP)
    assert session.abandon(first, 3.0) == [Cancel(first.id, drain=False), Cancel(twin.id, drain=False)]
    assert {first.reason, twin.reason} == {Discard.ABANDONED}


def test_the_end_of_the_run_leaves_both_to_the_call_that_waits():
    """
    They are over, and nothing drains any more: the call stops them when it waits no longer.
    """
    session, first, twin = hedged()
    assert session.close(3.0) == []
    assert {first.reason, twin.reason} == {Discard.RUN_ENDED}
    assert session.claim(first, 4.0) == (MISS, [Cancel(first.id, drain=False), Cancel(twin.id, drain=False)])


def test_a_body_that_ends_well_after_its_run_answers_the_call_that_waits_for_it():
    """
    It counts for nothing, and the other one is stopped.
    """
    session, first, twin = hedged()
    session.close(3.0)
    ends(session, twin, 4.0)
    answer, commands = session.claim(first, 4.0)
    assert isinstance(answer, Commit)
    assert answer.speculation is twin
    assert commands == [Cancel(first.id, drain=False)]
    assert session.table.committed == 0


def test_a_body_is_hedged_once():
    """
    However long both take.
    """
    session, first, twin = hedged()
    assert session.hedge(first, GET, 3.0) == session.hedge(twin, GET, 3.0) == []


def test_what_no_real_call_waits_for_is_not_hedged():
    """
    A guess that takes its time is nobody's problem.
    """
    session, speculation = running()
    assert session.hedge(speculation, GET, 2.0) == []
    assert speculation.state is State.RUNNING


@pytest.mark.parametrize(
    "settings",
    [
        *({"cost": 0.01}, {"run_limit": 9}, {"thread_limit": 9}),
        *({"rate": "10/second"}, {"host": "api"}, {"slots": 2}),
    ],
    ids=str,
)
def test_calls_that_are_paid_for_counted_or_rationed_are_not_made_twice(settings: dict[str, Any]):
    """
    A second body is one more call, whoever asked for it.
    """
    facts = tool("get", read_only=True, reads=("order:{id}",), **settings)
    session, first = joined(facts)
    assert session.hedge(first, facts, 2.0) == []


def test_without_room_the_real_call_goes_on_waiting():
    """
    To save time is not worth a broken bound.
    """
    session, first = joined(max_in_flight=1)
    assert session.hedge(first, GET, 2.0) == []
    assert first.state is State.PROMOTED


def test_second_bodies_that_are_always_too_late_are_given_up():
    """
    They are calls that nobody needed, and as bounded as those.
    """
    session, first, twin = hedged(max_wasted_per_run=1)
    ends(session, first, 3.0)
    ends(session, twin, 3.5)
    session.claim(first, 3.5)
    session.end_turn("t1", [], [], 3.5)
    session.begin_turn("t2", 4.0)
    again = launch(session, Call("get", {"id": 8}), turn="t2", now=4.0)
    assert session.resolve(again.call, GET, "thread", 5.0) == (Join(again), [])
    assert session.hedge(again, GET, 6.0) == []


@pytest.mark.parametrize(
    "facts",
    [
        replace(GET, gated=True),
        replace(GET, changed="it is another one"),
        tool("get", read_only=True, open_world=True, disclosure="declared"),
    ],
)
def test_what_may_not_run_ahead_is_not_run_twice(facts: ToolFacts):
    """
    The gate has the last word, and what leaves the trust boundary is sent once.
    """
    session, first = joined()
    assert session.hedge(first, facts, 2.0) == []


def test_nothing_is_read_twice_while_it_is_being_written():
    """
    The second body would read something half done.
    """
    session, first = joined()
    tags, _ = session.begin_call(tool("set", writes=("order:{id}",)), Call("set", {"id": 7}), 1.5)
    assert session.hedge(first, GET, 2.0) == []
    session.end_call(tags, 2.5)
    assert session.hedge(first, GET, 3.0) != []


def test_another_call_of_the_same_arguments_does_not_get_the_second_body():
    """
    It is there for the call that waits.
    """
    session, _, _ = hedged()
    assert session.resolve(SEVEN, GET, "thread", 3.0) == (MISS, [])


def test_a_history_with_two_answers_is_noticed():
    """
    The audit does not take the session's word.
    """
    session, first, twin = hedged()
    ends(session, first, 3.0)
    log = [event for event in session.take_events() if not isinstance(event, events.Discarded)]
    number = len(log)
    log = [replace(event, number=n) for n, event in enumerate(log, 1)]
    at = {"run": "r", "at": 4.0, "tool": "get"}
    log.append(events.Finished(**at, number=number + 1, id=twin.id, seconds=2.0, ok=True))
    log.append(events.Committed(**at, number=number + 2, id=twin.id))
    assert [(violation.rule, violation.id) for violation in audit(log)] == [("commit", twin.id)]


@pytest.mark.parametrize("seed", range(40))
def test_a_real_call_has_one_answer_whatever_happens_in_which_order(seed: int):
    """
    Bodies that end well or badly, writes, model turns, the end of the run.
    """
    chance = random.Random(seed)
    session, first, twin = hedged(chance.choice((GET, KEEP)))
    steps = [
        lambda: ends(session, first, 3.0, **chance.choice(({}, {"error": ValueError()}, {"taint": "x"}))),
        lambda: ends(session, twin, 3.0, **chance.choice(({}, {"error": ValueError()}))),
        lambda: session.begin_turn("t2", 3.0),
        lambda: session.end_turn("t1", [], [], 3.0),
        lambda: session.begin_call(tool("wipe"), Call("wipe"), 3.0),
        lambda: session.resolve(first.call, GET, "thread", 3.0),
        lambda: session.close(3.0),
    ]
    for step in chance.sample(steps, chance.randrange(len(steps))):
        step()
    answer, _ = session.claim(first, 3.0)
    committed = [one for one in (first, twin) if one.state is State.COMMITTED]
    assert [one for one in (first, twin) if not one.over] == []
    assert len(committed) <= 1
    if isinstance(answer, Commit):
        assert [answer.speculation] == committed or (answer.speculation.left and committed == [])
    else:
        assert committed == []
    session.settle("get", hit=committed[0] if committed else None, joined=True, waited_s=0.0, tool_s=0.0, now=3.0)
    session.close(3.0)
    assert audit(session.take_events()) == []
    assert told(session, events.Event) == []
