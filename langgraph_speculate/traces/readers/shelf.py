"""Records put together by what they belong to, in a temporary file: the spans of a trace lie scattered over an export.

SQLite sorts them on disk, so memory does not grow with the export; the file has no name and is gone with the process.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import orjson

_BATCH = 500


class Shelf:
    """Takes records in any order and gives them back group by group, in the order in which groups began.

    >>> with Shelf() as shelf:
    ...     for group, at, name in (("b", 2.0, "second"), ("a", 1.0, "other"), ("b", 1.5, "first")):
    ...         shelf.put(group, at, name, line=1)
    ...     [(group, records) for group, _, records in shelf.groups()]
    [('a', ['other']), ('b', ['first', 'second'])]
    """

    def __init__(self) -> None:
        self._file = sqlite3.connect("")  # a temporary file that only this connection sees
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE records (grouped TEXT, at REAL, line INTEGER, record BLOB)")
        self._waiting: list[tuple[str, float, int, bytes]] = []

    def put(self, group: str, at: float, record: Any, line: int) -> None:
        """Add a *record* (plain data) of a *group* that happened *at* some time; *line* says where it came from."""
        self._waiting.append((group, at, line, orjson.dumps(record)))
        if len(self._waiting) >= _BATCH:
            self._write()

    def groups(self) -> Iterator[tuple[str, int, list[Any]]]:
        """Yield each group with the first line it came from and its records, oldest first."""
        self._write()
        self._file.execute("CREATE INDEX IF NOT EXISTS by_group ON records (grouped, at, line)")
        order = self._file.execute(
            "SELECT grouped, MIN(line) FROM records GROUP BY grouped ORDER BY MIN(at), MIN(line)"
        )
        for group, line in order:
            rows = self._file.execute("SELECT record FROM records WHERE grouped = ? ORDER BY at, line", (group,))
            yield group, line, [orjson.loads(row[0]) for row in rows]

    def __enter__(self) -> Shelf:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _write(self) -> None:
        self._file.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", self._waiting)
        self._file.commit()
        self._waiting.clear()
