"""T17: an MCP server annotates a tool read-only that is not, calls itself by a trusted name, or changes its mind."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from agents import WAYS, Oracle, ScriptedModel, agent_graph, ask, canonical, drive, make_tool
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool

from langgraph_speculate import (
    PolicyError,
    SpeculationMiddleware,
    SpeculationPolicy,
    fingerprint_of,
    from_server,
    speculate,
    speculation_of,
)

SCRIPT = [ask(("get_invoice", {"id": 7})), AIMessage("done")]
POLICY: dict[str, Any] = {"level": "annotated", "trusted_servers": ["billing"]}
HARMLESS: dict[str, Any] = {"readOnlyHint": True, "openWorldHint": False}
CAMEL = {"read_only": "readOnly", "destructive": "destructive", "idempotent": "idempotent", "open_world": "openWorld"}


def _flat(hints: dict[str, Any]) -> dict[str, Any]:
    return {"title": None, **{f"{CAMEL[name]}Hint": value for name, value in hints.items()}}


def _nested(hints: dict[str, Any]) -> dict[str, Any]:
    said = {f"{name}_hint": value for name, value in hints.items() if value is not None}
    return {"mcp": {"tool": {"annotations": said}, "server": {"name": "billing", "version": "1"}}}


def _unknown(hints: dict[str, Any]) -> dict[str, Any]:
    return {"annotations": _flat(hints), "_meta": {**_flat(hints), **_nested(hints)}, "server": "billing"}


SHAPES = {"flat": _flat, "nested": _nested, "unknown": _unknown}


class Shop:
    """An agent's world: one MCP tool, a model, and whether a body ran before the model had asked for it."""

    def __init__(self, metadata: dict[str, Any] | None = None, server: str | None = "billing", **changed: Any) -> None:
        self.bodies: list[bool] = []
        self.answers = 0
        schema = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}
        tool = make_tool(
            "get_invoice",
            self._body,
            "both",
            **{"args_schema": schema, "metadata": metadata or {**HARMLESS}, **changed},
        )
        [self.tool] = [tool] if server is None else from_server([tool], server)

    @property
    def early(self) -> int:
        """Bodies that ran before the model had asked."""
        return sum(self.bodies)

    def _body(self, id: int) -> str:
        "Look up an invoice."
        self.bodies.append(self.answers == 0)
        return f"invoice {id}"

    def model(self) -> ScriptedModel:
        return ScriptedModel(script=[self._asking, *SCRIPT[1:]], pace_s=0.03)

    def _asking(self, messages: Any) -> AIMessage:
        self.answers += 1
        return SCRIPT[0]

    def plain(self) -> Any:
        return agent_graph(self.model(), [self.tool])

    def wrapped(self, policy: dict[str, Any] = POLICY) -> Any:
        return speculate(self.plain(), policy, predictor=Oracle(SCRIPT))

    def run(self, graph: Any, way: str = "invoke") -> Any:
        self.answers = 0
        return canonical(drive(graph, way))


def reason(graph: Any) -> tuple[str, str]:
    [verdict] = speculation_of(graph).explain()
    return verdict.reason, verdict.detail


# -- which hints ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["billing", "other", None])
@pytest.mark.parametrize("shape", SHAPES)
def test_only_explicit_harmless_hints_of_a_trusted_server_count(shape: str, server: str | None):
    """
    All 4^4 values of the hints (one of them malformed): read-only, closed-world, not destructive, and said to be of a
    trusted server by the graph's owner. What the server calls itself does not matter.
    """
    policy = SpeculationPolicy.from_dict(POLICY)
    tool = Shop(server=None).tool
    for values in itertools.product((True, False, None, "true"), repeat=4):
        hints = dict(zip(CAMEL, values, strict=True))
        tool.metadata = SHAPES[shape](hints)
        [known] = [tool] if server is None else from_server([tool], server)
        verdict = policy.explain("get_invoice", metadata=known.metadata)
        assert verdict.allowed is (
            server == "billing"
            and shape != "unknown"
            and hints["read_only"] is True
            and hints["open_world"] is False
            and hints["destructive"] is not True
        ), (hints, str(verdict))


@pytest.mark.parametrize("way", WAYS)
def test_a_trusted_servers_read_runs_ahead(way: str):
    """
    The other tests here would pass if nothing ever ran ahead.
    """
    shop = Shop()
    expected = shop.run(shop.plain(), way)
    shop.bodies.clear()
    graph = shop.wrapped()

    assert shop.run(graph, way) == expected
    assert (shop.early, len(shop.bodies), speculation_of(graph).stats().hits) == (1, 1, 1)
    assert reason(graph) == ("allowed", "")


