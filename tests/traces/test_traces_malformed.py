"""What is wrong with a line is told by line and reason, and the rest of the file is used."""

from __future__ import annotations

import gzip
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_speculate.traces import Limits, Run, Skipped, Skips, read_runs
from langgraph_speculate.traces.convert import convert
from langgraph_speculate.traces.lines import json_lines
from langgraph_speculate.traces.neutral import runs_in

GOOD = b'{"id": "good", "task_id": "t", "events": [{"role": "user", "content": "hello"}]}'
DEEP = json.loads("[" * 20 + "]" * 20)
SMALL = Limits(line_bytes=10_000, depth=20, values=1_000, events=100, ratio=50)


def record(**changes: Any) -> bytes:
    return json.dumps({"id": "bad", "task_id": "t", "events": [], **changes}).encode()


def with_event(**event: Any) -> bytes:
    return record(events=[{"role": "user", "content": "before"}, event])


def with_call(call: Any) -> bytes:
    return with_event(role="assistant", content="", tool_calls=[call])


MALFORMED: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"no JSON", "no JSON"),
    "cut off": (GOOD[:-3], "no JSON"),
    "two objects": (GOOD + GOOD, "no JSON"),
    "a trailing comma": (b'{"id": "bad", "events": [],}', "no JSON"),
    "single quotes": (b"{'id': 'bad', 'events': []}", "no JSON"),
    "a comment": (b'{"id": "bad", /* ... */ "events": []}', "no JSON"),
    "a word": (b'{"id": "bad", "events": [], "t": None}', "no JSON"),
    "NUL": (b'{"id": "b\x00ad", "events": []}', "no JSON"),
    "nothing but NUL": (b"\x00" * 50, "no JSON"),
    "a byte order mark inside of the file": (b"\xef\xbb\xbf" + GOOD, "no JSON"),
    "Latin-1": ('{"id": "bäd", "events": []}'.encode("latin-1"), "no UTF-8"),
    "a surrogate in UTF-8": (b'{"id": "\xed\xa0\x80", "events": []}', "no UTF-8"),
    "pickle": (b"\x80\x04\x95\x1a\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93.", "no UTF-8"),
    "a huge line": (record(id="x" * 20_000), "line too long"),
    "deep arrays": (b"[" * 3_000 + b"]" * 3_000, "too many values in one line"),
    "too deep for the parser": (b'{"a":' * 450 + b"1" + b"}" * 450, "nested too deeply"),
    "deep arguments": (with_call({"id": "c", "name": "n", "args": {"a": DEEP}}), "nested too deeply"),
    "very many values": (record(events=[0] * 2_000), "too many values in one line"),
    "very many events": (record(events=[{"role": "user"}] * 101), "too many events in one run"),
    "a field twice": (b'{"id": "good", "id": "bad", "events": []}', "a field twice in one object"),
    "a field twice in arguments": (
        with_call({"id": "c", "name": "n", "args": {"x": 1, "y": 2}}).replace(b'"y"', b'"x"'),
        "a field twice in one object",
    ),
    "a field twice, once escaped": (b'{"id": "good", "\\u0069d": "bad", "events": []}', "a field twice in one object"),
    "an array": (b"[]", "no object"),
    "a text": (b'"text"', "no object"),
    "null": (b"null", "no object"),
    "no id": (b'{"task_id": "t", "events": []}', "run without an id"),
    "an empty id": (record(id=""), "run without an id"),
    "an id that is an object": (record(id={}), "run without an id"),
    "an id that is true": (record(id=True), "run without an id"),
    "a task that is a list": (record(task_id=[1]), "task_id is no text"),
    "no events": (b'{"id": "bad"}', "run without a list of events"),
    "events that are an object": (record(events={}), "run without a list of events"),
    "an event that is a text": (record(events=["hello"]), "event is no object"),
    "an unknown role": (with_event(role="wizard"), "event with an unknown role"),
    "no role": (with_event(content="x"), "event with an unknown role"),
    "a role that is a list": (with_event(role=["user"]), "event with an unknown role"),
    "content that is a number": (with_event(role="user", content=7), "content is no text"),
    "a time that is a text": (with_event(role="user", content="", t="noon"), "t is no number"),
    "a duration that is true": (with_event(role="user", duration_s=True), "duration_s is no number"),
    "calls that are an object": (with_event(role="assistant", tool_calls={}), "tool_calls is no list"),
    "a call that is a text": (with_call("get"), "tool call is no object"),
    "a call without an id": (with_call({"name": "n", "args": {}}), "tool call without an id"),
    "a call without a name": (with_call({"id": "c", "args": {}}), "tool call without a name"),
    "arguments that are a text": (
        with_call({"id": "c", "name": "n", "args": "{}"}),
        "tool call without an object of args",
    ),
    "an answer to nothing": (with_event(role="tool", content="x"), "tool event without a tool_call_id"),
}


