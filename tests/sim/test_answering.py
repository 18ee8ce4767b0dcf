"""The campaign of programs whose calls come again and whose early bodies hang: no pair breaks a promise."""

from __future__ import annotations

import pytest

from tests.sim.__main__ import command_of
from tests.sim.answering import ZOO
from tests.sim.campaign import Tally, campaign

PAIRS = 500
JOBS = 2


@pytest.fixture(scope="module")
def tally() -> Tally:
    """What came of the campaign."""
    return campaign(0, PAIRS, JOBS, zoo=ZOO.name)


def test_no_answering_pair_breaks_a_promise(tally: Tally) -> None:
    told = [f"{command_of(seed, 'fifo', ZOO.name)}\n    {' '.join(rest)}" for seed, *rest in tally.mismatches]
    assert not told, "\n".join(told)
    assert tally.pairs == PAIRS


def test_every_answering_shape_and_every_predictor_occurs_and_speculates(tally: Tally) -> None:
    assert tally.missing() == []
    assert tally.counts["discarded: hedged"] > 0
    assert tally.counts["refused: remembered"] > 0
