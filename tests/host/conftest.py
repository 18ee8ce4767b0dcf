"""Every test of the host ends with nothing left running and no internal error logged."""

from __future__ import annotations

import faulthandler
import gc
import logging
import threading
from collections.abc import Iterator

import pytest
from agents import World
from blockbuster import blockbuster_ctx

from langgraph_speculate.host.threads import THREADS

pytest.register_assert_rewrite("contracts")


@pytest.fixture(scope="session", autouse=True)
def small_heap() -> Iterator[None]:
    """What imports left is not looked through again by each `gc.collect()` of a test."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No speculation's thread survives its body, and no bug of the engine hides behind a warning."""
    for name in ("LANGGRAPH_SPECULATE", "LANGSMITH_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.delenv(name, raising=False)
    kept = _Kept()
    before, users = set(speculating_threads()), THREADS._users  # of tests elsewhere, with hung bodies
    log = logging.getLogger("langgraph_speculate")
    log.addHandler(kept)
    yield
    log.removeHandler(kept)
    for _ in range(4):
        for thread in set(speculating_threads()) - before:
            thread.join(0.5)
        if set(speculating_threads()) - before:
            gc.collect()  # a run of the middleware that was interrupted ends when its writer is collected
    left = set(speculating_threads()) - before
    # A run that a test elsewhere left open keeps the threads that bodies of this one have given back.
    is_theirs = THREADS._busy == 0 and 0 < THREADS._users <= users
    if left and not is_theirs:  # say where they hang
        faulthandler.dump_traceback(all_threads=True)
    assert not left or is_theirs
    broken = [record.getMessage() for record in kept.records if "internal error" in record.getMessage()]
    if request.node.get_closest_marker("errors_of_ours") is None:
        assert not broken
    if request.node.get_closest_marker("observers_raise") is None:
        assert not [record.getMessage() for record in kept.records if record.levelno >= logging.ERROR]


def speculating_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("speculate-") and thread.is_alive()]


@pytest.fixture(autouse=True)
def loops_are_never_blocked(request: pytest.FixtureRequest) -> Iterator[None]:
    """Wherever a loop runs, nothing of ours makes a blocking call in it."""
    if request.node.get_closest_marker("tools_block") is not None:
        yield
        return
    with blockbuster_ctx("langgraph_speculate") as watched:
        for function in watched.functions.values():  # a measurement of coverage takes a lock of its own
            function.can_block_in("coverage/collector.py", "lock_data")
        yield


@pytest.fixture
def world() -> Iterator[World]:
    """A world whose hung bodies are let go when the test ends."""
    made = World()
    yield made
    made.release.set()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "tools_block: a tool of the test blocks the loop, plain or not")
    config.addinivalue_line("markers", "errors_of_ours: the test breaks something of ours on purpose")
    config.addinivalue_line("markers", "observers_raise: the test makes an observer or predictor fail on purpose")
