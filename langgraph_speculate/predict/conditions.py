"""Conditions: which records of a result an argument is taken from, such as the jobs that `failed`.

A condition is one word of a fixed vocabulary, or one flag, that the right record has and the others beside it have not.
Like a lens it stands where other programs have a template (`programs.py`). The word comes out of a payload: it waits
like others (`ledger.py`) before it is written down. That a value is the last of very many is a condition, too.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from langgraph_speculate.predict.indexes import Flag, Item
from langgraph_speculate.predict.sources import COPY, RunSources, Source
from langgraph_speculate.predict.values import value_key

LAST = "last"
_MOST = 4  # conditions seen at a time
# Shorter words in capitals are codes.
_WORD = re.compile(r"[A-Z]?[a-z]{2,}(?:[_ -][A-Za-z]+){0,2}|[A-Z]{4,}|[A-Z]+(?:[_ -][A-Z]+){1,2}")
_FLAG = re.compile(r"\?([^=]+)=(true|false)")


class Condition(NamedTuple):
    """What the record of a value has to hold.

    Attributes:
        key: The `value_key` of a word, or a flag.
        words: The condition, for people to read.
    """

    key: Hashable
    words: str

    def over(
        self, items: Sequence[Item], marks: Sequence[int] | None, sources: RunSources, source: Source
    ) -> tuple[Sequence[Item], Sequence[int] | None]:
        """What is left of *items*, and of how they are spoken of."""
        kept = [place for place, item in enumerate(items) if self.key in sources.held(item[1])]
        found = [marks[place] for place in kept] if marks is not None else ()
        return [items[place] for place in kept], found if any(found) else None


class Last(NamedTuple):
    """The last of all values at a place, however many there are: they are not told beyond the first few."""

    words: str = "the last of all"

    def over(
        self, items: Sequence[Item], marks: Sequence[int] | None, sources: RunSources, source: Source
    ) -> tuple[Sequence[Item], Sequence[int] | None]:
        """The last value of *source*; how it is spoken of is not looked at."""
        last = sources.last(source)
        return ((), None) if last is None else ((last,), None)


@lru_cache(maxsize=1024)
def condition_of(template: str) -> Condition | Last | None:
    """The condition of that name, or None for other templates.

    >>> condition_of("?failed"), condition_of("?is_default=true").key
    (Condition(key='failed', words='where failed'), Flag(field='is_default', value=True))
    """
    if template == LAST:
        return Last()
    if not template.startswith("?") or COPY in template:
        return None
    flag = _FLAG.fullmatch(template)
    return Condition(Flag(flag[1], flag[2] == "true") if flag else template[1:], f"where {template[1:]}")


def conditions(sources: RunSources, source: Source, value: Any) -> Sequence[str]:
    """The names of what is true of a value, or of its record, alone of those that *source* tells.

    Args:
        sources: What the run holds.
        source: Where the value was found in JSON results.
        value: The value.
    """
    items, key = sources.items(source), value_key(value)
    if len(items) < 2 or items[0][2] == key:  # the first one needs no reason
        return ()
    found = [place for place, item in enumerate(items) if item[2] == key]
    if not found:  # it stands beyond the first few
        last = sources.last(source)
        return [LAST] if last is not None and last[2] == key else ()
    marks = sources.marks(source)
    if marks is not None and marks[found[0]]:  # nor does what is spoken of
        return ()
    record = items[found[0]][1]
    others = {item[1] for item in items} - {record}
    if not others:
        return ()
    alone = set(sources.held(record)).difference(*map(sources.held, others))
    return sorted(filter(None, map(_name, alone)))[:_MOST]


def _name(key: Hashable) -> str:
    if type(key) is Flag:
        return f"?{key.field}={str(key.value).lower()}"
    return f"?{key}" if type(key) is str and len(key) <= 24 and _WORD.fullmatch(key) else ""
