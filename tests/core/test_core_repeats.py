"""Read-through: when a remembered answer may answer the same call again, and when it must not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from test_core_session import a_session, told, tool

from langgraph_speculate.core import events
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import MISS, Commit, Launch, Proposal
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.repeats import Remembered, Repeats
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import Stage
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.observe.stats import StatsCollector
from langgraph_speculate.policy import Limits

GET = tool("get", read_only=True, reads=("order:{id}",), ttl_s=10, read_through=True)
SET = tool("set", writes=("order:{id}",))
SEVEN, EIGHT = Call("get", {"id": 7}), Call("get", {"id": 8})
HERE = {"user": "ann"}


def executed(
    session: Session, call: Call = SEVEN, value: Any = "first", size: int = 5, began: float = 0.0, ended: float = 1.0
) -> Remembered | None:
    """A real call's body ran, if there was no answer yet."""
    draft = session.begin_read(call, GET, "thread", began, HERE)
    if draft is not None:
        session.remember(draft, value, size, ended)
    return draft


def asked(session: Session, call: Call = SEVEN, now: float = 2.0, facts: ToolFacts = GET, **real: Any) -> Any:
    answer, commands = session.resolve(call, facts, "thread", now, **{"circumstances": HERE, **real})
    assert commands == []
    return answer.value if isinstance(answer, Remembered) else answer


def written(session: Session, now: float = 1.5, id: int = 7) -> None:
    tags, _ = session.begin_call(SET, Call("set", {"id": id}), now)
    session.end_call(tags, now)


def test_the_answer_of_a_real_call_answers_the_same_call_again():
    """
    Any number of times, while it is fresh; another call is another matter.
    """
    session = a_session()
    executed(session)
    assert [asked(session), asked(session), asked(session, EIGHT)] == ["first", "first", MISS]


def test_what_a_speculation_found_answers_the_call_after_that_which_adopted_it():
    """
    The time that counts is that of its launch.
    """
    session = a_session()
    session.begin_turn("t1", 0.0)
    (launch,) = session.predicted("t1", [Proposal(Candidate(SEVEN, 0.9, "s"), SEVEN, GET, "thread", HERE)], 0.0)
    assert isinstance(launch, Launch)
    session.finish(launch.speculation.id, Outcome("early"), 5, 3.0, 0.0)
    answer, _ = session.resolve(SEVEN, GET, "thread", 4.0, HERE)
    assert isinstance(answer, Commit)
    session.remember(Remembered.of(answer.speculation), answer.outcome.value, 5, 4.0)
    session.begin_turn("t2", 5.0)  # another step
    assert asked(session, now=10.0) == "early"
    assert asked(session, now=10.1) is MISS


def test_a_speculation_goes_before_what_is_remembered():
    """
    It is there for this call.
    """
    session = a_session()
    session.begin_turn("t1", 0.0)
    (launch,) = session.predicted("t1", [Proposal(Candidate(SEVEN, 0.9, "s"), SEVEN, GET, "thread", HERE)], 0.0)
    assert isinstance(launch, Launch)
    session.finish(launch.speculation.id, Outcome("early"), 5, 1.0, 0.0)
    executed(session)
    answer, _ = session.resolve(SEVEN, GET, "thread", 4.0, HERE)
    assert isinstance(answer, Commit)
    assert asked(session) == "first"


@pytest.mark.parametrize(("circumstances", "launches"), [(HERE, 0), ({"user": "bob"}, 1)], ids=["same", "other"])
@pytest.mark.parametrize("stage", [Stage.BEGIN, Stage.COMPLETE])
def test_what_is_remembered_is_not_run_ahead(stage: Stage, circumstances: Any, launches: int):
    """
    Neither guessed nor written: the call will have its answer. If it may not be given, the body does run ahead.
    """
    session = a_session()
    executed(session)
    session.begin_turn("t1", 1.0)
    proposal = Proposal(Candidate(SEVEN, 0.9, "s"), SEVEN, GET, "thread", circumstances, stage=stage)
    if stage is Stage.BEGIN:
        commands = session.predicted("t1", [proposal], 1.0)
    else:
        commands = session.written("t1", proposal, 1.0)
    assert len(commands) == launches
    assert [event.reason for event in told(session, events.Refused)] == ["remembered"] * (1 - launches)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"now": 10.25}, "expired"),
        ({"circumstances": {"user": "bob"}}, "changed"),
        ({"objection": "not today"}, "guard"),
        ({"facts": replace(GET, gated=True)}, "gated"),
        ({"facts": replace(GET, changed="it is another one")}, "pin_changed"),
        ({"facts": replace(GET, injected=frozenset({"state"}))}, "injected_arguments"),
        ({"facts": replace(GET, venues=frozenset({"task"}))}, "venue"),
        ({"facts": tool("get", read_only=True, read_through=True, ttl_s=0)}, "ttl_zero"),
    ],
)
def test_whatever_keeps_a_result_from_being_used_keeps_an_answer_from_being_given_again(
    how: dict[str, Any], reason: str
):
    """
    It is the same gate, and it says why; what it once refused is forgotten.
    """
    session = a_session()
    executed(session)
    assert asked(session, **how) is MISS
    assert [event.reason for event in told(session, events.Denied)] == [reason]
    assert asked(session) is MISS
    assert told(session, events.Denied) == []


