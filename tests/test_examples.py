"""The scripts under `examples/` do what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(script: str, *arguments: str) -> str:
    """What a script prints."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / script), *arguments],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["processes", "dask"])
def test_bodies_run_in_other_processes(kind: str) -> None:
    """
    Results of bodies that ran in a pool of processes, or in a Dask cluster, are adopted: all four of them, unless the
    machine is so busy that a worker comes too late.
    """
    if kind == "dask":
        pytest.importorskip("distributed", reason="the extra `dask` is not installed")

    found = 0
    for _ in range(3):
        told = re.match(r"(\d) of 4 results of the last run came from other processes", run("executors/run.py", kind))
        assert told is not None
        found = int(told[1])
        if found:
            break

    assert found >= 1


def test_sessions_with_an_mcp_server_are_opened_ahead() -> None:
    """
    Each call of the warmed-up agent finds a session that was begun before it; what that saves, the script prints.
    """
    pytest.importorskip("mcp", reason="the extra `mcp` is not installed")
    printed = run("mcp_warm/run.py", "1").splitlines()

    assert re.fullmatch(r"plain \d+\.\d\d s, warmed up \d+\.\d\d s a run \(medians of 1\)", printed[0])
    assert printed[1] == "2 of 2 calls found a session that had been opened ahead"
