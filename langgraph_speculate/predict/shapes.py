"""What in a text looks like a value: identifiers, codes, numbers, quotes, names, labelled lines, days.

Each token comes with the name of its shape, the same for `mia_li_3668` and `raj_brown_5782`, so that what one run
teaches holds for the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

MAX_TOKEN = 200  # characters

_TOKEN = re.compile(r"https?://[^\s\"'<>)\]]+|#?\w(?:[\w./@#+:-]*\w)?")
_QUOTED = re.compile(r"\"([^\"\n]{1,80})\"|(?<!\w)'([^'\n]{1,80})'(?!\w)|`([^`\n]{1,80})`")
_PHRASE = re.compile(
    r"[^\W\d_a-zß-ÿ][\w’'.&-]*(?:\s+(?:(?:of|the|to|in|de|for|on|at|von|van|la)\s+){0,2}"
    r"(?:[^\W\d_a-zß-ÿ][\w’'.&-]*|\d+\b))*"
)
_ROW = re.compile(r"\(\s*'([^'\n]{1,80})'(,?\))?")
_LABEL = re.compile(r"^[ \t>*-]*([^\W\d][\w ]{1,30}?)[ \t]*[:=]\*{0,2}[ \t]*(\S[^\n]{0,80}?)[ \t]*$", re.MULTILINE)
_PATH = re.compile(r"(?<![\w./~:+-])(?:~|\.\.?)?(?:/[\w.@+-]*\w)+/?")  # from a root; others are tokens
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile(r"[0-9a-f]{8,64}|[0-9A-F]{8,64}")
_DRAWN = re.compile(r"((?:[a-z]{1,8}_){0,2})([A-Za-z0-9]{12,64})")
_MIXED = 3  # runs of letters and digits in what was drawn at random, at least, if it is hexadecimal,
_WELL_MIXED = 5  # and if it may be any letters: words in camel case have fewer
HALVES = {"T1": "day"} | {f"{sign}{at}": f"{name} half" for sign in "/@ " for at, name in ((1, "first"), (2, "second"))}
"""What `halves` tells, by name, in words."""

_STAMP = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:")
_LONGEST_PARTED = 80  # characters of a text that is parted
_SERIAL = re.compile(r"[A-Z]+\d+")
_RUNS = re.compile(r"[A-Z]+|\d+|[^\W\d_A-Z]+")  # every letter there is: what is left over would be told as it is
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY = re.compile(rf"\b({'|'.join(_MONTHS)})[a-z]*\.?\s+(\d{{1,2}})(?:st|nd|rd|th)?\b")  # in small letters
_OPENING = """a an and are as at but can could did do does for from has have hello hey hi how i i'd i'll i'm
 if in is it no of ok okay on or please show sure thank thanks that the these this those to was were what when where
 which who whom whose why will with would yes you your"""
_OPENERS = frozenset(_OPENING.split())


def tokens(text: str, *, lines: bool = False) -> Iterator[tuple[str, str]]:
    """The tokens of *text* with their shapes, in the order of the text for each shape.

    Args:
        text: What to read; its length should be bounded, the work is linear in it.
        lines: Tell short lines too, as of a listing, instead of the whole text where that is short.

    >>> list(tokens("I am mia_li_3668"))
    [('id:a_a_9', 'mia_li_3668'), ('whole', 'I am mia_li_3668')]
    """
    # What cannot match is not searched: these are most of what learning from a text takes.
    for match in _LABEL.finditer(text) if ":" in text or "=" in text else ():
        yield f"label:{match[1].lower()}", match[2]
    for match in _TOKEN.finditer(text):
        token = match[0]
        shape = _shape(token)
        if shape is not None:
            yield shape, token
            if "/" in token and not lines:
                yield from halves(token)
    for match in _PATH.finditer(text) if "/" in text else ():
        yield "path", match[0]
    for match in _QUOTED.finditer(text) if '"' in text or "'" in text or "`" in text else ():
        yield "quoted", match[1] or match[2] or match[3]
    for match in _PHRASE.finditer(text):
        phrase = _phrase(match[0])
        if len(phrase) > 2:
            yield "phrase", phrase
    for day in days(text):
        yield "day", day
    if lines:
        for match in _ROW.finditer(text):
            yield ("only" if match[2] else "first"), match[1]
        for line in text.splitlines()[:60]:
            if 0 < len(line) <= 100:
                found = line.strip()
                # A lone word is a name, as in a listing; a line of several is a message or a row.
                yield ("line" if " " in found else "word"), found
    elif len(text) <= MAX_TOKEN:
        yield "whole", text.strip()


def halves(text: str) -> Sequence[tuple[str, str]]:
    """What stands on either side of the only sign in *text* that parts it, each with a name; the day of a timestamp.

    >>> halves("acme/web"), halves("Ann Li"), halves("2024-05-20T10:00:00Z"), halves("a/b/c")
    ([('/1', 'acme'), ('/2', 'web')], [(' 1', 'Ann'), (' 2', 'Li')], [('T1', '2024-05-20')], [])
    """
    if len(text) > _LONGEST_PARTED:
        return ()
    if text[10:11] in ("T", " ") and _STAMP.match(text):
        return [("T1", text[:10])]
    for sign in "/@ ":
        if sign in text:
            first, _, second = text.partition(sign)
            return [(f"{sign}1", first), (f"{sign}2", second)] if first and second and sign not in second else []
    return ()


def days(text: str) -> Iterator[str]:
    """The days of the year that *text* names, in order.

    >>> list(days("From May 20th to june 3."))
    ['05-20', '06-03']
    """
    lower = text.lower()
    if any(month in lower for month in _MONTHS):
        for match in _DAY.finditer(lower):
            yield f"{_MONTHS.index(match[1]) + 1:02}-{int(match[2]):02}"


@lru_cache(maxsize=8192)
def _shape(token: str) -> str | None:
    """The shape of a token that may be an identifier, or None for plain words.

    Runs of letters and digits shrink to one sign; short codes in capitals and digits are told apart by their length,
    because where the digits stand means nothing in them; nor does it in what was drawn at random.
    """
    if token.isalpha():
        return f"code:A{len(token)}" if token.isupper() and 2 <= len(token) <= 6 else None
    if token.isdigit():
        return f"number:{min(len(token), 9)}"
    if "://" in token:
        return "url"
    drawn = _drawn(token)
    if drawn is not None:
        return drawn
    if token.isalnum() and token.isupper():
        return f"code:A9:{len(token)}" if _SERIAL.fullmatch(token) else f"code:{min(len(token), 16)}"
    shape = _RUNS.sub(lambda run: "9" if run[0].isdigit() else "A" if run[0].isupper() else "a", token)
    return f"id:{shape[:16]}" if len(token) <= MAX_TOKEN else None


def _drawn(token: str) -> str | None:
    """The shape of an identifier that was drawn at random, or None for others; of its prefix no more than the length.

    >>> [_drawn(token) for token in ("3f9a01bc", "cus_NffrFeUfNV2Hib", "mia_li_3668", "get_user_by_id_2")]
    ['hex:8', 'random:3_', None, None]
    """
    if len(token) < 8:
        return None
    if _UUID.fullmatch(token):
        return "uuid"
    if _HEX.fullmatch(token):
        return f"hex:{len(token)}" if len(_RUNS.findall(token)) >= _MIXED else None
    drawn = _DRAWN.fullmatch(token)
    if drawn is None or len(_RUNS.findall(drawn[2])) < _WELL_MIXED:
        return None
    # Behind a prefix the length may vary; without one it is all there is to tell.
    return f"random:{len(drawn[1]) - 1}_" if drawn[1] else f"random:{len(token)}"


def _phrase(text: str) -> str:
    words = text.rstrip(".,'’").split()
    while words and words[0].lower() in _OPENERS:
        words.pop(0)
    return " ".join(words).removesuffix("'s").removesuffix("’s")
