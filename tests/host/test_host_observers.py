"""Observers of real runs: a run waits for none of them, and the handle says when they have heard everything."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from agents import (
    NOTEBOOK_HITS,
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    START_INPUT,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    agent_graph,
    drive,
    notebook,
)

from langgraph_speculate import JsonLines, SpeculationMiddleware, speculate, speculation_of
from langgraph_speculate.core import events
from langgraph_speculate.host import forecast
from langgraph_speculate.observe import delivery
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.observe.log import read_log
from langgraph_speculate.observe.observers import at_once


def _wrapped(*observers: Any) -> Any:
    model = ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005)
    return speculate(
        agent_graph(model, notebook(World(), "both")),
        NOTEBOOK_POLICY,
        predictor=Oracle(NOTEBOOK_SCRIPT),
        observers=observers,
    )


@pytest.mark.parametrize("way", WAYS)
def test_a_run_does_not_wait_for_an_observer_that_stands_still(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The run ends with its hits while the observer has not taken in its first event; what it misses is counted.
    """
    monkeypatch.setattr(delivery, "MAX_WAITING", 3)
    gate, heard = threading.Event(), []

    def stands_still(event: events.Event) -> None:
        gate.wait(60)
        heard.append(event)

    happened: list[events.Event] = []
    graph = _wrapped(stands_still, at_once(happened.append))
    drive(graph, way)
    stats = speculation_of(graph).stats()
    assert stats.hits == NOTEBOOK_HITS
    assert heard == []
    gate.set()
    assert speculation_of(graph).flush()
    assert 0 < speculation_of(graph).stats().dropped == len(happened) - len(heard)


@pytest.mark.parametrize("way", WAYS)
def test_closing_the_handle_tells_observers_everything(way: str, tmp_path: Path) -> None:
    """
    The last record of a run is there when `close` returns, in lists and in files.
    """
    seen: list[events.Event] = []
    log = JsonLines(tmp_path / "events.jsonl")
    graph = _wrapped(seen.append, log)
    drive(graph, way)
    speculation_of(graph).close()
    assert [event.number for event in seen if isinstance(event, events.RunClosed)] == [len(seen)]
    assert sorted(event.number for event in seen) == list(range(1, len(seen) + 1))
    assert sorted(read_log(log.path), key=lambda event: event.number) == sorted(seen, key=lambda event: event.number)
    assert audit(read_log(log.path)) == []
    log.close()


WRAPS = [
    pytest.param(lambda **given: speculate(_plain(), **given), id="graph"),
    pytest.param(SpeculationMiddleware, id="middleware"),
]


class Forgetful:
    """Predicts, and never learns."""

    def predict(self, history: Any, *, k: int) -> list[Any]:
        return []


@pytest.mark.parametrize("wrong", ["events.jsonl", print, ["events.jsonl"], [None]], ids=str)
@pytest.mark.parametrize(
    "wrap", [lambda **given: speculate(_plain(), **given), SpeculationMiddleware], ids=["graph", "middleware"]
)
def test_what_is_no_observer_is_refused_at_once(wrap: Any, wrong: Any) -> None:
    """
    One error where the graph is wrapped, with the remedy, instead of a traceback in the first run's log.
    """
    with pytest.raises(TypeError, match=r"^observers= takes .*(observers=\[…\]|JsonLines)"):
        wrap(observers=wrong)


@pytest.mark.parametrize("wrong", ["default", dict, Forgetful()], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize(
    "wrap", [lambda **given: speculate(_plain(), **given), SpeculationMiddleware], ids=["graph", "middleware"]
)
def test_what_is_no_predictor_is_refused_at_once(wrap: Any, wrong: Any) -> None:
    """
    The same of predictors.
    """
    with pytest.raises(TypeError, match=r"^predictor= takes an object with the methods predict and learn"):
        wrap(predictor=wrong)


def test_a_predictor_that_fails_is_told_by_name_and_place(caplog: pytest.LogCaptureFixture) -> None:
    """
    Enough to find the mistake, and none of its words, which may quote a user's.
    """

    class Wrong(Forgetful):
        bounded = True

        def predict(self, history: Any, *, k: int) -> list[Any]:
            raise KeyError("what Ann said")

        def learn(self, history: Any, calls: Any) -> None:
            pass

    speculate(_plain(), predictor=Wrong()).invoke(START_INPUT)
    told = [record.getMessage() for record in caplog.records if "predictor failed" in record.getMessage()]
    assert len(told) == 1
    assert re.search(r"KeyError in .*Wrong at test_host_observers.py:\d+$", told[0])


def test_a_predictor_that_does_not_answer_is_told_of(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Runs go on without it, and the log says why nothing runs ahead.
    """
    monkeypatch.setattr(forecast, "_SLOW_S", 0.05)
    answer = threading.Event()

    class Stuck(Forgetful):
        def predict(self, history: Any, *, k: int) -> list[Any]:
            answer.wait(10)
            return []

        def learn(self, history: Any, calls: Any) -> None:
            pass

    graph = speculate(_plain(), predictor=Stuck())
    graph.invoke(START_INPUT)
    time.sleep(0.1)
    graph.invoke(START_INPUT)
    answer.set()
    told = [record.getMessage() for record in caplog.records if "has not answered" in record.getMessage()]
    assert len(told) == 1
    assert "Stuck" in told[0]


def _plain() -> Any:
    return agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(World(), "both"))
