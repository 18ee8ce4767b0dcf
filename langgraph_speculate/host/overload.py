"""Whether an error says that a service has too much to do, and for how long it wants to be left alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_STATUSES = frozenset({429, 503})  # too many requests, service unavailable
_NAMES = ("status_code", "code", "status")  # what HTTP clients and SDKs call it
_DEEP = 5  # tools wrap the errors of their clients, but not endlessly
_LONGEST_S = 3600.0  # a service may not switch us off for ever


@dataclass(frozen=True, slots=True)
class Overload:
    """A service has too much to do.

    Attributes:
        status: What it answered with.
        retry_after_s: Seconds that it asked for, 0 if it did not say.
    """

    status: int
    retry_after_s: float = 0.0


def overload_of(error: BaseException | None) -> Overload | None:
    """What *error*, or an error that caused it, says of its service's load.

    >>> class TooMany(Exception):
    ...     status_code = 429
    >>> overload_of(TooMany())
    Overload(status=429, retry_after_s=0.0)
    >>> overload_of(ValueError(429)) is None
    True
    """
    try:
        return next(filter(None, map(_read, _chain(error))), None)
    except Exception:  # noqa: BLE001 - reading somebody else's error runs its own code
        return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_DEEP):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _read(error: BaseException) -> Overload | None:
    sources = (error, getattr(error, "response", None))
    for source in sources:
        for name in _NAMES:
            status = getattr(source, name, None)
            if isinstance(status, int) and status in _STATUSES:
                return Overload(int(status), max(map(_retry_after, sources)))
    return None


def _retry_after(source: Any) -> float:
    """The header as seconds. The date it may be instead is of another machine's clock, so it is left alone."""
    headers = getattr(source, "headers", None)
    if headers is None:
        return 0.0
    try:
        seconds = float(headers.get("Retry-After") or headers.get("retry-after") or 0.0)
    except (TypeError, ValueError):
        return 0.0
    return min(max(0.0, seconds), _LONGEST_S) if math.isfinite(seconds) else 0.0
