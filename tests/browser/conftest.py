"""A real browser for the pages that this package writes or serves: Debian's Chromium, driven by Playwright.

A test takes `page` and opens something with it. Whatever else the test asserts, a page that raises, logs an error or
asks another machine for anything fails it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.screens import DESKTOP, SHOTS, complaints

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One Chromium for the tests of a file. Not for a session: Playwright occupies the thread's event loop."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def bare_page(chromium: Browser) -> Iterator[Page]:
    """An empty page, the size of a desktop's window, on a light screen."""
    context = chromium.new_context(viewport=DESKTOP, color_scheme="light")
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def page(bare_page: Page) -> Iterator[Page]:
    """The same, and the browser has nothing to complain of until the test ends."""
    wrong = complaints(bare_page)
    yield bare_page
    assert not wrong


@pytest.fixture
def shot(page: Page) -> Callable[[str], Path]:
    """Keeps a picture of the whole page, for people to look at."""

    def take(name: str) -> Path:
        SHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SHOTS / f"{name}.png", full_page=True)
        return SHOTS / f"{name}.png"

    return take


@pytest.fixture
def barriers(page: Page) -> Callable[[], list[str]]:
    """What axe-core finds, serious or critical, that keeps people with a disability from using the page as it is."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

    def look() -> list[str]:
        found = axe.Axe().run(page).response["violations"]
        return [
            f"{one['id']}: {one['help']}: {', '.join(str(node['target']) for node in one['nodes'])}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    return look
