"""Progress of a long measurement, on stderr: a bar on a terminal, a line a step elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[str], None]


@contextmanager
def progress(what: str, total: int, *, quiet: bool = False) -> Iterator[Tell]:
    """Yield a function to call with a short note after each of *total* steps."""
    if quiet:
        yield lambda note: None
        return
    try:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    except ImportError:
        console = None
    else:
        console = Console(stderr=True)
    if console is None or not console.is_terminal:
        with _lines(what, total) as tell:
            yield tell
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, TextColumn("{task.description}"), console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda note: bar.update(task, advance=1, description=note)


@contextmanager
def _lines(what: str, total: int) -> Iterator[Tell]:
    began, done = time.monotonic(), 0

    def tell(note: str) -> None:
        nonlocal done
        done += 1
        print(f"{what} {done}/{total}  {time.monotonic() - began:.0f} s  {note}", file=sys.stderr, flush=True)

    yield tell
