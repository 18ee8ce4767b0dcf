"""A dictionary that forgets what was not touched for the longest time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(OrderedDict[Key, Value]):
    """At most *size* entries. Only `touch` and `put` add and refresh; reading with `get` changes nothing.

    (cachetools' LRU counts a read as a use, so a prediction would change what is remembered.)

    >>> recent = Recent(2)
    >>> for key in "abac":
    ...     _ = recent.touch(key, list)
    >>> list(recent)
    ['a', 'c']
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def touch(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the entry of *key*, made if there is none, as the freshest one."""
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value)
        else:
            self.move_to_end(key)
        return value

    def put(self, key: Key, value: Value) -> None:
        """Have *value* as the entry of *key*, the freshest one."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self.size:
            self.popitem(last=False)
