"""Which files are read, in which order, how far one has come, and what is an error."""

from __future__ import annotations

import gzip
import logging
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from langgraph_speculate.errors import SpeculateError, TraceError
from langgraph_speculate.traces import Limits, Skipped, Skips, read_runs

SHARED = Path(__file__).resolve().parents[3] / "shared" / "traces"


def write(path: Path, *ids: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f'{{"id": "{name}", "events": []}}\n' for name in ids), "utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "b.jsonl", "b1", "b2")
    write(tmp_path / "a" / "a.jsonl", "a")
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b'{"id": "c", "events": []}'))
    write(tmp_path / "notes.txt", "notes")
    return tmp_path


def ids(*paths: Path | str) -> list[str]:
    return [run.id for run in read_runs(paths)]


def test_folders_files_and_patterns_are_read_in_order_and_each_file_once(folder: Path):
    """
    Named order first, sorted within a folder or pattern; the same file by two names is one file.
    """
    assert ids(folder) == ["b1", "b2", "c", "a"]
    assert ids(folder / "notes.txt", folder / "b.jsonl") == ["notes", "b1", "b2"]
    assert ids(folder / "**" / "*.jsonl") == ["a", "b1", "b2"]
    assert ids(folder / "?.jsonl*", folder / "b.jsonl", folder) == ["b1", "b2", "c", "a"]
    os.link(folder / "b.jsonl", folder / "same.jsonl")
    assert ids(folder) == ["b1", "b2", "c", "a"]
    assert [run.id for run in read_runs(str(folder / "c.jsonl.gz"))] == ["c"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path):
    """
    What exists is meant.
    """
    assert ids(write(tmp_path / "runs[1].jsonl", "one")) == ["one"]


def test_circles_of_links_are_not_followed(folder: Path):
    """
    A folder that links to itself is read once, and the link is told.
    """
    for name in ("loop", "again"):
        os.symlink(folder, folder / "a" / name)
    os.symlink("itself.jsonl", folder / "itself.jsonl")
    skipped: list[Skipped] = []
    assert len(list(read_runs(folder, on_skip=skipped.append))) == 4
    assert sorted((Path(one.path).name, one.reason) for one in skipped) == [
        ("again", "link to a folder, not followed"),
        ("itself.jsonl", "cannot be opened"),
        ("loop", "link to a folder, not followed"),
    ]
    assert len(ids(folder / "**" / "[a-c].jsonl")) == 3


