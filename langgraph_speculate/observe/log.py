"""Events as JSON lines: a log that a run writes, and that anybody can read and check later (`observe/audit.py`).

A line is one event: an object with its kind under `event` and its fields under their own names. Nothing in it is
executed, and a line is read only if it is what this version would have written.
"""

from __future__ import annotations

import dataclasses
import math
import os
import weakref
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from io import RawIOBase
from types import TracebackType
from typing import Any, cast

import orjson

from langgraph_speculate.core import events
from langgraph_speculate.errors import BadLog
from langgraph_speculate.observe.delivery import Delivery
from langgraph_speculate.observe.files import append_to, begins_otherwise, is_cut, opened

MAX_LINE_BYTES = 1_000_000
BEGINNING = b'{"event":'
"""How every line begins, of whichever version."""

_TOLD_EACH = 1000  # lines between two words about how far a log has been read


def as_json(event: events.Event) -> dict[str, Any]:
    """Return *event* as plain data, ready for any JSON encoder; tuples stay tuples.

    >>> as_json(events.TurnFailed(run="r", at=0.5, number=2, turn="t"))
    {'event': 'TurnFailed', 'run': 'r', 'at': 0.5, 'number': 2, 'turn': 't'}
    """
    names = _FIELDS[type(event).__name__]
    return {"event": type(event).__name__, **{name: getattr(event, name) for name in names}}


def event_of(record: Mapping[str, Any]) -> events.Event:
    """Return the event that `as_json` made *record* from; fields with a default may be absent.

    Raises:
        BadLog: It is no event of this version; the message says which field is wrong.

    >>> event_of({"event": "TurnBegan", "run": "r", "at": 0.5, "turn": "t"}).number
    0
    """
    kind = record.get("event") if isinstance(record, Mapping) else None
    if not isinstance(kind, str) or kind not in _FIELDS:
        raise BadLog(f"no event of this version: its kind is {_shown(kind)}")
    readers = _FIELDS[kind]
    if kind == "RunBegan" and (schema := record.get("schema", events.SCHEMA)) != events.SCHEMA:
        told = f"the log has schema {_shown(schema)}, but this version reads schema {events.SCHEMA}"
        raise BadLog(f"{told}: read it with the version of langgraph-speculate that wrote it")
    if unknown := [name for name in record if name != "event" and name not in readers]:
        raise BadLog(f"{kind} has no field {_shown(unknown[0])}")
    if missing := [name for name in _REQUIRED[kind] if name not in record]:
        raise BadLog(f"{kind} has no {missing[0]!r}")
    try:
        facts = {name: readers[name](record[name]) for name in readers if name in record}
    except _Unfit:
        wrong = next(name for name in readers if name in record and not _fits(readers[name], record[name]))
        raise BadLog(f"{kind}: {wrong!r} cannot be {_shown(record[wrong])}") from None
    return _KINDS[kind](**facts)


