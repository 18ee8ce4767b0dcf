"""Long loops of simulated runs: nothing printed, and the garbage collector kept to what they make."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from langgraph_speculate.host.threads import THREADS


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is printed, and what imports left is not looked through for garbage again and again."""
    log = logging.getLogger("langgraph_speculate")
    nothing = logging.NullHandler()
    log.addHandler(nothing)
    propagates, log.propagate = log.propagate, False  # predictors fail on purpose
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        log.propagate = propagates
        log.removeHandler(nothing)


@contextmanager
def pool_given_back() -> Iterator[None]:
    """A library that is broken on purpose may leave runs open; the pool of threads does not wait for those."""
    users = THREADS._users
    try:
        yield
    finally:
        THREADS._users = users
