"""A report, as people see it: with a mouse, a finger, a keyboard, in the dark, on a phone."""

from __future__ import annotations

import pytest

from langgraph_speculate.report import Report
from tests.browser.screens import PHONE, overflow
from tests.report.logs import busy_run, idle_run


@pytest.fixture
def report(page, tmp_path):
    """The report of two runs, opened as the file that it is."""
    Report([*busy_run(), *idle_run()]).save(tmp_path / "report.html")
    page.goto((tmp_path / "report.html").as_uri())
    return page


def colours(page) -> tuple[str, str]:
    """Of the ground and of the text."""
    return tuple(
        page.evaluate("(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.body))")
    )


def bar(page, kind: str):
    return page.locator(f".run >> nth=0 >> .bar.is-{kind}").first


def note(page):
    return page.locator(".note").first


def test_a_bar_tells_its_story_when_somebody_points_at_it(report, shot):
    """
    What it was, how likely it was, what became of it.
    """
    bar(report, "ready").hover()
    ready = note(report).inner_text()
    bar(report, "vain").hover()
    vain = note(report).inner_text()
    bar(report, "denied").first.hover()
    denied = note(report).inner_text()
    shot("report-light")

    assert ready.startswith("get_order, ran ahead, ready in time. Started before the model had written anything, at 90")
    assert "In vain (contradicted): the model’s message did not ask for it." in vain
    assert "open_return, may not run ahead. Not run ahead (not_read_only)" in denied
    assert "What to change: read_only = true" in denied


def test_a_finger_does_what_a_mouse_does(report):
    """
    On a phone there is nothing to hover with.
    """
    report.set_viewport_size(PHONE)

    bar(report, "joined").click()

    assert note(report).inner_text().startswith("track, ran ahead, waited for.")


def test_the_arrow_keys_walk_through_a_run(report):
    """
    One stop for each timeline, then from bar to bar; the one that has the focus tells its story.
    """
    stops = report.locator(".bar[tabindex='0']")
    assert stops.count() == report.locator(".run").count()

    stops.first.focus()
    told = [note(report).inner_text()]
    for _ in range(3):
        report.keyboard.press("ArrowRight")
        told.append(note(report).inner_text())
    report.keyboard.press("Home")

    assert len(set(told)) == 4
    assert note(report).inner_text() == told[0]
    assert report.evaluate("document.activeElement.matches('.bar.told')")


def test_what_is_not_wanted_can_be_hidden(report):
    """
    By what it is, in the timelines and in the tables that say the same.
    """
    assert bar(report, "vain").is_visible()

    report.get_by_role("checkbox", name="ran ahead in vain").uncheck()
    report.get_by_text("The same as a table").first.click()

    assert not bar(report, "vain").is_visible()
    assert bar(report, "ready").is_visible()
    assert report.locator("tr.is-ready").first.is_visible()
    assert not report.locator("tr.is-vain").first.is_visible()


def test_one_tool_can_be_looked_at_alone(report):
    """
    Its lane beside the model's, its rows in the tables.
    """
    report.get_by_role("combobox", name="Tool").select_option("track")

    lanes = report.locator(".run >> nth=0 >> .lane:visible .name").all_inner_texts()
    rows = report.locator("#tools ~ .wide").first.locator("tbody tr:visible th").all_inner_texts()
    assert lanes == ["model", "track"]
    assert rows == ["track"]

    report.get_by_role("combobox", name="Tool").select_option("all")
    assert report.locator(".run >> nth=0 >> .lane:visible").count() > 4


def test_a_timeline_can_be_read_as_a_table(report):
    """
    For whoever sees no bars: in order, each with its story.
    """
    report.get_by_text("The same as a table").first.click()

    cells = report.locator(".run >> nth=0 >> .story").all_inner_texts()
    assert cells[0].startswith("model, model writes. The model wrote for 2 s and called get_order")
    assert len(cells) == report.locator(".run >> nth=0 >> .bar").count()


def test_everybody_can_use_it_in_light_colours_and_in_dark_ones(report, barriers, shot):
    """
    No serious barrier, whichever colours the reader chose, with all that can be opened open.
    """
    report.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    light, found = colours(report), barriers()

    report.get_by_role("radio", name="dark").check()

    assert (found, barriers()) == ([], [])
    assert colours(report) != light
    shot("report-dark")


def test_it_fits_a_phone_in_the_dark(report, barriers, shot):
    """
    Nothing sticks out; names stand above their lanes; a dark system needs no click.
    """
    light = colours(report)
    report.set_viewport_size(PHONE)
    report.emulate_media(color_scheme="dark")

    assert overflow(report) == 0
    assert colours(report) != light
    name, bars = (report.locator(f".lane {part}").first.bounding_box() for part in (".name", ".bars"))
    assert name["y"] + name["height"] <= bars["y"] + 1
    assert barriers() == []
    shot("report-phone")


def test_names_out_of_a_log_run_no_script(page, tmp_path):
    """
    A tool may be called whatever it likes.
    """
    page.add_init_script("window.alert = () => { window.broken = true; }")
    Report(busy_run(tool="<img src=x onerror=alert(1)></style><script>alert(2)</script>")).save(tmp_path / "r.html")
    page.goto((tmp_path / "r.html").as_uri())

    page.locator(".bar.is-ready").first.hover()
    page.get_by_role("combobox", name="Tool").select_option(index=1)

    assert note(page).inner_text().startswith("<img src=x onerror=alert(1)></style><script>")
    assert page.evaluate("window.broken") is None


def test_a_notebook_shows_it_in_its_frame(page):
    """
    With its own script, which works there, too.
    """
    page.set_content(f"<!doctype html><title>Notebook</title>{Report(busy_run())._repr_html_()}")
    frame = page.frame_locator("iframe")

    frame.locator(".bar.is-ready").first.hover()

    assert frame.locator(".note").first.inner_text().startswith("get_order, ran ahead, ready in time.")
