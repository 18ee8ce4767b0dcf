"""The level `shadow` in real graphs: nothing runs ahead, nobody can tell, and what would have been is counted."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage

from langgraph_speculate import JsonLines, LogLines, speculate, speculation_of
from langgraph_speculate.core.events import Event
from langgraph_speculate.host.runner import Runner
from langgraph_speculate.middleware import SpeculationMiddleware
from langgraph_speculate.observe.audit import audit
from langgraph_speculate.observe.observers import at_once
from langgraph_speculate.observe.series import SPECULATIONS, Measures
from tests.host.agents import (
    EAGERLY,
    GRAPHS,
    NOTEBOOK_HITS,
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    agent_graph,
    ask,
    canonical,
    drive,
    make_tool,
    notebook,
    outcome,
)

SHADOW = {**NOTEBOOK_POLICY, "level": "shadow"}
MODES = ["values", "updates", "messages", "custom", "tasks"]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Whatever anybody starts early in this process; what is in it did not get any further."""
    attempts: list[Any] = []
    monkeypatch.setattr(Runner, "start", lambda self, attempt: attempts.append(attempt))
    return attempts


def in_shadow(kind: str, world: World, also: Any = (), **settings: Any) -> Any:
    graph = GRAPHS[kind](ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), notebook(world, "both"))
    return speculate(graph, SHADOW | settings, predictor=Oracle(NOTEBOOK_SCRIPT, also=also))


def driven(graph: Any, way: str) -> Any:
    """What comes out, mode by mode; but for `values` parallel calls may be told of in any order."""
    if "stream" not in way:
        return canonical(drive(graph, way))
    chunks = [canonical(chunk) for chunk in drive(graph, way, stream_mode=MODES)]
    told = {mode: [data for of, data in chunks if of == mode] for mode in MODES}
    return {mode: data if mode == "values" else sorted(data, key=repr) for mode, data in told.items()}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", GRAPHS)
def test_nobody_can_tell_and_no_body_runs_ahead(kind: str, way: str, started: list[Any]) -> None:
    """
    What comes out is what the plain graph gives, in every stream mode; each body runs once, for its real call.
    """
    worlds = World(), World()
    plain = GRAPHS[kind](ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), notebook(worlds[0], "both"))
    shadow = in_shadow(kind, worlds[1], also=[("read", {"id": 99})])
    assert driven(shadow, way) == driven(plain, way)
    assert sorted(map(str, worlds[1].log)) == sorted(map(str, worlds[0].log))
    assert started == []
    stats = speculation_of(shadow).stats()
    assert (stats.launched, stats.hits, stats.wasted, stats.hedged, stats.repeats, stats.warmed) == (0, 0, 0, 0, 0, 0)
    assert stats.shadow.hits == NOTEBOOK_HITS
    assert stats.shadow.wasted > 0


@pytest.mark.parametrize("way", WAYS)
def test_neither_warm_ups_nor_repeats_nor_second_bodies(way: str, started: list[Any]) -> None:
    """
    Whatever a policy asks for: at this level it is only imagined, or left out.
    """
    warmed: list[Any] = []
    world = World()
    entry = {**EAGERLY, "read_through": True, "warm": lambda: warmed.append(1)}
    graph = agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), notebook(world, "both"))
    policy: Any = {"level": "shadow", "tools": {"find": entry, "read": entry}}
    graph = speculate(graph, policy, predictor=Oracle(NOTEBOOK_SCRIPT))
    for _ in range(3):
        drive(graph, way)
    assert (started, warmed) == ([], [])
    assert len(world.log) == 3 * 6
    assert speculation_of(graph).stats().repeats == 0


@pytest.mark.parametrize("way", WAYS)
def test_the_middleware_imagines_the_same(way: str, started: list[Any]) -> None:
    world = World()
    ahead = SpeculationMiddleware(SHADOW, predictor=Oracle(NOTEBOOK_SCRIPT))
    model = ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005)
    drive(agent_graph(model, notebook(world, "both"), middleware=[ahead]), way)
    assert started == []
    assert ahead.speculation.stats().shadow.hits == NOTEBOOK_HITS


