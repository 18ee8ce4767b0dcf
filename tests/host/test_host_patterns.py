"""What is learned is kept beside the runs: known again by the next process, and never in a run's way."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from agents import WAYS, Fixed, ScriptedModel, agent_graph, ask, drive, hand_written_graph, make_tool, sync_only_graph
from langchain_core.messages import AIMessage
from langgraph.store.memory import InMemoryStore

import langgraph_speculate
from langgraph_speculate import SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.core import Origin
from langgraph_speculate.core.events import Predicted
from langgraph_speculate.core.latency import LEFT, TOOK
from langgraph_speculate.core.sums import Key, Pair, Sums
from langgraph_speculate.errors import BadPatterns
from langgraph_speculate.patterns import SqlitePatterns
from langgraph_speculate.predict import default_predictor

POLICY: dict[str, Any] = {"tools": {"look": {"read_only": True, "eagerness": "immediate"}}}  # it answers at once
SCRIPT = [ask(("look", {"id": "all"})), AIMessage("done")]


def _look(id: str) -> str:
    return f"about {id}"


def _graph(way: str, pace_s: float = 0.02) -> Any:
    build = hand_written_graph if way in ("ainvoke", "astream") else sync_only_graph
    return build(ScriptedModel(script=SCRIPT, pace_s=pace_s), [make_tool("look", _look, "both")])


def _learned(path: Path, way: str = "invoke", threads: int = 6) -> None:
    graph = speculate(_graph(way, pace_s=0.0), POLICY, patterns=path)
    for thread in range(threads):
        drive(graph, way, config={"configurable": {"thread_id": f"t{thread}"}})
    speculation_of(graph).close()


def _first_guesses(graph: Any, config: Any = None) -> tuple[Any, ...]:
    """What is predicted where a run begins."""
    told: list[tuple[Any, ...]] = []
    take_off = speculation_of(graph).events(lambda e: told.append(e.candidates) if isinstance(e, Predicted) else None)
    drive(graph, "invoke", config=config)
    take_off()
    return told[0]


@pytest.mark.parametrize("way", WAYS)
def test_what_one_graph_learned_the_next_one_knows(way: str, tmp_path: Path):
    """
    The very first run of the second graph has a hit.
    """
    path = tmp_path / "patterns.db"
    _learned(path, way)
    graph = speculate(_graph(way), POLICY, patterns=path)
    drive(graph, way)
    assert speculation_of(graph).stats().hits == 1
    speculation_of(graph).close()


def test_without_patterns_the_first_run_knows_nothing():
    assert _first_guesses(speculate(_graph("invoke"), POLICY)) == ()


def test_replicas_share_what_they_learn_through_a_store_of_langgraph():
    shared = InMemoryStore()
    first = speculate(_graph("invoke", pace_s=0.0), POLICY, patterns=shared)
    for thread in range(6):
        drive(first, "invoke", config={"configurable": {"thread_id": f"t{thread}"}})
    speculation_of(first).patterns.flush()
    second = speculate(_graph("invoke"), POLICY, patterns=shared)
    drive(second, "invoke")
    assert speculation_of(second).stats().hits == 1


def test_the_middleware_keeps_patterns_too(tmp_path: Path):
    path = tmp_path / "patterns.db"
    _learned(path)
    middleware = SpeculationMiddleware(POLICY, patterns=path)
    graph = agent_graph(
        ScriptedModel(script=SCRIPT, pace_s=0.02), [make_tool("look", _look, "both")], middleware=[middleware]
    )
    drive(graph, "invoke")
    assert middleware.speculation.stats().hits == 1
    middleware.speculation.close()


_EXITS = """
import sys
sys.path[:0] = [{here!r}, {package!r}]
from test_host_patterns import POLICY, _graph, drive
from langgraph_speculate import speculate
graph = speculate(_graph("invoke", pace_s=0.0), POLICY, patterns={path!r})
for thread in range(6):
    drive(graph, "invoke", config={{"configurable": {{"thread_id": f"t{{thread}}"}}}})
