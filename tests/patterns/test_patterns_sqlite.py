"""Patterns in a SQLite file: nothing is counted twice or lost, and no file that somebody gives can stop a run."""

from __future__ import annotations

import logging
import random
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.store.memory import InMemoryStore

from langgraph_speculate.core.sums import Sums, add_to
from langgraph_speculate.errors import BadPatterns
from langgraph_speculate.patterns import PatternStore, SharedPatterns, SqlitePatterns, open_patterns
from langgraph_speculate.patterns import sqlite as module

ONE: Sums = {("next", "get"): (1.0, 0.0), ("found", "get", "id"): (1.0, 2.0)}
keys = st.lists(st.text(max_size=8), min_size=1, max_size=3).map(tuple)
counts = st.integers(0, 1000).map(float)
sums = st.dictionaries(keys, st.tuples(counts, counts), max_size=6)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "patterns.db"


@given(parts=st.lists(st.tuples(st.sampled_from(["", "acme", "other"]), sums), max_size=6), seed=st.integers())
def test_sums_merge_in_any_order(parts: list[tuple[str, Sums]], seed: int, tmp_path_factory: pytest.TempPathFactory):
    """
    Whatever is added in whatever order, the totals are the sums, partition by partition.
    """
    folder = tmp_path_factory.mktemp("order")
    wanted: dict[str, Sums] = {"": {}, "acme": {}, "other": {}}
    for partition, part in parts:
        add_to(wanted[partition], part.items())
    shuffled = random.Random(seed).sample(parts, len(parts))
    for number, order in enumerate((parts, shuffled)):
        store = SqlitePatterns(folder / f"{number}.db")
        for partition, part in order:
            store.add(partition, part)
        assert {partition: store.load(partition) for partition in wanted} == wanted
        store.close()


def test_what_was_added_is_there_when_the_file_is_opened_again(path: Path):
    store = SqlitePatterns(path)
    store.add("acme", ONE)
    store.close()
    assert SqlitePatterns(path).load("acme") == ONE
    assert SqlitePatterns(path).load("") == {}


_BESIDE = """
import sys
from langgraph_speculate.patterns import SqlitePatterns
store = SqlitePatterns(sys.argv[1])
for _ in range(50):
    store.add("", {("next", "get"): (1.0, 0.0)})
"""


def test_processes_that_begin_and_write_at_once_lose_nothing(path: Path):
    """
    Four processes make the same new file and add 50 times each.
    """
    work = [subprocess.Popen([sys.executable, "-c", _BESIDE, str(path)]) for _ in range(4)]
    assert [process.wait(120) for process in work] == [0] * 4
    assert SqlitePatterns(path).load("") == {("next", "get"): (200.0, 0.0)}


