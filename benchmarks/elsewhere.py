"""A server in a process of its own, as in life: in the agent's, both would take turns at one interpreter."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any


@contextmanager
def elsewhere(serve: Callable[..., None], *given: Any) -> Iterator[Connection]:
    """Call *serve*, a function of a module, with one end of a pipe and what is *given*; gives the other end.

    When that is closed, *serve* finds the end of the file, which ends it.
    """
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_run, args=(serve, theirs, *given), daemon=True)
    process.start()
    theirs.close()  # so that its death is noticed
    try:
        yield ours
    finally:
        ours.close()
        process.join()


def _run(serve: Callable[..., None], pipe: Connection, *given: Any) -> None:
    with suppress(EOFError):
        serve(pipe, *given)
