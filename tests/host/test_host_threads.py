"""The process's threads for bodies: none that has died waits for work."""

from __future__ import annotations

import logging
import threading

import pytest

from langgraph_speculate.host.threads import Threads


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_thread_outlives_whatever_its_job_raises(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    The next job runs, in the same thread, the pool is not busy for ever, and the log says that something is wrong.
    """
    monkeypatch.setattr("langgraph_speculate.host.threads._LOG", logging.getLogger("apart"))

    def fail() -> None:
        names.append(threading.current_thread().ident)
        raise error

    names: list[int | None] = []
    pool, done = Threads(max_busy=1), threading.Event()
    pool.open()
    assert pool.submit(fail)
    while not pool.submit(lambda: (names.append(threading.current_thread().ident), done.set())):
        pass
    assert done.wait(5)
    pool.close()
    assert names[0] == names[1]
    assert caplog.messages == [f"speculation: an internal error in a thread: {error.__name__}"]
