"""Observers cannot hold up who tells them: what waits is bounded and counted, and nothing is lost at an orderly end."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate.core import events
from langgraph_speculate.observe import delivery
from langgraph_speculate.observe.delivery import Delivery
from langgraph_speculate.observe.log import JsonLines, read_log
from langgraph_speculate.observe.observers import Audience, at_once

PROGRAM = """
import os, sys
from langgraph_speculate.core import events
from langgraph_speculate.observe.log import JsonLines
from langgraph_speculate.observe.observers import Audience

def turns(*numbers):
    return [events.TurnBegan(run=str(os.getpid()), at=0.0, number=number, turn="t") for number in numbers]

def say(event):
    os.write(1, f"{event.number} ".encode())
"""


def turn(number: int) -> events.Event:
    return events.TurnBegan(run="r", at=0.0, number=number, turn="t")


class Held:
    """An observer that stands still until it is let go."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.reached, self.gate = threading.Event(), threading.Event()

    def __call__(self, event: events.Event) -> None:
        self.reached.set()
        self.gate.wait(30)
        self.seen.append(event.number)


def said(program: str, *arguments: str) -> str:
    """What a process writes that runs a program to its end."""
    command = [sys.executable, "-c", PROGRAM + program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def test_an_observer_that_stands_still_holds_up_nobody_and_misses_what_is_too_much(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    What waits is bounded; the rest is counted, with one warning, and the others hear everything.
    """
    monkeypatch.setattr(delivery, "MAX_WAITING", 4)
    held, seen = Held(), []
    audience = Audience([held, at_once(seen.append)])
    audience.tell([turn(0)])
    assert held.reached.wait(10)
    with caplog.at_level(logging.WARNING):
        dropped = [audience.tell([turn(number), turn(-number)]) for number in range(1, 8)]
    assert dropped == [0, 0, 0, 0, 2, 2, 2]
    assert len(seen) == 15
    assert [("too slow" in record.getMessage()) for record in caplog.records] == [True]
    held.gate.set()
    assert audience.flush()
    assert held.seen == [0, 1, -1, 2, -2, 3, -3, 4, -4]


def test_flush_waits_for_what_was_told_and_no_longer_than_it_may() -> None:
    """
    True once the observer has all; False if it takes longer, and at once where the observer itself asks.
    """
    held = Held()
    audience = Audience([held])
    audience.tell([turn(1)])
    assert not audience.flush(0.01)
    held.gate.set()
    assert audience.flush()
    assert held.seen == [1]

    asked: list[bool] = []
    inside = Audience()
    inside.add(lambda event: asked.append(inside.flush()))
    inside.tell([turn(1)])
    assert inside.flush()
    assert asked == [False]


def test_an_observer_hears_all_that_was_before_it_is_taken_off_and_nothing_after() -> None:
    """
    Also when it takes itself off in the midst of what waits.
    """
    seen: list[int] = []
    audience = Audience()
    take_off = audience.add(lambda event: seen.append(event.number))
    audience.tell([turn(1), turn(2)])
    take_off()
    audience.tell([turn(3)])
    audience.flush()
    assert seen == [1, 2]

    first: list[int] = []

    def once(event: events.Event) -> None:
        first.append(event.number)
        itself()

    itself = audience.add(once)
    audience.tell([turn(1), turn(2)])
    audience.flush()
    assert first == [1]


@pytest.mark.parametrize("kind", [lambda observer: observer, at_once], ids=["delivered", "at once"])
def test_an_observer_that_raises_is_logged_once_and_taken_off(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    """
    The others go on, and so does who tells them.
    """
    seen: list[int] = []

    def broken(event: events.Event) -> None:
        raise RuntimeError("mine")

    audience = Audience([kind(broken), lambda event: seen.append(event.number)])
    for number in (1, 2, 3):
        audience.tell([turn(number)])
        audience.flush()
    assert seen == [1, 2, 3]
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "an observer of speculation raised and is taken off"
    ]


def test_the_thread_ends_when_nothing_comes_and_another_takes_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A graph that is used once a day keeps no thread for it.
    """
    monkeypatch.setattr(delivery, "_IDLE_S", 0.001)
    threads: list[threading.Thread] = []
    told = Delivery(lambda happened: threads.append(threading.current_thread()), "")
    for _ in range(3):
        told.put([turn(1)])
        assert told.flush()
        threads[-1].join(10)
        assert not threads[-1].is_alive()
    assert len(set(threads)) == 3


def test_without_a_thread_to_be_had_flush_hands_out_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    At the end of a process, and where the system has no more threads.
    """

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    seen: list[events.Event] = []
    told = Delivery(seen.extend, "")
    assert told.put([turn(1)])
    assert told.flush()
    assert len(seen) == 1


def test_a_process_that_ends_hands_out_all_that_waits(tmp_path: Path) -> None:
    """
    To observers and to files, without a call to close.
    """
    path = tmp_path / "events.jsonl"
    program = "log = JsonLines(sys.argv[1])\nAudience([say, log]).tell(turns(*range(1, 6)))\n"
    assert said(program, str(path)) == "1 2 3 4 5 "
    assert [event.number for event in read_log(path)] == [1, 2, 3, 4, 5]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_forked_child_hands_out_its_own_and_leaves_the_parent_its(tmp_path: Path) -> None:
    """
    What waited when the process forked is handed out once; both go on observing.
    """
    path = tmp_path / "events.jsonl"
    program = """
log = JsonLines(sys.argv[1])
audience = Audience([log])
audience.tell(turns(1, 2))
child = os.fork()
audience.tell(turns(3))
audience.flush()
if child:
    os.waitpid(child, 0)
else:
    os._exit(0)
"""
    said(program, str(path))
    runs: dict[str, list[int]] = {}
    for event in read_log(path):
        runs.setdefault(event.run, []).append(event.number)
    assert sorted(runs.values()) == [[1, 2, 3], [3]]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk here is always full")
def test_a_disk_that_is_full_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """
    A log that cannot be written is given up; nobody else notices.
    """
    with JsonLines("/dev/full") as log:
        for number in (1, 2):
            log(turn(number))
            log.flush()
    assert ["JsonLines('/dev/full')" in record.getMessage() for record in caplog.records] == [True]
