"""How long a real call waits for a running body before it runs itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_speculate.core.durations import Durations

seconds = st.floats(0, 1e6)


def test_an_unknown_tool_gets_the_whole_time():
    """
    Without experience, the attempt's own deadline decides.
    """
    assert Durations().patience("search", cap_s=12.5) == 12.5


def test_patience_follows_the_slowest_recent_body():
    """
    Three times the slowest, and a quarter of a second for the jitter of fast tools.
    """
    durations = Durations()
    for duration in (0.1, 2.0, 0.5):
        durations.add("search", duration)
    assert durations.patience("search", cap_s=60.0) == 6.25


def test_patience_of_a_tool_that_takes_no_time_is_not_zero():
    """
    A body that takes microseconds may wait for its thread.
    """
    durations = Durations()
    durations.add("now", 0.0)
    assert durations.patience("now", cap_s=60.0) == 0.25


def test_an_old_outlier_is_forgotten():
    """
    One slow call does not make every later call wait.
    """
    durations = Durations()
    durations.add("search", 10.0)
    for _ in range(32):
        durations.add("search", 1.0)
    assert durations.patience("search", cap_s=60.0) == 3.25


def test_tools_do_not_share_their_durations():
    """
    A slow tool says nothing about a fast one.
    """
    durations = Durations()
    durations.add("slow", 10.0)
    assert durations.patience("fast", cap_s=5.0) == 5.0


@pytest.mark.parametrize("cap_s", [0.0, 1.0])
def test_the_cap_is_kept(cap_s: float):
    """
    No call waits longer than an attempt may run.
    """
    durations = Durations()
    durations.add("search", 100.0)
    assert durations.patience("search", cap_s=cap_s) == cap_s


@given(st.lists(seconds, max_size=50), seconds)
def test_patience_lies_between_the_slowest_recent_body_and_the_cap(durations: list[float], cap_s: float):
    """
    A body as slow as any recent one is waited for, as far as the cap allows.
    """
    record = Durations()
    for duration in durations:
        record.add("search", duration)
    patience = record.patience("search", cap_s=cap_s)
    assert 0 <= patience <= cap_s
    assert patience >= min(cap_s, max(durations[-32:], default=0.0))
