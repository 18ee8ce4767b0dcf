"""When two values, or two calls, are the same, and which values are worth following. Asked often, so cheap."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import orjson

from langgraph_speculate.predict.shapes import MAX_TOKEN

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def value_key(value: Any) -> Hashable:
    """Equal for equal values of one type: `1`, `1.0`, `True` and `"1"` all differ.

    >>> value_key(1) == value_key(True), value_key("a") == value_key("a")
    (False, True)
    """
    if type(value) is str:
        return value
    if value is None or isinstance(value, (bool, int, float)):
        return (type(value).__name__, value)
    try:
        text = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except (TypeError, ValueError, RecursionError):
        return (type(value).__name__, None)  # never the same as anything worth guessing
    return (type(value).__name__, hash(text))  # thousands of keys are kept, and records are long


Fingerprint = tuple[str, tuple[str, ...], tuple[Hashable, ...]]
"""The name of a tool, the sorted names of a call's arguments, and the keys of their values."""


def fingerprint(name: str, args: Mapping[str, Any]) -> Fingerprint:
    """A cheap stand-in for the canonical key of a call: equal for equal calls."""
    names = sorted(args)
    return (name, tuple(names), tuple([value_key(args[argument]) for argument in names]))


def copyable(value: Any) -> bool:
    """True for values that are worth following through a run: short strings and finite numbers."""
    if type(value) is str:
        return 0 < len(value) <= MAX_TOKEN
    return type(value) is int or (type(value) is float and math.isfinite(value))


def successor(value: Any) -> Any:
    """The value after a whole number or a day; None after others.

    >>> successor(7), successor("2024-02-28"), successor("Ann")
    (8, '2024-02-29', None)
    """
    if type(value) is int:
        return value + 1
    return _day_after(value) if type(value) is str and _DAY.fullmatch(value) else None


@lru_cache(maxsize=512)
def _day_after(day: str) -> str | None:
    try:
        return (date.fromisoformat(day) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return None
