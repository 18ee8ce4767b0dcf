"""Slots: which early bodies may hold one, and which leave when a real call finds none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_speculate.core.slots import Guest, Slots, can_be_stopped


def guest(worth: float = 1.0) -> Guest:
    return Guest(worth, lambda: True)


def filled(count: int, *guests: Guest) -> Slots:
    slots = Slots(count)
    for one in guests:
        slots.began_early()
        slots.came(one)
    return slots


@pytest.mark.parametrize(
    ("venue", "drain", "can"), [("task", False, True), ("task", True, False), ("thread", 0, False)]
)
def test_only_a_task_that_need_not_finish_can_be_stopped(venue: str, drain: bool, can: bool):
    """
    Nothing stops a thread, and what drains is left to finish.
    """
    assert can_be_stopped(venue, drain) is can


def test_a_body_that_can_be_stopped_may_have_all_but_the_last():
    """
    However many calls there have been: it gives its slot back to the first that needs it.
    """
    slots = Slots(4)
    for _ in range(4):
        slots.began(0.0)
    for _ in range(4):
        slots.ended()
    granted = 0
    while slots.has_room(1.0, stoppable=True):
        slots.began_early()
        granted += 1
    assert granted == 3
    assert not Slots(1).has_room(0.0, stoppable=True)
    assert not Slots(0).has_room(0.0, stoppable=True)


def test_one_that_cannot_leaves_what_real_calls_have_held():
    """
    At their busiest of late, with a square root on top, and one more.
    """

    def granted(slots: Slots, now: float) -> int:
        count = 0
        while slots.has_room(now, stoppable=False):
            slots.began_early()
            count += 1
        for _ in range(count):
            slots.ended_early()
        return count

    slots = Slots(8)
    assert granted(slots, 0.0) == 5  # and two for the root, one for a real call
    for _ in range(3):
        slots.began(1.0)
    for _ in range(3):
        slots.ended()
    slots.began(2.0)
    assert granted(slots, 2.0) == granted(slots, 301.0) == 5 - 3
    assert granted(slots, 301.5) == 5 - 1


@pytest.mark.parametrize("stoppable", [True, False])
def test_a_single_slot_is_for_real_calls(stoppable: bool):
    """
    One that is taken early could keep one waiting, if only for a moment.
    """
    assert not Slots(1).has_room(0.0, stoppable=stoppable)
    assert Slots(2).has_room(0.0, stoppable=stoppable)
    assert Slots(None).has_room(0.0, stoppable=stoppable)


def test_the_one_worth_least_leaves_first():
    """
    Of equals the one that came last, because it has done least; and no more than have to.
    """
    good, first, second = guest(2.0), guest(1.0), guest(1.0)
    slots = filled(4, good, first, second)
    slots.began(0.0)
    assert slots.in_the_way() is None
    for leaves in (second, first, good):
        slots.began(0.0)
        assert slots.in_the_way() is leaves
        assert slots.in_the_way() is None
    slots.began(0.0)
    assert slots.in_the_way() is None


def test_a_guest_that_stays_is_not_asked_again():
    """
    A real call waits for it; another one leaves instead.
    """
    wanted, other = guest(1.0), guest(2.0)
    slots = filled(2, wanted, other)
    slots.began(0.0)
    assert slots.in_the_way() is wanted
    slots.stays(wanted)
    assert slots.in_the_way() is other
    slots.began(0.0)
    assert slots.in_the_way() is None


def test_what_has_ended_is_in_nobodys_way():
    """
    Neither a guest nor one that was about to leave.
    """
    one, other = guest(1.0), guest(2.0)
    slots = filled(2, one, other)
    slots.ended_early(one)
    slots.began(0.0)
    assert slots.in_the_way() is None
    slots.began(0.0)
    assert slots.in_the_way() is other
    slots.ended_early(other)
    assert slots.held == 2


def test_the_least_that_was_declared_holds():
    """
    Where two graphs say different things of one pool.
    """
    slots = Slots()
    for count, crowding in ((None, 0.0), (8, 0.125), (4, 0.25), (None, 0.25), (6, 0.25)):
        slots.declare(count)
        if not slots.held:
            slots.began(0.0)
        assert slots.crowding == crowding
    slots.declare(0)
    assert slots.crowding == 1.0


moves = st.lists(st.tuples(st.sampled_from(["early", "real", "early ends", "real ends"]), st.floats(0, 1)), max_size=60)


@given(moves, st.integers(1, 5))
def test_guests_are_in_no_real_calls_way(moves: list[tuple[str, float]], count: int):
    """
    Whatever happens in whichever order: if all leave when they are asked, real calls have as many slots as alone.
    """
    slots, staying, real = Slots(count), [], 0
    for kind, worth in moves:
        if kind == "early" and slots.has_room(0.0, stoppable=True):
            staying.append(guest(worth))
            slots.began_early()
            slots.came(staying[-1])
        elif kind == "early ends" and staying:
            slots.ended_early(staying.pop())
        elif kind == "real":
            real += 1
            slots.began(0.0)
            while (leaves := slots.in_the_way()) is not None:
                slots.ended_early(leaves)
                staying.remove(leaves)
        elif kind == "real ends" and real:
            real -= 1
            slots.ended()
        assert slots.held == real + len(staying) <= max(count, real)
