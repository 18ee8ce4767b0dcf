"""The campaign of programs whose model calls start on remembered results: no pair breaks a promise."""

from __future__ import annotations

import pytest

from tests.sim.__main__ import command_of
from tests.sim.campaign import Tally, campaign
from tests.sim.previews import ZOO
from tests.sim.processes import shown_by_processes

PAIRS = 700
JOBS = 2


@pytest.fixture(scope="module")
def tally() -> Tally:
    """What came of the campaign."""
    return campaign(0, PAIRS, JOBS, zoo=ZOO.name)


def test_no_pair_with_previews_breaks_a_promise(tally: Tally) -> None:
    told = [f"{command_of(seed, 'fifo', ZOO.name)}\n    {' '.join(rest)}" for seed, *rest in tally.mismatches]
    assert not told, "\n".join(told)
    assert tally.pairs == PAIRS


def test_previews_are_taken_over_and_thrown_away_in_every_way(tally: Tally) -> None:
    print(f"{tally.wall_s:.0f} s, {tally.racy} racy, {dict(tally.counts.most_common())}")
    assert [name for name in tally.missing() if not name.startswith("predictor")] == []
    for reason in ("result", "messages", "options", "model", "run_ended"):
        assert tally.counts[f"PreviewWasted: {reason}"] > 0
    for reason in ("max_wasted_tokens_per_run", "max_previews_per_model"):
        assert tally.counts[f"PreviewRefused: {reason}"] > 0
    assert tally.counts["previews ready"] > 0
    assert tally.counts["previews joined"] > 0
    assert tally.counts["adopted from previews"] > 0
    assert tally.counts["discarded: lineage"] > 0


def test_a_seed_with_previews_means_the_same_run_in_every_process_and_under_every_hash_seed() -> None:
    shown = shown_by_processes("previews", range(0, 80, 2), ("0", "4242"))
    assert shown[0].count("\n") == 40
    assert shown[0] == shown[1]
