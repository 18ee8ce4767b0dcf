"""Traces of which no run can be read: every command says why, exits with 2, and makes nothing."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

from tests.commands import command

COMMANDS = {
    "replay": [],
    "evaluate": [],
    "mine": ["-o", "made"],
    "convert": ["-o", "made"],
}
NOTHING = {
    "empty.jsonl": b"",
    "broken.jsonl": b"no JSON\n" * 3,
    "wrong.jsonl": b'{"id": "r-1", "events": 7}\n',
    "cut.jsonl.gz": b"\x1f\x8b\x08",
    "damaged.sqlite": b"SQLite format 3\x00" + bytes(200),
    "log.jsonl": b'{"event":"TurnBegan","run":"r","at":1.0,"turn":"t"}\n',
}
NEEDY = {
    "checkpoints.sqlite": ("langgraph.checkpoint.sqlite", "langgraph-checkpoint-sqlite"),
    "export.csv": ("duckdb", "duckdb"),
    "export.parquet": ("duckdb", "duckdb"),
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("file", NOTHING)
def test_traces_without_a_run_are_an_error(name: str, file: str, capsys: pytest.CaptureFixture[str]):
    """
    The last line says so, and nothing is on standard output that looks like success.
    """
    Path(file).write_bytes(NOTHING[file])

    code, out, err = command(capsys, name, file, *COMMANDS[name])

    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: ")
    assert [path.name for path in Path().iterdir()] == [file]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("file", NEEDY)
def test_a_package_that_is_missing_is_the_error(
    name: str, file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """
    With the command that installs it, and not that there is no run.
    """
    module, package = NEEDY[file]
    if file.endswith(".sqlite"):
        with sqlite3.connect(file) as database:
            database.execute("CREATE TABLE checkpoints (thread_id, checkpoint_id)")
        database.close()
    else:
        Path(file).write_bytes(b"PAR1" if file.endswith("parquet") else b"id,trace_id,type\n1,2,TOOL\n")
    monkeypatch.setitem(sys.modules, module, None)

    code, out, err = command(capsys, name, file, *COMMANDS[name])

    assert (code, out) == (2, "")
    told = f'error: {file}: needs the package {package}: pip install "langgraph-speculate[mine]"'
    assert err.splitlines()[-1] == told
    assert [path.name for path in Path().iterdir()] == [file]


def test_what_another_file_left_out_is_no_reason(capsys: pytest.CaptureFixture[str]):
    """
    Each file is a set of its own to `evaluate`.
    """
    Path("runs.jsonl").write_text('{"id": "r-1", "events": [{"role": "user", "content": "?"}]}\nno JSON\n')
    Path("empty.jsonl").touch()

    _, _, err = command(capsys, "evaluate", "runs.jsonl", "empty.jsonl")

    told = "error: empty.jsonl: holds no run, nor anything that had to be skipped: was nothing recorded into it?"
    assert err.splitlines()[-1] == told


@pytest.mark.parametrize("name", ["mine", "convert"])
def test_what_was_made_before_stays_as_it_is(name: str, capsys: pytest.CaptureFixture[str]):
    """
    Where this time no run can be read.
    """
    Path("runs.jsonl").write_text('{"id": "r-1", "events": [{"role": "user", "content": "?"}]}\n')
    Path("empty.jsonl").touch()
    assert command(capsys, name, "runs.jsonl", *COMMANDS[name])[0] == 0
    before = Path("made").read_bytes()

    code, _, err = command(capsys, name, "empty.jsonl", *COMMANDS[name])

    assert code == 2
    assert err.splitlines()[-1].startswith("error: the traces hold no run, nor anything that had to be skipped")
    assert Path("made").read_bytes() == before
