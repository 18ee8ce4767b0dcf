"""Whose data a run works on: values that tell users apart, and those that tell nothing."""

from __future__ import annotations

from uuid import UUID

import pytest

from langgraph_speculate.core.partition import partition_of


class Nameless:
    """Its text is its address."""


class Detached:
    """Its text cannot be had."""

    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("nobody", [Nameless(), Detached(), [Nameless()], {"user": Nameless()}, lambda: 1])
def test_what_cannot_be_compared_names_no_partition(nobody: object):
    """
    An address is used again by somebody else's object, so it is nobody's name.
    """
    assert partition_of([nobody]) is None
    assert partition_of(["acme", nobody]) is None


def test_partitions_are_told_apart_by_type_but_for_ids():
    """
    An id is one whether it comes from a database or from a request; anything else is kept apart from its text.
    """
    one = UUID(int=7)
    assert partition_of([7]) == partition_of(["7"]) == "['7']"
    assert partition_of([one]) == partition_of([str(one)])
    others = [None, "None", False, "False", 0, True, 1, b"7", "7", 7.0, "7.0", ("7",), ["7"], "('7',)", {"id": 7}, ""]
    assert len({partition_of([other]) for other in others}) == len(others)
    assert partition_of(["a", "b"]) != partition_of(["a', 'b"])
    assert partition_of([]) == ""
