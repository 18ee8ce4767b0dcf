"""What can wait until a request is on its way.

A model's client prepares its request before it waits for the first time: what an event loop does in between holds up
the first token. A round or two of the loop later the request has been sent, and what is done a moment after that costs
nobody anything, because the model is waited for anyway.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from langgraph_speculate.host.forecast import OURS_TO_PASS_ON

_ROUNDS = 4  # httpx with an open connection writes the head of a request in the first and its body in the second
_HOP_S = 0.002  # a handler that is not `run_inline` is called before the request, on another thread: so long at most
_MOMENT_S = 0.001  # the loop waits for once, so that a server on the same machine gets the processor it was woken up on
_LOG = logging.getLogger("langgraph_speculate")


class Later:
    """Work that is done once, a moment after a few rounds of an event loop or when somebody needs it; it never raises.

    Args:
        work: The work.
        loop: The loop that runs here and waits for the model, or None where a thread does: then it is done at once.
        after_s: Seconds before the rounds are counted.
    """

    def __init__(
        self, work: Callable[[], object], loop: asyncio.AbstractEventLoop | None, after_s: float = 0.0
    ) -> None:
        self._work: Callable[[], object] | None = work
        self._rounds = _ROUNDS
        self._loop = loop
        self._after_s = after_s
        self._doing = threading.RLock()  # nodes that are not async need it from threads of their own

    def start(self) -> None:
        """Let it be done, from now on."""
        if self._loop is None:
            self.now()
        elif self._after_s:
            self._loop.call_later(self._after_s, self._round)
        else:
            self._loop.call_soon(self._round)

    def now(self, *, wait: bool = True) -> None:
        """Do it, unless it has been done; if another thread is at it, wait for that, or do not."""
        if not self._doing.acquire(blocking=wait):
            return
        work, self._work = self._work, None
        try:
            if work is not None:
                work()
        except OURS_TO_PASS_ON:
            raise
        except BaseException:  # noqa: BLE001 - a guess must not break the run, nor the loop
            _LOG.exception("a model call could not be speculated beside; the run goes on without it")
        finally:
            self._doing.release()

    def _round(self) -> None:
        self._rounds -= 1
        if self._work is None or self._loop is None:
            return
        if self._rounds:
            self._loop.call_soon(self._round)
        else:
            self._loop.call_later(_MOMENT_S, self.now)


def before_request_s(config: Mapping[str, Any]) -> float:
    """Seconds that handlers of a model call which starts under *config* may take, on threads, before its request."""
    handlers = getattr(config.get("callbacks"), "handlers", ())
    return 0.0 if all(handler.run_inline for handler in handlers) else _HOP_S