@pytest.mark.parametrize("name", ["none.jsonl", "*.nothing", "none/*.jsonl", "nul\0.jsonl", "itself", "nothing/"])
def test_what_is_not_there_is_an_error_before_anything_is_read(folder: Path, name: str):
    """
    One error of ours that names the path and the remedy, from the call itself.
    """
    os.symlink("itself", folder / "itself")
    (folder / "nothing").mkdir()
    path = f"{folder}/{name}"
    with pytest.raises(TraceError) as raised:
        read_runs([folder / "b.jsonl", path])
    assert isinstance(raised.value, SpeculateError)
    assert path.rstrip("/").replace("\0", "\\x00") in str(raised.value)
    assert "; check the path" in str(raised.value) or "; name " in str(raised.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_named_file_that_may_not_be_read_is_an_error(folder: Path):
    """
    Named it is an error, found in a folder it is skipped.
    """
    (folder / "b.jsonl").chmod(0)
    with pytest.raises(TraceError, match="Permission denied"):
        read_runs(folder / "b.jsonl")
    assert ids(folder) == ["c", "a"]


def test_how_far_reading_has_come_is_told_in_bytes(folder: Path):
    """
    Progress rises to the size of all files, packed ones as they lie there.
    """
    told: list[tuple[int, int]] = []
    list(read_runs(folder, on_bytes=lambda read, total: told.append((read, total))))
    size = sum((folder / name).stat().st_size for name in ("b.jsonl", "a/a.jsonl", "c.jsonl.gz"))
    assert {total for _, total in told} == {size}
    assert told == sorted(told)
    assert told[-1] == (size, size)


def test_skips_nobody_listens_to_are_one_warning(folder: Path, caplog: pytest.LogCaptureFixture):
    """
    Nothing is dropped in silence.
    """
    (folder / "b.jsonl").write_text("no JSON\n[]\n[]\n", "utf-8")
    with caplog.at_level(logging.WARNING, "langgraph_speculate"):
        assert ids(folder) == ["c", "a"]
    (message,) = caplog.messages
    assert "2 skipped: no object" in message
    assert "1 skipped: no JSON" in message


# -- bounds -----------------------------------------------------------------------------------------------------------


def bomb(path: Path, megabytes: int, line: bytes) -> Path:
    with gzip.open(path, "wb", compresslevel=9) as file:
        block = line * (1_000_000 // len(line))
        for _ in range(megabytes):
            file.write(block)
    return path


RUN_LINE = b'{"id": "r", "events": [], "pad": "' + b"0" * 4_000 + b'"}\n'


@pytest.mark.parametrize("line", [b"0" * 1_000, RUN_LINE], ids=["one line", "many lines"])
def test_a_gzip_bomb_is_refused_in_little_memory(tmp_path: Path, line: bytes):
    """
    200 MB in 0.2 to 0.5 MB: the file is left at the ratio that no trace has, whether it is one line or many, and the
    files around it are read.
    """
    write(tmp_path / "a.jsonl", "before")
    bad = bomb(tmp_path / "b.jsonl.gz", 200, line)
    write(tmp_path / "c.jsonl", "after")
    assert bad.stat().st_size < 600_000
    skipped: list[Skipped] = []
    tracemalloc.start()
    try:
        found = {run.id for run in read_runs(tmp_path, on_skip=skipped.append, limits=Limits(line_bytes=1_000_000))}
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found >= {"before", "after"}
    assert [(Path(one.path).name, one.reason) for one in skipped] == [("b.jsonl.gz", "gzip data unpacks to too much")]
    assert peak < 10_000_000


_READ = """
import os, resource, sys, time
from langgraph_speculate.traces import Skips, read_runs
with open("/proc/self/statm") as at:
    held = int(at.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
resource.setrlimit(resource.RLIMIT_AS, (held + 200_000_000, held + 200_000_000))
resource.setrlimit(resource.RLIMIT_CPU, (30, 31))
skips = Skips()
print(sum(1 for run in read_runs(sys.argv[1], on_skip=skips)), *sorted(skips.reasons), sep="|")
"""
HEAVY: dict[str, bytes] = {
    "empty lists": b"[" + b"[]," * 2_600_000 + b"[]]",
    "empty objects": b"[" + b"{}," * 2_600_000 + b"{}]",
    "numbers": b"[" + b"0," * 3_900_000 + b"0]",
    "texts": b"[" + b'"",' * 2_600_000 + b'""]',
    "fields": b"{" + b",".join(b'"%d":0' % number for number in range(700_000)) + b"}",
    "many values": b"[" + b'{"a":0},' * 160_000 + b"0]",
    "deep": b"[" * 7_900_000,
    "escapes": b'{"id":"' + b'\\"' * 3_900_000 + b'","events":[]}',
    "backslashes": b'"' + b"\\\\" * 3_900_000,
    "open texts": b'"' * 7_999_999,
    "wide characters": b'{"id":"\xf0\x9f\x98\x80' + b"a" * 7_900_000 + b'","events":[]}',
    "endless": b"a" * 60_000_000,
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="sets limits of the process")
def test_no_line_takes_much_memory_or_time(tmp_path: Path):
    """
    The worst lines within 8 MB, and one beyond, are read within 200 MB and seconds; a good one after them is used.
    """
    lines = [*HEAVY.values(), b'{"id": "after", "events": []}']
    (tmp_path / "heavy.jsonl").write_bytes(b"\n".join(lines))
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr[-2000:]
    runs, *reasons = done.stdout.strip().split("|")
    assert runs == "3"  # the two with long ids are runs
    assert reasons == ["line too long", "no JSON", "no object", "too many values in one line"]


def test_limits_check_themselves():
    """
    A limit of nothing would read nothing.
    """
    with pytest.raises(ValueError, match="line_bytes must be a whole number of at least 1, got 0"):
        Limits(line_bytes=0)


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the public recordings in ../shared/traces beside the project")
def test_the_public_recordings_are_read_whole():
    """
    Not a line of them is skipped.
    """
    skips = Skips()
    assert sum(1 for _ in read_runs(SHARED, on_skip=skips)) > 5_000
    assert skips.as_json()["by_reason"] == {}
