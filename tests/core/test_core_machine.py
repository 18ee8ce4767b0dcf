"""One run, driven at random and checked after every step against a bookkeeping of its own.

The bookkeeping (`Known`) is written from the promises, not from the session: it knows what was launched, how bodies
ended, what was written and when, and from that which speculation may answer which call.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from langgraph_speculate.core import events
from langgraph_speculate.core.breaker import Breakers
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Cancel, Command, Commit, Launch, Miss, Proposal
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.facts import RunView, ToolFacts
from langgraph_speculate.core.latency import Ahead, Expected, Latencies
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.restraints import Restraints
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.sketch import Sketch
from langgraph_speculate.core.speculation import Discard, Speculation
from langgraph_speculate.core.worth import Prices
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.policy import Limits, Rule, ToolPolicy
from langgraph_speculate.policy.tool import PROBABILITY_FLOORS

MAX_BYTES = 100


FLOOR = PROBABILITY_FLOORS["moderate"]


class Even(Ahead):
    def of(self, tool: str) -> Expected:
        return Expected(0.3, 0.3)


class Steady(Latencies):
    """Every tool takes as long as the model leaves it, so that a guess is worth what it is likely."""

    def ahead(self, *_: Any, **__: Any) -> Ahead:
        return Even({}, Sketch(), 0.0)


def read(name: str, reads: list[str], *, venue: str = "thread", **settings: Any) -> ToolFacts:
    rule = Rule(ToolPolicy(read_only=True, reads=tuple(reads), eagerness="moderate", **settings), f"tools.{name}")
    return ToolFacts(name, rule, venues=frozenset({venue}), gated=name == "gated")


READS = {
    "get": read("get", ["order:{id}"], ttl_s=4),
    "stock": read("stock", ["stock:{id}"], ttl_s=8, scope="run", on_mispredict="cancel"),
    "add": read("add", [], ttl_s=8, scope="run", venue="task"),
    "gated": read("gated", [], ttl_s=8),
    "web": read("web", [], open_world=True),
}
WRITES = {
    "set": ToolFacts("set", Rule(ToolPolicy(writes=("order:{id}",)), "tools.set")),
    "refill": ToolFacts("refill", Rule(ToolPolicy(writes=("stock:*",)), "tools.refill")),
    "wipe": ToolFacts("wipe", Rule(None, "undeclared")),
}
TOOLS = {**READS, **WRITES}
ARGS: list[dict[str, Any]] = [{"id": 1}, {"id": 2}, {"id": "1"}]  # 1 and "1" are two calls of one resource

call_names = st.sampled_from([*["get", "stock", "add"] * 4, *TOOLS])
calls = st.builds(Call, call_names, st.sampled_from(ARGS))
real_reads = st.builds(Call, st.sampled_from(["get", "get", "stock", "add", "gated"]), st.sampled_from(ARGS))
probabilities = st.sampled_from([0.9, 0.9, FLOOR, FLOOR / 2, float("nan")])


picks = st.randoms(use_true_random=False)


def same(left: Call, right: Call) -> bool:
    return (left.name, repr(left.args["id"])) == (right.name, repr(right.args["id"]))


def venue_of(call: Call) -> str:
    return "task" if call.name == "add" else "thread"


def resources_read(call: Call) -> set[str]:
    return (
        {f"order:{call.args['id']}"}
        if call.name == "get"
        else ({f"stock:{call.args['id']}"} if call.name == "stock" else set())
    )


def touches(write: Call, read: Call) -> bool:
    """Whether that write changes what that call reads."""
    resources = resources_read(read)
    if write.name == "wipe":
        return bool(resources)
    if write.name == "refill":
        return any(resource.startswith("stock:") for resource in resources)
    return f"order:{write.args['id']}" in resources


@dataclass(eq=False)
class Known:
    """What the test knows of one speculation.

    `owner` is the turn whose message it is for, once that is written; `missed` says that the model did not make its
    call.
    """

    launched: Speculation
    call: Call
    turn: str
    step: int
    at: float
    written: int
    user: str
    owner: str | None = None
    depth: int = 1
    rests_on: Known | None = None
    missed: bool = False
    running: bool = True
    ended: str | None = None
    promoted: bool = False
    adopted_by: list[int] = field(default_factory=list)
    fate: str | None = None

    @property
    def alive(self) -> bool:
        return self.fate is None

    @property
    def ttl_s(self) -> float:
        return 4.0 if self.call.name == "get" else 8.0

    @property
    def only_this_step(self) -> bool:
        return self.call.name == "get"


class OneRun(RuleBasedStateMachine):
    """A model, its tools, other runs and the clock, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.known: dict[str, Known] = {}
        self.log: list[events.Event] = []
        self.log_of_other: list[events.Event] = []
        self.open_turns: list[str] = []
        self.turns = 0
        self.step = 0
        self.some_turn_ended = False
        self.ended_turns: list[str] = []  # of this step
        self.per_turn: Counter[tuple[str, int]] = Counter()
        self.happened: list[Call] = []  # every start and end of a write
        self.writing: list[tuple[Session, Call, frozenset[str]]] = []
        self.waiting: list[tuple[int, Known]] = []
        self.real_calls = 0
        self.hits = 0
        self.settled: list[tuple[float, float]] = []
        self.hidden_s = 0.0
        self.tripped: set[str] = set()
        self.user = "ann"
        self.closed = False

    @initialize(
        tight=st.sampled_from([None, None, None, "max_in_flight", "max_per_turn", "max_per_run", "max_wasted_per_run"]),
        bound=st.integers(0, 4),
        depth=st.integers(1, 3),
    )
    def open(self, tight: str | None, bound: int, depth: int) -> None:
        wide = {"max_in_flight": 8, "max_per_turn": 6, "max_per_run": 200, "max_wasted_per_run": 200}
        wide["max_wasted_s_per_run"] = 10**9
        self.limits = Limits(
            **{**wide, **({tight: bound} if tight else {}), "max_result_bytes": MAX_BYTES, "max_depth": depth}
        )
        view = RunView("declared", None, Epochs(), self.tripped)
        tireless = Restraints(Breakers({}, cool_down_s=0.0))  # this is about a run's own budgets
        economy = Economy(Steady(), Prices(thrift=0), tireless)
        self.session = Session("r", view, self.limits, economy=economy)
        self.other = Session("other", view, self.limits, economy=economy)

    # -- what may be -----------------------------------------------------------------------------------------------

    def stale(self, known: Known) -> bool:
        return any(touches(write, known.call) for write in self.happened[known.written :])

    def outdated(self, known: Known) -> bool:
        return self.now - known.at > known.ttl_s or (known.only_this_step and known.step < self.step)

    def may_answer(self, known: Known, call: Call) -> bool:
        return (
            known.alive
            and not known.promoted
            and same(known.call, call)
            and not self.outdated(known)
            and not self.stale(known)
            and call.name not in self.tripped
            and known.user == self.user
        )

    def may_launch(self, call: Call, probability: float, turn: str, depth: int = 1) -> bool:
        alive = [known for known in self.known.values() if known.alive]
        discarded = sum(known.fate == "discarded" for known in self.known.values())
        return (
            call.name in ("get", "stock", "add")
            and call.name not in self.tripped
            and probability >= FLOOR
            and not any(touches(write, call) for _, write, _ in self.writing)
            and not any(same(known.call, call) for known in alive)
            and self.per_turn[turn, depth] < self.limits.max_per_turn
            and sum(known.running for known in self.known.values()) < self.limits.max_in_flight
            and len(self.known) < self.limits.max_per_run
            and discarded + len(alive) < self.limits.max_wasted_per_run
        )

    # -- what happened ---------------------------------------------------------------------------------------------

    def heard(self, *reasons: Discard, commands: list[Command] | None = None, left: Known | None = None) -> list[Known]:
        """Take the session's events; whatever was discarded was discarded for one of those reasons.

        What rested on something that fell is left out of the answer.
        """
        happened = self.session.take_events()
        self.log += happened
        lost, fallen = [], []
        for event in happened:
            assert event.at == self.now
            assert event.run == "r"
            if isinstance(event, events.Discarded):
                known = self.known[event.id]
                assert known.alive, f"{event.id} ended twice"
                assert event.tool == known.call.name
                if event.reason == Discard.LINEAGE:
                    assert known.rests_on is not None
                    assert known.rests_on.missed or known.rests_on.fate == "discarded"
                    fallen.append(known)
                else:
                    assert event.reason in {reason.value for reason in reasons}
                    lost.append(known)
                known.fate = "discarded"
                assert known.launched.outcome is None
        if commands is not None:
            cancelled = {command.id: command for command in commands if isinstance(command, Cancel)}
            if left is not None and left.launched.reason is Discard.RUN_ENDED and left.running:
                assert not cancelled.pop(left.launched.id).drain, "nothing drains once its run is over"
            assert set(cancelled) == {known.launched.id for known in (*lost, *fallen) if known.running}
            for id, command in cancelled.items():
                assert command.drain is (self.known[id].call.name != "stock")
        return lost

    # -- the model -------------------------------------------------------------------------------------------------

    @rule(guesses=st.lists(calls, min_size=1, max_size=5))
    def think(self, guesses: list[Call]) -> None:
        if self.open_turns:
            self.end(self.open_turns[0], [known.call for known in self.known.values() if known.alive][:1])
        self.begin_turn()
        self.guess(f"t{self.turns}", [(call, 0.9, True) for call in guesses])

    @rule()
    def begin_turn(self) -> None:
        self.turns += 1
        turn = f"t{self.turns}"
        commands = self.session.begin_turn(turn, self.now)
        if self.closed:
            assert commands == []
            return
        self.open_turns.append(turn)
        new_step = self.some_turn_ended
        if new_step:
            self.some_turn_ended = False
            self.step += 1
            self.ended_turns.clear()
        lost = self.heard(Discard.EXPIRED, commands=commands)
        kept = [known for known in self.known.values() if known.alive and not known.promoted]
        if new_step:
            self.expect_step_settled()
            assert not any(known.only_this_step and known.step < self.step for known in kept)
            assert all(known.only_this_step and known.step < self.step and not known.promoted for known in lost)
            for known in self.known.values():
                if known.alive and known.step == self.step:
                    known.owner = turn
        else:
            assert lost == []

    @precondition(lambda self: self.turns)
    @rule(pick=picks, guesses=st.lists(st.tuples(calls, probabilities, st.booleans()), max_size=6))
    def predict(self, pick: random.Random, guesses: list[tuple[Call, float, bool]]) -> None:
        late = f"t{pick.randint(1, self.turns)}"
        self.guess(pick.choice([*self.open_turns, *self.open_turns, late]), guesses)

    def guess(self, turn: str, guesses: list[tuple[Call, float, bool]]) -> None:
        commands = self.session.predicted(turn, self.proposals(guesses), self.now)
        self.launched(commands, turn, guesses, listens=not self.closed and turn in self.open_turns)

    def proposals(self, guesses: list[tuple[Call, float, bool]]) -> list[Proposal]:
        return [
            Proposal(
                Candidate(call, probability, "test"),
                call if fits else None,
                TOOLS[call.name],
                venue_of(call),
                {"user": self.user},
            )
            for call, probability, fits in guesses
        ]

    @precondition(lambda self: self.turns and self.limits.max_depth > 1)
    @rule(pick=picks, guesses=st.lists(st.tuples(calls, probabilities, st.booleans()), min_size=1, max_size=4))
    def look_ahead(self, pick: random.Random, guesses: list[tuple[Call, float, bool]]) -> None:
        parent = pick.choice([None, *self.known.values()])
        turn = pick.choice([*self.open_turns, *self.ended_turns, f"t{pick.randint(1, self.turns)}"])
        id = None if parent is None else parent.launched.id
        commands = self.session.looked_ahead(turn, id, self.proposals(guesses), self.now)
        if parent is None:
            depth, chance, listens = 2, 1.0, turn in self.ended_turns
        else:
            depth, chance = parent.step - self.step + 2, parent.launched.probability
            listens = parent.alive and parent.step >= self.step and not parent.missed
        listens = listens and depth <= self.limits.max_depth and not self.closed
        far = [(call, probability * chance, fits) for call, probability, fits in guesses]
        self.launched(commands, turn, far, listens=listens, depth=depth, parent=parent)

    def launched(
        self,
        commands: list[Command],
        turn: str,
        guesses: list[tuple[Call, float, bool]],
        *,
        listens: bool,
        depth: int = 1,
        parent: Known | None = None,
    ) -> None:
        launches = [command for command in commands if isinstance(command, Launch)]
        assert launches == commands
        remaining = iter(launches)
        for call, probability, fits in sorted(guesses, key=lambda guess: -guess[1] if guess[1] == guess[1] else 1):
            if not (listens and fits and self.may_launch(call, probability, turn, depth)):
                continue
            launch = next(remaining, None)
            assert launch is not None, f"{call} could have been launched"
            speculation = launch.speculation
            assert same(speculation.call, call)
            assert speculation.id not in self.known
            assert (speculation.depth, speculation.probability) == (depth, probability)
            self.known[speculation.id] = Known(
                speculation, call, turn, self.step + depth - 1, self.now, len(self.happened), self.user,
                turn if depth == 1 else None, depth, parent,
            )  # fmt: skip
            self.per_turn[turn, depth] += 1
        assert next(remaining, None) is None, "launched against the rules"
        before = len(self.log)
        assert self.heard() == []
        new = self.log[before:]
        told = [event.id for event in new if isinstance(event, events.Launched)]
        assert told == [launch.speculation.id for launch in launches]
        told = [event for event in new if isinstance(event, events.Launched | events.Denied | events.Refused)]
        answers = sum(getattr(event, "count", 1) for event in told)
        expected = len(guesses) if listens else 0
        # A look further ahead that finds what runs already says nothing: it is repeated whenever more is known.
        assert answers == expected if depth == 1 else len(launches) <= answers <= expected

    @precondition(lambda self: self.open_turns)
    @rule(pick=picks, unforeseen=st.lists(real_reads, max_size=2))
    def end_turn(self, pick: random.Random, unforeseen: list[Call]) -> None:
        turn = pick.choice(self.open_turns)
        mine = [known.call for known in self.known.values() if known.alive and known.owner == turn]
        wanted = pick.sample(mine, pick.randint(0, min(3, len(mine))))
        self.end(turn, [*wanted, *unforeseen])

    def end(self, turn: str, asked: list[Call]) -> None:
        commands = self.session.end_turn(turn, asked, asked, self.now)
        if self.closed:
            assert commands == []
            return
        self.turn_is_over(turn)
        self.ended_turns.append(turn)
        for known in [known for known in self.known.values() if known.alive]:
            if any(same(known.call, call) for call in asked):
                self.confirm(known)
            elif known.owner == turn:
                known.missed = True
        for known in self.heard(Discard.CONTRADICTED, commands=commands):
            assert known.owner == turn
            assert known.only_this_step
            assert not known.promoted
            assert not any(same(known.call, call) for call in asked)
        for known in self.known.values():
            if known.alive and known.owner == turn and known.only_this_step and not known.promoted:
                assert any(same(known.call, call) for call in asked)

    @precondition(lambda self: self.open_turns and self.turns % 4 == 3)
    @rule(pick=picks)
    def abort_turn(self, pick: random.Random) -> None:
        turn = pick.choice(self.open_turns)
        commands = self.session.abort_turn(turn, self.now)
        if self.closed:
            assert commands == []
            return
        self.turn_is_over(turn)
        lost = self.heard(Discard.MODEL_FAILED, commands=commands)
        assert all(turn in (known.turn, known.owner) and not known.promoted for known in lost)
        mine = [known for known in self.known.values() if turn in (known.turn, known.owner)]
        assert not any(known.alive and not known.promoted for known in mine)

    def confirm(self, known: Known) -> None:
        """The model has made its call: what takes that for granted rests on no guess."""
        known.rests_on = None
        for other in self.known.values():
            if other.rests_on is known:
                other.rests_on = None

    def turn_is_over(self, turn: str) -> None:
        self.open_turns.remove(turn)
        self.some_turn_ended = True

    # -- real calls ------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.known)
    @rule(pick=picks)
    def ask_for_what_was_foreseen(self, pick: random.Random) -> None:
        alive = [known for known in self.known.values() if known.alive]
        self.ask(pick.choice(alive or list(self.known.values())).call)

    @rule(call=real_reads)
    def ask(self, call: Call) -> None:
        self.real_calls += 1
        answer, commands = self.session.resolve(call, TOOLS[call.name], venue_of(call), self.now, {"user": self.user})
        usable = [] if self.closed else [known for known in self.known.values() if self.may_answer(known, call)]
        assert len(usable) <= 1
        stale = [known for known in self.known.values() if known.alive and self.stale(known)]
        lost = self.heard(Discard.EXPIRED, Discard.STALE, Discard.DENIED, commands=commands)
        for known in lost:
            assert same(known.call, call)
            assert not known.promoted
            assert known not in usable
            reason = known.launched.reason
            assert reason is not Discard.STALE or known in stale
            assert reason is not Discard.EXPIRED or self.outdated(known)
            assert reason is not Discard.DENIED or call.name in self.tripped or known.user != self.user
        if isinstance(answer, Miss):
            assert usable == []
            self.execute(call)
            return
        (known,) = usable
        self.confirm(known)
        assert answer.speculation is known.launched
        if isinstance(answer, Commit):
            assert known.ended == "ok"
            self.adopt(self.real_calls, known, answer.outcome, joined=False)
        else:
            assert known.running
            known.promoted = True
            self.waiting.append((self.real_calls, known))

    @precondition(lambda self: any(known.alive for known in self.known.values()))
    @rule(pick=picks)
    def ask_in_the_wrong_venue(self, pick: random.Random) -> None:
        known = pick.choice([known for known in self.known.values() if known.alive])
        wrong = "thread" if venue_of(known.call) == "task" else "task"
        both = ToolFacts(known.call.name, TOOLS[known.call.name].rule, venues=frozenset({"task", "thread"}))
        answer, commands = self.session.resolve(known.call, both, wrong, self.now)
        assert isinstance(answer, Miss)
        assert commands == []
        assert self.heard() == []

    @precondition(lambda self: any(known.promoted and known.alive for known in self.known.values()))
    @rule(again=st.booleans())
    def body_ends_while_a_call_waits(self, again: bool) -> None:
        promoted = next(known for known in self.known.values() if known.promoted and known.alive)
        self.end_body(promoted, "ok")
        if again:
            self.ask(promoted.call)  # two equal calls never share one result

    @precondition(lambda self: self.waiting)
    @rule(pick=picks)
    def claim(self, pick: random.Random) -> None:
        number, known = self.waiting.pop(pick.randrange(len(self.waiting)))
        was_alive = known.alive
        answer, commands = self.session.claim(known.launched, self.now)
        if isinstance(answer, Commit):
            assert self.heard(commands=commands) == []
            if known.launched.left:
                self.settle(known.call.name, None, False, 0.25, known.launched.ran_s)
            else:
                self.adopt(number, known, answer.outcome, joined=True)
            return
        assert self.heard(Discard.OVERRUN, commands=commands, left=known) == ([known] if was_alive else [])
        assert known.fate == "discarded"
        self.execute(known.call)

    @precondition(lambda self: self.waiting)
    @rule(pick=picks)
    def abandon(self, pick: random.Random) -> None:
        _, known = self.waiting.pop(pick.randrange(len(self.waiting)))
        was_alive = known.alive
        commands = self.session.abandon(known.launched, self.now)
        assert self.heard(Discard.ABANDONED, commands=commands, left=known) == ([known] if was_alive else [])

    def adopt(self, number: int, known: Known, outcome: Outcome, *, joined: bool) -> None:
        assert outcome.ok
        assert outcome.value == known.launched.id, "the result of another speculation"
        assert known.ended == "ok"
        known.fate = known.fate or "committed"
        assert known.fate == "committed"
        known.adopted_by.append(number)
        self.hits += 1
        self.settle(known.call.name, known.launched, joined, 0.25 if joined else 0.0, known.launched.ran_s)

    def execute(self, call: Call) -> None:
        tags, commands = self.session.begin_call(TOOLS[call.name], call, self.now)
        assert (tags, commands) == (frozenset(), [])
        self.session.end_call(tags, self.now)
        self.settle(call.name, None, False, 1.0, 1.0)

    def settle(self, tool: str, hit: Speculation | None, joined: bool, waited_s: float, tool_s: float) -> None:
        self.session.settle(tool, hit=hit, joined=joined, waited_s=waited_s, tool_s=tool_s, now=self.now)
        self.settled.append((tool_s, waited_s))
        assert self.heard() == []
        event = self.log[-1]
        assert isinstance(event, events.CallSettled)
        assert (event.tool, event.id, event.joined) == (tool, hit.id if hit else None, joined)

    def expect_step_settled(self) -> None:
        calls, self.settled = self.settled, []
        told = [event for event in self.log if isinstance(event, events.StepSettled) and event.at == self.now]
        if calls:
            assert told[-1].tool_s == max(tool_s for tool_s, _ in calls)
            assert told[-1].waited_s == max(waited_s for _, waited_s in calls)
            self.hidden_s += told[-1].tool_s - told[-1].waited_s

    # -- the world -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.known)
    @rule(name=st.sampled_from(["set", "refill", "wipe"]), args=st.sampled_from(ARGS), mine=st.booleans())
    def write(self, name: str, args: dict[str, Any], mine: bool) -> None:
        self.begin_write(name, args, mine)
        self.close_write(len(self.writing) - 1)

    @precondition(lambda self: not self.writing)
    @rule(name=st.sampled_from(["set", "set", "refill", "wipe"]), args=st.sampled_from(ARGS), mine=st.booleans())
    def begin_write(self, name: str, args: dict[str, Any], mine: bool) -> None:
        call = Call(name, args)
        session = self.session if mine else self.other
        tags, commands = session.begin_call(TOOLS[name], call, self.now)
        self.happened.append(call)
        self.writing.append((session, call, tags))
        lost = self.heard(Discard.STALE, commands=commands if mine else [])
        assert mine or (lost, commands) == ([], [])
        assert all(self.stale(known) and not known.promoted for known in lost)
        if mine:
            unread = [known for known in self.known.values() if known.alive and not known.promoted]
            assert not any(touches(call, known.call) for known in unread)

    @precondition(lambda self: self.writing)
    @rule(pick=picks)
    def end_write(self, pick: random.Random) -> None:
        self.close_write(pick.randrange(len(self.writing)))

    def close_write(self, index: int) -> None:
        session, call, tags = self.writing.pop(index)
        session.end_call(tags, self.now)
        self.happened.append(call)
        assert self.heard() == []

    @rule(seconds=st.sampled_from([0.25, 0.25, 0.5, 1.0, 4.0, 4.25]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.turns > 4)
    @rule()
    def somebody_else_asks(self) -> None:
        self.user = "bob" if self.user == "ann" else "ann"

    @precondition(lambda self: self.turns > 8)
    @rule()
    def trip(self) -> None:
        self.tripped.add("stock")

    # -- bodies ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: any(known.running for known in self.known.values()))
    @rule(
        pick=picks,
        how=st.sampled_from(["ok", "ok", "ok", "failed", "tainted", "tainted and failed", "huge", "never started"]),
    )
    def finish(self, pick: random.Random, how: str) -> None:
        running = [known for known in self.known.values() if known.running]
        self.end_body(pick.choice(running), how)

    @rule()
    def finish_all_well(self) -> None:
        for known in self.known.values():
            if known.running:
                self.end_body(known, "ok")

    def end_body(self, known: Known, how: str) -> None:
        id = known.launched.id
        error = RuntimeError() if how in ("failed", "tainted and failed", "never started") else None
        outcome = Outcome(id, error, "interrupt" if "tainted" in how else None)
        size = MAX_BYTES + 1 if how == "huge" else MAX_BYTES
        started = None if how == "never started" else known.at
        was_over = not known.alive
        commands = self.session.finish(id, outcome, size, self.now, started)
        known.running, known.ended = False, how
        reasons = (Discard.FAILED, Discard.TAINTED, Discard.TOO_LARGE, Discard.NO_SLOT)
        lost = self.heard(*reasons, commands=commands)
        assert lost == ([] if was_over or how == "ok" else [known])
        for loser in lost:
            reasons = {"huge": Discard.TOO_LARGE, "failed": Discard.FAILED, "never started": Discard.NO_SLOT}
            assert loser.launched.reason is reasons.get(how, Discard.TAINTED)
        if not was_over and how == "ok" and known.promoted:
            known.fate = "committed"
        assert known.launched.ran_s == (0.0 if started is None else self.now - known.at)
        told = [event for event in self.log if isinstance(event, events.Finished) and event.id == id]
        ran = [] if how == "never started" else [(known.launched.ran_s, how == "ok")]
        assert [(event.seconds, event.ok) for event in told] == ran

    @precondition(lambda self: self.known)
    @rule(pick=picks)
    def give_way(self, pick: random.Random) -> None:
        known = pick.choice(list(self.known.values()))
        was_alive = known.alive
        stops, commands = self.session.give_way(known.launched.id, self.now)
        assert stops is (known.running and not (was_alive and known.promoted))
        assert self.heard(Discard.YIELDED, commands=commands) == ([known] if stops and was_alive else [])

    @precondition(lambda self: any(not known.running for known in self.known.values()))
    @rule(pick=picks)
    def finish_again(self, pick: random.Random) -> None:
        ended = [known for known in self.known.values() if not known.running]
        known = pick.choice(ended)
        before = len(self.log)
        self.session.finish(known.launched.id, Outcome("forged"), 0, self.now, self.now)
        assert self.heard() == []
        assert len(self.log) == before

    @precondition(lambda self: not self.known)
    @rule()
    def finish_what_never_was(self) -> None:
        self.session.finish("r:999", Outcome("forged"), 0, self.now, self.now)
        assert self.session.take_events() == []

    # -- the end ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.turns > 12)
    @rule()
    def close(self) -> None:
        alive = {known.launched.id for known in self.known.values() if known.alive}
        waited_for = {known.launched.id for known in self.known.values() if known.alive and known.promoted}
        commands = self.session.close(self.now)
        was_closed, self.closed = self.closed, True
        if was_closed:
            assert commands == []
            assert self.session.take_events() == []
            return
        lost = self.heard(Discard.RUN_ENDED)
        self.expect_step_settled()
        assert {known.launched.id for known in lost} == alive
        stopped = {command.id for command in commands}
        assert stopped >= {known.launched.id for known in lost if known.running} - waited_for
        assert not stopped & waited_for, "what a real call waits for is left to that call"
        assert all(isinstance(command, Cancel) and not command.drain for command in commands)
        ends = [event for event in self.log if isinstance(event, events.RunClosed)]
        assert [(end.launched, end.hits) for end in ends] == [(len(self.known), self.hits)]
        assert ends[0].hidden_s == self.hidden_s

    def teardown(self) -> None:
        if not hasattr(self, "session"):
            return
        self.close()
        while self.waiting:
            _, known = self.waiting.pop()
            answer, _ = self.session.claim(known.launched, self.now)
            assert isinstance(answer, Commit) is (known.fate == "committed" or known.launched.outcome is not None)
        for known in self.known.values():
            if known.running:
                self.end_body(known, "ok")
        self.every_promise_holds()
        assert all(known.fate in ("committed", "discarded") for known in self.known.values())
        assert all(known.launched.over for known in self.known.values())
        assert (len(self.session.table), self.session.table.in_flight) == (0, 0)
        assert not self.session.table._by_id, "an ended run keeps results alive"
        assert audit(self.history()) == []

    def history(self) -> list[events.Event]:
        """The records of both runs, in an order in which threads might have handed them out."""
        self.log_of_other += self.other.take_events()
        records = [*self.log, *self.log_of_other]
        random.Random(len(records)).shuffle(records)
        return records

    # -- always ----------------------------------------------------------------------------------------------------

    @invariant()
    def every_promise_holds(self) -> None:
        if not hasattr(self, "session"):
            return
        table, all_known = self.session.table, list(self.known.values())
        fates = Counter(known.fate for known in all_known)
        running = sum(known.running for known in all_known)
        # the ledger
        assert table.issued == len(all_known) == table.committed + table.discarded.total() + len(table)
        assert (table.committed, table.discarded.total()) == (fates["committed"], fates["discarded"])
        assert table.discarded == Counter(known.launched.reason for known in all_known if known.fate == "discarded")
        assert {speculation.id for speculation in table} == {known.launched.id for known in all_known if known.alive}
        assert table.in_flight == running
        # budgets
        assert running <= self.limits.max_in_flight
        assert len(all_known) <= self.limits.max_per_run
        assert fates["discarded"] <= self.limits.max_wasted_per_run
        assert all(count <= self.limits.max_per_turn for count in self.per_turn.values())
        assert all(known.depth <= self.limits.max_depth for known in all_known)
        # nothing rests on what cannot come true any more
        resting = [known.rests_on for known in all_known if known.alive and known.rests_on is not None]
        assert all(parent.alive and not parent.missed for parent in resting)
        # one answer each
        adopters = [number for known in all_known for number in known.adopted_by]
        assert len(adopters) == len(set(adopters))
        assert all(len(known.adopted_by) <= 1 for known in all_known)
        assert all(known.ended == "ok" for known in all_known if known.fate == "committed")
        # events
        ids = {
            kind: [event.id for event in self.log if isinstance(event, kind)]
            for kind in (events.Launched, events.Finished, events.Discarded, events.Wasted)
        }
        assert ids[events.Launched] == list(self.known)
        executed = [id for id, known in self.known.items() if not known.running and known.ended != "never started"]
        assert sorted(ids[events.Finished]) == sorted(executed)
        discarded = {id for id, known in self.known.items() if known.fate == "discarded"}
        assert sorted(ids[events.Discarded]) == sorted(discarded)
        assert sorted(ids[events.Wasted]) == sorted(id for id in discarded if not self.known[id].running)
        for event in self.log:
            if isinstance(event, events.Wasted):
                assert event.seconds == self.known[event.id].launched.ran_s
        # a record never contradicts its state
        for known in all_known:
            assert (known.launched.reason is not None) is (known.fate == "discarded")
            usable = known.fate != "discarded" or known.launched.left
            assert (known.launched.outcome is not None) <= (known.ended == "ok" and usable)


# -- driven by Hypothesis, which makes a failure short ---------------------------------------------------------------

TestOneRun = OneRun.TestCase
TestOneRun.settings = settings(max_examples=200, stateful_step_count=50, deadline=None)


# -- driven for long, which makes rare things happen -----------------------------------------------------------------

NAMES = ["get", "stock", "add"]
ENDS = ["ok"] * 6 + ["failed", "tainted", "tainted and failed", "huge", "never started"]
BOUNDS = ["max_in_flight", "max_per_turn", "max_per_run", "max_wasted_per_run"]


def any_call(chance: random.Random, names: list[str]) -> Call:
    return Call(chance.choice(names), chance.choice(ARGS))


def anything(run: OneRun, chance: random.Random) -> None:
    """One step of a run, likely ones more often; what is not possible now does nothing."""
    kind = chance.choices(
        [
            "turn",
            "guess",
            "look",
            "end",
            "abort",
            "foreseen",
            "other",
            "venue",
            "finish",
            "claim",
            "abandon",
            "write",
            "time",
        ],
        [5, 4, 6, 5, 1, 12, 3, 1, 10, 5, 1, 3, 4],
    )[0]
    running = [known for known in run.known.values() if known.running]
    ended = [known for known in run.known.values() if not known.running]
    if kind == "turn":
        run.think([any_call(chance, [*NAMES * 4, *TOOLS]) for _ in range(chance.randint(1, 5))])
        if chance.random() < 0.2:
            run.begin_turn()  # another model of the same step
    elif kind == "guess" and run.turns:
        guess = any_call(chance, [*NAMES * 3, *TOOLS]), chance.choice([0.9, FLOOR, FLOOR / 2]), True
        run.predict(chance, [guess, (any_call(chance, NAMES), 0.9, chance.random() < 0.9)])
    elif kind == "look" and run.turns:
        run.look_ahead(chance, [(any_call(chance, [*NAMES * 3, *TOOLS]), chance.choice([0.9, FLOOR]), True)] * 2)
    elif kind == "end" and run.open_turns:
        run.end_turn(chance, [any_call(chance, NAMES)] * chance.randint(0, 1))
    elif kind == "abort" and run.open_turns:
        run.abort_turn(chance)
    elif kind == "foreseen" and run.known:
        run.ask_for_what_was_foreseen(chance)
    elif kind == "other":
        run.ask(any_call(chance, [*NAMES, "gated"]))
    elif kind == "venue" and any(known.alive for known in run.known.values()):
        run.ask_in_the_wrong_venue(chance)
    elif kind == "finish" and running:
        run.finish(chance, chance.choice(ENDS))
    elif kind == "finish" and ended:
        run.finish_again(chance)
    elif kind == "claim" and run.waiting:
        run.claim(chance)
    elif kind == "abandon" and run.waiting:
        run.abandon(chance)
    elif kind == "write" and run.writing:
        run.end_write(chance)
    elif kind == "write":
        run.begin_write(chance.choice(["set", "set", "refill", "wipe"]), chance.choice(ARGS), chance.random() < 0.5)
    elif kind == "time":
        run.time_passes(chance.choice([0.25, 0.25, 0.5, 1.0, 2.0, 4.25]))


@pytest.mark.parametrize("seed", range(60))
def test_long_runs_keep_every_promise(seed: int):
    """
    Hundreds of steps of one run, with tight and with wide budgets, and some more after its end.
    """
    chance = random.Random(seed)
    run = OneRun()
    run.open(chance.choice([None, *BOUNDS]), chance.randint(0, 5), chance.randint(1, 3))
    for number in range(300):
        anything(run, chance)
        run.every_promise_holds()
        if number in (120, 150):
            run.somebody_else_asks()
        if number == 200:
            run.trip()
        if number == 270:
            run.close()
    run.teardown()
