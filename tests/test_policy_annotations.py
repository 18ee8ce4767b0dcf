"""What a policy makes of what an MCP server says about its tools."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy import Limits, Rule, SpeculationPolicy, ToolPolicy
from langgraph_speculate.policy.annotations import (
    SERVER_KEY,
    Annotations,
    ServerName,
    annotations_of,
    fingerprint,
    harmless,
)

BILLING = ServerName("billing")
HARMLESS = {"readOnlyHint": True, "openWorldHint": False}


def flat(**hints: Any) -> dict[str, Any]:
    """What langchain-mcp-adapters 0.3.2 writes: every hint, None for unset, and no server."""
    unset = dict.fromkeys(("title", "readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"))
    return {**unset, **hints}


def nested(server: Any = None, **hints: Any) -> dict[str, Any]:
    """What langchain's own adapter writes: snake case, unset ones left out, and the name the server gave itself."""
    return {"mcp": {"tool": {"annotations": hints}, **({"server": server} if server else {})}}


def rule(metadata: Mapping[str, Any], level: Any = "annotated", **settings: Any) -> Rule:
    policy = SpeculationPolicy(
        level=level, trusted_servers=("billing",), limits=Limits(max_ghost_per_run=1), **settings
    )
    return policy.rule_for("get_invoice", metadata)


# -- reading ----------------------------------------------------------------------------------------------------------


def test_both_shapes_say_the_same():
    """
    Flat with None for unset, and nested without what is unset.
    """
    said = Annotations(read_only=True, idempotent=True, open_world=False)
    hints = {"read_only_hint": True, "idempotent_hint": True, "open_world_hint": False, "title": "Get"}

    assert annotations_of(flat(title="Get", idempotentHint=True, **HARMLESS)) == said
    assert annotations_of(nested(**hints)) == said
    assert annotations_of({**flat(idempotentHint=True, **HARMLESS), SERVER_KEY: BILLING}).server == "billing"  # type: ignore[union-attr]


def test_the_name_a_server_gives_itself_is_kept_apart():
    """
    It comes over the wire like everything else.
    """
    found = annotations_of({**nested({"name": "demo", "version": "1.2.3"}), SERVER_KEY: BILLING})

    assert found == Annotations(server="billing", claimed="demo")


@pytest.mark.parametrize(
    "metadata", [None, {}, [], "readOnlyHint", 7, {"read_only": True}, {"_meta": HARMLESS}, {"mcp": True}, {"mcp": {}}]
)
def test_what_is_of_no_server_has_no_annotations(metadata: Any):
    """
    Nothing is guessed from what stands elsewhere.
    """
    assert annotations_of(metadata) is None


@pytest.mark.parametrize("value", [1, 0, "true", "false", "", [], [True], {}, 1.0, b"1", object()])
def test_a_malformed_hint_is_an_unset_one(value: Any):
    """
    Neither truth nor falsehood is read into what is no boolean.
    """
    assert annotations_of(flat(readOnlyHint=value, destructiveHint=value, openWorldHint=value)) == Annotations()
    assert annotations_of(nested(read_only_hint=value, open_world_hint=value)) == Annotations()
    assert annotations_of({"mcp": {"tool": {"annotations": value}}}) == Annotations()
    assert annotations_of({"mcp": {"tool": value, "server": {"name": value}}}) in (
        Annotations(),
        Annotations(claimed=value if isinstance(value, str) else None),
    )


