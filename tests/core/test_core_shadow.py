"""A run at the level `shadow`: what would have been launched, hit, hidden and wasted, case by case."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_speculate.core import events
from langgraph_speculate.core.breaker import Breakers
from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Imagine, Miss, Proposal
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.restraints import Restraints
from langgraph_speculate.core.shadow import ShadowSession
from langgraph_speculate.core.speculation import Speculation, Stage
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.observe.stats import Stats, StatsCollector
from langgraph_speculate.policy import Limits, Rule, ToolPolicy


def tool(name: str, **settings: Any) -> ToolFacts:
    policy = ToolPolicy(**settings)
    needs: Any = "annotated" if name == "annotated" else "declared"
    return ToolFacts(name, Rule(policy, f"tools.{name}", needs=needs), venues=frozenset({"thread", "task"}))


GET = tool("get", read_only=True, reads=("order:{id}",), on_mispredict="cancel")
LOOK = tool("look", read_only=True, on_mispredict="cancel")
DRAINING = tool("get", read_only=True)
SET = tool("set", writes=("order:{id}",))
SEVEN, EIGHT = Call("get", {"id": 7}), Call("get", {"id": 8})
STORE = Call("look", {"what": "store"})
TOOLS = {facts.name: facts for facts in (GET, LOOK, SET)}


class Shadow:
    """A run at the level `shadow`, told what happens in it.

    Its model takes 1 s a turn, and its tools 0.4 s each as far as was learned before.
    """

    def __init__(self, *, economy: Economy | None = None, otherwise: str = "declared", **limits: Any) -> None:
        self.economy = economy or Economy()
        for name in TOOLS:
            for _ in range(20):
                self.economy.latencies.took(name, 0.4)
        view = RunView("shadow", None, Epochs(), otherwise=otherwise)
        self.session = ShadowSession("r", view, Limits(**limits), economy=self.economy)
        self.collector = StatsCollector()
        self.told: list[events.Event] = []

    def guess(
        self, *calls: Call, now: float = 0.0, turn: str = "t1", venue: str = "task", facts: ToolFacts | None = None
    ) -> list[Speculation]:
        """The predictor names calls for a turn that begins, each with 0.9."""
        self.session.begin_turn(turn, now)
        proposals = [Proposal(Candidate(call, 0.9, "test"), call, facts or TOOLS[call.name], venue) for call in calls]
        commands = self.session.predicted(turn, proposals, now)
        assert all(isinstance(command, Imagine) for command in commands)
        return [command.speculation for command in commands if isinstance(command, Imagine)]

    def message(self, *calls: Call, now: float = 1.0, turn: str = "t1") -> None:
        """The model's message is complete."""
        assert self.session.end_turn(turn, calls, calls, now) == []

    def call(
        self, call: Call, *, at: float = 1.0, takes: float = 0.4, venue: str = "task", fails: bool = False
    ) -> None:
        """A real call arrives, runs, and ends."""
        self.arrives(call, at=at, venue=venue)
        self.ends(call, at=at, takes=takes, fails=fails)

    def arrives(self, call: Call, *, at: float = 1.0, venue: str = "task") -> None:
        answer, commands = self.session.resolve(call, TOOLS[call.name], venue, at)
        assert isinstance(answer, Miss)
        assert commands == []
        self._hit = {**getattr(self, "_hit", {}), call.key: answer.imagined}

    def ends(self, call: Call, *, at: float = 1.0, takes: float = 0.4, fails: bool = False) -> None:
        hit = self._hit.pop(call.key)
        if fails and hit is not None:
            assert self.session.abandon(hit, at + takes) == []
            hit = None
        self.session.settle(call.name, hit=hit, joined=False, waited_s=takes, tool_s=takes, now=at + takes)

    def stats(self, now: float = 9.0) -> Stats:
        """What it came to, once the run is over; whatever that is, nothing ran and its history is in order."""
        assert self.session.close(now) == []
        self.told += self.session.take_events()
        assert audit(self.told) == []
        self.collector.add(self.told)
        stats = self.collector.snapshot()
        assert (stats.launched, stats.hits, stats.wasted, stats.wasted_s) == (0, 0, 0, 0.0)
        assert stats.hidden_s == 0.0
        assert stats.shadow.launched == stats.shadow.hits + stats.shadow.wasted
        return stats