def read(path: Path, limits: Limits = SMALL) -> tuple[list[str], list[Skipped]]:
    """Ids of the runs of a file, and what was skipped."""
    skipped: list[Skipped] = []
    return [run.id for run in read_runs(path, on_skip=skipped.append, limits=limits)], skipped


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(("bad", "reason"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_line_is_told_and_the_rest_is_used(
    tmp_path: Path, bad: bytes, reason: str, pack: Callable[[bytes], bytes]
):
    """
    Path, line and reason of the bad line; the runs before and after it are there.
    """
    path = tmp_path / "runs.jsonl"
    path.write_bytes(pack(b"\n".join([GOOD, bad, b"", GOOD.replace(b"good", b"better")])))

    runs, skipped = read(path)

    assert runs == ["good", "better"]
    assert [(one.path, one.line, one.reason) for one in skipped] == [(str(path), 2, reason)]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_has_not_is_read_as_python_writes_it(tmp_path: Path, value: str):
    """
    Most recordings come from `json.dumps`, which writes them: one such argument does not cost the run, and a time that
    is none is not known.
    """
    call = with_event(
        role="assistant", duration_s=0, t=0, tool_calls=[{"id": "c", "name": "get", "args": {"a": 0, "b": "x"}}]
    )
    (tmp_path / "runs.jsonl").write_bytes(call.replace(b": 0", f": {value}".encode()))

    (run,) = read_runs(tmp_path / "runs.jsonl", on_skip=pytest.fail)

    event = run.events[1]
    assert (event["duration_s"], event["t"]) == (None, None)
    assert not math.isfinite(event["tool_calls"][0]["args"]["a"])
    assert event["tool_calls"][0]["args"]["b"] == "x"


def test_half_a_surrogate_pair_costs_its_character_and_not_the_run(tmp_path: Path):
    """
    Whoever cuts a text in the middle of an emoji writes one; what comes of it can be written down again.
    """
    said = rb'{"role": "user", "content": "Hi \ud83d"}, {"role": "user", "content": "\ud83d\ude00"}'
    (tmp_path / "runs.jsonl").write_bytes(b'{"id": "a", "events": [' + said + b"]}")

    (run,) = read_runs(tmp_path / "runs.jsonl", on_skip=pytest.fail)

    assert [event["content"] for event in run.events] == ["Hi \ufffd", "\U0001f600"]
    assert convert([run], tmp_path / "again.jsonl").runs == 1


@pytest.mark.parametrize("line", [b'{"n": NaN, "a": ' + b"[" * 60 + b"]" * 60 + b"}", b'{"n": NaN, "n": 1}'])
def test_what_only_python_would_read_keeps_within_the_same_limits(tmp_path: Path, line: bytes):
    """
    Depth, and no field twice.
    """
    (tmp_path / "runs.jsonl").write_bytes(line)
    ((_, reason),) = [(one.line, one.reason) for one in read(tmp_path / "runs.jsonl")[1]]
    assert reason in ("nested too deeply", "a field twice in one object")


def test_where_a_line_is_no_json_is_told(tmp_path: Path):
    """
    Lines are long, and one character is wrong.
    """
    (tmp_path / "runs.jsonl").write_bytes(b'{"id": "bad", "events": [],}')
    assert [one.detail for one in read(tmp_path / "runs.jsonl")[1]] == [
        "trailing comma is not allowed, at character 27"
    ]


def test_what_is_wrong_with_an_event_is_told_with_its_number(tmp_path: Path):
    """
    A run may have hundreds of events; the detail says which.
    """
    (tmp_path / "runs.jsonl").write_bytes(with_event(role="wizard"))
    assert [one.detail for one in read(tmp_path / "runs.jsonl")[1]] == ["event 2"]


def cut_off(whole: bytes) -> bytes:
    return gzip.compress(whole)[:-12]


def damaged(whole: bytes) -> bytes:
    packed = bytearray(gzip.compress(whole, mtime=0))
    packed[-6] ^= 0xFF  # in its checksum
    return bytes(packed)


def with_rubbish_behind(whole: bytes) -> bytes:
    return gzip.compress(whole) + b"rubbish"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut_off, "gzip data is cut off"),
        (damaged, "gzip data is damaged"),
        (with_rubbish_behind, "gzip data is damaged"),
    ],
)
def test_a_damaged_gzip_file_gives_what_lies_before_the_damage(
    tmp_path: Path, spoil: Callable[[bytes], bytes], reason: str
):
    """
    Whole lines that could be unpacked are used.
    """
    lines = [GOOD.replace(b"good", b"run-%d" % number) + b"\n" for number in range(5_000)]
    path = tmp_path / "runs.jsonl.gz"
    path.write_bytes(spoil(b"".join(lines)))

    runs, skipped = read(path)

    assert runs == [f"run-{number}" for number in range(len(runs))]
    assert [(one.line, one.reason) for one in skipped] == [(len(runs) + 1, reason)]
    assert len(runs) > 1_000


