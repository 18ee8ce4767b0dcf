"""What a policy accepts, what it refuses and what it decides."""

from __future__ import annotations

import copy
import logging
import os
import pickle
from contextvars import ContextVar
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy import Limits, Rule, SpeculationPolicy, ToolPolicy
from langgraph_speculate.policy.file import MAX_FILE_BYTES

VALID: dict[str, Any] = {
    "level": "shadow",
    "tools": {
        "get_order": {
            "read_only": True,
            "open_world": False,
            "idempotent": True,
            "destructive": False,
            "eagerness": "moderate",
            "reads": ["order:{order_id}"],
            "ttl_s": 5,
            "scope": "run",
            "deterministic": True,
            "on_mispredict": "cancel",
            "uses": ["context"],
            "tag": "orders",
        },
        "set_order": {"writes": ["order:{order_id}"], "destructive": True},
    },
    "limits": {
        "max_in_flight": 2,
        "max_per_turn": 2,
        "max_per_run": 9,
        "max_wasted_per_run": 3,
        "max_result_bytes": 1000,
        "attempt_timeout_s": 2.5,
    },
    "approval_gated": ["set_order"],
    "partition_by": ["user_id"],
}


def refusal(data: dict[str, Any]) -> str:
    with pytest.raises(PolicyError) as caught:
        SpeculationPolicy.from_dict(data)
    return str(caught.value)


# -- reading ----------------------------------------------------------------------------------------------------------


def test_every_setting_can_be_given_as_plain_data():
    """
    A dict of the documented shape becomes records with the same values.
    """
    policy = SpeculationPolicy.from_dict(VALID)

    assert policy.level == "shadow"
    assert policy.tools["get_order"].reads == ("order:{order_id}",)
    assert policy.tools["get_order"].ttl_s == 5.0
    assert policy.limits == Limits(**VALID["limits"])
    assert policy.approval_gated == ("set_order",)
    assert policy.partition_by == ("user_id",)


def test_a_toml_file_reads_like_the_dict_it_holds(tmp_path: Path):
    """
    A path, as text or as a path object, is read as TOML; a byte-order mark and Windows line ends do no harm.
    """
    file = tmp_path / "speculate.toml"
    file.write_bytes(b'\xef\xbb\xbflevel = "shadow"\r\n[tools."search_*"]\r\nread_only = true\r\n')

    for source in (file, str(file)):
        policy = SpeculationPolicy.load(source)
        assert policy == SpeculationPolicy.from_dict({"level": "shadow", "tools": {"search_*": {"read_only": True}}})


def test_load_passes_a_policy_through_and_none_means_defaults():
    """
    What is a policy already stays the same object; nothing at all is the default level without entries.
    """
    policy = SpeculationPolicy(level="off")

    assert SpeculationPolicy.load(policy) is policy
    assert SpeculationPolicy.load(None) == SpeculationPolicy() == SpeculationPolicy.load({})
    assert SpeculationPolicy().level == "declared"
    assert not SpeculationPolicy().tools


def test_load_refuses_anything_else():
    """
    A policy is a record, a dict or a path.
    """
    with pytest.raises(PolicyError, match="not a int"):
        SpeculationPolicy.load(7)  # type: ignore[arg-type]


def test_a_bare_yes_or_no_declares_a_tool():
    """
    As in `interrupt_on`, True and False are the short form: read-only, and not.
    """
    policy = SpeculationPolicy.from_dict({"tools": {"read": True, "write": False}})

    assert policy.tools["read"] == ToolPolicy(read_only=True)
    assert policy.tools["write"] == ToolPolicy()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"level = off", "not TOML.*line 1"),
        (b"level = 'off'\nlevel = 'off'\n", "not TOML.*line 2"),
        (b"level = '\xff'", r"not UTF-8 \(line 1\)"),
        (b"a = 1\n# \xc3\x28", r"not UTF-8 \(line 2\)"),
        (b"#" * (MAX_FILE_BYTES + 1), f"larger than {MAX_FILE_BYTES} bytes"),
        (b"a = " + b"[" * 100_000, "nested too deeply|not TOML"),
        (b"[limits]\nmax_per_run = " + b"9" * 10_000, "not TOML"),
        (b"[limits]\nmax_per_rum = 1", r"limits\.max_per_rum: unknown key; did you mean 'max_per_run'\?"),
        (b"\x00", "not TOML"),
    ],
)
def test_a_bad_file_is_one_error_that_names_the_file(tmp_path: Path, content: bytes, complaint: str):
    """
    Whatever is wrong with a file, the message starts with its path and says what and where.
    """
    file = tmp_path / "speculate.toml"
    file.write_bytes(content)

    with pytest.raises(PolicyError, match=complaint) as caught:
        SpeculationPolicy.load(file)

    assert str(caught.value).startswith(str(file))


