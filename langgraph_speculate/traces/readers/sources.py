"""Which format a file has, told by what it holds and not by its name, and who reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from langgraph_speculate.traces import neutral
from langgraph_speculate.traces.lines import Limits, json_lines, opened
from langgraph_speculate.traces.readers import (
    chats,
    checkpoints,
    langfuse,
    langsmith,
    langsmith_api,
    otlp,
    sharegpt,
    tables,
)
from langgraph_speculate.traces.readers.foreign import foreign
from langgraph_speculate.traces.readers.tracers import Found, runs_of_spans
from langgraph_speculate.traces.runs import Run
from langgraph_speculate.traces.skips import Malformed, Skipped

OnBytes = Callable[[int], None] | None
_Runs = Iterator[Run | Skipped]
_LOOKED_AT = 20  # lines that may be broken before a file's format is given up


@dataclass(frozen=True, slots=True)
class Source:
    """One format.

    Attributes:
        about: What it is, for people.
        is_record: Whether a line, or a row, looks like one of it; None: it is no file of lines.
        runs: Yields the runs of a file, and what was skipped.
    """

    about: str
    is_record: Callable[[Any], bool] | None
    runs: Callable[[str, Limits, OnBytes], _Runs]


def _spans(read: Callable[[Any], Iterator[Found]], path: str, limits: Limits, on_bytes: OnBytes) -> _Runs:
    """Runs of a tracer's lines, or rows; some write all their records as one line with a list."""
    head = _head(path)
    is_table = tables.is_table(head)
    records = tables.rows(path, head, limits, on_bytes) if is_table else json_lines(path, limits, on_bytes)
    return runs_of_spans(path, records, partial(_each, read), limits)


def _each(read: Callable[[Any], Iterator[Found]], record: Any) -> Iterator[Found]:
    for one in record if isinstance(record, list) else [record]:
        yield from read(one)


def _is_event(record: Any) -> bool:
    return isinstance(record, Mapping) and isinstance(record.get("event"), str) and "run" in record and "at" in record


def _events(path: str, limits: Limits, on_bytes: OnBytes) -> _Runs:
    """Nothing: an event log holds names and times, and no arguments to learn."""
    yield Skipped(
        path, 0, "event log without arguments", "give it to report, or record with a tracer or a checkpointer"
    )


SOURCES: Mapping[str, Source] = {
    "events": Source("events of this library", _is_event, _events),
    "otlp": Source("OpenTelemetry spans as OTLP JSON", otlp.is_record, partial(_spans, otlp.read)),
    "langsmith": Source("runs of LangSmith", langsmith.is_record, partial(_spans, langsmith.read)),
    "langfuse": Source("observations of Langfuse", langfuse.is_record, partial(_spans, langfuse.read)),
    "neutral": Source("neutral lines", neutral.is_record, neutral.runs_in),
    "messages": Source("OpenAI's logs or LangChain's dumps", chats.is_record, chats.runs_in),
    "sharegpt": Source("conversations in the way of ShareGPT", sharegpt.is_record, sharegpt.runs_in),
    "checkpoints": Source("a SqliteSaver's database", None, checkpoints.runs_in_sqlite),
}
"""The formats by name, in the order in which they are tried."""
_LEARNED = tuple(name for name in SOURCES if name != "events")  # those that hold runs


def is_remote(path: str) -> bool:
    """Whether a path names a database or a service instead of a file."""
    return path.startswith((*checkpoints.POSTGRES, langsmith_api.PREFIX))


def runs_in(path: str, limits: Limits, on_bytes: OnBytes = None, source: str | None = None) -> _Runs:
    """Yield the runs of a file, and what had to be skipped.

    Args:
        path: A file; `postgresql://…` is a `PostgresSaver`'s database, `langsmith:PROJECT` a project of LangSmith.
        limits: How much it may ask for.
        on_bytes: Called now and then with how many of its bytes have been read.
        source: A name of `SOURCES`; None: told by what it holds. If nothing fits, it is skipped as a whole where it
            can be told what it is, and line by line, as neutral lines, where not.
    """
    if path.startswith(checkpoints.POSTGRES):
        return checkpoints.runs_in_postgres(path, limits)
    if path.startswith(langsmith_api.PREFIX):
        project = path.removeprefix(langsmith_api.PREFIX)
        return runs_of_spans(path, langsmith_api.records(project), langsmith.read, limits)
    if source is None and tables.is_table(_head(path)) and (needed := tables.needs(path)) is not None:
        return iter([needed])  # whose it is cannot be told without
    source = source or source_of(path, limits)
    if source is None and (whole := foreign(path, list(_beginning(path, limits)), limits, _LEARNED)) is not None:
        return iter([whole])
    return SOURCES[source or "neutral"].runs(path, limits, on_bytes)


def source_of(path: str, limits: Limits) -> str | None:
    """The name of a file's format, told by its beginning; None where nothing fits."""
    if _head(path).startswith(checkpoints.SQLITE):
        return "checkpoints"
    for record in _beginning(path, limits):
        first = record[0] if isinstance(record, list) and record else None
        for name, source in SOURCES.items():
            if source.is_record is not None and (source.is_record(record) or source.is_record(first)):
                return name
    return None


def _beginning(path: str, limits: Limits) -> Iterator[Any]:
    """The first lines, or rows, that can be read."""
    head = _head(path)
    is_table = tables.is_table(head)
    found = tables.rows(path, head, limits) if is_table else json_lines(path, replace(limits, unpacked_bytes=1 << 30))
    for one in islice(found, _LOOKED_AT):
        if not isinstance(one, Skipped):
            yield one[1]


def _head(path: str) -> bytes:
    try:
        with opened(path) as file:
            return file.read(tables.HEAD)
    except (OSError, Malformed):  # whoever reads it says so
        return b""
