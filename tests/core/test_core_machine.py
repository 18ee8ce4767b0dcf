"""One run, driven at random and checked after every step against a bookkeeping of its own.

The bookkeeping (`Known`) is written from the promises, not from the session: it knows what was launched, how bodies
ended, what was written and when, and from that which speculation may answer which call.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from langgraph_speculate.core import events
from langgraph_speculate.core.admission import AUTO_FLOOR
from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.gate import RunView, ToolFacts
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.core.session import Cancel, Command, Commit, Launch, Miss, Proposal, Session
from langgraph_speculate.core.speculation import Discard, Speculation
from langgraph_speculate.policy import Limits, Rule, ToolPolicy

MAX_BYTES = 100


def read(name: str, reads: list[str], *, venue: str = "thread", **settings: Any) -> ToolFacts:
    rule = Rule(ToolPolicy(read_only=True, reads=tuple(reads), **settings), f"tools.{name}")
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

call_names = st.sampled_from(["get", "get", "stock", "add", *TOOLS])
calls = st.builds(Call, call_names, st.sampled_from(ARGS))
real_reads = st.builds(Call, st.sampled_from(["get", "get", "stock", "add", "gated"]), st.sampled_from(ARGS))
probabilities = st.sampled_from([0.9, 0.9, AUTO_FLOOR, AUTO_FLOOR / 2, float("nan")])


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


@dataclass
class Known:
    """What the test knows of one speculation."""

    launched: Speculation
    call: Call
    turn: str
    step: int
    at: float
    written: int
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
        self.open_turns: list[str] = []
        self.turns = 0
        self.step = 0
        self.some_turn_ended = False
        self.per_turn: Counter[str] = Counter()
        self.happened: list[Call] = []  # every start and end of a write
        self.writing: list[tuple[Session, Call, frozenset[str]]] = []
        self.waiting: list[tuple[int, Known]] = []
        self.real_calls = 0
        self.hits = 0
        self.settled: list[tuple[float, float]] = []
        self.hidden_s = 0.0
        self.tripped: set[str] = set()
        self.closed = False

    @initialize(
        in_flight=st.sampled_from([4, 4, 2, 1, 0]),
        per_turn=st.sampled_from([3, 3, 1, 0]),
        per_run=st.sampled_from([20, 20, 4, 0]),
        wasted=st.sampled_from([10, 10, 3, 0]),
    )
    def open(self, in_flight: int, per_turn: int, per_run: int, wasted: int) -> None:
        self.limits = Limits(
            max_in_flight=in_flight,
            max_per_turn=per_turn,
            max_per_run=per_run,
            max_wasted_per_run=wasted,
            max_result_bytes=MAX_BYTES,
        )
        view = RunView("declared", None, Epochs(), self.tripped)
        self.session = Session("r", view, self.limits)
        self.other = Session("other", view, self.limits)

    # -- what may be -----------------------------------------------------------------------------------------------

    def stale(self, known: Known) -> bool:
        return any(touches(write, known.call) for write in self.happened[known.written :])

    def outdated(self, known: Known) -> bool:
        return self.now - known.at > known.ttl_s or (known.only_this_step and known.step != self.step)

    def may_answer(self, known: Known, call: Call) -> bool:
        return (
            known.alive
            and not known.promoted
            and same(known.call, call)
            and not self.outdated(known)
            and not self.stale(known)
            and call.name not in self.tripped
        )

    def may_launch(self, call: Call, probability: float, turn: str) -> bool:
        alive = [known for known in self.known.values() if known.alive]
        discarded = sum(known.fate == "discarded" for known in self.known.values())
        return (
            call.name in ("get", "stock", "add")
            and call.name not in self.tripped
            and probability >= AUTO_FLOOR
            and not any(touches(write, call) for _, write, _ in self.writing)
            and not any(same(known.call, call) for known in alive)
            and self.per_turn[turn] < self.limits.max_per_turn
            and sum(known.running for known in self.known.values()) < self.limits.max_in_flight
            and len(self.known) < self.limits.max_per_run
            and discarded + len(alive) < self.limits.max_wasted_per_run
        )

    # -- what happened ---------------------------------------------------------------------------------------------

    def heard(self, *reasons: Discard, commands: list[Command] | None = None) -> list[Known]:
        """Take the session's events; whatever was discarded was discarded for one of those reasons."""
        happened = self.session.take_events()
        self.log += happened
        lost = []
        for event in happened:
            assert event.at == self.now
            assert event.run == "r"
            if isinstance(event, events.Discarded):
                known = self.known[event.id]
                assert known.alive, f"{event.id} ended twice"
                assert event.reason in {reason.value for reason in reasons}
                assert event.tool == known.call.name
                known.fate = "discarded"
                assert known.launched.outcome is None
                lost.append(known)
        if commands is not None:
            cancelled = {command.id: command for command in commands if isinstance(command, Cancel)}
            assert set(cancelled) == {known.launched.id for known in lost if known.running}
            for id, command in cancelled.items():
                assert command.drain is (self.known[id].call.name != "stock")
        return lost

    # -- the model -------------------------------------------------------------------------------------------------

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
        lost = self.heard(Discard.EXPIRED, commands=commands)
        kept = [known for known in self.known.values() if known.alive and not known.promoted]
        if new_step:
            self.expect_step_settled()
            assert not any(known.only_this_step for known in kept)
            assert all(known.only_this_step and not known.promoted for known in lost)
        else:
            assert lost == []

    @precondition(lambda self: self.turns)
    @rule(data=st.data(), guesses=st.lists(st.tuples(calls, probabilities, st.booleans()), max_size=6))
    def predict(self, data: st.DataObject, guesses: list[tuple[Call, float, bool]]) -> None:
        late = f"t{data.draw(st.integers(1, self.turns))}"
        turn = data.draw(st.sampled_from([*self.open_turns, *self.open_turns, late]))
        proposals = [
            Proposal(Candidate(call, probability, "test"), call if fits else None, TOOLS[call.name], venue_of(call))
            for call, probability, fits in guesses
        ]
        commands = self.session.predicted(turn, proposals, self.now)
        launches = [command for command in commands if isinstance(command, Launch)]
        assert launches == commands
        remaining = iter(launches)
        listens = not self.closed and turn in self.open_turns
        for call, probability, fits in guesses:
            if not (listens and fits and self.may_launch(call, probability, turn)):
                continue
            launch = next(remaining, None)
            assert launch is not None, f"{call} could have been launched"
            speculation = launch.speculation
            assert same(speculation.call, call)
            assert speculation.id not in self.known
            self.known[speculation.id] = Known(speculation, call, turn, self.step, self.now, len(self.happened))
            self.per_turn[turn] += 1
        assert next(remaining, None) is None, "launched against the rules"
        before = len(self.log)
        assert self.heard() == []
        new = self.log[before:]
        told = [event.id for event in new if isinstance(event, events.Launched)]
        assert told == [launch.speculation.id for launch in launches]
        answers = sum(isinstance(event, events.Launched | events.Denied | events.Refused) for event in new)
        assert answers == (len(guesses) if listens else 0)

    @precondition(lambda self: self.open_turns)
    @rule(data=st.data(), unforeseen=st.lists(real_reads, max_size=2))
    def end_turn(self, data: st.DataObject, unforeseen: list[Call]) -> None:
        turn = data.draw(st.sampled_from(self.open_turns))
        mine = [known.call for known in self.known.values() if known.alive and known.turn == turn]
        wanted = data.draw(st.lists(st.sampled_from(mine), max_size=3)) if mine else []
        asked = [*wanted, *unforeseen]
        commands = self.session.end_turn(turn, asked, asked, self.now)
        if self.closed:
            assert commands == []
            return
        self.turn_is_over(turn)
        for known in self.heard(Discard.CONTRADICTED, commands=commands):
            assert known.turn == turn
            assert known.only_this_step
            assert not known.promoted
            assert not any(same(known.call, call) for call in asked)
        for known in self.known.values():
            if known.alive and known.turn == turn and known.only_this_step and not known.promoted:
                assert any(same(known.call, call) for call in asked)

    @precondition(lambda self: self.open_turns)
    @rule(data=st.data())
    def abort_turn(self, data: st.DataObject) -> None:
        turn = data.draw(st.sampled_from(self.open_turns))
        commands = self.session.abort_turn(turn, self.now)
        if self.closed:
            assert commands == []
            return
        self.turn_is_over(turn)
        lost = self.heard(Discard.MODEL_FAILED, commands=commands)
        assert all(known.turn == turn and not known.promoted for known in lost)
        assert not any(known.alive and known.turn == turn and not known.promoted for known in self.known.values())

    def turn_is_over(self, turn: str) -> None:
        self.open_turns.remove(turn)
        self.some_turn_ended = True

    # -- real calls ------------------------------------------------------------------------------------------------

    @rule(data=st.data(), unforeseen=real_reads)
    def ask(self, data: st.DataObject, unforeseen: Call) -> None:
        foreseen = [known.call for known in self.known.values() if known.alive]
        call = data.draw(st.sampled_from([*foreseen, unforeseen]))
        self.real_calls += 1
        answer, commands = self.session.resolve(call, TOOLS[call.name], venue_of(call), self.now)
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
            assert reason is not Discard.DENIED or call.name in self.tripped
        if isinstance(answer, Miss):
            assert usable == []
            self.execute(call)
            return
        (known,) = usable
        assert answer.speculation is known.launched
        if isinstance(answer, Commit):
            assert known.ended == "ok"
            self.adopt(self.real_calls, known, answer.outcome, joined=False)
        else:
            assert known.running
            known.promoted = True
            self.waiting.append((self.real_calls, known))

    @rule()
    def ask_in_the_wrong_venue(self) -> None:
        for known in self.known.values():
            wrong = "thread" if venue_of(known.call) == "task" else "task"
            both = ToolFacts(known.call.name, TOOLS[known.call.name].rule, venues=frozenset({"task", "thread"}))
            answer, commands = self.session.resolve(known.call, both, wrong, self.now)
            assert isinstance(answer, Miss)
            assert commands == []
        assert self.heard() == []

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        number, known = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        answer, commands = self.session.claim(known.launched, self.now)
        if isinstance(answer, Commit):
            assert self.heard(commands=commands) == []
            self.adopt(number, known, answer.outcome, joined=True)
            return
        assert self.heard(Discard.OVERRUN, commands=commands) == (
            [known] if known.fate == "discarded" and known.running else []
        )
        assert known.fate == "discarded"
        self.execute(known.call)

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def abandon(self, data: st.DataObject) -> None:
        _, known = self.waiting.pop(data.draw(st.integers(0, len(self.waiting) - 1)))
        was_alive = known.alive
        commands = self.session.abandon(known.launched, self.now)
        assert self.heard(Discard.ABANDONED, commands=commands) == ([known] if was_alive else [])

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
        self.session.end_call(tags)
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
    @rule(data=st.data())
    def end_write(self, data: st.DataObject) -> None:
        session, call, tags = self.writing.pop(data.draw(st.integers(0, len(self.writing) - 1)))
        session.end_call(tags)
        self.happened.append(call)
        assert self.heard() == []

    @rule(seconds=st.sampled_from([0.25, 0.25, 1.0, 4.0, 4.25, 8.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=st.sampled_from(["get", "stock"]))
    def trip(self, name: str) -> None:
        if self.now > 110:  # now and then
            self.tripped.add(name)

    # -- bodies ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: any(known.running for known in self.known.values()))
    @rule(
        data=st.data(),
        how=st.sampled_from(["ok", "ok", "ok", "failed", "tainted", "tainted and failed", "huge", "never started"]),
    )
    def finish(self, data: st.DataObject, how: str) -> None:
        running = [known for known in self.known.values() if known.running]
        self.end_body(data.draw(st.sampled_from(running)), how)

    def end_body(self, known: Known, how: str) -> None:
        id = known.launched.id
        error = RuntimeError() if how in ("failed", "tainted and failed", "never started") else None
        outcome = Outcome(id, error, "interrupt" if "tainted" in how else None)
        size = MAX_BYTES + 1 if how == "huge" else MAX_BYTES
        started = None if how == "never started" else known.at
        was_over = not known.alive
        self.session.finish(id, outcome, size, self.now, started)
        known.running, known.ended = False, how
        lost = self.heard(Discard.FAILED, Discard.TAINTED, Discard.TOO_LARGE)
        assert lost == ([] if was_over or how == "ok" else [known])
        for loser in lost:
            reasons = {"huge": Discard.TOO_LARGE, "failed": Discard.FAILED, "never started": Discard.FAILED}
            assert loser.launched.reason is reasons.get(how, Discard.TAINTED)
        if not was_over and how == "ok" and known.promoted:
            known.fate = "committed"
        assert known.launched.ran_s == (0.0 if started is None else self.now - known.at)
        told = [event for event in self.log if isinstance(event, events.Finished) and event.id == id]
        assert [(event.seconds, event.ok) for event in told] == [(known.launched.ran_s, how == "ok")]

    @precondition(lambda self: any(not known.running for known in self.known.values()))
    @rule(data=st.data())
    def finish_again(self, data: st.DataObject) -> None:
        ended = [known for known in self.known.values() if not known.running]
        known = data.draw(st.sampled_from(ended))
        before = len(self.log)
        self.session.finish(known.launched.id, Outcome("forged"), 0, self.now, self.now)
        assert self.heard() == []
        assert len(self.log) == before

    @rule()
    def finish_what_never_was(self) -> None:
        self.session.finish("r:999", Outcome("forged"), 0, self.now, self.now)
        assert self.session.take_events() == []

    # -- the end ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.turns > 4)
    @rule()
    def close(self) -> None:
        alive = {known.launched.id for known in self.known.values() if known.alive}
        commands = self.session.close(self.now)
        was_closed, self.closed = self.closed, True
        if was_closed:
            assert commands == []
            assert self.session.take_events() == []
            return
        lost = self.heard(Discard.RUN_ENDED)
        self.expect_step_settled()
        assert {known.launched.id for known in lost} == alive
        assert {command.id for command in commands} >= {known.launched.id for known in lost if known.running}
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
            assert isinstance(answer, Commit) is (known.fate == "committed")
        for known in self.known.values():
            if known.running:
                self.end_body(known, "ok")
        self.every_promise_holds()
        assert all(known.fate in ("committed", "discarded") for known in self.known.values())
        assert all(known.launched.over for known in self.known.values())
        assert (len(self.session.table), self.session.table.in_flight) == (0, 0)
        assert not self.session.table._by_id, "an ended run keeps results alive"

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
        assert sorted(ids[events.Finished]) == sorted(id for id, known in self.known.items() if not known.running)
        discarded = {id for id, known in self.known.items() if known.fate == "discarded"}
        assert sorted(ids[events.Discarded]) == sorted(discarded)
        assert sorted(ids[events.Wasted]) == sorted(id for id in discarded if not self.known[id].running)
        for event in self.log:
            if isinstance(event, events.Wasted):
                assert event.seconds == self.known[event.id].launched.ran_s
        # a record never contradicts its state
        for known in all_known:
            assert (known.launched.reason is not None) is (known.fate == "discarded")
            assert (known.launched.outcome is not None) <= (known.ended == "ok" and known.fate != "discarded")


TestOneRun = OneRun.TestCase
TestOneRun.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