def test_what_is_no_readable_file_is_refused(tmp_path: Path):
    """
    A missing file, a directory, a pipe (which would wait for ever) and an impossible path are policy errors too.
    """
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    for path, complaint in [
        (tmp_path / "none.toml", "No such file"),
        (tmp_path, "directory"),
        (pipe, "no regular file"),
        ("a\0b", "null"),
    ]:
        with pytest.raises(PolicyError, match=complaint):
            SpeculationPolicy.load(path)


# -- refusing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"tools": {"get_order": {"read_onyl": True}}},
            "tools.get_order.read_onyl: unknown key; did you mean 'read_only'?",
        ),
        ({"tools": {"a b": {"x": 1}}}, 'tools."a b".x: unknown key'),
        ({"Level": "off"}, "Level: unknown key; did you mean 'level'?"),
        ({"level": "declred"}, "level: must be one of 'off', 'shadow', 'declared', 'annotated', 'open_world', got 'declred'; did you mean 'declared'?"),  # noqa: E501
        ({"level": None}, "level: must be one of 'off', 'shadow', 'declared', 'annotated', 'open_world', got None"),
        (
            {"level": "open_world"},
            "limits.max_ghost_per_run: must be set at level 'open_world': how many unwanted calls may others see?",
        ),
        (
            {"tools": {"t": {"read_only": True, "disclosure": "declared"}}},
            "tools.t: disclosure is for tools that leave your trust boundary; add open_world = true, or remove it",
        ),
        (
            {"tools": {"t": {"read_only": True, "open_world": True, "scope": "run"}}},
            "tools.t: scope 'run' is not for what others may change; use scope 'step'",
        ),
        ({"tools": []}, "tools: must be a table, got []"),
        ({"tools": {"t": 1}}, "tools.t: must be a table of settings, true or false, got 1"),
        ({"tools": {"t": None}}, "tools.t: must be a table of settings, true or false, got None"),
        ({"tools": {"": {}}}, 'tools."": a tool\'s name is text, not empty'),
        ({"tools": {7: {}}}, "tools.7: a tool's name is text, not empty"),
        ({"tools": {"t": {"read_only": "yes"}}}, "tools.t.read_only: must be true or false, got 'yes'"),
        ({"tools": {"t": {"read_only": 1}}}, "tools.t.read_only: must be true or false, got 1"),
        ({"tools": {"t": {"ttl_s": -1}}}, "tools.t.ttl_s: must be a finite number of seconds >= 0, got -1"),
        ({"tools": {"t": {"ttl_s": True}}}, "tools.t.ttl_s: must be a finite number of seconds >= 0, got True"),
        ({"tools": {"t": {"ttl_s": float("inf")}}}, "tools.t.ttl_s: must be a finite number of seconds >= 0, got inf"),
        ({"tools": {"t": {"ttl_s": float("nan")}}}, "tools.t.ttl_s: must be a finite number of seconds >= 0, got nan"),
        ({"tools": {"t": {"reads": "order"}}}, "tools.t.reads: must be a list, got 'order'; did you mean ['order']?"),
        ({"tools": {"t": {"reads": None}}}, "tools.t.reads: must be a list of texts, got None"),
        ({"tools": {"t": {"reads": [""]}}}, "tools.t.reads: must hold only texts, none empty, got ''"),
        ({"tools": {"t": {"reads": [1]}}}, "tools.t.reads: must hold only texts, none empty, got 1"),
        ({"tools": {"t": {"uses": ["contxt"]}}}, "tools.t.uses: each must be one of 'context', 'thread_locals', got 'contxt'; did you mean 'context'?"),  # noqa: E501
        ({"tools": {"t": {"tag": ""}}}, "tools.t.tag: must be text, not empty, got ''"),
        ({"tools": {"t": {"eagerness": "Eager"}}}, "tools.t.eagerness: must be one of 'auto', 'immediate', 'eager', 'moderate', 'conservative', got 'Eager'; did you mean 'eager'?"),  # noqa: E501
        ({"limits": []}, "limits: must be a table, got []"),
        ({"limits": None}, "limits: must be a table, got None"),
        ({"limits": {"max_in_flight": True}}, "limits.max_in_flight: must be a whole number >= 0, got True"),
        ({"limits": {"max_in_flight": 2.0}}, "limits.max_in_flight: must be a whole number >= 0, got 2.0"),
        ({"limits": {"max_per_run": -1}}, "limits.max_per_run: must be a whole number >= 0, got -1"),
        ({"limits": {"attempt_timeout_s": 0}}, "limits.attempt_timeout_s: must be a finite number of seconds > 0, got 0"),  # noqa: E501
        ({"approval_gated": "atuo"}, "approval_gated: must be a list, got 'atuo'; did you mean ['atuo']? (or 'auto')"),
        ({"partition_by": "user_id"}, "partition_by: must be a list, got 'user_id'; did you mean ['user_id']?"),
        (
            {"propagate_context": ["user"]},
            "propagate_context: must be a list of ContextVar objects, so it can only be set in code, got ['user']",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_path_and_the_nearest_right_name(data: dict[str, Any], message: str):
    """
    The message is what a person needs to repair the setting.
    """
    assert refusal(data) == message


def test_all_mistakes_are_told_at_once():
    """
    One error lists every mistake, so that nobody repairs a file once per run.
    """
    message = refusal({"levl": "off", "tools": {"t": {"read_only": 1, "tll_s": 2}}, "limits": {"max_per_run": -1}})

    assert message.splitlines() == [
        "4 problems",
        "  levl: unknown key; did you mean 'level'?",
        "  limits.max_per_run: must be a whole number >= 0, got -1",
        "  tools.t.read_only: must be true or false, got 1",
        "  tools.t.tll_s: unknown key; did you mean 'ttl_s'?",
    ]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"read_only": True, "destructive": True}, "read_only and destructive"),
        ({"read_only": True, "writes": ["order"]}, "read_only and writes"),
        ({"deterministic": False, "scope": "run"}, "needs a deterministic tool"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(fields: dict[str, Any], complaint: str):
    """
    Two statements that cannot both be true are an error in every way of writing them.
    """
    with pytest.raises(PolicyError, match=complaint):
        ToolPolicy(**fields)
    told = refusal({"tools": {"t": fields}})
    assert told.startswith("tools.t: ")
    assert complaint in told
    with pytest.raises(PolicyError, match=complaint):
        SpeculationPolicy().rule_for("t", {"speculation": fields})


@pytest.mark.parametrize(
    "template",
    [
        "order:{",
        "order:}",
        "{}",
        "{0}",
        "{a.b}",
        "{a[0]}",
        "{a!r}",
        "{a:>3}",
        "{a-b}",
        "or*der",
        "*:{a}",
        "{a}*{b}",
        "**",
        "{{*}}",
        "{a:{b}}",
    ],
)
def test_a_resource_template_holds_argument_names_and_nothing_else(template: str):
    """
    Formats, attributes and indexes are no templates; a `*` anywhere but at the end would be read as a letter.
    """
    for field in ("reads", "writes"):
        with pytest.raises(PolicyError, match=field):
            ToolPolicy(**{field: [template]})  # type: ignore[arg-type]


def test_templates_are_checked_against_the_arguments_of_the_tool():
    """
    A template that uses an argument the tool does not have can never be filled in.
    """
    tool = ToolPolicy(reads=("order:{order_di}",), writes=("{tenant}",))

    with pytest.raises(PolicyError, match=r"tools\.get_order\.reads: .* did you mean 'order_id'\?"):
        tool.check_templates("get_order", ["order_id", "tenant"])
    ToolPolicy(reads=("order:{order_id}", "*", "stock:*", "{order_id}*", "all")).check_templates(
        "get_order", ["order_id"]
    )


def test_values_whose_repr_fails_are_still_told():
    """
    A strange value in a dict is a mistake like any other, not a crash.
    """

    class Strange:
        def __repr__(self) -> str:
            raise RuntimeError

    assert refusal({"level": Strange()}).endswith("got a Strange")
    assert "ttl_s" in refusal({"tools": {"t": {"ttl_s": 10**400}}})
    assert "max_per_run" in refusal({"limits": {"max_per_run": -(10**5000)}})


# -- meaning ----------------------------------------------------------------------------------------------------------


def test_a_read_only_tool_writes_nothing_and_a_silent_one_everything():
    """
    Undeclared writes are writes to everything.
    """
    assert ToolPolicy(read_only=True).effective_writes == ()
    assert ToolPolicy().effective_writes == ("*",)
    assert ToolPolicy(writes=()).effective_writes == ()
    assert ToolPolicy(writes=["a", "b"]).effective_writes == ("a", "b")  # type: ignore[arg-type]


def test_resources_are_filled_in_from_the_arguments():
    """
    What cannot be filled in counts as everything.
    """
    tool = ToolPolicy(reads=("order:{order_id}", "all"))

    assert tool.resources_read({"order_id": 7, "other": 1}) == ("order:7", "all")
    assert tool.resources_read({}) == tool.resources_read({"order_id": None}) == ("*", "all")


def test_eagerness_names_a_floor_on_the_probability():
    """
    The names are Chrome's; `auto` leaves it to admission.
    """
    floors = [ToolPolicy(eagerness=name).probability_floor for name in ("auto", "immediate", "eager", "moderate", "conservative")]  # type: ignore[arg-type]  # fmt: skip  # noqa: E501

    assert floors == [None, 0.0, 0.3, 0.5, 0.8]


def test_a_policy_cannot_be_changed():
    """
    Neither its fields nor its entries, nor through the dict it came from.
    """
    source: dict[str, Any] = {"tools": {"t": {"read_only": True}}}
    policy = SpeculationPolicy.from_dict(source)
    source["tools"]["u"] = {"read_only": True}

    assert list(policy.tools) == ["t"]
    with pytest.raises(FrozenInstanceError):
        policy.level = "off"  # type: ignore[misc]
    with pytest.raises(TypeError):
        policy.tools["u"] = ToolPolicy()  # type: ignore[index]


def test_a_policy_can_be_varied_copied_and_pickled():
    """
    Records stay ordinary values.
    """
    policy = SpeculationPolicy.from_dict(VALID)

    assert replace(policy, level="off").tools == policy.tools
    assert copy.deepcopy(policy) == policy
    assert pickle.loads(pickle.dumps(policy)) == policy


def test_context_variables_can_be_set_in_code():
    """
    A list becomes a tuple of the same variables.
    """
    user: ContextVar[str] = ContextVar("user")

    assert SpeculationPolicy.from_dict({"propagate_context": [user]}).propagate_context == (user,)


# -- which rule -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "metadata", "origin", "read_only"),
    [
        ("get_order", {"read_only": True}, "tools.get_order", False),
        ("get_user", {"read_only": True}, 'tools."get_*"', True),
        ("get_user", {"read_only": False}, 'tools."get_*"', False),
        ("get_users_all", None, 'tools."get_users*"', False),
        ("x_get", None, 'tools."?_get"', True),
        ("other", {"speculation": {"read_only": True}, "read_only": False}, "metadata.speculation", True),
        ("other", {"speculation": True}, "metadata.speculation", True),
        ("other", {"speculation": False, "read_only": True}, "metadata.speculation", False),
        ("other", {"read_only": True, "source": "x"}, "metadata.read_only", True),
        ("other", {"read_only": "yes"}, "undeclared", None),
        ("other", {"read_only": None}, "undeclared", None),
        ("other", {"readOnlyHint": True}, "undeclared", None),
        ("other", {}, "undeclared", None),
        ("other", None, "undeclared", None),
    ],
)
def test_the_nearest_statement_about_a_tool_decides(
    name: str, metadata: dict[str, Any] | None, origin: str, read_only: bool | None
):
    """
    Its own entry, then the most literal glob, then what the tool says itself, else nobody.
    """
    tools = {"get_order": False, "get_*": True, "get_users*": False, "?_get": True, "[x]_*": False}
    rule = SpeculationPolicy.from_dict({"tools": tools}).rule_for(name, metadata)

    assert rule.origin == origin
    assert (rule.tool and rule.tool.read_only) == read_only


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (None, "declared"),
        ({}, "declared"),
        ({"read_only": True}, "declared"),
        ({"read_only": None}, "declared"),
        ({"speculation": True}, "declared"),
        ({"speculation": {"read_only": True, "ttl_s": 3}}, "declared"),
        ({"read_only": False}, "not_read_only"),
        ({"read_only": "no"}, "not_read_only"),
        ({"destructive": True}, "not_read_only"),
        ({"read_only": False, "readOnlyHint": True}, "not_read_only"),
        ({"speculation": False}, "not_read_only"),
        ({"speculation": None}, "not_read_only"),
        ({"speculation": {"writes": ["queue"]}}, "not_read_only"),
        ({"speculation": {"read_onyl": True}}, "not_read_only"),
        ({"speculation": ToolPolicy(destructive=True)}, "not_read_only"),
        ({"read_only": True, "open_world": True}, "open_world"),
        ({"speculation": {"read_only": True, "open_world": True}}, "open_world"),
    ],
)
def test_what_a_tool_says_no_to_holds_against_a_glob(metadata: dict[str, Any] | None, reason: str):
    """
    Whoever wrote the glob did not have this tool in mind. An entry of its own name wins, and a glob's no stays one.
    """
    verdict = SpeculationPolicy.load({"tools": {"get_*": True}}).explain("get_next_job", metadata=metadata)
    assert (verdict.reason, verdict.allowed, verdict.origin) == (reason, reason == "declared", 'tools."get_*"')
    assert SpeculationPolicy.load({"tools": {"get_next_job": True}}).explain("get_next_job", metadata=metadata).allowed
    assert not SpeculationPolicy.load({"tools": {"get_*": False}}).explain("get_next_job", metadata=metadata).allowed


