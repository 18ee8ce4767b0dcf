"""What pages are looked at on, and what they must not do there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

SHOTS = Path(__file__).parents[2] / "artefacts"  # not in git
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
HERE = re.compile(r"(file|data|blob|about):|https?://127\.0\.0\.1[:/]")


def complaints(page: Page) -> list[str]:
    """From now on, what a page does wrong in the eyes of a browser: it raises, logs an error, asks other machines."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"raised: {error}"))
    page.on("console", lambda line: wrong.append(f"logged: {line.text}") if line.type == "error" else None)
    page.on("request", lambda asked: None if HERE.match(asked.url) else wrong.append(f"asked for {asked.url}"))
    return wrong


def overflow(page: Page) -> int:
    """How many pixels of the page stick out to the right of the screen."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
