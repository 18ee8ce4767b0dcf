"""Exports that are tables, Parquet or CSV, row by row, in constant memory; DuckDB reads them."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph_speculate.traces.lines import Limits
from langgraph_speculate.traces.skips import Skipped, missing

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

HEAD = 4096
"""Bytes at the beginning of a file that tell whether it is a table."""

_PARQUET = b"PAR1"
_ROWS = 256  # read at a time
_NAME = re.compile(r"[^\W\d][\w .-]{0,60}")
_REJECTED = 1_000  # broken lines of a file that are told one by one


def is_table(head: bytes) -> bool:
    """Whether a file that begins so is one: Parquet, or CSV with the names of its columns first.

    >>> is_table(b"PAR1..."), is_table(b'"id","trace_id","type"\\n1,2,TOOL\\n'), is_table(b'{"id": 1, "type": 2}\\n')
    (True, True, False)
    """
    return head.startswith(_PARQUET) or len(_columns(head)) > 1


def _columns(head: bytes) -> list[str]:
    """The columns that a first line of CSV names, each once; none where it names something else."""
    first = head.decode("utf-8-sig", errors="replace").partition("\n")[0].rstrip("\r")
    try:
        names = next(csv.reader([first]), [])
    except csv.Error:
        return []
    return names if all(map(_NAME.fullmatch, names)) and len(set(names)) == len(names) else []


def needs(path: str) -> Skipped | None:
    """What has to be installed before a table can be read, if anything."""
    try:
        import duckdb  # noqa: F401
    except ModuleNotFoundError:
        return missing(path, "duckdb", 'pip install "langgraph-speculate[mine]"')
    return None


def rows(
    path: str, head: bytes, limits: Limits, on_bytes: Callable[[int], None] | None = None
) -> Iterator[tuple[int, dict[str, Any]] | Skipped]:
    """Yield each row of a table as (its number from 1, its columns), or as what was skipped; all of CSV is text.

    Args:
        path: The file.
        head: What it begins with.
        limits: How long a line of CSV may be.
        on_bytes: Called now and then with how many bytes of the file have been read, by estimate.
    """
    if (needed := needs(path)) is not None:
        yield needed
        return
    import duckdb

    number = 0
    try:
        with duckdb.connect(":memory:", config={"enable_external_access": True, "threads": 1}) as database:
            found = _opened(database, path, head, limits)
            names = [column[0] for column in found.description]
            total = Path(path).stat().st_size
            while batch := found.fetchmany(_ROWS):
                for values in batch:
                    number += 1
                    yield number, dict(zip(names, values, strict=True))
                if on_bytes is not None:
                    on_bytes(min(total, number * _ROWS))
            if not head.startswith(_PARQUET):
                yield from _rejected(database, path)
    except (duckdb.Error, OSError) as error:
        why = " ".join(str(error).split())[:100]
        yield Skipped(path, number and number + 1, "cannot be read on" if number else "no table", why)


def _opened(database: DuckDBPyConnection, path: str, head: bytes, limits: Limits) -> DuckDBPyConnection:
    if head.startswith(_PARQUET):
        return database.execute("SELECT * FROM read_parquet(?)", [path])
    # Told what there is, since one broken line is enough for it to guess wrong, or in its strict mode to give up.
    return database.execute(
        "SELECT * FROM read_csv(?, auto_detect = false, columns = ?, header = true, delim = ',', quote = '\"',"
        " escape = '\"', compression = 'none', store_rejects = true, strict_mode = false, max_line_size = ?)",
        [path, dict.fromkeys(_columns(head), "VARCHAR"), limits.line_bytes],
    )


def _rejected(database: DuckDBPyConnection, path: str) -> Iterator[Skipped]:
    """Lines that are no rows of the table."""
    broken = database.execute(
        "SELECT line, string_agg(DISTINCT lower(error_type::VARCHAR), ', ') FROM reject_errors GROUP BY 1 ORDER BY 1"
        " LIMIT ?",
        [_REJECTED],
    )
    for line, why in broken.fetchall():
        yield Skipped(path, int(line), "no row of the table", why)
