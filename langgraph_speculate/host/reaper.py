"""Ends what belonged to objects that were collected as garbage, outside of the collection.

A collection may come in the midst of any lock of ours, and in any thread: what takes another one there can wait for a
thread that waits for the first. So a finalizer only leaves a note, which a thread reads.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeAlias

from langgraph_speculate.host.threads import in_child, start_daemon

End = Callable[[], object]
Note: TypeAlias = "weakref.finalize[[End], Any]"
"""What is left when something is collected; it can be detached."""


class Reaper:
    """One thread, there from the first time on that somebody needs it.

    >>> reaper, ended = Reaper(), threading.Event()
    >>> class Loop: pass
    >>> loop = Loop()
    >>> _ = reaper.when_gone(loop, ended.set)
    >>> del loop
    >>> ended.wait(5.0)
    True
    """

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """Without a thread: a fork of the process has none."""
        self._lock = threading.Lock()
        self._gone: SimpleQueue[End] = SimpleQueue()  # its `put` may be called in the midst of itself
        self._is_there = False

    def when_gone(self, thing: object, end: End) -> Note:
        """Call *end*, which must not lead to *thing*, once that is collected."""
        with self._lock:
            if not self._is_there:
                start_daemon(self._work, "run-reaper")
                self._is_there = True
        note = weakref.finalize(thing, self._gone.put, end)
        note.atexit = False  # nothing outlives the process
        return note

    def _work(self) -> None:
        gone = self._gone
        while True:
            gone.get()()


REAPER = Reaper()
"""The process's own."""

in_child(REAPER.begin_anew)
