"""The containers that exports come in: JSON lines in any order, one list, Parquet."""

from __future__ import annotations

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
