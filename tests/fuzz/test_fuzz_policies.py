"""No policy with a mistake in it is accepted, no valid one refused, and the fuzzing that says so would notice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy import Limits, SpeculationPolicy, ToolPolicy, checks, rules, settings, tool
from tests.fuzz.__main__ import main, policies
from tests.fuzz.judge import Failure, judge
from tests.fuzz.mistakes import MISTAKES
from tests.fuzz.policies import LIMITS_DEFAULTS, TOOL_DEFAULTS, TOP_DEFAULTS, unmade

CONFIGS = 2_000


def test_no_mistake_is_accepted_and_no_valid_policy_refused():
    """
    Each policy is read in every way there is, and so is the same policy with one mistake.
    """
    report, failures = policies(range(CONFIGS))
    assert [str(failure) for failure in failures] == []
    assert report["configs"] == CONFIGS
    named = {name.split(":")[0].split(" of ")[0] for name in report["mistakes"]}
    assert len(named) >= len(set(MISTAKES)) - 1  # all kinds but perhaps the rarest


def test_every_setting_is_fuzzed():
    """
    A setting that is added to a record has to be added to the generator.
    """
    assert unmade() == set()
    assert TOOL_DEFAULTS.keys() == ToolPolicy.CHECKS.keys()
    assert LIMITS_DEFAULTS.keys() == Limits.CHECKS.keys()
    assert TOP_DEFAULTS.keys() | {"limits", "tools"} == SpeculationPolicy.CHECKS.keys()


def test_a_seed_is_all_it_takes_to_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    The same seed makes the same policy and the same mistake.
    """
    first, again = (judge(17, tmp_path) for _ in range(2))
    assert first == again
    assert main(["--seed", "17"]) == 0
    assert repr(first.data) in capsys.readouterr().out
    assert str(Failure(17, "what", "detail")).endswith("\n  python -m tests.fuzz --seed 17")


# -- bugs that it has to find -----------------------------------------------------------------------------------------


def lenient(record: Any, name: str, check: checks.Check) -> Callable[[pytest.MonkeyPatch], None]:
    """One setting with another check."""
    return lambda patch: patch.setattr(record, "CHECKS", MappingProxyType({**record.CHECKS, name: check}))


def replaced(place: Any, name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(place, name, value)


def raising(*_: Any) -> Any:
    raise KeyError("x")


def known_keys_only(values: Any, checks_: Any, path: str = "") -> Any:
    known = {key: value for key, value in values.items() if key in checks_}
    return PROBLEMS(known, checks_, path)


def contradictory(patch: pytest.MonkeyPatch) -> None:
    for place in (rules, tool):
        patch.setattr(place, "tool_problems", lambda values, path="": PROBLEMS(values, ToolPolicy.CHECKS, path))


def pathless(found: Any, source: str = "") -> None:
    if list(found):
        raise PolicyError("something is wrong")


PROBLEMS = checks.problems
BUGS: dict[str, tuple[str, Callable[[pytest.MonkeyPatch], None]]] = {
    "1 is true": ("a silent accept", lenient(ToolPolicy, "read_only", lambda value: None)),
    "true is 1": ("a silent accept", lenient(Limits, "max_per_run", lambda value: None)),
    "NaN seconds": ("a silent accept", lenient(Limits, "attempt_timeout_s", checks.anything)),
    "any template": ("a silent accept", lenient(ToolPolicy, "reads", checks.texts)),
    "any level": ("a silent accept", lenient(SpeculationPolicy, "level", checks.anything)),
    "unknown keys pass": ("another exception than PolicyError", replaced(checks, "problems", known_keys_only)),
    "contradictions pass": ("a silent accept", contradictory),
    "a check that raises": ("another exception than PolicyError", lenient(ToolPolicy, "pin", raising)),
    "a message without path": ("the message does not name the place", replaced(checks, "refuse_any", pathless)),
    "a valid value refused": ("a valid policy", lenient(ToolPolicy, "tag", lambda value: "no")),
    "the first glob decides": ("a valid policy", replaced(rules, "_literal_characters", lambda glob: 0)),
    "names are globs": ("a valid policy", replaced(settings, "matching", lambda keys, tool: next(iter(keys), None))),
    "no copies": ("a valid policy", replaced(SpeculationPolicy, "__reduce__", raising)),
    "a setting that is lost": (
        "a valid policy",
        replaced(rules, "ToolPolicy", lambda **said: ToolPolicy(**{**said, "trusted_output": False})),
    ),
}


@pytest.mark.parametrize("bug", BUGS)
def test_the_fuzzing_finds_what_it_is_for(bug: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """
    Each of these bugs shows within a few hundred policies.
    """
    promise, plant = BUGS[bug]
    plant(monkeypatch)
    found = (failure.what for seed in range(1_500) for failure in judge(seed, tmp_path).failures)
    assert promise in found
