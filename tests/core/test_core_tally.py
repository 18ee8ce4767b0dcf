"""How many more bodies a tool may have, run by run and over a thread."""

from __future__ import annotations

from collections import Counter

import pytest

from langgraph_speculate.core.tally import Tally
from langgraph_speculate.policy import ToolPolicy

UNLIMITED = ToolPolicy()


def test_without_a_limit_there_is_no_number():
    """
    None is no limit; a number is how many more.
    """
    tally = Tally(Counter())
    tally.launched("search")
    assert tally.room("search", UNLIMITED, asked=3, headroom=None) is None


@pytest.mark.parametrize(("early", "real", "room"), [(0, 0, 5), (1, 0, 4), (0, 2, 3), (1, 2, 2), (3, 4, -2)])
def test_a_limit_per_run_counts_real_and_early_bodies(early: int, real: int, room: int):
    """
    Whoever started them, they cost the same.
    """
    tally = Tally(Counter({"search": 7}))
    for _ in range(early):
        tally.launched("search")
    for _ in range(real):
        tally.settled("search")
    tally.launched("other")
    tally.settled("other")
    assert tally.room("search", ToolPolicy(run_limit=5), asked=9, headroom=None) == room


def test_a_limit_per_thread_counts_what_was_asked_and_what_nobody_adopted():
    """
    Bodies of earlier runs count, real ones as the model's questions and early ones as they were noted.
    """
    thread = Counter({"search": 2})
    tally = Tally(thread)
    tally.launched("search")
    tally.launched("other")
    assert tally.room("search", ToolPolicy(thread_limit=10), asked=4, headroom=None) == 10 - 4 - 3
    assert thread == {"search": 3, "other": 1}


def test_an_adopted_body_is_one_and_not_two():
    """
    The real call did not run its own, so the early one counts as the real one, in the run and in the thread.
    """
    thread: Counter[str] = Counter()
    tally = Tally(thread)
    limits = ToolPolicy(run_limit=5, thread_limit=9)
    for _ in range(3):
        tally.launched("search")
    tally.settled("search")
    tally.adopted("search")
    assert thread == {"search": 2}
    assert tally.room("search", ToolPolicy(run_limit=5), asked=1, headroom=None) == 5 - 3
    assert tally.room("search", limits, asked=1, headroom=None) == 5 - 3
    assert tally.room("search", UNLIMITED, asked=1, headroom=4) == 4 - 2


def test_room_kept_elsewhere_is_for_all_tools_together():
    """
    An early body of any tool takes from it; what really ran was counted there already.
    """
    tally = Tally(Counter())
    tally.launched("search")
    tally.launched("other")
    tally.settled("other")
    assert tally.room("search", UNLIMITED, asked=0, headroom=6) == 4


@pytest.mark.parametrize(("run", "thread", "headroom", "room"), [(2, 9, 9, 2), (9, 2, 9, 2), (9, 9, 2, 2)])
def test_the_tightest_limit_counts(run: int, thread: int, headroom: int, room: int):
    """
    Whichever it is.
    """
    policy = ToolPolicy(run_limit=run, thread_limit=thread)
    assert Tally(Counter()).room("search", policy, asked=0, headroom=headroom) == room
