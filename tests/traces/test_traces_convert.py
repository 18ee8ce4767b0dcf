"""`langgraph-speculate convert`: recordings of any source as neutral lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate.traces import Run, Skips, read_runs
from langgraph_speculate.traces import convert as convert_runs
from tests.commands import command


def convert(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    return command(capsys, "convert", *arguments)


def test_converting_may_be_stopped_and_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    What the file holds already is not written twice, and a line that was cut off harms none after it.
    """
    source, output = tmp_path / "log.jsonl", tmp_path / "runs.jsonl"
    lines = [json.dumps({"id": f"r{at}", "messages": [{"role": "user", "content": "?"}]}) + "\n" for at in range(3)]
    source.write_text("".join(lines))
    output.write_text('{"id":"r0","task_id":"r0","events":[]}\n{"id":"r1","task_id":"r1","ev')

    told = [json.loads(convert(capsys, source, "-o", output, "--json")[1]) for _ in range(2)]

    assert [found["runs"] for found in told] == [2, 0]
    assert [found.id for found in read_runs(output, on_skip=Skips())] == ["r0", "r1", "r2"]


def test_a_packed_file_that_is_damaged_is_not_added_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    Nobody could read what came after the damage.
    """
    source, output = tmp_path / "log.jsonl", tmp_path / "runs.jsonl.gz"
    source.write_text(json.dumps({"messages": [{"role": "user", "content": "?"}]}) + "\n")
    first, _, _ = convert(capsys, source, "-o", output)
    output.write_bytes(output.read_bytes()[:-6])

    second, _, err = convert(capsys, source, "-o", output)

    assert (first, second) == (0, 2)
    assert "gzip data is cut off; begin a new file" in err


FOREIGN = {
    "speculate.toml": b'level = "declared"\n',
    "patterns.db": b"SQLite format 3\0" + bytes(100),
    "README.md": b"# Notes\n\nOf mine.\n",
    "events.jsonl": b'{"event":"TurnBegan","run":"r","at":1.0,"turn":"t"}\n',
    "runs.jsonl": b'{"id":"r0","task_id":"r0","events":[]}\n{"id":"r1","task_id":"r1","events":7}\n',
    "more.jsonl": b'{"id":"r0","task_id":"r0","events":[]}\nmy notes\n{"id":"r1","task_id":"r1","ev',
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_that_holds_something_else_is_refused_and_stays(name: str, tmp_path: Path, capsys):
    """
    With the file, what is in it and what to do.
    """
    source, output = tmp_path / "log.jsonl", tmp_path / name
    source.write_text(json.dumps({"messages": [{"role": "user", "content": "?"}]}) + "\n")
    output.write_bytes(FOREIGN[name])

    code, out, err = convert(capsys, source, "-o", output)

    assert (code, out) == (2, "")
    assert f"error: {output} holds something else than neutral lines, and stays as it is: {output}:" in err
    assert err.endswith("; begin a new file\n")
    assert output.read_bytes() == FOREIGN[name]


@pytest.mark.parametrize(
    "content", ['{"id":"r0","task_id":"r0","events":[]}\n', '{"messages":[{"role":"user","content":"?"}]}\n']
)
def test_a_file_that_is_read_is_not_written_to(content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    Under whatever name.
    """
    source, output = tmp_path / "log.jsonl", tmp_path / "link.jsonl"
    source.write_text(content)
    output.symlink_to(source)

    for name in (source, output):
        code, out, err = convert(capsys, source, "-o", name)
        assert (code, out) == (2, "")
        assert err == f"error: {name}: is one of the files to read, and stays as it is: name another file to write to\n"
    assert source.read_text() == content


def test_a_run_that_is_too_large_to_be_read_may_be_there(tmp_path: Path):
    """
    Whoever has stored it so is not held up by what others may ask for.
    """
    deep: Any = "end"
    for _ in range(70):
        deep = [deep]
    runs = [
        Run("long", "t", [{"role": "user", "content": "x" * 9_000_000}]),
        Run("deep", "t", [{"role": "user", "content": [deep]}]),
        Run("many", "t", [{"role": "user", "content": [[]] * 600_000}]),
    ]

    assert [convert_runs(runs, tmp_path / "runs.jsonl").runs for _ in range(2)] == [3, 0]


def test_a_source_that_there_is_not_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    With the one that was meant.
    """
    code, _, err = convert(capsys, tmp_path, "-o", tmp_path / "x", "--source", "otpl")

    assert code == 2
    assert "did you mean 'otlp'" in err
