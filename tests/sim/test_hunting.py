"""Every seeded bug is noticed, at the pair that a hunt found; `python -m tests.sim.hunting` hunts anew."""

from __future__ import annotations

import pytest

from tests.sim.bugs import BUGS
from tests.sim.hunting import MOST, pairs_until_killed

NOTICED_AT = {
    "no_invalidation_on_write": 2,
    "invalidation_at_write_start_only": 2,
    "invalidation_at_write_end_only": 2,
    "stale_results_pass_the_gate": 9,
    "epoch_noted_when_the_attempt_ends": 577,
    "reads_during_writes": 235,
    "tag_of_the_wrong_thing": 9,
    "undeclared_tools_write_nothing": 256,
    "expired_results_pass_the_gate": 14,
    "key_is_the_tool_name": 8,
    "circumstances_do_not_matter": 267,
    "one_result_for_two_calls": 10,
    "results_of_other_users": 6,
    "writes_run_ahead": 2,
    "approvals_are_overtaken": 41,
    "static_interrupts_are_overtaken": 44,
    "return_direct_runs_ahead": 87,
    "context_variables_are_missing": 34,
    "context_variables_are_not_passed_on": 91,
    "one_attempt_too_many": 36,
    "wasted_attempts_are_not_counted": 117,
    "tainted_results_are_adopted": 1527,
    "errors_of_attempts_are_shown": 19,
    "late_results_arrive_as_errors": 19,
    "nothing_is_cleaned_up": 57,
    "adoption_waits_without_limit": 79,
    "real_calls_wait_out_the_deadline": 79,
    "effects_are_replayed_twice": 33,
    "effects_are_not_replayed": 33,
    "the_body_runs_besides": 1,
    "partitions_are_all_apart": 6,
    "adopting_goes_on_after_the_end": 57,
    "calls_are_compared_loosely": 2,
}
"""Pairs that the hunt took, from seed 0 on."""


@pytest.mark.parametrize("bug", BUGS)
def test_a_seeded_bug_is_noticed(bug: str) -> None:
    """
    At the pair where the hunt noticed it, or soon after: a change of the zoo moves it a little.
    """
    assert NOTICED_AT[bug] <= MOST
    took = pairs_until_killed(bug, first=NOTICED_AT[bug] - 1, most=150)
    print(f"{bug:<44}noticed after {NOTICED_AT[bug]:>6} pairs of a hunt, {took} from there")
    assert took is not None
