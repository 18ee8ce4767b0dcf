"""Calls in a moving window, as a storage for the strategies of `limits`.

The one that comes with `limits` forgets in a thread and reads the wall clock. This one forgets when it is asked, at the
time of whoever asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict

from limits.storage.base import MovingWindowSupport, Storage


class Windows(Storage, MovingWindowSupport):
    """When calls were made, by key.

    Attributes:
        now: The time, in seconds of any clock; set it before each use.

    >>> from limits import parse
    >>> from limits.strategies import MovingWindowRateLimiter
    >>> windows = Windows()
    >>> limiter, rate = MovingWindowRateLimiter(windows), parse("1/second")
    >>> limiter.hit(rate), limiter.hit(rate)
    (True, False)
    >>> windows.now = 1.5
    >>> limiter.hit(rate)
    True
    """

    STORAGE_SCHEME = None

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._calls: defaultdict[str, list[float]] = defaultdict(list)
        self._expiry: dict[str, float] = {}

    @property
    def base_exceptions(self) -> tuple[type[Exception], ...]:
        """What may go wrong while it is used: nothing."""
        return ()

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Note *amount* calls if there are no more than *limit* then in *expiry* seconds."""
        if len(self._within(key, expiry)) + amount > limit:
            return False
        self.incr(key, expiry, amount)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        """When the oldest call in the window was, and how many there are."""
        calls = self._within(key, expiry)
        return (calls[0] if calls else self.now), len(calls)

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Note *amount* calls, whatever the limit, and return how many there are."""
        calls = self._within(key, expiry)
        calls.extend([self.now] * amount)
        return len(calls)

    def get(self, key: str) -> int:
        """How many calls there are."""
        return len(self._within(key, self._expiry.get(key, 0.0)))

    def get_expiry(self, key: str) -> float:
        """When the oldest call leaves the window."""
        expiry = self._expiry.get(key, 0.0)
        calls = self._within(key, expiry)
        return (calls[0] if calls else self.now) + expiry

    def check(self) -> bool:
        """Whether it can be used: always."""
        return True

    def reset(self) -> int:
        """Forget everything; returns how many keys there were."""
        count = len(self._calls)
        self._calls.clear()
        return count

    def clear(self, key: str) -> None:
        """Forget the calls of a key."""
        self._calls.pop(key, None)

    def _within(self, key: str, expiry: float) -> list[float]:
        """The calls of the last *expiry* seconds, oldest first; others are forgotten."""
        calls = self._calls[key]
        if calls and calls[-1] > self.now:  # clocks should not, but do, go back: those calls are of another time
            calls.clear()
        del calls[: bisect_left(calls, self.now - expiry)]
        self._expiry[key] = expiry
        return calls
