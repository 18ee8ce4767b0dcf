"""Model calls that were started on remembered results: on the timeline, in totals, and as lines while they happen."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from langgraph_speculate.core import events
from langgraph_speculate.core.events import Event
from langgraph_speculate.observe.lines import LogLines
from langgraph_speculate.report import Report
from langgraph_speculate.report.perfetto import trace_of
from langgraph_speculate.report.timeline import Span, timeline
from tests.commands import command
from tests.report.logs import busy_run, previewing_run, write


def spans(happened: list[Event] | None = None) -> list[Span]:
    found = timeline("p", happened or previewing_run()).spans
    return [span for span in found if span.kind in ("preview", "spent")]


def test_previews_lie_below_the_model_and_say_what_became_of_them():
    """
    From where they began to where the real call took them over or they were stopped, with the reason.
    """
    used, lost = spans()
    model = next(span for span in timeline("p", previewing_run()).spans if span.kind == "model")

    assert [(span.kind, span.lane, span.began, span.ended) for span in (used, lost)] == [
        ("preview", "model", 400.2, 401.2),
        ("spent", "model", 401.5, 402.5),
    ]
    assert used.row == lost.row > model.row
    assert used.story == (
        "Started on what get_order had answered before, at 90 %, for about 1,000 tokens. The model was asked the very "
        "same and took it over while it was still being written: 1 s hidden."
    )
    assert lost.story.endswith("In vain (result): a tool answered otherwise than expected; 900 tokens, cost 0.5.")


def test_a_preview_that_was_complete_ends_before_it_is_used():
    """
    It took as long as it hid; then it waited.
    """
    done = [
        replace(one, joined=False, hidden_s=0.4) if isinstance(one, events.PreviewUsed) else one
        for one in previewing_run()
    ]

    assert spans(done)[0].seconds == pytest.approx(0.4)


def test_a_preview_without_an_end_goes_on_to_the_end():
    """
    A log may be cut off.
    """
    cut = [one for one in previewing_run() if not isinstance(one, events.PreviewWasted)]

    assert spans(cut)[1].ended == 404.0
    assert spans(cut)[1].story.endswith("What became of it is not in the log.")


def test_a_trace_for_perfetto_shows_them():
    """
    Each on a row of its own below the model, with its story.
    """
    shown = trace_of([timeline("p", previewing_run())])["traceEvents"]
    told = {event["cat"]: event["args"]["story"] for event in shown if "cat" in event}

    assert told["model started ahead, used"].endswith("1 s hidden.")
    assert "In vain (result)" in told["model started ahead in vain"]


def test_what_the_model_hid_counts_as_saved():
    """
    The plain agent would have taken 5 s: 1 s of the model passed while a tool ran.
    """
    report = Report(previewing_run())

    assert str(report) == (
        "Saved 20 % of 5 s, hid 0 % of the wait for tools and 1 s of the model, wasted 0 s of tool time and 900 "
        "tokens, ran no write ahead."
    )
    assert report.as_json()["stats"]["previews"]["wasted"] == {"result": 1}


def test_a_page_has_their_totals_by_reason():
    """
    Used, joined, hidden, in vain and why, not begun and why; a log without previews says nothing of them.
    """
    page = Report(previewing_run()).html()

    assert "Of 2 previews 1 were used, 1 of these while being written, which hid 1 s of the model" in page
    assert "900 tokens in vain, cost 0.5." in page
    assert "in vain: result" in page
    assert "not begun: worth" in page
    assert "expected to cost more than it saves" in page
    assert 'id="previews"' not in Report(busy_run()).html()


def test_each_is_a_line_while_it_happens(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """
    When it begins, is used, is wasted, is refused.
    """
    log = write(tmp_path / "events.jsonl", previewing_run())
    lines = [line for line in command(capsys, "tail", log, "--once")[1].splitlines() if line.startswith("preview")]

    assert lines == [
        "preview  gpt: begins beside get_order, 90% likely",
        "preview  gpt: joined, saved 1.00 s",
        "preview  gpt: begins beside get_order, 80% likely",
        "preview  gpt: wasted, result; 900 tokens",
        "preview  gpt: not begun, worth",
    ]


def test_the_line_of_a_run_says_what_they_came_to(caplog: pytest.LogCaptureFixture):
    """
    Where there were any.
    """
    lines = LogLines()
    with caplog.at_level(logging.INFO, "langgraph_speculate"):
        for event in previewing_run():
            lines(event)

    assert caplog.messages[0].endswith("; 1 of 2 previews of the model used, 1.00 s hidden, 900 tokens wasted")
