"""What a policy says to the last letter: metadata, annotations, templates, tools, levels, names."""

from __future__ import annotations

import enum
import logging
import math
from types import MappingProxyType
from typing import Any

import pytest

from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy import Limits, Rule, SpeculationPolicy, ToolPolicy
from langgraph_speculate.policy.annotations import SERVER_KEY, Annotations, ServerName, annotations_of, canonical
from langgraph_speculate.policy.rules import (
    Verdict,
    is_glob,
    matching,
    narrowed,
    reason_for,
    rule_in_annotations,
    rule_in_metadata,
)
from langgraph_speculate.policy.templates import filled, template_problem
from langgraph_speculate.policy.tool import tool_problems

READ = ToolPolicy(read_only=True)
HARMLESS = Annotations(read_only=True, open_world=False, server="docs")


def refusal(data: Any) -> str:
    with pytest.raises(PolicyError) as caught:
        SpeculationPolicy.from_dict(data)
    return str(caught.value)


# -- templates --------------------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"
    SEVEN = 7


class Loud(str):
    def __str__(self) -> str:
        return self.upper()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", "x"),
        ("", ""),
        (7, "7"),
        (-7, "-7"),
        (7.0, "7"),
        (-0.0, "0"),
        (7.5, "7.5"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (1e300, str(int(1e300))),
        (True, "true"),
        (False, "false"),
        (Colour.RED, "red"),
        (Colour.SEVEN, "7"),
        (Loud("x"), "x"),
        ("{other}", "{other}"),
        ("*", "*"),
    ],
)
def test_a_plain_value_names_its_resource(value: Any, text: str):
    """
    One value is one name, whatever its type shows of it.
    """
    assert filled("a:{x}:b", {"x": value, "other": 1}) == f"a:{text}:b"


@pytest.mark.parametrize("value", [None, [1], {}, b"x", 1j, 10**5000, object()], ids=lambda value: type(value).__name__)
def test_a_value_that_is_not_plain_counts_as_everything(value: Any):
    """
    Nor does a number with more digits than text may have name anything.
    """
    assert filled("a:{x}", {"x": value}) == "*"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("*", None),
        ("a*", None),
        ("{a}*", None),
        ("{a}{b}", None),
        ("", None),
        ("**", "'**': a '*' can only stand at the end, for everything with that beginning"),
        ("*a", "'*a': a '*' can only stand at the end, for everything with that beginning"),
        ("*{a}", "'*{a}': a '*' can only stand at the end, for everything with that beginning"),
        ("{a}*{b}", "'{a}*{b}': a '*' can only stand at the end, for everything with that beginning"),
        ("{a.b}", "'{a.b}': braces hold one argument name each, such as 'order:{order_id}'"),
        ("{a!r}", "'{a!r}': braces hold one argument name each, such as 'order:{order_id}'"),
        ("{a:x}", "'{a:x}': braces hold one argument name each, such as 'order:{order_id}'"),
        ("{", "'{' is no resource template: Single '{' encountered in format string"),
    ],
)
def test_what_is_wrong_with_a_template_is_said(template: str, problem: str | None):
    """
    With the template itself.
    """
    assert template_problem(template) == problem


# -- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"read_only": True, "destructive": True}, "read_only and destructive contradict each other; remove one"),
        ({"read_only": True, "writes": ("a",)}, "read_only and writes contradict each other; remove one"),
        ({"scope": "run", "deterministic": False}, "scope 'run' needs a deterministic tool; use scope 'step'"),
        (
            {"scope": "run", "open_world": True},
            "scope 'run' is not for what others may change; use scope 'step'",
        ),
        (
            {"disclosure": "declared"},
            "disclosure is for tools that leave your trust boundary; add open_world = true, or remove it",
        ),
        (
            {"allowed_hosts": ["example.org"]},
            "allowed_hosts is for tools that leave your trust boundary; add open_world = true, or remove it",
        ),
    ],
)
def test_a_contradiction_is_told_with_its_path_if_it_has_one(settings: dict[str, Any], problem: str):
    """
    In a tool's own record it has none.
    """
    assert list(tool_problems(settings)) == [problem]
    assert list(tool_problems(settings, "tools.t")) == [f"tools.t: {problem}"]
    with pytest.raises(PolicyError) as caught:
        ToolPolicy(**settings)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "settings",
    [
        {"read_only": True, "writes": ()},
        {"read_only": True, "destructive": False},
        {"disclosure": "none", "allowed_hosts": []},
        {"scope": "run", "deterministic": True},
        {"scope": "step", "deterministic": False, "open_world": True},
        {"read_only": False, "writes": ["a"], "destructive": True},
    ],
)
def test_what_does_not_contradict_itself_is_accepted(settings: dict[str, Any]):
    """
    Nothing written, nothing destroyed, nothing disclosed.
    """
    assert list(tool_problems(settings)) == []


