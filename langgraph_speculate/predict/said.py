"""What users said in a run, so that their words are known again in whatever form they come.

A value is the user's where the user said it, in other case, with other punctuation or width, as another way of writing
the number or the day; and where it holds a longer word of theirs. Told too often rather than too rarely: it only makes
a value wait for a run in which no user had said it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence, Set
from functools import lru_cache
from typing import NamedTuple
from unicodedata import normalize

from langgraph_speculate.core.history import History
from langgraph_speculate.predict.shapes import tokens

_WORD = re.compile(r"[^\W_]+")
_WHOLE = re.compile(r"[.,]0+(?!\d)")  # the end of a number that is whole after all
_DATE = re.compile(r"\d{4}-(\d\d-\d\d)")
_MOST = 200_000  # characters of a turn; of one that is longer, everything counts as said
_LONG = 4  # characters of a word that is somebody's even inside of a longer text
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
        if not self._turns:
            return self._is_all
        whole = _plain(text)
        forms = {whole, _plain(_WHOLE.sub("", text)), *map(_plain, _DATE.findall(text))} - {""}
        words = {word for word in _words(text) if len(word) >= _LONG}
        exact = "" if forms else text.lower()  # signs alone
        return any(
            any(form in turn.plain for form in forms)
            or not words.isdisjoint(turn.words)
            or any(number in whole for number in turn.numbers)
            or (exact != "" and exact in turn.lower)
            for turn in self._turns
        )


class _Turn(NamedTuple):
    """What a user said: without all that is neither letter nor digit; its words; its numbers; in small letters."""

    plain: str
    words: Set[str]
    numbers: Sequence[str]
    lower: str


@lru_cache(maxsize=256)
def _heard(text: str) -> _Turn:
    days = [token for shape, token in tokens(text[:20_000]) if shape == "day"]
    words = frozenset(_words(text))
    numbers = [word for word in words if len(word) >= _NUMBER and not word.isalpha()]
    return _Turn(" ".join([_plain(text), *map(_plain, days)]), words, numbers, text.lower())


def _plain(text: str) -> str:
    return "".join(_words(text))


def _words(text: str) -> list[str]:
    return _WORD.findall(normalize("NFKC", text).casefold())
