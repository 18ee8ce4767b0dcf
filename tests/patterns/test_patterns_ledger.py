"""What is handed over to a store: how many rows, and that no observation is lost for having too many."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from langgraph_speculate.core import Call, History, Origin
from langgraph_speculate.core.sums import Key, Sums
from langgraph_speculate.patterns import SqlitePatterns
from langgraph_speculate.predict import PartitionedPredictor
from langgraph_speculate.predict import ledger as module
from langgraph_speculate.predict.knowledge import CONTEXTUAL, NEXT, coarse, joined
from langgraph_speculate.predict.ledger import Evidence, Ledger
from langgraph_speculate.predict.memory import CallMemory
from langgraph_speculate.testing import recorded_runs


def _next(number: int) -> Key:
    return (NEXT, joined([f"tool_{number}", "user"]), "look")


def test_beyond_the_first_thousands_a_context_is_told_apart_from_the_second_time_on(monkeypatch: pytest.MonkeyPatch):
    """
    The first time counts for what came last, so that the messages add up; none waits in memory to be lost.
    """
    monkeypatch.setattr(module, "_FAMILIAR", 3)
    ledger = Ledger(Evidence())
    for number in (0, 1, 2, 3, 4, 4):
        ledger.count(_next(number), 1.0)
    assert ledger.take() == {
        _next(0): (1.0, 0.0),
        _next(1): (1.0, 0.0),
        _next(2): (1.0, 0.0),
        (NEXT, "user", "look"): (2.0, 0.0),
        _next(4): (1.0, 0.0),
    }
    ledger.count(_next(4), 1.0)
    assert ledger.take() == {_next(4): (1.0, 0.0)}


def _learned(runs: int, seed: int) -> Sums:
    predictor = PartitionedPredictor()
    for history, calls in recorded_runs(runs, seed=seed):
        predictor.learn(history, calls)
    return dict(predictor.take()[""])


def _without_contexts(sums: Sums) -> Counter[Key]:
    """All that was counted, whatever came before it."""
    found: Counter[Key] = Counter()
    for key, (hits, trials) in sums.items():
        if key[0] in CONTEXTUAL:
            short = coarse(key)
            found[("hits", *short)] += int(hits)
            found[("trials", *short)] += int(trials)
    return +found


def test_observations_add_up_however_few_contexts_are_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """
    Two processes that write to one file, with room for a few contexts each: other rows, the same counts.
    """
    full, short = (SqlitePatterns(tmp_path / name) for name in ("full.db", "short.db"))
    for seed in (0, 1):
        full.add("", _learned(30, seed))
    monkeypatch.setattr(module, "_FAMILIAR", 8)
    for seed in (0, 1):
        short.add("", _learned(30, seed))
    assert short.load("").keys() != full.load("").keys()
    assert _without_contexts(short.load("")) == _without_contexts(full.load(""))


def test_what_is_loaded_with_few_contexts_still_foresees(monkeypatch: pytest.MonkeyPatch):
    """
    Chances are chances, and most of the hits in the first place are still there.
    """
    full = PartitionedPredictor()
    full.install("", full.prepare(_learned(60, 0)))
    monkeypatch.setattr(module, "_FAMILIAR", 8)
    short = PartitionedPredictor()
    short.install("", short.prepare(_learned(60, 0)))

    def hits(predictor: PartitionedPredictor) -> int:
        found = 0
        for history, calls in recorded_runs(60, seed=1):
            guesses = predictor.predict(history, k=3)
            assert all(0.0 < guess.probability <= 1.0 for guess in guesses)
            found += any(guess.call == call for guess in guesses[:1] for call in calls)
        return found

    assert hits(short) >= 0.8 * hits(full) > 70


def test_agents_in_ever_new_orders_leave_few_rows():
    """
    Hundreds of tools in no order at all: of ten thousand contexts that never come again, none has a row of its own.
    """
    ledger = Ledger(Evidence())
    for number in range(module._FAMILIAR + 10_000):
        ledger.count(_next(number), 1.0)
    taken = ledger.take()
    assert len(taken) == module._FAMILIAR + 1
    assert taken[(NEXT, "user", "look")] == (10_000.0, 0.0)


def test_a_call_is_never_more_probable_than_sure_although_messages_were_left_out():
    """
    A store may know calls after two events, and only of the latter how many messages followed it.
    """
    memory = CallMemory()
    memory.recall(("call", "look", joined(["find", "user"]), '{"id":7}'), 40.0)
    memory.recall_messages(("user",), 40.0)
    memory.settle()
    [(_, call, chance)] = memory.predict([(), ("user",), ("find", "user")], limit=5)
    assert call == Call("look", {"id": 7})
    assert 0.9 < chance <= 1.0


# -- what is kept of many ----------------------------------------------------------------------------------------------


def test_evidence_of_a_word_is_bounded_however_many_say_it():
    """
    Ten thousand users who begin alike prove no more than the first few, and take no more room.
    """
    evidence, word = Evidence(), ("find", "economy")
    for number in range(10_000):
        assert not evidence.see(word, Origin(partition=f"user-{number}", thread="Where is my order?"))
    assert len(evidence._seen[word]) <= 10
    for number in range(4):
        assert word not in evidence
        evidence.see(word, Origin(partition="user-1", thread=f"thread-{number}"))
    assert word in evidence  # in five threads, of at least five users

    for number in range(10_000):
        assert not evidence.see(("find", "other"), Origin(partition="one user", thread=f"thread-{number}"))
    assert sum(len(threads) for threads in evidence._seen["find", "other"].values()) <= 10


@pytest.mark.parametrize("seed", range(20))
def test_evidence_that_is_bounded_says_what_all_of_it_would(seed: int):
    """
    Compared with a list of everything that was seen.
    """
    draw, evidence, word = Random(seed), Evidence(k=3), ("find", "economy")
    users, threads = draw.randrange(1, 6), draw.randrange(1, 6)
    seen = list[tuple[str, str]]()
    for _ in range(30):
        user, thread = f"u{draw.randrange(users)}", f"t{draw.randrange(threads)}"
        seen.append((user, thread))
        expected = len({user for user, _ in seen}) >= 3 and len({thread for _, thread in seen}) >= 3
        assert evidence.see(word, Origin(partition=user, thread=thread)) is expected


def _visit(predictor: PartitionedPredictor, user: int) -> None:
    said = [{"role": "user", "content": "my orders"}]
    origin = Origin(partition=f"user-{user}", thread=f"t{user}", run=f"r{user}")
    predictor.learn(History.from_messages(said, origin=origin), [Call("list_orders", {"user": user})])


def test_what_nobody_writes_down_has_an_end():
    """
    Without patterns nobody ever takes the sums of forgotten partitions.
    """
    predictor = PartitionedPredictor(partitions=2)
    for user in range(1_000):
        _visit(predictor, user)
    kept = predictor.take()
    assert 2 <= len(kept) <= 300
    assert "user-999" in kept
    assert not predictor.take()


def test_what_is_taken_now_and_then_is_whole():
    """
    A keeper takes them whenever a partition is met.
    """
    predictor, met = PartitionedPredictor(partitions=2), set[str]()
    for user in range(1_000):
        _visit(predictor, user)
        if user % 200 == 199:
            met |= predictor.take().keys()
    assert len(met) == 1_000
