"""The cancel sweep in every run of the tests: 1,500 points, and nothing left at any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from langgraph_speculate.core.gate import Reason
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import Discard
from langgraph_speculate.host import run
from langgraph_speculate.host.attempt import Attempt
from langgraph_speculate.host.run import Run
from langgraph_speculate.host.runner import Runner
from langgraph_speculate.host.threads import THREADS
from tests.sim.bugs import ignoring
from tests.sim.cancelling import WAYS, Point, Tally, campaign, portion
from tests.sim.quiet import pool_given_back

# For tools without arguments, until the branch has "Ask pydantic for its fields by their new name alone".
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:langgraph_speculate")
POINTS = 1_500
JOBS = 2


@pytest.fixture(scope="module")
def tally() -> Tally:
    """What came of the campaign."""
    return campaign(0, POINTS, JOBS)


def test_nothing_is_left_wherever_a_run_ends(tally: Tally) -> None:
    told = [f"{Point(*rest[:3]).command}\n    {' '.join(rest[3:])}" for rest in tally.leaks]
    assert not told, "\n".join(told)
    assert tally.points == POINTS


def test_runs_end_in_every_way_while_something_runs_ahead(tally: Tally) -> None:
    print(f"{tally.wall_s:.0f} s, {tally.launched} early starts, {tally.running} alive at the end, {dict(tally.ways)}")
    assert set(tally.ways) == set(WAYS)
    assert tally.launched > POINTS
    assert tally.running > POINTS // 10
    assert len(tally.shapes) > 30


# -- the checks can fail ---------------------------------------------------------------------------------------------

BREAKS: dict[str, tuple[Callable[[], Any], str, int]] = {}


def breaks(rule: str, portion: int) -> Callable[[Callable[[], Iterator[None]]], None]:
    """Put a way to break the library into the list, with the rule that notices and the portion where it did first."""

    def put(make: Callable[[], Iterator[None]]) -> None:
        BREAKS[make.__name__] = contextmanager(make), rule, portion

    return put


@breaks("run", 0)
def runs_are_never_closed() -> Iterator[None]:
    with patch.object(Run, "close", lambda self: []):
        yield


@breaks("task", 2)
def drains_are_never_cancelled() -> Iterator[None]:
    def close(self: Runner) -> Any:
        winding_down = self.cancel([id for id, attempt in self._attempts.items() if not attempt.work.drain])
        if self._open:
            self._open = False
            THREADS.close()
        return winding_down

    with patch.object(Runner, "close", close):
        yield


@breaks("task", 2)
def the_end_does_not_wait_for_cancelled_tasks() -> Iterator[None]:
    async def wind_down(tasks: Any) -> None:
        return None

    with patch.object(run, "wind_down", wind_down):
        yield


@breaks("speculation", 23)
def what_a_real_call_waits_for_outlives_the_run() -> Iterator[None]:
    def close(self: Session, now: float) -> Any:
        self._drop(list(self.table), "squash", Discard.RUN_ENDED, now)
        self.closed = True
        return []

    with patch.object(Session, "close", close):
        yield


@breaks("threads", 0)
def the_pool_is_never_given_back() -> Iterator[None]:
    with patch.object(THREADS, "close", lambda: None):
        yield


@breaks("write", 4)
def writes_never_end() -> Iterator[None]:
    with patch.object(Session, "end_call", lambda self, tags, now: None):
        yield


@breaks("effect", 1)
def writes_run_ahead() -> Iterator[None]:
    with ignoring(*(reason for reason in Reason if "read" in reason.value or "declared" in reason.value)):
        yield


@breaks("late body", 5)
def a_body_that_waits_for_its_thread_cannot_be_stopped() -> Iterator[None]:
    with patch.object(Attempt, "cancel", lambda self: self.task and self.task.cancel() and None):
        yield


@pytest.mark.parametrize("name", list(BREAKS))
def test_a_broken_library_is_noticed(name: str) -> None:
    broken, rule, first = BREAKS[name]
    found: set[str] = set()
    with pool_given_back(), broken():
        for number in (first, *range(40)):
            found |= {leak for *_, leak, _ in portion(0, number, 25).leaks}
            if rule in found:
                return
    pytest.fail(f"{name} was not noticed as {rule}, only as {found}")
