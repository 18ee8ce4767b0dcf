"""Parquet exports, row by row, in constant memory; DuckDB reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from langgraph_speculate.traces.skips import Skipped

MAGIC = b"PAR1"
_ROWS = 256  # read at a time


def rows(path: str, on_bytes: Callable[[int], None] | None = None) -> Iterator[tuple[int, dict[str, Any]] | Skipped]:
    """Yield each row of a file as (its number from 1, its columns), or as what was skipped."""
    try:
        import duckdb
    except ModuleNotFoundError:
        yield Skipped(path, 0, "needs the package duckdb", 'pip install "langgraph-speculate[mine]"')
        return
    number = 0
    try:
        with duckdb.connect(":memory:", config={"enable_external_access": True, "threads": 1}) as database:
            found = database.execute("SELECT * FROM read_parquet(?)", [path])
            names = [column[0] for column in found.description]
            total = Path(path).stat().st_size
            while batch := found.fetchmany(_ROWS):
                for values in batch:
                    number += 1
                    yield number, dict(zip(names, values, strict=True))
                if on_bytes is not None:
                    on_bytes(min(total, number * _ROWS))
    except (duckdb.Error, OSError) as error:
        why = " ".join(str(error).split())[:100]
        yield Skipped(path, number and number + 1, "cannot be read on" if number else "no Parquet", why)