"""


def test_a_process_that_just_ends_has_written_all(tmp_path: Path):
    """
    Nobody called `close()`.
    """
    path = tmp_path / "patterns.db"
    package = str(Path(langgraph_speculate.__file__).parents[1])
    code = textwrap.dedent(_EXITS).format(here=str(Path(__file__).parent), package=package, path=str(path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert SqlitePatterns(path).load("")[("shape", "look", "id")] == (6.0, 0.0)


def test_what_is_written_comes_off_the_path_of_runs(tmp_path: Path):
    """
    A store that takes its time, as over a network, holds up no run, and gets it all in the end.
    """

    class Slow(SqlitePatterns):
        waits = 0.0

        def add(self, partition: str, sums: Mapping[Key, Pair]) -> None:
            Slow.waits += 1
            super().add(partition, sums)

    store = Slow(tmp_path / "patterns.db")
    graph = speculate(_graph("ainvoke", pace_s=0.0), POLICY, patterns=store)
    drive(graph, "ainvoke")  # under a watch: nothing here may block the loop
    assert Slow.waits == 0
    speculation_of(graph).patterns.flush()
    assert Slow.waits == 1
    assert store.load("")[("shape", "look", "id")] == (1.0, 0.0)
    speculation_of(graph).close()


def test_a_store_that_fails_is_told_once_and_written_later(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    class Moody(SqlitePatterns):
        fails = True

        def add(self, partition: str, sums: Mapping[Key, Pair]) -> None:
            if self.fails:
                raise ConnectionError("secret host name")
            super().add(partition, sums)

    store = Moody(tmp_path / "patterns.db")
    graph = speculate(_graph("invoke", pace_s=0.0), POLICY, patterns=store)
    keeper = speculation_of(graph).patterns
    for _ in range(2):
        drive(graph, "invoke")
        keeper.flush()
    store.fails = False
    keeper.flush()
    assert store.load("")[("shape", "look", "id")] == (2.0, 0.0)
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text
    speculation_of(graph).close()


def test_a_store_that_cannot_be_read_stops_nobody(caplog: pytest.LogCaptureFixture):
    class Mute:
        def add(self, partition: str, sums: Mapping[Key, Pair]) -> None:
            raise ConnectionError

        def load(self, partition: str) -> Sums:
            raise ConnectionError

        def forget(self, partition: str) -> int:
            return 0

        def close(self) -> None:
            pass

    graph = speculate(_graph("invoke", pace_s=0.0), POLICY, patterns=Mute())
    drive(graph, "invoke")
    speculation_of(graph).close()
    assert len(caplog.records) == 1


def test_a_predictor_with_nothing_to_write_down_is_the_callers_mistake(tmp_path: Path):
    with pytest.raises(BadPatterns, match="Fixed has nothing to write down; leave out predictor= or patterns="):
        speculate(_graph("invoke"), POLICY, patterns=tmp_path / "patterns.db", predictor=Fixed(("look", {"id": "all"})))


# -- whose it is -------------------------------------------------------------------------------------------------------

TENANTS = {**POLICY, "partition_by": ["tenant"]}


def _of(tenant: str, thread: int) -> dict[str, Any]:
    return {"configurable": {"tenant": tenant, "thread_id": f"{tenant}-{thread}"}}


def test_each_partition_knows_only_what_it_did_itself(tmp_path: Path):
    """
    One tenant's runs teach nothing about another's, in memory and from the file; forgetting one leaves the other.
    """
    path = tmp_path / "patterns.db"
    graph = speculate(_graph("invoke", pace_s=0.0), TENANTS, patterns=path)
    for thread in range(6):
        drive(graph, "invoke", config=_of("acme", thread))
    assert _first_guesses(graph, _of("acme", 6)) != ()
    assert _first_guesses(graph, _of("other", 0)) == ()
    speculation_of(graph).close()

    store = SqlitePatterns(path)
    assert {key[0] for key in store.load("")} <= {TOOK, LEFT}  # how long tools and models take is nobody's secret
    acme = repr(["acme"])
    assert store.load(acme)[("shape", "look", "id")] == (7.0, 0.0)
    graph = speculate(_graph("invoke"), TENANTS, patterns=store)
    assert speculation_of(graph).patterns.forget("acme") > 0
    assert store.load(acme) == {}
    assert store.load(repr(["other"])) != {}
    assert _first_guesses(graph, _of("acme", 9)) == ()
    speculation_of(graph).close()


def test_partitions_learn_together_where_their_owner_says_so(tmp_path: Path):
    """
    Then it is everybody's, on disk too; values still need several tenants.
    """
    path = tmp_path / "patterns.db"
    graph = speculate(_graph("invoke", pace_s=0.0), {**TENANTS, "shared_patterns": True}, patterns=path)
    for thread in range(6):
        drive(graph, "invoke", config=_of("acme", thread))
    assert _first_guesses(graph, _of("other", 0)) != ()
    speculation_of(graph).close()
    assert SqlitePatterns(path).load("")[("shape", "look", "id")] == (7.0, 0.0)
    assert _values(SqlitePatterns(path)) == set()


def _values(store: SqlitePatterns, partition: str = "") -> set[str]:
    return {key[4] for key in store.load(partition) if key[0] == "value" and key[4]}


@pytest.mark.parametrize(("threads", "known"), [(4, set()), (5, {'"all"'})])
def test_a_value_is_written_once_enough_threads_had_it(threads: int, known: set[str], tmp_path: Path):
    path = tmp_path / "patterns.db"
    _learned(path, threads=threads)
    assert _values(SqlitePatterns(path)) == known


def test_a_value_of_one_tenant_is_not_written_however_often_it_comes(tmp_path: Path):
    """
    Twenty threads, but one partition.
    """
    path = tmp_path / "patterns.db"
    graph = speculate(_graph("invoke", pace_s=0.0), TENANTS, patterns=path)
    for thread in range(20):
        drive(graph, "invoke", config=_of("acme", thread))
    speculation_of(graph).close()
    assert _values(SqlitePatterns(path), repr(["acme"])) == set()


def test_a_private_tools_values_are_never_written(tmp_path: Path):
    path = tmp_path / "patterns.db"
    graph = speculate(
        _graph("invoke", pace_s=0.0), {"tools": {"look": {"read_only": True, "private": True}}}, patterns=path
    )
    for thread in range(20):
        drive(graph, "invoke", config={"configurable": {"thread_id": f"t{thread}"}})
    speculation_of(graph).close()
    store = SqlitePatterns(path)
    assert _values(store) == set()
    assert store.load("")[("shape", "look", "id")] == (20.0, 0.0)
    assert b'"all"' not in path.read_bytes()


def test_what_users_say_is_never_written(tmp_path: Path):
    path = tmp_path / "patterns.db"
    graph = speculate(_graph("invoke", pace_s=0.0), POLICY, patterns=path)
    for thread in range(20):
        drive(
            graph,
            "invoke",
            {"messages": [("user", "Show me ALL of it")]},
            config={"configurable": {"thread_id": f"t{thread}"}},
        )
    speculation_of(graph).close()
    assert _values(SqlitePatterns(path)) == set()


def test_histories_say_whose_run_they_are(tmp_path: Path):
    """
    Any predictor may keep tenants apart.
    """
    seen: list[Origin] = []

    class Curious(Fixed):
        def predict(self, history: Any, *, k: int) -> Any:
            seen.append(history.origin)
            return super().predict(history, k=k)

    graph = speculate(_graph("invoke", pace_s=0.0), TENANTS, predictor=Curious(("look", {"id": "all"})))
    drive(graph, "invoke", config=_of("acme", 1))
    [origin] = set(seen)
    assert origin == Origin(partition=repr(["acme"]), thread="acme-1", run=origin.run)
    assert origin.run
    assert default_predictor().predict
