"""The recordings that the benchmarks play, and the names they use for reading them.

The recordings lie beside the project (`../shared/traces`) and are not part of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from langgraph_speculate.traces import Run, Skipped, is_read_only, read_runs, split

__all__ = ["FOLDER", "Run", "is_read_only", "read", "split"]

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "traces"


def read(paths: Iterable[Path]) -> list[Run]:
    """Read the runs of trace files, all of them: a benchmark on what is left of a damaged file would be another one.

    Raises:
        ValueError: A file cannot be read, or a line is not a trace line.
    """
    return list(read_runs(paths, on_skip=_refuse))


def _refuse(skipped: Skipped) -> None:
    raise ValueError(f"{skipped.path}, line {skipped.line}: not a trace line ({skipped.reason})")