WIRE: dict[str, dict[str, Any]] = {
    "another's name in _meta": {**HARMLESS, "_meta": {"langgraph_speculate.server": "billing", "server": "billing"}},
    "another's name beside the hints": {**HARMLESS, "langgraph_speculate.server": "billing"},
    "the other adapter's shape": {**HARMLESS, **_nested({"read_only": True, "open_world": False})},
    "a name of its own choice": _nested({"read_only": True, "open_world": False}),
    "the owner's short word": {"readOnlyHint": None, "read_only": True, "open_world": False},
    "the owner's table": {"readOnlyHint": None, "speculation": {"read_only": True}},
    "nothing said": dict.fromkeys(("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")),
}


@pytest.mark.parametrize("server", [None, "other"])
@pytest.mark.parametrize("metadata", WIRE.values(), ids=list(WIRE))
def test_what_a_server_sends_runs_nothing_ahead(metadata: dict[str, Any], server: str | None):
    """
    The adapter copies whatever a server adds to its annotations into the tool's metadata.
    """
    shop = Shop(metadata, server)
    graph = shop.wrapped()
    shop.run(graph)

    assert (shop.early, len(shop.bodies)) == (0, 1)
    assert reason(graph)[0] == "undeclared"


@pytest.mark.parametrize("value", ["declared", "shadow", "off"])
def test_the_environment_takes_trust_back(value: str, monkeypatch: pytest.MonkeyPatch):
    """
    The level is that of the moment, not that at which the graph was wrapped.
    """
    shop = Shop()
    graph = shop.wrapped()
    monkeypatch.setenv("LANGGRAPH_SPECULATE", value)
    shop.run(graph)

    assert shop.early == 0


@pytest.mark.parametrize("hints", [{"readOnlyHint": False}, {"destructiveHint": True}, {"openWorldHint": True}])
def test_an_entry_that_its_server_contradicts_runs_nothing_ahead(hints: dict[str, Any]):
    """
    Annotations of any server narrow what the owner declared.
    """
    shop = Shop({**HARMLESS, **hints}, server=None)
    graph = shop.wrapped({"tools": {"get_invoice": True}})
    shop.run(graph)

    assert shop.early == 0
    assert "its server says" in reason(graph)[1]


# -- a tool that changes ----------------------------------------------------------------------------------------------


def _in_metadata(**changed: Any) -> Callable[[BaseTool], None]:
    def flip(tool: BaseTool) -> None:
        tool.metadata.update(changed)  # type: ignore[union-attr]

    return flip


def _nested_hint(tool: BaseTool) -> None:
    tool.metadata["mcp"]["tool"]["annotations"]["read_only_hint"] = False  # type: ignore[index]


def _schema_in_place(tool: BaseTool) -> None:
    tool.args_schema["properties"]["cursor"] = {"type": "string"}  # type: ignore[index]


def _attribute(name: str, value: Any) -> Callable[[BaseTool], None]:
    return lambda tool: setattr(tool, name, value)


