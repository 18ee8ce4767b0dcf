"""Events of a run in the order in which they happened, whoever hands them out first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from langgraph_speculate.core import events
from langgraph_speculate.observe.order import InOrder


def turn(number: int, run: str = "r") -> events.Event:
    return events.TurnBegan(run=run, at=float(number), number=number, turn="t")


def closed(number: int, run: str = "r") -> events.Event:
    return events.RunClosed(run=run, at=float(number), number=number, launched=0, hits=0, hidden_s=0.0)


@given(st.permutations([*((run, number) for run in "rq" for number in range(1, 7))]))
def test_each_run_is_told_in_order_however_its_events_come(came: list[tuple[str, int]]) -> None:
    """
    Several runs at once, each in its own order and complete.
    """
    seen: list[events.Event] = []
    ordered = InOrder(seen.append)
    for run, number in came:
        ordered(turn(number, run))
    for run in "rq":
        assert [event.number for event in seen if event.run == run] == [1, 2, 3, 4, 5, 6]


def test_after_the_end_of_a_run_nothing_is_told_of_it() -> None:
    """
    A body that ends later than its run changes no picture that is finished.
    """
    seen: list[events.Event] = []
    ordered = InOrder(seen.append)
    for event in (turn(1), turn(4), closed(3), turn(2), turn(5)):
        ordered(event)
    assert [event.number for event in seen] == [1, 2, 3]


def test_an_event_that_is_lost_holds_up_nothing_for_long() -> None:
    """
    What was dropped, or happened before somebody began to observe, is given up when enough has come after it.
    """
    seen: list[events.Event] = []
    ordered = InOrder(seen.append)
    for number in (1, 2, *range(4, 1000)):
        ordered(turn(number))
    ordered(turn(3))
    ordered(closed(1000))
    assert [event.number for event in seen] == [1, 2, *range(4, 1001)]
