"""Threads that work for a graph: there while there is work, in forks as well, and outside of collections of garbage."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading

import pytest

from langgraph_speculate.host.reaper import Reaper
from langgraph_speculate.host.worker import Worker

IN_A_FORK = """
import os, sys, threading
from langgraph_speculate.host.attempt import RUNNING
from langgraph_speculate.host.reaper import REAPER
from langgraph_speculate.host.threads import THREADS
from langgraph_speculate.host.worker import Worker


class Thing:
    pass


done, left = threading.Event(), [1]
THREADS.open()
THREADS.submit(done.set)
done.wait(5)
RUNNING.add(1)
hanging = threading.Event()
hung = Worker(lambda: hanging.wait(20), lambda: False, "hanging")
hung.start()
REAPER.when_gone(Thing(), lambda: None)

child = os.fork()
if not child:
    ran, gone, thing = threading.Event(), threading.Event(), Thing()
    hung._work = lambda: left.pop()
    REAPER.when_gone(thing, gone.set)
    del thing
    well = [
        THREADS.submit(ran.set) and ran.wait(5),
        hung.start() and hung.wait(5) and not left,
        gone.wait(5),
        RUNNING.count == 0,
    ]
    print(well, flush=True)
    os._exit(0)
os.waitpid(child, 0)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_in_a_fork_of_the_process_all_threads_are_there_again() -> None:
    """
    The parent forks while a body, a worker and the reaper have threads: none of the child's waits for one of those.
    """
    done = subprocess.run([sys.executable, "-c", IN_A_FORK], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["[True,", "True,", "True,", "True]"], done.stderr


def test_what_is_left_of_a_collected_object_ends_in_a_thread_of_its_own() -> None:
    """
    A collection may come while the collecting thread holds a lock that the end needs.
    """

    class Loop:
        def __init__(self) -> None:
            self.me = self

    reaper, lock, ended = Reaper(), threading.Lock(), threading.Event()
    loop = Loop()

    def end() -> None:
        with lock:
            ended.set()

    reaper.when_gone(loop, end)
    with lock:
        del loop
        gc.collect()
        assert not ended.is_set()
    assert ended.wait(20)


def test_a_worker_that_was_told_of_work_while_it_ends_does_that_too() -> None:
    """
    Whoever makes work calls `start` afterwards, and nothing that was made so is left, however often that crosses.
    """
    made: list[int] = []
    done: list[int] = []
    worker = Worker(lambda: done.append(made.pop()) if made else None, lambda: bool(made), "busy")
    for number in range(2_000):
        made.append(number)
        assert worker.start()
    assert worker.wait(20)
    assert len(done) == 2_000
