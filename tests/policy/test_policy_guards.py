"""Guards: asked in order, and only True lets a call pass."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from langgraph_speculate.policy import GuardedCall
from langgraph_speculate.policy.guards import objection

CALL = GuardedCall("get_order", {"id": 7}, {"user": "ann"}, None, "issue")


def yes(call: GuardedCall) -> bool:
    return True


def no(call: GuardedCall) -> bool:
    return False


def broken(call: GuardedCall) -> bool:
    raise LookupError("secret")


class Nameless:
    """A guard that is an object, as lazy proxies are: asking for its name raises."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    @property
    def __name__(self) -> str:
        raise RuntimeError("unbound")

    def __call__(self, call: GuardedCall) -> Any:
        return yes(call) if self._answer else broken(call)


class Titled:
    def __init__(self, name: Any) -> None:
        self.__name__ = name

    def __call__(self, call: GuardedCall) -> bool:
        return False


class Untold:
    def __str__(self) -> str:
        raise RuntimeError


def test_a_call_passes_when_every_guard_says_true():
    """
    Also when there is none.
    """
    assert objection((), CALL) is None
    assert objection([yes, yes], CALL) is None


def test_the_first_guard_that_objects_is_named():
    """
    Those after it are not asked.
    """
    asked: list[GuardedCall] = []

    def watching(call: GuardedCall) -> bool:
        asked.append(call)
        return True

    assert objection([watching, no, watching, broken], CALL) == "guard no said no"
    assert asked == [CALL]


def test_what_a_guard_does_to_the_arguments_stays_with_it():
    """
    However deep: neither the call nor the guards after it see that.
    """
    seen: list[Any] = []

    def changing(call: GuardedCall) -> bool:
        seen.append(call.args["rows"])
        call.args["rows"].append("mine")
        call.args["more"] = 1  # type: ignore[index]
        return True

    call = GuardedCall("get_order", {"rows": [7]}, {}, None, "commit")
    assert objection([changing, changing], call) is None
    assert call.args == {"rows": [7]}
    assert seen == [[7, "mine"], [7, "mine"]]


@pytest.mark.parametrize("answer", [1, "yes", None, 0, [True], object()])
def test_whatever_is_not_true_says_no(answer: Any):
    """
    Forgetting to return something must not allow anything.
    """
    assert objection([lambda call: answer], CALL) == "guard <lambda> said no"


def test_a_guard_that_raises_has_not_allowed_anything():
    """
    Its error is told by its kind alone: its text may hold what the arguments hold.
    """
    assert objection([yes, broken], CALL) == "guard broken raised LookupError"


@pytest.mark.parametrize(
    ("guard", "told"),
    [
        (partial(no), "guard partial said no"),
        (Nameless(False), "guard Nameless raised LookupError"),
        (Titled("mine"), "guard mine said no"),
        (Titled(7), "guard 7 said no"),
        (Titled(Untold()), "guard Titled said no"),
    ],
    ids=["partial", "nameless", "titled", "numbered", "untold"],
)
def test_a_guard_without_a_name_is_told_by_its_type(guard: Any, told: str):
    """
    Telling which guard objected must not break the call it was asked about.
    """
    assert objection([guard], CALL) == told
