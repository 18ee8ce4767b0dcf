"""The log of a real agent keeps what was promised, however the agent is run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from agents import (
    GRAPHS,
    NOTEBOOK_POLICY,
    NOTEBOOK_SCRIPT,
    WAYS,
    Oracle,
    ScriptedModel,
    World,
    adrive,
    agent_graph,
    ask,
    drive,
    notebook,
)
from langchain_core.messages import AIMessage

from langgraph_speculate import speculate
from langgraph_speculate.core import events
from langgraph_speculate.observe.audit import Auditor
from langgraph_speculate.observe.log import JsonLines, read_log

NOISE = [("find", {"query": "never"})]


def audited(log: JsonLines) -> dict[str, Any]:
    """What the log holds, after it was found to be correct."""
    log.close()
    auditor = Auditor()
    for event in read_log(log.path):
        auditor.take(event)
    assert auditor.findings() == []
    return auditor.counts()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", GRAPHS)
def test_the_log_of_an_agent_is_correct(kind: str, way: str, world: World, tmp_path: Path) -> None:
    """
    Reads that run ahead and are used, reads that nobody wants, a write between: nothing in it breaks a promise.
    """
    log = JsonLines(tmp_path / "events.jsonl")
    graph = GRAPHS[kind](ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.02), notebook(world, "both", 0.005))
    wrapped = speculate(graph, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT, also=NOISE), observers=[log])
    for _ in range(2):
        drive(wrapped, way)
    counts = audited(log)
    assert counts["runs"] == 2
    assert counts["commits"] > 0
    assert counts["discards"]["contradicted"] > 0


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_the_log_of_many_runs_at_once_is_correct(way: str, world: World, tmp_path: Path) -> None:
    """
    Runs of two users write what the others read; users are partitions, and the log says so without naming them.
    """
    policy = {
        "partition_by": ["user"],
        "tools": {
            "find": True,
            "read": {"read_only": True, "reads": ["note:{id}"]},
            "write": {"writes": ["note:{id}"]},
        },
    }
    script = [
        ask(("read", {"id": 1}), ("find", {"query": "a"})),
        ask(("write", {"id": 1, "text": "new"}), ("read", {"id": 2})),
        ask(("read", {"id": 1}), ("write", {"id": 2, "text": "new"})),
        AIMessage("done"),
    ]
    log = JsonLines(tmp_path / "events.jsonl")
    graph = agent_graph(ScriptedModel(script=script, pace_s=0.01), notebook(world, "both", 0.01))
    wrapped = speculate(graph, policy, predictor=Oracle(script), observers=[log])

    async def all_at_once() -> None:
        users = ["ann@example.org", "bob@example.org"] * 6
        await asyncio.gather(*(adrive(wrapped, way, config={"configurable": {"user": user}}) for user in users))

    asyncio.run(all_at_once())
    assert audited(log)["runs"] == 12
    records = list(read_log(log.path))
    assert len({event.partition for event in records if isinstance(event, events.RunBegan)}) == 2
    assert {event.began for event in records if isinstance(event, events.Wrote)} == {True, False}
    content = Path(log.path).read_text("utf-8")
    assert not any(word in content for word in ("example.org", "note:", "new"))
    assert speculation_was_useful(records)


def speculation_was_useful(records: list[events.Event]) -> bool:
    return any(isinstance(event, events.Matched) for event in records)


def test_the_log_of_a_run_that_was_broken_off_is_correct(world: World, tmp_path: Path) -> None:
    """
    What was still alive ends with the run, and nothing is used afterwards.
    """
    log = JsonLines(tmp_path / "events.jsonl")
    graph = agent_graph(ScriptedModel(script=NOTEBOOK_SCRIPT, pace_s=0.02), notebook(world, "sync", 0.005))
    wrapped = speculate(graph, NOTEBOOK_POLICY, predictor=Oracle(NOTEBOOK_SCRIPT, also=NOISE), observers=[log])
    for chunks in range(1, 5):
        stream = wrapped.stream({"messages": [("user", "go")]})
        for _ in range(chunks):
            next(stream)
        stream.close()
    assert audited(log)["runs"] == 4