def test_what_would_have_ended_in_time_would_have_been_ready():
    """
    The whole of the body would have been hidden, and the real call is a miss all the same.
    """
    run = Shadow()
    run.guess(SEVEN)
    run.message(SEVEN)
    run.call(SEVEN)
    stats = run.stats()
    assert (stats.real_calls, stats.misses, stats.foreseen) == (1, 1, 1)
    shadow = stats.shadow
    assert (shadow.launched, shadow.hits, shadow.ready, shadow.joined, shadow.misses) == (1, 1, 1, 0, 0)
    assert shadow.hidden_s == pytest.approx(0.4)
    assert (shadow.wasted, shadow.wasted_s, shadow.amplification) == (0, 0.0, 1.0)
    assert shadow.by_tool["get"].hits == 1


def test_what_would_not_have_ended_would_have_been_waited_for():
    """
    How long is told by the real body: one of 1.7 s that starts 1 s earlier is waited for 0.7 s.
    """
    run = Shadow()
    run.guess(SEVEN)
    run.message(SEVEN)
    run.call(SEVEN, takes=1.7)
    shadow = run.stats().shadow
    assert (shadow.hits, shadow.ready, shadow.joined) == (1, 0, 1)
    assert shadow.hidden_s == pytest.approx(1.0)
    assert shadow.tool_wait_s == pytest.approx(0.7)


def test_parallel_calls_count_once():
    """
    The step waits for its slowest call, so what the others would have hidden is nobody's time.
    """
    run = Shadow()
    run.guess(SEVEN)
    run.message(SEVEN, STORE)
    for each in (SEVEN, STORE):
        run.arrives(each)
    run.ends(SEVEN, takes=0.5)
    run.ends(STORE, takes=0.6)  # nobody foresaw it
    shadow = run.stats().shadow
    assert (shadow.hits, shadow.misses) == (1, 1)
    assert shadow.hidden_s == pytest.approx(0.0)

    run = Shadow()
    run.guess(SEVEN, STORE)
    run.message(SEVEN, STORE)
    for each in (SEVEN, STORE):
        run.arrives(each)
    run.ends(SEVEN, takes=2.0)
    run.ends(STORE, takes=2.0)
    shadow = run.stats().shadow
    assert (shadow.hits, shadow.joined) == (2, 2)
    assert shadow.hidden_s == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("facts", "venue", "ends_at", "seconds"),
    [(GET, "task", 0.1, 0.1), (GET, "task", 1.0, 0.4), (GET, "thread", 0.1, 0.4), (DRAINING, "task", 0.1, 0.4)],
    ids=["a task is stopped", "it has ended by itself", "a thread runs on", "it may finish"],
)
def test_what_the_message_contradicts_would_have_run_until_it_was_stopped(
    facts: ToolFacts, venue: str, ends_at: float, seconds: float
):
    """
    As long as real calls of its tool take, or until then where its body can be stopped.
    """
    run = Shadow()
    run.guess(SEVEN, venue=venue, facts=facts)
    run.message(now=ends_at)
    stats = run.stats()
    assert (stats.shadow.hits, stats.shadow.wasted, stats.shadow.unknown) == (0, 1, 0)
    assert stats.shadow.wasted_s == pytest.approx(seconds, rel=0.1)
    (wasted,) = [event for event in run.told if isinstance(event, events.ShadowWasted)]
    assert wasted.reason == "contradicted"


def test_how_long_a_tool_takes_that_nobody_called_is_a_guess():
    """
    And is told as one: the engine's own, 0.3 s.
    """
    run = Shadow()
    fresh = tool("fresh", read_only=True)
    run.guess(Call("fresh"), facts=fresh, venue="thread")
    run.message(now=5.0)
    shadow = run.stats().shadow
    assert (shadow.wasted, shadow.unknown) == (1, 1)
    assert shadow.wasted_s == pytest.approx(0.3)


