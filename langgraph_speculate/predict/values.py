"""When two values, or two calls, are the same, and which values are worth following. Asked often, so cheap."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import orjson

from langgraph_speculate.predict.shapes import MAX_TOKEN

_FOLLOW = 6  # values told that follow one
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
        return (type(value).__name__, orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS))
    except (TypeError, ValueError, RecursionError):
        return (type(value).__name__, None)  # never the same as anything worth guessing


def fingerprint(name: str, args: Mapping[str, Any]) -> Hashable:
    """A cheap stand-in for the canonical key of a call: equal for equal calls."""
    names = sorted(args)
    return (name, tuple(names), tuple([value_key(args[argument]) for argument in names]))


def copyable(value: Any) -> bool:
    """True for values that are worth following through a run: short strings and finite numbers."""
    if type(value) is str:
        return 0 < len(value) <= MAX_TOKEN
    return type(value) is int or (type(value) is float and math.isfinite(value))


def successors(value: Any) -> Sequence[Any]:
    """The values that follow a whole number or a day, in order; nothing follows other values.

    >>> successors(7)[:2], successors("2024-02-28")[:2], successors("Ann")
    ((8, 9), ('2024-02-29', '2024-03-01'), ())
    """
    if type(value) is int:
        return tuple(range(value + 1, value + 1 + _FOLLOW))
    return _days_after(value) if type(value) is str and _DAY.fullmatch(value) else ()


@lru_cache(maxsize=512)
def _days_after(day: str) -> Sequence[str]:
    try:
        first = date.fromisoformat(day)
        return tuple([(first + timedelta(days=after)).isoformat() for after in range(1, 1 + _FOLLOW)])
    except (ValueError, OverflowError):
        return ()
