"""Makes the pictures of the documentation anew from real runs: `python docs/pictures.py` (Playwright, Chromium).

Prints the first sentences of the reports of the walk-through, which `observability.md` quotes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Locator, Page, sync_playwright

FOLDER = Path(__file__).parent / "images"
DESKTOP, PHONE = {"width": 960, "height": 900}, {"width": 390, "height": 780}
MARGIN = 6  # pixels around what is cropped

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.snippets import follow_the_walk  # noqa: E402  # what a reader is told to do is written down once


def main() -> None:
    """Run the demonstration, and take pictures of its reports."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("there is no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.html")
        command = [sys.executable, "-m", "langgraph_speculate", "demo", "--report", str(report)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        follow_the_walk(Path(folder))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            take(browser.new_page(viewport=DESKTOP), report, "report")
            take(browser.new_page(viewport=PHONE, color_scheme="dark"), report, "report-phone")
            walk(browser, Path(folder))
            browser.close()


def take(page: Page, report: Path, name: str) -> None:
    """A picture of what a window of that size shows first."""
    page.goto(report.as_uri())
    page.screenshot(path=FOLDER / f"{name}.png")


def walk(browser: Browser, folder: Path) -> None:
    """A picture of each step of the walk-through."""
    before, after = (browser.new_page(viewport=DESKTOP) for _ in range(2))
    before.goto((folder / "before.html").as_uri())
    after.goto((folder / "after.html").as_uri())
    for page, name in ((before, "walk-before"), (after, "walk-after")):
        print(f"{name}: {page.locator('.lead').inner_text()}")
        crop(page, name, page.locator(".lead"), page.locator(".cards"))

    run = before.locator(".run").first
    run.locator(".bar.is-ready").first.hover()
    crop(before, "walk-hit", run.locator("h3"), run.locator(".note"))

    denials = before.get_by_role("region", name="What the policy did not allow")
    crop(before, "walk-remedy", before.locator("#denials"), denials)

    before.get_by_role("combobox", name="Tool").select_option("get_order")
    run = before.locator(".run").filter(has=before.locator(".bar.is-denied:visible")).first
    run.locator(".bar.is-denied:visible").first.hover()
    crop(before, "walk-denial", run.locator("h3"), run.locator(".note"))


def crop(page: Page, name: str, first: Locator, last: Locator) -> None:
    """A picture of the page from one thing to another below it."""
    top, bottom = first.bounding_box(), last.bounding_box()
    if top is None or bottom is None:
        sys.exit(f"{name}: the page does not show it")
    scrolled = page.evaluate("scrollY")
    clip = {
        "x": 0,
        "y": top["y"] + scrolled - MARGIN,
        "width": DESKTOP["width"],
        "height": bottom["y"] + bottom["height"] - top["y"] + 2 * MARGIN,
    }
    page.screenshot(path=FOLDER / f"{name}.png", full_page=True, clip=clip)


if __name__ == "__main__":
    main()
