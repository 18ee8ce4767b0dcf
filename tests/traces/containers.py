"""The containers that exports come in: JSON lines in any order, one list, Parquet, CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

Row = dict[str, Any]


def lines(rows: Sequence[Row], path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def backwards(rows: Sequence[Row], path: Path) -> None:
    lines(rows[::-1], path)


def one_list(rows: Sequence[Row], path: Path) -> None:
    path.write_text(json.dumps(rows))


def parquet(rows: Sequence[Row], path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs duckdb: pip install 'langgraph-speculate[mine]'")
    json_path = path.with_suffix(".json")
    lines(rows, json_path)
    duckdb.sql(f"COPY (SELECT * FROM read_json('{json_path}', union_by_name=true)) TO '{path}' (FORMAT parquet)")


def comma_separated(rows: Sequence[Row], path: Path) -> None:
    pytest.importorskip("duckdb", reason="needs duckdb: pip install 'langgraph-speculate[mine]'")
    names = dict.fromkeys(name for row in rows for name in row)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(value) for name, value in row.items()})


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict | list) else value
