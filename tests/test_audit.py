"""Logs of events: what is written can be read, what cannot be read is told in one line."""

from __future__ import annotations

import gzip
import json
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_speculate.core import events
from langgraph_speculate.errors import BadLog
from langgraph_speculate.observe.log import MAX_LINE_BYTES, JsonLines, as_json, event_of, read_log

KINDS = [kind for kind in vars(events).values() if getattr(kind, "__base__", None) is events.Event]
LINE = b'{"event":"TurnBegan","run":"r","at":0.5,"turn":"t"}\n'


def turn(number: int = 1, run: str = "r") -> events.TurnBegan:
    return events.TurnBegan(run=run, at=float(number), number=number, turn="t")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_an_event_comes_back_from_json_as_it_was(kind: type[events.Event], data: st.DataObject):
    """
    Every kind, every field, through bytes.
    """
    event = data.draw(st.builds(kind, **_finite(kind)))
    assert event_of(orjson.loads(orjson.dumps(as_json(event)))) == event


def _finite(kind: type[events.Event]) -> dict[str, Any]:
    """Strategies for fields whose types alone allow what JSON does not have."""
    floats, numbers = st.floats(allow_nan=False, allow_infinity=False), st.integers(-(2**63), 2**63 - 1)
    rows = st.tuples(st.text(), floats, st.text())
    strategies: dict[str, Any] = {
        "float": floats,
        "float | None": st.none() | floats,
        "int": numbers,
        "tuple[tuple[str, float, str], ...]": st.lists(rows).map(tuple),
    }
    fields = kind.__dataclass_fields__.values()
    drawn = {field.name: strategies[str(field.type)] for field in fields if field.type in strategies}
    return drawn | ({"schema": st.just(events.SCHEMA)} if "schema" in drawn else {})


def test_what_json_cannot_say_is_written_all_the_same(tmp_path: Path):
    """
    A predictor of somebody else's may answer NaN, numbers of its own type, and names without a UTF-8 form.
    """

    class Odd(float):
        pass

    rows = (("\ud800", math.nan, "s"), ("get", Odd(0.5), "s"))
    with JsonLines(tmp_path / "events.jsonl") as log:
        log(events.Predicted(run="r", at=0.0, turn="t", candidates=rows))
    (event,) = read_log(tmp_path / "events.jsonl")
    assert isinstance(event, events.Predicted)
    assert (event.candidates[0][0], event.candidates[1]) == ("?", ("get", 0.5, "s"))
    assert math.isnan(event.candidates[0][1])


def test_a_log_is_appended_to_line_by_line(tmp_path: Path):
    """
    Each event is in the file soon, and what was there stays; what comes after the end is not written.
    """
    path = tmp_path / "events.jsonl"
    for number in (1, 2):
        log = JsonLines(path)
        log(turn(number))
        deadline = time.monotonic() + 5
        while len(path.read_bytes().splitlines()) < number and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(path.read_bytes().splitlines()) == number
        log.close()
        log.close()
        log(turn(3))
    assert list(read_log(path)) == [turn(1), turn(2)]


def test_a_half_line_of_a_killed_process_spoils_no_other(tmp_path: Path):
    """
    Whoever appends later begins a line of its own.
    """
    path = tmp_path / "events.jsonl"
    path.write_bytes(LINE + LINE[:20])
    with JsonLines(path) as log:
        log(turn())
    assert [len(line) > 30 for line in path.read_bytes().splitlines()] == [True, False, True]