@pytest.mark.parametrize(
    "metadata", [{"read_only": False}, {"readOnlyHint": False}, {"destructiveHint": True}], ids=str
)
def test_a_no_holds_against_an_entry_that_reads_through(metadata: dict[str, Any]):
    """
    What only a tool that reads may have goes with it, and nothing is raised.
    """
    policy = SpeculationPolicy.load({"tools": {"get_*": {"read_only": True, "read_through": True, "ttl_s": 9}}})
    assert policy.explain("get_it", metadata=metadata).reason == "not_read_only"


def test_the_first_of_two_equally_literal_globs_decides():
    """
    Order breaks the tie, as in the file.
    """
    policy = SpeculationPolicy.from_dict({"tools": {"a*": True, "*b": False}})

    assert policy.rule_for("a_b").origin == 'tools."a*"'


def test_unknown_openness_in_metadata_counts_as_open():
    """
    Adapters write None for what a server did not say.
    """
    rule_for = SpeculationPolicy().rule_for

    assert [
        rule_for("t", {"read_only": True, "open_world": value}).tool == ToolPolicy(read_only=True, open_world=opened)
        for value, opened in [(None, True), (True, True), (False, False)]
    ] == [True, True, True]


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({"speculation": None}, "speculation: must be a table"),
        ({"speculation": "yes"}, "speculation: must be a table"),
        ({"speculation": {"read_onyl": True}}, r"speculation\.read_onyl: unknown key; did you mean 'read_only'\?"),
        ({"read_only": True, "open_world": "no"}, "open_world: must be true or false"),
        ({"read_only": True, "destructive": True}, "contradict"),
        (["read_only"], "must be a dict"),
    ],
)
def test_metadata_that_cannot_be_understood_is_refused(metadata: Any, complaint: str):
    """
    The message names the tool.
    """
    with pytest.raises(PolicyError, match=f"metadata of tool 'get_order': .*{complaint}"):
        SpeculationPolicy().rule_for("get_order", metadata)


