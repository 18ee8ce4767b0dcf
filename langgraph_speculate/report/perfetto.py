"""Timelines in the format of Chrome's trace viewer, which Perfetto (ui.perfetto.dev) and speedscope open.

After "Trace Event Format" (Google, 2016): complete events (`X`) and instants (`i`), in microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from langgraph_speculate.report.timeline import LABELS, Timeline


def trace_of(timelines: Iterable[Timeline]) -> dict[str, Any]:
    """A trace with a process for each run and a thread for each row of its lanes; every run begins at 0.

    >>> from langgraph_speculate.core.events import TurnBegan
    >>> from langgraph_speculate.report.timeline import timeline
    >>> trace = trace_of([timeline("r", [TurnBegan(run="r", at=7.0, number=1, turn="t")])])
    >>> [event["name"] for event in trace["traceEvents"]]
    ['process_name', 'thread_name', 'model']
    """
    events = [event for pid, line in enumerate(timelines, 1) for event in _process(line, pid)]
    return {"displayTimeUnit": "ms", "traceEvents": events}


def _process(line: Timeline, pid: int) -> Iterator[dict[str, Any]]:
    rows = [(lane, row) for lane in line.lanes for row in range(line.rows(lane))]
    threads = {row: tid for tid, row in enumerate(rows, 1)}
    yield {"ph": "M", "pid": pid, "name": "process_name", "args": {"name": f"run {line.run}"}}
    for (lane, _), tid in threads.items():
        yield {"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": lane}}
    for span in line.spans:
        event = {"pid": pid, "tid": threads[span.lane, span.row], "name": span.lane, "cat": LABELS[span.kind]}
        event |= {"ts": round((span.began - line.began) * 1e6), "args": {"story": span.story}}
        yield event | (
            {"ph": "i", "s": "t"} if span.kind == "denied" else {"ph": "X", "dur": round(span.seconds * 1e6)}
        )
