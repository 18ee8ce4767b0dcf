"""T21, for what is learned: how much one run, one thread or one tenant can teach, in memory and on disk."""

from __future__ import annotations

import random

import pytest

from langgraph_speculate.core import Call, History, Origin
from langgraph_speculate.predict import PartitionedPredictor, default_predictor


def _begun(origin: Origin, said: int = 1) -> History:
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Yes?"}] * said
    return History.from_messages(turns[:-1], origin=origin)


def _first(predictor: PartitionedPredictor, origin: Origin) -> list[str]:
    return [candidate.call.name for candidate in predictor.predict(_begun(origin), k=1)]


def _teach(predictor: PartitionedPredictor, origin: Origin, tool: str, times: int = 1, said: int = 1) -> None:
    for _ in range(times):
        predictor.learn(_begun(origin, said), [Call(tool, {})])


def test_one_run_does_not_outvote_a_hundred() -> None:
    """
    A run that repeats itself 5,000 times, after 100 honest ones: in memory, and in what is written down.
    """
    predictor = default_predictor()
    for number in range(100):
        _teach(predictor, Origin(thread=f"t{number}", run=f"t{number}"), "honest")
    _teach(predictor, Origin(thread="attacker", run="attacker"), "hostile", 5_000)
    assert _first(predictor, Origin(thread="new", run="new")) == ["honest"]
    taken = predictor.take()[""]
    assert taken["shape", "hostile", ""][0] <= 8
    loaded = default_predictor()
    loaded.install("", loaded.prepare(taken))
    assert _first(loaded, Origin(thread="new", run="new")) == ["honest"]


def test_one_run_teaches_only_so_many_different_steps() -> None:
    predictor = default_predictor()
    for number in range(1_000):
        _teach(predictor, Origin(thread="attacker", run="attacker"), f"tool-{number}")
    assert sum(key[0] == "shape" for key in predictor.take()[""]) <= 64


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5])
def test_an_attacker_of_some_runs_costs_no_more_than_their_share(share: float) -> None:
    """
    300 runs in random order, in which the attackers' go on for 500 turns; the honest call is among the first two
    guesses in four of five honest runs.
    """
    draw, predictor, hits, honest = random.Random(21), default_predictor(), 0, 0
    for number in range(300):
        origin = Origin(thread=f"t{number}", run=f"t{number}")
        if draw.random() < share:
            _teach(predictor, origin, f"hostile-{number % 5}")
            _teach(predictor, origin, f"hostile-{number % 5}", 500, said=3)
            continue
        honest += 1
        hits += any(guess.call.name == "honest" for guess in predictor.predict(_begun(origin), k=2))
        _teach(predictor, origin, "honest")
    assert hits >= 0.8 * honest


def test_a_tenant_teaches_itself_alone() -> None:
    predictor = default_predictor()
    for number in range(100):
        _teach(predictor, Origin("attacker", f"t{number}"), "hostile")
    _teach(predictor, Origin("us", "t"), "honest")
    _teach(predictor, Origin("us", "u"), "honest")
    assert _first(predictor, Origin("us", "v")) == ["honest"]
    assert all("hostile" not in repr(sums) for partition, sums in predictor.take().items() if partition == "us")


def test_a_thread_of_many_runs_goes_on_teaching() -> None:
    """
    Somebody who has one conversation with an agent for years is not an attacker: each of its runs counts.
    """
    predictor = default_predictor()
    for number in range(60):
        _teach(predictor, Origin(thread="mine", run=f"r{number}"), "old" if number < 20 else "new")
    assert _first(predictor, Origin(thread="mine", run="now")) == ["new"]
