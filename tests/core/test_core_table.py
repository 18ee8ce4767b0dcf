"""The in-flight table by itself: what answers a call, what is counted, what is forgotten."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.speculation import Discard, Speculation, State
from langgraph_speculate.core.table import Table
from langgraph_speculate.errors import IllegalTransition

SEVEN = Call("get", {"id": 7})


def launched(table: Table, number: int, call: Call = SEVEN, venue: str = "thread") -> Speculation:
    settings: dict[str, Any] = {"id": f"r:{number}", "call": call, "turn": "t", "step": 0, "probability": 0.5}
    settings |= {"source": "", "venue": venue, "reads": frozenset(), "epoch": 0, "ttl_s": 10.0, "scope": "step"}
    speculation = Speculation(**settings, drain=True, launched_at=0.0)
    table.launch(speculation)
    return speculation


def ledger(table: Table) -> tuple[int, int, dict[Discard, int], int, int]:
    return table.issued, table.committed, dict(table.discarded), len(table), table.in_flight


def test_an_empty_table_adds_up():
    """
    Nothing issued, nothing alive, nothing running.
    """
    table = Table()
    assert ledger(table) == (0, 0, {}, 0, 0)
    assert list(table) == []
    assert table.get("r:1") is None
    assert table.candidates_for(SEVEN.key, "thread") == []


def test_finished_ones_answer_before_older_ones_that_run():
    """
    A result at hand beats a result to come; among equals the oldest is first.
    """
    table = Table()
    first, second, third = (launched(table, number) for number in (1, 2, 3))
    table.finish("r:3", Outcome(), 1.0, None)
    assert table.candidates_for(SEVEN.key, "thread") == [third, first, second]


def test_another_call_another_venue_and_another_waiter_do_not_match():
    """
    Only what the call itself would do, where it would do it, and not what is promised to somebody already.
    """
    table = Table()
    launched(table, 1, Call("get", {"id": "7"}))
    launched(table, 2, venue="task")
    table.match(launched(table, 3))
    assert table.candidates_for(SEVEN.key, "thread") == []


def test_a_finished_match_is_committed_and_forgotten():
    """
    It stays in the ledger, and its result is no longer held by the table.
    """
    table = Table()
    speculation = launched(table, 1)
    table.finish("r:1", Outcome("value"), 1.0, None)
    table.match(speculation)
    assert (speculation.state, speculation.outcome) == (State.COMMITTED, Outcome("value"))
    assert table.get("r:1") is None
    assert ledger(table) == (1, 1, {}, 0, 0)


def test_a_running_match_is_committed_by_its_end():
    """
    Promoted first; the outcome decides.
    """
    table = Table()
    speculation = launched(table, 1)
    table.match(speculation)
    assert ledger(table) == (1, 0, {}, 1, 1)
    table.finish("r:1", Outcome("value"), 1.0, None)
    assert speculation.state is State.COMMITTED
    assert ledger(table) == (1, 1, {}, 0, 0)


@pytest.mark.parametrize("promoted", [False, True])
def test_an_outcome_that_cannot_be_used_ends_it(promoted: bool):
    """
    Also for the call that waits: it runs itself.
    """
    table = Table()
    speculation = launched(table, 1)
    if promoted:
        table.match(speculation)
    table.finish("r:1", Outcome("value"), 1.0, Discard.TOO_LARGE)
    assert (speculation.state, speculation.reason, speculation.outcome) == (State.DISCARDED, Discard.TOO_LARGE, None)
    assert ledger(table) == (1, 0, {Discard.TOO_LARGE: 1}, 0, 0)


def test_a_discarded_body_counts_as_in_flight_until_it_ends():
    """
    A body that drains takes a slot as much as any other.
    """
    table = Table()
    speculation = launched(table, 1)
    table.discard(speculation, "squash", Discard.CONTRADICTED)
    assert ledger(table) == (1, 0, {Discard.CONTRADICTED: 1}, 0, 1)
    assert list(table) == []
    table.finish("r:1", Outcome("value"), 1.0, None)
    assert speculation.reason is Discard.CONTRADICTED
    assert speculation.outcome is None
    assert ledger(table) == (1, 0, {Discard.CONTRADICTED: 1}, 0, 0)


def test_the_ledger_counts_every_commit_and_every_discard():
    """
    Not only whether there was one.
    """
    table = Table()
    for number in (1, 2, 3):
        speculation = launched(table, number)
        table.finish(speculation.id, Outcome(), 1.0, None)
        table.match(speculation)
    for number in (4, 5):
        table.discard(launched(table, number), "squash", Discard.STALE)
    assert ledger(table) == (5, 3, {Discard.STALE: 2}, 0, 2)


def test_only_the_first_end_of_a_body_counts():
    """
    A second report, or one of something unknown, is nothing.
    """
    table = Table()
    speculation = launched(table, 1)
    assert table.finish("r:1", Outcome("first"), 1.0, None) is speculation
    assert table.finish("r:1", Outcome("second"), 2.0, Discard.FAILED) is None
    assert table.finish("r:2", Outcome("forged"), 2.0, None) is None
    assert (speculation.outcome, speculation.ended_at) == (Outcome("first"), 1.0)
    assert ledger(table) == (1, 0, {}, 1, 0)


def test_an_illegal_step_leaves_the_ledger_alone():
    """
    What raised was not counted.
    """
    table = Table()
    speculation = launched(table, 1)
    table.match(speculation)
    for event in ("preempt", "squash", "expire"):
        with pytest.raises(IllegalTransition):
            table.discard(speculation, event, Discard.PREEMPTED)
    with pytest.raises(IllegalTransition):
        table.match(speculation)
    assert ledger(table) == (1, 0, {}, 1, 1)


def test_the_table_may_change_while_it_is_walked():
    """
    Dropping what one finds is the usual reason to walk it.
    """
    table = Table()
    for number in (1, 2, 3):
        launched(table, number)
    for speculation in table:
        table.discard(speculation, "squash", Discard.STALE)
    assert ledger(table) == (3, 0, {Discard.STALE: 3}, 0, 3)
