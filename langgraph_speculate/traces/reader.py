"""Runs out of files, folders and patterns of them: which files, in which order.

What each of them holds is told, and read, by `readers/`.
"""

from __future__ import annotations

import glob
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

from langgraph_speculate.errors import TraceError
from langgraph_speculate.policy.checks import did_you_mean
from langgraph_speculate.traces.lines import Limits
from langgraph_speculate.traces.readers import SOURCES, runs_in
from langgraph_speculate.traces.readers.sources import is_remote
from langgraph_speculate.traces.runs import Run
from langgraph_speculate.traces.skips import Skipped, Skips, on_one_line

_LOG = logging.getLogger("langgraph_speculate")
_NAMES = (".jsonl", ".jsonl.gz", ".parquet", ".csv", ".sqlite")  # what counts as traces in a folder

OnSkip = Callable[[Skipped], object]
OnBytes = Callable[[int, int], object]


@dataclass(frozen=True, slots=True)
class _Place:
    """A file to read: its path, what tells it from others whatever its path, its bytes as it lies there."""

    path: str
    identity: tuple[object, ...]
    size: int


def read_runs(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    on_skip: OnSkip | None = None,
    limits: Limits | None = None,
    on_bytes: OnBytes | None = None,
    source: str | None = None,
) -> Iterator[Run]:
    """Yield the runs of traces one by one, in constant memory. Files are opened in the order given, each once.

    Args:
        paths: Files of any format in `readers.SOURCES` (lines may be packed with gzip), folders of `.jsonl`,
            `.jsonl.gz`, `.parquet`, `.csv` and `.sqlite` files at any depth, or patterns such as `logs/**/*.jsonl`;
            links to folders are not followed. `postgresql://…` is a checkpointer's database, `langsmith:PROJECT` a
            project.
        on_skip: Called with each line or file that is left out, such as a `Skips`; None: one warning at the end.
        limits: How much one file may ask for.
        on_bytes: Called after each line with how many bytes of all files have been read, and of how many (packed ones).
        source: The format of all files; None: each file's is told by what it holds.

    Raises:
        TraceError: A named file does not exist or cannot be opened, a folder or pattern holds no traces, or there is no
            such format. Raised by the call itself, before anything is read.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lines = '{"id": "r-1", "events": []}\\nno JSON\\n'
    ...     _ = pathlib.Path(folder, "runs.jsonl").write_text(lines)
    ...     skips = Skips()
    ...     [run.id for run in read_runs(folder, on_skip=skips)], skips.count
    (['r-1'], 1)
    """
    if on_skip is None:
        skips = Skips()
        return _then_warn(read_runs(paths, on_skip=skips, limits=limits, on_bytes=on_bytes, source=source), skips)
    if source is not None and source not in SOURCES:
        raise TraceError(f"no source {source!r}{did_you_mean(source, SOURCES)}; there are {', '.join(SOURCES)}")
    named = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    early: list[Skipped] = []
    places = {place.identity: place for path in named for place in _places(os.fspath(path), early.append)}
    reader = partial(runs_in, limits=limits or Limits(), source=source)
    return _runs(list(places.values()), early, on_skip, reader, on_bytes)


def at_least_one(runs: Iterator[Run], skips: Skips, where: str = "the traces hold") -> Iterator[Run]:
    """The same runs, once the first of them has been read.

    Args:
        runs: Of `read_runs`.
        skips: Its *on_skip*.
        where: How to begin to say that there is none.

    Raises:
        TraceError: There is none; the message says why, and names the package that would be needed.
    """
    before = skips.count
    for first in runs:
        return chain([first], runs)
    example = skips.first if skips.count > before else None  # what other traces left out is not why
    if example is not None and example.is_for_want_of_a_package:
        raise TraceError(f"{example.where}: {example.reason}: {example.detail}")
    left_out = skips.count - before
    if example is None:
        raise TraceError(f"{where} no run, nor anything that had to be skipped: was nothing recorded into it?")
    why = f": {example}" if left_out == 1 else f"; {left_out} lines or files were skipped, such as {example}"
    raise TraceError(f"{where} no run{why}")


def _then_warn(runs: Iterator[Run], skips: Skips) -> Iterator[Run]:
    yield from runs
    if skips.count:
        _LOG.warning("%s", "; ".join(skips.lines()))


def _runs(
    places: list[_Place],
    early: list[Skipped],
    on_skip: OnSkip,
    reader: Callable[..., Iterator[Run | Skipped]],
    on_bytes: OnBytes | None,
) -> Iterator[Run]:
    for skipped in early:
        on_skip(skipped)
    total, before = sum(place.size for place in places), 0
    for place in places:
        tell = None if on_bytes is None else _telling(on_bytes, before, total)
        for found in reader(place.path, on_bytes=tell):
            if isinstance(found, Skipped):
                on_skip(found)
            else:
                yield found
        before += place.size
        if on_bytes is not None:
            on_bytes(before, total)


def _telling(on_bytes: OnBytes, before: int, total: int) -> Callable[[int], None]:
    def tell(read: int) -> None:
        on_bytes(min(before + read, total), total)

    return tell


# -- which files -------------------------------------------------------------------------------------------------------


def _places(path: str, on_skip: OnSkip) -> Iterator[_Place]:
    """The files that one argument names, sorted where it does not name them one by one."""
    if is_remote(path):
        yield _Place(path, (path,), 0)
        return
    try:
        pattern = glob.has_magic(path) and not os.path.lexists(path)
        if not pattern and not os.path.isdir(path):
            yield _named(path)
            return
        found = list(_matching(path, on_skip) if pattern else _inside(path, on_skip))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        remedy = "check the path" if isinstance(error, FileNotFoundError) else "name a file or a folder you may read"
        raise TraceError(f"{on_one_line(path)}: the traces cannot be opened: {reason}; {remedy}") from None
    count = 0
    for inner in found:
        try:
            place = _place(inner)
        except OSError as error:
            on_skip(Skipped(inner, 0, "cannot be opened", error.strerror or type(error).__name__))
        else:
            count += 1
            yield place
    if not count:
        raise TraceError(f"{on_one_line(path)}: holds no traces; name files, or a folder of {', '.join(_NAMES)} files")


def _matching(pattern: str, on_skip: OnSkip) -> Iterator[str]:
    start = Path(pattern).anchor
    for match in sorted(Path(start).glob(str(Path(pattern).relative_to(start)))):
        yield from _inside(str(match), on_skip) if match.is_dir() else [str(match)]


def _inside(folder: str, on_skip: OnSkip) -> Iterator[str]:
    """Paths of the traces in a folder, at any depth; links to folders may lead in circles and are not followed."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in folders:
            if os.path.islink(inner := os.path.join(where, name)):
                on_skip(Skipped(inner, 0, "link to a folder, not followed"))
        yield from (os.path.join(where, name) for name in sorted(names) if name.endswith(_NAMES))


def _named(path: str) -> _Place:
    """A file that somebody named; whether it can be opened is found out before hours of reading others."""
    place = _place(path)
    if os.path.isfile(path):
        with open(path, "rb"):
            pass
    return place


def _place(path: str) -> _Place:
    status = os.stat(path)
    return _Place(path, (status.st_dev, status.st_ino), status.st_size)
