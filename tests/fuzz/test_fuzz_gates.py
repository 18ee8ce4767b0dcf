"""The gate is total: whatever it is asked about, it answers, and in doubt with no."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_speculate.core import gate
from tests.fuzz.__main__ import calls, main
from tests.fuzz.gates import AT_COMMIT, AT_ISSUE, PARENTS, ask

CALLS = 5_000
# What needs a question without any tool at all, or a level that no hostile object can be.
RARE = {gate.Reason.UNKNOWN_TOOL}


def test_the_gate_never_raises_and_never_allows_in_doubt():
    """
    Hostile objects in every place: a question of which something raised, or an honest part says no, is denied.
    """
    report, failures = calls(range(CALLS))
    assert [str(failure) for failure in failures] == []
    assert report["calls"] == CALLS
    assert report["answers"]["allow"] > CALLS / 10
    assert report["answers"]["gate_error"] > CALLS / 10
    assert {reason.value for reason in gate.Reason} - report["answers"].keys() <= {reason.value for reason in RARE}


def test_every_place_is_hostile_at_some_time():
    """
    Nothing the gate looks at is taken on trust.
    """
    told = [ask(seed).question for seed in range(CALLS)]
    for place in PARENTS:
        moments = {question.split(",")[0] for question in told if place in question.split(": ")[1].split(", ")}
        never = {"issue"} if place in AT_COMMIT else {"commit"} if place in AT_ISSUE else set()
        assert moments == {"commit", "issue"} - never


def test_a_seed_is_all_it_takes_to_replay(capsys: pytest.CaptureFixture[str]):
    """
    The same seed asks the same.
    """
    assert ask(17) == ask(17)
    assert main(["--gate-seed", "17"]) == 0
    assert str(ask(17).question) in capsys.readouterr().out


# -- bugs that it has to find -----------------------------------------------------------------------------------------

STATIC, ISSUE, COMMIT = gate._static, gate._issue, gate._commit


def hopeful(rules: Any) -> Any:
    """The rules, with an exception taken for a yes."""

    def answer(*asked: Any) -> Any:
        try:
            return rules(*asked)
        except Exception:  # noqa: BLE001 - this is the bug
            return None, ""

    return answer


def without(reason: gate.Reason, rules: Any) -> Any:
    """The rules, with one that always passes."""

    def answer(*asked: Any) -> Any:
        found = rules(*asked)
        return (None, "") if found[0] is reason else found

    return answer


BUGS: dict[str, tuple[str, str, Any]] = {
    "a tool that raises is allowed": ("forbids lets pass what raised", "_static", hopeful(STATIC)),
    "a commit that raises is allowed": ("allowed what raised", "_commit", hopeful(COMMIT)),
    "a launch that raises is allowed": ("allowed what raised", "_issue", hopeful(ISSUE)),
    "a reason that raises": ("the gate raised", "Deny", lambda *told: 1 / 0),
    "an answer of no kind": ("decide answers with something else", "ALLOW", True),
    **{
        f"{reason} passes": ("allowed against an honest no", "_static", without(reason, STATIC))
        for reason in (gate.Reason.GATED, gate.Reason.NOT_READ_ONLY, gate.Reason.VENUE, gate.Reason.TRIPPED)
    },
    **{
        f"{reason} passes": ("allowed against an honest no", "_commit", without(reason, COMMIT))
        for reason in (gate.Reason.OTHER_CALL, gate.Reason.EXPIRED, gate.Reason.STALE, gate.Reason.CHANGED)
    },
    **{
        f"{reason} passes": ("allowed against an honest no", "_issue", without(reason, ISSUE))
        for reason in (gate.Reason.GUARD, gate.Reason.PENDING_WRITE, gate.Reason.SHADOW, gate.Reason.EGRESS)
    },
}


@pytest.mark.parametrize("bug", BUGS)
def test_the_fuzzing_finds_what_it_is_for(bug: str, monkeypatch: pytest.MonkeyPatch):
    """
    Each of these bugs shows within a few thousand questions.
    """
    promise, name, planted = BUGS[bug]
    monkeypatch.setattr(gate, name, planted)
    assert promise in (failure.what for seed in range(CALLS) for failure in ask(seed).failures)
