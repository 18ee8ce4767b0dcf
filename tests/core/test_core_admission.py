"""Which allowed candidates are worth running: every refusal, and budgets that are bounds."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_speculate.core.admission import Refusal, Spent, dismissal, excess
from langgraph_speculate.policy import Limits
from langgraph_speculate.policy.tool import PROBABILITY_FLOORS

LIMITS = Limits(max_in_flight=4, max_per_turn=3, max_per_run=20, max_wasted_per_run=10)
FULL = {
    Refusal.MAX_PER_TURN: Spent(turn=3),
    Refusal.MAX_IN_FLIGHT: Spent(in_flight=4),
    Refusal.MAX_PER_RUN: Spent(run=20),
    Refusal.MAX_IN_PROCESS: Spent(in_process=512),
    Refusal.MAX_WASTED: Spent(wasted=10),
    Refusal.MAX_WASTED_S: Spent(wasted_s=60.0),
    Refusal.MAX_WASTED_THREAD: Spent(thread_wasted=500),
    Refusal.CALL_LIMIT: Spent(room=0),
}


def admit(
    key: str,
    probability: float,
    floor: float | None,
    *,
    worth: float = 1.0,
    too_fast: bool = False,
    **budgets: Any,
) -> Refusal | None:
    return dismissal(probability, floor, worth, too_fast) or excess(key, **budgets)


def ask(
    probability: float = 1.0,
    floor: float | None = None,
    *,
    alive: tuple[str, ...] = (),
    spent: Spent | None = None,
    limits: Limits = LIMITS,
    **expected: Any,
) -> Refusal | None:
    return admit("key", probability, floor, alive=alive, spent=spent or Spent(), limits=limits, **expected)


def test_a_likely_call_within_its_budgets_is_admitted():
    """
    Nothing speaks against it.
    """
    assert ask() is None
    assert ask(alive=("other",), spent=Spent(turn=2, run=19, wasted=9, in_flight=3)) is None


@pytest.mark.parametrize("worth", [0.0, -0.1, -math.inf, math.nan])
def test_under_auto_a_guess_is_launched_if_it_is_worth_it(worth: float):
    """
    However unlikely it is; an owner's floor lets nothing but the probability decide.
    """
    assert ask(0.01, worth=0.001) is None
    assert ask(0.99, worth=worth) is Refusal.NOT_WORTH_IT
    assert ask(0.5, 0.5, worth=worth) is None


def test_under_auto_a_tool_that_answers_at_once_is_left_alone():
    """
    There is nothing to gain, however likely its call is.
    """
    assert ask(worth=1.0, too_fast=True) is Refusal.TOO_FAST
    assert ask(1.0, 0.5, too_fast=True) is None


@pytest.mark.parametrize("floor", PROBABILITY_FLOORS.values(), ids=PROBABILITY_FLOORS)
def test_a_guess_below_its_floor_is_refused(floor: float | None):
    """
    At the floor is enough, and `auto` has none.
    """
    least = 0.0 if floor is None else floor
    assert ask(least, floor) is None
    assert ask(math.nextafter(least, -1), floor) is Refusal.LOW_PROBABILITY


@pytest.mark.parametrize("floor", [None, 0.0, math.nan])
@pytest.mark.parametrize("probability", [math.nan, -math.inf, -1.0])
def test_a_probability_that_is_none_is_refused(probability: float, floor: float | None):
    """
    A predictor that divides by zero launches nothing.
    """
    assert ask(probability, floor) is Refusal.LOW_PROBABILITY


def test_a_call_in_flight_is_not_started_twice():
    """
    Whatever holds the keys.
    """
    assert ask(alive=("other", "key")) is Refusal.DUPLICATE
    assert admit("key", 1.0, None, alive=iter(["key"]), spent=Spent(), limits=LIMITS) is Refusal.DUPLICATE


@pytest.mark.parametrize("refusal", FULL)
def test_a_spent_budget_refuses(refusal: Refusal):
    """
    Each by its own name.
    """
    assert ask(spent=FULL[refusal]) is refusal


@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        (Limits(max_per_turn=0), Refusal.MAX_PER_TURN),
        (Limits(max_in_flight=0), Refusal.MAX_IN_FLIGHT),
        (Limits(max_per_run=0), Refusal.MAX_PER_RUN),
        (Limits(max_wasted_per_run=0), Refusal.MAX_WASTED),
        (Limits(max_wasted_s_per_run=0.0), Refusal.MAX_WASTED_S),
        (Limits(max_wasted_per_thread=0), Refusal.MAX_WASTED_THREAD),
        (Limits(max_in_process=0), Refusal.MAX_IN_PROCESS),
    ],
)
def test_a_budget_of_nothing_launches_nothing(limits: Limits, refusal: Refusal):
    """
    Zero turns running ahead off.
    """
    assert ask(limits=limits) is refusal


@pytest.mark.parametrize(
    ("ghosts", "leaves", "refusal"), [(0, True, None), (1, True, Refusal.MAX_GHOST), (1, False, None)]
)
def test_what_leaves_the_trust_boundary_has_a_budget_of_its_own(ghosts: int, leaves: bool, refusal: Refusal | None):
    """
    Others pay with their privacy for each call that nobody wanted.
    """
    limits = Limits(max_ghost_per_run=1)
    assert admit("key", 1.0, None, alive=(), spent=Spent(ghosts=ghosts), limits=limits, leaves=leaves) is refusal


@pytest.mark.parametrize(
    ("room", "refusal"), [(None, None), (2, None), (1, None), (0, Refusal.CALL_LIMIT), (-1, Refusal.CALL_LIMIT)]
)
def test_the_last_call_a_limit_leaves_may_be_made_early(room: int | None, refusal: Refusal | None):
    """
    None is no limit.
    """
    assert ask(spent=Spent(room=room)) is refusal


def test_every_refusal_has_a_case():
    """
    The names stand in traces and reports; those that a run does not decide alone have theirs in `test_core_restraints`.
    """
    elsewhere = {Refusal.BREAKER, Refusal.COOLING_DOWN, Refusal.SLOTS, Refusal.RATE, Refusal.REMEMBERED}
    likely = {Refusal.LOW_PROBABILITY, Refusal.NOT_WORTH_IT, Refusal.TOO_FAST}
    assert {*FULL, *likely, *elsewhere, Refusal.DUPLICATE, Refusal.MAX_GHOST} == set(Refusal)


counts = st.integers(0, 5)


@given(
    st.builds(
        partial(Spent, in_process=0),
        turn=counts,
        run=counts,
        wasted=counts,
        in_flight=counts,
        ghosts=counts,
        room=st.none() | st.integers(-1, 2),
    ),
    st.builds(
        Limits,
        max_per_turn=counts,
        max_in_flight=counts,
        max_per_run=counts,
        max_wasted_per_run=counts,
        max_ghost_per_run=counts,
    ),
    st.floats(allow_nan=True, allow_infinity=True),
    st.none() | st.floats(0, 1),
    st.sets(st.sampled_from(["key", "other"])),
    st.booleans(),
)
def test_no_launch_exceeds_a_limit(
    spent: Spent, limits: Limits, probability: float, floor: float | None, alive: set[str], leaves: bool
):
    """
    Admitted exactly where one more stays within every budget.
    """
    answer = admit("key", probability, floor, alive=alive, spent=spent, limits=limits, leaves=leaves)
    fits = (
        spent.turn + 1 <= limits.max_per_turn
        and spent.run + 1 <= limits.max_per_run
        and spent.wasted + 1 <= limits.max_wasted_per_run
        and spent.in_flight + 1 <= limits.max_in_flight
        and (not leaves or spent.ghosts + 1 <= limits.max_ghost_per_run)
        and (spent.room is None or spent.room >= 1)
    )
    likely = probability >= (0.0 if floor is None else floor)
    assert (answer is None) is (fits and likely and "key" not in alive)


@given(st.builds(Limits, max_per_turn=counts, max_in_flight=counts, max_per_run=counts, max_wasted_per_run=counts))
def test_launching_as_long_as_it_is_admitted_ends_at_the_smallest_limit(limits: Limits):
    """
    A turn of endless good guesses spends what it may and no more.
    """
    launched = 0
    for number in itertools.count():
        spent = Spent(turn=launched, run=launched, wasted=launched, in_flight=launched)
        if admit(str(number), 1.0, None, alive=(), spent=spent, limits=limits) is not None:
            break
        launched += 1
    assert launched == min(limits.max_per_turn, limits.max_in_flight, limits.max_per_run, limits.max_wasted_per_run)
