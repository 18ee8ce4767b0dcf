"""Threads of real checkpointers become runs, whichever saver, graph and channel keep their messages."""

from __future__ import annotations

import os
import pickle
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from deepagents import create_deep_agent
from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph

from langgraph_speculate.traces import Skips, read_runs
from langgraph_speculate.traces.readers.checkpoints import runs_of, strict_serializer
from tests.traces.recordings import TOLD, TOOLS, Scripted, converse, read, told

PAUSE_S = 0.05


def in_thread(name: str) -> dict[str, Any]:
    return {"configurable": {"thread_id": name}}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteSaver]:
    with SqliteSaver.from_conn_string(str(tmp_path / "checkpoints.sqlite")) as saver:
        yield saver


def test_a_thread_in_a_sqlite_file_is_a_run(database: SqliteSaver, tmp_path: Path):
    """
    Messages, calls and answers are those of the conversation; several invocations of one thread are one run.
    """
    converse(config=in_thread("t-1"), checkpointer=database)

    (run,) = read(tmp_path / "checkpoints.sqlite")

    assert (run.id, run.task, told(run)) == ("t-1", "t-1", TOLD)


def test_threads_come_in_the_order_in_which_they_began(database: SqliteSaver, tmp_path: Path):
    """
    What is learned from time to time must be read in the order of time.
    """
    for name in ("zoe", "ada", "mia"):
        converse(config=in_thread(name), checkpointer=database)

    assert [run.id for run in read(tmp_path / "checkpoints.sqlite")] == ["zoe", "ada", "mia"]


def test_steps_tell_how_long_models_and_tools_took(tmp_path: Path, database: SqliteSaver):
    """
    The time between two checkpoints is that of the step between them.
    """

    @tool
    def list_orders(email: str) -> list[str]:
        """List the orders of a customer."""
        time.sleep(PAUSE_S)
        return []

    converse(create_agent(Scripted(), [list_orders, *TOOLS[1:]], checkpointer=database), in_thread("t"), kept=True)

    (run,) = read(tmp_path / "checkpoints.sqlite")
    answers = [event for event in run.events if event["role"] == "tool"]
    models = [event for event in run.events if event["role"] == "assistant"]

    assert [answer["duration_s"] >= PAUSE_S for answer in answers] == [True, True, False]
    assert all(model["duration_s"] >= 0 for model in models)
    assert [event["t"] for event in run.events if "t" in event] == sorted(
        event["t"] for event in run.events if "t" in event
    )


def test_threads_of_deepagents_are_read_from_what_each_step_added(database: SqliteSaver, tmp_path: Path):
    """
    Their messages lie in a channel that keeps differences only.
    """
    agent = create_deep_agent(Scripted(), list(TOOLS), checkpointer=database)
    converse(agent, in_thread("deep"), kept=True)

    (run,) = read(tmp_path / "checkpoints.sqlite")

    assert told(run) == TOLD


def test_a_graph_inside_of_a_graph_is_a_run_of_its_own(database: SqliteSaver, tmp_path: Path):
    """
    A sub-agent's messages are no part of the conversation around it.
    """
    inner = create_agent(Scripted(), list(TOOLS), checkpointer=True)
    builder = StateGraph(MessagesState)
    builder.add_node("inner", inner)
    builder.add_edge(START, "inner")
    outer = builder.compile(checkpointer=database)
    outer.invoke({"messages": [TOLD[0]]}, in_thread("t"))

    runs = {run.id: told(run) for run in read(tmp_path / "checkpoints.sqlite")}

    assert len(runs) == 2
    assert all(events[1:] == TOLD[1:5] for events in runs.values())
    assert {run.partition("/")[0] for run in runs} == {"t"}


def test_any_checkpointer_can_be_read():
    """
    Threads that nobody lists are found by looking through all of it.
    """
    saver = InMemorySaver()
    for name in ("one", "two"):
        converse(config=in_thread(name), checkpointer=saver)

    runs = list(runs_of(saver))

    assert [run.id for run in runs] == ["one", "two"]
    assert all(told(run) == TOLD for run in runs)


def test_a_live_database_is_only_read(database: SqliteSaver, tmp_path: Path):
    """
    Not a byte of it changes, and a graph may go on with it.
    """
    converse(config=in_thread("t"), checkpointer=database)
    path = tmp_path / "checkpoints.sqlite"
    database.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = path.read_bytes()

    assert len(read(path)) == 1

    assert path.read_bytes() == before
    converse(config=in_thread("u"), checkpointer=database)
    assert len(read(path)) == 2


class Trap:
    """Says so when somebody builds it."""

    built: ClassVar[list[str]] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return (Trap.built.append, ("unpickled",))


