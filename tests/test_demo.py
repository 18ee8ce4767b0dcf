"""The demonstration: what it measures, what it draws and what it prints."""

import io
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from langgraph_speculate.core.events import CallSettled, Discarded, Finished, Launched
from langgraph_speculate.demo.display import progress_on, show
from langgraph_speculate.demo.run import demonstrate
from langgraph_speculate.demo.spans import Span, ahead_spans, covered_s
from langgraph_speculate.demo.timeline import ASCII, Panel, draw, legend

SCALE = 0.2
KEYS = ["plain_s", "speculate_s", "speedup", "identical", "runs", "launched", "hits", "wasted_s", "hidden_s"]


@pytest.fixture(scope="module")
def outcome():
    """One demonstration at a fifth of its usual length, with a broken proxy that it must not notice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        patch.setenv("ALL_PROXY", "http://127.0.0.1:9")
        patch.delenv("LANGGRAPH_SPECULATE", raising=False)
        return demonstrate(scale=SCALE)


def printed(outcome, encoding: str = "utf-8") -> str:
    """What `show` writes to something with that encoding that is no terminal."""
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    show(outcome, Console(file=file, width=100))
    file.flush()
    return raw.getvalue().decode(encoding)


def test_both_agents_say_the_same_and_one_is_faster(outcome):
    """
    Identical transcripts, identical writes, less waiting.
    """
    assert outcome.identical == len(outcome.pairs) == 12
    assert outcome.same_writes
    assert (outcome.writes, outcome.early_writes) == (3, 0)
    assert outcome.speedup > 1
    assert 0 < outcome.stats.hits <= outcome.stats.launched
    assert 0.1 < outcome.tool_share < 0.6


def test_the_figures_for_machines_have_their_names(outcome):
    """
    The JSON object is flat, complete and made of numbers.
    """
    figures = json.loads(json.dumps(outcome.as_json()))
    assert list(figures) == KEYS
    assert figures["identical"] == figures["runs"] == 12
    assert figures["speedup"] == pytest.approx(figures["plain_s"] / figures["speculate_s"], abs=0.01)


def test_every_conversation_has_its_spans(outcome):
    """
    Model steps and real calls of both sides are recorded; only the speculating one runs ahead.
    """
    for pair in outcome.pairs:
        kinds = [[span.kind for span in side.spans] for side in (pair.plain, pair.speculative)]
        assert set(kinds[0]) == {"model", "tool"}
        assert [kinds[0].count(kind) for kind in ("model", "tool")] == [
            kinds[1].count(kind) for kind in ("model", "tool")
        ]
        assert all(pair.plain.began <= span.began <= span.ended <= pair.plain.ended for span in pair.plain.spans)
    ahead = [span for pair in outcome.pairs for span in pair.speculative.spans if span.kind in ("ahead", "vain")]
    assert len(ahead) == outcome.stats.launched
    assert "open_return" not in {span.lane for span in ahead}


def test_a_difference_in_one_message_is_noticed(outcome):
    """
    Transcripts are compared whole: another word, another argument or a missing message is a difference.
    """
    pair = outcome.pairs[0]
    messages = pair.speculative.messages
    another_word = messages[-1].model_copy(update={"content": "something else"})
    for changed in ([*messages[:-1], another_word], messages[:-1]):
        assert not replace(pair, speculative=replace(pair.speculative, messages=changed)).identical
    another_id = [message.model_copy(update={"id": "another"}) for message in messages]
    assert replace(pair, speculative=replace(pair.speculative, messages=another_id)).identical


def test_the_report_shows_timeline_table_and_figures(outcome):
    """
    A reader sees both runs on one scale, every tool, the totals and the next step.
    """
    text = printed(outcome)
    assert text.index("plain  ") < text.index("speculative  ")
    for expected in (
        "░ tool runs ahead",
        "track_shipment",
        "identical transcripts: 12/12",
        "times as fast",
        "speculate(graph",
    ):
        assert expected in text
    assert "returns opened: 3 by each agent, 0 of them ahead of the model" in text


def test_a_conversation_without_a_hit_is_not_the_one_that_is_drawn(outcome):
    """
    On a busy machine a plain conversation may be the slowest by chance: what is drawn shows what ran ahead.
    """
    pair = next(pair for pair in outcome.pairs if pair.hit)
    unlucky = replace(pair.plain, ended=pair.plain.ended + 60)
    spans = [span for span in pair.speculative.spans if span.kind != "ahead"]
    slow = replace(pair, plain=unlucky, speculative=replace(pair.speculative, spans=spans))
    assert replace(outcome, pairs=[slow, pair, slow]).best is pair


def test_a_terminal_without_unicode_gets_ascii(outcome):
    """
    Bars and table fall back to ASCII; nothing is lost to encoding errors.
    """
    text = printed(outcome, encoding="ascii")
    assert "# model step" in text
    assert "- tool runs ahead" in text


def test_progress_is_lines_where_there_is_no_terminal(outcome):
    """
    A log gets one line for each conversation, a terminal a bar.
    """
    log, terminal = io.StringIO(), io.StringIO()
    for console in (Console(file=log), Console(file=terminal, force_terminal=True, width=100)):
        with progress_on(console) as progress:
            progress(1, 2, outcome.pairs[0])
            progress(2, 2, outcome.pairs[1])
    assert [line.split()[0] for line in log.getvalue().splitlines()] == ["1/2", "2/2"]
    assert "2/2" in terminal.getvalue()


def test_the_demonstration_runs_when_speculation_is_switched_off(monkeypatch):
    """
    The kill switch is obeyed, and the report says why nothing was gained.
    """
    monkeypatch.setenv("LANGGRAPH_SPECULATE", "off")
    outcome = demonstrate(scale=0.01)
    assert (outcome.stats.launched, outcome.identical) == (0, 12)
    assert "is LANGGRAPH_SPECULATE set to off" in printed(outcome)


def test_the_command_prints_one_json_object_and_nothing_else():
    """
    `demo --json` in a process of its own: figures on standard output, progress on standard error, exit code 0.
    """
    command = [sys.executable, "-m", "langgraph_speculate", "demo", "--json", "--scale", "0.05"]
    environment = {key: value for key, value in os.environ.items() if key != "LANGGRAPH_SPECULATE"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)) == KEYS
    assert "12/12" in done.stderr
    assert "Traceback" not in done.stderr


def test_spans_of_speculations_end_where_their_body_or_their_use_ended():
    """
    Adopted ones are told from those in vain; one that never finished ends with its discard.
    """
    run = {"run": "r"}
    launch = {"turn": "t", "probability": 0.9, "source": "test", **run}
    events = [
        Launched(id="a", tool="search", at=1.0, **launch),
        Launched(id="b", tool="fetch", at=1.5, **launch),
        Launched(id="c", tool="fetch", at=1.6, **launch),
        Finished(id="a", tool="search", at=2.0, seconds=1.0, ok=True, **run),
        CallSettled(id="a", tool="search", at=2.5, joined=False, waited_s=0.0, tool_s=1.0, **run),
        CallSettled(id=None, tool="fetch", at=2.6, joined=False, waited_s=0.0, tool_s=1.0, **run),
        Discarded(id="b", tool="fetch", at=3.0, reason="squashed", **run),
    ]
    assert ahead_spans(events) == [
        Span("search", "ahead", 1.0, 2.0),
        Span("fetch", "vain", 1.5, 3.0),
        Span("fetch", "vain", 1.6, 3.0),
    ]
    assert ahead_spans([]) == []


def test_time_that_spans_cover_counts_once():
    """
    Parallel calls are waited for together.
    """
    spans = [Span("a", "tool", 5, 6), Span("a", "tool", 1, 3), Span("b", "tool", 2, 4), Span("c", "tool", 2, 3)]
    assert covered_s(spans) == 4
    assert covered_s([]) == 0


def test_a_timeline_keeps_one_scale_and_one_set_of_lanes():
    """
    The longest run fills the width; a real wait is drawn over the speculation it joined, however short it is.
    """
    plain = Panel("plain", 10, 20, [Span("model", "model", 10, 15), Span("search", "tool", 15, 20)])
    ahead = [
        Span("model", "model", 0, 5),
        Span("search", "ahead", 0, 4),
        Span("search", "tool", 5, 5.001),
        Span("fetch", "vain", 2, 4),
    ]
    lines = draw([plain, Panel("speculative", 0, 5.1, ahead)], width=29, glyphs=ASCII)
    assert lines == [
        "plain  10.00 s",
        "  model  ##########",
        "  search           ==========",
        "  fetch",
        "speculative  5.10 s",
        "  model  ##########",
        "  search --------  =",
        "  fetch      ....",
    ]
    assert legend([plain], ASCII) == "# model step   = agent waits for tool"


def test_a_timeline_of_a_run_without_length_is_drawn():
    """
    Nothing happened: lanes without bars, no division by zero.
    """
    assert draw([Panel("empty", 1, 1, [])], width=20) == ["empty  0.00 s", "  model"]
