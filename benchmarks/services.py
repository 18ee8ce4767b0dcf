"""What tools share and can use up: slots that calls wait for, and an API that rejects what comes too often.

A service keeps account of who was in whose way. An early body is told from a real one as any tool can tell it
(`current_speculation`), and one that answered a call in the end was work that was wanted anyway.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from langgraph_speculate import current_speculation
from langgraph_speculate.host import clock

INSTANT_S = 0.001  # in real time a free place takes a moment, too


@dataclass(eq=False)
class Use:
    """One body that came to a service.

    Attributes:
        early: It ran ahead.
        wanted: It was a real call's, or answered one in the end.
        at: When it was let in.
        waited_s: Seconds it stood in line.
        rejected: It was told to come again later.
        left: When it left its place, or the line; None while it is there.
        before: Early bodies that held a place, or stood in line, when it had to wait or was rejected.
    """

    early: bool
    wanted: bool
    at: float
    waited_s: float = 0.0
    rejected: bool = False
    left: float | None = None
    before: list[Use] = field(default_factory=list)

    @classmethod
    def begin(cls) -> Use:
        """That of the body that runs."""
        speculation = current_speculation()
        use = cls(speculation is not None, speculation is None, clock.now())
        if speculation is not None:
            speculation.on_commit(use._adopted)
        return use

    def _adopted(self) -> None:
        self.wanted = True

    @property
    def unwanted(self) -> list[Use]:
        """Those of `before` that were run for nobody."""
        return [other for other in self.before if not other.wanted]

    @property
    def for_unwanted_s(self) -> float:
        """Seconds that it stood in line while one of these was still there: the most that they can have cost it."""
        came = self.at - self.waited_s
        until = max((self.at if use.left is None else use.left for use in self.unwanted), default=came)
        return max(0.0, min(until, self.at) - came)


class Service(Protocol):
    """What every body has to be let into.

    Attributes:
        uses: Every body that came, in order.
    """

    uses: list[Use]

    def __call__(self) -> AbstractAsyncContextManager[None]:
        """Come in, and leave at the end."""
        ...


class Slots:
    """A pool of places, and a line in which every body waits for one, first come, first served.

    Args:
        count: Of places.
    """

    def __init__(self, count: int) -> None:
        self.uses: list[Use] = []
        self._free = asyncio.Semaphore(count)
        self._inside: list[Use] = []

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        use = Use.begin()
        came = use.at
        early = [other for other in self._inside if other.early]
        self.uses.append(use)
        self._inside.append(use)
        try:
            async with self._free:
                use.at = clock.now()
                use.waited_s = use.at - came
                use.before = early
                yield
        finally:
            use.left = clock.now()
            self._inside.remove(use)


class TooManyRequests(Exception):
    """The API's answer to what comes too often."""

    status_code = 429


class Api:
    """An API that lets so many requests in within any window and rejects the others.

    Args:
        most: Requests.
        window_s: Of a window that slides.
    """

    def __init__(self, most: int, window_s: float = 1.0) -> None:
        self.uses: list[Use] = []
        self._most = most
        self._window_s = window_s
        self._recent: deque[Use] = deque()

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        use = Use.begin()
        self.uses.append(use)
        while self._recent and self._recent[0].at <= use.at - self._window_s:
            self._recent.popleft()
        if len(self._recent) >= self._most:
            use.rejected = True
            use.before = [other for other in self._recent if other.early]
            raise TooManyRequests("429: slow down")
        self._recent.append(use)
        yield
