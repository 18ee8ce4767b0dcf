"""The page of an evaluation, as people see it."""

from __future__ import annotations

from langgraph_speculate.traces.report import page as page_of
from tests.browser.screens import PHONE, overflow
from tests.traces.test_traces_report import results


def ground(page) -> str:
    """The colour behind everything."""
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_an_evaluation_can_be_read_by_everybody(page, shot, barriers):
    """
    No barriers, in light colours and in dark ones; the choice is the reader's, whatever the system says.
    """
    page.set_content(page_of(results(tools=3)))
    light, found = ground(page), barriers()
    shot("evaluation-light")

    page.get_by_role("radio", name="dark").check()

    assert (found, barriers()) == ([], [])
    assert (light, ground(page)) == ("rgb(255, 255, 255)", "rgb(18, 22, 28)")
    shot("evaluation-dark")


def test_an_evaluation_fits_a_phone_in_the_dark(page):
    """
    Only its tables move to the side; a dark system needs no click.
    """
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    page.set_content(page_of(results(tools=3)))

    assert overflow(page) == 0
    assert ground(page) == "rgb(18, 22, 28)"
