"""T25, for patterns: a store that somebody damaged, or wrote to do harm.

The library promises that it costs hits and nothing else: no crash, no hang, memory and time bounded, and what is
predicted stays a probability.
"""

from __future__ import annotations

import copy
import math
import random
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from langgraph.store.memory import InMemoryStore

from langgraph_speculate.core import Call, History, Origin
from langgraph_speculate.core.sums import Key, Sums
from langgraph_speculate.patterns import SharedPatterns, SqlitePatterns
from langgraph_speculate.patterns import sqlite as module
from langgraph_speculate.predict import PartitionedPredictor, default_predictor
from langgraph_speculate.testing import recorded_runs

NUMBERS = (0.0, -1.0, 1e308, -1e308, 5e-324, 1e18, math.nan, math.inf, 7.0)
TEXTS = (
    *("", "x" * 4000, "[", "[" * 900 + "]" * 900, "1e999", "null", "{}", "\x1f" * 10, "\ud800", "NaN", '"NaN"'),
    *("18:0", "18:-1", "18:²", "18:17", "18:" + "9" * 20, '{"a":' * 900 + "1" + "}" * 900, '[["{}",1,2]]', "{}{}"),
    *('[[{},["arg",{},"x"],[]]]', '[["{}",["next","find_user","user_id"],"x"]]', "next", "user", "get_order"),
)


def _learned() -> Sums:
    predictor = default_predictor()
    for history, calls in recorded_runs(40):
        predictor.predict(history, k=5)
        predictor.learn(history, calls)
    return dict(predictor.take()[""])


def _knowing(sums: Sums) -> PartitionedPredictor:
    predictor = default_predictor()
    predictor.install("", predictor.prepare(sums))
    return predictor


def _goes_on(predictor: PartitionedPredictor) -> float:
    """Let it predict and learn; the longest that one step took, in seconds."""
    longest = 0.0
    for history, calls in recorded_runs(3, seed=1):
        begin = time.perf_counter()
        assert all(0.0 <= one.probability <= 1.0 for one in predictor.predict(history, k=10))
        predictor.learn(history, calls)
        longest = max(longest, time.perf_counter() - begin)
    for sums in predictor.take().values():
        assert all(math.isfinite(number) for pair in sums.values() for number in pair)
    return longest


@pytest.mark.parametrize("seed", range(60))
def test_sums_that_nobody_counted_do_no_harm(seed: int) -> None:
    """
    Keys of every kind, with parts replaced, cut off and added, and numbers that are no counts, beside sound ones.
    """
    draw, sound = random.Random(seed), _learned()
    sums: dict[Any, Any] = dict(sound) if seed % 2 else {}
    for _ in range(200):
        key = list(draw.choice(list(sound)))
        for _ in range(draw.choice([0, 0, 1, 1, 2])):
            key[draw.randrange(len(key))] = draw.choice(TEXTS)
        key = key[: draw.randrange(len(key) + 1)] if draw.random() < 0.1 else key
        key += [draw.choice(TEXTS)] if draw.random() < 0.1 else []
        sums[tuple(key)] = draw.choice([*NUMBERS, 1.0, 2.0]), draw.choice([*NUMBERS, 1.0, 3.0])
    _goes_on(_knowing(sums))


def test_sums_of_other_types_do_no_harm() -> None:
    """
    What a store of somebody else's may return.
    """
    odd: dict[Any, Any] = {("next", "user", "get"): ("1", "2"), 7: (1.0, 1.0), "next": (1.0, 1.0), (): (1.0, 0.0)}
    odd |= {("next", "a", "b"): None, ("call", "x", "", "{}"): (1.0,), ("shape", 1, 2): (1.0, 0.0)}
    _goes_on(_knowing({**_learned(), **odd}))


def _flood(kind: str, number: int) -> Key:
    return {
        "right": ("right", "get_order", "order_id", "{}", "json", "find_user", f".x{number}"),
        "pick": ("pick", "get_order", "order_id", "{}", "json", "find_user", ".id", "user", f"new {number}"),
        "next": ("next", "^\x1fuser", f"tool-{number}"),
        "shape": ("shape", "get_order", f"a{number}"),
        "value": ("value", "get_order", "order_id", "user", f'"{number}"'),
        "call": ("call", "get_order", "user", f'{{"order_id":"{number}"}}'),
        "way": ("way", "get_order", "order_id", f'[["{{}}",["json","find_user",".x{number}"],"new 0 of 1"]]'),
    }[kind]


@pytest.mark.parametrize("kind", ["right", "pick", "next", "shape", "value", "call", "way"])
def test_floods_of_sums_slow_no_step_down(kind: str) -> None:
    """
    20,000 sums of one kind about one tool: steps take a twentieth of a second at most, on a slow machine.
    """
    assert _goes_on(_knowing({**_learned(), **{_flood(kind, n): (5.0, 5.0) for n in range(20_000)}})) < 0.05


