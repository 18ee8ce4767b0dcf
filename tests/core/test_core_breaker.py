"""Breakers: what costs more than it saves is held back, and comes back when its guesses come true."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_speculate.core.breaker import LEAST, LEAST_OF_GRAPH, LONGEST, PROBES, WINDOW, Breaker, Breakers

COOL_S = 60.0


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(LEAST, COOL_S)
    for _ in range(LEAST):
        breaker.settled(-0.1, now)
    assert breaker.state == "off"
    return breaker


def probe(breaker: Breaker, value: float, now: float) -> None:
    for _ in range(PROBES):
        assert not breaker.refuses(now)
        breaker.launched()
    for _ in range(PROBES):
        breaker.settled(value, now)


def test_few_guesses_say_nothing():
    """
    However bad they are.
    """
    breaker = Breaker(LEAST, COOL_S)
    for _ in range(LEAST - 1):
        breaker.settled(-1000.0, 0.0)
    assert not breaker.refuses(0.0)
    breaker.settled(-0.001, 0.0)
    assert breaker.refuses(0.0)


def test_waste_that_pays_is_no_reason():
    """
    One second that nobody waited is worth many tenths that nobody wanted.
    """
    breaker = Breaker(LEAST, COOL_S)
    for number in range(10 * WINDOW):
        breaker.settled(1.0 if number % 8 == 0 else -0.1, 0.0)
    assert breaker.state == "on"


@given(before=st.lists(st.floats(-1.0, 100.0), max_size=200), each=st.floats(-10.0, -0.0005))
def test_content_that_turns_all_wrong_is_off_within_fifty_guesses(before: list[float], each: float):
    """
    Whatever was before, and however little each costs.
    """
    breaker = Breaker(LEAST, COOL_S)
    for value in before:
        breaker.settled(value, 0.0)
    for _ in range(50):
        breaker.settled(each, 1.0)
    assert breaker.state != "on"


def test_it_is_probed_with_a_few_launches_after_the_pause():
    """
    Not one more than the probes, until those have settled.
    """
    breaker = opened()
    assert breaker.refuses(COOL_S - 0.1)
    for _ in range(PROBES):
        assert not breaker.refuses(COOL_S)
        breaker.launched()
    assert breaker.refuses(COOL_S)


def test_probes_that_pay_turn_it_on_again():
    """
    And the waste from before is forgotten.
    """
    breaker = opened()
    probe(breaker, 0.5, COOL_S)
    assert breaker.state == "on"
    assert breaker.worth == pytest.approx(PROBES * 0.5)


def test_each_time_it_stays_off_twice_as_long_up_to_a_bound():
    """
    Probes of what never pays become rare.
    """
    breaker, pauses, now = opened(), [COOL_S], 0.0
    for _ in range(8):
        now = breaker.due
        probe(breaker, -0.1, now)
        assert breaker.state == "off"
        pauses.append(breaker.pause_s)
    assert all(later == min(2 * sooner, LONGEST * COOL_S) for sooner, later in pairwise(pauses))
    assert pauses[-1] == LONGEST * COOL_S


def test_a_window_that_went_well_makes_its_next_pause_short_again():
    """
    A bad day is not held against it for ever; going off at once again is.
    """
    for good, pause in ((WINDOW, COOL_S), (0, 2 * COOL_S)):
        breaker = opened()
        probe(breaker, 0.1, COOL_S)
        for value in [0.1] * good + [-1.0] * WINDOW:
            breaker.settled(value, COOL_S)
        assert (breaker.state, breaker.pause_s) == ("off", pause)


def test_guesses_that_come_true_unheard_bring_the_probe_closer():
    """
    What the model then asks for shows for nothing whether guessing would have paid.
    """
    breaker = opened()
    for value in (-0.2, 1.0, -0.2, -0.2):
        breaker.foresaw(value)
    assert breaker.refuses(COOL_S / 8 - 0.1)
    assert not breaker.refuses(COOL_S / 8)


def test_guesses_that_come_true_too_seldom_wait_as_long_as_ever():
    """
    One in eight does not pay for seven.
    """
    breaker = opened()
    for value in (1.0, *[-0.2] * 7):
        breaker.foresaw(value)
    assert breaker.due == COOL_S


def test_guesses_that_never_come_true_put_the_probe_off():
    """
    Far, but not for ever.
    """
    breaker = opened()
    for _ in range(8):
        breaker.foresaw(-0.2)
    assert breaker.refuses(LONGEST * COOL_S - 0.1)
    assert not breaker.refuses(LONGEST * COOL_S)


def test_probes_that_never_settle_do_not_keep_it_waiting_for_ever():
    """
    A body may hang.
    """
    breaker = opened()
    for _ in range(PROBES):
        assert not breaker.refuses(COOL_S)
        breaker.launched()
    assert breaker.refuses(2 * COOL_S - 0.1)
    assert not breaker.refuses(2 * COOL_S)


def test_what_was_launched_before_says_nothing_about_the_pause():
    """
    Bodies that drain end after the switch.
    """
    breaker = opened()
    breaker.settled(1000.0, 1.0)
    assert breaker.state == "off"


def test_a_pause_of_no_time_is_none():
    """
    `cool_down_s = 0` turns breakers off.
    """
    breakers = Breakers({}, cool_down_s=0.0)
    for _ in range(200):
        breakers.settled("s", "t", -1.0, 0.0)
    assert not breakers.refuses("s", "t", 0.0)
    assert breakers.take_switches() == []


# -- one for each pattern, each tool and the graph -------------------------------------------------------------------


def run_all_wrong(breakers: Breakers, draw: Callable[[int], tuple[str, str]], predictions: int) -> list[int]:
    """Which predictions were launched, all of them in vain."""
    launched = []
    for number in range(predictions):
        source, tool = draw(number)
        if not breakers.refuses(source, tool, float(number) / 100):
            breakers.launched(source, tool)
            breakers.settled(source, tool, -0.01, float(number) / 100)
            launched.append(number)
    return launched


@pytest.mark.parametrize("tools", [1, 2, 3, 7, 40])
@pytest.mark.parametrize("sources", [1, 5])
def test_all_wrong_content_is_off_within_fifty_predictions(tools: int, sources: int):
    """
    Also one whose guesses go round among tools and give another source each time.
    """
    breakers = Breakers({}, COOL_S)
    launched = run_all_wrong(breakers, lambda n: (f"source {n % sources}", f"tool {n % tools}"), 3000)
    assert len(launched) <= 50
    assert launched[-1] < 50


@pytest.mark.parametrize("seed", range(20))
def test_a_bad_tool_goes_off_and_the_good_ones_stay(seed: int):
    """
    A tool whose guesses are all wrong is held back, the pattern and the tool; the graph goes on.
    """
    draw, breakers = random.Random(seed), Breakers({}, COOL_S)
    for number in range(400):
        tool = draw.choice(["good", "bad"])
        if not breakers.refuses("s", tool, float(number) / 100):
            value = -0.05 if tool == "bad" or draw.random() < 0.5 else 0.3
            breakers.settled("s", tool, value, float(number) / 100)
    assert breakers.refuses("s", "bad", 4.0)
    assert not breakers.refuses("s", "good", 4.0)
    assert {switch.scope for switch in breakers.take_switches()} == {"pattern", "tool"}


def test_a_bad_pattern_leaves_its_tool_to_the_others():
    """
    Of two sources of guesses for one tool, one is always wrong.
    """
    breakers = Breakers({}, COOL_S)
    for _ in range(2 * LEAST):
        for source, value in (("habits", 0.3), ("hunches", -0.1)):
            if not breakers.refuses(source, "search", 0.0):
                breakers.settled(source, "search", value, 0.0)
    assert breakers.refuses("hunches", "search", 0.0)
    assert not breakers.refuses("habits", "search", 0.0)


def test_a_switch_tells_the_figures_that_caused_it():
    """
    When, what, how much it was worth, out of how many, and for how long it is off.
    """
    breakers = Breakers({}, COOL_S)
    for _ in range(LEAST_OF_GRAPH):
        breakers.settled("s", "t", -0.25, 7.0)
    switches = breakers.take_switches()
    assert [(s.scope, s.name, s.state, s.settled, s.worth_s, s.pause_s, s.at) for s in switches] == [
        ("pattern", "s: t", "off", LEAST, -0.25 * LEAST, COOL_S, 7.0),
        ("tool", "t", "off", LEAST, -0.25 * LEAST, COOL_S, 7.0),
        ("graph", "", "off", LEAST_OF_GRAPH, -0.25 * LEAST_OF_GRAPH, COOL_S, 7.0),
    ]
    assert breakers.take_switches() == []


def test_the_end_of_a_pause_and_its_outcome_are_told_too():
    """
    Off, probing, on: each with its time.
    """
    breakers = Breakers({}, COOL_S)
    for _ in range(LEAST):
        breakers.settled("s", "t", -0.25, 0.0)
    for _ in range(PROBES):
        assert not breakers.refuses("s", "t", COOL_S)
        breakers.launched("s", "t")
    for _ in range(PROBES):
        breakers.settled("s", "t", 0.5, COOL_S + 1)
    told = [(s.scope, s.state, s.at) for s in breakers.take_switches() if s.scope == "tool"]
    assert told == [("tool", "off", 0.0), ("tool", "probing", COOL_S), ("tool", "on", COOL_S + 1)]


def test_only_what_is_off_is_scored_without_running():
    """
    A guess that the graph's breaker held back says nothing about a pattern that is on.
    """
    breakers = Breakers({}, COOL_S)
    for number in range(LEAST_OF_GRAPH):
        breakers.settled("s", f"tool {number}", -0.25, 0.0)
    for _ in range(4):
        breakers.foresaw("s", "fresh", 1.0)
    assert not breakers.refuses("s", "fresh", COOL_S / 8)
    told = [(s.scope, s.state) for s in breakers.take_switches()]
    assert told == [("graph", "off"), ("graph", "probing")]
