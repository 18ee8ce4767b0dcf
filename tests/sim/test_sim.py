"""The simulation's campaign: no pair breaks a promise."""

from __future__ import annotations

import pytest

from tests.sim.__main__ import command_of
from tests.sim.bugs import BUGS
from tests.sim.campaign import Tally, campaign, portion
from tests.sim.pair import judge
from tests.sim.processes import shown_by_processes
from tests.sim.programs import MODES
from tests.sim.shrinking import shrunk
from tests.sim.side import run_side
from tests.sim.zoo import KNOWN, SHAPES, SILENT, program_of

PAIRS = 1_500
JOBS = 2


@pytest.fixture(scope="module")
def tally() -> Tally:
    """What came of the campaign."""
    return campaign(0, PAIRS, JOBS)


def test_no_pair_breaks_a_promise(tally: Tally) -> None:
    told = [f"{command_of(seed, 'fifo')}\n    {' '.join(rest)}" for seed, *rest in tally.mismatches]
    assert not told, "\n".join(told)
    assert tally.pairs == PAIRS


def test_every_shape_and_every_predictor_occurs_and_speculates(tally: Tally) -> None:
    for shape in SHAPES:
        print(f"{shape:<32}{tally.shapes[shape]:>6} pairs{tally.launched[shape]:>6} started early")
    print(f"{tally.wall_s:.0f} s, {tally.racy} racy, {dict(tally.counts.most_common())}")
    assert tally.missing() == []
    assert not any(tally.launched[shape] for shape in SILENT)
    assert set(tally.predictors) == set(MODES)
    assert tally.counts["ready"] > 0
    assert tally.counts["joined"] > 0


def test_every_known_mismatch_has_its_reason() -> None:
    assert all(name in SHAPES and reason for name, reason in KNOWN.items())


def test_a_seed_means_the_same_run_in_every_process_and_under_every_hash_seed() -> None:
    shown = shown_by_processes("zoo", range(0, 120, 3), ("0", "1", "4242"))
    assert shown[0].count("\n") == 40
    assert shown[0] == shown[1] == shown[2]


def test_a_run_leaves_nothing_behind_for_the_next() -> None:
    for seed in (0, 7, 21, 40):
        program = program_of(seed)
        first, _, again = run_side(program, True), run_side(program_of(seed + 1), True), run_side(program, True)
        assert first.world.bodies == again.world.bodies
        assert [visit.state for visit in first.visits.values()] == [visit.state for visit in again.visits.values()]


def test_a_broken_library_is_noticed_and_the_program_shrinks() -> None:
    with BUGS["calls_are_compared_loosely"]():
        found = portion(range(8, 30)).mismatches
        assert found
        # Shrinking a racy program looks at many schedules of each smaller one.
        program = next(program for seed, *_ in found if not (program := program_of(seed)).racy)
        small = shrunk(program)
        assert judge(small).mismatches
        assert _calls(small) <= _calls(program)
    assert not judge(small).mismatches


def _calls(program: object) -> int:
    return sum(len(turn.asks) for visit in program.visits for turn in visit.script)  # type: ignore[attr-defined]
