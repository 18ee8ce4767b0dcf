"""JSON lines from files that nobody vouches for: a line at a time, within bounds, plain or packed with gzip.

Nothing is executed or constructed from what is read; it ends as dicts, lists, texts and numbers. Which of them are runs
is decided elsewhere (`neutral.py`).
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from io import BufferedReader
from typing import Any, BinaryIO, TypeVar, cast

import orjson

from langgraph_speculate.traces import lenient
from langgraph_speculate.traces.skips import Malformed, Skipped

_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_PIECE = 1 << 16
_GRACE = 16_000_000  # unpacked bytes before the ratio counts: gzip reads ahead, and small files harm nobody
_PUNCTUATION = (b",", b":", b"[", b"{")
_TEXTS = re.compile(rb'"[^"]*"')
_NESTED = frozenset({dict, list})
_Found = TypeVar("_Found")
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much one file may ask of the process that reads it.

    Attributes:
        line_bytes: Of one line; a longer one is skipped without being held in memory.
        depth: Of objects and arrays inside each other.
        values: Commas, colons and opening brackets in a line, in texts too: what bounds the memory that it unfolds to.
        events: Of one run; each message of the model is predicted from all before it, which is quadratic.
        ratio: Of unpacked to packed bytes of a gzip file, once it has unpacked to 16 MB; JSON stays below 50.
        unpacked_bytes: Of one gzip file.
    """

    line_bytes: int = 8_000_000
    depth: int = 64
    values: int = 500_000
    events: int = 10_000
    ratio: int = 200
    unpacked_bytes: int = 64_000_000_000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{field.name} must be a whole number of at least 1, got {value!r}")


def json_lines(
    path: str, limits: Limits, on_bytes: Callable[[int], None] | None = None
) -> Iterator[tuple[int, Any] | Skipped]:
    """Yield each line of a file as (its number from 1, what it says), or as what was skipped; empty lines are neither.

    Args:
        path: A file of JSON lines, packed with gzip or not, whatever its name says.
        limits: How much it may ask for.
        on_bytes: Called after each line with how many bytes of the file have been read.
    """
    return read_each(lines(path, limits, on_bytes), path, lambda line: parsed(line, limits))


def read_each(
    found: Iterable[tuple[int, _Found] | Skipped], path: str, read: Callable[[_Found], _Read]
) -> Iterator[tuple[int, _Read] | Skipped]:
    """Yield what *read* makes of each thing found, with its line; what it finds `Malformed` is skipped.

    Args:
        found: Things of the file *path* with their lines, and what was skipped already.
        path: The file.
        read: Makes something of one of them, or raises `Malformed`.
    """
    for one in found:
        if isinstance(one, Skipped):
            yield one
            continue
        number, thing = one
        try:
            made = read(thing)
        except Malformed as problem:
            yield problem.at(path, number)
        else:
            yield number, made


def unfolded(
    found: Iterable[tuple[int, Any] | Skipped], is_record: Callable[[Any], bool]
) -> Iterator[tuple[int, Any] | Skipped]:
    """Yield each record of a line that holds a list of them by itself, with that line; all else as it comes.

    Args:
        found: What lines say.
        is_record: Whether something looks like one record.
    """
    for one in found:
        if isinstance(one, Skipped) or not _is_list(one[1], is_record):
            yield one
        else:
            yield from ((one[0], record) for record in one[1])


def _is_list(said: Any, is_record: Callable[[Any], bool]) -> bool:
    return isinstance(said, list) and bool(said) and not is_record(said) and is_record(said[0])


def parsed(line: bytes, limits: Limits) -> Any:
    """Parse one line.

    Raises:
        Malformed: It is no JSON, exceeds a limit, or holds an object that says something twice.

    >>> parsed(b'{"id": "a", "id": "b"}', Limits())
    Traceback (most recent call last):
    langgraph_speculate.traces.skips.Malformed: ('a field twice in one object', '')
    """
    if sum(map(line.count, _PUNCTUATION)) > limits.values:
        raise Malformed("too many values in one line", f"more than {limits.values:,}")
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        record = _lenient(line, error)
    # The parser keeps the last of two fields with one name; another reader of the same file might keep the first.
    bare = _TEXTS.sub(b"", line.replace(rb"\\", b"").replace(rb"\"", b""))
    if _fields(record, limits.depth) != bare.count(b":"):
        raise Malformed("a field twice in one object")
    return record