def test_templates_that_use_an_unknown_argument_are_all_told():
    """
    Where they stand, and what may have been meant.
    """
    tool = ToolPolicy(reads=("a:{oder_id}", "{order_id}"), writes=("b:{zzz}",))
    with pytest.raises(PolicyError) as caught:
        tool.check_templates("get order", ["order_id"])
    assert str(caught.value).splitlines() == [
        "2 problems",
        "  tools.\"get order\".reads: 'a:{oder_id}' uses 'oder_id', which is no argument of get order; "
        "did you mean 'order_id'?",
        "  tools.\"get order\".writes: 'b:{zzz}' uses 'zzz', which is no argument of get order",
    ]


def test_what_a_tool_is_made_of_is_of_one_kind():
    """
    Lists become tuples and seconds become floats, so that equal policies are equal.
    """
    tool = ToolPolicy(reads=["a"], writes=["b"], uses=["context"], reads_state=["x"], ttl_s=3)  # type: ignore[arg-type]
    assert (tool.reads, tool.writes, tool.uses, tool.reads_state) == (("a",), ("b",), ("context",), ("x",))
    assert (tool.ttl_s, type(tool.ttl_s)) == (3.0, float)


# -- metadata and annotations -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ([1], "metadata of tool 'x': must be a dict, got [1]"),
        (
            {"speculation": 7},
            "metadata of tool 'x': speculation: must be a table of settings, true or false, got 7",
        ),
        ({"read_only": True, "open_world": 1}, "metadata of tool 'x': open_world: must be true or false, got 1"),
        (
            {"read_only": True, "destructive": True},
            "metadata of tool 'x': read_only and destructive contradict each other; remove one",
        ),
    ],
)
def test_metadata_that_cannot_be_understood_says_why(metadata: Any, message: str):
    """
    With the tool's name: the metadata stands at the tool and not in the policy.
    """
    with pytest.raises(PolicyError) as caught:
        rule_in_metadata("x", metadata)
    assert str(caught.value) == message


def test_metadata_of_a_closed_world_stays_closed():
    """
    Only None, which stands for "nobody said", counts as open.
    """
    closed = rule_in_metadata("x", {"read_only": True})
    assert closed == Rule(READ, "metadata.read_only")
    assert rule_in_metadata("x", {"read_only": True, "open_world": False}) == closed
    opened = rule_in_metadata("x", {"read_only": True, "open_world": None}).tool
    assert opened == ToolPolicy(read_only=True, open_world=True)


def test_what_a_server_may_have_written_is_nobody_s_word():
    """
    And the way out is named.
    """
    rule = rule_in_metadata("a b", {"readOnlyHint": True, "read_only": True, "open_world": False})
    wanted = "its server may have written 'read_only' into its metadata; use tools.\"a b\""
    assert rule == Rule(None, "undeclared", wanted)


def test_annotations_are_not_believed_unless_asked():
    """
    The default is not to.
    """
    metadata = {"readOnlyHint": True, "openWorldHint": False, SERVER_KEY: ServerName("docs")}
    assert rule_in_metadata("x", metadata, trusted=("docs",)).tool is None
    assert rule_in_metadata("x", metadata, believes=True).tool is None
    assert rule_in_metadata("x", metadata, believes=True, trusted=("docs",)).tool == READ


@pytest.mark.parametrize(
    ("found", "detail"),
    [
        (
            Annotations(destructive=True, server="docs"),
            "server 'docs' does not say readOnlyHint = true, openWorldHint = false, destructiveHint = false; "
            "declare it if it only reads",
        ),
        (
            Annotations(read_only=True, open_world=True),
            "its server does not say openWorldHint = false; declare it if it only reads",
        ),
        (
            Annotations(read_only=True, open_world=False, destructive=True),
            "its server does not say destructiveHint = false; declare it if it only reads",
        ),
        (
            Annotations(open_world=False, destructive=False),
            "its server does not say readOnlyHint = true; declare it if it only reads",
        ),
        (
            HARMLESS,
            'server \'docs\' annotates it read-only; level = "annotated" and trusted_servers = ["docs"] '
            "would let it run ahead",
        ),
        (
            Annotations(read_only=True, open_world=False, claimed="me"),
            'its server annotates it read-only; from_server(tools, "me") and level = "annotated" and '
            'trusted_servers = ["me"] would let it run ahead',
        ),
        (
            Annotations(read_only=True, open_world=False),
            'its server annotates it read-only; from_server(tools, "its name") and level = "annotated" and '
            'trusted_servers = ["its name"] would let it run ahead',
        ),
    ],
)
def test_what_a_server_s_words_lack_is_said(found: Annotations, detail: str):
    """
    Which hints, or which settings of the policy.
    """
    assert rule_in_annotations(found, believes=False, trusted=()) == Rule(None, "undeclared", detail)


