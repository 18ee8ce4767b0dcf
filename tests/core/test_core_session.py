"""The five moments of a run, one readable case each; `test_core_machine.py` tries all orders."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from langgraph_speculate.core import events
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Cancel, Commit, Join, Launch, Miss, Proposal
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.gate import ALLOW
from langgraph_speculate.core.journal import Title
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import Discard, Speculation, Stage, State
from langgraph_speculate.errors import IllegalTransition
from langgraph_speculate.policy import Limits, Rule, ToolPolicy


def tool(name: str, **settings: Any) -> ToolFacts:
    return ToolFacts(name, Rule(ToolPolicy(**settings), f"tools.{name}"))


GET = tool("get", read_only=True, reads=("order:{id}",))
KEEP = tool("keep", read_only=True, reads=("order:{id}",), scope="run", on_mispredict="cancel")
SET = tool("set", writes=("order:{id}",))
SEVEN, EIGHT = Call("get", {"id": 7}), Call("get", {"id": 8})


def a_session(**limits: Any) -> Session:
    return Session("r", RunView("declared", None, Epochs()), Limits(**limits))


def propose(session: Session, *calls: Call, facts: ToolFacts = GET, turn: str = "t1", now: float = 0.0) -> list[Any]:
    proposals = [Proposal(Candidate(call, 0.9, "test"), call, facts, "thread") for call in calls]
    return session.predicted(turn, proposals, now)


def launch(session: Session, call: Call = SEVEN, **how: Any) -> Speculation:
    (command,) = propose(session, call, **how)
    assert isinstance(command, Launch)
    return command.speculation


def running(call: Call = SEVEN, **how: Any) -> tuple[Session, Speculation]:
    session = a_session()
    session.begin_turn("t1", 0.0)
    return session, launch(session, call, **how)


def ready(call: Call = SEVEN, **how: Any) -> tuple[Session, Speculation]:
    session, speculation = running(call, **how)
    session.finish(speculation.id, Outcome("value"), 5, 1.0, 0.0)
    return session, speculation


def told(session: Session, kind: type[events.Event]) -> list[Any]:
    return [event for event in session.take_events() if isinstance(event, kind)]


# -- moment 1 ----------------------------------------------------------------------------------------------------------


def test_guesses_are_considered_best_first_until_the_budget_is_spent():
    """
    Order is the predictor's; every refusal says why.
    """
    session = a_session(max_per_turn=2)
    session.begin_turn("t1", 0.0)
    commands = propose(session, SEVEN, SEVEN, EIGHT, Call("get", {"id": 9}))
    assert [command.speculation.call for command in commands] == [SEVEN, EIGHT]
    assert [event.reason for event in told(session, events.Refused)] == ["duplicate", "max_per_turn"]


@pytest.mark.parametrize("over", ["ended", "aborted", "never began", "closed"])
def test_a_prediction_that_comes_too_late_is_ignored(over: str):
    """
    A predictor on a thread of its own may answer when nobody waits any more.
    """
    session = a_session()
    if over != "never began":
        session.begin_turn("t1", 0.0)
    if over == "ended":
        session.end_turn("t1", [], [], 1.0)
    if over == "aborted":
        session.abort_turn("t1", 1.0)
    if over == "closed":
        session.close(1.0)
    session.take_events()
    assert propose(session, SEVEN, now=2.0) == []
    assert session.take_events() == []


def test_two_models_that_run_side_by_side_share_a_step():
    """
    The second to start does not throw away what the first was given.
    """
    session, speculation = ready()
    assert session.begin_turn("t2", 1.0) == []
    assert speculation.state is State.READY
    session.end_turn("t2", [], [], 2.0)
    assert speculation.state is State.READY


def test_a_guess_without_a_key_does_not_take_the_others_with_it():
    """
    What was noted as launched must be handed out as a command, whatever comes after it in the list.
    """
    session = a_session()
    session.begin_turn("t1", 0.0)
    commands = propose(session, SEVEN, Call("get", {"id": object()}))
    assert len(commands) == session.table.issued == 1


# -- moment 3 ----------------------------------------------------------------------------------------------------------


def test_what_the_message_does_not_ask_for_is_let_go():
    """
    The rest waits for its call.
    """
    session = a_session()
    session.begin_turn("t1", 0.0)
    wanted, other = (command.speculation for command in propose(session, SEVEN, EIGHT))
    assert session.end_turn("t1", [SEVEN], [SEVEN], 1.0) == [Cancel(other.id, drain=True)]
    assert (wanted.state, other.state, other.reason) == (State.RUNNING, State.DISCARDED, Discard.CONTRADICTED)
    (ended,) = told(session, events.TurnEnded)
    assert (ended.calls, ended.foreseen) == (("get",), 1)


def test_foreseen_counts_calls_as_the_model_wrote_them():
    """
    Also those that were not started; the same call twice was foreseen once.
    """
    session = a_session(max_per_turn=0)
    session.begin_turn("t1", 0.0)
    assert propose(session, SEVEN, EIGHT) == []
    session.end_turn("t1", [SEVEN, SEVEN, Call("get", {"id": "8"}), Call("get", {"id": object()})], [], 1.0)
    assert told(session, events.TurnEnded)[0].foreseen == 1


def test_what_is_kept_for_the_run_outlives_the_answer():
    """
    `scope = "run"` waits for a later turn.
    """
    call = Call("keep", {"id": 7})
    session, kept = ready(call, facts=KEEP)
    assert session.end_turn("t1", [], [], 1.0) == []
    assert session.begin_turn("t2", 2.0) == []
    answer, _ = session.resolve(call, KEEP, "thread", 3.0)
    assert isinstance(answer, Commit)
    assert answer.speculation is kept


def test_a_failed_model_call_takes_its_guesses_with_it():
    """
    Nothing it was predicted to ask for will come; whoever may be cancelled is.
    """
    session, speculation = running(Call("keep", {"id": 7}), facts=KEEP)
    assert session.abort_turn("t1", 1.0) == [Cancel(speculation.id, drain=False)]
    assert speculation.reason is Discard.MODEL_FAILED


# -- moment 4 ----------------------------------------------------------------------------------------------------------


def test_a_finished_result_is_the_answer():
    """
    Once: an equal call after it runs for real.
    """
    session, speculation = ready()
    answer, commands = session.resolve(SEVEN, GET, "thread", 2.0)
    assert (answer, commands) == (Commit(speculation, Outcome("value")), [])
    assert session.resolve(SEVEN, GET, "thread", 2.0) == (Miss(), [])


def test_two_equal_calls_never_share_one_running_body():
    """
    The first waits for it, the second runs.
    """
    session, speculation = running()
    assert session.resolve(SEVEN, GET, "thread", 1.0) == (Join(speculation), [])
    assert session.resolve(SEVEN, GET, "thread", 1.0) == (Miss(), [])
    session.finish(speculation.id, Outcome("value"), 5, 2.0, 0.0)
    assert session.resolve(SEVEN, GET, "thread", 3.0) == (Miss(), [])
    assert session.claim(speculation, 3.0) == (Commit(speculation, Outcome("value")), [])


@pytest.mark.parametrize(
    ("outcome", "size", "reason"),
    [
        (Outcome(error=ValueError("no")), 0, Discard.FAILED),
        (Outcome("value", taint="interrupt"), 0, Discard.TAINTED),
        (Outcome(error=ValueError("no"), taint="interrupt"), 0, Discard.TAINTED),
        (Outcome("value"), 1_000_001, Discard.TOO_LARGE),
    ],
    ids=["failed", "tainted", "tainted and failed", "too large"],
)
def test_a_call_that_waited_for_nothing_runs_itself(outcome: Outcome, size: int, reason: Discard):
    """
    Errors, taints and huge results are never adopted, however long the call waited.
    """
    session, speculation = running()
    session.resolve(SEVEN, GET, "thread", 1.0)
    session.finish(speculation.id, outcome, size, 2.0, 0.0)
    assert session.claim(speculation, 2.0) == (Miss(), [])
    assert (speculation.state, speculation.reason, speculation.outcome) == (State.DISCARDED, reason, None)


def test_a_body_that_overruns_is_given_up():
    """
    What it still returns is nobody's.
    """
    session, speculation = running()
    session.resolve(SEVEN, GET, "thread", 1.0)
    assert session.claim(speculation, 9.0) == (Miss(), [Cancel(speculation.id, drain=True)])
    session.finish(speculation.id, Outcome("late"), 5, 10.0, 0.0)
    assert session.claim(speculation, 11.0) == (Miss(), [])
    assert [event.reason for event in told(session, events.Discarded)] == ["overrun"]


def test_a_promoted_speculation_outlives_everything_but_its_call():
    """
    Turns, aborts and writes leave it alone: a plain call that runs beside a write may see either state, too.
    """
    session, speculation = running()
    session.resolve(SEVEN, GET, "thread", 1.0)
    assert session.end_turn("t1", [], [], 1.0) == []
    assert session.begin_turn("t2", 1.0) == []
    assert session.abort_turn("t2", 1.0) == []
    assert session.begin_call(SET, Call("set", {"id": 7}), 1.0) == (frozenset({"order:7"}), [])
    assert speculation.state is State.PROMOTED
    assert session.abandon(speculation, 2.0) == [Cancel(speculation.id, drain=True)]
    assert speculation.reason is Discard.ABANDONED


def test_a_result_denied_at_commit_is_told_and_dropped():
    """
    The tool tripped a wire elsewhere meanwhile.
    """
    tripped: set[str] = set()
    session = Session("r", RunView("declared", None, Epochs(), tripped), Limits())
    session.begin_turn("t1", 0.0)
    speculation = launch(session)
    session.finish(speculation.id, Outcome("value"), 5, 1.0, 0.0)
    tripped.add("get")
    assert session.resolve(SEVEN, GET, "thread", 2.0) == (Miss(), [])
    assert speculation.reason is Discard.DENIED
    assert session.table.discarded == {Discard.DENIED: 1}


# -- moment 5 ----------------------------------------------------------------------------------------------------------


def test_a_write_takes_stale_results_with_it_and_no_others():
    """
    As soon as it starts, before anybody asks.
    """
    session, stale = ready()
    fresh = launch(session, EIGHT)
    tags, commands = session.begin_call(SET, Call("set", {"id": 7}), 2.0)
    assert (tags, commands) == (frozenset({"order:7"}), [])
    assert (stale.reason, fresh.state) == (Discard.STALE, State.RUNNING)
    assert propose(session, SEVEN) == []
    session.end_call(tags, 2.0)
    assert len(propose(session, SEVEN)) == 1


def test_a_write_of_another_run_is_noticed_at_commit():
    """
    Epochs are shared between runs, speculations are not.
    """
    session, speculation = ready()
    other = Session("other", session.view, Limits())
    tags, _ = other.begin_call(SET, Call("set", {"id": "7"}), 2.0)
    other.end_call(tags, 2.0)
    assert session.resolve(SEVEN, GET, "thread", 3.0) == (Miss(), [])
    assert speculation.reason is Discard.STALE


class Region(str, enum.Enum):  # noqa: UP042 - the older spelling is what most tools have
    NORTH = "north"


def test_a_write_named_plainly_makes_a_read_named_by_an_enum_stale():
    """
    One resource, though the reading tool coerces its argument to an enum and the writing one does not.
    """
    call = Call("get", {"id": Region.NORTH})
    session, _ = ready(call)
    tags, _ = session.begin_call(SET, Call("set", {"id": "north"}), 2.0)
    session.end_call(tags, 2.0)
    assert session.resolve(call, GET, "thread", 3.0) == (Miss(), [])


def test_the_critical_path_of_a_step_is_told_when_the_next_begins():
    """
    Parallel calls count once: the longest body, the longest wait.
    """
    session = a_session()
    session.begin_turn("t1", 0.0)
    session.end_turn("t1", [], [], 1.0)
    for name, tool_s, waited_s in (("a", 2.0, 0.5), ("b", 3.0, 0.25), ("c", 1.0, 1.0)):
        session.settle(name, hit=None, joined=False, waited_s=waited_s, tool_s=tool_s, now=2.0)
    session.take_events()
    session.begin_turn("t2", 3.0)
    (settled,) = told(session, events.StepSettled)
    assert (settled.tool, settled.tool_s, settled.waited_s) == ("b", 3.0, 1.0)
    session.close(4.0)
    (closed,) = told(session, events.RunClosed)
    assert closed.hidden_s == 2.0


def test_closing_leaves_nothing_alive_and_nothing_to_adopt():
    """
    Running, ready and promoted ones end with the run. Bodies that run on are cancelled and change nothing any more; the
    one that a real call waits for is, when it waits no longer.
    """
    session, promoted = running()
    session.resolve(SEVEN, GET, "thread", 1.0)
    kept = launch(session, EIGHT)
    commands = session.close(2.0)
    assert commands == [Cancel(kept.id, drain=False)]
    assert session.close(3.0) == []
    assert session.claim(promoted, 3.0) == (Miss(), [Cancel(promoted.id, drain=False)])
    assert session.abandon(promoted, 3.0) == []
    assert session.resolve(EIGHT, GET, "thread", 3.0) == (Miss(), [])
    assert session.begin_turn("t2", 3.0) == []
    assert session.end_turn("t1", [EIGHT], [EIGHT], 3.0) == []
    for speculation in (promoted, kept):
        session.finish(speculation.id, Outcome("late"), 5, 4.0, 0.0)
        assert (speculation.reason, speculation.outcome) == (Discard.RUN_ENDED, None)
    assert (session.table.issued, len(session.table), session.table.in_flight) == (2, 0, 0)


def test_a_write_that_outlives_its_run_still_counts_for_others():
    """
    A closed run's real calls may run on; their writes are as real as before.
    """
    session, speculation = ready()
    other = Session("other", session.view, Limits())
    other.close(1.0)
    tags, _ = other.begin_call(SET, Call("set", {"id": 7}), 2.0)
    assert session.resolve(SEVEN, GET, "thread", 3.0) == (Miss(), [])
    other.end_call(tags, 2.0)
    assert speculation.reason is Discard.STALE


def test_what_a_discarded_body_cost_is_told_once_it_has_ended():
    """
    Not before: until then nobody knows.
    """
    session, speculation = running()
    session.end_turn("t1", [], [], 1.0)
    assert told(session, events.Wasted) == []
    session.finish(speculation.id, Outcome("value"), 5, 4.0, 0.5)
    happened = session.take_events()
    assert [(type(event), event.seconds) for event in happened] == [(events.Finished, 3.5), (events.Wasted, 3.5)]


# -- giving way --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("facts", [GET, KEEP], ids=["drain", "cancel"])
def test_a_body_gives_its_slot_to_a_real_call_that_needs_it(facts: ToolFacts):
    """
    It is discarded for that reason, with all that rests on it, and stopped by its own policy.
    """
    session, speculation = running(Call(facts.name, {"id": 7}), facts=facts)
    assert session.give_way(speculation.id, 1.0) == (True, [Cancel(speculation.id, drain=facts is GET)])
    assert (speculation.state, speculation.reason) == (State.DISCARDED, Discard.YIELDED)
    assert session.give_way(speculation.id, 1.5) == (True, [])  # it is about to end
    session.finish(speculation.id, Outcome(error=ValueError(), stopped=True), 0, 2.0, 0.0)
    assert session.give_way(speculation.id, 3.0) == (False, [])


@pytest.mark.parametrize("why", ["a real call waits for it", "it has ended"])
def test_a_body_that_is_needed_or_over_gives_nothing_away(why: str):
    """
    The real call that waits has its slot by right; a result that is there holds none.
    """
    session, speculation = ready() if why == "it has ended" else running()
    if why == "a real call waits for it":
        session.resolve(SEVEN, GET, "thread", 1.0)
    before = speculation.state
    assert session.give_way(speculation.id, 1.0) == (False, [])
    assert speculation.state is before


def test_a_call_that_gave_way_starts_again_once_it_is_written():
    """
    By then there may be a slot. One that was left alone is not started twice.
    """
    written = Proposal(Candidate(SEVEN, 1.0, "stream"), SEVEN, GET, "thread", stage=Stage.COMPLETE)
    for gives_way in (True, False):
        session, speculation = running()
        if gives_way:
            session.give_way(speculation.id, 1.0)
        assert len(session.written("t1", written, 2.0)) == gives_way


# -- corners -----------------------------------------------------------------------------------------------------------


def test_the_oldest_results_make_room_for_newer_ones():
    """
    The cache holds what it may and no more; what is evicted was wasted.
    """
    session = a_session(max_cache_bytes=10)
    session.begin_turn("t1", 0.0)
    first, second, third = (launch(session, Call("get", {"id": number})) for number in (1, 2, 3))
    for speculation, size in ((first, 4), (second, 4), (third, 6)):
        session.finish(speculation.id, Outcome("value"), size, 1.0, 0.0)
    assert [one.state for one in (first, second, third)] == [State.DISCARDED, State.READY, State.READY]
    assert first.reason is Discard.EVICTED


def test_a_result_that_fills_the_whole_cache_stays():
    """
    Up to the last byte.
    """
    session = a_session(max_cache_bytes=10)
    session.begin_turn("t1", 0.0)
    speculation = launch(session)
    session.finish(speculation.id, Outcome("value"), 10, 1.0, 0.0)
    assert speculation.state is State.READY


@pytest.mark.parametrize("facts", [None, GET, ToolFacts("get", Rule(None, "undeclared"))])
def test_what_has_no_call_or_no_policy_is_never_launched(facts: ToolFacts | None, monkeypatch: pytest.MonkeyPatch):
    """
    Not even by a gate that lets everything pass.
    """
    monkeypatch.setattr("langgraph_speculate.core.launches.decide", lambda *asked, **more: ALLOW)
    session = a_session()
    session.begin_turn("t1", 0.0)
    call = None if facts is GET else SEVEN
    proposal = Proposal(Candidate(SEVEN, 0.9, "test"), call, facts, "thread")
    assert session.predicted("t1", [proposal], 0.0) == []
    with pytest.raises(IllegalTransition, match="get was launched although the gate cannot have allowed it"):
        proposal.speculation("r:1", "t1", 0, 0, 0.0)


# -- what a run says of itself -----------------------------------------------------------------------------------------


def test_a_run_says_at_its_start_how_to_read_it():
    """
    Schema, date, graph and level stand in the first record, so that a log needs nothing else to be understood.
    """
    title = Title("support", epoch=1_000.0)
    session = Session("r", RunView("shadow", None, Epochs()), Limits(), title=title)
    session.begin_turn("t1", 2.0, "gpt-x")
    began, turn = session.take_events()
    assert isinstance(began, events.RunBegan)
    assert (began.schema, began.wall, began.graph, began.level) == (events.SCHEMA, 1_002.0, "support", "shadow")
    assert isinstance(turn, events.TurnBegan)
    assert turn.model == "gpt-x"


def test_a_model_call_that_fails_is_told():
    """
    A turn that began has an end in the log, however it ends.
    """
    session, _ = running()
    session.abort_turn("t1", 1.0)
    assert [event.turn for event in told(session, events.TurnFailed)] == ["t1"]


def test_a_launch_says_what_it_is_worth_and_costs():
    """
    Seconds that a guess is expected to save, and money whether or not it hits; what the model wrote needs no estimate.
    """
    session = a_session()
    session.begin_turn("t1", 0.0)
    facts = tool("get", read_only=True, cost=0.0001)
    launch(session, facts=facts)
    written = Proposal(Candidate(EIGHT, 1.0, "stream"), EIGHT, facts, "thread", stage=Stage.COMPLETE)
    session.written("t1", written, 0.0)
    guess, call = told(session, events.Launched)
    assert guess.worth_s > 0
    assert (call.worth_s, guess.cost, call.cost) == (0.0, 0.0001, 0.0001)