def test_threads_do_not_mix_their_lines(tmp_path: Path):
    """
    Observers are called from the threads of tools.
    """
    log = JsonLines(tmp_path / "events.jsonl")

    def write(run: str) -> None:
        for number in range(1, 201):
            log(turn(number, run))

    threads = [threading.Thread(target=write, args=(str(index),)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    events_read = list(read_log(log.path))
    assert len(events_read) == 800
    for run in "0123":
        assert [event.number for event in events_read if event.run == run] == list(range(1, 201))


def test_a_packed_log_is_read_as_it_is(tmp_path: Path):
    """
    Logs are packed by whoever rotates them.
    """
    (tmp_path / "events.jsonl.gz").write_bytes(gzip.compress(LINE * 3))
    assert len(list(read_log(tmp_path / "events.jsonl.gz"))) == 3


def line(**changed: Any) -> bytes:
    record = {"event": "CallSettled", "run": "r", "at": 1.0, "tool": "get", "id": None, "joined": False}
    return json.dumps({**record, "waited_s": 0, "tool_s": 1.5, **changed}).encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "number", "wrong"),
    [
        (LINE + b"nonsense\n", 2, "no JSON"),
        (LINE + LINE[:-9], 2, "no JSON"),
        (b"\n" + LINE, 1, "no JSON"),
        (b'{"event":"\xff"}\n', 1, "no JSON"),
        (b"[" * 5000, 1, "no JSON"),
        (b'{"event":"TurnBegan","run":"r","at":NaN,"turn":"t"}', 1, "no JSON"),
        (LINE + b"[]\n", 2, "its kind is None"),
        (
            b'{"event":"RunBegan","run":"r","at":1,"schema":99,"new":0}',
            1,
            f"schema 99, but this version reads schema {events.SCHEMA}",
        ),
        (b'{"event":"Event","run":"r","at":1}', 1, "its kind is 'Event'"),
        (b'{"event":{},"run":"r","at":1}', 1, "its kind is {}"),
        (line(extra=1), 1, "CallSettled has no field 'extra'"),
        (b'{"event":"TurnBegan","run":"r","at":1}', 1, "TurnBegan has no 'turn'"),
        (line(joined=1), 1, "'joined' cannot be 1"),
        (line(waited_s=True), 1, "'waited_s' cannot be True"),
        (line(id=7), 1, "'id' cannot be 7"),
        (line(number=1.5), 1, "'number' cannot be 1.5"),
        (line(tool="x" * MAX_LINE_BYTES), 1, "longer than 1000000 bytes"),
        (line(tool=["x" * 5000]), 1, "…"),
        (b'{"event":"Predicted","run":"r","at":1,"turn":"t","candidates":[["a",1]]}', 1, "'candidates' cannot be"),
    ],
)
def test_a_bad_line_is_told_with_path_line_and_reason(tmp_path: Path, content: bytes, number: int, wrong: str):
    """
    One short line, whatever the file holds; what came before it was read.
    """
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    read = []
    with pytest.raises(BadLog) as told:
        read += read_log(path)
    message = str(told.value)
    assert message.startswith(f"{str(path)!r}, line {number}: ")
    assert wrong in message
    assert len(message) < 300
    assert "\n" not in message


def test_a_file_that_cannot_be_read_is_told_without_waiting(tmp_path: Path):
    """
    No file, a folder, a pipe that nobody writes to, a packed file that is none or is cut off.
    """
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "plain.gz").write_bytes(LINE)
    (tmp_path / "cut.gz").write_bytes(gzip.compress(LINE * 100)[:-20])
    for name in ("none", ".", "pipe", "plain.gz", "cut.gz", "nul\0"):
        with pytest.raises(BadLog, match="the log cannot be read: "):
            list(read_log(tmp_path / name))


def test_a_file_that_cannot_be_written_is_told_when_it_is_opened(tmp_path: Path):
    """
    Not at the first event, in the middle of a run.
    """
    with pytest.raises(BadLog, match="the log cannot be written: "):
        JsonLines(tmp_path / "no such folder" / "events.jsonl")


@pytest.mark.parametrize(
    "held", [b"SQLite format 3\0rest", b"# Notes\n", b'level = "off"\n', b'{"id":"r-1","events":[]}\n', b"\n"]
)
def test_a_file_of_something_else_is_refused_and_stays_as_it_is(tmp_path: Path, held: bytes):
    """
    When the log is made, with the file and what to do; an empty file, and a log that breaks off, are added to.
    """
    path = tmp_path / "notes"
    path.write_bytes(held)
    with pytest.raises(BadLog, match="notes': holds something else than events, and is left as it is: name a new file"):
        JsonLines(path)
    assert path.read_bytes() == held
    for held in (b"", LINE, LINE[:4], LINE + LINE[:20]):
        path.write_bytes(held)
        JsonLines(path).close()
        assert path.read_bytes().startswith(held)


def test_a_line_that_breaks_off_anywhere_is_passed_over_and_told(tmp_path: Path):
    """
    Where whoever asks wants to know of them: at the end, and where somebody else went on below.
    """
    path = tmp_path / "events.jsonl"
    whole = '{"event":"TurnBegan","run":"ü","at":1.0,"number":1,"turn":"t"}'.encode()
    for end in range(1, len(whole)):
        path.write_bytes(whole[:end] + b"\n" + LINE + whole[:end])
        cut = list[int]()
        assert len(list(read_log(path, on_cut=cut.append))) == 1
        assert cut == [1, 3]


@pytest.mark.parametrize(
    "other", [b"garbage", b"", b"# Notes", b"{garbage", b'{"event":"TurnBegan",garbage', b"[1,", b"\xff"]
)
def test_what_no_writer_began_is_no_line_that_breaks_off(tmp_path: Path, other: bytes):
    """
    Text in the midst of a log, or at its end: figures from the rest would be wrong without a word.
    """
    path = tmp_path / "events.jsonl"
    for content in (LINE + other + b"\n" + LINE, LINE + (other or b"\n")):
        path.write_bytes(content)
        with pytest.raises(BadLog, match="line 2: "):
            list(read_log(path, on_cut=lambda line: None))
