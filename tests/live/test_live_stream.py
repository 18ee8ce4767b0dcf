"""The live page as browsers and others are served it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

pytest.importorskip("sse_starlette", reason="the extra `live` is not installed")

from langgraph_speculate.core import events
from langgraph_speculate.live import Live, page
from tests.live.serving import serving


@pytest.fixture
def live() -> Live:
    return Live()


@pytest.fixture
def address(live: Live) -> Iterator[str]:
    with serving(live.app) as address:
        yield address


def turn(number: int) -> events.Event:
    return events.TurnBegan(run="r", at=float(number), number=number, turn="t")


class Reader:
    """Reads a stream of events, one message at a time."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()
        self.last_id = ""

    def next(self) -> dict[str, Any]:
        """The next message."""
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "id":
                self.last_id = value
            elif name == "data":
                return dict(json.loads(value))
        raise AssertionError("the stream has ended")


def test_the_page_is_one_file_that_forbids_itself_everything_else(address: str):
    """
    Nothing is fetched, framed or sent anywhere; only its own stream may be asked for.
    """
    answer = httpx.get(f"{address}/speculate")
    assert answer.status_code == 200
    assert "default-src &#39;none&#39;; connect-src &#39;self&#39;" in answer.text.replace("'", "&#39;")
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert not [mark for mark in ("src=", "href=", "@import", "url(") if mark in answer.text]
    assert len(answer.content) < 100_000


def test_a_reader_is_told_all_and_then_what_changes(live: Live, address: str):
    """
    What happened before it came, and what happens while it listens.
    """
    live(turn(1))
    with httpx.stream("GET", f"{address}/speculate/events", timeout=10) as response:
        reader = Reader(response)
        first = reader.next()
        live(turn(2))
        second = reader.next()
    assert response.headers["content-type"].startswith("text/event-stream")
    assert (first["fresh"], first["totals"]["turns"]) == (True, 1)
    assert (second["fresh"], second["totals"]["turns"]) == (False, 2)
    assert abs(first["now"] - time.time()) < 60


def test_many_changes_are_one_message(live: Live, address: str):
    """
    A reader who is slow does not get a backlog.
    """
    with httpx.stream("GET", f"{address}/speculate/events", timeout=10) as response:
        reader = Reader(response)
        reader.next()
        for number in range(1, 2001):
            live(turn(number))
        told = [reader.next()]
        while told[-1]["totals"]["turns"] < 2000:
            told.append(reader.next())
    assert len(told) < 20


def test_a_reader_who_comes_back_is_told_the_rest(live: Live, address: str):
    """
    One that knows what another process said starts afresh.
    """
    live(turn(1))
    with httpx.stream("GET", f"{address}/speculate/events", timeout=10) as response:
        reader = Reader(response)
        reader.next()
    live(turn(2))
    for known, fresh in ((reader.last_id, False), ("0123abcd-1", True), (f"{reader.last_id}x", True), ("-" * 9, True)):
        headers = {"Last-Event-ID": known}
        with httpx.stream("GET", f"{address}/speculate/events", headers=headers, timeout=10) as response:
            assert Reader(response).next()["fresh"] is fresh


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
    ids=lambda headers: " ".join(headers.values()),
)
def test_other_sites_are_told_nothing(address: str, headers: dict[str, str]):
    """
    Whatever a server's settings let other sites read.
    """
    answer = httpx.get(f"{address}/speculate/events", headers=headers)
    assert answer.status_code == 403


def test_readers_are_bounded_and_those_who_leave_make_room(address: str, monkeypatch: pytest.MonkeyPatch):
    """
    Each open page costs the server something.
    """
    monkeypatch.setattr(page, "_READERS", 1)
    with httpx.stream("GET", f"{address}/speculate/events", timeout=10) as response:
        reader = Reader(response)  # without it, the stream would be closed
        reader.next()
        assert httpx.get(f"{address}/speculate/events").status_code == 503
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with httpx.stream("GET", f"{address}/speculate/events", timeout=10) as response:
            if response.status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError("nobody made room")