def _lenient(line: bytes, error: orjson.JSONDecodeError) -> Any:
    """What the standard library reads where the fast parser found an *error*."""
    if "depth limit" in error.msg:
        raise Malformed("nested too deeply")
    try:
        return lenient.loads(line)
    except UnicodeDecodeError:
        raise Malformed("no UTF-8") from None
    except RecursionError:
        raise Malformed("nested too deeply") from None
    except ValueError:
        raise Malformed("no JSON", f"{error.msg.partition(':')[0]}, at character {error.pos + 1}") from None


def _fields(record: Any, depth: int) -> int:
    """How many fields all objects of *record* have."""
    count, left, level = 0, depth, [record]
    while level:
        left -= 1
        if left < 0 and any(type(value) in _NESTED for value in level):
            raise Malformed("nested too deeply", f"more than {depth} levels")
        inner: list[Any] = []
        for value in level:
            if type(value) is dict:
                count += len(value)
                inner.extend(value.values())
            elif type(value) is list:
                inner.extend(value)
        level = [value for value in inner if type(value) in _NESTED]
    return count


def lines(
    path: str, limits: Limits, on_bytes: Callable[[int], None] | None = None
) -> Iterator[tuple[int, bytes] | Skipped]:
    """Yield each line as `json_lines` does, as it stands there."""
    number = 0
    try:
        with opened(path) as raw:
            source = _Source(raw, limits)
            while (line := source.next_line()) is not None:
                number += 1
                if number == 1:
                    line = line.removeprefix(_BOM)
                if len(line) > limits.line_bytes:
                    source.finish_line(line)
                    yield Skipped(path, number, "line too long", f"more than {limits.line_bytes:,} bytes")
                elif line and not line.isspace():
                    yield number, line
                if on_bytes is not None:
                    on_bytes(raw.tell())
    except Malformed as problem:
        yield problem.at(path, number + (problem.reason == _Source.BOMB))
    except EOFError:
        yield Skipped(path, number + 1, "gzip data is cut off")
    except (zlib.error, gzip.BadGzipFile) as error:
        yield Skipped(path, number + 1, "gzip data is damaged", str(error).partition(",")[0][:60])
    except OSError as error:
        why = error.strerror or type(error).__name__
        yield Skipped(path, number and number + 1, "cannot be read on" if number else "cannot be opened", why)


class _Source:
    """Lines of an open file, with an eye on what unpacks to more than it should."""

    BOMB = "gzip data unpacks to too much"

    def __init__(self, raw: BufferedReader, limits: Limits) -> None:
        self._raw = raw
        self._packed = raw.peek(2)[:2] == _GZIP
        self._file = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if self._packed else raw
        self._limits = limits
        self._unpacked = 0
        self._ended = False

    def next_line(self) -> bytes | None:
        """The next line without its end, at most one byte longer than the limit, or None at the end of the file."""
        line = self._read(self._limits.line_bytes + 2)
        self._ended = line.endswith(b"\n")
        if not line:
            return None
        return line[:-2] if line.endswith(b"\r\n") else line[:-1] if self._ended else line

    def finish_line(self, line: bytes) -> None:
        """Read to the end of a line that is too long, and forget it."""
        while not self._ended and (piece := self._read(_PIECE)):
            self._ended = piece.endswith(b"\n")

    def _read(self, size: int) -> bytes:
        piece = self._file.readline(size)
        self._unpacked += len(piece)
        if self._packed and self._unpacked > _GRACE:
            limits = self._limits
            if self._unpacked > min(limits.unpacked_bytes, limits.ratio * self._raw.tell()):
                raise Malformed(
                    self.BOMB, f"more than {limits.ratio} times its size or {limits.unpacked_bytes:,} bytes"
                )
        return piece


def opened(path: str) -> BufferedReader:
    """Open a regular file for reading.

    Raises:
        Malformed: It is something else: a folder, a pipe, a device. Opening a pipe would wait for a writer.
        OSError: It cannot be opened.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise Malformed("no regular file")
    file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115 - whoever asked closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # it was changed for something else in between
        file.close()
        raise Malformed("no regular file")
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
