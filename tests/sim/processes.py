"""The same runs in several processes, each with its own order of hashes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

_SHOW = """
import hashlib
from tests.sim.side import run_side
from tests.sim.{zoo} import ZOO
for seed in {seeds}:
    side = run_side(ZOO.program_of(seed), True)
    seen = [(v.state, v.error, v.chunks, v.events, v.history, v.ended) for v in side.visits.values()]
    log = [(type(e).__name__, e.at) for e in side.happened]
    text = repr((seen, log, side.world.log, side.world.bodies, side.ran.loop.steps))
    print(seed, hashlib.sha256(text.encode()).hexdigest())
"""


def shown_by_processes(zoo: str, seeds: Iterable[int], hash_seeds: Iterable[str]) -> list[str]:
    """What a process for each of *hash_seeds* shows of the programs of *seeds*: a line each, with a hash of the run.

    Args:
        zoo: The module of the zoo.
        seeds: Of programs.
        hash_seeds: Values of `PYTHONHASHSEED`.
    """
    root = Path(__file__).parents[2]
    return [
        subprocess.run(
            [sys.executable, "-c", _SHOW.format(zoo=zoo, seeds=list(seeds))],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in hash_seeds
    ]