def test_names_nobody_has_are_refused():
    """
    An entry for a tool that does not exist is a typo, and the tool it meant is undeclared.
    """
    policy = SpeculationPolicy.from_dict(
        {"tools": {"get_ordr": True, "find_*": True, "set_*": False}, "approval_gated": ["set_oder"]}
    )

    with pytest.raises(PolicyError) as caught:
        policy.check_names(["get_order", "set_order"])

    assert str(caught.value).splitlines() == [
        "3 problems",
        "  tools.get_ordr: there is no such tool; did you mean 'get_order'?",
        '  tools."find_*": matches no tool',
        "  approval_gated: there is no tool 'set_oder'; did you mean 'set_order'?",
    ]
    SpeculationPolicy.from_dict(VALID).check_names({"get_order", "set_order", "more"})


def test_of_a_graph_without_tools_it_is_said_how_to_name_them():
    """
    A node that fetches its tools at run time hides them all; the message has the file and the remedy.
    """
    with pytest.raises(PolicyError, match=r"^mine.toml: tools.get_order: there is no such tool \(no tools were found"):
        SpeculationPolicy.from_dict({"tools": {"get_order": True}}).check_names((), source="mine.toml")


@pytest.mark.parametrize("entry", [True, {"read_only": True}, ToolPolicy(read_only=True)])
def test_an_entry_in_the_wrong_place_is_told_its_place(entry: Any):
    """
    Who forgets the table of tools is told of it, and nothing is let through.
    """
    with pytest.raises(PolicyError, match=r"^find_user: unknown key; a tool's entry stands under tools$"):
        SpeculationPolicy.load({"find_user": entry})


