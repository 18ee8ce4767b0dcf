"""Observers of real runs: a run waits for none of them, and the handle says when they have heard everything."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from agents import (
    NOTEBOOK_HITS,
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    agent_graph,
    drive,
    notebook,
)

from langgraph_speculate import JsonLines, speculate, speculation_of
from langgraph_speculate.core import events
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
