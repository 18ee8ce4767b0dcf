"""T14: a fork, a replay or a resume elsewhere is answered with what was read on another branch of the thread.

The library promises that results live in the run that read them and are never stored: whoever goes on from a
checkpoint, in this process or in another one, starts with nothing read ahead.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from agents import (
    ASYNC_WAYS,
    EAGERLY,
    NOTEBOOK_POLICY,
    START_INPUT,
    WAYS,
    Fixed,
    Oracle,
    ScriptedModel,
    World,
    ask,
    canonical,
    drive,
    notebook,
    tool_node_graph,
)
from attacks import THREAD, answers, final, holding
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver

from langgraph_speculate import speculate, speculation_of

SCRIPT = [ask(("read", {"id": 1})), ask(("read", {"id": 2}), ("read", {"id": 3})), AIMessage("done")]
POLICY: dict[str, Any] = {
    "tools": {
        "find": EAGERLY,
        "read": {**EAGERLY, "reads": ["note:{id}"], "scope": "run"},
        "write": {"writes": ["note:{id}"]},
    }
}


def _tell(world: World, branch: str) -> None:
    world.notes = {note: f"{note} on {branch}" for note in (1, 2, 3)}


@pytest.mark.parametrize("way", WAYS)
def test_forks_at_every_checkpoint_are_answered_on_their_own_branch(way: str) -> None:
    """
    From each checkpoint: a replay, a fork with another message, and one whose pending call asks for another note. The
    world says which branch it is, so an answer of another branch shows.
    """

    def build(world: World, speculating: bool) -> Any:
        graph = tool_node_graph(
            ScriptedModel(script=SCRIPT, pace_s=0.003 * speculating),
            notebook(world, "both"),
            checkpointer=InMemorySaver(),
        )
        return speculate(graph, POLICY, predictor=Oracle(SCRIPT)) if speculating else graph

    told: list[Any] = []
    for speculating in (False, True):
        world = World()
        graph = build(world, speculating)
        _tell(world, "main")
        drive(graph, way, START_INPUT, THREAD)
        mine: list[Any] = []
        for number, snapshot in enumerate(list(graph.get_state_history(THREAD))):
            edits: list[Any] = [None, HumanMessage("by the way", id=f"h{number}")]
            last = (snapshot.values.get("messages") or [None])[-1]
            if isinstance(last, AIMessage) and last.tool_calls:
                other = [{**call, "args": {"id": 3}} for call in last.tool_calls]
                edits.append(last.model_copy(update={"tool_calls": other}))
            for index, edit in enumerate(edits):
                _tell(world, f"branch {number}.{index}")
                config = graph.update_state(snapshot.config, {"messages": [edit]}) if edit else snapshot.config
                mine.append(canonical(drive(graph, way, None, config)))
        told.append(mine)
        if speculating:
            assert speculation_of(graph).stats().hits >= len(mine)
    assert told[0] == told[1]


def _stopped_halfway(graph: Any, way: str) -> None:
    """Run until the first call has been answered, then go away while two more are read ahead."""

    async def aleave() -> None:
        chunks = graph.astream(START_INPUT, THREAD, stream_mode="updates")
        async for chunk in chunks:
            if "tools" in chunk:
                break
        await chunks.aclose()

    if way in ASYNC_WAYS:
        asyncio.run(aleave())
        return
    chunks = graph.stream(START_INPUT, THREAD, stream_mode="updates")
    for chunk in chunks:
        if "tools" in chunk:
            break
    chunks.close()


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same graph", "another graph on the same file"])
@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_a_thread_that_was_left_between_read_and_call_is_resumed_with_nothing_read(
    way: str, elsewhere: bool, tmp_path: Path
) -> None:
    """
    Left with results ready, then the world changed, then resumed: every answer is of the changed world.
    """
    world = World()
    _tell(world, "before")

    def build(saver: Any) -> Any:
        return speculate(
            tool_node_graph(ScriptedModel(script=SCRIPT, pace_s=0.003), notebook(world, "both"), checkpointer=saver),
            POLICY,
            predictor=Fixed(*(("read", {"id": note}) for note in (1, 2, 3))),
        )

    file = str(tmp_path / "thread.sqlite")
    with SqliteSaver.from_conn_string(file) as saver:
        graph = build(saver)
        _stopped_halfway(graph, way)
        first = speculation_of(graph).stats()
        assert first.hits == 1
        assert first.discarded == {"run_ended": 2}
        if not elsewhere:
            _tell(world, "after")
            assert answers(final(graph, way, None, THREAD)) == ["short: 1 on before", *_AFTER]
            assert speculation_of(graph).stats().hits > first.hits
    if elsewhere:
        _tell(world, "after")
        with SqliteSaver.from_conn_string(file) as saver:
            graph = build(saver)
            assert answers(final(graph, way, None, THREAD)) == ["short: 1 on before", *_AFTER]
            assert speculation_of(graph).stats().hits == 2


_AFTER = ["short: 2 on after", "short: 3 on after"]


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_the_same_holds_for_async_runs(way: str) -> None:
    """
    As above, in one process.
    """
    world = World()
    _tell(world, "before")
    graph = speculate(
        tool_node_graph(
            ScriptedModel(script=SCRIPT, pace_s=0.003), notebook(world, "both"), checkpointer=InMemorySaver()
        ),
        POLICY,
        predictor=Fixed(*(("read", {"id": note}) for note in (1, 2, 3))),
    )
    _stopped_halfway(graph, way)
    assert speculation_of(graph).stats().discarded == {"run_ended": 2}
    _tell(world, "after")
    assert answers(final(graph, way, None, THREAD)) == ["short: 1 on before", *_AFTER]
    assert speculation_of(graph).stats().hits > 1


def test_nothing_that_was_only_read_ahead_is_stored(tmp_path: Path) -> None:
    """
    The file of a thread holds what the model asked for (the control) and no byte of what it did not.
    """
    world = World()
    world.notes = {1: "the wanted note", 99: "the unwanted note"}
    file = tmp_path / "thread.sqlite"
    for way in ("invoke", "stream"):
        with SqliteSaver.from_conn_string(str(file)) as saver:
            script = [ask(("read", {"id": 1})), AIMessage("done")]
            graph = speculate(
                tool_node_graph(
                    ScriptedModel(script=script, during=holding(way, lambda: world.count("read") % 2 == 0)),
                    notebook(world, "both"),
                    checkpointer=saver,
                ),
                NOTEBOOK_POLICY,
                predictor=Oracle(script, also=[("read", {"id": 99})]),
            )
            drive(graph, way, START_INPUT, THREAD)
            stats = speculation_of(graph).stats()
            assert (stats.hits, stats.wasted) >= (1, 1)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"the wanted note" in stored
    assert b"the unwanted note" not in stored
