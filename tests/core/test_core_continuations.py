"""What is launched because a preview of the model wrote it: as likely as the preview, and gone with it."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import MISS, Cancel, Commit, Launch, Proposal
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import Discard, Speculation
from langgraph_speculate.core.stakes import Bet, Tokens
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.policy import Limits, Rule, ToolPolicy

GET = ToolFacts("get", Rule(ToolPolicy(read_only=True, reads=("order:{id}",)), "tools.get"))
SET = ToolFacts("set", Rule(ToolPolicy(writes=("order:{id}",)), "tools.set"))
ONE, TWO = Call("get", {"id": 1}), Call("get", {"id": 2})
BET = Bet("gpt", ("slow",), 0.8, Tokens(10, 10))
NOTHING = Tokens(0, 0)


def a_session(**limits: Any) -> tuple[Session, str]:
    """A run whose tools are under way, with a preview of what the model will write then."""
    session = Session("r", RunView("declared", None, Epochs()), Limits(**limits))
    session.begin_turn("t1", 0.0)
    session.end_turn("t1", [Call("slow")], [], 0.0)
    preview = session.previews.begin(BET, 0.0)
    assert preview is not None
    return session, preview


def write(session: Session, preview: str, *calls: Call, turn: str = "t1", now: float = 0.0) -> list[Speculation]:
    """The preview writes calls; what is launched for them."""
    commands = []
    for call in calls:
        proposal = Proposal(Candidate(call, 1.0, "preview"), call, GET, "thread")
        commands += session.previewed(turn, preview, proposal, now)
    return [command.speculation for command in commands if isinstance(command, Launch)]


def asked(session: Session, call: Call) -> Any:
    return session.resolve(call, GET, "thread", 1.0)[0]


def finish(session: Session, speculation: Speculation) -> None:
    session.finish(speculation.id, Outcome("value"), 5, 1.0, 0.0)


def test_a_call_of_a_preview_is_as_likely_as_the_preview_and_one_message_further():
    """
    It is a guess like any other: the gate, its worth and the budgets decide.
    """
    session, preview = a_session()
    (guess,) = write(session, preview, ONE)
    assert (guess.probability, guess.depth, guess.parent, guess.step) == (0.8, 2, preview, 1)


def test_what_a_used_preview_had_launched_answers_the_real_calls():
    """
    The step that it was launched for has begun, and its message makes the call.
    """
    session, preview = a_session()
    (guess,) = write(session, preview, ONE)
    finish(session, guess)
    session.begin_turn("t2", 1.0)
    session.preview_used(preview, 0.5, False, 1.0)
    session.end_turn("t2", [ONE], [ONE], 1.0)
    answer = asked(session, ONE)
    assert isinstance(answer, Commit)
    assert answer.speculation is guess


def test_a_wasted_preview_takes_its_calls_along_at_once():
    """
    Those whose bodies run are stopped, those that are ready are dropped, and later calls are not launched.
    """
    session, preview = a_session()
    ready, running = write(session, preview, ONE, TWO)
    finish(session, ready)
    commands = session.preview_wasted(preview, "result", NOTHING, 1.0)
    assert [ready.reason, running.reason] == [Discard.LINEAGE, Discard.LINEAGE]
    assert [command.id for command in commands if isinstance(command, Cancel)] == [running.id]
    assert write(session, preview, Call("get", {"id": 3})) == []
    session.close(2.0)
    assert audit(session.take_events()) == []


def test_the_real_message_may_start_what_a_wasted_preview_had_started():
    """
    A call that is in both is not taken for started because the preview's was.
    """
    session, preview = a_session()
    write(session, preview, ONE)
    session.begin_turn("t2", 1.0)
    session.preview_wasted(preview, "messages", NOTHING, 1.0)
    proposal = Proposal(Candidate(ONE, 1.0, "stream"), ONE, GET, "thread")
    assert [type(command) for command in session.written("t2", proposal, 1.0)] == [Launch]


def test_a_real_call_that_waits_for_one_keeps_it():
    """
    A call of the step under way may have asked for the very same; only its own end ends it then.
    """
    session, preview = a_session()
    (guess,) = write(session, preview, ONE)
    asked(session, ONE)
    assert session.preview_wasted(preview, "result", NOTHING, 1.0) == []
    assert guess.reason is None


def test_a_write_after_the_launch_makes_it_stale():
    """
    Tools of the step before may still write, and so may other runs.
    """
    session, preview = a_session()
    (guess,) = write(session, preview, ONE)
    finish(session, guess)
    tags, _ = session.begin_call(SET, Call("set", {"id": 1}), 0.5)
    session.end_call(tags, 0.6)
    assert (guess.reason, asked(session, ONE)) == (Discard.STALE, MISS)


def test_nothing_is_launched_while_what_it_reads_is_written():
    """
    The gate is the ordinary one.
    """
    session, preview = a_session()
    session.begin_call(SET, Call("set", {"id": 1}), 0.5)
    assert write(session, preview, ONE) == []
    assert [guess.call for guess in write(session, preview, TWO)] == [TWO]


@pytest.mark.parametrize("limits", [{"max_in_flight": 0}, {"max_per_run": 0}, {"max_wasted_per_run": 0}])
def test_the_budgets_bound_it(limits: dict[str, int]):
    """
    It counts among the guesses of the run.
    """
    session, preview = a_session(**limits)
    assert write(session, preview, ONE) == []


def test_what_is_written_too_late_is_not_launched():
    """
    Once the next turn has begun, the real stream says it all.
    """
    session, preview = a_session()
    session.begin_turn("t2", 1.0)
    assert write(session, preview, ONE) == []


def test_a_preview_that_takes_back_what_it_wrote_lets_its_calls_go():
    """
    Though it may still be used: what it wrote instead is for the real message to say.
    """
    session, preview = a_session()
    (guess,) = write(session, preview, ONE)
    session.preview_revised(preview, 0.5)
    assert guess.reason is Discard.LINEAGE
    assert session.previews.chance(preview) == 0.8


def test_the_audit_finds_what_outlives_its_preview():
    """
    It does not trust the session: a record of a wasted preview without an end of what rested on it is enough.
    """
    session, preview = a_session()
    (guess,) = write(session, preview, ONE)
    session.previews.wasted(preview, "result", NOTHING, 1.0)
    session.begin_turn("t2", 1.0)
    found = audit(session.take_events())
    assert [(violation.rule, violation.id) for violation in found] == [("lineage", guess.id)]
