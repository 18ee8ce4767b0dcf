"""The keeper of patterns: slow, failing and hanging stores, and what happens at the same moment as something else."""

from __future__ import annotations

import asyncio
import copy
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore

from langgraph_speculate.core import Call, History, Origin
from langgraph_speculate.core.sums import Key, Pair, Sums, add_to
from langgraph_speculate.host import keeper as module
from langgraph_speculate.host.keeper import Keeper
from langgraph_speculate.patterns import SharedPatterns, SqlitePatterns
from langgraph_speculate.predict import PartitionedPredictor
from langgraph_speculate.testing import recorded_runs


class Store:
    """A store in memory whose verbs wait, or fail, as they are told."""

    def __init__(self, **sums: Sums) -> None:
        self.sums: dict[str, Sums] = dict(sums)
        self.may_load, self.may_add, self.loads = threading.Event(), threading.Event(), threading.Event()
        self.may_load.set()
        self.may_add.set()
        self.loops: list[bool] = []

    def add(self, partition: str, sums: Mapping[Key, Pair]) -> None:
        self.may_add.wait(20)
        add_to(self.sums.setdefault(partition, {}), sums.items())

    def load(self, partition: str) -> Sums:
        self.loops.append(threading.current_thread() is threading.main_thread())
        self.loads.set()
        found = dict(self.sums.get(partition, {}))
        self.may_load.wait(20)
        return found

    def forget(self, partition: str) -> int:
        return len(self.sums.pop(partition, {}))

    def close(self) -> None:
        pass


class Asking:
    """The lock of a predictor."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self) -> AbstractContextManager[object]:
        return self._lock


KNOWN: Sums = {("next", "^\x1fuser", "look"): (9.0, 0.0), ("shape", "look", ""): (9.0, 0.0)}


def _asked(predictor: PartitionedPredictor, partition: str = "", thread: str = "t") -> list[str]:
    history = History.from_messages([{"role": "user", "content": "Hello"}], origin=Origin(partition, thread))
    return [candidate.call.name for candidate in predictor.predict(history, k=5)]


def _taught(predictor: PartitionedPredictor, partition: str, tool: str = "look", thread: str = "t") -> None:
    history = History.from_messages([{"role": "user", "content": "Hello"}], origin=Origin(partition, thread))
    predictor.learn(history, [Call(tool, {})])


def _eventually(true: Any) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_store_that_hangs_holds_up_nobody_who_wraps_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Patience ends; what it tells later is known then.
    """
    monkeypatch.setattr(module, "_PATIENCE_S", 0.05)
    store, predictor = Store(), PartitionedPredictor()
    store.sums[""] = KNOWN
    store.may_load.clear()
    begin = time.monotonic()
    keeper = Keeper(store, predictor, Asking(), 0.01)
    assert time.monotonic() - begin < 2
    assert _asked(predictor) == []
    store.may_load.set()
    _eventually(lambda: _asked(predictor) == ["look"])
    keeper.close()


def test_a_store_is_never_used_on_an_event_loop() -> None:
    """
    Those that work on the loop themselves (AsyncPostgresStore) refuse to be called there, and were never read.
    """

    class OfALoop(Store):
        async def aload(self) -> None:
            await asyncio.sleep(0)

        def load(self, partition: str) -> Sums:
            asyncio.run_coroutine_threadsafe(self.aload(), loop).result(5)
            return super().load(partition)

    async def main() -> None:
        nonlocal loop
        loop = asyncio.get_running_loop()
        keeper = Keeper(store, predictor, Asking(), 0.01)
        for _ in range(500):
            await asyncio.sleep(0.01)
            if _asked(predictor) == ["look"]:
                break
        assert _asked(predictor) == ["look"]
        await asyncio.to_thread(keeper.close)

    loop: Any = None
    store, predictor = OfALoop(), PartitionedPredictor()
    store.sums[""] = KNOWN
    asyncio.run(main())
    assert not any(store.loops)


def test_what_is_forgotten_while_it_is_read_does_not_come_back() -> None:
    """
    A partition's totals have been read, and are not installed yet, when it is forgotten.
    """
    store, predictor = Store(), PartitionedPredictor()
    keeper = Keeper(store, predictor, Asking(), 0.01)
    store.sums["['acme']"] = KNOWN
    store.may_load.clear()
    store.loads.clear()
    assert _asked(predictor, "['acme']") == []
    assert store.loads.wait(10)
    forgetting = threading.Thread(target=keeper.forget, args=("acme",))
    forgetting.start()
    time.sleep(0.05)
    store.may_load.set()
    forgetting.join(10)
    assert "['acme']" not in store.sums
    _eventually(lambda: keeper._worker.wait(0))
    assert _asked(predictor, "['acme']") == []
    keeper.close()


def test_a_tenant_that_was_evicted_is_known_again_when_it_comes_back() -> None:
    """
    Once in a process was all it got; and what it had learned and nobody had written yet is there too.
    """
    store, predictor = Store(), PartitionedPredictor(partitions=2)
    keeper = Keeper(store, predictor, Asking(), 0.01)
    for _ in range(3):
        _taught(predictor, "a")
    for other in "bcd":
        _taught(predictor, other)
    assert "a" not in predictor._predictors
    assert _asked(predictor, "a") == []
    _eventually(lambda: _asked(predictor, "a") == ["look"])
    keeper.close()
    assert store.sums["a"][("shape", "look", "")] == (3.0, 0.0)