def test_a_write_of_another_run_makes_it_stale():
    """
    Runs of one user share what they read and write.
    """
    epochs = Epochs()
    session, other = (Session(name, RunView("declared", None, epochs), Limits()) for name in ("r", "other"))
    executed(session)
    written(other, id=8)
    assert asked(session) == "first"
    written(other)
    assert asked(session) is MISS
    assert [event.reason for event in told(session, events.Denied)] == ["stale"]


def test_a_write_of_the_run_lets_go_of_what_read_it_at_once():
    """
    As it does with speculations.
    """
    session = a_session()
    executed(session)
    executed(session, EIGHT)
    written(session)
    assert [asked(session), asked(session, EIGHT)] == [MISS, "first"]
    assert told(session, events.Denied) == []


def test_what_is_read_while_it_is_being_written_is_not_remembered():
    """
    Nobody could tell whether it is the old or the new.
    """
    session = a_session()
    tags, _ = session.begin_call(SET, Call("set", {"id": 7}), 0.0)
    assert executed(session) is None
    assert executed(session, EIGHT) is not None
    session.end_call(tags, 1.0)
    assert asked(session) is MISS


def test_what_was_written_while_the_body_ran_is_not_given_again():
    """
    The epoch is that of the body's start.
    """
    session = a_session()
    draft = session.begin_read(SEVEN, GET, "thread", 0.0, HERE)
    written(session)
    assert draft is not None
    session.remember(draft, "old", 3, 2.0)
    assert asked(session, now=3.0) is MISS


@pytest.mark.parametrize("level", ["off", "shadow"])
def test_where_nothing_runs_ahead_nothing_is_remembered(level: str):
    """
    Shadow only watches.
    """
    session = Session("r", RunView(level, None, Epochs()), Limits())
    assert executed(session) is None
    assert asked(session) is MISS


def test_only_tools_whose_owner_asked_for_it_are_remembered():
    """
    The default is what the plain graph does: a call, a body.
    """
    plain = tool("get", read_only=True, reads=("order:{id}",))
    assert a_session().begin_read(SEVEN, plain, "thread", 0.0, HERE) is None
    assert a_session().begin_read(SEVEN, ToolFacts("get", GET.rule, gated=True), "thread", 0.0, HERE) is None


def test_a_larger_answer_than_allowed_is_not_remembered():
    """
    The bound is that of speculations.
    """
    session = a_session(max_result_bytes=10)
    executed(session, size=11)
    executed(session, EIGHT, size=10)
    assert [asked(session), asked(session, EIGHT)] == [MISS, "first"]


def test_the_oldest_goes_when_the_cache_is_full_whether_it_waits_or_is_remembered():
    """
    Speculations and remembered answers share one bound.
    """
    session = a_session(max_cache_bytes=1000)
    executed(session, SEVEN, size=500, began=0.0)
    session.begin_turn("t1", 1.0)
    nine = Call("get", {"id": 9})
    (launch,) = session.predicted("t1", [Proposal(Candidate(nine, 0.9, "s"), nine, GET, "thread", HERE)], 1.0)
    assert isinstance(launch, Launch)
    session.finish(launch.speculation.id, Outcome("early"), 500, 2.0, 1.0)
    assert asked(session, now=2.0) == "first"
    executed(session, EIGHT, size=500, began=3.0, ended=3.5)
    assert [asked(session, now=4.0), asked(session, EIGHT, now=4.0)] == [MISS, "first"]
    assert told(session, events.Discarded) == []
    executed(session, Call("get", {"id": 10}), size=500, began=4.0, ended=4.5)
    assert [event.reason for event in told(session, events.Discarded)] == ["evicted"]


def test_answers_without_a_size_are_bounded_too():
    """
    None and an empty text take room as well: their calls, and what is known of them.
    """
    session = a_session(max_cache_bytes=10_000)
    for number in range(1000):
        executed(session, Call("get", {"id": number}), value=None, size=0, began=number / 1000)
    kept = [number for number in range(1000) if asked(session, Call("get", {"id": number})) is not MISS]
    assert kept == list(range(1000 - len(kept), 1000))
    assert 10 <= len(kept) <= 100


