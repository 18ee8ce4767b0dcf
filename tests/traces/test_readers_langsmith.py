"""Runs as LangSmith's real SDK posts them, and as its exports and its API give them back, become runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langsmith_server import LangSmithServer

from langgraph_speculate import speculate
from langgraph_speculate.traces import Skips, read_runs
from langgraph_speculate.traces.readers import langsmith_api
from tests.json_server import JsonServer
from tests.traces.containers import backwards, lines, one_list, parquet
from tests.traces.recordings import TOLD, TOOLS, Scripted, converse, read, told

Row = dict[str, Any]


@pytest.fixture(scope="module")
def posted() -> list[Row]:
    """What the SDK sent of a real agent: both questions, a trace each, of one thread."""
    with LangSmithServer() as server:
        with server.tracing():
            converse(config={"metadata": {"thread_id": "thread-1"}})
        return [run.fields for run in server.runs.values()]


def as_exported(rows: list[Row]) -> list[Row]:
    """The same with objects as the texts of objects, as bulk exports have them."""
    packed = ("inputs", "outputs", "extra", "events")
    return [{name: json.dumps(value) if name in packed else value for name, value in row.items()} for row in rows]


WRITTEN = [(list, lines), (list, backwards), (list, one_list), (as_exported, lines), (as_exported, parquet)]


@pytest.mark.parametrize(("shape", "write"), WRITTEN)
def test_traces_of_a_thread_are_a_run(
    shape: Callable[[list[Row]], list[Row]],
    write: Callable[[list[Row], Path], None],
    posted: list[Row],
    tmp_path: Path,
):
    """
    Two traces of one thread are one conversation, in whatever order and container they come, with their times.
    """
    path = tmp_path / "runs"
    write(shape(posted), path)

    (run,) = read(path)

    assert (run.id, told(run)) == ("thread-1", TOLD)
    assert all(event["duration_s"] >= 0 for event in run.events if event["role"] != "user")


def test_runs_without_contents_are_skipped(posted: list[Row], tmp_path: Path):
    """
    Who hides inputs and outputs keeps nothing to learn from; the reason says so.
    """
    lines([row | {"inputs": {}, "outputs": {}} for row in posted], tmp_path / "runs.jsonl")
    skips = Skips()

    assert list(read_runs(tmp_path / "runs.jsonl", on_skip=skips)) == []
    assert skips.reasons == {"spans without messages": 1}


def test_a_damaged_field_is_told(posted: list[Row], tmp_path: Path):
    """
    One run is lost, the rest is used.
    """
    broken = next(row for row in as_exported(posted) if row["run_type"] == "tool") | {"inputs": '{"email": '}
    lines([broken, *posted], tmp_path / "runs.jsonl")
    skips = Skips()

    (run,) = read_runs(tmp_path / "runs.jsonl", on_skip=skips)

    assert told(run) == TOLD
    assert skips.reasons == {"no JSON in a field that holds JSON": 1}


# -- the API -----------------------------------------------------------------------------------------------------------


class Api(JsonServer):
    """Answers with *rows*, two a page, and keeps what it was asked."""

    def __init__(self, rows: list[Row], version: str) -> None:
        super().__init__()
        self.asked: list[Row] = []
        self._rows = rows
        self._version = version

    def read(self, path: str) -> Any:
        if path.startswith("/info"):
            return {"version": self._version, "instance_flags": {}}
        project = "8f7de0d0-0000-4000-8000-000000000001"
        session = {"id": project, "name": "shop", "tenant_id": project, "start_time": "2026-01-01T00:00:00"}
        return [session | {"reference_dataset_id": None}]

    def take(self, path: str, kind: str, body: bytes) -> Any:
        self.asked.append(json.loads(body))
        at = int(self.asked[-1].get("cursor") or 0)
        following = str(at + 2) if at + 2 < len(self._rows) else None
        page = self._rows[at : at + 2]
        if "/v2/" in path:
            return {"items": page, "next_cursor": following}
        return {"runs": page, "cursors": {"next": following}}


@pytest.mark.parametrize("version", ["0.16.20", "0.12.0"], ids=["new", "old"])
def test_a_project_is_read_page_by_page(
    version: str, posted: list[Row], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """
    Through the API of today, and through the older one where the server is older.
    """
    wanted = [row for row in posted if row["run_type"] in ("llm", "tool")]
    with Api(wanted, version) as server:
        monkeypatch.setenv("LANGSMITH_ENDPOINT", server.url)
        monkeypatch.setenv("LANGSMITH_API_KEY", "none")
        (run,) = read(f"{langsmith_api.PREFIX}shop")

    assert (run.id, told(run)) == ("thread-1", TOLD)
    assert len(server.asked) == -(-len(wanted) // 2)
    assert all('"tool"' in body["filter"] for body in server.asked)


def test_a_server_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch):
    """
    One line says what could not be read.
    """
    monkeypatch.setenv("LANGSMITH_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("LANGSMITH_API_KEY", "none")
    skips = Skips()

    assert list(read_runs(f"{langsmith_api.PREFIX}shop", on_skip=skips)) == []
    assert skips.reasons == {"no LangSmith": 1}


def test_speculations_are_no_calls_of_the_agent(tmp_path: Path):
    """
    What a speculating agent's trace shows is the conversation that the plain one had.
    """
    policy = {"tools": {"*_order*": {"read_only": True, "ttl_s": 60}, "get_customer": {"read_only": True}}}
    agent = speculate(create_agent(Scripted(), list(TOOLS)), {**policy, "limits": {"cool_down_s": 0}})
    with LangSmithServer() as server:
        with server.tracing():
            for thread in ("t-1", "t-2", "t-3"):
                converse(agent, {"metadata": {"thread_id": thread}})
        rows = [run.fields for run in server.runs.values()]
    lines(rows, tmp_path / "runs.jsonl")

    assert any("speculation" in (row.get("tags") or ()) for row in rows)
    assert [(run.id, told(run)) for run in read(tmp_path / "runs.jsonl")] == [(f"t-{at}", TOLD) for at in (1, 2, 3)]