# -- level and verdict ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "value", "effective"),
    [
        ("declared", None, "declared"),
        ("declared", "", "declared"),
        ("declared", "on", "declared"),
        ("declared", "declared", "declared"),
        ("declared", "shadow", "shadow"),
        ("declared", "off", "off"),
        ("declared", " OFF ", "off"),
        ("shadow", "declared", "shadow"),
        ("shadow", "off", "off"),
        ("off", "shadow", "off"),
        ("off", "on", "off"),
        ("declared", "no", "off"),
        ("declared", "everything", "off"),
    ],
)
def test_the_environment_lowers_the_level_and_never_raises_it(level: Any, value: str | None, effective: str):
    """
    The kill switch beats every policy.
    """
    environ = {} if value is None else {"LANGGRAPH_SPECULATE": value}

    assert SpeculationPolicy(level=level).effective_level(environ) == effective


def test_a_word_the_environment_does_not_know_is_warned_about_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """
    It counts as off at every run; one line in the log is enough.
    """
    monkeypatch.setattr("langgraph_speculate.policy.levels._warned_about", set())
    environ = {"LANGGRAPH_SPECULATE": "disable-please"}
    with caplog.at_level(logging.WARNING):
        levels = [SpeculationPolicy().effective_level(environ) for _ in range(3)]

    assert levels == ["off"] * 3
    assert len(caplog.records) == 1


