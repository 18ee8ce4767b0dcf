"""The page: safe to open whatever a log holds, complete without a network, small."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import fields, replace
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.core import events
from langgraph_speculate.errors import BadLog
from langgraph_speculate.report import Report
from tests.pages import Checker
from tests.report.logs import busy_run, idle_run, shadow_run, write

HOSTILE = "get_<img src=x onerror=alert(1)>\"'&</svg></style><script>alert(2)</script>{{ 7 * 7 }}"


def renamed(happened: Sequence[events.Event], hostile: str) -> list[events.Event]:
    """The events, with *hostile* wherever a log may hold a name."""
    names = {"run", "tool", "detail", "source", "reason", "graph", "level", "turn", "stage"}
    return [
        replace(event, **{field.name: hostile for field in fields(event) if field.name in names}) for event in happened
    ]


def test_the_page_escapes_whatever_a_log_holds():
    """
    Names of runs, tools, graphs, reasons and sources are text: no tag, no handler, no script but the page's own.
    """
    text = Report(renamed([*busy_run(), *shadow_run()], HOSTILE)).html()
    checker = Checker(text)

    assert not {"img", "iframe", "link", "a", "object", "base"} & set(checker.tags)
    assert checker.tags.count("script") == 1
    assert not [name for name, _ in checker.attributes if name.startswith("on") or name in ("href", "src", "srcdoc")]
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text


def test_the_page_needs_no_network_and_forbids_itself_any():
    """
    One file: no address of anybody, and a policy under which only its own style and script run.
    """
    text = Report(busy_run()).html()

    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert "default-src 'none'" in unescape(text)
    assert re.search(r"script-src 'sha256-[\w+/]+=*'", unescape(text))


def test_the_page_tells_what_happened_in_the_order_of_its_importance():
    """
    The sentence, the runs, how good the guesses were, tools, denials, waste.
    """
    text = Report([*busy_run(), *idle_run()]).html()
    places = [
        text.index(part)
        for part in (
            "hid 57 % of the wait for tools",
            '<h2 id="runs">',
            '<h2 id="guesses">',
            '<h2 id="tools">',
            '<h2 id="denials">',
            '<h2 id="waste">',
        )
    ]

    assert places == sorted(places)
    assert text.count("declare [tools.look_up] read_only = true") == 2  # where it happened, and in the table
    assert "2 runs of shop at level declared, shadow" in text
    assert "2023-11-14 22:13 to 22:13 UTC" in text


def test_the_page_of_a_log_in_shadow_speaks_in_the_conditional():
    """
    Sentence, cards, bars that look like none that ran, and tables of what would have been.
    """
    text = unescape(Report(shadow_run()).html())

    assert "Would have saved 38 % of 4 s" in text
    assert "Took 4 s; would have hidden 1.5 s and wasted 500 ms." in text
    assert "would have been hidden" in text
    assert "2.5 s with it" in text
    for kind, bars in (("imagined", 2), ("futile", 1), ("ready", 0), ("joined", 0), ("vain", 0)):
        assert text.count(f'class="bar is-{kind}"') == bars
    assert '<h2 id="shadow">' in text
    assert '<h2 id="imagined-waste">' in text
    assert "a guess for 1 of 1 call in vain" in text
    assert '<h2 id="waste">' not in text

    plain = Report(busy_run()).html()
    assert '<h2 id="shadow">' not in plain
    assert "is-imagined-key" not in plain.partition("<main")[2]


def test_money_is_told_where_a_policy_names_prices():
    """
    And nowhere else: a column of zeros tells nobody anything.
    """
    assert "money" not in Report(idle_run()).html()
    assert "0.25" in Report(busy_run()).html()


def test_an_ordinary_page_is_small_and_a_long_log_does_not_make_it_larger():
    """
    Below 300 kB; more runs are counted, not shown, and the page says so.
    """
    few = Report([event for number in range(10) for event in busy_run(f"r{number}", 100.0 * number)]).html()
    many = Report([event for number in range(2000) for event in busy_run(f"r{number}", 100.0 * number)]).html()

    assert len(few.encode()) < 300_000
    assert len(many.encode()) < 300_000
    assert "random sample" not in few
    assert "the others are of a random sample of 64 runs" in many
    assert "2,000 runs" in many


def test_a_run_of_thousands_of_events_is_shown_in_part():
    """
    A runaway agent does not make a runaway page.
    """
    steps = [
        events.TurnBegan(run="r", at=float(number), number=number + 1, turn=f"t{number}") for number in range(20_000)
    ]
    text = Report([*steps, events.RunClosed(run="r", at=2e4, number=20_001, launched=0, hits=0, hidden_s=0.0)]).html()

    assert len(text.encode()) < 300_000
    assert "What came after the first 150 stretches is left out" in text


def test_a_report_of_nothing_is_a_page_too():
    """
    Before the first run, in a notebook, say.
    """
    assert "There are no real calls in this log" in Report().html()


def test_a_notebook_shows_the_page_in_a_frame_of_its_own():
    """
    Sandboxed: neither touches the other.
    """
    shown = Report(busy_run())._repr_html_()
    checker = Checker(shown)

    assert checker.tags == ["iframe"]
    assert dict(checker.attributes)["sandbox"] == "allow-scripts"
    assert dict(checker.attributes)["srcdoc"] == Report(busy_run()).html()


def test_a_report_follows_a_graph_at_work():
    """
    Each time it is asked, it tells what happened so far.
    """
    from langchain.agents import create_agent
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.tools import tool

    @tool
    def get_order(id: int) -> str:
        """Look up an order."""
        return "sent"

    agent = speculate(create_agent(FakeListChatModel(responses=["hi"])), tools=[get_order])
    report = Report(speculation_of(agent))
    for _ in range(2):
        agent.invoke({"messages": [("user", "Hello.")]})

    assert report.as_json()["runs"] == 2


def test_a_log_whose_writer_was_killed_is_read_as_far_as_it_goes(tmp_path):
    """
    Half lines are left out and counted, at the end and where another process went on.
    """
    log = write(tmp_path / "events.jsonl", busy_run())
    whole = log.read_text("utf-8")
    log.write_text(f"{whole[:-40]}\n{whole}{whole[:30]}", "utf-8")

    report = Report(log)

    assert report.as_json()["cut_lines"] == 2
    assert "Left out: 2 lines without an end, whose writer was killed." in report.html()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"event":"Nonsense","run":"r"}', "line 2: no event of this version"),
        ('{"event":"TurnBegan","run":"r","at":"soon","turn":"t"}', "line 2: TurnBegan: 'at' cannot be 'soon'"),
        ("{no json}", "line 2: no JSON"),
    ],
)
def test_a_line_that_is_no_event_is_told(tmp_path, line, problem):
    """
    It is not what a killed writer leaves behind: somebody should look.
    """
    log = write(tmp_path / "events.jsonl", busy_run()[:1])
    log.write_text(log.read_text("utf-8") + line + "\n", "utf-8")

    with pytest.raises(BadLog, match=problem):
        Report(log)


def test_a_file_that_holds_no_event_is_no_log(tmp_path):
    """
    Text of another kind is not a log of killed writers.
    """
    (tmp_path / "notes.txt").write_text("one\ntwo\n", "utf-8")

    with pytest.raises(BadLog, match="line 1: no JSON"):
        Report(tmp_path / "notes.txt")


numbers = st.floats() | st.sampled_from([0.0, -1.0, 1e308, -1e308])
names = st.text(max_size=20)
ANY = st.one_of(
    *(
        st.builds(kind, run=st.sampled_from(["r", "s"]), at=numbers, number=st.integers(0, 20), **facts)
        for kind, facts in {
            events.TurnBegan: {"turn": names},
            events.TurnEnded: {"turn": names, "calls": st.tuples(names), "foreseen": st.integers(0, 3)},
            events.Predicted: {"turn": names, "candidates": st.tuples(st.tuples(names, numbers, names))},
            events.Launched: {"turn": names, "id": names, "tool": names, "probability": numbers, "source": names},
            events.Finished: {"id": names, "tool": names, "seconds": numbers, "ok": st.booleans()},
            events.Discarded: {"id": names, "tool": names, "reason": names},
            events.Wasted: {"id": names, "tool": names, "seconds": numbers, "cost": numbers},
            events.Denied: {"turn": names, "tool": names, "reason": names, "detail": names},
            events.CallSettled: {
                "tool": names, "id": st.none() | names, "joined": st.booleans(), "waited_s": numbers, "tool_s": numbers,
            },
            events.StepSettled: {"tool": names, "tool_s": numbers, "waited_s": numbers},
            events.RunClosed: {"launched": st.integers(0, 9), "hits": st.integers(0, 9), "hidden_s": numbers},
        }.items()
    )
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(ANY, max_size=25))
def test_no_log_breaks_the_page(happened):
    """
    Whatever its numbers and names: a page comes out, well formed, with a trace and figures beside it.
    """
    report = Report(happened)

    Checker(report.html())
    json.dumps(report.trace(), allow_nan=False)
    json.dumps(report.as_json())
