"""What a measurement is kept apart from: proxies, tracing services and a switch in the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from langsmith import tracing_context

from langgraph_speculate.policy.settings import ENVIRONMENT_VARIABLE


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
