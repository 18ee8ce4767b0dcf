"""The campaign of programs whose runs share few slots: no pair breaks a promise, whoever gives way to whom."""

from __future__ import annotations

import pytest

from tests.sim.__main__ import command_of
from tests.sim.campaign import Tally, campaign
from tests.sim.crowds import ZOO

PAIRS = 250
JOBS = 2


@pytest.fixture(scope="module")
def tally() -> Tally:
    """What came of the campaign."""
    return campaign(0, PAIRS, JOBS, zoo=ZOO.name)


def test_no_crowded_pair_breaks_a_promise(tally: Tally) -> None:
    told = [f"{command_of(seed, 'fifo', ZOO.name)}\n    {' '.join(rest)}" for seed, *rest in tally.mismatches]
    assert not told, "\n".join(told)
    assert tally.pairs == PAIRS


def test_every_crowded_shape_occurs_and_some_of_its_bodies_give_way(tally: Tally) -> None:
    assert tally.missing() == []
    assert tally.counts["discarded: yielded"] > 0
    assert tally.counts["refused: slots"] > 0
