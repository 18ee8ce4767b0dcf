"""`langgraph-speculate doctor` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate import SpeculationPolicy
from langgraph_speculate.core.events import CallSettled, RunBegan, RunClosed, TurnEnded
from langgraph_speculate.observe.log import as_json
from tests.commands import command
from tests.report.logs import busy_run, shadow_run, write

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(HERE)])
    for name in ("LANGGRAPH_SPECULATE", "LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.delenv(name, raising=False)


def doctor(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return command(capsys, "doctor", *arguments)


def answered(monkeypatch: pytest.MonkeyPatch, answers: dict[str, bool]) -> list[str]:
    """Answer the questions by the tool that they name; returns what was asked."""
    asked: list[str] = []

    def confirm(question: str, **settings: Any) -> bool:
        assert not settings.get("default")
        name = question.split()[1]
        asked.append(name)
        return answers.get(name, False)

    monkeypatch.setattr("typer.confirm", confirm)
    return asked


def test_everything_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """
    What was found, a line for each tool, warnings, the two lines, the steps; plain where it is no terminal.
    """
    code, out, err = doctor(capsys, "doctor_graphs:agent")

    assert (code, err) == (0, "")
    assert "\x1b" not in out
    for expected in (
        "InMemorySaver",
        "langgraph-speculate",
        "LangSmith tracing",
        "find_notes is async",
        "+from langgraph_speculate import speculate",
        '+agent = speculate(agent, policy="speculate.toml")',
        "1. Replay: langgraph-speculate replay",
    ):
        assert expected in out


def test_json_is_one_object_with_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Verdicts, hints, warnings, patch and steps, for machines.
    """
    code, out, _ = doctor(capsys, "doctor_graphs:agent", "--json")
    found = json.loads(out)

    assert code == 0
    tools = {one["name"]: one for one in found["tools"]}
    assert tools["get_price"]["verdict"]["allowed"] is True
    assert tools["get_order"]["verdict"]["reason"] == "undeclared"
    assert tools["get_order"]["looks"]["kind"] == "reads"
    assert tools["look_around"]["arguments"] == {}
    assert found["next"][0]["title"] == "Replay"
    assert "speculate(" in found["patch"]