@pytest.mark.parametrize("kind", ["pickle", "msgpack", "json"])
def test_what_a_checkpoint_says_is_not_built(kind: str, database: SqliteSaver, tmp_path: Path):
    """
    A thread whose checkpoint names classes, or holds a pickle, is skipped or read without them; others are read.
    """
    converse(config=in_thread("good"), checkpointer=database)
    converse(config=in_thread("bad"), checkpointer=database)
    blob = {
        "pickle": lambda: pickle.dumps(Trap()),
        "msgpack": lambda: _named_in_msgpack(),
        "json": lambda: b'{"lc": 2, "type": "constructor", "id": ["os", "getenv"], "args": ["HOME"], "kwargs": {}}',
    }[kind]()
    database.conn.execute("UPDATE checkpoints SET type = ?, checkpoint = ? WHERE thread_id = 'bad'", (kind, blob))
    database.conn.commit()

    skips = Skips()
    runs = [run.id for run in read_runs(tmp_path / "checkpoints.sqlite", on_skip=skips)]

    assert runs == ["good"]
    assert skips.reasons == {"thread cannot be read": 1}
    assert Trap.built == []


def _named_in_msgpack() -> bytes:
    import ormsgpack

    named = ormsgpack.packb(("os", "getenv", ("HOME",)))
    return bytes(ormsgpack.packb(ormsgpack.Ext(1, named)))


def test_a_strict_serializer_reads_messages():
    """
    What is kept out is everything but what a conversation is made of.
    """
    from langchain_core.messages import AIMessage

    serializer = strict_serializer()
    message = AIMessage("hello", tool_calls=[{"name": "get", "args": {}, "id": "c"}])

    assert serializer.loads_typed(serializer.dumps_typed([message])) == [message]


@pytest.mark.parametrize("table", ["checkpoints", "writes"])
def test_names_that_are_no_text_are_told(table: str, database: SqliteSaver, tmp_path: Path):
    """
    A damaged page may hold any bytes where a thread's name was.
    """
    converse(config=in_thread("t"), checkpointer=database)
    database.conn.execute(f"UPDATE {table} SET thread_id = CAST(x'9b01' AS TEXT)")
    database.conn.commit()
    skips = Skips()

    runs = list(read_runs(tmp_path / "checkpoints.sqlite", on_skip=skips))

    assert len(runs) + skips.count == 1


def test_a_schema_that_is_no_text_is_told(database: SqliteSaver, tmp_path: Path):
    """
    SQLite then complains in bytes that are no text either.
    """
    converse(config=in_thread("t"), checkpointer=database)
    database.conn.execute("PRAGMA writable_schema = ON")
    database.conn.execute("UPDATE sqlite_master SET name = CAST(x'9b9b' AS TEXT), sql = 'CREATE' WHERE name = 'writes'")
    database.conn.commit()
    skips = Skips()

    assert list(read_runs(tmp_path / "checkpoints.sqlite", on_skip=skips)) == []
    assert skips.reasons == {"no database of checkpoints": 1}


@pytest.mark.parametrize("content", [b"SQLite format 3\x00" + b"\x00" * 100, b"SQLite format 3\x00"])
def test_a_broken_database_is_one_skipped_file(content: bytes, tmp_path: Path):
    """
    It is told, and nothing is raised.
    """
    path = tmp_path / "broken.sqlite"
    path.write_bytes(content)
    skips = Skips()

    assert list(read_runs(path, on_skip=skips)) == []
    assert skips.reasons == {"no database of checkpoints": 1}


def test_a_database_of_something_else_is_one_skipped_file(tmp_path: Path):
    """
    The reason says that it holds no checkpoints.
    """
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE orders (id INTEGER)")
    other.close()
    skips = Skips()

    assert list(read_runs(path, on_skip=skips)) == []
    assert skips.reasons == {"no database of checkpoints": 1}


# -- PostgreSQL --------------------------------------------------------------------------------------------------------

SERVERS = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if Path("/usr/lib/postgresql").is_dir() else []


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    pytest.importorskip("psycopg", reason="needs psycopg")
    found = next((str(folder / "pg_ctl") for folder in reversed(SERVERS)), None) or shutil.which("pg_ctl")
    if found is None:
        pytest.skip("needs a PostgreSQL server: apt install postgresql")
    folder = Path(tempfile.mkdtemp())  # another user has to get there, and the path of a socket must be short
    folder.chmod(0o777)
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    binaries, data = Path(found).parent, folder / "data"
    run = lambda *command: subprocess.run([*user, *command], check=True, capture_output=True, cwd=folder)  # noqa: E731
    options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
    try:
        run(str(binaries / "initdb"), "-D", str(data), "-A", "trust", "-U", "postgres")
        run(found, "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"the PostgreSQL server of this machine does not start: {error}")
    yield f"postgresql:///postgres?host={folder}&user=postgres"
    run(found, "-D", str(data), "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)


def test_a_thread_in_postgres_is_a_run(postgres: str):
    """
    The same conversation, the same run; a database is named by its address.
    """
    from langgraph.checkpoint.postgres import PostgresSaver

    with PostgresSaver.from_conn_string(postgres) as saver:
        saver.setup()
        converse(config=in_thread("t-1"), checkpointer=saver)

    (run,) = read(postgres)

    assert (run.id, told(run)) == ("t-1", TOLD)


def test_an_unreachable_database_is_told_without_its_password():
    """
    One line, which may be copied into a ticket.
    """
    skips = Skips()

    runs = list(read_runs("postgresql://ada:secret@127.0.0.1:1/db", on_skip=skips))

    assert runs == []
    assert skips.reasons == {"no database of checkpoints": 1}
    assert "secret" not in "".join(skips.lines())