def test_no_annotations_are_no_word():
    """
    And a trusted server's are.
    """
    assert rule_in_annotations(None, believes=True, trusted=("docs",)) == Rule(None, "undeclared")
    found = rule_in_annotations(HARMLESS, believes=True, trusted=("docs",))
    assert found == Rule(READ, "annotations of server 'docs'", needs="annotated")


RULE = Rule(ToolPolicy(read_only=True, scope="run", writes=()), "tools.x")


@pytest.mark.parametrize(
    ("found", "tool", "detail"),
    [
        (
            Annotations(read_only=False, destructive=True, server="docs"),
            ToolPolicy(scope="run"),
            "server 'docs' says readOnlyHint = false, which contradicts read_only = true",
        ),
        (
            Annotations(read_only=True, destructive=True),
            ToolPolicy(scope="run"),
            "its server says destructiveHint = true, which contradicts read_only = true",
        ),
        (
            Annotations(open_world=True),
            ToolPolicy(read_only=True, open_world=True, writes=()),
            "its server says openWorldHint = true, and its entry does not say open_world = true",
        ),
    ],
)
def test_what_a_server_says_against_its_tool_narrows_the_rule(found: Annotations, tool: ToolPolicy, detail: str):
    """
    The rule keeps its origin and says what narrowed it.
    """
    assert narrowed(RULE, found) == Rule(tool, "tools.x", detail)


@pytest.mark.parametrize("found", [None, Annotations(), Annotations(True, False, True, False), HARMLESS])
def test_what_a_server_says_for_its_tool_changes_nothing(found: Annotations | None):
    """
    The rule stays what its owner said.
    """
    assert narrowed(RULE, found) is RULE


def test_a_rule_that_allows_nothing_is_not_narrowed():
    """
    Nor is one that says itself that the world is open.
    """
    open_world = Rule(ToolPolicy(read_only=True, open_world=True), "tools.x")
    for rule in (Rule(None, "undeclared"), Rule(ToolPolicy(), "tools.x")):
        assert narrowed(rule, Annotations(read_only=False, destructive=True, open_world=True)) is rule
    assert narrowed(open_world, Annotations(open_world=True)) is open_world


def test_a_server_without_a_tool_is_a_server():
    """
    Each of the two keys shows that the metadata is of one.
    """
    assert annotations_of({"mcp": {"server": {"name": "me"}}}) == Annotations(claimed="me")
    assert annotations_of({"mcp": {"tool": {}}}) == Annotations()
    assert annotations_of({"mcp": {"else": 1}}) is None


def test_canonical_text_has_one_form():
    """
    Sorted, without blanks, and of what is JSON only: fingerprints in policies stay what they are.
    """
    assert canonical([1, {"b": "ü", "a": None}]) == '[1,{"a":null,"b":"\\u00fc"}]'
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="JSON compliant"):
            canonical(value)


# -- which rule, and what it amounts to -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "level", "fingerprint", "reason"),
    [
        (READ, "declared", None, "declared"),
        (READ, "open_world", None, "declared"),
        (READ, "shadow", None, "level_shadow"),
        (ToolPolicy(read_only=True, pin="a"), "declared", None, "declared"),
        (ToolPolicy(read_only=True, pin="a"), "declared", "a", "declared"),
        (ToolPolicy(read_only=True, pin="a"), "declared", "b", "pin_changed"),
        (READ, "declared", "b", "declared"),
        (ToolPolicy(), "declared", None, "not_read_only"),
        (ToolPolicy(read_only=True, open_world=True), "open_world", None, "open_world"),
        (ToolPolicy(read_only=True, open_world=True, disclosure="declared"), "annotated", None, "open_world"),
        (ToolPolicy(read_only=True, open_world=True, disclosure="declared"), "declared", None, "open_world"),
        (ToolPolicy(read_only=True, open_world=True, disclosure="declared"), "open_world", None, "declared"),
        (ToolPolicy(read_only=True, open_world=True, disclosure="same_args_only"), "open_world", None, "declared"),
        (ToolPolicy(read_only=True, ttl_s=0), "declared", None, "ttl_zero"),
        (ToolPolicy(read_only=True, ttl_s=1e-9), "declared", None, "declared"),
        (None, "declared", None, "undeclared"),
    ],
)
def test_what_a_rule_amounts_to(tool: ToolPolicy | None, level: str, fingerprint: str | None, reason: str):
    """
    The first thing that speaks against it, or that nothing does.
    """
    assert reason_for(Rule(tool, "x"), level, fingerprint) == reason