def test_the_environment_is_read_when_asked(monkeypatch: pytest.MonkeyPatch):
    """
    Setting the variable takes effect in a running process.
    """
    policy = SpeculationPolicy()
    monkeypatch.delenv("LANGGRAPH_SPECULATE", raising=False)
    assert policy.effective_level() == "declared"
    monkeypatch.setenv("LANGGRAPH_SPECULATE", "off")
    assert policy.effective_level() == "off"


@pytest.mark.parametrize(
    ("policy", "tool", "verdict"),
    [
        ({"tools": {"t": True}}, "t", "t may run ahead: its owner declared it read-only (tools.t); reads *"),
        ({"level": "off", "tools": {"t": True}}, "t", "t never runs ahead: the level is off (level); reads *"),
        (
            {"level": "shadow", "tools": {"t": True}},
            "t",
            "t never runs ahead: the level is shadow: predictions are scored, nothing runs (level); reads *",
        ),
        ({"level": "shadow"}, "t", "t never runs ahead: nobody declared it read-only (undeclared)"),
        ({"tools": {"t": False}}, "t", "t never runs ahead: it is not declared read-only (tools.t); reads *"),
        (
            {"tools": {"t": {"read_only": True, "open_world": True, "reads": ["web:{url}"]}}},
            "t",
            "t never runs ahead: it leaves the trust boundary (tools.t); reads web:u",
        ),
        (
            {"tools": {"t": {"read_only": True, "ttl_s": 0}}},
            "t",
            "t never runs ahead: its results may not be kept (ttl_s is 0) (tools.t); reads *",
        ),
        (
            {"tools": {"t": True}, "approval_gated": ["t"]},
            "t",
            "t never runs ahead: it waits for approval (approval_gated); reads *",
        ),
    ],
)
def test_a_verdict_is_a_sentence_with_the_setting_that_decided(
    monkeypatch: pytest.MonkeyPatch, policy: dict[str, Any], tool: str, verdict: str
):
    """
    Every answer has its reason and where that stands.
    """
    monkeypatch.delenv("LANGGRAPH_SPECULATE", raising=False)
    explained = SpeculationPolicy.from_dict(policy).explain(tool, {"url": "u"})

    assert str(explained) == verdict
    assert explained.allowed == (explained.reason == "declared")


