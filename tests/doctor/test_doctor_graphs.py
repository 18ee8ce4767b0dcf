"""The doctor's verdicts on six kinds of graphs: the gate's own, for every tool."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import doctor_graphs
import pytest
from langchain.agents import create_agent
from langchain_core.rate_limiters import InMemoryRateLimiter
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from langgraph_speculate import SpeculationPolicy, speculate, speculation_of
from langgraph_speculate.doctor.diagnosis import Diagnosis, diagnose, warnings
from langgraph_speculate.doctor.draft import draft, write
from langgraph_speculate.doctor.source import Source, load

HERE = Path(__file__).parent
ALL = {one.name: True for one in doctor_graphs.TOOLS}
OF_EVERYONE = {
    "get_order": ("undeclared", "allowed"),
    "send_mail": ("undeclared", "allowed"),
    "read_page": ("undeclared", "allowed"),
    "find_notes": ("undeclared", "allowed"),
    "look_around": ("undeclared", "injected_arguments"),
    "get_answer": ("undeclared", "return_direct"),
    "get_price": ("allowed", "allowed"),
}
OF_DEEP_AGENTS = {
    **dict.fromkeys(
        ("delete", "edit_file", "execute", "glob", "grep", "ls", "read_file", "task", "write_file"),
        ("undeclared", "injected_arguments"),
    ),
    "get_order": ("undeclared", "allowed"),
    "send_mail": ("undeclared", "allowed"),
}


def graph(name: str) -> Any:
    return load(Source("doctor_graphs", name, (HERE,)))


def verdicts(found: Diagnosis) -> dict[str, tuple[str, str]]:
    """By tool: the reason as things are, and the one that would be left once its owner declared it."""
    return {one.name: (one.verdict.reason, one.once_declared.reason) for one in found.tools}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("agent", {**OF_EVERYONE, "send_invoice": ("allowed", "allowed")}),
        ("react", OF_EVERYONE),
        ("hand_built", {name: reasons for name, reasons in OF_EVERYONE.items() if name != "read_page"}),
        ("deep", OF_DEEP_AGENTS),
        ("approving", {"get_order": ("undeclared", "allowed"), "send_mail": ("undeclared", "gated")}),
        ("stopping", {"get_order": ("undeclared", "blocked"), "send_mail": ("undeclared", "blocked")}),
        ("wrapped", {**OF_EVERYONE, "get_order": ("allowed", "allowed")}),
        ("inside", {**OF_EVERYONE, "get_order": ("allowed", "allowed")}),
    ],
)
def test_every_tool_has_the_gates_verdict(name: str, expected: dict[str, tuple[str, str]]) -> None:
    """
    What the gate would say now, and what it would say of a tool that only its owner's word is missing for.
    """
    assert verdicts(diagnose(graph(name))) == expected


@pytest.mark.parametrize("name", ["agent", "react", "hand_built", "deep", "approving", "stopping"])
@pytest.mark.parametrize("declared", [False, True])
def test_the_verdicts_are_those_of_the_wrapped_graph(name: str, declared: bool) -> None:
    """
    Nothing is judged anew: `explain()` of the graph that would run says the same.
    """
    plain = graph(name)
    names = [one.name for one in diagnose(plain).tools]
    policy = SpeculationPolicy(tools=dict.fromkeys(names, True) if declared else {})
    said = {verdict.tool: verdict.reason for verdict in speculation_of(speculate(plain, policy)).explain()}

    found = verdicts(diagnose(plain, policy))

    assert {tool: now for tool, (now, _) in found.items()} == said
    if declared:
        assert all(now == once for now, once in found.values())


def test_tools_that_gain_only_once_they_are_written_are_told_apart() -> None:
    """
    A deep agent's own take their id: declared, they start from the stream. What ends the run would gain nothing.
    """
    assert all(one.gains for one in diagnose(graph("deep")).tools)
    gains = {one.name for one in diagnose(graph("agent")).tools if one.gains}
    assert gains == {*OF_EVERYONE, "send_invoice"} - {"look_around", "get_answer"}


def test_annotations_of_a_real_server_are_told_and_decide_nothing_by_themselves() -> None:
    """
    A server over stdio: what each tool says about itself, and what the gate makes of it. The adapter hands its tools
    the runtime, so that guesses wait until the call is written, unless their owner says that they may have it.
    """
    plain = graph("with_mcp")

    found = {one.name: one for one in diagnose(plain).tools}

    assert {name: one.looks.kind for name, one in found.items()} == {
        "exchange_rate": "leaves",
        "get_invoice": "reads",
        "get_rid_of": "writes",
        "list_invoices": "reads",
    }
    assert {name: (one.verdict.reason, one.once_declared.reason) for name, one in found.items()} == {
        "exchange_rate": ("undeclared", "open_world"),
        "get_invoice": ("undeclared", "injected_arguments"),
        "get_rid_of": ("undeclared", "not_read_only"),
        "list_invoices": ("undeclared", "injected_arguments"),
    }
    assert {name for name, one in found.items() if one.gains} == {"get_invoice", "list_invoices"}
    trusting = SpeculationPolicy(level="annotated", trusted_servers=("billing",))
    assert verdicts(diagnose(plain, trusting))["get_invoice"][0] == "injected_arguments"
    given = {"read_only": True, "uses": ["context"]}
    declared = SpeculationPolicy(tools=dict.fromkeys(found, given))
    assert diagnose(plain, declared).allowed == ("get_invoice", "list_invoices")


def test_the_other_shape_of_annotations_says_the_same() -> None:
    """
    Nested, as LangChain's own adapter has them.
    """
    plain = graph("nested_annotations")

    assert diagnose(plain).tools[0].looks.why == "its server says so"
    trusting = SpeculationPolicy(level="annotated", trusted_servers=("billing",))
    assert diagnose(plain, trusting).allowed == ("get_order",)


@pytest.mark.parametrize("policy", [None, SpeculationPolicy(tools={"get_order": True})])
def test_tools_that_were_named_where_the_graph_was_wrapped_are_known(policy: SpeculationPolicy | None) -> None:
    """
    No node holds them, so only the wrapped graph can tell; another policy may be asked about all the same.
    """
    plain = doctor_graphs.create_agent(doctor_graphs.Streaming(), [doctor_graphs.get_price])
    known = speculate(plain, tools=[doctor_graphs.get_order])

    assert diagnose(known, policy).allowed == (("get_order", "get_price") if policy else ("get_price",))
    assert verdicts(diagnose(known))["get_order"] == ("undeclared", "allowed")


def test_what_was_found_is_what_is_there() -> None:
    """
    Nodes, models, middleware, checkpointer, approvals.
    """
    found = diagnose(graph("agent"))
    assert (found.nodes, found.checkpointer, found.wrapped) == (("model", "tools"), "InMemorySaver", None)
    assert found.models == (("Streaming", None),)
    assert diagnose(graph("approving")).gated == ("send_mail",)
    assert diagnose(graph("approving")).middleware == ("HumanInTheLoopMiddleware",)
    assert diagnose(graph("wrapped")).wrapped == "speculate"
    assert diagnose(graph("inside")).wrapped == "middleware"


@pytest.mark.parametrize(
    ("name", "policy", "expected"),
    [
        ("agent", {}, "send_invoice is declared read-only, but looks as if it changes something ('send' in its name)"),
        ("agent", {"tools": {"read_page": True}}, "read_page is declared read-only, but looks as if it leaves"),
        ("agent", {}, "find_notes is async, but its body names time.sleep"),
        ("react", {}, "Silent does not stream (its class has no streaming)"),
        ("hand_built", {}, "The model may call read_page, which no node was seen to hold"),
        ("stopping", {}, "Nothing of this graph runs ahead: interrupt_before=['tools'] stops before the tools"),
    ],
)
def test_warnings_name_what_looks_wrong(name: str, policy: dict[str, Any], expected: str) -> None:
    """
    Each with the place and the cause.
    """
    found = list(warnings(diagnose(graph(name), SpeculationPolicy.load(policy))))

    assert [warning for warning in found if expected in warning], found


def _made_at_run_time() -> Any:
    def call_model(state: doctor_graphs.State) -> Any:
        return {"messages": [doctor_graphs.Silent().invoke(state["messages"])]}

    builder = StateGraph(doctor_graphs.State)
    builder.add_node("model", call_model)
    builder.add_node("tools", ToolNode([doctor_graphs.get_order]))
    builder.add_edge(START, "model")
    builder.add_conditional_edges("model", tools_condition, ["tools", END])
    builder.add_edge("tools", "model")
    return builder.compile()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (_made_at_run_time, "no model object was found"),
        (
            lambda: create_agent(doctor_graphs.Silent(rate_limiter=InMemoryRateLimiter()), [doctor_graphs.get_order]),
            "calls of Silent are not started on remembered results: it has a rate limiter",
        ),
        (lambda: create_agent(doctor_graphs.Silent(), [doctor_graphs.get_order]), None),
    ],
    ids=["made at run time", "rate limiter", "ordinary"],
)
@pytest.mark.parametrize("asked", [True, False])
def test_it_says_where_no_model_call_starts_on_remembered_results(
    make: Callable[[], Any], expected: str | None, asked: bool
) -> None:
    """
    And only where that was asked for.
    """
    told = [one for one in warnings(diagnose(make(), SpeculationPolicy(model_ahead=asked))) if "model_ahead" in one]
    assert len(told) == (asked and expected is not None)
    assert all(str(expected) in one for one in told)


@pytest.mark.parametrize(
    ("order", "told"),
    [
        (True, ["a call of send_mail makes old what get_order answered, as nobody says what they read"]),
        ({"read_only": True, "reads": ["order:{order_id}"]}, []),
        (False, []),
    ],
)
def test_the_owner_is_told_what_previews_lose_where_nobody_says_what_tools_read(order: Any, told: list[str]) -> None:
    """
    Any write makes all of that old; where it is said, or nothing is declared, there is nothing to tell.
    """
    policy = SpeculationPolicy(tools={"get_order": order}, model_ahead=True)
    said = [one for one in warnings(diagnose(graph("approving"), policy)) if "makes old" in one]

    assert len(said) == len(told)
    assert all(expected in one for expected, one in zip(told, said, strict=True))


def test_a_sound_graph_gets_no_warning() -> None:
    """
    A tool that reads by its name, declared, in an agent whose model streams.
    """
    found = diagnose(graph("approving"), SpeculationPolicy(tools={"get_order": {"read_only": True}}))

    assert list(warnings(found)) == []


@pytest.mark.parametrize("name", ["agent", "react", "hand_built", "deep", "approving", "stopping", "with_mcp"])
def test_a_drafted_policy_loads_and_enables_nothing(name: str, tmp_path: Path) -> None:
    """
    Every tool is listed, and the graph runs ahead with it what it would without.
    """
    plain, file = graph(name), tmp_path / "speculate.toml"
    found = diagnose(plain)

    write(file, draft(found.tools, (), name))

    assert SpeculationPolicy.from_toml(file) == SpeculationPolicy()
    assert all(f"[tools.{one.name}]" in file.read_text("utf-8") for one in found.tools)
    assert diagnose(plain, SpeculationPolicy.from_toml(file)).allowed == found.allowed


@pytest.mark.parametrize("name", ["agent", "deep"])
def test_a_draft_without_its_marks_is_a_policy_too(name: str, tmp_path: Path) -> None:
    """
    Taking the # away from every entry leaves a policy that loads, in which what looks as if it writes is not enabled.
    """
    plain = graph(name)
    lines = draft(diagnose(plain).tools).splitlines()
    entries = [
        line.removeprefix("# ") for line in lines if line.startswith(("# [", "# read_only", "# writes", "# open"))
    ]
    file = tmp_path / "speculate.toml"
    file.write_text("\n".join(entries), "utf-8")

    allowed = diagnose(plain, SpeculationPolicy.from_toml(file)).allowed

    assert "get_order" in allowed
    assert not {"send_mail", "send_invoice", "read_page", "write_file"} & set(allowed)


def test_names_from_servers_cannot_break_out_of_a_draft() -> None:
    """
    A tool may be called anything, and be described with anything.
    """
    evil = 'x"]\nlevel = "open_world"\n#'
    named = doctor_graphs.get_order.model_copy(update={"name": evil, "description": "a\nlevel = 'shadow'"})
    found = diagnose(doctor_graphs.create_agent(doctor_graphs.Streaming(), [named]))

    assert tomllib.loads(draft(found.tools)) == {"level": "declared"}
    assert tomllib.loads(draft(found.tools, {evil}))["tools"] == {evil: {"read_only": True}}
