"""Runs written down as neutral lines, whatever they were read from."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BufferedWriter
from typing import BinaryIO, cast

import orjson

from langgraph_speculate.errors import TraceError
from langgraph_speculate.observe.files import append_to, is_cut
from langgraph_speculate.traces.lines import Limits, lines, parsed, read_each
from langgraph_speculate.traces.neutral import run_of
from langgraph_speculate.traces.runs import Run
from langgraph_speculate.traces.skips import Malformed, Skipped, on_one_line

_BEGINNING = b'{"id":'  # of every line that is written here
_ANY = Limits(line_bytes=256_000_000, values=256_000_000, depth=256)  # what was written may exceed what is read


@dataclass
class Converted:
    """What came of it: how many runs were written, and how many the file held already."""

    runs: int = 0
    known: int = 0


def line_of(run: Run) -> bytes:
    """The neutral line of a run, with its end.

    >>> line_of(Run("r-1", "refund", [{"role": "user", "content": "Hello."}]))
    b'{"id":"r-1","task_id":"refund","events":[{"role":"user","content":"Hello."}]}\\n'
    """
    record = {"id": run.id, "task_id": run.task, "events": list(run.events)}
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


def convert(runs: Iterable[Run], path: str | os.PathLike[str]) -> Converted:
    """Append *runs* to a file of neutral lines, but for those that it holds, so that it may be stopped and repeated.

    Args:
        runs: From anywhere.
        path: The file; one that ends in `.gz` is packed.

    Raises:
        TraceError: The file cannot be written, is packed and damaged, or holds something else than neutral lines.
    """
    done = Converted()
    try:
        known = set(_ids(os.fspath(path)))
        with _opened(path) as file:
            for run in runs:
                if run.id in known:
                    done.known += 1
                    continue
                known.add(run.id)
                file.write(line_of(run))
                done.runs += 1
    except OSError as error:
        raise TraceError(f"{on_one_line(os.fspath(path))}: cannot be written: {error.strerror}") from None
    return done


def _ids(path: str) -> Iterator[str]:
    """Of the runs that a file holds, which is to be added to."""
    held = lines(path, _ANY) if os.path.isfile(path) else ()
    for found in read_each(held, path, _id_in):
        if isinstance(found, Skipped):
            where = on_one_line(path)
            raise TraceError(
                f"{where} holds something else than neutral lines, and stays as it is: {found}; begin a new file"
            )
        if found[1] is not None:
            yield found[1]


def _id_in(line: bytes) -> str | None:
    """Of the run that a line is; None if it breaks off, because converting was stopped.

    Raises:
        Malformed: It is neither.
    """
    try:
        return run_of(parsed(line, _ANY), _ANY).id
    except Malformed:
        if is_cut(line, _BEGINNING):
            return None
        raise


def _opened(path: str | os.PathLike[str]) -> BinaryIO:
    if os.fspath(path).endswith(".gz"):  # what is added to a packed file is a part of its own, which gzip allows
        return cast(BinaryIO, gzip.open(path, "ab"))
    return BufferedWriter(append_to(path))
