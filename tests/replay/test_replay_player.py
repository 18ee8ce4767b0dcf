"""Runs are played by the real core on a virtual clock: what is hidden, what waits, what is thrown away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.history import History
from langgraph_speculate.policy import SpeculationPolicy
from langgraph_speculate.replay.player import Play, Played
from langgraph_speculate.replay.script import Script
from langgraph_speculate.replay.stage import Stage
from langgraph_speculate.replay.times import Clockwork, Times
from langgraph_speculate.traces import Run

MODEL_S, TOOL_S = 1.0, 0.6
READER = {"tools": {"get_*": {"read_only": True, "ttl_s": 30}}}
LOOK_UP, OTHER, WRITE = Call("get_order", {"id": 7}), Call("get_order", {"id": 8}), Call("set_order", {"id": 7})


@dataclass
class Fortune:
    """Predicts these calls, each time."""

    calls: Sequence[Call]
    probability: float = 0.9
    bounded = True
    learned: list[int] = field(default_factory=list)

    def predict(self, history: History, *, k: int) -> list[Candidate]:
        return [Candidate(call, self.probability) for call in self.calls]

    def learn(self, history: History, calls: Sequence[Call]) -> None:
        self.learned.append(len(calls))


def run_of(*messages: Sequence[Call], id: str = "r") -> Run:
    """A run in which the model makes these calls, message by message, and then answers."""
    events: list[Mapping[str, Any]] = [{"role": "user", "content": "?"}]
    for at, calls in enumerate(messages):
        made = [{"id": f"c{at}-{n}", "name": call.name, "args": dict(call.args)} for n, call in enumerate(calls)]
        events.append({"role": "assistant", "content": "", "tool_calls": made})
        events += [{"role": "tool", "tool_call_id": call["id"], "content": "sent"} for call in made]
    return Run(id, id, [*events, {"role": "assistant", "content": "Done."}])


def stage(policy: Mapping[str, Any] = READER, predictor: Any = None, *, tool_s: float = TOOL_S, **how: Any) -> Stage:
    clockwork = Clockwork(Times("fixed", MODEL_S), [("*", Times("fixed", tool_s))])
    known = {"get_order", "get_user", "set_order"}
    return Stage(SpeculationPolicy.from_dict(policy), predictor or Fortune([]), known, clockwork, **how)


def play(run: Run, on: Stage, *, ahead: bool = True) -> Played:
    play = Play(Script.of(run), on, ahead=ahead)
    on.simulation.start(play.process())
    on.simulation.run()
    return play.played


@pytest.mark.parametrize("tool_s", [0.2, 0.6, 1.0, 2.5])
def test_a_foreseen_read_is_hidden_behind_the_message_that_asks_for_it(tool_s: float):
    """
    As much of it as the message takes; the plain agent waits for all of it.
    """
    plain = play(run_of([LOOK_UP]), stage(tool_s=tool_s), ahead=False)
    fast = play(run_of([LOOK_UP]), stage(predictor=Fortune([LOOK_UP]), tool_s=tool_s))

    assert plain.seconds == pytest.approx(2 * MODEL_S + tool_s)
    assert fast.seconds == pytest.approx(2 * MODEL_S + max(0.0, tool_s - MODEL_S))
    assert fast.tool_s == pytest.approx(max(0.0, tool_s - MODEL_S))


def test_statistics_are_those_of_a_live_graph():
    """
    One hit of two launches; the body of the other was for nothing.
    """
    on = stage(predictor=Fortune([LOOK_UP, OTHER]))
    play(run_of([LOOK_UP]), on)
    stats = on.collector.snapshot()

    assert (stats.runs, stats.real_calls, stats.launched, stats.hits) == (1, 1, 4, 1)
    assert stats.wasted == 3
    assert stats.hidden_s == pytest.approx(TOOL_S)


def test_a_write_makes_early_reads_stale():
    """
    What was read before it is not used after it.
    """
    on = stage(
        {"tools": {"get_order": {"read_only": True, "scope": "run", "ttl_s": 60}}}, Fortune([LOOK_UP]), tool_s=0.2
    )
    played = play(run_of([WRITE], [LOOK_UP]), on)

    assert "stale" in on.collector.snapshot().discarded
    assert played.seconds == pytest.approx(3 * MODEL_S + 0.2, abs=0.21)


@pytest.mark.parametrize("policy", [{"tools": {}}, {"tools": {"get_order": False}}, {**READER, "level": "shadow"}])
def test_what_the_policy_does_not_allow_is_not_run_ahead(policy: Mapping[str, Any]):
    """
    The gate is the live one.
    """
    on = stage(policy, Fortune([LOOK_UP]))
    played = play(run_of([LOOK_UP]), on)

    assert on.collector.snapshot().launched == 0
    assert played.seconds == pytest.approx(2 * MODEL_S + TOOL_S)


def test_always_wrong_guesses_cost_no_time():
    """
    They are thrown away when the message contradicts them.
    """
    on = stage(predictor=Fortune([OTHER]), reads_streams=False)
    played = play(run_of([LOOK_UP]), on)

    assert played.seconds == pytest.approx(2 * MODEL_S + TOOL_S)
    assert on.collector.snapshot().hits == 0


def test_calls_of_a_streamed_message_start_as_they_are_written():
    """
    The first of two calls is written before the second: nobody has to foresee it.
    """
    twice = run_of([LOOK_UP, OTHER])
    streamed, whole = stage(), stage(reads_streams=False)
    play(twice, streamed)
    play(twice, whole)

    assert streamed.collector.snapshot().hits == 2
    assert whole.collector.snapshot().hits == 0


def test_the_predictor_learns_each_message_as_it_ends():
    """
    Calls and answers alike.
    """
    fortune = Fortune([])
    play(run_of([LOOK_UP], [LOOK_UP, OTHER]), stage(predictor=fortune))

    assert fortune.learned == [1, 2, 0]


def test_a_remembered_answer_is_given_again():
    """
    `read_through`, as the policy says.
    """
    on = stage({"tools": {"get_order": {"read_only": True, "read_through": True, "ttl_s": 60}}})
    played = play(run_of([LOOK_UP], [LOOK_UP]), on)

    assert on.collector.snapshot().repeats == 1
    assert played.seconds == pytest.approx(3 * MODEL_S + TOOL_S)


# -- services ----------------------------------------------------------------------------------------------------------


def side_by_side(on: Stage, count: int, *, ahead: bool) -> list[float]:
    plays = [Play(Script.of(run_of([LOOK_UP], id=f"r{at}")), on, ahead=ahead) for at in range(count)]
    for one in plays:
        on.simulation.start(one.process())
    on.simulation.run()
    return sorted(one.played.seconds for one in plays)


def test_calls_wait_for_a_slot():
    """
    Four runs at a service with two slots: two of them wait for the others.
    """
    slots = {"tools": {"get_order": {"read_only": True, "slots": 2}}}
    plain = 2 * MODEL_S + TOOL_S

    assert side_by_side(stage(slots), 4, ahead=False) == pytest.approx([plain, plain, plain + TOOL_S, plain + TOOL_S])


def test_calls_wait_for_their_rate():
    """
    Two in ten seconds: the third waits until the first is ten seconds old.
    """
    rate = {"tools": {"get_order": {"read_only": True, "rate": "2/10 seconds"}}}
    plain = 2 * MODEL_S + TOOL_S

    assert side_by_side(stage(rate, now=1e9), 3, ahead=False) == pytest.approx([plain, plain, plain + 10])


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_guesses_take_no_slot_from_a_real_call(slots: int):
    """
    Wrong guesses of every run, at a service with few slots: no run takes longer than the plain one.
    """
    policy = {"tools": {"get_order": {"read_only": True, "slots": slots, "on_mispredict": "cancel"}}}
    plain = side_by_side(stage(policy, now=2e9), 6, ahead=False)
    fast = side_by_side(stage(policy, Fortune([OTHER]), now=3e9), 6, ahead=True)

    assert all(mine <= theirs + 1e-6 for mine, theirs in zip(fast, plain, strict=True))
