"""What is being spoken of: the values that the user and the model wrote of lately, and the calls made with them.

Of many values that stand in results, those are the likelier ones. What was said is only looked up here, never counted.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence, Set
from functools import lru_cache

from langgraph_speculate.core.history import PastCall
from langgraph_speculate.predict.indexes import Item, result_index, text_index

_DAY = 10  # characters of a whole date
_DIGITS = 15  # of a number
_WORD = re.compile(r"[^\W_]{3,}")  # that may be a name, or the value of a field

PLAIN, SAID, NEAR, BESIDE = 0, 1, 2, 3
"""How an item is spoken of: not at all; somebody said it; it stands in the result of a call whose arguments somebody
said; it stands in a record beside something that somebody said, as the id of what was named."""


class Mentions:
    """The values in a few texts.

    Attributes:
        texts: What was said lately.

    >>> mentions = Mentions(("I fly on May 20 with HAT039.",))
    >>> [key in mentions for key in ("HAT039", "2024-05-20", "HAT040", ("int", 20))]
    [True, True, False, False]
    """

    def __init__(self, texts: tuple[str, ...]) -> None:
        self.texts = texts
        self._words = _words(texts)
        self._named = _names(texts)
        self._near: dict[PastCall, bool] = {}  # not by their ids: another run may have the same
        self._records: dict[PastCall, dict[Hashable, bool]] = {}  # whether one holds something that was said

    def __contains__(self, key: Hashable) -> bool:
        if type(key) is not str:
            return False
        return key in self._words or (len(key) == _DAY and key[4] == "-" and key[5:] in self._words)

    def marks(self, items: Sequence[Item], calls: Mapping[Hashable, PastCall]) -> Sequence[int] | None:
        """For each item how it is spoken of, or None where none of them is.

        Args:
            items: The items.
            calls: The calls in whose results they may stand, by id.
        """
        if not self._words:
            return None
        marks: list[int] = []
        others: set[PastCall] = set()  # that have records without anything that was said
        for _, record, key in items:
            call = calls.get(record[0] if type(record) is tuple else record)
            if key in self:
                mark = SAID
            elif call is None:
                mark = PLAIN
            elif self._is_beside(call, record):
                mark = BESIDE
            else:
                mark = NEAR if self._is_near(call) else PLAIN
                others.add(call)
            marks.append(mark)
        if BESIDE in marks:
            # Where all records of a result hold something that was said, that tells none of them from the others.
            for place, (_, record, _) in enumerate(items):
                if marks[place] == BESIDE and type(record) is tuple and calls[record[0]] not in others:
                    marks[place] = NEAR if self._is_near(calls[record[0]]) else PLAIN
        return marks if any(marks) else None

    def _is_beside(self, call: PastCall, record: Hashable) -> bool:
        """Whether a record in the result of a call holds something that was said."""
        records = self._records.get(call)
        if records is None:
            records = self._records[call] = {}
        found = records.get(record)
        if found is None:
            held = result_index(call).held.get(record)
            found = records[record] = held is not None and not self._named.isdisjoint(held)
        return found

    def _is_near(self, call: PastCall) -> bool:
        near = self._near.get(call)
        if near is None:
            near = self._near[call] = any(map(self.__contains__, call.args.values()))
        return near


@lru_cache(maxsize=256)
def _words(texts: tuple[str, ...]) -> Set[Hashable]:
    return frozenset().union(*[text_index(text).places for text in texts])


@lru_cache(maxsize=256)
def _names(texts: tuple[str, ...]) -> Set[Hashable]:
    """What names a record: the values in the texts, their words, and their numbers as numbers."""
    words = {word for text in texts for word in _WORD.findall(text)}
    numbers = {("int", int(word)) for word in words if word.isdecimal() and len(word) <= _DIGITS}
    return _words(texts) | words | numbers
