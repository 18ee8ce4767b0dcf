"""Runs that are added to a trace are those that LangSmith's SDK would make itself."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from langsmith import Client, RunTree
from langsmith.address import agent_address
from langsmith.uuid import uuid7_from_datetime

from langgraph_speculate.observe.run_trees import Child, Sums

METADATA = {"thread_id": "t", "own": 1}


REPLICAS = [{"project_name": "another"}, {"project_name": "a third", "api_key": "own"}]
PLACES: list[dict[str, Any]] = [
    {"project_name": "a project"},
    {"project_name": "a project", "project_id": uuid4()},
    {"address": agent_address("clerk", "production")},
]


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
        dangerously_allow_filesystem=True,
        ls_client=root.client,
        parent_run=root,
        **settings,
    )
    step.end()
    step.create_child("llm")
    return step


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the client is told of runs."""
    told: list[dict[str, Any]] = []

    def create_run(self: Client, name: str, inputs: Any, run_type: str, **rest: Any) -> None:
        told.append({"name": name, "inputs": inputs, "run_type": run_type, **rest})

    monkeypatch.setattr(Client, "create_run", create_run)
    return told


def said(body: dict[str, Any]) -> dict[str, Any]:
    """A body without what says nothing, or is the SDK's default."""
    silent = {
        "attachments": {},
        "dangerously_allow_filesystem": True,
        "events": [],
        "serialized": body.get("serialized"),
    }
    return {key: value for key, value in body.items() if value is not None and silent.get(key, ...) != value}


@pytest.mark.parametrize("replicas", [None, REPLICAS])
@pytest.mark.parametrize("settings", PLACES)
def test_what_is_sent_of_a_child_is_what_the_sdk_would_send(
    sent: list[dict[str, Any]], settings: dict[str, Any], replicas: Any
):
    """
    Every field is that of `RunTree.create_child`, but for the metadata, which are not inherited; to each replica.
    """
    step = a_step(replicas=replicas, **settings)
    child = Child(step, "speculate look", {"query": "x"})
    child.send(["speculation"], {"outcome": "hit"}, {"bytes": 3}, ran_s=0.5)
    ours = [said(body) for body in sent]
    sent.clear()

    began = ours[0]["start_time"]
    theirs = step.create_child(
        "speculate look", inputs={"query": "x"}, start_time=began, tags=["speculation"], run_id=child.id
    )
    theirs.extra = {"metadata": {"thread_id": "t", "speculation_outcome": "hit", "ls_message_view_exclude": True}}
    theirs.end(outputs={"bytes": 3}, end_time=began + timedelta(seconds=0.5))
    theirs.post()

    assert len(ours) == (1 if replicas is None else len(REPLICAS))
    assert ours == [said(body) for body in sent]


@pytest.mark.parametrize("settings", PLACES)
def test_a_child_that_is_told_of_when_it_begins_is_sent_as_the_sdk_would(
    sent: list[dict[str, Any]], settings: dict[str, Any]
):
    """
    The same for those that cannot wait until they are over.
    """
    step = a_step(**settings)
    child = Child(step, "speculate look", {"query": "x"})
    child.begin()
    (ours,) = map(said, sent)
    sent.clear()

    theirs = step.create_child("speculate look", inputs={"query": "x"}, start_time=ours["start_time"], run_id=child.id)
    theirs.post()

    (expected,) = map(said, sent)
    assert ours == {**expected, "extra": {}, "tags": [], "outputs": {}}


def test_the_id_of_a_child_tells_when_it_began(sent: list[dict[str, Any]]):
    """
    Ids are of the kind that the SDK makes, so that LangSmith can sort by them; all that is sent of a run has one.
    """
    child = Child(a_step(), "speculate look", {})
    child.begin()
    child.send([], {}, {}, ran_s=1.0)

    assert {body["id"] for body in sent} == {child.id}
    milliseconds = slice(13)
    (began,) = {body["start_time"] for body in sent}
    assert str(child.id)[milliseconds] == str(uuid7_from_datetime(began))[milliseconds]
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
