"""What tools answered, kept in a LangGraph cache: expected by the next process, and compared there."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from agents import WAYS, Fixed, ScriptedModel, agent_graph, ask, drive, make_tool
from langchain.agents import create_agent
from langchain_core.messages import AIMessage
from langgraph.cache.base import BaseCache
from langgraph.cache.memory import InMemoryCache
from langgraph.cache.sqlite import SqliteCache

from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.core import events
from langgraph_speculate.core.events import Event
from langgraph_speculate.observe.observers import at_once

PACE_S = 0.1
AHEAD: dict[str, Any] = {
    "model_ahead": True,
    "thrift": 0.0,
    "tools": {
        "look": {"read_only": True, "reads": ["shelf"]},
        "seek": {"read_only": True, "reads": ["shelf"]},
        "put": {"writes": ["shelf"]},
    },
    "limits": {"max_in_flight": 0},
}
SCRIPT = [ask(("look", {"id": 1})), ask(("seek", {"id": 2})), AIMessage("done")]
FOUND = {1: "a secret one", 2: "a secret two", 3: "three"}


def tools(found: dict[int, str] | None = None) -> list[Any]:
    answers = FOUND if found is None else found

    def look(id: int) -> str:
        "Look something up."
        return answers[id]

    def seek(id: int) -> str:
        "Look for something."
        return answers[id]

    def put(id: int) -> str:
        "Put something away."
        return "done"

    return [make_tool(body.__name__, body, "both", PACE_S) for body in (look, seek, put)]


def a_process(cache: Any, *, found: dict[int, str] | None = None, script: Any = None, **policy: Any) -> Any:
    """A graph that knows nothing but what the cache tells, and what happens in it."""
    happened: list[Event] = []
    model = ScriptedModel(script=script or SCRIPT, pace_s=PACE_S)
    graph = speculate(
        agent_graph(model, tools(found)),
        {**AHEAD, **policy},
        memory=cache,
        predictor=Fixed(),
        observers=[at_once(happened.append)],
    )
    return graph, happened


def learned(cache: Any, runs: int = 3, **how: Any) -> None:
    """A process that ran some times, and ended."""
    config = how.pop("config", None)
    graph, _ = a_process(cache, **how)
    for _ in range(runs):
        drive(graph, "invoke", config=config)
    speculation_of(graph).close()


def became(happened: list[Event]) -> list[str]:
    """What became of the previews, in order."""
    told = [event for event in happened if isinstance(event, events.PreviewUsed | events.PreviewWasted)]
    return ["used" if isinstance(event, events.PreviewUsed) else event.reason for event in told]


@pytest.mark.parametrize("way", WAYS)
def test_the_next_process_expects_what_this_one_was_answered(tmp_path: Path, way: str):
    """
    Its first run is previewed already, and nothing but the cache lies between the two.
    """
    learned(SqliteCache(path=str(tmp_path / "memory.db")))
    graph, happened = a_process(SqliteCache(path=str(tmp_path / "memory.db")))
    drive(graph, way)
    assert became(happened) == ["used", "used"]


def test_another_process_of_the_system_expects_it_too(tmp_path: Path):
    """
    What is written has been written when a process ends that did not close anything.
    """
    path = str(tmp_path / "memory.db")
    program = f"import test_host_archive as t; t.drive(t.a_process(t.SqliteCache(path={path!r}))[0], 'invoke')"
    folders = [str(Path(__file__).parent), *sys.path]
    for _ in range(2):
        subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = {folders!r}; {program}"], check=True)
    graph, happened = a_process(SqliteCache(path=path))
    drive(graph, "invoke")
    assert became(happened) == ["used", "used"]


def test_what_is_forgotten_of_a_partition_is_gone_here_and_in_the_cache():
    """
    Nobody expects one tenant's answers any more, in this process or the next; another's are left alone.
    """
    cache, tenants = InMemoryCache(), {"partition_by": ["tenant"]}
    of = {name: {"configurable": {"tenant": name}} for name in ("acme", "other")}
    for config in of.values():
        learned(cache, config=config, **tenants)
    here, happened = a_process(cache, **tenants)
    for config in of.values():
        drive(here, "invoke", config=config)
    assert became(happened) == ["used"] * 4
    assert speculation_of(here).archive.forget("acme") == 2  # the results of look and seek

    happened.clear()
    drive(here, "invoke", config=of["acme"])
    assert became(happened) == []
    assert speculation_of(here).archive.forget("acme") == 2  # what that run was answered
    assert speculation_of(here).archive.forget("nobody") == 0
    speculation_of(here).close()
    for name, expected in (("acme", []), ("other", ["used"] * 2)):
        graph, happened = a_process(cache, **tenants)
        drive(graph, "invoke", config=of[name])
        assert became(happened) == expected
        speculation_of(graph).archive.forget("acme")


def test_the_middleware_does_the_same():
    """
    The same argument, the same cache.
    """
    cache, happened = InMemoryCache(), []
    learned(cache)
    middleware = SpeculationMiddleware(AHEAD, memory=cache, predictor=Fixed(), observers=[at_once(happened.append)])
    graph = create_agent(ScriptedModel(script=SCRIPT, pace_s=PACE_S), tools(), middleware=[middleware])
    drive(graph, "invoke")
    assert became(happened) == ["used", "used"]


def test_what_has_changed_between_two_processes_is_noticed():
    """
    What another process was told is an expectation: the real answer is the run's.
    """
    cache = InMemoryCache()
    learned(cache)
    graph, happened = a_process(cache, found={1: "another", 2: "a secret two"})
    (last,) = drive(graph, "invoke")
    messages = last["messages"]
    assert [message.content for message in messages[2::2]] == ["another", "a secret two"]
    assert became(happened) == ["result", "used"]


def test_a_write_of_any_kind_makes_old_what_another_process_read():
    """
    Since when it has not changed is not known, so nothing is bet on it once something was written here.
    """
    cache = InMemoryCache()
    learned(cache)
    graph, happened = a_process(cache, script=[ask(("put", {"id": 3})), *SCRIPT])
    drive(graph, "invoke")
    assert became(happened) == []


def test_users_are_kept_apart_in_the_cache_too():
    """
    Each partition has its own pages, under hashes.
    """
    cache = InMemoryCache()
    ann, bob = ({"configurable": {"user": user}} for user in ("ann", "bob"))
    learned(cache, partition_by=["user"], config=ann)
    graph, happened = a_process(cache, partition_by=["user"])
    drive(graph, "invoke", config=bob)
    assert became(happened) == []
    drive(graph, "invoke", config=ann)
    assert became(happened) == ["used", "used"]


def test_nothing_of_private_tools_is_written_and_no_arguments_are(tmp_path: Path):
    """
    What the file holds can be read: what tools answered that are not private, and hashes.
    """
    path = tmp_path / "memory.db"
    learned(SqliteCache(path=str(path)), tools={"look": {"read_only": True}, "seek": {"private": True}})
    (row,) = _rows(path)
    assert "a secret one" in row
    assert "a secret two" not in row
    assert '"id"' not in row


def _rows(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        return [f"{row[0]} {row[1]} {bytes(row[2])!r}" for row in connection.execute("SELECT ns, key, val FROM cache")]


def test_two_processes_add_to_one_page():
    """
    What the other one wrote in between is still there.
    """
    cache = InMemoryCache()
    graph, _ = a_process(cache)
    drive(graph, "invoke")
    learned(cache, script=[ask(("look", {"id": 3})), AIMessage("done")])
    for _ in range(3):
        drive(graph, "invoke")
    speculation_of(graph).close()
    both, happened = a_process(cache, script=[ask(("look", {"id": 1}), ("look", {"id": 3})), AIMessage("done")])
    drive(both, "invoke")
    assert became(happened) == ["used"]


class Failing(BaseCache[Any]):
    """A cache that does not work."""

    def get(self, keys: Sequence[Any]) -> dict[Any, Any]:
        raise ConnectionError("no cache: secret")

    def set(self, pairs: Mapping[Any, Any]) -> None:
        raise ConnectionError("no cache: secret")

    async def aget(self, keys: Sequence[Any]) -> dict[Any, Any]:
        raise NotImplementedError

    async def aset(self, pairs: Mapping[Any, Any]) -> None:
        raise NotImplementedError

    def clear(self, namespaces: Any = None) -> None:
        raise NotImplementedError

    async def aclear(self, namespaces: Any = None) -> None:
        raise NotImplementedError


class Lying(InMemoryCache[Any]):
    """A cache that has something else under every key."""

    value: Any = None

    def get(self, keys: Sequence[Any]) -> dict[Any, Any]:
        return dict.fromkeys(keys, self.value)


PAGE = '{"version": 1, "again": [9, 1], "alike": [1, 3], "results": %s}'


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        "{",
        "[]",
        '{"version": 2}',
        PAGE % "[[1]]",
        PAGE % '[["k", {"__class__": "x"}, 1, 0]]',
        PAGE % '[["k", {"content": "x", "id": "y"}, 1, 0]]',
        PAGE.replace("9", "-1") % "[]",
        "[" * 100_000,
    ],
    ids=["none", "bytes", "cut off", "list", "version", "entry", "attributes", "fields", "counts", "deep"],
)
def test_a_page_that_is_none_is_told_once_and_written_anew(value: Any, caplog: pytest.LogCaptureFixture):
    """
    The run goes on, and nothing that a tool's message cannot say is taken in.
    """
    cache = Lying()
    cache.value = value
    graph, happened = a_process(cache)
    drive(graph, "invoke")
    drive(graph, "invoke")
    assert speculation_of(graph).archive.flush()
    speculation_of(graph).close()
    assert became(happened) == ["used", "used"]
    assert sum("memory=" in record.message for record in caplog.records) == 1
    assert InMemoryCache.get(cache, [next(iter(cache_keys(cache)))]) != {}


def cache_keys(cache: Any) -> list[Any]:
    return [(namespace, key) for namespace, pages in cache._cache.items() for key in pages]


def test_a_cache_that_fails_costs_one_warning(caplog: pytest.LogCaptureFixture):
    """
    The memory of the process works on; nothing of what the error says is told.
    """
    graph, happened = a_process(Failing())
    for _ in range(2):
        drive(graph, "invoke")
    speculation_of(graph).close()
    told = [record.message for record in caplog.records if "memory=" in record.message]
    assert became(happened) == ["used", "used"]
    assert len(told) == 1
    assert "secret" not in told[0]


@pytest.mark.parametrize(
    ("memory", "policy", "error"),
    [("a path", AHEAD, TypeError), (InMemoryCache(), {"tools": {"look": True}}, None)],
    ids=["no cache", "no previews"],
)
def test_a_memory_that_cannot_be_kept_is_told(
    memory: Any, policy: Any, error: type[Exception] | None, caplog: pytest.LogCaptureFixture
):
    """
    What is no cache is a mistake; a cache for nothing is a warning.
    """

    def make() -> Any:
        return speculate(agent_graph(ScriptedModel(script=SCRIPT), tools()), policy, memory=memory)

    if error is not None:
        with pytest.raises(error, match="memory="):
            make()
    else:
        assert speculation_of(make()).archive is None
        assert "model_ahead" in caplog.text
