"""LangGraph checkpoints: the history that everybody with a checkpointer has.

A thread's checkpoints hold its messages after every step and when that was, so how long models and tools took can be
told from them; parallel calls of one step share its time. What a checkpoint holds is built by LangGraph's own
serializer, which is told here to build messages and plain values, and neither to import anything else nor to unpickle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from langgraph_speculate.traces.lines import Limits
from langgraph_speculate.traces.neutral import run_of
from langgraph_speculate.traces.readers.messages import Event, events_of
from langgraph_speculate.traces.readers.times import seconds_of
from langgraph_speculate.traces.runs import Run
from langgraph_speculate.traces.skips import Malformed, Skipped, missing

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

SQLITE = b"SQLite format 3\x00"
POSTGRES = ("postgres://", "postgresql://")
MESSAGES = "messages"
_THREADS = "SELECT thread_id FROM checkpoints GROUP BY thread_id ORDER BY MIN(checkpoint_id)"  # their ids rise in time

OnThread = Callable[[int, int], None]


def strict_serializer() -> JsonPlusSerializer:
    """A serializer for checkpoints that nobody vouches for."""
    from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

    return JsonPlusSerializer(pickle_fallback=False, allowed_json_modules=None, allowed_msgpack_modules=None)


def runs_in_sqlite(path: str, limits: Limits, on_bytes: Callable[[int], None] | None = None) -> Iterator[Run | Skipped]:
    """Yield the threads of a database that a `SqliteSaver` wrote, the oldest first; it is opened for reading only."""
    import sqlite3
    from pathlib import Path

    try:
        from langgraph.checkpoint.sqlite import SqliteSaver
    except ModuleNotFoundError:
        yield missing(path, "langgraph-checkpoint-sqlite", 'pip install "langgraph-speculate[mine]"')
        return
    try:
        # Not immutable: a live graph may be writing to it.
        connection = sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        with closing(connection):
            saver = SqliteSaver(connection, serde=strict_serializer())
            saver.is_setup = True  # or it would make its tables
            threads = [row[0] for row in connection.execute(_THREADS)]
            size = Path(path).stat().st_size
            share = None if on_bytes is None else lambda done, of: on_bytes(size * done // of)
            yield from runs_of(saver, threads=threads, path=path, limits=limits, on_thread=share)
    except (sqlite3.Error, UnicodeError) as error:  # of a damaged file even its complaints may be no text
        yield Skipped(path, 0, "no database of checkpoints", str(error))


def runs_in_postgres(uri: str, limits: Limits) -> Iterator[Run | Skipped]:
    """Yield the threads of a database that a `PostgresSaver` wrote, the oldest first, in a session that only reads."""
    shown = uri.partition("@")[2] or uri.partition("//")[2]  # never the password
    try:
        import psycopg
        from langgraph.checkpoint.postgres import PostgresSaver
        from psycopg.rows import dict_row
    except ImportError:
        remedy = 'pip install langgraph-checkpoint-postgres "psycopg[binary]"'
        yield missing(shown, "langgraph-checkpoint-postgres", remedy)
        return
    try:
        with psycopg.connect(
            uri,
            autocommit=True,
            prepare_threshold=0,
            row_factory=dict_row,
            options="-c default_transaction_read_only=on",
        ) as connection:
            threads = [row["thread_id"] for row in connection.execute(_THREADS)]
            saver = PostgresSaver(connection, serde=strict_serializer())
            yield from runs_of(saver, threads=threads, path=shown, limits=limits)
    except psycopg.Error as error:
        yield Skipped(shown, 0, "no database of checkpoints", " ".join(str(error).split()))


def runs_of(
    saver: BaseCheckpointSaver[Any],
    *,
    threads: Iterable[str] | None = None,
    path: str = "checkpointer",
    limits: Limits | None = None,
    on_thread: OnThread | None = None,
) -> Iterator[Run | Skipped]:
    """Yield the runs of a checkpointer: a thread each, and a further one for each graph in it with messages of its own.

    Args:
        saver: Any checkpointer. How safe it is to read is up to its serializer; see `strict_serializer`.
        threads: Their ids; None: all, found by going through everything once more.
        path: What to call it where something is skipped.
        limits: How much one run may ask for.
        on_thread: Called after each thread with how many are done, and of how many.

    >>> from langgraph.checkpoint.memory import InMemorySaver
    >>> list(runs_of(InMemorySaver()))
    []
    """
    names = _threads_of(saver) if threads is None else list(threads)
    for done, name in enumerate(names, 1):
        try:
            for place, steps in _steps(saver, name).items():
                record = {"id": f"{name}/{place}" if place else name, "task_id": name, "events": _events(steps)}
                if record["events"]:
                    yield run_of(record, limits or Limits())
        except Malformed as problem:
            yield Skipped(path, 0, problem.reason, f"thread {name}")
        except Exception as error:  # noqa: BLE001 - whatever one thread holds, the others are read
            yield Skipped(path, 0, "thread cannot be read", f"{name}: {type(error).__name__}: {error}"[:200])
        if on_thread is not None:
            on_thread(done, len(names))


@dataclass(slots=True)
class _Step:
    """One checkpoint.

    Attributes:
        at: When it was made.
        messages: Those of the state then; None where the channel keeps only what was added.
        written: What the tasks that follow it added.
    """

    at: float | None
    messages: Sequence[Any] | None
    written: list[Any] = field(default_factory=list)


def _steps(saver: BaseCheckpointSaver[Any], thread: str) -> dict[str, list[_Step]]:
    """The checkpoints of a thread by the graph they are of, the oldest first."""
    found: dict[str, list[_Step]] = {}
    known: dict[str, Any] = {}  # a message is in every checkpoint after it: one of each is enough
    for checkpoint in saver.list({"configurable": {"thread_id": thread}}):
        place = str(checkpoint.config["configurable"].get("checkpoint_ns") or "")
        found.setdefault(place, []).append(_step(checkpoint, known))
    return {place: steps[::-1] for place, steps in found.items()}


def _step(found: CheckpointTuple, known: dict[str, Any]) -> _Step:
    held = found.checkpoint["channel_values"].get(MESSAGES)
    messages = None
    if isinstance(held, list):
        messages = [known.setdefault(_key(message, at), message) for at, message in enumerate(held)]
    step = _Step(seconds_of(found.checkpoint.get("ts")), messages)
    for _, channel, value in found.pending_writes or () if messages is None else ():
        if channel == MESSAGES:
            step.written += value if isinstance(value, list) else [value]
    return step


def _events(steps: Sequence[_Step]) -> list[Event]:
    """What was said from step to step, each message once, with the time of the step that brought it."""
    events: list[Event] = []
    seen: set[str] = set()
    for before, step in zip([None, *steps], steps, strict=False):
        messages = before.written if step.messages is None and before is not None else step.messages or ()
        new = []
        for at, message in enumerate(messages):
            key = _key(message, at if step.messages is not None else len(seen))
            if key not in seen and getattr(message, "type", "") != "remove":
                seen.add(key)
                new.append(message)
        events += [_timed(event, before, step) for event in events_of(new)]
    return [event for event in events if event["role"] != "system"]


def _timed(event: Event, before: _Step | None, step: _Step) -> Event:
    if event["role"] == "user" or before is None or before.at is None or step.at is None or step.at < before.at:
        return event
    return event | {"t": before.at, "duration_s": round(step.at - before.at, 6)}


def _key(message: Any, at: int) -> str:
    """What tells a message from others of its thread; reducers of somebody's own may give no ids."""
    return str(getattr(message, "id", None) or f"#{at}")


def _threads_of(saver: BaseCheckpointSaver[Any]) -> list[str]:
    """All threads, the oldest first: ids of checkpoints rise in time."""
    began: dict[str, str] = {}
    for found in saver.list(None):
        names = found.config["configurable"]
        thread, id = str(names["thread_id"]), str(names["checkpoint_id"])
        began[thread] = min(began.get(thread, id), id)
    return sorted(began, key=began.__getitem__)
