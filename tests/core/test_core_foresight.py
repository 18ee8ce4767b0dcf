"""Guesses about messages after the one being written: what they rest on, and how they fall with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from langgraph_speculate.core import events
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Cancel, Commit, Join, Launch, Miss, Proposal
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.gate import ends_foresight
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import Discard, Speculation, State
from langgraph_speculate.core.table import Table
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.policy import Limits, Rule, ToolPolicy


def tool(name: str, **settings: Any) -> ToolFacts:
    return ToolFacts(name, Rule(ToolPolicy(**settings), f"tools.{name}"))


GET = tool("get", read_only=True, reads=("order:{id}",))
KEEP = tool("keep", read_only=True, reads=(), scope="run", ttl_s=60)
WEB = tool("web", read_only=True, open_world=True, disclosure="declared")
MOOD = tool("mood", read_only=True, reads_state=("mood",))
FEW = tool("few", read_only=True, run_limit=2)
SET = tool("set", writes=("order:{id}",))
FACTS = {facts.name: facts for facts in (GET, KEEP, WEB, MOOD, FEW, SET)}
ONE, TWO, THREE, FOUR = (Call("get", {"id": number}) for number in (1, 2, 3, 4))


def a_session(max_depth: int = 3, level: str = "declared", **limits: Any) -> Session:
    session = Session("r", RunView(level, None, Epochs()), Limits(max_depth=max_depth, **limits))
    session.begin_turn("t1", 0.0)
    return session


def proposals(calls: tuple[Call, ...], chance: float = 0.9) -> list[Proposal]:
    return [Proposal(Candidate(call, chance, "test"), call, FACTS[call.name], "thread") for call in calls]


def launched(commands: list[Any]) -> list[Speculation]:
    return [command.speculation for command in commands if isinstance(command, Launch)]


def guess(session: Session, *calls: Call, turn: str = "t1") -> list[Speculation]:
    return launched(session.predicted(turn, proposals(calls), 0.0))


def look(session: Session, parent: Speculation | None, *calls: Call, turn: str = "t1", **how: Any) -> list[Speculation]:
    id = None if parent is None else parent.id
    return launched(session.looked_ahead(turn, id, proposals(calls, **how), 0.0))


def chain(session: Session, *calls: Call) -> list[Speculation]:
    """A guess of the first turn, and one behind another after it."""
    (link,) = guess(session, calls[0])
    links = [link]
    for call in calls[1:]:
        (link,) = look(session, link, call)
        links.append(link)
    return links


def end(session: Session, *calls: Call, turn: str = "t1") -> list[Any]:
    return session.end_turn(turn, calls, calls, 1.0)


def asked(session: Session, call: Call, now: float = 1.0) -> Any:
    return session.resolve(call, FACTS[call.name], "thread", now)[0]


def finish(session: Session, speculation: Speculation, error: BaseException | None = None) -> list[Any]:
    return session.finish(speculation.id, Outcome("value", error), 5, 1.0, 0.0)


# -- how far, and how likely -------------------------------------------------------------------------------------------


def test_a_link_is_for_the_step_after_the_one_before_it_and_as_likely_as_all_of_them_together():
    session = a_session()
    links = chain(session, ONE, TWO, THREE)
    assert [link.step for link in links] == [0, 1, 2]
    assert [link.depth for link in links] == [1, 2, 3]
    assert [round(link.probability, 3) for link in links] == [0.9, 0.81, 0.729]
    assert [link.parent for link in links] == [None, links[0].id, links[1].id]
    assert [event.depth for event in session.take_events() if isinstance(event, events.Launched)] == [1, 2, 3]


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_nothing_is_launched_beyond_the_depth_that_is_allowed(depth: int):
    """
    However often it is tried, and also behind a message that is complete.
    """
    session = a_session(depth)
    (link,) = guess(session, ONE)
    for number, call in enumerate((TWO, THREE, FOUR), 2):
        found = look(session, link, call)
        assert bool(found) is (number <= depth)
        assert session.may_look_past("t1", link.id) is (number <= depth)
        if not found:
            break
        (link,) = found
    end(session, ONE)
    assert bool(look(session, None, FOUR)) is (depth > 1)


def test_an_unlikely_link_is_refused_although_each_guess_of_its_own_would_do():
    session = a_session()
    (first,) = launched(session.predicted("t1", proposals((ONE,), 0.3), 0.0))
    assert look(session, first, TWO, chance=0.3) == []
    assert [event.reason for event in session.take_events() if isinstance(event, events.Refused)] == ["not_worth_it"]


def test_what_is_further_ahead_counts_apart_in_the_budget_of_a_turn():
    """
    So guesses of the message being written never lack room because of later ones; of those there are no more either.
    """
    session = a_session(2, max_per_turn=1)
    (first,) = guess(session, ONE, TWO)
    assert len(look(session, first, TWO, THREE)) == 1
    assert session.table.in_flight == 2


# -- the gate ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (Call("web", {"url": "https://example.org"}), "open_world"),
        (Call("mood"), "injected_arguments"),
        (Call("few"), "call_limit"),
        (Call("set", {"id": 1}), "not_read_only"),
    ],
)
def test_what_may_not_rest_on_a_guess_is_denied(call: Call, reason: str):
    """
    What leaves the trust boundary, what reads state that is not there yet, what is limited, and of course what writes.
    """
    session = a_session(level="open_world", max_ghost_per_run=9)
    (first,) = guess(session, ONE)
    assert look(session, first, call) == []
    assert [event.reason for event in session.take_events() if isinstance(event, events.Denied)] == [reason]


def test_nothing_is_looked_for_behind_a_guess_that_leaves_the_trust_boundary():
    session = a_session()
    (first,) = guess(session, ONE)
    first.leaves = True
    assert not session.may_look_past("t1", first.id)
    assert look(session, first, TWO) == []


def test_nothing_is_looked_for_behind_what_may_write_ask_or_be_the_last():
    assert not ends_foresight(GET)
    for facts in (SET, None, replace(GET, gated=True), replace(GET, return_direct=True), tool("undeclared")):
        assert ends_foresight(facts)


# -- falling together --------------------------------------------------------------------------------------------------


def test_when_the_model_does_not_make_the_call_all_that_rests_on_it_falls():
    session = a_session()
    first, second, third = chain(session, ONE, TWO, THREE)
    commands = end(session, FOUR)
    assert [first.reason, second.reason, third.reason] == [Discard.CONTRADICTED, Discard.LINEAGE, Discard.LINEAGE]
    assert {command.id for command in commands if isinstance(command, Cancel)} == {first.id, second.id, third.id}
    assert len(session.table) == 0


def test_a_chain_survives_the_part_of_it_that_came_true():
    """
    Two guesses of one message, each with a link: the link of the one that was right lives on.
    """
    session = a_session()
    right, wrong = guess(session, ONE, TWO)
    (after_right,) = look(session, right, THREE)
    (after_wrong,) = look(session, wrong, FOUR)
    end(session, ONE)
    assert (wrong.reason, after_wrong.reason) == (Discard.CONTRADICTED, Discard.LINEAGE)
    assert (right.state, after_right.state, after_right.parent) == (State.RUNNING, State.RUNNING, None)


@pytest.mark.parametrize("how", ["failed", "stale", "evicted", "ruled out", "aborted"])
def test_whatever_takes_a_guess_takes_what_rests_on_it(how: str):
    session = a_session(max_cache_bytes=3 if how == "evicted" else 100)
    first, second, third = chain(session, ONE, TWO, THREE)
    if how == "failed":
        commands = finish(session, first, ValueError())
    elif how == "stale":
        commands = session.begin_call(SET, Call("set", {"id": 1}), 1.0)[1]
    elif how == "evicted":
        commands = finish(session, first)
    elif how == "ruled out":
        commands = session.narrowed("t1", [ONE.key], [], 1.0)
    else:
        commands = session.abort_turn("t1", 1.0)
    assert {second.id, third.id} <= {command.id for command in commands if isinstance(command, Cancel)}
    assert (first.over, second.over, third.over) == (True, True, True)
    if how != "aborted":
        assert {second.reason, third.reason} == {Discard.LINEAGE}


def test_a_guess_that_fails_after_the_model_asked_for_it_takes_nothing_with_it():
    """
    What was taken for granted has happened: the model made the call.
    """
    session = a_session()
    first, second = chain(session, ONE, TWO)
    end(session, ONE)
    assert isinstance(asked(session, ONE), Join)
    assert finish(session, first, ValueError()) == []
    assert second.state is State.RUNNING


def test_a_link_of_a_guess_that_is_kept_for_the_run_falls_all_the_same():
    """
    Its result may serve a later call; that the model went another way is true nevertheless.
    """
    session = a_session()
    first, second = chain(session, Call("keep", {"id": 1}), TWO)
    end(session, FOUR)
    assert (first.state, second.reason) == (State.RUNNING, Discard.LINEAGE)


def test_a_link_outlives_a_write_only_if_it_read_nothing_of_it():
    session = a_session()
    first, second, third = chain(session, ONE, TWO, THREE)
    end(session, ONE, Call("set", {"id": 3}))
    session.begin_call(SET, Call("set", {"id": 3}), 1.0)
    assert (first.state, second.state, third.reason) == (State.RUNNING, State.RUNNING, Discard.STALE)


def test_a_link_that_the_model_asks_for_at_once_falls_with_nothing():
    """
    The model went straight to what was expected for later.
    """
    session = a_session()
    first, second, third = chain(session, ONE, TWO, THREE)
    end(session, TWO)
    assert (first.reason, second.state, third.state) == (Discard.CONTRADICTED, State.RUNNING, State.RUNNING)
    assert isinstance(asked(session, TWO), Join)


# -- living on ---------------------------------------------------------------------------------------------------------


def next_turn(session: Session, call: Call = ONE) -> None:
    """The model makes that call, its tool answers, and the next model call begins."""
    end(session, call)
    session.begin_turn("t2", 2.0)


def test_a_link_lives_on_into_its_step_and_answers_there():
    session = a_session()
    first, second = chain(session, ONE, TWO)
    finish(session, first)
    finish(session, second)
    end(session, ONE)
    assert isinstance(asked(session, ONE), Commit)
    session.begin_turn("t2", 2.0)
    assert second.state is State.READY
    assert session.guesses_for("t2") == [second]
    end(session, TWO, turn="t2")
    answer = asked(session, TWO, now=3.0)
    assert isinstance(answer, Commit)
    assert answer.speculation is second


def test_a_fresh_prediction_finds_its_call_under_way():
    session = a_session()
    chain(session, ONE, TWO)
    next_turn(session)
    session.take_events()
    assert guess(session, TWO, turn="t2") == []
    assert [event.reason for event in session.take_events() if isinstance(event, events.Refused)] == ["duplicate"]


def test_a_written_call_is_not_started_again_where_a_link_runs():
    session = a_session()
    chain(session, ONE, TWO)
    next_turn(session)
    (written,) = proposals((TWO,))
    assert session.written("t2", written, 2.0) == []


def test_the_stream_and_the_end_of_its_turn_rule_a_link_out():
    for how in ("stream", "end"):
        session = a_session()
        _, second = chain(session, ONE, TWO)
        next_turn(session)
        if how == "stream":
            assert session.alive_in("t2") == [second]
            session.narrowed("t2", [TWO.key], [], 2.5)
        else:
            end(session, THREE, turn="t2")
        assert second.reason is Discard.CONTRADICTED


def test_a_link_is_not_ruled_out_by_the_message_before_its_own():
    session = a_session()
    _, second = chain(session, ONE, TWO)
    session.narrowed("t1", [TWO.key], [], 0.5)
    assert session.alive_in("t1") != [second]
    end(session, ONE)
    assert second.state is State.RUNNING


def test_a_link_answers_no_call_after_its_step():
    session = a_session()
    _, second = chain(session, ONE, TWO)
    finish(session, second)
    next_turn(session)
    end(session, TWO, turn="t2")  # asked for, but its call never arrives
    session.begin_turn("t3", 3.0)
    assert second.reason is Discard.EXPIRED
    assert isinstance(asked(session, TWO, now=3.0), Miss)


def test_a_call_that_comes_a_step_early_finds_its_link():
    session = a_session()
    _, second = chain(session, ONE, TWO)
    finish(session, second)
    end(session, ONE, TWO)
    answer = asked(session, TWO)
    assert isinstance(answer, Commit)
    assert answer.speculation is second


# -- behind a message that is complete ---------------------------------------------------------------------------------


def test_behind_a_complete_message_the_next_one_is_two_messages_ahead_and_rests_on_no_guess():
    session = a_session()
    end(session, ONE)
    (link,) = look(session, None, TWO)
    assert (link.step, link.depth, link.parent, link.probability) == (1, 2, None, 0.9)
    assert session.guesses_after(None) == [link]
    session.begin_turn("t2", 2.0)
    assert session.guesses_for("t2") == [link]


@pytest.mark.parametrize("when", ["before its end", "after the next began", "of another turn", "closed"])
def test_a_look_that_comes_at_the_wrong_moment_is_ignored(when: str):
    session = a_session()
    if when != "before its end":
        end(session, ONE)
    if when == "after the next began":
        session.begin_turn("t2", 2.0)
    if when == "closed":
        session.close(2.0)
    assert look(session, None, TWO, turn="t9" if when == "of another turn" else "t1") == []


def test_a_look_past_a_guess_that_the_model_did_not_make_is_ignored():
    """
    One that is kept for later messages is no reason to expect what would have come after it now.
    """
    session = a_session()
    (kept,) = guess(session, Call("keep", {}))
    session.end_turn("t1", [ONE], [ONE], 0.0)

    assert not kept.over
    assert not session.may_look_past("t1", kept.id)
    assert look(session, kept, TWO) == []


def test_a_look_past_a_guess_that_is_over_is_ignored():
    session = a_session()
    (first,) = guess(session, ONE)
    next_turn(session, FOUR)
    assert look(session, first, TWO) == []
    assert not session.may_look_past("t2", first.id)


# -- the end -----------------------------------------------------------------------------------------------------------


def test_the_end_of_a_run_leaves_nothing_of_a_chain_and_its_records_hold():
    session = a_session()
    links = chain(session, ONE, TWO, THREE)
    commands = session.close(0.5)
    assert {command.id for command in commands if isinstance(command, Cancel)} == {link.id for link in links}
    assert {link.reason for link in links} == {Discard.RUN_ENDED}
    for link in links:
        finish(session, link)
    assert audit(session.take_events()) == []


def test_an_audit_notices_what_lives_on_although_its_guess_was_contradicted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Table, "lineage", lambda self, id: [])
    session = a_session()
    first, second = chain(session, ONE, TWO)
    end(session, Call("keep"))
    session.begin_turn("t2", 2.0)
    found = audit(session.take_events())
    assert [(violation.rule, violation.id) for violation in found] == [("lineage", second.id)]
    assert violation_text(found) == [f"lives on, but {first.id}, which it took for granted, came to nothing"]


def violation_text(found: list[Any]) -> list[str]:
    return [violation.text for violation in found]


def test_an_audit_notices_a_launch_beyond_the_depth_that_is_allowed():
    session = a_session()
    chain(session, ONE, TWO, THREE)
    session.close(5.0)
    records = [
        replace(event, max_depth=2) if isinstance(event, events.RunBegan) else event for event in session.take_events()
    ]
    found = [violation for violation in audit(records) if violation.rule == "budget"]
    assert violation_text(found) == ["launched 3 messages ahead, and max_depth is 2"]
