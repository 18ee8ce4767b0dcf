"""What is known of durations and leads: distributions, with what was stopped counted for what it tells."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_speculate.core.latency import LEFT, TOOK, UNKNOWN_TOOL_S, Latencies
from langgraph_speculate.core.pace import Pace
from langgraph_speculate.core.sketch import Sketch, bucket_of, shorter_of
from langgraph_speculate.core.speculation import Stage
from langgraph_speculate.core.sums import add_to

seconds = st.floats(0.0002, 3600.0)


def sketch_of(*durations: float, ended: bool = True) -> Sketch:
    sketch = Sketch()
    for duration in durations:
        sketch.add(duration, ended=ended)
    return sketch


def lognormal(median: float, sigma: float, count: int = 400, seed: int = 0) -> list[float]:
    chance = random.Random(seed)
    return [median * chance.lognormvariate(0, sigma) for _ in range(count)]


# -- a distribution ----------------------------------------------------------------------------------------------------


@given(st.lists(seconds, min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_quantile_is_off_by_a_tenth_at_most(durations: list[float], share: float):
    """
    However many observations there are, it lies within a tenth of one of them.
    """
    value = sketch_of(*durations).quantile(share)
    assert min(durations) / 1.11 <= value <= max(durations) * 1.11
    assert any(duration / 1.11 <= value <= duration * 1.11 for duration in durations)


def test_the_expected_minimum_of_two_is_that_of_their_pairs():
    """
    What a body hides is the shorter of its own time and of the time that the model leaves it.
    """
    bodies, leads = lognormal(1.0, 0.5), lognormal(1.2, 0.6, seed=1)
    pairs = [min(body, lead) for body in bodies for lead in leads]
    assert shorter_of(sketch_of(*bodies).curve, sketch_of(*leads).curve) == pytest.approx(
        statistics.mean(pairs), rel=0.1
    )
    assert sketch_of(*bodies).mean() == pytest.approx(statistics.mean(bodies), rel=0.1)


def test_what_has_passed_already_is_not_left():
    """
    Half a second into the model's message only the rest of it can hide anything.
    """
    bodies, leads = lognormal(1.0, 0.5), lognormal(1.2, 0.6, seed=1)
    left = [lead - 0.5 for lead in leads if lead > 0.5]
    pairs = [min(body, lead) for body in bodies for lead in left]
    assert shorter_of(sketch_of(*bodies).curve, sketch_of(*leads).left(0.5)) == pytest.approx(
        statistics.mean(pairs), rel=0.15
    )
    assert shorter_of(sketch_of(1.0).curve, sketch_of(1.0).left(50.0)) < 0.001


def test_a_body_that_was_stopped_took_at_least_as_long():
    """
    Without the censored half the mean would be far too short; with it as if it had ended, too.
    """
    bodies = lognormal(1.0, 0.6)
    censored, naive = Sketch(), Sketch()
    for number, body in enumerate(bodies):
        stopped = number % 2 and body > 0.7
        censored.add(0.7 if stopped else body, ended=not stopped)
        naive.add(0.7 if stopped else body)
    assert censored.mean() == pytest.approx(statistics.mean(bodies), rel=0.1)
    assert naive.mean() < 0.9 * statistics.mean(bodies)


def test_old_observations_fade():
    """
    A tool that has become slow is known as slow before long.
    """
    sketch = sketch_of(*[0.1] * 500)
    for _ in range(600):
        sketch.add(2.0)
    assert sketch.quantile(0.5) > 1.5


@pytest.mark.parametrize("strange", [0.0, -1.0, float("nan"), 1e12, float("inf")])
def test_any_number_has_a_bucket(strange: float):
    """
    Clocks that go back, and bodies that run for ever, break nothing.
    """
    assert 0 <= bucket_of(strange) <= 100
    assert sketch_of(strange).mean() >= 0


# -- tools and models --------------------------------------------------------------------------------------------------


def test_a_few_observations_are_an_anecdote():
    """
    One call that was answered from a cache does not make a tool fast.
    """
    latencies = Latencies()
    for _ in range(3):
        latencies.took("search", 0.001)
    assert latencies.ahead("").of("search").takes_s == pytest.approx(UNKNOWN_TOOL_S, rel=0.1)
    latencies.took("search", 0.001)
    assert latencies.ahead("").of("search").takes_s < 0.002


def test_patience_follows_the_slowest_bodies_but_not_a_single_outlier_for_ever():
    """
    Three times as long as all but few take, and a quarter second for the jitter of fast tools; never beyond the cap.
    """
    latencies = Latencies()
    assert latencies.patience("search", cap_s=12.5) == 12.5
    for duration in (0.1, 2.0, 0.5):
        latencies.took("search", duration)
    assert latencies.patience("search", cap_s=60.0) == pytest.approx(6.25, rel=0.1)
    assert latencies.patience("search", cap_s=1.0) == 1.0
    for _ in range(100):
        latencies.took("search", 0.5)
    assert latencies.patience("search", cap_s=60.0) == pytest.approx(1.75, rel=0.1)


def test_a_hedge_waits_until_few_bodies_are_still_at_it():
    """
    The 95th percentile; nobody knows it of a tool that was hardly seen.
    """
    latencies = Latencies()
    for number in range(40):
        assert (latencies.hedge_after("search") is None) is (number < 16)
        latencies.took("search", 0.1 if number % 10 else 0.11)
    latencies.took("search", 3.0)
    assert latencies.hedge_after("search") == pytest.approx(0.11, rel=0.15)


@pytest.mark.parametrize("seconds", [0.4, 0.8, 1.08, 2.7])
def test_a_tool_that_always_takes_the_same_is_never_hedged(seconds: float):
    """
    Times are known to a fifth only: a hedge waits for the end of the bucket, or it would start a second body each time.
    """
    latencies = Latencies()
    for _ in range(32):
        latencies.took("search", seconds)
    assert latencies.hedge_after("search") > seconds


def test_a_tool_that_answers_at_once_is_not_hedged_at_once():
    """
    A second body costs more than a late thread.
    """
    latencies = Latencies()
    for _ in range(32):
        latencies.took("look", 0.0002)
    assert latencies.hedge_after("look") == 0.05


def test_the_lead_depends_on_the_model_the_stage_and_how_far_ahead():
    """
    A slow model hides more of a slow tool; a message that is half written hides less.
    """
    latencies = Latencies()
    for _ in range(20):
        latencies.took("report", 3.0)
        latencies.left("fast", Stage.BEGIN, 1, 0.5)
        latencies.left("slow", Stage.BEGIN, 1, 4.0)
        latencies.left("slow", Stage.NAME, 1, 0.2)
        latencies.left("fast", Stage.BEGIN, 2, 2.0)
    hides = [
        latencies.ahead("slow").of("report").hides_s,
        latencies.ahead("fast", depth=2).of("report").hides_s,
        latencies.ahead("fast").of("report").hides_s,
        latencies.ahead("slow", Stage.NAME).of("report").hides_s,
    ]
    assert hides == [pytest.approx(expected, rel=0.1) for expected in (3.0, 2.0, 0.5, 0.2)]


def test_models_whose_names_never_come_again_take_no_room():
    """
    Names that change with each deployment, or with each call.
    """
    latencies = Latencies()
    for number in range(1000):
        latencies.left(f"model-{number}", Stage.BEGIN, 1, 1.0)
    assert len({key[1] for key in latencies.take()}) == 64


# -- keeping -----------------------------------------------------------------------------------------------------------


def test_what_was_learned_survives_as_sums_that_merge_in_any_order():
    """
    Two processes that each saw a half know together what one would have known.
    """
    halves = [Latencies(), Latencies()]
    for number, duration in enumerate(lognormal(0.8, 0.5, count=200)):
        halves[number % 2].took("search", duration, ended=number % 5 > 0)
        halves[number % 2].left("gpt", Stage.BEGIN, 1, 2 * duration)
    totals = {}
    for half in reversed(halves):
        add_to(totals, half.take().items())
        assert not half.take()
    revived = Latencies()
    revived.give(totals)
    assert revived.ahead("").of("search").takes_s == pytest.approx(halves[0].ahead("").of("search").takes_s, rel=0.15)
    assert revived.ahead("gpt").of("search").hides_s == pytest.approx(
        halves[1].ahead("gpt").of("search").hides_s, rel=0.15
    )
    assert not revived.take()  # what was read is not written again


def test_the_past_weighs_no_more_than_a_day():
    """
    A million calls of last year are outvoted by a few hundred of today.
    """
    latencies = Latencies()
    latencies.give({(TOOK, "search", str(bucket_of(5.0))): (1e6, 1e6)})
    assert latencies.ahead("").of("search").takes_s > 4
    for _ in range(300):
        latencies.took("search", 0.1)
    assert latencies.ahead("").of("search").takes_s < 1.5


@pytest.mark.parametrize(
    "key",
    [
        (),
        (TOOK,),
        (TOOK, "search"),
        (TOOK, "search", "x"),
        (TOOK, "search", "-1"),
        (TOOK, "search", "101"),
        (LEFT, "gpt", "begin", "51"),
        ("next", "a", "b"),
    ],
)
def test_rubbish_in_a_store_is_left_out(key: tuple[str, ...]):
    """
    Whoever wrote it.
    """
    latencies = Latencies()
    latencies.give({key: (1.0, 1.0), (TOOK, "search", "51"): (3.0, 2.0), (TOOK, "search", "50"): (-1.0, 4.0)})
    assert latencies.ahead("").of("search").takes_s == pytest.approx(UNKNOWN_TOOL_S, rel=0.1)


# -- moments -----------------------------------------------------------------------------------------------------------


def test_a_step_teaches_each_of_its_moments_once():
    """
    The first call of a step tells how long its model took from each moment on, and how long since the steps before.
    """
    latencies = Latencies()
    pace = Pace(latencies, max_depth=2)
    for start in (0.0, 10.0, 20.0, 30.0, 40.0):
        pace.began("gpt", start)
        pace.reached(Stage.NAME, start + 3.0)
        pace.reached(Stage.NAME, start + 3.5)
        assert pace.elapsed(Stage.NAME, start + 3.7) == pytest.approx(0.7)
        pace.arrived(start + 4.0)
        pace.arrived(start + 9.0)
    for _ in range(20):
        latencies.took("slow", 100.0)
    assert latencies.ahead("gpt").of("slow").hides_s == pytest.approx(4.0, rel=0.1)
    assert latencies.ahead("gpt", Stage.NAME).of("slow").hides_s == pytest.approx(1.0, rel=0.1)
    assert latencies.ahead("gpt", depth=2).of("slow").hides_s == pytest.approx(14.0, rel=0.1)
