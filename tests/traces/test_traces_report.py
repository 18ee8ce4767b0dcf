"""The page of an evaluation: well formed, safe to open whatever the traces hold, complete without a network."""

from __future__ import annotations

import re
from html import unescape
from xml.etree import ElementTree

from langgraph_speculate.core import Call, Candidate
from langgraph_speculate.pages.charts import curve_chart, reliability_chart
from langgraph_speculate.traces import Run, Skipped, Skips
from langgraph_speculate.traces.evaluate import Evaluation, Method
from langgraph_speculate.traces.report import page
from langgraph_speculate.traces.results import Results, SetResult
from langgraph_speculate.traces.score import Score
from tests.pages import Checker

HOSTILE = "get_<img src=x onerror=alert(1)>\"'&</svg><script>alert(2)</script>"


def results(name: str = "set", tools: int = 1) -> Results:
    score = Score()
    for number in range(tools):
        call = Call(HOSTILE if number == 0 else f"get_{number}", {})
        for probability in (0.15, 0.55, 0.95):
            score.see([Candidate(call, probability)], [call])
    skips = Skips()
    skips(Skipped("<b>.jsonl", 3, "no JSON", "<i>"))
    sets = [SetResult.of(name, [Run("r", "t", ())], [Evaluation(HOSTILE, [score]), Evaluation("never", [Score()])])]
    return Results(Method(seeds=1), sets, skips)


def test_the_page_escapes_whatever_comes_from_traces():
    """
    Names of tools, sets, files and predictors are text; the page has no script, no handler, no link to anywhere.
    """
    text = page(results(HOSTILE))
    checker = Checker(text)

    assert not {"script", "img", "b", "i", "iframe", "link", "a"} & set(checker.tags)
    assert not [name for name, _ in checker.attributes if name.startswith("on") or name in ("href", "src")]
    assert text.count("&lt;script&gt;alert(2)&lt;/script&gt;") >= 3
    assert "&lt;b&gt;.jsonl:3 (&lt;i&gt;)" in text
    assert "http:" not in text
    assert "https:" not in text
    assert "default-src 'none'" in text
    assert "script-src 'none'" in unescape(text)
    assert "color-scheme: light dark" in text


def test_the_page_says_what_was_measured():
    """
    Words, tables, charts and what the numbers mean.
    """
    text = page(results())
    assert "names 100 exactly" in text
    assert text.count("<svg") == 2
    assert "calibration error" in text
    assert "What the numbers mean" in text
    assert "Learned from 70% of the tasks" in text


def test_many_tools_are_cut_and_counted():
    """
    A page of a thousand tools can still be read.
    """
    text = page(results(tools=60))
    assert "and 20 more tools with fewer calls" in text


def test_charts_are_well_formed_and_inside_their_frame():
    """
    XML parses; every mark lies in the view box.
    """
    points = [{"threshold": 0.5, "launched": 2.0, "precision": 1.0, "coverage": 0.0}]
    for chart in (
        reliability_chart([{"probability": 0.0, "hit": 1.0, "count": 1}, {"probability": 1.0, "hit": 0.0, "count": 9}]),
        reliability_chart([]),
        curve_chart([(HOSTILE, points), ("silent", [])]),
    ):
        root = ElementTree.fromstring(chart)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for circle in root.iter("circle"):
            assert 0 <= float(circle.attrib["cx"]) <= width
            assert 0 <= float(circle.attrib["cy"]) <= height
        assert not re.search("nan|inf", chart)
