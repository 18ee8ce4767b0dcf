"""What a run makes of a message while it is written, one readable case each, and random ones against the audit."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from langgraph_speculate.core import events
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Cancel, Command, Commit, Join, Launch, Miss, Proposal
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import Discard, Speculation, Stage, State
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.policy import Limits, Rule, ToolPolicy


def tool(name: str, **settings: Any) -> ToolFacts:
    return ToolFacts(name, Rule(ToolPolicy(**settings), f"tools.{name}"))


GET = tool("get", read_only=True, reads=("order:{id}",))
KEEP = tool("keep", read_only=True, reads=(), scope="run", ttl_s=60)
SET = tool("set", writes=("order:{id}",))
NOTE = replace(tool("note", read_only=True), injected=frozenset({"call_id"}), by_call=frozenset({"call_id"}))
FACTS = {facts.name: facts for facts in (GET, KEEP, SET, NOTE)}
ONE, TWO, THREE = (Call("get", {"id": number}) for number in (1, 2, 3))


def a_session(level: str = "declared", **limits: Any) -> Session:
    session = Session("r", RunView(level, None, Epochs()), Limits(**limits))
    session.begin_turn("t1", 0.0)
    return session


def proposal(call: Call, stage: Stage = Stage.NAME, chance: float = 0.9, call_id: str | None = None) -> Proposal:
    candidate = Candidate(call, chance, "test")
    return Proposal(candidate, call, FACTS[call.name], "thread", stage=stage, call_id=call_id)


def guess(session: Session, *calls: Call, turn: str = "t1", now: float = 0.0) -> list[Speculation]:
    return launched(session.predicted(turn, [proposal(call, Stage.BEGIN) for call in calls], now))


def narrow(
    session: Session, *calls: Call, out: tuple[Call, ...] = (), turn: str = "t1", now: float = 0.0
) -> list[Command]:
    return session.narrowed(turn, [call.key for call in out], [proposal(call) for call in calls], now)


def write(
    session: Session, call: Call, *, turn: str = "t1", now: float = 0.0, id: str | None = None
) -> list[Speculation]:
    return launched(session.written(turn, proposal(call, Stage.COMPLETE, 1.0, id), now))


def launched(commands: list[Command]) -> list[Speculation]:
    return [command.speculation for command in commands if isinstance(command, Launch)]


def end(session: Session, speculation: Speculation, error: BaseException | None = None, now: float = 0.0) -> None:
    session.finish(speculation.id, Outcome(speculation.id, error), 5, now, 0.0)


def told(session: Session, kind: type[events.Event]) -> list[Any]:
    return [event for event in session.take_events() if isinstance(event, kind)]


# -- what the stream rules out ---------------------------------------------------------------------------------------


def test_guesses_that_are_ruled_out_are_squashed_and_others_launched():
    """
    Those that are not stay, and the records say at which stage it was.
    """
    session = a_session()
    one, two = guess(session, ONE, TWO)
    commands = narrow(session, THREE, out=(ONE,))
    assert [command.id for command in commands if isinstance(command, Cancel)] == [one.id]
    assert [speculation.call for speculation in launched(commands)] == [THREE]
    assert (one.state, one.reason, two.state) == (State.DISCARDED, Discard.CONTRADICTED, State.RUNNING)
    happened = session.take_events()
    assert [event.stage for event in happened if isinstance(event, events.Narrowed)] == ["name"]
    assert [event.stage for event in happened if isinstance(event, events.Launched)] == ["begin", "begin", "name"]


def test_a_guess_that_is_ruled_out_frees_its_place_in_the_turn():
    """
    Not that of the run, nor what may be wasted.
    """
    session = a_session(max_per_turn=1, max_per_run=3, max_in_flight=9)
    guess(session, ONE)
    assert launched(narrow(session, TWO)) == []
    assert [s.call for s in launched(narrow(session, TWO, out=(ONE,)))] == [TWO]
    assert [s.call for s in launched(narrow(session, THREE, out=(TWO,)))] == [THREE]
    assert launched(narrow(session, ONE, out=(THREE,))) == []  # the run's three are spent
    assert len(session.table) == 0


def test_the_place_of_a_guess_that_goes_elsewhere_stays_taken():
    """
    One that failed was not contradicted.
    """
    session = a_session(max_per_turn=1)
    (one,) = guess(session, ONE)
    end(session, one, RuntimeError())
    assert launched(narrow(session, TWO, out=(ONE,))) == []


def test_results_for_the_whole_run_survive_the_stream():
    """
    With scope `run`, another message may ask for them.
    """
    session = a_session()
    (kept,) = guess(session, Call("keep", {"id": 1}))
    assert session.alive_in("t1") == []
    assert narrow(session, out=(kept.call,)) == []
    assert kept.state is State.RUNNING


def test_alive_are_the_guesses_of_the_turn_that_are_not_written_yet():
    """
    Neither those of another turn, nor what is written.
    """
    session = a_session()
    session.begin_turn("t2", 0.0)
    (one,), _ = guess(session, ONE), guess(session, TWO, turn="t2")
    assert session.alive_in("t1") == [one]
    write(session, ONE)
    assert session.alive_in("t1") == []
    assert narrow(session, out=(ONE, TWO)) == []


def test_a_call_that_waits_for_a_guess_is_not_left_alone():
    """
    Beside a message that is still being written a real call may have asked: neither stream nor revision take that away.
    """
    for lose in (lambda s: narrow(s, out=(ONE,)), lambda s: s.revised("t1", 0.0)):
        session = a_session(max_per_turn=1)
        (one,) = guess(session, ONE)
        answer, _ = session.resolve(ONE, GET, "thread", 0.0)
        assert isinstance(answer, Join)
        assert lose(session) == []
        assert one.state is State.PROMOTED
        assert launched(narrow(session, TWO)) == [], "its place is taken"


def test_shadow_records_what_it_narrows_and_launches_nothing():
    """
    A session that imagines nothing (`core/shadow.py`) denies all at that level.
    """
    session = a_session("shadow")
    assert narrow(session, ONE) == []
    assert write(session, ONE) == []
    assert [(event.reason, event.tool) for event in told(session, events.Denied)] == [("shadow", "get")]


def test_the_gate_denies_once_a_turn_what_a_stream_asks_again_and_again():
    """
    Each verdict about each tool; another turn has its own.
    """
    session = a_session()
    for turn in ("t1", "t1", "t2"):
        if turn == "t2":
            session.begin_turn("t2", 0.0)
        narrow(session, Call("set", {"id": 1}), Call("set", {"id": 2}), turn=turn)
    assert [(event.turn, event.count) for event in told(session, events.Denied)] == [("t1", 2), ("t2", 2)]


# -- what is written -------------------------------------------------------------------------------------------------


def test_a_written_call_starts_although_the_guesses_are_spent():
    """
    It is none: but it is one of the bodies in flight.
    """
    session = a_session(max_per_turn=1, max_per_run=1, max_in_flight=2)
    guess(session, ONE)
    assert [s.stage for s in write(session, TWO)] == [Stage.COMPLETE]
    assert write(session, THREE) == []
    assert [event.reason for event in told(session, events.Refused)] == ["max_in_flight"]


def test_written_calls_that_nobody_wants_spend_a_budget_of_their_own():
    """
    A model whose messages break does not use up the guesses, nor guesses the written calls.
    """
    session = a_session(max_wasted_per_run=1)
    write(session, ONE)
    session.abort_turn("t1", 0.0)
    session.begin_turn("t2", 0.0)
    assert write(session, TWO, turn="t2") == []
    assert len(guess(session, THREE, turn="t2")) == 1
    session.abort_turn("t2", 0.0)
    session.begin_turn("t3", 0.0)
    assert guess(session, ONE, turn="t3") == []


@pytest.mark.parametrize("ending", ["running", "finished", "failed"])
def test_what_a_guess_has_started_is_not_started_again(ending: str):
    """
    Also when it has failed: the real call shows how.
    """
    session = a_session()
    (one,) = guess(session, ONE)
    if ending != "running":
        end(session, one, RuntimeError() if ending == "failed" else None)
    assert write(session, ONE) == []
    assert [s.stage for s in write(session, ONE)] == [Stage.COMPLETE]
    assert session.table.issued == 2


@pytest.mark.parametrize("ending", ["running", "finished", "failed"])
def test_each_of_equal_calls_has_one_body_and_one_answer(ending: str):
    """
    Written three times, started three times, and never more, whatever becomes of the bodies.
    """
    session = a_session(max_in_flight=9)
    bodies = []
    for _ in range(3):
        (body,) = write(session, ONE)
        bodies.append(body)
        if ending != "running":
            end(session, body, RuntimeError() if ending == "failed" else None)
        assert launched(narrow(session, ONE)) == []
        assert guess(session, ONE) == []
    session.end_turn("t1", [ONE] * 3, [ONE] * 3, 0.0)
    answers = [session.resolve(ONE, GET, "thread", 0.0)[0] for _ in range(4)]
    kind = {"running": Join, "finished": Commit, "failed": Miss}[ending]
    assert [type(answer) for answer in answers] == [kind] * 3 + [Miss]
    if kind is not Miss:
        assert {answer.speculation.id for answer in answers[:3]} == {body.id for body in bodies}


def test_a_guess_that_failed_is_not_made_again_in_its_turn():
    """
    A tool that is down is not hammered at with each piece of the message.
    """
    session = a_session()
    (one,) = guess(session, ONE)
    end(session, one, RuntimeError())
    assert launched(narrow(session, ONE)) == []
    assert session.table.issued == 1


def test_a_guess_that_was_ruled_out_starts_once_it_is_written_after_all():
    """
    And may be guessed again before.
    """
    session = a_session()
    guess(session, ONE)
    narrow(session, out=(ONE,))
    assert len(write(session, ONE)) == 1
    session = a_session()
    guess(session, ONE)
    narrow(session, out=(ONE,))
    assert len(launched(narrow(session, ONE))) == 1
    assert write(session, ONE) == []


def test_a_result_that_waits_from_an_earlier_turn_is_not_made_again():
    """
    With scope `run`, until its ttl.
    """
    call = Call("keep", {"id": 1})
    for now, starts in ((59.0, 0), (61.0, 1)):
        session = a_session()
        (kept,) = guess(session, call)
        end(session, kept)
        session.end_turn("t1", [], [], 1.0)
        session.begin_turn("t2", 1.0)
        assert len(write(session, call, turn="t2", now=now)) == starts
        assert len(write(session, call, turn="t2", now=now)) == 1  # the same call once more
        answer, _ = session.resolve(call, KEEP, "thread", now)
        assert isinstance(answer, Join if starts else Commit)


def test_a_tool_that_takes_the_id_of_its_call_starts_once_it_is_written():
    """
    A guess has none, and a result goes to its own call alone.
    """
    session = a_session()
    call = Call("note", {})
    assert guess(session, call) == []
    (body,) = write(session, call, id="call_a")
    end(session, body)
    session.end_turn("t1", [call], [call], 0.0)
    for id in (None, "call_b"):
        assert isinstance(session.resolve(call, NOTE, "thread", 0.0, call_id=id)[0], Miss)
    assert isinstance(session.resolve(call, NOTE, "thread", 0.0, call_id="call_a")[0], Commit)


def test_a_call_that_reads_what_is_being_written_waits_for_its_turn():
    """
    The gate is asked as about any guess.
    """
    session = a_session()
    tags, _ = session.begin_call(SET, Call("set", {"id": 1}), 0.0)
    assert write(session, ONE) == []
    session.end_call(tags, 0.0)
    assert [event.reason for event in told(session, events.Denied)] == ["pending_write"]


def test_a_write_is_denied_however_sure_it_is():
    """
    Complete or not.
    """
    session = a_session()
    assert write(session, Call("set", {"id": 1})) == []
    assert [event.reason for event in told(session, events.Denied)] == ["not_read_only"]


# -- what is taken back ----------------------------------------------------------------------------------------------


def test_a_revision_squashes_all_of_its_turn_and_of_no_other():
    """
    Guesses, written calls, and those with scope `run`: what led to them was wrong.
    """
    session = a_session(max_in_flight=9)
    session.begin_turn("t2", 0.0)
    (other,) = guess(session, THREE, turn="t2")
    mine = [*guess(session, ONE, Call("keep", {"id": 1})), *write(session, TWO)]
    assert len(session.revised("t1", 0.0)) == 3
    assert {speculation.reason for speculation in mine} == {Discard.CONTRADICTED}
    assert other.state is State.RUNNING


def test_the_message_of_a_revision_answers_nothing_it_had_started():
    """
    Its calls run as in the plain graph.
    """
    session = a_session()
    (body,) = write(session, ONE)
    end(session, body)
    session.revised("t1", 0.0)
    session.end_turn("t1", [ONE], [ONE], 0.0)
    assert isinstance(session.resolve(ONE, GET, "thread", 0.0)[0], Miss)


@pytest.mark.parametrize("over", ["ended", "aborted", "never began", "closed"])
def test_what_is_told_of_a_turn_that_is_not_open_is_ignored(over: str):
    """
    Nothing launched, nothing squashed, nothing noted.
    """
    session, turn = a_session(), "t9" if over == "never began" else "t1"
    (kept,) = guess(session, Call("keep", {"id": 1}))
    if over == "ended":
        session.end_turn("t1", [], [], 0.0)
    elif over == "aborted":
        session.abort_turn("t1", 0.0)
    elif over == "closed":
        session.close(0.0)
    session.take_events()
    assert session.alive_in(turn) == []
    assert narrow(session, ONE, out=(kept.call,), turn=turn) == []
    assert write(session, ONE, turn=turn) == []
    assert session.revised(turn, 0.0) == []
    assert session.take_events() == []


# -- anything in any order -------------------------------------------------------------------------------------------

ALIVE = (State.RUNNING, State.READY, State.PROMOTED)
SOME = [Call(name, {"id": number}) for name in ("get", "get", "keep", "note", "set") for number in (1, 2)]


class Streamed:
    """A run whose messages are streamed at random, and what was promised about the bodies that it starts."""

    def __init__(self, seed: int) -> None:
        self.chance = chance = random.Random(seed)
        bounds = {name: chance.randint(0, 4) for name in ("max_per_turn", "max_in_flight", "max_wasted_per_run")}
        limits = dict(chance.sample(sorted(bounds.items()), chance.randint(0, 2)))
        self.session = Session("r", RunView("declared", None, Epochs()), Limits(**limits, max_per_run=50))
        self.log: list[events.Event] = []
        self.now = 0.0
        self.known: dict[str, Speculation] = {}
        self.running: list[Speculation] = []
        self.waiting: list[Speculation] = []
        self.open: list[str] = []
        self.turns = 0
        self.written: dict[str, list[Call]] = {}
        self.started: dict[str, Counter[str]] = {}

    def take(self, commands: list[Command]) -> list[Speculation]:
        new = launched(commands)
        self.running += new
        for speculation in new:
            self.started[speculation.turn][speculation.call.key] += 1
        self.known |= {speculation.id: speculation for speculation in new}
        happened = self.session.take_events()
        for event in happened:
            if isinstance(event, events.Discarded) and event.reason == Discard.CONTRADICTED:
                lost = self.known[event.id]
                self.started[lost.turn][lost.call.key] -= 1
        self.log += happened
        return new

    def step(self) -> None:
        chance, session = self.chance, self.session
        self.now += chance.choice([0.0, 0.0, 0.5, 20.0])
        do = chance.choice(
            ["begin", "guess", "narrow", "narrow", "write", "write", "again", "revise", "end", "end", "abort"]
            + ["real"] * 4
            + ["finish"] * 4
            + ["claim"] * 2
        )
        turn = chance.choice(self.open) if self.open else "none"
        some = chance.sample(SOME, 3)
        if do == "begin" and len(self.open) < 2:
            self.turns += 1
            turn = f"t{self.turns}"
            self.open.append(turn)
            self.written[turn], self.started[turn] = [], Counter()
            self.take(session.begin_turn(turn, self.now))
        elif do == "guess":
            self.take(session.predicted(turn, [proposal(call, Stage.BEGIN) for call in some], self.now))
        elif do == "narrow":
            out = [call.key for call in chance.sample(SOME, 2)]
            was = {one.id: one.state for one in session.table}
            self.take(session.narrowed(turn, out, [proposal(call) for call in some], self.now))
            lost = [one for one in self.running if one.id in was and one.over and was[one.id] in ALIVE]
            assert all(one.call.key in out and one.turn == turn and one.scope == "step" for one in lost)
        elif do in ("write", "again"):
            known = self.written.get(turn) or some
            call = chance.choice(known if do == "again" else some)
            id = f"{turn}-{len(self.written.get(turn, ()))}" if call.name == "note" else None
            new = self.take(session.written(turn, proposal(call, Stage.COMPLETE, 1.0, id), self.now))
            if turn in self.written:
                self.written[turn].append(call)
                assert len(new) <= 1
                asked = sum(one.key == call.key for one in self.written[turn])
                assert not new or self.started[turn][call.key] <= asked
        elif do == "revise":
            self.take(session.revised(turn, self.now))
            assert turn == "none" or {one.state for one in session.table if one.turn == turn} <= {State.PROMOTED}
        elif do == "end" and self.open:
            self.open.remove(turn)
            calls = [*self.written[turn], *chance.sample(SOME, chance.randint(0, 1))]
            self.take(session.end_turn(turn, calls, calls, self.now))
        elif do == "abort" and self.open:
            self.open.remove(turn)
            self.take(session.abort_turn(turn, self.now))
        elif do == "real":
            alive = [one.call for one in session.table]
            self.real(chance.choice(alive or SOME))
        elif do == "finish" and self.running:
            body = self.running.pop(chance.randrange(len(self.running)))
            error = RuntimeError() if chance.random() < 0.3 else None
            session.finish(body.id, Outcome(body.id, error), 5, self.now, body.launched_at)
            self.take([])
        elif do == "claim" and self.waiting:
            one = self.waiting.pop()
            answer, commands = session.claim(one, self.now)
            self.take([command for command in commands if isinstance(command, Launch)])
            self.settle(one.call, one if isinstance(answer, Commit) else None)

    def real(self, call: Call) -> None:
        facts = FACTS[call.name]
        answer, _ = self.session.resolve(call, facts, "thread", self.now, call_id="t1-0")
        if isinstance(answer, Join):
            self.waiting.append(answer.speculation)
            self.take([])
            return
        hit = answer.speculation if isinstance(answer, Commit) else None
        assert hit is None or hit.call_id in (None, "t1-0")
        if hit is None:
            tags, _ = self.session.begin_call(facts, call, self.now)
            self.session.end_call(tags, self.now)
        self.settle(call, hit)

    def settle(self, call: Call, hit: Speculation | None) -> None:
        self.session.settle(call.name, hit=hit, joined=False, waited_s=0.0, tool_s=0.0, now=self.now)
        self.take([])


@pytest.mark.parametrize("seed", range(80))
def test_whatever_is_streamed_the_records_hold_what_was_promised(seed: int):
    """
    Budgets, lifecycles and the ledger, in any order of guesses, pieces, revisions, real calls and ends.
    """
    run = Streamed(seed)
    for _ in range(150):
        run.step()
    run.take([command for command in run.session.close(run.now) if isinstance(command, Launch)])
    while run.running:
        body = run.running.pop()
        run.session.finish(body.id, Outcome(body.id), 5, run.now, body.launched_at)
    run.take([])
    assert audit(run.log) == []
    assert (len(run.session.table), run.session.table.in_flight) == (0, 0)
