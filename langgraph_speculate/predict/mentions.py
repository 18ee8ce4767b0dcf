"""What is being spoken of: the values that the user and the model wrote of lately, and the calls made with them.

Of many values that stand in results, those are the likelier ones. What was said is only looked up here, never counted.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Set
from functools import lru_cache

from langgraph_speculate.core.history import PastCall
from langgraph_speculate.predict.indexes import Item, text_index

_DAY = 10  # characters of a whole date

PLAIN, SAID, NEAR = 0, 1, 2
"""An item that nobody spoke of; one that somebody said; one in the result of a call whose arguments somebody said."""


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
        self._near: dict[PastCall, bool] = {}  # not by their ids: another run may have the same

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
        marks = []
        for _, record, key in items:
            call = calls.get(record[0] if type(record) is tuple else record)
            marks.append(SAID if key in self else NEAR if call is not None and self._is_near(call) else PLAIN)
        return marks if any(marks) else None

    def _is_near(self, call: PastCall) -> bool:
        near = self._near.get(call)
        if near is None:
            near = self._near[call] = any(map(self.__contains__, call.args.values()))
        return near


@lru_cache(maxsize=256)
def _words(texts: tuple[str, ...]) -> Set[Hashable]:
    return frozenset().union(*[text_index(text).places for text in texts])
