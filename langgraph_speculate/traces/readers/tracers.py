"""From a tracer's records to runs: each format says what one record is, the rest is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from langgraph_speculate.traces.lines import Limits, read_each
from langgraph_speculate.traces.neutral import run_of
from langgraph_speculate.traces.readers.shelf import Shelf
from langgraph_speculate.traces.readers.weave import Span, conversations
from langgraph_speculate.traces.runs import Run
from langgraph_speculate.traces.skips import Malformed, Skipped

_FIELDS = tuple(field.name for field in fields(Span))


@dataclass(frozen=True, slots=True)
class Found:
    """A span, and what it belongs to.

    Attributes:
        group: The thread, or else the trace.
        task: What that worked on; "" where the record does not say.
        span: A call of the model or of a tool.
    """

    group: str
    task: str
    span: Span


def runs_of_spans(
    path: str,
    records: Iterable[tuple[int, Any] | Skipped],
    read: Callable[[Any], Iterable[Found]],
    limits: Limits,
) -> Iterator[Run | Skipped]:
    """Yield the runs that a tracer's records are of, those of one thread or trace together.

    Args:
        path: Where they come from.
        records: With their lines, in any order, and what was skipped already.
        read: What one record holds, which may be nothing of interest; raises `Malformed`.
        limits: How much one run may ask for.
    """
    with Shelf() as shelf:
        for one in read_each(records, path, lambda record: list(read(record))):
            if isinstance(one, Skipped):
                yield one
                continue
            line, found = one
            for each in found:
                shelf.put(each.group, each.span.began or 0.0, [each.task, *_row(each.span)], line)
        for group, line, rows in shelf.groups():
            try:
                yield from _runs(group, rows, limits)
            except Malformed as problem:
                yield problem.at(path, line)


def _runs(group: str, rows: list[list[Any]], limits: Limits) -> Iterator[Run]:
    if len(rows) > limits.events:
        raise Malformed("too many events in one run", f"more than {limits.events:,}")
    task = next((row[0] for row in rows if row[0]), group)
    found = [events for events in conversations(Span(*row[1:]) for row in rows) if events]
    if not found:
        raise Malformed("spans without messages")  # most instrumentations record contents only when asked to
    for number, events in enumerate(found, 1):
        name = group if number == 1 else f"{group}/{number}"
        yield run_of({"id": name, "task_id": task, "events": events}, limits)


def _row(span: Span) -> list[Any]:
    return [getattr(span, name) for name in _FIELDS]
