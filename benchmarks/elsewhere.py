"""A model's server in a process of its own, as in life: in the agent's, both would take turns at one interpreter."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection

from langgraph_speculate.demo.loopback import LoopbackServer, Respond


@contextmanager
def elsewhere(respond: Respond) -> Iterator[str]:
    """Serve what *respond*, a function of a module, says; gives the address for `base_url`."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(theirs, respond), daemon=True)
    process.start()
    theirs.close()  # so that its death is noticed
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join()


def _serve(told: Connection, respond: Respond) -> None:
    with LoopbackServer(respond) as server:
        told.send(server.base_url)
        with suppress(EOFError):
            told.recv()