KEYS = st.sampled_from(
    [
        *flat(),
        *("mcp", "tool", "server", "annotations", "name", "_meta", "read_only", "speculation", SERVER_KEY),
        *("read_only_hint", "open_world_hint", "destructive_hint"),
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, "", "x", "billing", SERVER_KEY]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@given(extra=st.dictionaries(KEYS, JSON, max_size=6))
def test_nothing_that_comes_over_the_wire_is_believed(extra: dict[str, Any]):
    """
    Whatever a server writes beside its hints, without the owner's word it runs nothing ahead and breaks nothing.
    """
    for metadata in ({**flat(), **extra}, {"mcp": extra}, {"mcp": {"tool": extra, "server": extra}}):
        sent = json.loads(json.dumps(metadata))
        assert rule(sent).tool is None
        assert (annotations_of(sent) or Annotations()).server is None


def test_a_name_on_the_wire_is_not_the_owners():
    """
    The key may be guessed; the type cannot be sent.
    """
    stamped = {**flat(**HARMLESS), SERVER_KEY: BILLING}

    assert rule(stamped).tool == ToolPolicy(read_only=True)
    assert rule(json.loads(json.dumps(stamped))).tool is None
    for forged in ({"_meta": {SERVER_KEY: "billing"}}, {"server": "billing"}, {"mcp": {"server": {"name": "billing"}}}):
        assert rule({**flat(**HARMLESS), **forged}).tool is None
    assert rule(nested({"name": "billing"}, read_only_hint=True, open_world_hint=False)).tool is None


def test_the_owners_word_survives_copies():
    """
    A tool's metadata is copied along with it.
    """
    for copied in (copy.deepcopy(BILLING), pickle.loads(pickle.dumps(BILLING))):
        assert annotations_of({SERVER_KEY: copied}) == Annotations(server="billing")


# -- believing --------------------------------------------------------------------------------------------------------


def test_only_what_is_said_in_so_many_words_is_harmless():
    """
    Of 27 combinations two: the defaults of the specification are the worst case.
    """
    values = (True, False, None)
    found = [
        (read_only, destructive, open_world)
        for read_only, destructive, open_world in itertools.product(values, repeat=3)
        if harmless(Annotations(read_only=read_only, destructive=destructive, open_world=open_world))
    ]

    assert found == [(True, False, False), (True, None, False)]


@pytest.mark.parametrize("level", ["off", "shadow", "declared", "annotated", "open_world"])
@pytest.mark.parametrize("server", ["billing", "Billing", "billing ", "other"])
def test_annotations_count_at_their_level_and_from_trusted_servers(level: Any, server: str):
    """
    Names are compared letter by letter.
    """
    found = rule({**flat(**HARMLESS), SERVER_KEY: ServerName(server)}, level)

    if level in ("annotated", "open_world") and server == "billing":
        believed = ToolPolicy(read_only=True)
        assert found == Rule(believed, "annotations of server 'billing'", needs="annotated")
    else:
        assert found.tool is None
        assert found.origin == "undeclared"
        assert "annotates it read-only" in found.detail


@pytest.mark.parametrize(
    ("metadata", "settings", "sentence"),
    [
        (
            {**flat(**HARMLESS), SERVER_KEY: ServerName("x")},
            {},
            "server 'x' annotates it read-only; "
            'level = "annotated" and trusted_servers = ["x"] would let it run ahead',
        ),
        (
            {**flat(**HARMLESS), SERVER_KEY: BILLING},
            {"trusted_servers": ["billing"]},
            "server 'billing' annotates it read-only; level = \"annotated\" would let it run ahead",
        ),
        (
            nested({"name": "demo"}, read_only_hint=True, open_world_hint=False),
            {"level": "annotated", "trusted_servers": ["demo"]},
            "its server annotates it read-only; "
            'from_server(tools, "demo") and trusted_servers = ["demo"] would let it run ahead',
        ),
        (
            {**flat(readOnlyHint=True), SERVER_KEY: BILLING},
            {"level": "annotated", "trusted_servers": ["billing"]},
            "server 'billing' does not say openWorldHint = false; declare it if it only reads",
        ),
        (
            {**flat(**HARMLESS), "read_only": True},
            {},
            "its server may have written 'read_only' into its metadata; use tools.get_invoice",
        ),
        (
            flat(destructiveHint=True),
            {"tools": {"get_invoice": True}},
            "its server says destructiveHint = true, which contradicts read_only = true",
        ),
    ],
)  # fmt: skip
def test_the_verdict_says_what_is_missing(metadata: dict[str, Any], settings: dict[str, Any], sentence: str):
    """
    Each no comes with its remedy.
    """
    verdict = SpeculationPolicy.from_dict(settings).explain("get_invoice", metadata=metadata)

    assert not verdict.allowed
    assert str(verdict) == f"get_invoice never runs ahead: {sentence} ({verdict.origin})"


def test_a_verdict_repeats_no_control_characters_of_a_server():
    """
    What calls itself by a newline and colours must not write lines of its own into a log.
    """
    name = "x\n\x1b[31mERROR" + "y" * 500
    verdict = SpeculationPolicy().explain(
        "t", metadata=nested({"name": name}, read_only_hint=True, open_world_hint=False)
    )

    assert str(verdict).isprintable()
    assert len(str(verdict)) < 400


def test_a_verdict_tells_the_level_that_the_environment_lowered(monkeypatch: pytest.MonkeyPatch):
    """
    Annotations stop counting as soon as the level does.
    """
    policy = SpeculationPolicy(level="annotated", trusted_servers=("billing",))
    found = {}
    for value in ("", "shadow", "declared", "annotated", "off"):
        monkeypatch.setenv("LANGGRAPH_SPECULATE", value)
        verdict = policy.explain("t", metadata={**flat(**HARMLESS), SERVER_KEY: BILLING})
        found[value] = (verdict.allowed, verdict.reason, verdict.origin)

    origin = "annotations of server 'billing'"
    assert found == {
        "": (True, "annotated", origin),
        "annotated": (True, "annotated", origin),
        "declared": (False, "undeclared", "LANGGRAPH_SPECULATE"),
        "shadow": (False, "level_shadow", "LANGGRAPH_SPECULATE"),
        "off": (False, "level_off", "LANGGRAPH_SPECULATE"),
    }


# -- annotations beside the owner's words -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [{"read_only": False}, {"speculation": False}, {"read_only": "yes"}, {"destructive": True}, {"open_world": True}],
)
@pytest.mark.parametrize("shape", [flat(**HARMLESS), nested(read_only_hint=True, open_world_hint=False)])
def test_a_no_in_the_metadata_beats_a_trusted_server(said: dict[str, Any], shape: dict[str, Any]):
    """
    Annotations count only where the metadata says nothing else about the tool.
    """
    found = rule({**shape, **said, SERVER_KEY: BILLING})

    assert found.tool is None or not found.tool.read_only


