"""What users said in a run, so that their words are known again in whatever form they come.

A value is the user's where the user said it, in other case, with other punctuation or width, as another way of writing
the number or the day; and where it holds a longer word of theirs. Told too often rather than too rarely: it only makes
a value wait for a run in which no user had said it.
"""

from __future__ import annotations

import re
from collections.abc import Set
from functools import lru_cache
from typing import NamedTuple
from unicodedata import normalize

from langgraph_speculate.core.history import History
from langgraph_speculate.predict.shapes import days

_WORD = re.compile(r"[^\W_]+")
_WHOLE = re.compile(r"[.,]0+(?!\d)")  # the end of a number that is whole after all
_DATE = re.compile(r"\d{4}-(\d\d-\d\d)")
_MOST = 200_000  # characters of a turn; of one that is longer, everything counts as said
_LONG = 4  # characters of a word that is somebody's even inside of a longer text
_ASKED = 1_000  # texts of which it is known whether a turn has them
_NUMBER = 6  # characters of a word with digits that is somebody's even inside of another word


class Said:
    """The words of the users of one run.

    >>> run = History.from_messages([{"role": "user", "content": "JFK, on May 5th; up to $1,234. I'm Zoë-Li."}])
    >>> [text in Said(run) for text in ("jfk", "1234.0", "2024-05-05", "zoë li", "dear Zoë", "economy")]
    [True, True, True, True, False, False]
    >>> "dear Mr Smith" in Said(History.from_messages([{"role": "user", "content": "I am Jane SMITH"}]))
    True
    """

    def __init__(self, run: History) -> None:
        self._is_all = any(len(turn.text) > _MOST for turn in run.user_turns)
        self._turns = [] if self._is_all else [_heard(turn.text) for turn in run.user_turns]

    def __contains__(self, text: str) -> bool:
        return self._is_all or any(turn.says(text) for turn in self._turns)


class _Turn:
    """What a user said. Whether that has a certain word is asked again at each step of the run."""

    def __init__(self, text: str) -> None:
        # Without all that is neither letter nor digit.
        self._plain = " ".join([_plain(text), *map(_plain, days(text[:20_000]))])
        self._words = frozenset(_words(text))
        self._numbers = [word for word in self._words if len(word) >= _NUMBER and not word.isalpha()]
        self._lower = text.lower()
        self._known: dict[str, bool] = {}

    def says(self, text: str) -> bool:
        known = self._known.get(text)
        if known is None:
            if len(self._known) >= _ASKED:
                self._known.clear()
            known = self._known[text] = self._has(_asked(text))
        return known

    def _has(self, text: _Text) -> bool:
        return (
            any(form in self._plain for form in text.forms)
            or not text.words.isdisjoint(self._words)
            or any(number in text.plain for number in self._numbers)
            or (text.signs != "" and text.signs in self._lower)
        )


class _Text(NamedTuple):
    """A text that is looked for: its forms, its longer words, the text without signs, and signs that stand alone."""

    forms: Set[str]
    words: Set[str]
    plain: str
    signs: str


@lru_cache(maxsize=4096)
def _asked(text: str) -> _Text:
    plain = _plain(text)
    forms = {plain, _plain(_WHOLE.sub("", text)), *map(_plain, _DATE.findall(text))} - {""}
    words = {word for word in _words(text) if len(word) >= _LONG}
    return _Text(forms, words, plain, "" if forms else text.lower())


@lru_cache(maxsize=256)
def _heard(text: str) -> _Turn:
    return _Turn(text)


def _plain(text: str) -> str:
    return "".join(_words(text))


def _words(text: str) -> list[str]:
    return _WORD.findall(normalize("NFKC", text).casefold())
