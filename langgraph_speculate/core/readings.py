"""A text in every way it may be read: as it stands, and after each usual decoding.

Who hides a host from one reader writes it for another: percent-encoded, as HTML or JavaScript escapes, in full-width
letters, with invisible characters in between. Each step of decoding is kept, because a later one may hide what an
earlier one shows.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from urllib.parse import unquote

_MAX_ROUNDS = 4  # what is encoded more often wants to hide something
_MAX_GROWTH = 4  # times the length of a text; a single letter can stand for eighteen
_ESCAPE = re.compile(r"\\u\{?([0-9A-Fa-f]{4,6})\}?|\\x([0-9A-Fa-f]{2})|\\/")
INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\ud800-\udfff\U000e0000-\U000e0fff]"
)
"""Characters that some readers skip: controls (line breaks too), joiners, marks of direction, halves of a surrogate."""


def readings(text: str) -> tuple[list[str], bool]:
    """Return the different readings of *text*, as it stands first, and whether decoding came to an end.

    >>> readings("%2526%23x2f;")
    (['%2526%23x2f;', '%26#x2f;', '&#x2f;', '/'], True)
    """
    found = [text]
    longest = _MAX_GROWTH * len(text) + _MAX_GROWTH
    for _ in range(_MAX_ROUNDS):
        before = found[-1]
        for decode in _DECODERS:
            decoded = decode(found[-1])
            if len(decoded) > longest:
                return found, False
            if decoded != found[-1]:
                found.append(decoded)
        if found[-1] == before:
            return found, True
    return found, False


def _unescaped(text: str) -> str:
    """Without the escapes of JSON and JavaScript."""

    def char(match: re.Match[str]) -> str:
        code = int(match[1] or match[2] or "2f", 16)
        return chr(code) if code < 0x110000 else match[0]

    return _ESCAPE.sub(char, text)


_DECODERS: tuple[Callable[[str], str], ...] = (
    unquote,
    html.unescape,
    _unescaped,
    lambda text: unicodedata.normalize("NFKC", text),
    lambda text: INVISIBLE.sub("", text),
)