@pytest.mark.parametrize(
    "said", [{"read_only": True, "open_world": False}, {"speculation": True}, {"speculation": {"x": 1}}]
)
def test_a_yes_beside_flat_annotations_may_be_the_servers(said: dict[str, Any]):
    """
    The adapter copies every key that a server adds to its annotations; a wrong one must not make wrapping fail either.
    """
    assert rule({**flat(), **said}, "declared").tool is None
    assert rule({**flat(**HARMLESS), **said, SERVER_KEY: BILLING}).tool is None


def test_a_yes_beside_nested_annotations_is_the_owners():
    """
    There, a server writes under `mcp` only.
    """
    said = {**nested(read_only_hint=True), "speculation": {"read_only": True, "ttl_s": 2}}

    assert rule(said, "declared") == Rule(ToolPolicy(read_only=True, ttl_s=2), "metadata.speculation")
    with pytest.raises(PolicyError):
        rule({**nested(), "speculation": {"x": 1}})


@pytest.mark.parametrize("stamp", [{}, {SERVER_KEY: BILLING}, {SERVER_KEY: ServerName("other")}])
@pytest.mark.parametrize("level", ["declared", "annotated", "open_world"])
def test_annotations_narrow_an_entry(level: Any, stamp: dict[str, Any]):
    """
    Entry and server contradict each other, so one of them is wrong; which server says so does not matter.
    """
    entry = ToolPolicy(read_only=True, writes=(), scope="run", ttl_s=3)

    def narrowed(**hints: Any) -> ToolPolicy:
        tool = rule({**flat(**hints), **stamp}, level, tools={"get_invoice": entry}).tool
        assert tool is not None
        return tool

    for hints in ({"readOnlyHint": False}, {"destructiveHint": True}, {"destructiveHint": True, **HARMLESS}):
        assert not narrowed(**hints).read_only
        assert narrowed(**hints).effective_writes == ("*",)
    assert narrowed(openWorldHint=True).open_world
    assert narrowed(openWorldHint=True).disclosure == "none"
    for hints in ({}, HARMLESS, {"readOnlyHint": True}, {"destructiveHint": False}, {"idempotentHint": False}):
        assert narrowed(**hints) == entry


def test_annotations_leave_an_entry_alone_that_says_as_much():
    """
    There is nothing to narrow.
    """
    for entry in (ToolPolicy(read_only=True, open_world=True), ToolPolicy(writes=("a",)), ToolPolicy()):
        found = rule(flat(openWorldHint=True, readOnlyHint=None), tools={"get_invoice": entry})
        assert found == Rule(entry, "tools.get_invoice")


# -- fingerprints -----------------------------------------------------------------------------------------------------


def test_a_fingerprint_is_of_everything_a_person_approved():
    """
    Each part counts, the order of keys does not, and kinds of values do.
    """
    said = Annotations(read_only=True, server="billing")
    base = ("t", "text", {"type": "object", "required": ["a"]}, said)
    others = [
        ("u", *base[1:]),
        ("t", "texts", *base[2:]),
        ("t", "text", {"type": "object", "required": ["b"]}, said),
        ("t", "text", {"type": "object", "required": [1]}, said),
        ("t", "text", {"type": "object", "required": [True]}, said),
        ("t", "text", {"type": "object", "required": ["1"]}, said),
        *(
            (*base[:3], other)
            for other in (None, Annotations(), Annotations(read_only=True), Annotations(read_only=True, server="x"))
        ),
    ]

    assert fingerprint(*base) == fingerprint("t", "text", {"required": ["a"], "type": "object"}, said)
    assert len({fingerprint(*parts) for parts in (base, *others)}) == 1 + len(others)
    assert fingerprint(*base).startswith("sha256:")
    assert len(fingerprint(*base)) == 7 + 64


@pytest.mark.parametrize("schema", [object(), {"a": float("nan")}, {1: 2, "a": 3}])
def test_a_schema_that_is_no_json_has_no_fingerprint(schema: Any):
    """
    Whoever asks decides what that means; the graph takes it for a change.
    """
    with pytest.raises((TypeError, ValueError)):
        fingerprint("t", "", schema, None)


def test_explain_compares_a_fingerprint_with_the_pin():
    """
    Without one the graph's own `explain()` has the last word.
    """
    pin = fingerprint("t", "", {}, None)
    policy = SpeculationPolicy(tools={"t": ToolPolicy(read_only=True, pin=pin)})

    assert policy.explain("t", fingerprint=pin).allowed
    assert policy.explain("t").allowed
    assert policy.explain("t", fingerprint="sha256:0").reason == "pin_changed"
