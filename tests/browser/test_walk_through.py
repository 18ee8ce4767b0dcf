"""The walk-through of `observability.md`, followed as a reader does: each step, with the names that it gives things."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.browser.screens import PHONE, overflow
from tests.snippets import follow_the_walk

REMEDY = "declare [tools.{}] read_only = true if it only reads"


@pytest.fixture(scope="module")
def reports(chromium, tmp_path_factory) -> Path:
    """The folder in which the walk-through's policies were written and its commands run."""
    folder = tmp_path_factory.mktemp("walk")
    follow_the_walk(folder, "--scale", "0.2")
    return folder


@pytest.fixture
def before(page, reports):
    page.goto((reports / "before.html").as_uri())
    return page


def rows(page, table: str) -> dict[str, dict[str, str]]:
    """What a table says, by what its rows are of and by column, as far as it is to be seen."""
    region = page.get_by_role("region", name=table)
    columns = region.locator("thead th").all_inner_texts()
    told = [row.locator("th, td").all_inner_texts() for row in region.locator("tbody tr:visible").all()]
    return {cells[0]: dict(zip(columns, cells, strict=True)) for cells in told}


def hits(page) -> dict[str, int]:
    """By tool."""
    return {tool: int(row["hits"]) for tool, row in rows(page, "Those that hid most first").items()}


def test_a_hit_is_found(before, shot):
    """
    A green bar of the first timeline: when it was started, how likely it was, from where, and what came of it.
    """
    assert before.get_by_role("heading", name="Runs", exact=True).is_visible()
    first = before.locator(".run").first
    assert "hid most" in first.locator("h3").inner_text()
    before.get_by_role("checkbox", name="ran ahead, ready in time").wait_for()

    first.locator(".bar.is-ready").first.hover()

    story = first.locator(".note").inner_text()
    assert re.search(r"^\w+, ran ahead, ready in time\. Started .*, at \d+ % \(source: [\w+]+\); ran ", story)
    assert re.search(r"A real call took its result: the agent waited [\d.]+ m?s instead of [\d.]+ m?s\.$", story)
    shot("walk-hit")


def test_a_denial_says_why_and_what_to_change(before, barriers, shot):
    """
    A black diamond in the timelines of the one tool, and an orange bar where the agent waited after all.
    """
    before.get_by_role("checkbox", name="may not run ahead").wait_for()
    before.get_by_role("checkbox", name="agent waits for a tool").wait_for()
    before.get_by_role("combobox", name="Tool").select_option("get_order")

    lanes = set(before.locator(".lane:visible .name").all_inner_texts())
    run = before.locator(".run").filter(has=before.locator(".bar.is-denied:visible")).first
    run.locator(".bar.is-denied:visible").first.hover()

    assert lanes == {"model", "get_order"}
    assert run.locator(".note").inner_text() == (
        "get_order, may not run ahead. Not run ahead (undeclared): nobody said that it only reads. "
        f"What to change: {REMEDY.format('get_order')}."
    )
    assert run.locator(".bar.is-denied:visible ~ .bar.is-wait").count() > 0
    assert barriers() == []
    shot("walk-denial")


def test_what_to_change_stands_in_a_list(before):
    """
    All that was denied, once the filter is off again: what only reads beside what writes, for the reader to tell apart.
    """
    before.get_by_role("combobox", name="Tool").select_option("get_order")
    before.get_by_role("combobox", name="Tool").select_option("all")

    assert before.get_by_role("heading", name="Why guesses did not run ahead").is_visible()
    denied = rows(before, "What the policy did not allow, most frequent first")
    assert set(denied) == {"get_order", "track_shipment", "search_products", "open_return"}
    assert [(one["reason"], one["why"], one["what to change"]) for one in denied.values()] == [
        ("undeclared", "nobody said that it only reads", REMEDY.format(tool)) for tool in denied
    ]


def test_the_mended_policy_saves_more(before, reports, shot):
    """
    Both first sentences say what was saved, the mended tools have hits on top of the others, only what writes is
    denied, and what ran in vain is told. (By how much the sentences differ is for the pictures of the page to say.)
    """
    said = re.compile(r"Saved \d+ % of .*, ran no write ahead\.$")
    assert said.match(before.locator(".lead").inner_text())
    first = hits(before)
    before.goto((reports / "after.html").as_uri())

    assert said.match(before.locator(".lead").inner_text())
    then = hits(before)
    assert sum(then.values()) > sum(first.values())
    assert min(then[tool] for tool in ("get_order", "track_shipment")) > 0
    assert set(rows(before, "What the policy did not allow, most frequent first")) == {"open_return"}
    assert before.get_by_role("heading", name="What ran in vain").is_visible()
    shot("walk-after")


def test_both_reports_are_small_and_fit_a_phone_in_the_dark(page, reports, barriers):
    """
    As every report does.
    """
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    for name in ("before", "after"):
        page.goto((reports / f"{name}.html").as_uri())

        assert (reports / f"{name}.html").stat().st_size < 300_000
        assert (overflow(page), barriers()) == (0, [])
