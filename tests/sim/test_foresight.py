"""The campaign of programs that look further ahead: no pair breaks a promise."""

from __future__ import annotations

import pytest

from tests.sim.__main__ import command_of
from tests.sim.campaign import Tally, campaign
from tests.sim.foresight import ZOO
from tests.sim.processes import shown_by_processes

PAIRS = 1_000
JOBS = 2


@pytest.fixture(scope="module")
def tally() -> Tally:
    """What came of the campaign."""
    return campaign(0, PAIRS, JOBS, zoo=ZOO.name)


def test_no_pair_that_looks_further_ahead_breaks_a_promise(tally: Tally) -> None:
    told = [f"{command_of(seed, 'fifo', ZOO.name)}\n    {' '.join(rest)}" for seed, *rest in tally.mismatches]
    assert not told, "\n".join(told)
    assert tally.pairs == PAIRS


def test_every_shape_and_every_predictor_occurs_and_guesses_fall_together(tally: Tally) -> None:
    print(f"{tally.wall_s:.0f} s, {tally.racy} racy, {dict(tally.counts.most_common())}")
    assert tally.missing() == []
    assert not any(tally.launched[shape] for shape in ZOO.silent)
    assert tally.counts["discarded: lineage"] > 0
    assert tally.counts["ready"] > 0
    assert tally.counts["joined"] > 0


def test_a_far_seed_means_the_same_run_in_every_process_and_under_every_hash_seed() -> None:
    shown = shown_by_processes("foresight", range(0, 80, 2), ("0", "4242"))
    assert shown[0].count("\n") == 40
    assert shown[0] == shown[1]
