"""The live page in a browser: what a person sees of runs while they happen."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from agents import NOTEBOOK_SCRIPT, Oracle, ScriptedModel, World, agent_graph, drive, notebook

pytest.importorskip("sse_starlette", reason="the extra `live` is not installed")

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.core import events
from langgraph_speculate.live import Live
from tests.browser.screens import PHONE, overflow
from tests.live.serving import free_port, serving

NOISE = ("find", {"query": "nobody asks"})
POLICY = {"tools": {"find": {"read_only": True}, "read": {"read_only": True}}}
DARK = "rgb(18, 22, 28)"


@pytest.fixture
def live() -> Live:
    return Live()


@pytest.fixture
def address(live: Live) -> Iterator[str]:
    with serving(live.app) as address:
        yield f"{address}/speculate"


def agent(live: Live, name: str, during: Any = None) -> Any:
    """A graph whose tools take a while, with a predictor that knows all and guesses too much."""
    model = ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.1, during=during)
    plain = agent_graph(model, notebook(World(), "both", latency_s=0.05), name=name)
    return speculate(plain, POLICY, predictor=Oracle(NOTEBOOK_SCRIPT, also=[NOISE]), observers=[live])


def figure(page: Any, name: str) -> str:
    """What stands above a name among the totals."""
    return str(page.locator("#totals div").filter(has_text=name).locator("dd").inner_text())


def test_a_run_shows_while_it_happens_and_then_what_came_of_it(page, live, address, barriers, shot):
    """
    Rows appear beneath each other, a guess in vain looks different from one that was taken, and the totals are those of
    `stats()`.
    """
    page.goto(address)
    page.get_by_text("No run has begun yet").wait_for()
    goes_on = threading.Event()
    graph = agent(live, "clerk", during=lambda turn: goes_on.wait(20) if turn == 2 else None)
    run = threading.Thread(target=drive, args=(graph, "invoke"), daemon=True)
    run.start()

    page.get_by_text("clerk running for").wait_for()
    page.locator("#timeline tr", has_text="running").first.wait_for()
    goes_on.set()
    run.join(20)
    page.get_by_text("clerk took").wait_for()

    rows = page.locator("#timeline tbody tr")
    stats = speculation_of(graph).stats()
    assert rows.filter(has_text="read guess").filter(has_text="taken").count() >= 1
    assert rows.filter(has_text="find guess").filter(has_text="contradicted").count() >= 1
    assert rows.filter(has_text="write call").filter(has_text="miss").count() == 1
    assert rows.filter(has_text="saved").count() == stats.hits
    assert page.locator(".track .bar.guess.vain").count() == stats.wasted
    assert figure(page, "real calls") == str(stats.real_calls)
    assert figure(page, "guesses") == str(stats.launched)
    assert page.locator("#tools tbody tr").count() == 3
    box = page.locator(".track .bar.call").last.bounding_box()
    assert box["x"] > page.locator(".track .bar.model").first.bounding_box()["x"]
    assert barriers() == []
    shot("live")


def test_it_is_readable_on_a_phone_and_in_the_dark(page, live, address, barriers, shot):
    """
    Nothing sticks out, bars and outcomes are there, and contrast is enough.
    """
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(PHONE)
    page.goto(address)
    drive(agent(live, "clerk"), "invoke")
    page.get_by_text("clerk took").wait_for()
    assert overflow(page) == 0
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == DARK
    row = page.locator("#timeline tbody tr", has_text="saved").first
    assert row.locator(".bar").bounding_box()["y"] > row.locator("th").bounding_box()["y"]
    assert barriers() == []
    shot("live-phone-dark")


def test_an_older_run_is_chosen_with_the_keyboard_and_stays(page, live, address):
    """
    Several graphs show on one page; who has chosen a run is not torn away from it by the next.
    """
    drive(agent(live, "clerk"), "invoke")
    page.goto(address)
    page.get_by_text("clerk took").wait_for()
    page.get_by_label("Run", exact=True).focus()
    page.keyboard.press("ArrowDown")
    drive(agent(live, "chief"), "invoke")
    page.locator("#run option", has_text="chief").wait_for(state="attached")
    assert page.locator("#about").inner_text().startswith("clerk took")
    page.keyboard.press("Home")
    page.get_by_text("chief took").wait_for()


def test_names_are_text_whatever_they_are(page, live, address):
    """
    A server's tool may be called anything; here it would raise, and a page that raises fails the test.
    """
    evil = "<img src=x onerror=\"throw Error('run')\"><script>throw Error('run')</script>"
    budgets = dict.fromkeys(("max_in_flight", "max_per_turn", "max_per_run", "max_wasted_per_run"), 9)
    told = [
        events.RunBegan(run=evil, at=1.0, number=1, partition="", world="", graph=evil, wall=1e9, **budgets),
        events.TurnBegan(run=evil, at=1.0, number=2, turn=evil, model=evil),
        events.Launched(run=evil, at=1.0, number=3, turn=evil, id=evil, tool=evil, probability=0.5, source=evil),
        events.Discarded(run=evil, at=2.0, number=4, id=evil, tool=evil, reason=evil),
        events.CallSettled(run=evil, at=3.0, number=5, tool=evil, id=None, joined=False, waited_s=1.0, tool_s=1.0),
    ]
    for event in told:
        live(event)
    page.goto(address)
    page.locator("#timeline tbody tr", has_text="onerror").first.wait_for()
    assert page.locator("main img, main script").count() == 0
    assert page.locator("#timeline tbody tr").count() == 3


def test_it_comes_back_after_the_server_has(bare_page):
    """
    A server that is started again has another life: what is shown is that, and nothing of the old one.
    """
    port, page = free_port(), bare_page
    first, second = Live(), Live()
    with serving(first.app, port) as address:
        page.goto(f"{address}/speculate")
        drive(agent(first, "clerk"), "invoke")
        page.get_by_text("clerk took").wait_for()
    page.get_by_text("The connection is lost").wait_for()
    drive(agent(second, "chief"), "invoke")
    with serving(second.app, port):
        page.get_by_text("chief took").wait_for(timeout=20_000)
        page.get_by_text("Connected").wait_for()
        assert page.locator("#run option", has_text="clerk").count() == 0