def test_its_price_would_have_been_paid():
    """
    In money, as the policy says, if nobody asked for it.
    """
    run = Shadow()
    run.guess(SEVEN, facts=tool("get", read_only=True, cost=0.001))
    run.message()
    assert run.stats().shadow.wasted_cost == pytest.approx(0.001)


def test_latencies_learn_from_real_calls_alone():
    """
    What is imagined is no observation.
    """
    economy = Economy()
    run = Shadow(economy=economy)
    before = economy.latencies.mean("get")
    for number in range(50):
        run.guess(SEVEN, turn=f"t{number}", now=float(number))
        run.message(turn=f"t{number}", now=number + 0.01)
    assert economy.latencies.mean("get") == before
    for number in range(20):
        run.call(SEVEN, at=60.0 + number, takes=5.0)
    assert economy.latencies.mean("get") != before


def test_a_full_budget_refuses_what_is_imagined():
    """
    Imagined bodies are in flight until they would have ended.
    """
    run = Shadow(max_in_flight=1)
    assert len(run.guess(SEVEN, STORE)) == 1
    run.session.end_turn("t1", [], [], 0.1)  # a task is stopped with that
    assert len(run.guess(STORE, SEVEN, turn="t2", now=0.2)) == 1
    stats = run.stats()
    assert stats.denied == {"max_in_flight": 2}

    run = Shadow(max_in_flight=1)
    assert len(run.guess(SEVEN, venue="thread")) == 1
    run.message(now=0.1)
    assert run.guess(STORE, turn="t2", now=0.2) == [], "a thread runs on"
    assert len(run.guess(STORE, turn="t3", now=0.6)) == 1, "until it has ended"
    run.stats()


def test_budgets_of_a_turn_and_a_run_hold_as_they_would():
    run = Shadow(max_per_turn=1, max_per_run=2)
    assert len(run.guess(SEVEN, EIGHT)) == 1
    run.message(SEVEN)
    run.call(SEVEN)
    assert len(run.guess(SEVEN, turn="t2", now=2.0)) == 1
    run.message(turn="t2", now=2.5)
    assert run.guess(SEVEN, turn="t3", now=3.0) == []
    assert run.stats().denied == {"max_per_turn": 1, "max_per_run": 1}


def test_the_gate_denies_what_it_would_deny():
    """
    With the reasons that it has at the level of the policy: the level itself is none.
    """
    run = Shadow()
    assert run.guess(Call("set", {"id": 7})) == []
    annotated, outside = tool("annotated", read_only=True), tool("out", read_only=True, open_world=True)
    assert run.guess(Call("annotated"), facts=annotated, turn="t2") == []
    assert run.guess(Call("out"), facts=outside, turn="t3") == []
    assert run.stats().denied == {"not_read_only": 1, "undeclared": 1, "open_world": 1}

    run = Shadow(otherwise="annotated")
    assert len(run.guess(Call("annotated"), facts=annotated)) == 1
    assert run.stats().denied == {}


@pytest.mark.parametrize("when", ["before it ends", "after"])
def test_what_a_write_makes_stale_would_not_have_hit(when: str):
    """
    The real call reads what was written, so the earlier answer would not have done.
    """
    run = Shadow()
    run.guess(SEVEN)
    write = Call("set", {"id": 7})
    at = 0.1 if when == "before it ends" else 0.9
    tags, commands = run.session.begin_call(SET, write, at)
    assert commands == []
    run.session.end_call(tags, at)
    run.message(SEVEN)
    run.call(SEVEN)
    shadow = run.stats().shadow
    assert (shadow.hits, shadow.misses, shadow.wasted) == (0, 1, 1)
    assert shadow.hidden_s == 0.0
    assert shadow.wasted_s == pytest.approx(at if when == "before it ends" else 0.4, rel=0.1)


