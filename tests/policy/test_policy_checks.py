"""What one setting may hold: each check by itself, to the last letter of what it says."""

from __future__ import annotations

import math
from contextvars import ContextVar
from typing import Any

import pytest

from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy import checks

LONG = "x" * 57
USER: ContextVar[str] = ContextVar("user")


def yes(call: Any) -> bool:
    return True


async def late(call: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("check", "value", "complaint"),
    [
        (checks.boolean, True, None),
        (checks.boolean, None, "must be true or false, got None"),
        (checks.optional_boolean, None, None),
        (checks.optional_boolean, False, None),
        (checks.optional_boolean, 1, "must be true or false, got 1"),
        (checks.count, 0, None),
        (checks.count, -1, "must be a whole number >= 0, got -1"),
        (checks.optional_count, None, None),
        (checks.optional_count, 0, None),
        (checks.optional_count, "1", "must be a whole number >= 0, got '1'"),
        (checks.optional_count, True, "must be a whole number >= 0, got True"),
        (checks.seconds, 0, None),
        (checks.seconds, 1e-300, None),
        (checks.seconds, None, "must be a finite number of seconds >= 0, got None"),
        (checks.positive_seconds, 0.001, None),
        (checks.positive_seconds, 1, None),
        (checks.positive_seconds, 0.0, "must be a finite number of seconds > 0, got 0.0"),
        (checks.positive_seconds, math.inf, "must be a finite number of seconds > 0, got inf"),
        (checks.positive_seconds, True, "must be a finite number of seconds > 0, got True"),
        (checks.optional_text, None, None),
        (checks.optional_text, "x", None),
        (checks.optional_text, "", "must be text, not empty, got ''"),
        (checks.optional_text, 1, "must be text, not empty, got 1"),
        (checks.texts, [], None),
        (checks.texts, ("a",), None),
        (checks.texts, "a", "must be a list, got 'a'; did you mean ['a']?"),
        (checks.texts, {"a": 1}, "must be a list of texts, got {'a': 1}"),
        (checks.texts, ["a", "", 1], "must hold only texts, none empty, got ''"),
        (checks.auto_or_texts, "auto", None),
        (checks.auto_or_texts, ["a"], None),
        (checks.auto_or_texts, 7, "must be a list of texts, got 7 (or 'auto')"),
        (checks.templates, ["a:{b}", "*"], None),
        (checks.optional_templates, None, None),
        (checks.optional_templates, ["a:{b}"], None),
        (checks.optional_templates, 7, "must be a list of texts, got 7"),
        (checks.hosts, ["docs.python.org", "*.example.org"], None),
        (checks.hosts, "docs.python.org", "must be a list, got 'docs.python.org'; did you mean ['docs.python.org']?"),
        (checks.hosts, ["a.org", "localhost"], "'localhost' is no public name; only public hosts can be allowed"),
        (checks.mapping, {}, None),
        (checks.mapping, [1], "must be a table, got [1]"),
        (checks.anything, object(), None),
        (checks.context_variables, [USER], None),
        (checks.context_variables, (), None),
        (
            checks.context_variables,
            USER.name,
            "must be a list of ContextVar objects, so it can only be set in code, got 'user'",
        ),
        (checks.guards, (), None),
        (checks.guards, [yes, print], None),
        (checks.guards, 7, "must be a list of functions, so it can only be set in code, got 7"),
        (checks.guards, [yes, 7], "must be a list of functions, so it can only be set in code, got [<function yes"),
        (checks.guards, ["f"], "must be a list of functions, so it can only be set in code, got ['f']"),
        (checks.guards, (late,), " is async; a guard answers at once"),
    ],
)  # fmt: skip
def test_a_check_says_why_a_value_will_not_do(check: checks.Check, value: Any, complaint: str | None):
    """
    What fits is not talked about; what does not is told with what would, and with itself.
    """
    found = check(value)
    assert found == complaint if "<function" not in str(found) else complaint in found


def test_an_async_guard_is_told_from_those_around_it():
    """
    It is the one to be changed.
    """
    told = checks.guards([yes, late, yes])
    assert told is not None
    assert told.startswith("<function late at ")
    assert told.endswith(" is async; a guard answers at once")


def test_a_function_alone_is_no_list_of_guards():
    """
    Nor is what can be walked but is neither list nor tuple.
    """
    for value in (yes, {yes}, {yes: yes}):
        assert str(checks.guards(value)).startswith("must be a list of functions, so it can only be set in code, got ")


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("step", None),
        ("run", None),
        ("Step", "must be one of 'step', 'run', got 'Step'; did you mean 'step'?"),
        ("", "must be one of 'step', 'run', got ''"),
        ("forever", "must be one of 'step', 'run', got 'forever'"),
        (None, "must be one of 'step', 'run', got None"),
        (0, "must be one of 'step', 'run', got 0"),
        (["step"], "must be one of 'step', 'run', got ['step']"),
    ],
)
def test_a_choice_names_what_there_is_to_choose(value: Any, complaint: str | None):
    """
    And the nearest of it. What is no text is near to nothing.
    """
    assert checks.one_of(("step", "run"))(value) == complaint


