"""What a guess is worth: benefit and cost in the same seconds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_speculate.core.worth import COORDINATION_S, Estimate, Prices, value, worth

shares = st.floats(0.0, 1.0)
seconds = st.floats(0.0, 100.0)


def least(takes_s: float, hides_s: float, **how: float) -> float:
    """The least probability, in thousandths, from which on a guess is worth it."""
    prices = Prices(thrift=how.pop("thrift", 0.5))
    worths = (worth(step / 1000, Estimate(takes_s, hides_s, **how), prices) for step in range(1001))
    return next((step / 1000 for step, net in enumerate(worths) if net > 0), math.inf)


def test_a_body_that_the_model_leaves_enough_time_is_worth_running_from_a_fifth_on():
    """
    At the thrift that is usual, whatever it takes, as long as that is much more than the coordination.
    """
    assert [least(takes_s, takes_s) for takes_s in (0.1, 1.0, 10.0)] == [pytest.approx(0.203, abs=0.005)] * 3


def test_the_less_of_a_body_is_hidden_the_surer_its_call_must_be():
    """
    Late in a message, or with a tool much slower than the model, little is gained and all of it may be wasted.
    """
    floors = [least(1.0, hides_s) for hides_s in (1.0, 0.5, 0.2, 0.05)]
    assert floors == sorted(floors)
    assert floors[-1] > 0.7


def test_thrift_goes_from_the_fastest_to_the_cheapest():
    """
    At 0 anything that may save is run, at 1 only what is likely.
    """
    floors = [least(1.0, 1.0, thrift=thrift) for thrift in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert floors == sorted(floors)
    assert floors[0] == 0.001
    assert floors[-1] == pytest.approx(0.67, abs=0.01)


def test_money_is_weighed_against_the_time_of_those_who_wait():
    """
    A call for a cent is worth it where a second is worth a cent, unless it is unlikely; thrift 0 asks no price.
    """
    assert least(1.0, 1.0, cost=0.01) == pytest.approx(0.56, abs=0.01)
    assert least(1.0, 1.0, cost=0.01, thrift=0.0) == 0.001
    dear = Estimate(1.0, 1.0, cost=1.0)
    assert worth(0.9, dear, Prices(value_per_second=0.01)) < 0 < worth(0.9, dear, Prices(value_per_second=1.0))


def test_a_crowd_makes_a_guess_dearer():
    """
    The fuller what it needs is, the likelier it keeps somebody waiting for nothing; gains shrink smoothly to none.
    """
    floors = [least(1.0, 1.0, crowding=crowding) for crowding in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert floors == sorted(floors)
    assert floors[0] < 0.21
    assert floors[-1] > 0.5


def test_a_tool_that_answers_within_ten_times_the_coordination_is_too_fast():
    """
    There is nothing to gain.
    """
    assert Estimate(9 * COORDINATION_S, 1.0).too_fast
    assert not Estimate(11 * COORDINATION_S, 1.0).too_fast


@given(shares, seconds, shares, st.floats(0.0, 10.0), shares, shares)
def test_nothing_is_worth_more_than_what_it_hides(
    probability: float, takes_s: float, hidden: float, cost: float, crowding: float, thrift: float
):
    """
    And what never comes true is worth less than nothing.
    """
    expected = Estimate(takes_s, hidden * takes_s, cost, crowding)
    prices = Prices(thrift=thrift)
    assert worth(probability, expected, prices) <= probability * hidden * takes_s - COORDINATION_S + 1e-9
    assert worth(0.0, expected, prices) < 0


def test_what_is_no_probability_is_worth_nothing():
    """
    A predictor that divides by zero launches nothing, and comes last.
    """
    assert worth(math.nan, Estimate(1.0, 1.0), Prices()) == -math.inf


@given(shares, seconds, st.floats(0.0, 10.0))
def test_what_was_gained_and_lost_is_valued_as_it_was_expected(thrift: float, takes_s: float, cost: float):
    """
    A breaker that measures and the admission that expects use the same prices.
    """
    prices = Prices(thrift=thrift)
    hit = value(hidden_s=takes_s, wasted_s=0.0, cost=0.0, prices=prices)
    waste = value(hidden_s=0.0, wasted_s=takes_s, cost=cost, prices=prices)
    assert hit == pytest.approx(worth(1.0, Estimate(takes_s, takes_s, cost), prices))
    assert waste == pytest.approx(worth(0.0, Estimate(takes_s, takes_s, cost), prices))