def test_what_is_too_old_would_not_have_hit():
    run = Shadow()
    run.guess(SEVEN, facts=tool("get", read_only=True, ttl_s=0.5))
    run.message(SEVEN)
    run.call(SEVEN)
    stats = run.stats()
    assert (stats.shadow.hits, stats.shadow.wasted) == (0, 1)
    assert stats.denied == {"expired": 1}


@pytest.mark.parametrize("takes", [0.4, 3.0])
def test_what_the_real_call_raises_would_have_been_in_vain(takes: float):
    """
    An error is never adopted, whether its body would have ended before the call came or not.
    """
    run = Shadow()
    run.guess(SEVEN)
    run.guess(STORE, turn="t2", now=0.5)  # by now the first has ended, or not
    run.message(SEVEN, turn="t1")
    run.message(STORE, turn="t2")
    for each in (SEVEN, STORE):
        run.call(each, takes=takes, fails=True)
    shadow = run.stats().shadow
    assert (shadow.hits, shadow.misses, shadow.wasted) == (0, 2, 2)
    assert shadow.hidden_s == 0.0
    assert {event.reason for event in run.told if isinstance(event, events.ShadowWasted)} == {"failed"}


def test_what_the_stream_rules_out_makes_room():
    run = Shadow(max_per_turn=1)
    (guess,) = run.guess(SEVEN)
    proposal = Proposal(Candidate(EIGHT, 0.9, "stream"), EIGHT, GET, "task", stage=Stage.ARGUMENTS)
    (command,) = run.session.narrowed("t1", [guess.call.key], [proposal], 0.2)
    assert isinstance(command, Imagine)
    run.message(EIGHT)
    run.call(EIGHT)
    shadow = run.stats().shadow
    assert (shadow.launched, shadow.hits, shadow.wasted) == (2, 1, 1)
    assert shadow.wasted_s == pytest.approx(0.2)


def test_a_call_that_is_written_would_start_at_once():
    """
    It is no guess, so no budget of guesses counts it.
    """
    run = Shadow()
    run.session.begin_turn("t1", 0.0)
    proposal = Proposal(Candidate(SEVEN, 1.0, "stream"), SEVEN, GET, "task", stage=Stage.COMPLETE)
    (command,) = run.session.written("t1", proposal, 0.7)
    assert isinstance(command, Imagine)
    run.message(SEVEN)
    run.call(SEVEN)
    shadow = run.stats().shadow
    assert shadow.hidden_s == pytest.approx(0.3)


def test_what_the_end_of_a_run_finds_would_have_been_in_vain():
    """
    A thread would have run to its end, a task as long as the run, be it one that may finish otherwise.
    """
    run = Shadow()
    run.guess(SEVEN, venue="thread")
    run.guess(STORE, venue="task")
    run.guess(EIGHT, venue="task", facts=DRAINING, turn="t2")
    run.message(turn="t2", now=0.05)
    shadow = run.stats(now=0.1).shadow
    assert shadow.wasted == 3
    assert shadow.wasted_s == pytest.approx(0.4 + 0.1 + 0.1, rel=0.1)
    assert run.session.resolve(SEVEN, GET, "thread", 0.2) == (Miss(), [])


def test_breakers_of_what_is_imagined_are_its_own():
    """
    Guesses that would not pay would be held back for a while; nobody is told that anything was switched off.
    """
    economy = Economy(restraints=Restraints(Breakers({}, 60.0)))
    run = Shadow(economy=economy, max_per_run=1_000, max_wasted_per_run=1_000, max_wasted_s_per_run=1_000.0)
    for number in range(30):
        run.guess(SEVEN, turn=f"t{number}", now=number * 2.0)
        run.message(turn=f"t{number}", now=number * 2.0 + 1.0)
    stats = run.stats(now=99.0)
    assert stats.denied["breaker"] > 0
    assert dict(stats.switched) == {}


def test_nothing_is_looked_for_further_ahead():
    """
    Chains are not foretold.
    """
    run = Shadow(max_depth=3)
    (guess,) = run.guess(SEVEN)
    assert not run.session.may_look_past("t1", guess.id)
    run.message(SEVEN)
    assert not run.session.may_look_past("t1", None)
    run.stats()