def test_the_size_of_what_is_remembered_follows_every_change():
    """
    Later answers of a call take the place of earlier ones, and what is forgotten takes nothing.
    """
    draw, repeats = random.Random(1), Repeats()
    for at in range(500):
        call = Call("get", {"id": draw.randrange(5)})
        if draw.random() < 0.3:
            repeats.forget(call.key, "thread")
        else:
            began = at - draw.randrange(5)
            repeats.keep(Remembered(call, "thread", frozenset(), 0, 1.0, began, None, size=draw.randrange(1000)))
        assert repeats.size == sum(max(answer.size, 256) for answer in repeats)


def test_nothing_is_remembered_beyond_the_end_of_the_run():
    """
    Nor after an error of ours, when the run only goes on.
    """
    session = a_session()
    draft = executed(session)
    assert draft is not None
    session.close(2.0)
    session.remember(draft, "late", 4, 2.0)
    assert asked(session, now=3.0) is MISS
    assert not session.may_answer("get")
    broken = a_session()
    executed(broken)
    broken.closed = True
    assert asked(broken) is MISS


def test_a_repeat_is_neither_hit_nor_miss():
    """
    It has a count of its own, no body, and hides nothing.
    """
    session = a_session()
    asked(session)
    executed(session)
    session.settle("get", hit=None, joined=False, waited_s=1.0, tool_s=1.0, now=1.0)
    asked(session)
    session.settle("get", hit=None, joined=False, waited_s=0.0, tool_s=0.0, now=2.0, repeat=True)
    session.close(3.0)
    collector = StatsCollector()
    collector.add(session.take_events())
    stats = collector.snapshot()
    assert (stats.real_calls, stats.hits, stats.misses, stats.repeats) == (2, 0, 1, 1)
    assert (stats.hidden_s, stats.amplification) == (0.0, 0.5)


def test_of_two_answers_the_one_that_was_read_last_is_remembered():
    """
    A slow body may end after one that started later.
    """
    repeats, old = Repeats(), Remembered(SEVEN, "thread", frozenset(), 0, 10.0, 0.0, None, "old")
    new = replace(old, launched_at=1.0, value="new")
    for order in ((old, new), (new, old)):
        for answer in order:
            repeats.keep(answer)
        assert repeats.find(SEVEN.key, "thread") is new
        assert repeats.tools == {"get"}
    repeats.forget(SEVEN.key, "thread")
    assert list(repeats) == []


# -- against a bookkeeping of its own ----------------------------------------------------------------------------------


class Orders:
    """Orders that two runs read and write, at random; knows what each ever was."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.now = chance, 0.0
        view = RunView("declared", None, Epochs())
        self.mine, self.other = (Session(name, view, Limits()) for name in ("r", "other"))
        self.version = {7: 0, 8: 0}
        self.writing: list[tuple[Session, int, frozenset[str]]] = []
        self.reading: list[tuple[int, Remembered | None]] = []
        self.read_at: dict[tuple[int, int], float] = {}  # the latest start of a body, by id and version
        self.log: list[events.Event] = []
        self.repeated = 0

    def step(self) -> None:
        self.now += self.chance.choice((0.0, 0.25, 0.5, 4.0))
        kinds: list[Callable[[int], None]] = [*[self.ask, self.answer] * 5, self.begin_write, *[self.end_write] * 3]
        self.chance.choice(kinds)(self.chance.choice((7, 8)))
        self.log += [*self.mine.take_events(), *self.other.take_events()]

    def ask(self, id: int) -> None:
        call = Call("get", {"id": id})
        answer, _ = self.mine.resolve(call, GET, "thread", self.now, HERE)
        if not isinstance(answer, Remembered):
            self.reading.append((id, self.mine.begin_read(call, GET, "thread", self.now, HERE)))
            self.read_at[id, self.version[id]] = self.now
            return
        self.repeated += 1
        assert answer.value == (id, self.version[id]), "it is not what a body would read now"
        assert not any(written == id for _, written, _ in self.writing)
        assert self.now - self.read_at[answer.value] <= 10

    def answer(self, _id: int) -> None:
        if self.reading:
            id, draft = self.reading.pop(self.chance.randrange(len(self.reading)))
            if draft is not None:
                self.mine.remember(draft, (id, self.version[id]), 5, self.now)

    def begin_write(self, id: int) -> None:
        session = self.chance.choice((self.mine, self.other))
        tags, _ = session.begin_call(SET, Call("set", {"id": id}), self.now)
        self.writing.append((session, id, tags))

    def end_write(self, _id: int) -> None:
        if self.writing:
            session, id, tags = self.writing.pop(self.chance.randrange(len(self.writing)))
            self.version[id] += 1  # at the latest
            session.end_call(tags, self.now)


@pytest.mark.parametrize("seed", range(40))
def test_a_repeat_is_what_a_body_would_have_read(seed: int):
    """
    Whatever is read, written and waited in whatever order; and the log says nothing else.
    """
    orders = Orders(random.Random(seed))
    for _ in range(300):
        orders.step()
    assert orders.repeated > 0
    assert audit(orders.log) == []