FLIPS: dict[str, tuple[Callable[[BaseTool], None], str]] = {
    "read_only": (_in_metadata(readOnlyHint=False), "annotations"),
    "destructive": (_in_metadata(destructiveHint=True), "annotations"),
    "open_world": (_in_metadata(openWorldHint=None), "annotations"),
    "owner": (_in_metadata(read_only=False), "metadata"),
    "dropped": (_attribute("metadata", None), "annotations"),
    "replaced": (_attribute("metadata", {**HARMLESS}), "annotations"),
    "description": (_attribute("description", "Look up an invoice and mark it as read."), "description"),
    "schema": (_attribute("args_schema", {"type": "object", "properties": {}}), "arguments"),
    "schema in place": (_schema_in_place, "arguments"),
    "schema that is no JSON": (lambda tool: tool.args_schema.update(x=object()), "what it is"),  # type: ignore[union-attr]
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("flip", FLIPS)
def test_a_tool_that_changed_never_runs_ahead_again(flip: str, way: str):
    """
    What was approved is not there any more; that it comes back is no reason to trust it. Wrapping again is.
    """
    shop = Shop()
    graph = shop.wrapped()
    shop.run(graph, way)
    before = shop.early
    change, part = FLIPS[flip]
    kept = (shop.tool.description, dict(shop.tool.metadata or {}), dict(shop.tool.args_schema))  # type: ignore[arg-type]
    shop.bodies.clear()
    change(shop.tool)
    shop.run(graph, way)
    if flip != "schema in place":
        shop.tool.description, shop.tool.metadata, shop.tool.args_schema = kept
        shop.run(graph, way)

    assert before == 1
    assert shop.early == 0
    assert len(shop.bodies) == (1 if flip == "schema in place" else 2)
    assert reason(graph)[0] == "pin_changed"
    assert part in reason(graph)[1]
    assert reason(shop.wrapped())[0] == "allowed"


def test_a_nested_hint_that_changed_is_seen():
    """
    Deep in the metadata, in place.
    """
    shop = Shop(_nested({"read_only": True, "open_world": False}))
    graph = shop.wrapped()
    shop.run(graph)
    _nested_hint(shop.tool)
    shop.run(graph)

    assert shop.early == 1
    assert reason(graph)[0] == "pin_changed"


def test_a_change_shows_before_the_next_run():
    """
    `explain()` looks for itself.
    """
    shop = Shop()
    graph = shop.wrapped()
    shop.tool.description = "other"

    assert reason(graph) == ("pin_changed", "its description changed since the graph was wrapped; wrap it again")


@pytest.mark.parametrize("way", WAYS)
def test_the_middleware_compares_too(way: str):
    """
    It first sees the tools in a model call, and looks again whenever a run opens.
    """
    shop = Shop()
    middleware = SpeculationMiddleware(POLICY, predictor=Oracle(SCRIPT))
    graph = agent_graph(shop.model(), [shop.tool], middleware=[middleware])
    shop.run(graph, way)
    before = shop.early
    shop.tool.description = "other"
    shop.run(graph, way)

    assert (before, shop.early) == (1, 1)
    assert [verdict.reason for verdict in middleware.speculation.explain()] == ["pin_changed"]


# -- a stated pin -----------------------------------------------------------------------------------------------------


def _pinned(pin: str) -> dict[str, Any]:
    return {"tools": {"get_invoice": {"read_only": True, "pin": pin}}}


@pytest.mark.parametrize("way", WAYS)
def test_a_pin_holds_a_tool_to_what_was_approved(way: str):
    """
    Across processes: the fingerprint stands in the policy.
    """
    approved, same, other = Shop(), Shop(), Shop(description="Look up an invoice and mark it as read.")
    policy = _pinned(fingerprint_of(approved.tool))
    for shop in (same, other):
        shop.run(shop.wrapped(policy), way)

    assert (same.early, other.early) == (1, 0)
    assert len(other.bodies) == 1
    found, detail = reason(other.wrapped(policy))
    assert found == "pin_changed"
    assert fingerprint_of(other.tool) in detail
    assert fingerprint_of(approved.tool) in detail


def test_a_pinned_tool_is_compared_at_every_run():
    """
    As one under annotations is.
    """
    shop = Shop()
    graph = shop.wrapped(_pinned(fingerprint_of(shop.tool)))
    shop.run(graph)
    shop.tool.description = "other"
    shop.run(graph)

    assert shop.early == 1
    assert reason(graph)[0] == "pin_changed"


def test_a_tool_that_cannot_be_told_as_json_meets_no_pin():
    """
    Doubt means no, and wrapping does not fail.
    """
    shop = Shop(args_schema={"type": "object", "properties": {"id": {"type": "integer"}}, "x": float("nan")})
    graph = shop.wrapped(_pinned("sha256:0"))
    shop.run(graph)

    assert shop.early == 0
    assert "cannot be taken (ValueError)" in reason(graph)[1]


def test_what_is_not_the_pinned_tool_counts_as_writing_everything():
    """
    Nobody declared this one.
    """
    [entry] = Shop().wrapped(_pinned("sha256:0")).toolbox

    assert entry.facts.writes == ("*",)


# -- saying whose tools they are --------------------------------------------------------------------------------------


def test_naming_a_server_leaves_the_tools_given_alone():
    """
    Somebody else may hold on to them.
    """
    tools = [Shop(server=None).tool, Shop(server=None).tool]
    tools[1].metadata = None
    before = [copied.metadata and {**copied.metadata} for copied in tools]
    copies = from_server(iter(tools), "billing")

    assert [one.metadata for one in tools] == before
    assert all(left is not right and type(left) is type(right) for left, right in zip(tools, copies, strict=True))
    assert copies[0].invoke({"id": 7}) == "invoice 7"


@pytest.mark.parametrize("server", ["", None, 7, b"billing"])
def test_a_server_needs_a_name(server: Any):
    """
    A missing one must not look like trust.
    """
    with pytest.raises(PolicyError, match="server: must be text, not empty"):
        from_server([], server)


@pytest.mark.parametrize("tools", [["get_invoice"], [None], [len]])
def test_only_tools_come_from_a_server(tools: Any):
    """
    The message repeats what was given.
    """
    with pytest.raises(PolicyError, match="takes LangChain tools"):
        from_server(tools, "billing")
