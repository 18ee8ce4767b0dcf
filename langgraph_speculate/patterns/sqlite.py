"""Patterns in a SQLite file, in WAL mode: processes of one machine read and add beside each other.

What a process adds is one transaction, so one that is killed loses no more than that. A damaged file is moved aside,
and a database of another application is left alone; in both cases the run goes on, with one warning.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from langgraph_speculate.core.sums import Key, Pair, Sums
from langgraph_speculate.errors import BadPatterns
from langgraph_speculate.patterns.store import MAX_KEY, MOST, disguised, key_of, rows_of

APPLICATION = 0x4C475350  # "LGSP", in the file's header
VERSION = 1
MEMORY = ":memory:"
_WAIT_S = 5.0  # for another process to finish its transaction
_LONGEST_S = 10.0  # of one transaction; who wrote the file may not have meant it to end
_CHARACTERS = 64_000_000  # of keys that are read
_CHECKED = 64_000_000  # bytes of a file beyond which it is not read through before it is used
_STEPS = 100_000  # of SQLite's machine between two looks at the clock: a few milliseconds
_LOG = logging.getLogger("langgraph_speculate")

_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE sums (
    partition TEXT NOT NULL, key TEXT NOT NULL, hits REAL NOT NULL, trials REAL NOT NULL, PRIMARY KEY (partition, key)
) WITHOUT ROWID;
"""
_MIGRATIONS: Mapping[int, str] = {}
"""From each older version of the schema, the statements that lead to the next."""

_ADD = """
INSERT INTO sums VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET hits = hits + excluded.hits, trials = trials + excluded.trials
"""


class _Foreign(Exception):
    """The file is sound, but not ours to write to."""