def test_the_policy_that_is_asked_about_decides(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """
    `--policy FILE`; one that names a tool that is not there is one line and exit code 2.
    """
    file = tmp_path / "p.toml"
    file.write_text("[tools.get_order]\nread_only = true\n", "utf-8")
    _, out, _ = doctor(capsys, "doctor_graphs:react", "--policy", "p.toml", "--json")
    assert {one["name"] for one in json.loads(out)["tools"] if one["verdict"]["allowed"]} == {"get_order", "get_price"}

    file.write_text("[tools.get_ordr]\nread_only = true\n", "utf-8")
    code, out, err = doctor(capsys, "doctor_graphs:react", "--policy", "p.toml")
    assert (code, out) == (2, "")
    assert "did you mean" in err
    assert err.count("\n") == 1


def test_a_graph_that_cannot_be_had_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    """
    One line.
    """
    code, out, err = doctor(capsys, "doctor_graphs:broken")

    assert (code, out) == (2, "")
    assert err.startswith("error: doctor_graphs:broken: makes no graph")
    assert err.count("\n") == 1


def test_a_file_is_written_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """
    What is there stays, unless it is to be overwritten.
    """
    code, _, err = doctor(capsys, "doctor_graphs:agent", "--write", "speculate.toml")
    assert (code, err) == (0, "speculate.toml written: 0 of 8 tools are declared\n")
    assert SpeculationPolicy.from_toml("speculate.toml") == SpeculationPolicy()

    (tmp_path / "speculate.toml").write_text("# mine", "utf-8")
    code, out, err = doctor(capsys, "doctor_graphs:agent", "--write", "speculate.toml")
    assert (code, out) == (2, "")
    assert "--force" in err
    assert (tmp_path / "speculate.toml").read_text("utf-8") == "# mine"

    assert doctor(capsys, "doctor_graphs:agent", "--write", "speculate.toml", "--force")[0] == 0
    assert "get_order" in (tmp_path / "speculate.toml").read_text("utf-8")


def test_asked_tool_by_tool_only_what_was_confirmed_is_enabled(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    No is the default; nobody is asked about a tool that would gain nothing.
    """
    asked = answered(monkeypatch, {"get_order": True, "read_page": True})

    code, out, err = doctor(capsys, "doctor_graphs:react", "--interactive")

    assert (code, err) == (0, "speculate.toml written: 2 of 7 tools are declared\n")
    assert asked == ["find_notes", "get_order", "get_price", "read_page", "send_mail"]
    policy = SpeculationPolicy.from_toml("speculate.toml")
    assert {name: entry.read_only for name, entry in policy.tools.items()} == {"get_order": True, "read_page": True}
    assert policy.tools["read_page"].open_world
    assert "1. Replay" in out  # what was confirmed counts: nothing is left to be declared


def test_where_nothing_can_run_ahead_the_way_is_cleared_first(capsys: pytest.CaptureFixture[str]) -> None:
    """
    No step leads to what the gate would refuse in any case.
    """
    _, out, _ = doctor(capsys, "doctor_graphs:stopping", "--json")

    assert [step["title"] for step in json.loads(out)["next"]] == ["Clear the way"]


def test_questions_and_json_do_not_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    """
    One object and nothing else cannot hold questions.
    """
    assert doctor(capsys, "doctor_graphs:agent", "--interactive", "--json")[0] == 2


def recorded(path: Path, tool: str, seconds: float) -> None:
    """Sixty runs that look one article up each."""
    lines = []
    for number in range(100, 160):
        call = {"id": "c", "name": tool, "args": {"article": f"A-{number}"}}
        events = [
            {"role": "user", "content": f"What is A-{number}?", "t": 0.0},
            {"role": "assistant", "content": "", "tool_calls": [call], "t": 1.0},
            {"role": "tool", "tool_call_id": "c", "content": "7", "t": 1.0 + seconds, "duration_s": seconds},
            {"role": "assistant", "content": "7.", "t": 2.0 + seconds},
        ]
        lines.append(json.dumps({"id": f"r{number}", "task_id": f"t{number}", "events": events}))
    path.write_text("\n".join(lines), "utf-8")


def test_recorded_runs_say_what_would_be_saved(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """
    `--traces`: the forecast of `replay`, under what the graph's tools may do as things are.
    """
    recorded(tmp_path / "runs.jsonl", "get_price", 0.8)

    code, out, _ = doctor(capsys, "doctor_graphs:agent", "--traces", "runs.jsonl", "--json")

    assert code == 0
    forecast = json.loads(out)["forecast"]
    assert forecast["runs"] == 60
    assert forecast["variants"][0]["hits"] > 0
    assert forecast["verdict"]["words"]


@pytest.mark.parametrize(("graph", "streams"), [("react", False), ("agent", True)])
def test_what_is_known_of_the_model_goes_into_the_forecast_and_the_command(
    graph: str, streams: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """
    Where it does not stream nothing starts as it is written, so a forecast that took it to would promise too much.
    """
    recorded(tmp_path / "runs.jsonl", "get_price", 0.8)

    _, out, _ = doctor(capsys, f"doctor_graphs:{graph}", "--traces", "runs.jsonl", "--json")

    told = json.loads(out)
    assert told["forecast"]["method"]["streams"] is streams
    assert told["next"][0]["title"] == "Replay"
    assert ("--no-streaming" in told["next"][0]["command"]) is not streams


def test_a_remedy_that_tools_have_in_common_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Below the table, with how many it is for; a tool that has one of its own keeps that in its line.
    """
    _, out, _ = doctor(capsys, "doctor_graphs:agent")

    remedy = "nobody said that it only reads (4 tools): declare [tools.NAME] read_only = true if it only reads\n"
    assert out.count(remedy) == out.count("declare [tools.") == 1


@pytest.mark.parametrize(("seconds", "warned"), [(0.001, True), (0.8, False)])
def test_tools_that_are_too_fast_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, seconds: float, warned: bool
) -> None:
    """
    Recorded runs say how long a tool takes; doctor itself never runs one.
    """
    recorded(tmp_path / "runs.jsonl", "get_price", seconds)

    _, out, _ = doctor(capsys, "doctor_graphs:agent", "--traces", "runs.jsonl", "--json")

    assert any("get_price answers within" in warning for warning in json.loads(out)["warnings"]) is warned


def test_traces_that_are_not_there_are_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    """
    As for every command that reads them.
    """
    code, out, err = doctor(capsys, "doctor_graphs:agent", "--traces", "no.jsonl")

    assert (code, out) == (2, "")
    assert "no.jsonl" in err


def test_a_log_of_shadow_mode_says_what_would_have_hit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """
    `--events`: the sentence of `report`, and its figures for machines; what is no log is told.
    """
    budgets = {"max_in_flight": 4, "max_per_turn": 3, "max_per_run": 60, "max_wasted_per_run": 20}
    events = [
        RunBegan(run="r", at=0.0, number=1, partition="", world="w", level="shadow", **budgets),
        TurnEnded(run="r", at=1.0, number=2, turn="t", calls=("get_price",), foreseen=1),
        CallSettled(run="r", at=3.0, number=3, tool="get_price", id="c", joined=False, waited_s=2.0, tool_s=2.0),
        RunClosed(run="r", at=4.0, number=4, launched=0, hits=0, hidden_s=0.0),
    ]
    (tmp_path / "shadow.jsonl").write_text("\n".join(json.dumps(as_json(event)) for event in events) + "\n", "utf-8")

    _, out, _ = doctor(capsys, "doctor_graphs:agent", "--events", "shadow.jsonl")
    assert "So far: Nothing ran ahead; 1 of 1 call were foreseen" in out
    assert "Leave it off, as things are: it would save 0.0 % of 4 s." in out
    _, out, _ = doctor(capsys, "doctor_graphs:agent", "--events", "shadow.jsonl", "--json")
    assert json.loads(out)["events"]["events"] == 4
    assert json.loads(out)["shadow"]["verdict"]["pays"] is False
    assert doctor(capsys, "doctor_graphs:agent", "--events", "no.jsonl")[0] == 2


def test_a_log_of_shadow_mode_says_whether_it_pays(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """
    What would have been saved, and the verdict in the words of a replay; a log of another level has none.
    """
    runs = [event for number in range(40) for event in shadow_run(f"s{number}", 10.0 * number)]
    write(tmp_path / "shadow.jsonl", runs)
    write(tmp_path / "events.jsonl", busy_run())

    _, out, _ = doctor(capsys, "doctor_graphs:agent", "--events", "shadow.jsonl")
    assert "So far: Would have saved 38 % of 160 s" in out
    assert "It pays: expect to save 60 of 160 s (37.5 %" in out
    _, out, _ = doctor(capsys, "doctor_graphs:agent", "--events", "shadow.jsonl", "--json")
    assert json.loads(out)["shadow"]["verdict"]["pays"] is True
    _, out, _ = doctor(capsys, "doctor_graphs:agent", "--events", "events.jsonl", "--json")
    assert "shadow" not in json.loads(out)


def test_the_example_project_is_seen_through_its_langgraph_json() -> None:
    """
    As its README says: six tools, of which five may run ahead, and nothing to be warned of.
    """
    config = HERE.parents[1] / "examples" / "shop_agent" / "langgraph.json"
    command = [sys.executable, "-m", "langgraph_speculate", "doctor", "--from", str(config), "--json"]
    environment = {**os.environ, "OPENAI_API_KEY": "none", "PYTHONPATH": str(HERE.parents[1])}

    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)

    found = json.loads(ended.stdout)
    assert {one["name"]: one["verdict"]["reason"] for one in found["tools"]} == {
        "get_customer": "allowed",
        "get_order": "allowed",
        "list_orders": "allowed",
        "open_return": "not_read_only",
        "search_products": "allowed",
        "track_shipment": "allowed",
    }
    assert (found["wrapped"], found["warnings"]) == ("speculate", [])