@pytest.mark.parametrize(
    ("level", "reason"), [("declared", "undeclared"), ("annotated", "annotated"), ("shadow", "level_shadow")]
)
def test_a_rule_that_rests_on_annotations_needs_their_level(level: str, reason: str):
    """
    At the level `declared` nobody believed them.
    """
    assert reason_for(Rule(READ, "x", needs="annotated"), level, None) == reason


def test_letters_are_no_glob():
    """
    Only `*`, `?` and `[` are.
    """
    assert [key for key in ("X", "get", "*", "a?", "[a]", "a]", "") if is_glob(key)] == ["*", "a?", "[a]"]
    assert matching(["aX*", "a*"], "aXb") == "aX*"
    assert matching(["[ab]c*", "?c?*", "*d"], "acd") == "[ab]c*"
    assert matching(["a"], "b") is None


def test_a_sentence_lists_what_is_read():
    """
    With commas.
    """
    verdict = Verdict("x", True, "declared", "tools.x", ("a", "b"))
    assert str(verdict) == "x may run ahead: its owner declared it read-only (tools.x); reads a, b"


def test_only_what_explains_a_denial_is_said_in_its_place():
    """
    How annotations narrowed a rule is said where that decided, and not where the level did.
    """
    metadata = {"readOnlyHint": True, "openWorldHint": True}
    told = {}
    for level in ("declared", "shadow", "off", "open_world"):
        data = {"level": level, "tools": {"x": True}, "limits": {"max_ghost_per_run": 1}}
        told[level] = SpeculationPolicy.from_dict(data).explain("x", metadata=metadata)
    wanted = "its server says openWorldHint = true, and its entry does not say open_world = true"
    assert [verdict.reason for verdict in told.values()] == ["open_world", "open_world", "level_off", "open_world"]
    assert [verdict.detail for verdict in told.values()] == [wanted, wanted, "", wanted]


def test_a_pin_that_fails_is_not_explained_by_annotations():
    """
    The tool is another one; what its server says of it does not matter.
    """
    policy = SpeculationPolicy.from_dict({"tools": {"x": {"read_only": True, "pin": "a"}}})
    verdict = policy.explain("x", metadata={"openWorldHint": True}, fingerprint="b")
    assert (verdict.reason, verdict.detail) == ("pin_changed", "")


# -- the whole policy -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "problems"),
    [
        ({"max_ghost_per_run": 1}, []),
        (Limits(max_ghost_per_run=1), []),
        (MappingProxyType({"max_ghost_per_run": 1}), []),
        ({}, ["budget"]),
        ({"max_ghost_per_run": 0}, ["budget"]),
        (Limits(), ["budget"]),
        (None, ["budget", "limits: must be a table, got None"]),
        ([], ["budget", "limits: must be a table, got []"]),
    ],
)
def test_an_open_world_needs_its_budget(limits: Any, problems: list[str]):
    """
    In whatever form the limits are given; and what is no limits at all is told as well.
    """
    budget = "limits.max_ghost_per_run: must be set at level 'open_world': how many unwanted calls may others see?"
    told = [budget if problem == "budget" else problem for problem in problems]
    data = {"level": "open_world", "limits": limits}
    if not told:
        assert SpeculationPolicy.from_dict(data).limits.max_ghost_per_run == 1
    else:
        assert refusal(data).removeprefix("2 problems\n  ").split("\n  ") == told


def test_an_open_world_without_limits_is_refused():
    """
    Unsaid is not set.
    """
    assert refusal({"level": "open_world"}).startswith("limits.max_ghost_per_run: must be set")


def test_names_nobody_has_are_told_with_the_nearest():
    """
    Globs too.
    """
    policy = SpeculationPolicy.from_dict({"tools": {"get_order?": True, "zzz*": True}})
    with pytest.raises(PolicyError) as caught:
        policy.check_names(["get_order"])
    assert str(caught.value).splitlines()[1:] == [
        "  tools.\"get_order?\": matches no tool; did you mean 'get_order'?",
        '  tools."zzz*": matches no tool',
    ]


def test_the_warning_about_the_environment_says_what_stands_there(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """
    Name and value, so that it can be found.
    """
    monkeypatch.setattr("langgraph_speculate.policy.levels._warned_about", set())
    with caplog.at_level(logging.WARNING):
        assert SpeculationPolicy().effective_level({"LANGGRAPH_SPECULATE": "Stop!"}) == "off"
    assert [record.getMessage() for record in caplog.records] == [
        "LANGGRAPH_SPECULATE=stop! means nothing here and counts as off"
    ]