class SqlitePatterns:
    """A `PatternStore` in a SQLite file.

    Args:
        path: The file; made if there is none. `":memory:"` keeps nothing.
        strict: Whether a file that cannot be used is the caller's mistake; if not, the run goes on without it.

    Raises:
        BadPatterns: No file can be there; or, if *strict*, one that is no store of patterns is.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = SqlitePatterns(f"{folder}/patterns.db")
    ...     store.add("", {("next", "get_order"): (1.0, 0.0)})
    ...     store.add("", {("next", "get_order"): (2.0, 0.0)})
    ...     store.load("")
    ...     store.close()
    {('next', 'get_order'): (3.0, 0.0)}
    """

    def __init__(self, path: str | os.PathLike[str], *, strict: bool = False) -> None:
        self.path = Path(path)
        self._strict = strict
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._parents: list[sqlite3.Connection] = []
        self._database = sqlite3.connect(MEMORY)  # until the file is open
        if str(path) == MEMORY:
            self._connect(MEMORY)
            return
        _check(self.path)
        self._open()

    def add(self, partition: str, sums: Mapping[Key, Pair]) -> None:
        """Add to the totals of a partition, in one transaction.

        Raises:
            sqlite3.OperationalError: Another process keeps the file locked, or it cannot be written; nothing is added.
        """
        name = disguised(partition, self._salt)
        rows = [(name, *row) for row in rows_of(sums)]
        with self._lock:
            self._after_fork()
            try:
                self._write(rows)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                self._quarantine(error)
                self._write(rows)

    def load(self, partition: str) -> Sums:
        """Return the totals of a partition."""
        with self._lock:
            self._after_fork()
            try:
                return self._read(partition)
            except sqlite3.OperationalError:
                raise
            except (sqlite3.DatabaseError, ValueError, TypeError) as error:
                self._quarantine(error)
                return {}

    def forget(self, partition: str) -> int:
        """Remove the totals of a partition, from the file's free pages and its log too; returns how many those were.

        A damaged file that was moved aside is not looked at.

        Raises:
            sqlite3.OperationalError: Another process uses the file all the time, so that traces may be left.
        """
        with self._lock:
            self._after_fork()
            with self._database:
                query = "DELETE FROM sums WHERE partition = ?"
                done = self._database.execute(query, (disguised(partition, self._salt),))
            self._database.execute("VACUUM")  # pages that were moved about keep old bytes
            # The log still holds what was removed, until nobody reads it any more.
            [(is_busy, _, _)] = self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if is_busy:
                raise sqlite3.OperationalError(
                    "removed, but the log is in use: traces are left until it is forgotten again"
                )
        return done.rowcount

    def close(self) -> None:
        """Close the file; the next `add` fails."""
        with self._lock:
            self._database.close()

    def _write(self, rows: list[tuple[str, str, float, float]]) -> None:
        with self._deadline(), self._database:
            self._database.executemany(_ADD, rows)

    def _read(self, partition: str) -> Sums:
        query = """
            SELECT key, hits, trials FROM sums WHERE partition = ? AND length(key) <= ?
            ORDER BY max(hits, trials) DESC LIMIT ?
        """
        found: Sums = {}
        characters = 0
        with self._deadline():
            for key, hits, trials in self._database.execute(query, (disguised(partition, self._salt), MAX_KEY, MOST)):
                if math.isfinite(hits) and math.isfinite(trials):
                    found[key_of(key)] = float(hits), float(trials)
                characters += len(key)
                if characters > _CHARACTERS:
                    break
        return found

    @contextmanager
    def _deadline(self) -> Iterator[None]:
        """Interrupt what takes too long, which is an `OperationalError`."""
        end = time.monotonic() + _LONGEST_S
        self._database.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        try:
            yield
        finally:
            self._database.set_progress_handler(None, 0)

    def _after_fork(self) -> None:
        """A connection must not be used, or even closed, in a fork of the process that opened it."""
        if self._process != os.getpid():
            self._process = os.getpid()
            self._parents.append(self._database)
            self._database = sqlite3.connect(MEMORY)
            self._open()

    # -- opening -----------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        try:
            self._connect(str(self.path))
        except _Foreign as why:
            self._give_up(f"{why}; it is left alone")
        except sqlite3.OperationalError as error:
            self._read_only(error)
        except sqlite3.DatabaseError as error:
            self._quarantine(error)

    def _read_only(self, error: sqlite3.OperationalError) -> None:
        """A file that may not be written, in an image say, still tells what it knows."""
        try:
            self._connect(f"{self.path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        except (_Foreign, sqlite3.DatabaseError):
            self._give_up(f"cannot be used ({error})")

    def _give_up(self, why: str) -> None:
        if self._strict:
            raise BadPatterns(f"{str(self.path)!r} {why}")
        _LOG.warning("patterns: %s %s; what is learned is kept in memory", self.path, why)
        self._connect(MEMORY)

    def _connect(self, name: str, uri: bool = False) -> None:
        self._database.close()
        self._database = sqlite3.connect(name, timeout=_WAIT_S, check_same_thread=False, uri=uri)
        for attempt in _patiently():
            with attempt:
                self._prepare()

    def _prepare(self) -> None:
        """Make sure that the file is ours, whole, and of this version."""
        database = self._database
        database.execute("PRAGMA synchronous = NORMAL")  # with WAL: a power cut may undo the last transactions, no more
        database.execute("PRAGMA secure_delete = ON")  # what is forgotten leaves no trace in free pages
        [(application,)] = database.execute("PRAGMA application_id")
        [(version,)] = database.execute("PRAGMA user_version")
        [(tables, others)] = database.execute("SELECT count(*), sum(type <> 'table') FROM sqlite_master")
        if application != APPLICATION and (tables or application or version):
            raise _Foreign("is the database of another application")
        if version > VERSION:
            raise _Foreign(f"was written by a newer version of this package (schema {version}, known is {VERSION})")
        if others:
            raise sqlite3.DatabaseError("it holds views or triggers, which would run here")
        [(pages,)], [(size,)] = database.execute("PRAGMA page_count"), database.execute("PRAGMA page_size")
        if tables and pages * size <= _CHECKED and database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the file is damaged")
        if version < VERSION:
            database.execute("PRAGMA journal_mode = WAL")
            with database:
                _bring_up_to_date(database)
        [(self._salt,)] = database.execute("SELECT value FROM meta WHERE name = 'salt'")

    def _quarantine(self, error: Exception) -> None:
        """Move a damaged file aside and begin a new one."""
        if self._strict:
            raise BadPatterns(f"{str(self.path)!r} is no store of patterns, or a damaged one: {error}") from None
        self._database.close()
        aside = _free(self.path)
        try:
            for more in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.replace(f"{self.path}{more}", f"{aside}{more}")
            self._connect(str(self.path))
        except (OSError, sqlite3.DatabaseError):
            self._give_up(f"cannot be used ({error})")
        else:
            _LOG.warning(
                "patterns: %s cannot be used (%s); it is now %s, and a new one begins", self.path, error, aside
            )


def _patiently() -> Retrying:
    """SQLite does not wait by itself for another process that makes the same file."""
    busy = retry_if_exception(lambda error: "locked" in str(error))
    return Retrying(stop=stop_after_delay(_WAIT_S), wait=wait_random(0.01, 0.1), retry=busy, reraise=True)


def _bring_up_to_date(database: sqlite3.Connection) -> None:
    """Under the write lock, because several processes may be the first."""
    database.execute("BEGIN IMMEDIATE")
    [(version,)] = database.execute("PRAGMA user_version")
    if version == 0:
        for statement in _SCHEMA.strip().split(";\n"):
            if statement.strip():
                database.execute(statement)
        database.execute("INSERT INTO meta VALUES ('salt', ?)", (secrets.token_bytes(32),))
        version = VERSION
    while version < VERSION:
        database.execute(_MIGRATIONS[version])
        version += 1
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.execute(f"PRAGMA user_version = {VERSION}")


def _check(path: Path) -> None:
    """Mistakes of the caller, which are not to be survived in silence."""
    try:
        if path.is_dir() or (path.exists() and not path.is_file()):
            raise BadPatterns(f"patterns: {str(path)!r} is no file; name a file such as 'patterns.db'")
        if "\0" in str(path) or not path.parent.is_dir():
            raise BadPatterns(f"patterns: {str(path)!r}: there is no folder {str(path.parent)!r}; make it first")
    except (OSError, ValueError) as error:
        raise BadPatterns(f"patterns: {str(path)!r} cannot be used: {error}") from None


def _free(path: Path) -> Path:
    """A name beside *path* that nothing has yet."""
    names = [f"{path.name}.quarantined", *(f"{path.name}.quarantined-{number}" for number in range(2, 1000))]
    return next(free for name in names if not (free := path.with_name(name)).exists())
