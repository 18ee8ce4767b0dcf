"""`langgraph-speculate evaluate`: figures on standard output, notes on standard error, one line for bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import command

ROOT = Path(__file__).parents[2]


def line(number: int, task: str | None = None) -> str:
    events = [
        {"role": "user", "content": f"Where is order A{number}000?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c", "name": "get_order", "args": {"id": f"A{number}000"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "sent"},
        {"role": "assistant", "content": "It was sent.", "tool_calls": []},
    ]
    return json.dumps({"id": f"run-{number}", "task_id": task or f"task-{number}", "events": events}) + "\n"


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    path = tmp_path / "shop.jsonl"
    path.write_text("".join(map(line, range(1, 21))), "utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    return command(capsys, "evaluate", *arguments)


def test_json_holds_everything(traces: Path, capsys: pytest.CaptureFixture[str]):
    """
    One object: how it was measured, what was skipped, each set with each predictor.
    """
    with traces.open("a") as file:
        file.write("no JSON\n")
    code, out, err = run(capsys, traces, "--seeds", 2, "--json", "--predictor", "default", "--predictor", "order-1")
    assert code == 0
    told = json.loads(out)
    assert {name: told[name] for name in ("seeds", "by", "online", "train")} == {
        **{"seeds": 2, "by": "task"},
        **{"online": True, "train": 0.7},
    }
    assert told["skipped"]["by_reason"] == {"no JSON": 1}
    assert told["skipped"]["examples"][0]["line"] == 21
    (found,) = told["sets"]
    assert (found["set"], found["runs"], found["tasks"], found["calls"]) == ("shop", 20, 20, 20)
    assert [one["predictor"] for one in found["predictors"]] == ["default", "order 1"]
    first = found["predictors"][0]
    assert set(first) == {"predictor", "figures", "by_tool", "by_origin", "reliability", "curve"}
    assert first["figures"]["RO@1"] == 1.0
    assert first["by_tool"]["get_order"] == {"calls": 12, "RO@1": 1.0, "RO@3": 1.0, "RO@10": 1.0}
    assert first["by_origin"] == {"repeat": 0, "seen": 0, "derived": 12}
    assert len(first["curve"]) == 19
    assert f"1 skipped: no JSON, at {traces}:21" in err
    assert "shop: order 1" in err


def test_tables_say_it_in_words(traces: Path, capsys: pytest.CaptureFixture[str]):
    """
    All predictors side by side, by tool, and sentences; progress is not in the way.
    """
    code, out, _ = run(capsys, traces, "--seeds", "1", "--frozen", "--split", "run")
    assert code == 0
    assert "default names 100 exactly" in " ".join(out.split())
    for word in ("order 1", "last follower", "never", "get_order", "calibration error"):
        assert word in out


def test_every_argument_is_a_set(tmp_path: Path, traces: Path, capsys: pytest.CaptureFixture[str]):
    """
    A folder of many files is one set; two files of one name are told apart.
    """
    other = tmp_path / "other" / "shop.jsonl"
    other.parent.mkdir()
    other.write_text(traces.read_text("utf-8"), "utf-8")
    (other.parent / "more.jsonl").write_text("".join(map(line, range(30, 40))), "utf-8")
    arguments = (traces, other, other.parent, "--json", "--seeds", "1", "--predictor", "never")
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    sets = {found["set"]: found["runs"] for found in json.loads(out)["sets"]}
    assert sets == {"shop": 20, str(other): 20, "other": 30}


def test_the_report_is_one_file(tmp_path: Path, traces: Path, capsys: pytest.CaptureFixture[str]):
    """
    Next to the tables, not instead of them.
    """
    code, out, _ = run(capsys, traces, "--seeds", "1", "-o", tmp_path / "report.html")
    assert code == 0
    assert "get_order" in out
    assert (tmp_path / "report.html").read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "TRACES"),
        (["none.jsonl"], "none.jsonl: the traces cannot be opened: No such file or directory; check the path"),
        (["{traces}", "none.jsonl"], "none.jsonl"),
        (["{folder}/empty.jsonl"], "empty.jsonl: holds no run"),
        (["{folder}/bad.jsonl"], "bad.jsonl:1: run without an id"),
        (["{folder}/one.jsonl"], "one: too few tasks"),
        (["{traces}", "--predictor", "ordr-1"], "did you mean 'order 1'"),
        (["{traces}", "--split", "day"], "--split"),
        (["{traces}", "--seeds", "0"], "--seeds"),
        (["{traces}", "-o", "{folder}/none/report.html"], "there is no folder"),
        (["{traces}", "--seeds", "1", "-o", "{folder}"], "the report cannot be written"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    tmp_path: Path, traces: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
):
    """
    The line names what was wrong and nothing goes to standard output.
    """
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "bad.jsonl").write_text("{}\n", "utf-8")
    (tmp_path / "one.jsonl").write_text(line(1), "utf-8")
    code, out, err = run(capsys, *(text.format(traces=traces, folder=tmp_path) for text in arguments))
    assert (code, out) == (2, "")
    *_, last = err.splitlines()
    assert last.startswith("error: ")
    assert told in last
    assert "Traceback" not in err


def test_it_runs_as_a_module(traces: Path):
    """
    `python -m langgraph_speculate evaluate` is the same; its help shows it in use.
    """
    command = [sys.executable, "-m", "langgraph_speculate", "evaluate"]
    helped = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
    assert "langgraph-speculate evaluate runs.jsonl.gz" in helped.stdout
    done = subprocess.run(
        [*command, str(traces), "--json", "--seeds", "1", "--predictor", "never"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=ROOT,
    )
    assert json.loads(done.stdout)["sets"][0]["runs"] == 20
