"""Times as exports write them, in seconds since the Unix epoch."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

_UNITS = ((10**17, 10**9), (10**14, 10**6), (10**11, 10**3))  # what a number since 1973 must exceed to be nano, micro …


def seconds_of(value: Any) -> float | None:
    """Read an ISO 8601 text (without a zone: UTC), a `datetime`, or a number of any unit; None if it is none of these.

    >>> seconds_of("1970-01-01T00:01:00Z"), seconds_of("1970-01-01 00:01:00.5"), seconds_of("1760000000000000000")
    (60.0, 60.5, 1760000000.0)
    """
    if isinstance(value, str):
        text = value.strip()
        if text.isascii() and text.isdigit() and len(text) <= 20:
            return _scaled(int(text))
        try:
            value = datetime.fromisoformat(text)
        except ValueError:
            return None
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return aware.timestamp()
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return _scaled(value)
    return None


def _scaled(number: int | float) -> float:
    for limit, unit in _UNITS:
        if number > limit:
            return number // unit + number % unit / unit  # as one division a whole number loses its last digits
    return float(number)
