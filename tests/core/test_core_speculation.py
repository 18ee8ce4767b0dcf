"""The lifecycle of a speculation: the table, step by step, and nothing beside it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.speculation import TRANSITIONS, Discard, Speculation, State, step
from langgraph_speculate.errors import IllegalTransition

EVENTS = ["finish", "match", "fail", "preempt", "squash", "expire"]
RUNNING, READY, PROMOTED, COMMITTED, DISCARDED = State
LEGAL = {
    (RUNNING, "finish"): READY,
    (RUNNING, "match"): PROMOTED,
    (RUNNING, "fail"): DISCARDED,
    (RUNNING, "preempt"): DISCARDED,
    (RUNNING, "squash"): DISCARDED,
    (RUNNING, "expire"): DISCARDED,
    (READY, "match"): COMMITTED,
    (READY, "preempt"): DISCARDED,
    (READY, "squash"): DISCARDED,
    (READY, "expire"): DISCARDED,
    (PROMOTED, "finish"): COMMITTED,
    (PROMOTED, "fail"): DISCARDED,
}
PAIRS = list(itertools.product(State, [*EVENTS, "", "commit", "Finish"]))


def a_speculation(state: State = RUNNING, **changed: Any) -> Speculation:
    settings: dict[str, Any] = {
        "id": "r:1",
        "call": Call("get"),
        "turn": "t",
        "step": 0,
        "probability": 0.5,
        "source": "",
        "venue": "thread",
        "reads": frozenset({"*"}),
        "epoch": 0,
        "ttl_s": 10.0,
        "scope": "step",
        "drain": True,
        "launched_at": 0.0,
    }
    return Speculation(**{**settings, "state": state, **changed})


def fields(speculation: Speculation) -> tuple[Any, ...]:
    return speculation.state, speculation.reason, speculation.outcome


def test_the_table_names_every_state():
    """
    Docs and tests read one dict, and it leaves no state out.
    """
    assert set(TRANSITIONS) == set(State)
    found = {(state, event): after for state, steps in TRANSITIONS.items() for event, after in steps.items()}
    assert found == LEGAL


def test_the_table_cannot_be_changed():
    """
    A specification that code could write to would be none.
    """
    with pytest.raises(TypeError):
        TRANSITIONS[COMMITTED] = {}  # type: ignore[index]
    with pytest.raises(TypeError):
        TRANSITIONS[COMMITTED]["match"] = READY  # type: ignore[index]


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda value: getattr(value, "value", value))
def test_every_step_is_in_the_table_or_raises(state: State, event: str):
    """
    What the table does not name does not happen.
    """
    if (state, event) in LEGAL:
        assert step(state, event) is LEGAL[state, event]
    else:
        with pytest.raises(IllegalTransition, match=state.value):
            step(state, event)


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda value: getattr(value, "value", value))
@pytest.mark.parametrize("reason", [None, Discard.FAILED])
def test_an_illegal_step_changes_nothing(state: State, event: str, reason: Discard | None):
    """
    Neither a step the lifecycle lacks, nor a discard without a reason, nor a reason without a discard.
    """
    outcome = Outcome(value=1)
    speculation = a_speculation(state, outcome=outcome)
    before = fields(speculation)
    after = LEGAL.get((state, event))
    if after is not None and (after is DISCARDED) == (reason is not None):
        speculation.take(event, reason)
        assert fields(speculation) == (after, reason, None if after is DISCARDED else outcome)
    else:
        with pytest.raises(IllegalTransition):
            speculation.take(event, reason)
        assert fields(speculation) == before


@pytest.mark.parametrize("state", State)
def test_only_committed_and_discarded_are_over(state: State):
    """
    Whatever can still take a step can still answer a call.
    """
    assert a_speculation(state).over is (state in (COMMITTED, DISCARDED))


def test_a_promoted_speculation_cannot_be_stopped_to_make_room():
    """
    Once a real call waits on it, only its own end or that call's ends it.
    """
    speculation = a_speculation()
    speculation.take("match")
    for event in ("preempt", "squash", "expire", "match"):
        with pytest.raises(IllegalTransition):
            speculation.take(event, Discard.PREEMPTED)
    assert speculation.state is PROMOTED


def test_a_discarded_result_is_not_kept_alive():
    """
    Results nobody may use are freed at once.
    """
    speculation = a_speculation(READY, outcome=Outcome(value=bytearray(10)))
    speculation.take("squash", Discard.CONTRADICTED)
    assert speculation.outcome is None


def test_a_committed_result_is_kept_for_its_call():
    """
    The call that joined fetches it afterwards.
    """
    outcome = Outcome(value=1)
    speculation = a_speculation(PROMOTED, outcome=outcome)
    speculation.take("finish")
    assert speculation.outcome is outcome


def test_two_speculations_of_one_call_are_two():
    """
    They are told apart by identity, so they can stand in sets.
    """
    assert len({a_speculation(), a_speculation()}) == 2


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.sampled_from([None, *Discard])), max_size=12))
def test_every_life_ends_at_most_once(steps: list[tuple[str, Discard | None]]):
    """
    However it is driven: once over, always over, with a reason exactly where it was discarded.
    """
    speculation = a_speculation()
    endings = 0
    for event, reason in steps:
        before = speculation.state
        try:
            speculation.take(event, reason)
        except IllegalTransition:
            assert speculation.state is before
            continue
        assert TRANSITIONS[before] != {}
        endings += speculation.over
    assert endings == int(speculation.over)
    assert (speculation.reason is not None) is (speculation.state is DISCARDED)