def test_what_is_learned_while_the_store_is_read_is_not_lost() -> None:
    store, predictor = Store(), PartitionedPredictor()
    store.sums["a"] = dict(KNOWN)
    keeper = Keeper(store, predictor, Asking(), 0.01)
    store.may_load.clear()
    store.loads.clear()
    assert _asked(predictor, "a") == []
    assert store.loads.wait(10)
    for thread in range(9):
        _taught(predictor, "a", "other", f"t{thread}")
    store.may_load.set()
    _eventually(lambda: set(_asked(predictor, "a")) == {"look", "other"})
    keeper.close()
    assert store.sums["a"][("shape", "other", "")] == (9.0, 0.0)
    assert store.sums["a"][("shape", "look", "")] == (9.0, 0.0)


def test_a_predictor_that_fails_to_hand_over_does_not_end_the_keeping() -> None:
    """
    The thread died, and was taken to be alive for ever.
    """

    class Moody(PartitionedPredictor):
        fails = True

        def take(self) -> Any:
            if self.fails:
                raise ValueError
            return super().take()

    store, predictor = Store(), Moody()
    keeper = Keeper(store, predictor, Asking(), 0.01)
    _taught(predictor, "")
    keeper.learned()
    _eventually(lambda: not keeper._worker.is_alive)
    predictor.fails = False
    keeper.learned()
    _eventually(lambda: ("shape", "look", "") in store.sums.get("", {}))
    keeper.close()
    keeper.close()


def test_close_waits_for_a_hanging_store_only_so_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_LAST_S", 0.1)
    store, predictor = Store(), PartitionedPredictor()
    keeper = Keeper(store, predictor, Asking(), 0.01)
    store.may_add.clear()
    _taught(predictor, "")
    keeper.learned()
    begin = time.monotonic()
    keeper.close()
    assert time.monotonic() - begin < 2
    assert len(caplog.records) == 1
    store.may_add.set()


_HANGS = """
import threading, time
from langgraph_speculate.core import Call, History
from langgraph_speculate.host import keeper
from langgraph_speculate.predict import PartitionedPredictor
keeper._LAST_S = 0.5
class Hangs:
    def add(self, partition, sums):
        time.sleep(60)
    def load(self, partition):
        return {}
    def forget(self, partition):
        return 0
    def close(self):
        pass
lock, predictor = threading.Lock(), PartitionedPredictor()
kept = keeper.Keeper(Hangs(), predictor, lambda: lock)
predictor.learn(History(), [Call("look", {})])
kept.learned()
"""


def test_a_process_ends_although_its_store_hangs() -> None:
    """
    It waited for as long as the store took.
    """
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", _HANGS], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begin < 20


def test_forgetting_leaves_no_byte_of_many_transactions(tmp_path: Path) -> None:
    """
    Pages that SQLite had moved about kept old rows, although what is deleted is overwritten.
    """
    store = SqlitePatterns(tmp_path / "patterns.db")
    draw = random.Random(1)
    for _ in range(60):
        for partition in ("a", "b", "c"):
            names = [f"of-{partition}-{draw.randrange(4000)}{'x' * draw.randrange(60)}" for _ in range(100)]
            store.add(partition, {("next", name): (1.0, 0.0) for name in names})
    store.forget("b")
    everything = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"of-b-" not in everything
    assert b"of-a-" in everything
    store.close()


def test_what_is_loaded_foresees_as_much_as_what_was_learned() -> None:
    """
    Hits in the first place, over 60 made-up runs that neither has seen.
    """
    learned, loaded = PartitionedPredictor(), PartitionedPredictor()
    for history, calls in recorded_runs(60):
        learned.predict(history, k=5)
        learned.learn(history, calls)
    loaded.install("", loaded.prepare(learned.take()[""]))

    def hits(predictor: PartitionedPredictor) -> int:
        found = 0
        for history, calls in recorded_runs(60, seed=1):
            guesses = predictor.predict(history, k=1)
            found += any(guess.call == call for guess in guesses for call in calls)
        return found

    assert hits(learned) > 90
    assert hits(loaded) >= 0.95 * hits(learned)


def test_a_fork_opens_the_file_for_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    As of servers that wrap the graph before they fork: children used their parent's connection.
    """
    store = SqlitePatterns(tmp_path / "patterns.db")
    store.add("", KNOWN)
    before = store._database
    monkeypatch.setattr(os, "getpid", lambda: 1)
    store.add("", KNOWN)
    assert store._database is not before
    assert store.load("")[("shape", "look", "")] == (18.0, 0.0)


def test_a_fork_does_not_replace_its_parents_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Children wrote theirs under their parent's name, so that the last one to write was the only one to be known.
    """
    parent = SharedPatterns(InMemoryStore())
    parent.add("", KNOWN)
    child = copy.copy(parent)
    child._own = copy.deepcopy(parent._own)
    with monkeypatch.context() as inside:
        inside.setattr(os, "getpid", lambda: 1)
        child.add("", KNOWN)
    parent.add("", KNOWN)
    assert parent.load("")[("shape", "look", "")] == (27.0, 0.0)
