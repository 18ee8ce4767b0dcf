"""A log of events that is still being written: what it holds, and then what comes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

from langgraph_speculate.core.events import Event
from langgraph_speculate.errors import BadLog
from langgraph_speculate.observe.files import opened
from langgraph_speculate.observe.log import MAX_LINE_BYTES, event_or_cut


def follow(
    path: str | os.PathLike[str], wait: Callable[[], bool], on_cut: Callable[[int], None] = lambda line: None
) -> Iterator[Event]:
    """Yield the events of a log as they come, from its beginning.

    A line that has no end yet is read when it has, or when no more is to come. A log that was begun anew is read from
    its beginning again; so is one that was moved away and replaced, once what is in the old one has been read.

    Args:
        path: A file of JSON lines.
        wait: Called when there is nothing more for now; waits a little, and returns False to end.
        on_cut: Called with the number of each line that breaks off, because its writer was killed; it is left out.

    Raises:
        BadLog: It cannot be read, or a line is no event; the message names path and line.
    """
    number = 0

    def read(line: bytes) -> Iterator[Event]:
        nonlocal number
        number += 1
        if (event := event_or_cut(line)) is not None:
            yield event
        else:
            on_cut(number)

    try:
        file = opened(path)
        try:
            rest, is_over = b"", False
            while True:
                line = file.readline(MAX_LINE_BYTES + 2)
                rest += line
                if rest.endswith(b"\n") or len(rest) > MAX_LINE_BYTES or (rest and not line and is_over):
                    yield from read(rest)
                    rest = b""
                elif not line and is_over:
                    file.close()
                    file, number, is_over = opened(path), 0, False
                elif not line:
                    if not wait():
                        break
                    is_over = _is_replaced(path, file)  # its writer may have written to it until then
            if rest:
                yield from read(rest)
        finally:
            file.close()
    except BadLog as error:
        raise BadLog(f"{os.fspath(path)!r}, line {number}: {error}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadLog(f"{os.fspath(path)!r}: the log cannot be read: {reason}") from None


def _is_replaced(path: str | os.PathLike[str], file: BinaryIO) -> bool:
    """Whether there is another file of that name now, or less in this one than was read."""
    try:
        there = os.stat(path)
    except FileNotFoundError:  # moved away, and not begun anew yet
        return False
    mine = os.fstat(file.fileno())
    return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino) or there.st_size < file.tell()
