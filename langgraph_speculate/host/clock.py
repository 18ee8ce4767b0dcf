"""Real time and waiting for it, in one place: the simulation puts virtual time here."""

from __future__ import annotations

from concurrent.futures import Future
from threading import TIMEOUT_MAX
from time import monotonic, time
from typing import Any


def now() -> float:
    """Seconds on the monotonic clock."""
    return monotonic()


def epoch() -> float:
    """What a calendar's clock shows where `now` shows 0, in seconds since 1970 (UTC)."""
    return time() - now()


def wait(future: Future[Any], timeout: float) -> None:
    """Block this thread until *future* is done, at most *timeout* seconds."""
    try:
        future.result(min(max(0.0, timeout), TIMEOUT_MAX))
    except TimeoutError:
        return