_KILLED = """
import os, random, signal, sys, time
from langgraph_speculate.patterns import SqlitePatterns
path, draw, total = sys.argv[1], random.Random(int(sys.argv[2])), 0
for _ in range(int(sys.argv[3])):
    out, acks = os.pipe()
    child = os.fork()
    if child == 0:
        store = SqlitePatterns(path)
        while True:
            store.add("", {("n", str(key)): (1.0, 0.0) for key in range(40)})
            os.write(acks, b".")
    os.close(acks)
    time.sleep(draw.uniform(0.002, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    total += len(os.read(out, 100_000))
    os.close(out)
    store = SqlitePatterns(path)
    found = set(store.load("").values()) or {(0.0, 0.0)}
    assert len(found) == 1, f"a transaction was torn: {found}"
    [(count, _)] = found
    assert total <= count <= total + 1, f"{count} for {total} that were acknowledged"
    total = int(count)
    store.close()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and kill -9")
def test_a_process_killed_while_it_writes_loses_at_most_its_last_transaction(path: Path):
    """
    50 processes killed at random moments: the file stays whole, and what was acknowledged is in it.
    """
    done = subprocess.run([sys.executable, "-c", _KILLED, str(path), "7", "50"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not list(path.parent.glob("*.quarantined*"))


# -- files that are not what they should be ----------------------------------------------------------------------------


def _sound(path: Path) -> bytes:
    store = SqlitePatterns(path)
    store.add("", {("next", str(number)): (1.0, 0.0) for number in range(3000)})
    store.close()
    return path.read_bytes()


def _flipped(sound: bytes) -> bytes:
    draw, data = random.Random(3), bytearray(sound)
    for _ in range(400):
        data[draw.randrange(4096, len(data))] ^= 0xFF
    return bytes(data)


DAMAGED = {
    "text": lambda sound: b"hello, I am no database\n" * 50,
    "noise": lambda sound: random.Random(1).randbytes(5000),
    "cut off": lambda sound: sound[: len(sound) // 2],
    "one page": lambda sound: sound[:4096],
    "flipped": _flipped,
    "zeros": lambda sound: sound[:4096] + bytes(len(sound) - 4096),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_moved_aside_with_one_warning(damage: str, path: Path, caplog: pytest.LogCaptureFixture):
    """
    Its bytes are kept, a new file begins, and the store works.
    """
    broken = DAMAGED[damage](_sound(path))
    path.write_bytes(broken)
    store = SqlitePatterns(path)
    store.load("")
    store.add("", ONE)
    assert store.load("") == ONE
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert path.with_name("patterns.db.quarantined").read_bytes() == broken
    store.close()
    assert SqlitePatterns(path).load("") == ONE


def test_a_second_damaged_file_does_not_replace_the_first(path: Path):
    for text in (b"one" * 1000, b"two" * 1000):
        path.write_bytes(text)
        SqlitePatterns(path).close()
    assert path.with_name("patterns.db.quarantined").read_bytes() == b"one" * 1000
    assert path.with_name("patterns.db.quarantined-2").read_bytes() == b"two" * 1000


@pytest.mark.parametrize("kind", ["of another application", "of a newer version"])
def test_a_database_that_is_not_ours_to_write_is_left_alone(kind: str, path: Path, caplog: pytest.LogCaptureFixture):
    """
    Somebody's checkpoints, or the file of a newer version: not moved, not written; what is learned stays in memory.
    """
    if kind == "of a newer version":
        _sound(path)
    other = sqlite3.connect(path)
    statement = "CREATE TABLE checkpoints (id)" if kind == "of another application" else "PRAGMA user_version = 99"
    other.execute(statement)
    other.close()
    before = path.read_bytes()
    store = SqlitePatterns(path)
    store.add("", ONE)
    assert store.load("") == ONE
    store.close()
    assert path.read_bytes() == before
    assert len(caplog.records) == 1
    assert not list(path.parent.glob("*.quarantined*"))


def test_an_empty_file_becomes_a_store(path: Path, caplog: pytest.LogCaptureFixture):
    path.touch()
    SqlitePatterns(path).add("", ONE)
    assert SqlitePatterns(path).load("") == ONE
    assert not caplog.records


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be made read-only there")
def test_a_file_that_may_not_be_written_still_tells_what_it_knows(path: Path, monkeypatch: pytest.MonkeyPatch):
    """
    As in an image: it is read; adding fails, which is the keeper's to report.
    """
    _sound(path)
    connect = sqlite3.connect

    def refuses(name: str, *args: object, **kwargs: object) -> sqlite3.Connection:
        if name == str(path):  # what a read-only file system says, also to those who may do everything
            raise sqlite3.OperationalError("unable to open database file")
        return connect(name, *args, **kwargs)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(module.sqlite3, "connect", refuses)
    store = SqlitePatterns(path)
    assert len(store.load("")) == 3000
    with pytest.raises(sqlite3.OperationalError):
        store.add("", ONE)


@pytest.mark.parametrize(
    ("name", "words"), [("", "is no file"), ("no/such/patterns.db", "make it first"), ("\0", "make it first")]
)
def test_a_path_where_no_file_can_be_is_the_callers_mistake(name: str, words: str, tmp_path: Path):
    with pytest.raises(BadPatterns, match=words):
        SqlitePatterns(tmp_path / name)


@pytest.mark.parametrize(
    "row", [("[1, 2]", 1.0, 1.0), ("no json", 1.0, 1.0), ('{"a": 1}', 1.0, 1.0), ('["a"]', "much", 1.0)]
)
def test_rows_that_nobody_of_us_wrote_put_the_file_aside(row: tuple[object, ...], path: Path):
    SqlitePatterns(path).close()
    other = sqlite3.connect(path)
    with other:
        other.execute("INSERT INTO sums VALUES ('', ?, ?, ?)", row)
    other.close()
    assert SqlitePatterns(path).load("") == {}
    assert path.with_name("patterns.db.quarantined").exists()


def test_rows_beyond_all_measure_are_left_out(path: Path):
    store = SqlitePatterns(path)
    store.add("", {("n", "x" * 10_000): (1.0, 0.0), ("n", "inf"): (float("inf"), 0.0), **ONE})
    assert store.load("") == ONE


def test_an_older_schema_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch):
    """
    What it holds is kept.
    """
    store = SqlitePatterns(path)
    store.add("acme", ONE)
    store.close()
    monkeypatch.setattr(module, "VERSION", 2)
    monkeypatch.setattr(module, "_MIGRATIONS", {1: "ALTER TABLE sums ADD COLUMN seen REAL"})
    monkeypatch.setattr(module, "_ADD", module._ADD.replace("INTO sums", "INTO sums (partition, key, hits, trials)"))
    store = SqlitePatterns(path)
    store.add("acme", ONE)
    assert store.load("acme")[("next", "get")] == (2.0, 0.0)
    assert store._database.execute("PRAGMA user_version").fetchone() == (2,)


# -- whose it is -------------------------------------------------------------------------------------------------------


def test_what_was_learned_of_a_partition_can_be_forgotten(path: Path):
    """
    Neither its name nor what was learned is left in any byte of the files, and other partitions stay.
    """
    store = SqlitePatterns(path)
    store.add("mia@example.org", {("next", "find_oncologist"): (1.0, 0.0)})
    store.add("acme", ONE)
    assert store.forget("mia@example.org") == 1
    assert store.load("mia@example.org") == {}
    assert store.load("acme") == ONE
    everything = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert b"oncologist" not in everything
    assert b"mia@" not in everything
    assert b"found" in everything
    store.close()


def test_a_partitions_name_is_not_written(path: Path):
    store = SqlitePatterns(path)
    store.add("mia@example.org", ONE)
    store.close()
    assert b"mia" not in path.read_bytes()


def test_open_patterns_takes_paths_stores_and_nothing_else(path: Path):
    store = open_patterns(str(path))
    assert isinstance(store, SqlitePatterns)
    assert open_patterns(store) is store
    assert isinstance(store, PatternStore)
    with pytest.raises(BadPatterns, match="int is no store of patterns; give a path"):
        open_patterns(7)


# -- several replicas --------------------------------------------------------------------------------------------------


def test_replicas_that_share_a_store_of_langgraph_know_the_sum(path: Path):
    shared = InMemoryStore()
    replicas = [SharedPatterns(shared) for _ in range(3)]
    for number, replica in enumerate(replicas):
        for _ in range(number + 1):
            replica.add("acme", ONE)
        replica.add("", ONE)
    assert all(replica.load("acme")[("next", "get")] == (6.0, 0.0) for replica in replicas)
    assert SharedPatterns(shared).load("")[("found", "get", "id")] == (3.0, 6.0)
    assert replicas[0].forget("acme") > 0
    assert SharedPatterns(shared).load("acme") == {}
    assert SharedPatterns(shared).load("")[("next", "get")] == (3.0, 0.0)


class Moody(InMemoryStore):
    """A store that fails when it is told to."""

    fails = False

    def put(self, *args: object, **kwargs: object) -> None:
        if self.fails:
            raise ConnectionError("gone")
        super().put(*args, **kwargs)  # type: ignore[arg-type]


def test_a_replica_writes_later_what_a_store_does_not_take_now(caplog: pytest.LogCaptureFixture):
    """
    Nothing is lost or counted twice.
    """
    shared = Moody()
    replica = SharedPatterns(shared)
    replica.add("", ONE)
    shared.fails = True
    replica.add("", ONE)
    shared.fails = False
    assert replica.load("") == ONE
    replica.add("", {})
    assert replica.load("")[("next", "get")] == (2.0, 0.0)
    assert len(caplog.records) == 1


def test_a_store_that_goes_on_failing_is_told_of_once(caplog: pytest.LogCaptureFixture):
    """
    It is tried every few seconds, maybe for hours: one warning, and another when it fails again after it had worked.
    """
    shared = Moody()
    replica = SharedPatterns(shared)
    for shared.fails in (True, True, False, False, True, True):
        replica.add("", ONE)
    assert len(caplog.records) == 2
    shared.fails = False
    replica.add("", {})
    assert SharedPatterns(shared).load("")[("next", "get")] == (6.0, 0.0)
