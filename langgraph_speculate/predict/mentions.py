"""What is being spoken of: the values that the user and the model wrote of lately, and the calls made with them.

Of many values that stand in results, those are the likelier ones. What was said is only looked up here, never counted.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence, Set

from langgraph_speculate.core.history import PastCall
from langgraph_speculate.predict.indexes import Item, text_index

_DAY = 10  # characters of a whole date

PLAIN, SAID, NEAR = 0, 1, 2
"""An item that nobody spoke of; one that somebody said; one in the result of a call whose arguments somebody said."""


class Mentions:
    """The values in a few texts.

    Args:
        texts: What was said lately.
        calls: The calls that may be near.

    >>> mentions = Mentions(["I fly on May 20 with HAT039."], ())
    >>> [key in mentions for key in ("HAT039", "2024-05-20", "HAT040", ("int", 20))]
    [True, True, False, False]
    """

    def __init__(self, texts: Iterable[str], calls: Iterable[PastCall]) -> None:
        self._places = [text_index(text).places for text in texts]
        self._near: Set[Hashable] = (
            {call.id for call in calls if any(value in self for value in call.args.values() if type(value) is str)}
            if self._places
            else frozenset()
        )

    def __contains__(self, key: Hashable) -> bool:
        if type(key) is not str:
            return False
        day = key[5:] if len(key) == _DAY and key[4] == "-" else None
        return any(key in places or (day is not None and day in places) for places in self._places)

    def marks(self, items: Sequence[Item]) -> Sequence[int] | None:
        """For each item how it is spoken of, or None where none of them is."""
        if not self._places:
            return None
        marks = [SAID if key in self else NEAR if self._is_near(record) else PLAIN for _, record, key in items]
        return marks if any(marks) else None

    def _is_near(self, record: Hashable) -> bool:
        return (record[0] if type(record) is tuple else record) in self._near
