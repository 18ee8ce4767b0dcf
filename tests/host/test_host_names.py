"""Ids that nobody else gives."""

from __future__ import annotations

import subprocess
import sys

import pytest

from langgraph_speculate.host.names import Names

FORKED = """
import os
from langgraph_speculate.host.names import Names

names = Names()
print(names.next(), flush=True)
for _ in range(2):
    if os.fork() == 0:
        print(names.next(), flush=True)
        os._exit(0)
    os.wait()
print(names.next(), flush=True)
"""


def test_ids_of_one_graph_are_counted():
    """
    They share a beginning, by which those of two graphs are told apart.
    """
    names, others = Names(), Names("w")
    first, second = names.next(), names.next()
    assert (first.rpartition("-")[2], second.rpartition("-")[2]) == ("1", "2")
    assert first.rpartition("-")[0] == second.rpartition("-")[0]
    assert others.next().rpartition("-")[2] == "w1"
    assert others.next().rpartition("-")[0] != first.rpartition("-")[0]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork on Windows")
def test_processes_that_were_one_do_not_give_the_same_ids():
    """
    Servers fork after the graph was wrapped; what their runs write into one log must not look like one run.
    """
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, check=True)
    ids = done.stdout.split()
    assert len(ids) == len(set(ids)) == 4
    begin = [id.rpartition("-")[0] for id in ids]
    assert begin[0] == begin[3]  # the parent goes on
    assert len(set(begin)) == 3