def test_only_the_heaviest_of_many_rows_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    store = SqlitePatterns(tmp_path / "patterns.db")
    store.add("", {("next", "", str(number)): (float(number), 0.0) for number in range(100)})
    assert sorted(store.load("").values()) == [(float(number), 0.0) for number in range(90, 100)]
    monkeypatch.setattr(module, "_CHARACTERS", 30)
    assert len(store.load("")) == 2


@pytest.mark.parametrize(
    "attack",
    [
        "CREATE TRIGGER t AFTER INSERT ON sums BEGIN DELETE FROM sums; END",
        "ALTER TABLE sums RENAME TO other; CREATE VIEW sums AS SELECT * FROM other",
        "CREATE VIEW v AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x FROM n",
    ],
)
def test_a_file_that_holds_code_is_moved_aside(attack: str, tmp_path: Path) -> None:
    """
    Triggers and views would run whenever the file is used.
    """
    path = tmp_path / "patterns.db"
    SqlitePatterns(path).close()
    other = sqlite3.connect(path)
    other.executescript(attack)
    other.close()
    store = SqlitePatterns(path)
    store.add("", {("next", "get"): (1.0, 0.0)})
    assert store.load("") == {("next", "get"): (1.0, 0.0)}
    assert path.with_name("patterns.db.quarantined").exists()


def test_what_takes_the_database_too_long_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqlitePatterns(tmp_path / "patterns.db")
    store.add("", {("next", str(number)): (1.0, 0.0) for number in range(5_000)})
    monkeypatch.setattr(module, "_LONGEST_S", -1.0)
    monkeypatch.setattr(module, "_STEPS", 100)
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        store.load("")
    monkeypatch.undo()
    assert len(store.load("")) == 5_000


ITEMS: list[Any] = [
    {"sums": 7},
    {"sums": [7]},
    {"sums": [["no json", 1, 1]]},
    {"sums": [['["a"]', "much", 1]]},
    {"sums": [['["a"]', 1]]},
    {"sums": [["[" * 900, 1, 1], [None, 1, 1], ['["a"]', math.nan, 1], ['["a"]', 10**400, 1]]},
    {"sums": [['["' + "a" * 5000 + '"]', 1, 1]]},
    {},
]


@pytest.mark.parametrize("item", ITEMS)
def test_an_item_that_is_no_total_hides_no_other(item: Any) -> None:
    """
    Others can write to a store that is shared: it made everything unknown.
    """
    shared = InMemoryStore()
    store = SharedPatterns(shared)
    store.add("", {("next", "get"): (1.0, 0.0)})
    shared.put(store._space(""), "0", item)
    assert SharedPatterns(shared).load("") == {("next", "get"): (1.0, 0.0)}


def test_a_store_whose_search_never_ends_is_read_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One that pages oddly: it answers with ever new items, or with the same ones.
    """
    from langgraph_speculate.patterns import shared as shared_module

    monkeypatch.setattr(shared_module, "_ITEMS", 5_000)

    def renamed(item: Any, key: str) -> Any:
        copied = copy.copy(item)
        copied.key = key
        return copied

    class Endless(InMemoryStore):
        def search(self, *args: Any, offset: int = 0, **kwargs: Any) -> Any:
            found = super().search(*args, **kwargs)
            return [renamed(found[0], f"{offset}-{n}") for n in range(500)] if found else []

    class Same(InMemoryStore):
        def search(self, *args: Any, offset: int = 0, **kwargs: Any) -> Any:
            return super().search(*args, **kwargs)

    for store, times in ((Endless(), 5_000.0), (Same(), 1.0)):
        patterns = SharedPatterns(store)
        patterns.add("", {("next", "get"): (1.0, 0.0)})
        assert patterns.load("") == {("next", "get"): (times, 0.0)}


def test_predictions_from_a_hostile_store_are_only_predictions() -> None:
    """
    Certain of a tool that nobody has: the candidate says so, with a probability, and the gate does the rest (T21).
    """
    predictor = _knowing({("next", "^\x1fuser", "wipe"): (1e6, 0.0), ("shape", "wipe", ""): (1e6, 0.0)})
    history = History.from_messages([{"role": "user", "content": "Hello"}], origin=Origin(thread="t"))
    [candidate] = predictor.predict(history, k=3)
    assert candidate.call == Call("wipe", {})
    assert candidate.probability <= 1.0


@pytest.mark.parametrize("make", [SqlitePatterns, lambda path: SharedPatterns(InMemoryStore())])
def test_a_sum_that_cannot_be_written_keeps_no_other_from_it(make: Any, tmp_path: Path) -> None:
    """
    A lone surrogate or a NaN made every later transaction fail, or a sound file look damaged.
    """
    store = make(tmp_path / "patterns.db")
    odd: dict[Any, Any] = {
        ("next", "\ud800"): (1.0, 0.0),
        ("next", "x"): (math.nan, 0.0),
        ("n", "y" * 9999): (1.0, 0.0),
    }
    store.add("", {**odd, ("next", "get"): (1.0, 0.0)})
    assert store.load("") == {("next", "get"): (1.0, 0.0)}
    assert not list(tmp_path.glob("*.quarantined"))
