"""What can wait until a request is on its way.

A model's client prepares its request before it waits for the first time: what an event loop does in between holds up
the first token. A round or two of the loop later the request has been sent, and what is done then costs nobody
anything, because the model is waited for anyway.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from langgraph_speculate.host.runner import running_loop

_ROUNDS = 4  # httpx with an open connection writes the head of a request in the first and its body in the second
_LOG = logging.getLogger("langgraph_speculate")


class Later:
    """Work that is done once, a few rounds of an event loop later or when somebody needs it.

    Args:
        work: The work.
        loop: The loop, or None. On another thread than the loop's, or without one, the work is done at once.
    """

    def __init__(self, work: Callable[[], object], loop: asyncio.AbstractEventLoop | None) -> None:
        self._work: Callable[[], object] | None = work
        self._rounds = _ROUNDS
        if loop is None or running_loop() is not loop:
            self.now()
        else:
            self._loop = loop
            loop.call_soon(self._round)

    def now(self) -> None:
        """Do it, unless it has been done or is not to be done any more."""
        work, self._work = self._work, None
        if work is not None:
            work()

    def never(self) -> None:
        """It is not to be done any more."""
        self._work = None

    def _round(self) -> None:
        self._rounds -= 1
        if self._work is not None and self._rounds:
            self._loop.call_soon(self._round)
            return
        try:
            self.now()
        except Exception:  # noqa: BLE001 - a bug of ours must not become the loop's
            _LOG.exception("a model call could not be speculated beside; the run goes on without it")