def test_a_verdict_names_the_environment_when_that_decided(monkeypatch: pytest.MonkeyPatch):
    """
    Somebody who looks for the reason in the policy would not find it there.
    """
    monkeypatch.setenv("LANGGRAPH_SPECULATE", "off")

    assert SpeculationPolicy(tools={"t": ToolPolicy(read_only=True)}).explain("t").origin == "LANGGRAPH_SPECULATE"


def test_a_rule_without_entry_is_undeclared():
    """
    Deny by default begins here.
    """
    assert SpeculationPolicy().rule_for("t") == Rule(None, "undeclared")


# -- fuzz -------------------------------------------------------------------------------------------------------------

WRONG_EVERYWHERE: list[Any] = [-1, "", {"a": 1}, [0], [None], object(), float("nan"), b"off", {1, 2}, 1j]
MAY_BE_NONE = {"destructive", "writes", "tag"}
NOBODYS_SETTINGS = ["mode", "timeout", "run_limit", "allowed_hosts", " ", "read-only"]


def _paths(table: dict[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in table.items():
        found.append((*prefix, key))
        if isinstance(value, dict):
            found += _paths(value, (*prefix, key))
    return found


SETTINGS = [path for path in _paths(VALID) if path[:-1] != ("tools",)]  # all but the names of tools, which are free


@st.composite
def policies_with_one_mistake(draw: st.DrawFn) -> dict[str, Any]:
    """A valid policy with a key misspelt, in another case or unknown, or a value that is None or of a wrong kind."""
    data = copy.deepcopy(VALID)
    *parents, key = draw(st.sampled_from(SETTINGS))
    table = data
    for parent in parents:
        table = table[parent]
    mistake = draw(st.sampled_from(["letter", "case", "unknown", "none", "value"]))
    if mistake == "letter":
        at = draw(st.integers(0, len(key)))
        table[key[:at] + draw(st.sampled_from("qz-.")) + key[at + draw(st.integers(0, 1)) :]] = table.pop(key)
    elif mistake == "case":
        table[draw(st.sampled_from([key.upper(), key.title()]))] = table.pop(key)
    elif mistake == "unknown":
        table[draw(st.sampled_from(NOBODYS_SETTINGS))] = True
    elif mistake == "none" and key not in MAY_BE_NONE:
        table[key] = None
    else:
        table[key] = draw(st.sampled_from(WRONG_EVERYWHERE))
    return data


@settings(max_examples=3_000, deadline=None)
@given(policies_with_one_mistake())
def test_no_mistake_is_accepted_silently(data: dict[str, Any]):
    """
    A valid policy with one mistake in it is always refused, and always with a `PolicyError`.
    """
    with pytest.raises(PolicyError):
        SpeculationPolicy.from_dict(data)
