"""T26: a predictor raises, hangs, floods, or comes too late.

The library promises that a guess never breaks or holds up a run: what the plain graph would have returned comes back,
with the budgets kept, whatever the predictor does. (One that says of itself `bounded = True` is believed: if it hangs
where the model call starts, the run hangs. There is no breaker for predictors yet.)
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import random
import threading
from collections import Counter
from typing import Any

import pytest
from agents import (
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    agent_graph,
    canonical,
    notebook,
)
from attacks import final
from langchain_core.messages import AIMessage

from langgraph_speculate import speculate, speculation_of
from langgraph_speculate.core import Call, Candidate

PLAIN_CALLS = 6


class Moody(Oracle):
    """Does something else each time: raises, answers rubbish, floods, or is right."""

    def __init__(self, seed: int, bounded: bool) -> None:
        super().__init__(NOTEBOOK_SCRIPT, bounded)
        self._draw = random.Random(seed)
        self.moods: list[str] = []

    def predict(self, history: Any, *, k: int) -> Any:
        mood = self._draw.choice(["right", "raise", "rubbish", "flood", "endless", "late", "generator"])
        self.moods.append(mood)
        if mood == "raise":
            raise self._draw.choice([ValueError, KeyError, RecursionError, MemoryError, StopIteration, AssertionError])
        if mood == "rubbish":
            return self._draw.choice([None, 7, "find", [None], [Candidate("find", 2.0)], [object()]])  # type: ignore[arg-type]
        if mood == "flood":
            return [Candidate(Call("read", {"id": number}), 0.9) for number in range(10_000)]
        if mood == "endless":
            return (Candidate(Call("read", {"id": number}), 0.9) for number in itertools.count())
        if mood == "generator":
            return iter(super().predict(history, k=k))
        return super().predict(history, k=k)

    def learn(self, history: Any, calls: Any) -> None:
        if self._draw.random() < 0.5:
            raise RuntimeError("learned nothing")


@pytest.mark.observers_raise
@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_whatever_a_predictor_does_the_answer_is_the_plain_graphs(
    way: str, bounded: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """
    6 seeds a cell (one costs about 40 ms), another mood at each of five turns: same messages, same writes, the budget
    kept, and at most one warning a cause and graph.
    """
    plain = World()
    expected = canonical(final(agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(plain, "both")), way))
    moods, hits = set[str](), 0
    for seed in range(6):
        world, predictor = World(), Moody(seed, bounded)
        graph = speculate(
            agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.002), notebook(world, "both")),
            {**NOTEBOOK_POLICY, "limits": {"max_wasted_per_run": 6}},
            predictor=predictor,
        )
        assert canonical(final(graph, way)) == expected, seed
        assert [call for call in world.log if call[0] == "write"] == [("write", {"id": 2, "text": "new"})]
        assert len(world.log) <= PLAIN_CALLS + 6
        moods |= set(predictor.moods)
        hits += speculation_of(graph).stats().hits
    warned = Counter(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    assert 0 < max(warned.values()) <= 6
    assert moods == {"right", "raise", "rubbish", "flood", "endless", "late", "generator"}
    assert hits > 0


@pytest.mark.parametrize("verb", ["predict", "learn"])
@pytest.mark.parametrize("way", WAYS)
def test_a_predictor_that_never_comes_back_holds_up_nobody(way: str, verb: str, world: World) -> None:
    """
    It hangs on its own thread until the test lets it go: five runs end meanwhile, without guesses; the control is that
    it really hangs, and guesses again once it is let go.
    """
    inside, let_go = threading.Event(), threading.Event()

    class Hanging(Oracle):
        def predict(self, history: Any, *, k: int) -> Any:
            if verb == "predict":
                inside.set()
                let_go.wait(20)
            return super().predict(history, k=k)

        def learn(self, history: Any, calls: Any) -> None:
            if verb == "learn":
                inside.set()
                let_go.wait(20)

    graph = speculate(
        agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.002), notebook(world, "both")),
        NOTEBOOK_POLICY,
        predictor=Hanging(NOTEBOOK_SCRIPT, bounded=False),
    )
    try:
        for _ in range(5):
            assert final(graph, way)[-1].content == "done"
        assert inside.is_set()
        assert not let_go.is_set()
        before = speculation_of(graph).stats()
        assert before.launched == (0 if verb == "predict" else before.hits)
        assert world.count("read") + world.count("find") <= 5 * (PLAIN_CALLS - 1)
    finally:
        let_go.set()
    for _ in range(50):
        final(graph, way)
        if speculation_of(graph).stats().hits > before.hits:
            return
    raise AssertionError("it never guessed again")


class _Stop(BaseException):
    """Not an Exception, as what stops a task or a test is not."""


@pytest.mark.parametrize("error", [asyncio.CancelledError, _Stop])
@pytest.mark.parametrize("way", WAYS)
def test_what_a_predictor_raises_never_ends_a_run(way: str, error: type[BaseException], world: World) -> None:
    """
    An own `asyncio` timeout in a predictor, say, cancels nothing but the guess.
    """

    class Raising(Oracle):
        def predict(self, history: Any, *, k: int) -> Any:
            raise error

    script = [AIMessage("done")]
    graph = speculate(
        agent_graph(ScriptedModel(script=script), notebook(world, "both")), NOTEBOOK_POLICY, predictor=Raising(script)
    )
    ended: list[BaseException] = []
    try:
        final(graph, way)
    except BaseException as raised:  # noqa: BLE001 - pytest itself is stopped by some of them
        ended.append(raised)
    assert not ended


@pytest.mark.parametrize("way", WAYS)
def test_an_answer_that_comes_after_the_model_s_starts_nothing(way: str, world: World) -> None:
    """
    The predictor thinks until the run is over; the control is that it did answer.
    """
    over, answered = threading.Event(), threading.Event()

    class Late(Oracle):
        def predict(self, history: Any, *, k: int) -> Any:
            over.wait(20)
            answered.set()
            return [Candidate(Call("read", {"id": 1}), 0.9)]

    graph = speculate(
        agent_graph(ScriptedModel(script=[AIMessage("done")]), notebook(world, "both")),
        NOTEBOOK_POLICY,
        predictor=Late([AIMessage("done")], bounded=False),
    )
    assert final(graph, way)[-1].content == "done"
    over.set()
    assert answered.wait(5)
    assert speculation_of(graph).stats().launched == 0
    assert world.log == []