def test_gzip_is_told_by_content(tmp_path: Path):
    """
    Names lie: packed without the ending and unpacked with it are both read; members one after another are one file.
    """
    (tmp_path / "packed.jsonl").write_bytes(gzip.compress(GOOD + b"\n") + gzip.compress(GOOD))
    (tmp_path / "plain.jsonl.gz").write_bytes(GOOD)
    (tmp_path / "empty.jsonl.gz").write_bytes(b"")
    assert read(tmp_path) == (["good"] * 3, [])


def test_line_ends_and_a_byte_order_mark_in_front_do_not_matter(tmp_path: Path):
    """
    Files written on Windows are files, too; empty lines are nothing; numbers of lines stay true.
    """
    path = tmp_path / "runs.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD + b"\r\n\r\n  \n" + GOOD + b"\r\nbad\r\n")
    runs, skipped = read(path)
    assert runs == ["good", "good"]
    assert [one.line for one in skipped] == [5]


def test_what_a_text_holds_is_not_taken_for_structure(tmp_path: Path):
    """
    Colons, quotes, brackets and backslashes in texts are content.
    """
    content = '\\" : {"id": "x", "id": "y"} \\\\" [[[:::\\'
    (tmp_path / "runs.jsonl").write_bytes(record(id='a":"b', events=[{"role": "user", "content": content}]))
    (run,) = read_runs(tmp_path)
    assert run.events[0]["content"] == content


def test_numbers_are_ids_and_a_run_without_a_task_is_its_own(tmp_path: Path):
    """
    Exports number their rows, and most agents have no tasks.
    """
    (tmp_path / "runs.jsonl").write_bytes(b'{"id": 7, "events": []}\n{"id": "a", "task_id": null, "events": []}')
    assert list(read_runs(tmp_path)) == [Run("7", "7", []), Run("a", "a", [])]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_regular_file_is_skipped_without_waiting(tmp_path: Path):
    """
    Opening a pipe would wait for ever; named or found, it is skipped.
    """
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "runs.jsonl").write_bytes(GOOD)
    os.symlink("/dev/zero", tmp_path / "zero.jsonl")
    for paths in ([tmp_path], [tmp_path / "pipe.jsonl", tmp_path / "runs.jsonl", "/dev/zero"]):
        skips: list[Skipped] = []
        assert [run.id for run in read_runs(paths, on_skip=skips.append)] == ["good"]
        assert [(one.line, one.reason) for one in skips] == [(0, "no regular file")] * 2


def test_skips_are_counted_with_a_few_examples_of_each():
    """
    A file of nothing but bad lines costs no memory, and control characters do not reach the terminal.
    """
    skips = Skips()
    for number in range(1, 1_001):
        skips(Skipped("a\x1b[2J.jsonl", number, "no JSON", "why"))
    skips(Skipped("b.jsonl", 0, "no regular file"))
    assert skips.count == 1_001
    assert list(skips.lines()) == [
        "1000 skipped: no JSON, at a\\x1b[2J.jsonl:1 (why), a\\x1b[2J.jsonl:2 (why), a\\x1b[2J.jsonl:3 (why), …",
        "1 skipped: no regular file, at b.jsonl",
    ]
    assert len(skips.as_json()["examples"]) == 4


PIECES = st.sampled_from([GOOD, b"\n", b"{", b"[", b'"', b":", b"\\", b'"id":1,', b'{"events":[', b"\xff", b"\x1f\x8b"])


@given(st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=30).map(b"".join)), st.booleans())
@settings(max_examples=300, deadline=None)
def test_no_bytes_crash_the_reader(tmp_path_factory: pytest.TempPathFactory, content: bytes, packed: bool):
    """
    Whatever a file holds, it ends in runs and skips, and no line is both or neither.
    """
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(gzip.compress(content) if packed else content)

    found = list(runs_in(str(path), SMALL))

    assert all(isinstance(one, Run | Skipped) for one in found)
    if packed or not content.startswith(b"\x1f\x8b"):
        whole = content.removeprefix(b"\xef\xbb\xbf")
        assert len(found) == sum(bool(line.strip()) for line in whole.split(b"\n"))
    for run in found:
        if isinstance(run, Run):
            assert list(run.decisions()) is not None


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)))
@settings(max_examples=200, deadline=None)
def test_any_json_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, value: Any):
    """
    No correct line is skipped for a field said twice.
    """
    path = tmp_path_factory.getbasetemp() / "json.jsonl"
    text = json.dumps(value)
    if "\\ud" in text:  # half a pair has no UTF-8
        return
    path.write_text(text, "utf-8")
    assert list(json_lines(str(path), Limits())) == [(1, value)]