class Equal:
    """Equals every text."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "Equal()"


def test_what_only_equals_a_choice_is_none():
    """
    Only texts are chosen from.
    """
    assert checks.one_of(("step",))(Equal()) == "must be one of 'step', got Equal()"
    assert checks.auto_or_texts(Equal()) == "must be a list of texts, got Equal() (or 'auto')"


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ([], None),
        (["context"], None),
        (("state", "context"), None),
        ("context", "must be a list, got 'context'; did you mean ['context']?"),
        (["context", "contxt"], "each must be one of 'context', 'state', got 'contxt'; did you mean 'context'?"),
        ([""], "must hold only texts, none empty, got ''"),
    ],
)
def test_each_of_a_list_of_choices_is_checked(value: Any, complaint: str | None):
    """
    The list first, then what is in it.
    """
    assert checks.texts_of(("context", "state"))(value) == complaint


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("a-b_C1", "tools.a-b_C1"),
        ("", 'tools.""'),
        ("a b", 'tools."a b"'),
        ('say "hi"', 'tools."say \\"hi\\""'),
        ("größe", 'tools."größe"'),
        (7, "tools.7"),
        (("a",), "tools.\"('a',)\""),
    ],
)
def test_a_path_is_written_as_toml_would_write_it(key: object, path: str):
    """
    So that it can be found in the file.
    """
    assert checks.located("tools", key) == path
    assert checks.located("", key) == path.removeprefix("tools.")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("read_onyl", "; did you mean 'read_only'?"),
        ("READ_ONLY", "; did you mean 'read_only'?"),
        ("r-o", "; did you mean 'r_o'?"),
        ("r o", "; did you mean 'r_o'?"),
        ("R_O", "; did you mean 'r_o'?"),
        ("zzz", ""),
        ("", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_the_nearest_name_is_offered(name: object, meant: str):
    """
    One, if any is near; case, hyphens and spaces do not count.
    """
    assert checks.did_you_mean(name, ["read_only", "reads", "r_o"]) == meant


def test_names_are_offered_as_they_are_written():
    """
    Not in the form in which they were compared; and hyphens are like underscores on both sides.
    """
    assert checks.did_you_mean("a_b", ["A-B"]) == "; did you mean 'A-B'?"
    assert checks.did_you_mean("x-y", ["X Y"]) == "; did you mean 'X Y'?"
    assert checks._plain_form("Ab-C d") == "ab_c_d"


class Unshowable:
    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        (LONG, f"'{LONG}'"),
        (LONG + "y", f"'{LONG}y'"),
        (LONG + "yz", f"'{LONG}yz…"),
        (10**5000, "a int"),
        (Unshowable(), "a Unshowable"),
    ],
    ids=["short", "59 letters", "60 letters", "61 letters", "too many digits", "unshowable"],
)
def test_a_wrong_value_is_repeated_up_to_a_length(value: Any, text: str):
    """
    Sixty characters of it, and by its kind where it cannot be shown.
    """
    assert checks.shown(value) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("größe 7", "größe 7"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\ud800", "\\ud800"),
        ("\u202eab", "\\u202eab"),
        ("x" * 60, "x" * 60),
        ("x" * 61, "x" * 60 + "…"),
        ("\n" * 31, "\\n" * 30 + "…"),
    ],
)
def test_a_name_is_told_on_one_line_of_a_length(text: str, line: str):
    """
    Nobody writes lines of his own into a message, nor colours.
    """
    assert checks.printable(text) == line


class Late:
    """A guard that is an object, and async."""

    async def __call__(self, call: Any) -> bool:
        return True


def test_an_async_object_is_no_guard_either():
    """
    Calling it gives a coroutine, which would never be True.
    """
    told = checks.guards([yes, Late()])
    assert told is not None
    assert "Late object at" in told
    assert told.endswith(" is async; a guard answers at once")


def test_what_is_found_becomes_one_error():
    """
    One problem on one line, several under their number; with the source in front, if there is one.
    """
    checks.refuse_any([])
    checks.refuse_any(iter(()), "file")
    for lines, source, message in [
        (["a: no"], "", "a: no"),
        (["a: no"], "file", "file: a: no"),
        (["a: no", "b: no"], "", "2 problems\n  a: no\n  b: no"),
        (["a: no", "b: no"], "file", "file: 2 problems\n  a: no\n  b: no"),
    ]:
        with pytest.raises(PolicyError) as caught:
            checks.refuse_any(iter(lines), source)
        assert str(caught.value) == message


def test_every_key_is_looked_at():
    """
    Unknown ones and wrong ones, at the top and in a table.
    """
    known = {"a": checks.count, "ab": checks.boolean}
    values = {"a": 1, "ab": 1, "ac": 1, 7: 1}
    told = ["ab: must be true or false, got 1", "ac: unknown key; did you mean 'a'?", "7: unknown key"]
    assert list(checks.problems(values, known)) == told
    assert list(checks.problems(values, known, "t")) == [f"t.{line}" for line in told]
