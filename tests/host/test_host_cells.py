"""A wrapped graph returns and streams what the plain graph does, whatever its kind and however it is run."""

from __future__ import annotations

from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    GRAPHS,
    NOTEBOOK_HITS,
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    canonical,
    drive,
    in_steps,
    notebook,
    outcome,
    sync_only_graph,
)

from langgraph_speculate import speculate, speculation_of


def _by_node(chunk: Any) -> Any:
    return tuple(chunk) if isinstance(chunk, dict) else None


def _run(kind: Any, way: str, flavour: str, wrap: Any = None, pace_s: float = 0.005) -> tuple[Any, World, Any]:
    world = World()
    graph = kind(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=pace_s), notebook(world, flavour))
    graph = wrap(graph) if wrap is not None else graph
    return drive(graph, way), world, graph


@pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "unbounded"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", GRAPHS)
def test_every_cell_equals_the_plain_graph_with_every_read_adopted(kind: str, way: str, bounded: bool) -> None:
    """
    State and chunks are the plain graph's, the write ran once, and every read was a hit.
    """
    build = GRAPHS[kind]
    plain, plain_world, _ = _run(build, way, "both", pace_s=0.0)
    oracle = Oracle(NOTEBOOK_SCRIPT, bounded=bounded)
    chunks, world, graph = _run(
        build, way, "both", lambda g: speculate(g, NOTEBOOK_POLICY, predictor=oracle), pace_s=0.005 if bounded else 0.05
    )
    assert in_steps(chunks, _by_node) == in_steps(plain, _by_node)
    assert sorted(map(repr, world.log)) == sorted(map(repr, plain_world.log))
    stats = speculation_of(graph).stats()
    assert (stats.hits, stats.real_calls, stats.wasted) == (NOTEBOOK_HITS, NOTEBOOK_HITS + 1, 0)
    assert stats.amplification == 1.0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_tools_with_one_kind_of_body_equal_the_plain_graph(kind: str, way: str, flavour: str) -> None:
    """
    Sync-only tools are adopted in every way to run, async-only tools in the async ways; sync runs of async-only tools
    fail as in the plain graph.
    """
    worlds = World(), World()
    plain = GRAPHS[kind](ScriptedModel(script=NOTEBOOK_SCRIPT), notebook(worlds[0], flavour))
    wrapped = speculate(
        GRAPHS[kind](ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.005), notebook(worlds[1], flavour)),
        NOTEBOOK_POLICY,
        predictor=Oracle(NOTEBOOK_SCRIPT),
    )
    expected = outcome(lambda: in_steps(drive(plain, way), _by_node))
    assert outcome(lambda: in_steps(drive(wrapped, way), _by_node)) == expected
    works = flavour == "sync" or way in ASYNC_WAYS
    assert speculation_of(wrapped).stats().hits == (NOTEBOOK_HITS if works else 0)
    assert isinstance(expected, list) == works


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("flavour", ["sync", "both"])
def test_sync_functions_as_nodes_equal_the_plain_graph(way: str, flavour: str) -> None:
    """
    Nodes without an async twin run in threads under async runs: the same answer, and hits with sync tools.
    """
    plain, _, _ = _run(sync_only_graph, way, flavour)
    chunks, _, graph = _run(
        sync_only_graph,
        way,
        flavour,
        lambda g: speculate(g, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT)),
    )
    assert canonical(chunks) == canonical(plain)
    if flavour == "sync" or way not in ASYNC_WAYS:
        assert speculation_of(graph).stats().hits == NOTEBOOK_HITS


@pytest.mark.parametrize("way", ["stream", "ainvoke"])
@pytest.mark.parametrize("kind", GRAPHS)
def test_wrong_guesses_change_nothing(kind: str, way: str) -> None:
    """
    Guesses that nobody asks for are discarded; state, chunks and writes stay the plain graph's.
    """
    plain, plain_world, _ = _run(GRAPHS[kind], way, "both", pace_s=0.0)
    wrong = Oracle([NOTEBOOK_SCRIPT[-1]], also=[("read", {"id": 99}), ("find", {"query": "nothing"})])
    chunks, world, graph = _run(GRAPHS[kind], way, "both", lambda g: speculate(g, NOTEBOOK_POLICY, predictor=wrong))
    assert in_steps(chunks, _by_node) == in_steps(plain, _by_node)
    stats = speculation_of(graph).stats()
    assert stats.hits == 0
    assert stats.launched == stats.wasted > 0
    assert world.count("write") == plain_world.count("write") == 1
    assert [call for call in world.log if call[1].get("id") != 99 and call[1].get("query") != "nothing"] == [
        call for call in world.log if call in plain_world.log
    ]


@pytest.mark.parametrize("way", ["invoke", "astream"])
@pytest.mark.parametrize("kind", GRAPHS)
def test_nearly_right_arguments_are_misses(kind: str, way: str) -> None:
    """
    A guess that differs in type, case or an extra default is another call; a spelt-out default is the same call.
    """
    guesses = Oracle([NOTEBOOK_SCRIPT[-1]], also=[("find", {"query": "A"}), ("read", {"id": 1, "detail": "short"})])
    plain, _, _ = _run(GRAPHS[kind], way, "both", pace_s=0.0)
    chunks, _, graph = _run(GRAPHS[kind], way, "both", lambda g: speculate(g, NOTEBOOK_POLICY, predictor=guesses))
    assert in_steps(chunks, _by_node) == in_steps(plain, _by_node)
    assert speculation_of(graph).stats().hits == 1
