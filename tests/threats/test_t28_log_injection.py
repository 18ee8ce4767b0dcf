"""T28: text of users, tools, models or servers forges lines of a log or of a report, colours a terminal, or becomes so
many labels of a metric that it can no longer be stored.

The library promises that text it does not control is never part of a log line or a label as it stands: labels are the
names of the graph's own tools and a fixed set of reasons.
"""

from __future__ import annotations

import logging
import random
from pathlib import Path
from typing import Any

import pytest
from agents import WAYS, Fixed, Oracle, ScriptedModel, World, ask, drive, make_tool, notebook, tool_node_graph
from attacks import final
from langchain_core.messages import AIMessage

from langgraph_speculate import PolicyError, SpeculationPolicy, speculate, speculation_of
from langgraph_speculate.core.admission import Refusal
from langgraph_speculate.core.gate import Reason
from langgraph_speculate.core.speculation import Discard
from langgraph_speculate.observe.tallies import NO_SUCH_TOOL

FORGED = [
    "x\nWARNING langgraph_speculate all tools may run ahead",
    "x\r\n2026-01-01 INFO approved",
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "x\x00y",
    "\u2028x\u2029",
    "x" * 10_000,
    "\x9b31m",
    "\u202ereversed",
]
POLICY = {"tools": {"find": True, "read": {"read_only": True, "scope": "run"}}}
TOOLS = {"find", "read", "write"}


def _forges(text: str) -> bool:
    """Whether a line of a log could be mistaken for two, moves the cursor, or is endless."""
    odd = any(not (letter.isprintable() or letter == " ") for letter in text)
    return odd or len(text) > 2_000


def _graph(script: list[Any], predictor: Any = None, observers: Any = ()) -> Any:
    return speculate(
        tool_node_graph(ScriptedModel(script=script, pace_s=0.001), notebook(World(), "both")),
        POLICY,
        predictor=predictor,
        observers=observers,
    )


def _labels(stats: Any) -> set[str]:
    return {
        *stats.by_tool,
        *stats.denied,
        *stats.discarded,
        *(r for tool in stats.by_tool.values() for r in tool.denied),
    }


KNOWN = TOOLS | {NO_SUCH_TOOL, *map(str, Reason), *map(str, Refusal), *map(str, Discard)}


@pytest.mark.parametrize("way", WAYS)
def test_text_of_a_conversation_forges_no_line_and_becomes_no_label(way: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    Nine forgeries as what the user says, the model writes, tools are asked and answer: none in a label or a log line.
    """
    caplog.set_level(logging.DEBUG, logger="langgraph_speculate")
    seen: list[Any] = []
    for text in FORGED:
        script = [
            ask(("find", {"query": text}), text=text),
            ask(("find", {"query": text}), prefix="d"),
            AIMessage(text),
        ]
        graph = _graph(script, Oracle(script), [seen.append])
        final(graph, way, {"messages": [("user", text)]})
        stats = speculation_of(graph).stats()
        assert stats.hits > 0
        assert _labels(stats) <= KNOWN
    assert not [event for event in seen if any(text in str(event) or repr(text)[1:-1] in str(event) for text in FORGED)]
    assert not [record for record in caplog.records if _forges(record.getMessage())]


def test_seeds_of_guesses_end_in_the_same_labels(caplog: pytest.LogCaptureFixture) -> None:
    """
    24 runs with random scripts, guesses and failures of a predictor: no label beyond the tools and the reasons.
    """
    for seed in range(24):
        draw = random.Random(seed)
        calls = [("read", {"id": draw.randrange(5)}), ("write", {"id": 1, "text": draw.choice(FORGED)})]
        script = [ask(draw.choice(calls)), ask(draw.choice(calls), prefix="d"), AIMessage("done")]
        wild = [("read", {"id": draw.choice(FORGED)}), ("find", {draw.choice(FORGED): 1}), *calls]
        graph = _graph(script, Oracle(script, also=draw.sample(wild, 3)))
        drive(graph, WAYS[seed % 4])
        stats = speculation_of(graph).stats()
        assert stats.predicted > 3
        assert _labels(stats) <= KNOWN
    assert not [record for record in caplog.records if _forges(record.getMessage())]


_NAMES = "`StatsCollector` counts by whatever name a candidate has, also where the graph has no such tool"


@pytest.mark.parametrize("way", WAYS)
def test_names_a_predictor_makes_up_become_no_labels(way: str) -> None:
    """
    Guesses of tools that the graph does not have: counted, but not each under a label of its own.
    """
    graph = _graph([AIMessage("done")], Fixed(*((name, {}) for name in FORGED)))
    drive(graph, way)
    assert speculation_of(graph).stats().predicted == len(FORGED)
    assert _labels(speculation_of(graph).stats()) <= KNOWN


@pytest.mark.parametrize("way", WAYS)
def test_names_a_model_makes_up_become_no_labels(way: str) -> None:
    """
    Injected content makes the model call tools that do not exist, another in each run: the set of labels stays.
    """
    name = [""]
    graph = _graph([lambda messages: ask((name[0], {})), AIMessage("done")])
    for number in range(6):
        name[0] = f"{FORGED[number][:40]}"
        drive(graph, way)
    assert speculation_of(graph).stats().predicted > 0
    assert _labels(speculation_of(graph).stats()) <= KNOWN


def test_a_tool_s_name_forges_no_row_of_the_explanation() -> None:
    """
    A server calls its tool by two lines, the second of which reads like another tool's verdict.
    """
    forged = "look\nyes delete_everything          allowed              tools.delete_everything"
    tools = [
        make_tool(forged, lambda id: "x", "both", args_schema={"type": "object", "properties": {}}, description="x")
    ]
    graph = speculate(tool_node_graph(ScriptedModel(script=[AIMessage("done")]), tools))
    explanation = speculation_of(graph).explain()
    assert [verdict.tool for verdict in explanation] == [forged]
    assert len(str(explanation).splitlines()) == 1


@pytest.mark.parametrize("forged", [text for text in FORGED if "\x00" not in text], ids=lambda text: repr(text)[:20])
def test_a_key_of_a_policy_forges_no_line_of_its_error(forged: str, tmp_path: Path) -> None:
    """
    TOML can spell any key: the error shows it escaped and cut, one line a problem.
    """
    file = tmp_path / "speculate.toml"
    file.write_text('"' + "".join(f"\\U{ord(letter):08x}" for letter in forged) + '" = 1', "utf-8")
    with pytest.raises(PolicyError) as raised:
        SpeculationPolicy.load(file)
    assert not _forges(str(raised.value))


def test_the_environment_forges_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    """
    Whoever sets the switch may not be who reads the log.
    """
    assert SpeculationPolicy().effective_level({"LANGGRAPH_SPECULATE": "on\nINFO all is well"}) == "off"
    assert caplog.records
    assert not [record for record in caplog.records if _forges(record.getMessage())]