def read_log(
    path: str | os.PathLike[str],
    *,
    on_cut: Callable[[int], None] | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> Iterator[events.Event]:
    """Yield the events of a log, a line at a time, so that its size does not matter.

    Args:
        path: A file of JSON lines; one that ends in `.gz` is unpacked on the way.
        on_cut: Called with the number of each line that breaks off, because its writer was killed; it is left out.
            None: such a line is an error.
        on_bytes: Called now and then with how many bytes of the file have been read.

    Raises:
        BadLog: It cannot be read, or a line is longer than 1 MB, no JSON, or no event; the message names path and line.

    >>> list(read_log("no-such.jsonl"))
    Traceback (most recent call last):
    langgraph_speculate.errors.BadLog: 'no-such.jsonl': the log cannot be read: No such file or directory
    """
    number = 0
    try:
        with opened(path) as file:
            while line := file.readline(MAX_LINE_BYTES + 2):  # the end of the line does not count
                number += 1
                if on_bytes is not None and number % _TOLD_EACH == 0:
                    on_bytes(getattr(file, "fileobj", file).tell())  # of what is packed, its packed bytes
                event = event_in(line) if on_cut is None else event_or_cut(line)
                if event is not None:
                    yield event
                elif on_cut is not None:
                    on_cut(number)
    except BadLog as error:
        raise BadLog(f"{os.fspath(path)!r}, line {number}: {error}") from None
    except (OSError, EOFError, zlib.error, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        where = f", after line {number}" if number else ""
        raise BadLog(f"{os.fspath(path)!r}{where}: the log cannot be read: {reason}") from None


class JsonLines:
    """An observer that appends every event to a file, one JSON object a line; may be called from any thread.

    Names, ids, times and hashes are written, never what a tool was asked or has answered. A thread of its own writes,
    some milliseconds' lines at a time, whole lines only; a process that ends as it should writes all. If events come
    faster than the disk takes them, some are left out and counted (`stats().dropped`). Several processes should write
    several files.

    Args:
        path: The file; what it holds already is kept.

    Raises:
        BadLog: The file cannot be opened for writing, or holds something else than a log.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with JsonLines(f"{folder}/events.jsonl") as log:
    ...         log(events.TurnBegan(run="r", at=0.5, number=1, turn="t"))
    ...     [event.turn for event in read_log(log.path)]
    ['t']
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        file = _opened_to_add(self.path)
        delivery = Delivery(partial(_write, file), f"JsonLines({self.path!r})")
        self.put, self.flush = delivery.put, delivery.flush
        self._ends = weakref.finalize(self, _end, file, delivery)

    def __call__(self, event: events.Event) -> None:
        """Append *event*; after `close` nothing happens, because bodies may end later than the log."""
        self.put([event])

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._ends()

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _opened_to_add(path: str) -> RawIOBase:
    try:
        if not begins_otherwise(path, BEGINNING):
            return append_to(path)
    except (OSError, ValueError) as error:
        raise BadLog(f"{path!r}: the log cannot be written: {getattr(error, 'strerror', error)}") from None
    raise BadLog(f"{path!r}: holds something else than events, and is left as it is: name a new file, or a log")


def _write(file: RawIOBase, happened: Sequence[events.Event]) -> None:
    lines = memoryview(b"".join(_line_of(as_json(event)) for event in happened))
    while lines:
        lines = lines[file.write(lines) :]


def _end(file: RawIOBase, delivery: Delivery) -> None:
    delivery.close()
    file.close()


def _line_of(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record, default=_base, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # half a surrogate pair in a name that a model made up
        return orjson.dumps(_printable(record), default=_base, option=orjson.OPT_APPEND_NEWLINE)


def _base(value: Any) -> Any:
    """A value of the type that a predictor of somebody else's derived its own from."""
    return next((kind(value) for kind in (str, int, float) if isinstance(value, kind)), str(value))


def _printable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _printable(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_printable(item) for item in value]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def event_in(line: bytes) -> events.Event:
    """The event that a line of a log is.

    Raises:
        BadLog: It is none.
    """
    if len(line.rstrip(b"\r\n")) > MAX_LINE_BYTES:
        raise BadLog(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadLog(f"no JSON: {error.msg}") from None
    return event_of(record)


def event_or_cut(line: bytes) -> events.Event | None:
    """The event that a line of a log is, or None if it breaks off because its writer was killed.

    Raises:
        BadLog: It is neither.
    """
    try:
        return event_in(line)
    except BadLog:
        if len(line) <= MAX_LINE_BYTES and is_cut(line, BEGINNING):
            return None
        raise


# -- what a field may hold ---------------------------------------------------------------------------------------------


class _Unfit(Exception):
    """A value is of the wrong kind."""


def _of(*kinds: type) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) not in kinds:  # exact: True is no number
            raise _Unfit
        return value

    return read


def _number(value: Any) -> float:
    if value is None:
        return math.nan  # JSON has no other way to say it
    return float(_of(int, float)(value))


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_of(str), _of(list, tuple)(value)))


def _candidates(value: Any) -> tuple[tuple[str, float, str], ...]:
    rows = [_of(list, tuple)(row) for row in _of(list, tuple)(value)]
    if any(len(row) != 3 for row in rows):
        raise _Unfit
    return tuple((_of(str)(tool), _number(probability), _of(str)(source)) for tool, probability, source in rows)


def _fits(read: Callable[[Any], Any], value: Any) -> bool:
    try:
        read(value)
    except _Unfit:
        return False
    return True


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "str": _of(str),
    "str | None": _of(str, type(None)),
    "int": _of(int),
    "bool": _of(bool),
    "float": _number,
    "float | None": lambda value: None if value is None else _number(value),
    "tuple[str, ...]": _texts,
    "tuple[tuple[str, float, str], ...]": _candidates,
}
_KINDS: dict[str, type[events.Event]] = {
    name: kind for name, kind in vars(events).items() if isinstance(kind, type) and kind.__base__ is events.Event
}
_FIELDS = {
    name: {field.name: _READERS[cast(str, field.type)] for field in dataclasses.fields(kind)}
    for name, kind in _KINDS.items()
}
_REQUIRED = {
    name: [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]
    for name, kind in _KINDS.items()
}
