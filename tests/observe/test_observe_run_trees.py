"""Runs that are added to a trace are those that LangSmith's SDK would make itself."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from langsmith import Client, RunTree
from langsmith.address import agent_address
from langsmith.uuid import uuid7_from_datetime

from langgraph_speculate.observe.run_trees import Child, Sums

METADATA = {"thread_id": "t", "own": 1}


def a_step(**settings: Any) -> RunTree:
    """An open run in which no field is as in a new one."""
    root = RunTree(name="graph", ls_client=Client(api_key="none", auto_batch_tracing=False), **settings)
    step = RunTree(
        name="model",
        run_type="llm",
        serialized={"name": "a model"},
        inputs={"asked": 1},
        outputs={"answered": 1},
        error="a failure",
        events=[{"name": "start"}],
        extra={"metadata": METADATA, "tool_call_id": "c-1"},
        tags=["seq:step:1"],
        attachments={"a file": ("text/plain", b"")},
        reference_example_id=uuid4(),
        replicas=[{"project_name": "another"}],
        dangerously_allow_filesystem=True,
        ls_client=root.client,
        parent_run=root,
        **settings,
    )
    step.end()
    step.create_child("llm")
    return step


@pytest.mark.parametrize(
    "settings",
    [
        {"project_name": "a project"},
        {"project_name": "a project", "project_id": uuid4()},
        {"address": agent_address("clerk", "production")},
    ],
)
def test_a_child_is_the_one_that_the_sdk_would_make(settings: dict[str, Any]):
    """
    Every field is that of `RunTree.create_child`, but for the metadata, which are not inherited.
    """
    step = a_step(**settings)
    child = Child(step, "speculate look", {"query": "x"})

    made = child.run()
    theirs = step.create_child("speculate look", run_id=child.id, inputs={"query": "x"}, start_time=made.start_time)

    fields = type(theirs).model_fields
    assert {name for name in fields if getattr(made, name) != getattr(theirs, name)} == {"extra"}
    assert (made.extra, theirs.extra) == ({}, {"metadata": METADATA})
    assert made.trace_start_time == theirs.trace_start_time


def test_the_id_of_a_child_tells_when_it_began_and_does_not_change():
    """
    Ids are of the kind that the SDK makes, so that LangSmith can sort by them; all that is sent of a run has one.
    """
    child = Child(a_step(), "speculate look", {})

    assert child.run().id == child.run(tags=["speculation"]).id == child.id
    milliseconds = slice(13)
    assert str(child.id)[milliseconds] == str(uuid7_from_datetime(child.run().start_time))[milliseconds]
    assert child.id.version == 7


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("impatient_threads")
def test_graphs_that_share_a_run_lose_no_count():
    """
    Sums are right however many threads add to them.
    """
    shared = a_step()

    def play() -> None:
        sums = Sums([shared], "on")
        for _ in range(5_000):
            sums.add(hits=1)
        assert sums.own["hits"] == 5_000

    threads = [threading.Thread(target=play) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shared.metadata["speculation_hits"] == 20_000


def test_sums_leave_what_others_hold_alone():
    """
    The metadata that a run shares with others stay as they are; its own have all sums from the beginning.
    """
    step = a_step()
    before = step.metadata

    sums = Sums([step], "on")
    sums.add(launched=1, wasted=1)

    assert before == METADATA
    told = {"calls": 0, "launched": 1, "hits": 0, "wasted": 1, "hidden_ms": 0}
    assert sums.own == told
    assert step.metadata == {**METADATA, "speculation_mode": "on", **{f"speculation_{n}": v for n, v in told.items()}}
