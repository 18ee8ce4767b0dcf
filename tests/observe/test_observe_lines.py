"""What happened as lines: one a run in a log, one an event on a terminal, followed while it is written."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate.core import events
from langgraph_speculate.errors import BadLog
from langgraph_speculate.observe.follow import follow
from langgraph_speculate.observe.lines import LogLines, told
from langgraph_speculate.observe.log import as_json
from tests.commands import command

HAPPENED = [
    events.TurnBegan(run="r", at=0.0, number=1, turn="t"),
    events.Launched(run="r", at=0.1, number=2, turn="t", id="r:1", tool="get", probability=0.9, source="json"),
    events.CallSettled(run="r", at=0.5, number=3, tool="get", id="r:1", joined=False, waited_s=0.1, tool_s=0.4),
    events.CallSettled(run="r", at=0.6, number=4, tool="put", id=None, joined=False, waited_s=0.2, tool_s=0.2),
    events.Discarded(run="r", at=0.7, number=5, id="r:2", tool="find", reason="contradicted"),
    events.Wasted(run="r", at=0.7, number=6, id="r:2", tool="find", seconds=0.25),
    events.RunClosed(run="r", at=0.9, number=7, launched=2, hits=1, hidden_s=0.3),
]


BOUNDS = dict.fromkeys(("max_in_flight", "max_per_turn", "max_per_run", "max_wasted_per_run"), 1)
OF_NOTHING = [
    events.RunBegan(run="r", at=0.0, number=1, partition="p", world="w", level="shadow", **BOUNDS),
    events.CallSettled(run="r", at=0.5, number=2, tool="get", id=None, joined=False, waited_s=0.4, tool_s=0.4),
    events.RunClosed(run="r", at=0.9, number=3, launched=0, hits=0, hidden_s=-1e-9),
]


IMAGINED = [
    events.ShadowLaunched(run="r", at=0.1, number=1, turn="t", id="r:1", tool="get", probability=0.9, source="json"),
    events.CallSettled(run="r", at=0.5, number=2, tool="get", id=None, joined=False, waited_s=0.4, tool_s=0.4),
    events.ShadowSettled(run="r", at=0.5, number=3, tool="get", id="r:1", joined=True, waited_s=0.1, tool_s=0.4),
    events.ShadowWasted(run="r", at=0.7, number=4, id="r:2", tool="find", reason="contradicted", seconds=0.25),
    events.ShadowStepSettled(run="r", at=0.8, number=5, tool="get", tool_s=0.4, waited_s=0.1),
    events.RunClosed(run="r", at=0.9, number=6, launched=0, hits=0, hidden_s=0.0),
]


def line(event: events.Event) -> bytes:
    return json.dumps(as_json(event)).encode() + b"\n"


def _logged(happened: list[events.Event], caplog: pytest.LogCaptureFixture) -> list[str]:
    lines = LogLines()
    with caplog.at_level(logging.INFO, "langgraph_speculate"):
        for event in happened:
            lines(event)
    return [record.getMessage() for record in caplog.records]


def test_a_run_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture):
    """
    At INFO, when it ends, with what it came to.
    """
    assert _logged(HAPPENED, caplog) == [
        "speculation: run r: 1 of 2 calls adopted, 0.30 s hidden; 2 launched, 1 in vain, 0.25 s wasted"
    ]


def test_a_run_in_shadow_is_a_line_in_the_conditional(caplog: pytest.LogCaptureFixture):
    """
    What would have been, and that nothing was.
    """
    assert _logged(IMAGINED, caplog) == [
        "speculation: run r, in shadow: 1 of 1 calls would be adopted, 0.30 s hidden; 1 launched, 1 in vain, "
        "0.25 s wasted; nothing ran"
    ]
    assert list(filter(None, map(told, IMAGINED)))[:4] == [
        "shadow   get: would start, 90% likely (json)",
        "miss     get: took 0.40 s",
        "shadow   get: would join and save 0.30 s",
        "shadow   find: would be wasted: contradicted",
    ]


def test_a_run_in_shadow_says_so_although_nothing_would_have_started(caplog: pytest.LogCaptureFixture):
    """
    Nor is anything less than nothing hidden, whatever the clocks say.
    """
    assert _logged(OF_NOTHING, caplog) == [
        "speculation: run r, in shadow: 0 of 1 calls would be adopted, 0.00 s hidden; 0 launched, 0 in vain, "
        "0.00 s wasted; nothing ran"
    ]
    assert told(OF_NOTHING[-1]) == "run      r ends: 0 hits, 0.00 s hidden"


def test_names_cannot_write_lines_of_their_own():
    """
    A model makes up names of tools.
    """
    shown = told(events.Discarded(run="r", at=0.0, id="r:1", tool="get\n\x1b[2Jhit", reason="contradicted"))

    assert shown is not None
    assert shown.isprintable()


def test_a_log_is_followed_while_it_is_written(tmp_path: Path):
    """
    A line without an end is read when it has one; a log that was begun anew, or replaced, from its beginning.
    """
    path = tmp_path / "events.jsonl"
    first, second, third = map(line, HAPPENED[:3])
    path.write_bytes(first + second[:20])

    def grows() -> None:
        with path.open("ab") as file:
            file.write(second[20:])

    def is_begun_anew() -> None:
        path.write_bytes(third)

    def is_replaced() -> None:
        other = tmp_path / "other"
        other.write_bytes(first + third)
        os.replace(other, path)

    later = iter([grows, is_begun_anew, is_replaced])

    def wait() -> bool:
        happens = next(later, None)
        if happens is not None:
            happens()
        return happens is not None

    assert [event.number for event in follow(path, wait)] == [1, 2, 3, 1, 3]


def test_what_was_written_just_before_a_log_was_moved_away_is_read_first(tmp_path: Path):
    """
    The last lines before a rotation, and those that its writer still writes to the moved file.
    """
    path, moved = tmp_path / "events.jsonl", tmp_path / "events.jsonl.1"
    path.write_bytes(line(HAPPENED[0]))

    def is_rotated() -> None:
        path.rename(moved)
        path.write_bytes(line(HAPPENED[2]))
        with moved.open("ab") as file:
            file.write(line(HAPPENED[1]))

    later = iter([is_rotated])

    def wait() -> bool:
        happens = next(later, None)
        if happens is not None:
            happens()
        return happens is not None

    assert [event.number for event in follow(path, wait)] == [1, 2, 3]


def test_lines_that_break_off_are_told_and_the_others_followed(tmp_path: Path):
    """
    Where another writer went on below, and the last one, when no more is to come.
    """
    path, cut = tmp_path / "events.jsonl", list[int]()
    path.write_bytes(line(HAPPENED[0])[:30] + b"\n" + line(HAPPENED[1]) + line(HAPPENED[2])[:30])

    assert [event.number for event in follow(path, lambda: False, cut.append)] == [2]
    assert cut == [1, 3]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"no JSON\n", "line 1: no JSON"), (b'{"event": "X"}\n', "line 1: no event of this version")],
)
def test_a_log_of_something_else_is_told(content: bytes, reason: str, tmp_path: Path):
    """
    By path and line.
    """
    (tmp_path / "log").write_bytes(content)

    with pytest.raises(BadLog, match=reason):
        list(follow(tmp_path / "log", lambda: False))


def tail(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    return command(capsys, "tail", *arguments)


def test_tail_prints_what_people_want_to_see(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    A line each without a terminal; the events themselves as JSON.
    """
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(map(line, HAPPENED)))

    code, out, _ = tail(capsys, path, "--once")
    _, as_data, _ = tail(capsys, path, "--once", "--json")

    assert code == 0
    assert out.splitlines() == [
        "launch   get: 90% likely (json)",
        "hit      get: saved 0.30 s",
        "miss     put: took 0.20 s",
        "wasted   find: contradicted",
        "run      r ends: 1 hits, 0.30 s hidden",
    ]
    assert [json.loads(text)["event"] for text in as_data.splitlines()] == [type(one).__name__ for one in HAPPENED]


def test_tail_shows_a_table_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """
    Sums by tool, and what happened last.
    """
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(map(line, HAPPENED)))

    _, out, _ = tail(capsys, path, "--once")

    assert "hidden s" in out
    assert "1 runs ended" in out
    assert "hit      get: saved 0.30 s" in out


def test_tail_of_nothing_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    One line, exit code 2.
    """
    code, _, err = tail(capsys, tmp_path / "no-such.jsonl", "--once")

    assert code == 2
    assert "no-such.jsonl" in err
