"""What a measurement is kept apart from: proxies, tracing, a switch in the environment, other cores, garbage."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

from langsmith import tracing_context

from langgraph_speculate.policy.levels import ENVIRONMENT_VARIABLE


@contextmanager
def undisturbed() -> Iterator[None]:
    """Reach loopback directly, trace nothing, and let only the policy say whether anything runs ahead."""
    before = dict(os.environ)
    others = before.get("no_proxy") or before.get("NO_PROXY")
    os.environ["no_proxy"] = f"{others},127.0.0.1" if others else "127.0.0.1"
    os.environ.pop(ENVIRONMENT_VARIABLE, None)
    try:
        with tracing_context(enabled=False):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def one_core() -> Iterator[int | None]:
    """Keep this process on one core, where the system can; yields which."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def own_garbage() -> Iterator[None]:
    """Garbage of before is not looked at while something is measured; that of the measured is, as in any process."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def no_collection() -> Iterator[None]:
    """Collect garbage before, and not during."""
    with own_garbage():
        gc.disable()
        try:
            yield
        finally:
            gc.enable()
