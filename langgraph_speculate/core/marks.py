"""What calls read and write, as marks: hashes that still tell whether two calls touch the same resource.

A log must not show tags, because they hold arguments; yet whoever checks it has to know which writes touched which
reads. A tag without `*` is marked by its hash, `=hash`. A pattern is marked by its length and the hash of what stands
before the `*`, `*length:hash`; and because a pattern covers all tags with that beginning, every tag also shows the
hashes of its own beginnings, `length:hash`, but only of lengths that some pattern of these resources has had so far.

That is enough to judge a read that was launched before a write and wanted after it, if the lengths of what is read are
noted at launch, and marks are made when the write begins or ends and again when the result is wanted: each side then
knows the lengths of the other's patterns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import xxhash

from langgraph_speculate.policy.templates import EVERYTHING


class Marks:
    """Makes the marks of one set of resources.

    Args:
        seed: A 64-bit number that goes into every hash. With a secret one, marks tell nothing about tags, and those of
            different seeds cannot be compared.

    >>> marks = Marks()
    >>> marks.note({"order:*"})
    >>> written = marks.of({"order:7"})
    >>> touching(marks.of({"order:*"}), written), touching(marks.of({"order:8"}), written)
    (True, False)
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._lengths: set[int] = set()

    def note(self, tags: Iterable[str]) -> None:
        """Remember the lengths of the patterns among *tags*: from now on marks show beginnings of these lengths."""
        self._lengths.update(len(tag) - 1 for tag in tags if tag.endswith(EVERYTHING))

    def of(self, tags: Collection[str]) -> tuple[str, ...]:
        """The marks of *tags*, sorted, each once; patterns among them are noted."""
        self.note(tags)
        marks: set[str] = set()
        for tag in tags:
            pattern = tag.endswith(EVERYTHING)
            text = tag[:-1] if pattern else tag
            marks.add(f"*{len(text)}:{self._hash(text)}" if pattern else f"={self._hash(text)}")
            marks.update(f"{length}:{self._hash(text[:length])}" for length in self._lengths if length <= len(text))
        return tuple(sorted(marks))

    def _hash(self, text: str) -> str:
        return xxhash.xxh3_64_hexdigest(text.encode("utf-8", "surrogatepass"), seed=self._seed)


def touching(left: Collection[str], right: Collection[str]) -> bool:
    """Whether two sets of marks can stand for the same resource.

    >>> touching(["=a"], ["=a"]), touching(["*2:b"], ["2:b", "=c"]), touching(["2:b", "=a"], ["2:b", "=c"])
    (True, True, False)
    """
    return _covers(left, right) or _covers(right, left)


def _covers(patterns: Collection[str], tags: Collection[str]) -> bool:
    others = frozenset(tags)
    # "=hash" is on both sides; "*length:hash" stands for whatever shows that beginning.
    return any(mark in others if mark[:1] == "=" else mark[:1] == "*" and mark[1:] in others for mark in patterns)
