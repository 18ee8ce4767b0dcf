"""Templates: a text with a slot, such as `cat {}`, that a value found elsewhere is filled into.

Which parts of a text may have been filled in is guessed here: whole words, and what stands between two signs inside of
one (`repo:{}`, `/orders/{}.json`). Whether something was is shown by two values in one slot, see `arguments.py`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Set

from langgraph_speculate.predict.sources import COPY

MAX_TEXT = 160  # characters of a text that is looked at
_MAX_AROUND = 60  # characters around the slot
_WORDS = 12  # of a text that are looked at
_CUT = 4  # of those words that are looked into
_FIRST, _LAST = 4, 4  # signs at which a word is cut, from either end
_WORD = re.compile(r"[\w./@#:+-]+")
_EDGE = re.compile(r"[./@#:+=&?~-]")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def parts(text: str) -> Collection[str]:
    """Parts of a text that may have been filled in: words, and the day of a date.

    >>> parts("cat notes.txt"), parts("2024-05-20")
    (['cat', 'notes.txt'], ['05-20'])
    """
    if COPY in text:
        return ()
    found = [word for word in _WORD.findall(text)[:_WORDS] if len(word) >= 2]
    if _DATE.fullmatch(text):
        found.append(text[5:])
    return _filled(text, found)


def pieces(text: str) -> Collection[str]:
    """Parts of words that may have been filled in: what stands between two signs, or beside one.

    >>> pieces("repo:acme/web")
    ['acme', 'acme/web', 'repo', 'repo:acme', 'web']
    """
    if COPY in text or _DATE.fullmatch(text):
        return ()
    found: set[str] = set()
    for match in list(_WORD.finditer(text))[:_CUT]:
        word = match[0]
        cuts = [edge.start() for edge in _EDGE.finditer(word)]
        if len(cuts) > _FIRST + _LAST:
            cuts[_FIRST:-_LAST] = []
        if cuts:
            cuts = [-1, *cuts, len(word)]
            found.update([word[a + 1 : b] for at, a in enumerate(cuts) for b in cuts[at + 1 :] if b - a > 2])
            found.discard(word)
    return _filled(text, sorted(found))


def _filled(text: str, found: Collection[str]) -> list[str]:
    least = len(text) - _MAX_AROUND
    return [one for one in dict.fromkeys(found) if len(one) >= least and one != text and text.count(one) == 1]


def slots(template: str, keys: Set[Hashable]) -> Set[Hashable]:
    """What has to be filled into a template to get the values of these keys.

    Taking values out of a template is far less work than filling all items of a source into it.

    >>> slots("cat {}", {"cat notes.txt", "ls"})
    {'notes.txt'}
    """
    if COPY not in template or template == COPY or not keys:  # nothing is filled into a lens
        return keys
    before, _, after = template.partition(COPY)
    least, end = len(before) + len(after), -len(after) or None
    return {
        key[len(before) : end]
        for key in keys
        if type(key) is str and len(key) >= least and key.startswith(before) and key.endswith(after)
    }
