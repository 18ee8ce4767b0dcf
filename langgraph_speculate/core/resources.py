"""Which resources calls read and write, and whether one changed since a read began.

Optimistic concurrency control (Kung and Robinson, 1981): a read notes the epoch before it starts, a write bumps the
epoch of what it touches when it starts **and** when it ends, and a result is used only if nothing it read was bumped
since. No read may begin while an overlapping write is under way, so an unchanged epoch means the value was current.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any

from langgraph_speculate.core.marks import Marks
from langgraph_speculate.policy.templates import EVERYTHING, touched

_MAX_TAGS = 4096


def render(templates: Iterable[str], args: Mapping[str, Any]) -> frozenset[str]:
    """Fill resource templates from a call's arguments; one that cannot be filled becomes `"*"`, everything.

    A tag that ends in `*` stands for all tags with that beginning. Values that may be one to another tool have a tag in
    common.

    >>> sorted(render(["order:{order_id}", "stock:*"], {"order_id": 7}))
    ['order:7', 'stock:*']
    >>> render(["order:{order_id}"], {})
    frozenset({'*'})
    """
    return frozenset[str]().union(*(touched(template, args) for template in templates))


def overlap(left: str, right: str) -> bool:
    """Whether two tags can name the same resource.

    >>> overlap("order:*", "order:7"), overlap("order:7", "order:8"), overlap("*", "stock")
    (True, False, True)
    """
    if left.endswith(EVERYTHING):
        return right.startswith(left[:-1]) or (right.endswith(EVERYTHING) and left.startswith(right[:-1]))
    return left.startswith(right[:-1]) if right.endswith(EVERYTHING) else left == right


class Epochs:
    """The epoch of every resource, shared by all runs that may touch the same world.

    Args:
        world: A name in logs; each instance needs its own, because each counts epochs from 0.
        partition: A hash of what sets the users of these resources apart, for logs.
        seed: Goes into the hashes of tags in logs.

    Attributes:
        now: The latest epoch: how many writes have begun or ended.
        marks: Makes what logs show of tags.

    >>> epochs = Epochs()
    >>> before = epochs.now
    >>> epochs.begin_write(frozenset({"order:7"})); epochs.end_write(frozenset({"order:7"}))
    >>> epochs.changed(frozenset({"order:7"}), since=before), epochs.changed(frozenset({"order:8"}), since=before)
    (True, False)
    """

    def __init__(self, world: str = "", partition: str = "", seed: int = 0) -> None:
        self.world = world
        self.partition = partition
        self.marks = Marks(seed)
        self.now = 0
        self._bumped: dict[str, int] = {}
        self._floor = 0
        self._writing: Counter[str] = Counter()

    def begin_write(self, tags: frozenset[str]) -> None:
        """A write to *tags* starts: nothing that overlaps may be read ahead until it ends."""
        self._writing.update(tags)
        self._bump(tags)

    def end_write(self, tags: frozenset[str]) -> None:
        """The write ended, one way or another."""
        self._writing.subtract(tags)
        self._writing += Counter()
        self._bump(tags)

    def changed(self, tags: frozenset[str], *, since: int) -> bool:
        """Whether a write to anything in *tags* started or ended after epoch *since*."""
        if self.now == since:
            return False
        if self._floor > since:
            return bool(tags)
        # The latest come first: who reads began a moment ago, and thousands of tags may have been written before.
        latest = takewhile(lambda bumped: bumped[1] > since, reversed(self._bumped.items()))
        return any(_touches(tags, tag) for tag, _ in latest)

    def writing(self, tags: frozenset[str]) -> bool:
        """Whether a write that overlaps *tags* is under way."""
        return any(_touches(tags, tag) for tag in self._writing)

    def _bump(self, tags: frozenset[str]) -> None:
        if not tags:
            return
        self.now += 1
        for tag in tags:
            self._bumped.pop(tag, None)  # to stand last again
            self._bumped[tag] = self.now
        if len(self._bumped) > _MAX_TAGS:
            # Forgetting must never make a read look fresh: every read older than this counts as changed from now on.
            self._floor = self.now
            self._bumped.clear()


def _touches(tags: frozenset[str], tag: str) -> bool:
    return tag in tags or any(overlap(mine, tag) for mine in tags)
