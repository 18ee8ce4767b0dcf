"""JSON as Python's standard library writes it by default: with `NaN`, `Infinity` and halves of surrogate pairs.

No standard allows them, and the fast parser refuses a whole line for one of them. Most recordings are written by
`json.dumps`, though, and one bad value should not cost a run.
"""

from __future__ import annotations

import json
import re
from typing import Any

_HALF = re.compile("[\ud800-\udfff]")
_DIGITS = 19  # of a whole number, from which on it may be too large for 64 bits


def loads(line: bytes) -> Any:
    """Parse what the standard library would; each half of a surrogate pair becomes U+FFFD, the replacement character.

    Raises:
        ValueError: It is no JSON either way, or no UTF-8.
        RecursionError: It is nested too deeply.

    >>> loads(b'{"n": NaN, "text": "a \\\\ud83d"}')
    {'n': nan, 'text': 'a \\ufffd'}
    """
    # Pairs of escaped surrogates have become one character by now: what is left of them has no other half.
    return _mended(json.loads(line.decode(), parse_int=_number, object_pairs_hook=_object))


def _number(text: str) -> int | float:
    """A whole number, or a float where the fast parser would make it one."""
    return int(text) if len(text) < _DIGITS else float(text)


def _object(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    return {_mended(name): _mended(value) for name, value in fields}


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    return [_mended(one) for one in value] if isinstance(value, list) else value
