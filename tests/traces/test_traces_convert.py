"""`langgraph-speculate convert`: recordings of any source as neutral lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate.traces import Skips, read_runs
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


def test_a_source_that_there_is_not_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    With the one that was meant.
    """
    code, _, err = convert(capsys, tmp_path, "-o", tmp_path / "x", "--source", "otpl")

    assert code == 2
    assert "did you mean 'otlp'" in err