@pytest.mark.parametrize("way", WAYS)
def test_what_would_have_been_hidden_is_about_what_is(way: str) -> None:
    """
    The model takes longer than the tools, so that they would be hidden whole: what shadow says in advance happens.
    """
    figures = []
    for level in ("shadow", "declared"):
        script = [ask(("read", {"id": 1})), ask(("read", {"id": 2})), AIMessage("done")]
        model = ScriptedModel(script=script, pace_s=0.12)
        graph = agent_graph(model, notebook(World(), "both", latency_s=0.06))
        graph = speculate(graph, {"level": level, "tools": {"read": True}}, predictor=Oracle(script))
        drive(graph, way)
        stats = speculation_of(graph).stats()
        figures.append(stats.shadow if level == "shadow" else stats)
    foretold, measured = figures
    assert (foretold.launched, foretold.hits, foretold.wasted) == (measured.launched, measured.hits, measured.wasted)
    assert foretold.hits == 2
    assert 0.1 <= foretold.hidden_s <= foretold.hidden_s + foretold.tool_wait_s
    assert measured.hidden_s >= 0.5 * foretold.hidden_s


@pytest.mark.parametrize("way", WAYS)
def test_a_tool_that_raises_would_have_been_in_vain(way: str) -> None:
    """
    The error is the plain graph's own, and what would have run into it answers nothing.
    """

    def broken(id: int) -> str:
        raise RuntimeError(f"no note {id}")

    script = [ask(("broken", {"id": 1})), AIMessage("done")]
    plain, shadow = (
        agent_graph(ScriptedModel(script=script, pace_s=0.005), [make_tool("broken", broken, "both")]) for _ in range(2)
    )
    policy = {"level": "shadow", "tools": {"broken": EAGERLY}}
    shadow = speculate(shadow, policy, predictor=Oracle(script))
    assert outcome(lambda: drive(shadow, way)) == outcome(lambda: drive(plain, way))
    foretold = speculation_of(shadow).stats().shadow
    assert (foretold.launched, foretold.hits, foretold.wasted) == (1, 0, 1)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_imagined_holds_nothing_back_later(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Neither breakers nor rates, slots or budgets of a thread count it: the first real run launches what it would.
    """
    settings = {
        "rate": f"{40 + WAYS.index(way)}/hour",
        "slots": 9,
        "thread_limit": 40,
    }  # each way has services of its own
    policy: Any = {"tools": {"find": {**EAGERLY, **settings}, "read": {**EAGERLY, **settings}}}
    noise = [("find", {"query": "never"})]
    graph = agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), notebook(World(), "both"))
    graph = speculate(graph, policy, predictor=Oracle(NOTEBOOK_SCRIPT, also=noise))
    monkeypatch.setenv("LANGGRAPH_SPECULATE", "shadow")
    handle = speculation_of(graph)
    before = str(handle.explain())
    drive(graph, way, config={"configurable": {"thread_id": "t"}})
    assert str(handle.explain()) == before
    assert handle.stats().shadow.launched > 0
    assert dict(handle.stats().switched) == {}
    assert all(service.slots.held == 0 for service in graph.speculation_engine.brakes._known.values())
    monkeypatch.delenv("LANGGRAPH_SPECULATE")
    drive(graph, way, config={"configurable": {"thread_id": "t"}})
    assert handle.stats().launched > 0


@pytest.mark.parametrize("way", WAYS)
def test_its_log_keeps_the_promises_and_counts_as_nothing_real(way: str, tmp_path: Any, caplog: Any) -> None:
    """
    The audit passes, dashboards see misses alone, and the line of a run speaks in the conditional.
    """
    told: list[Event] = []
    added: list[Any] = []
    graph = in_shadow("create_agent", World(), also=[("read", {"id": 99})])
    handle = speculation_of(graph)
    for observer in (told.append, Measures(lambda *what: added.append(what)), LogLines()):
        handle.events(at_once(observer))
    with JsonLines(tmp_path / "shadow.jsonl") as log, caplog.at_level("INFO", "langgraph_speculate"):
        handle.events(log)
        drive(graph, way)
        handle.flush()
    assert audit(told) == []
    assert {type(event).__name__ for event in told}.isdisjoint(
        {"Launched", "Finished", "Matched", "Committed", "Wasted"}
    )
    assert not any(series is SPECULATIONS for series, _, _ in added)
    assert {labels[1] for series, _, labels in added if series.name == "calls"} == {"miss"}
    (line,) = [record.getMessage() for record in caplog.records if "in shadow" in record.getMessage()]
    assert f"{NOTEBOOK_HITS} of 6 calls would be adopted" in line
    assert line.endswith("nothing ran")


def test_str_says_it_only_if_there_is_something() -> None:
    graph = in_shadow("create_agent", World())
    assert "in shadow" not in str(speculation_of(graph).stats())
    drive(graph, "invoke")
    assert f"in shadow: {NOTEBOOK_HITS} launched, {NOTEBOOK_HITS} of 6 calls hit" in str(speculation_of(graph).stats())
