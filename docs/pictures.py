"""Makes the pictures of the documentation anew from real runs: `python docs/pictures.py` (Playwright, Chromium)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

FOLDER = Path(__file__).parent / "images"
DESKTOP, PHONE = {"width": 960, "height": 900}, {"width": 390, "height": 780}


def main() -> None:
    """Run the demonstration, and take pictures of its report."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        sys.exit("there is no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.html")
        command = [sys.executable, "-m", "langgraph_speculate", "demo", "--report", str(report)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            take(browser.new_page(viewport=DESKTOP), report, "report")
            take(browser.new_page(viewport=PHONE, color_scheme="dark"), report, "report-phone")
            browser.close()


def take(page: Page, report: Path, name: str) -> None:
    """A picture of what a window of that size shows first."""
    page.goto(report.as_uri())
    page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
