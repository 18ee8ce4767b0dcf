"""A file's source is told by what it holds; whoever knows better may say so."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from langgraph_speculate.errors import TraceError
from langgraph_speculate.traces import Skips, read_runs
from langgraph_speculate.traces.readers.times import seconds_of
from langgraph_speculate.traces.readers.weave import Span, conversations
from tests.fuzz.traces import examples


@pytest.mark.parametrize("source", ["neutral", "messages", "langsmith", "langfuse", "otlp"])
@pytest.mark.parametrize("name", ["traces.jsonl", "traces.db", "traces"])
@pytest.mark.parametrize("packed", [True, False])
def test_a_name_says_nothing(source: str, name: str, packed: bool, tmp_path: Path):
    """
    Neither the ending nor that it is packed.
    """
    content = examples()[source]
    (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    skips = Skips()

    runs = list(read_runs(tmp_path / name, on_skip=skips))

    assert runs
    assert not skips.count
    assert any(event.get("tool_calls") or event["role"] == "assistant" for event in runs[0].events)


def test_broken_lines_before_the_first_good_one_hide_nothing(tmp_path: Path):
    """
    A log may begin in the middle of a line.
    """
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'content": "?"}]}\n\n' + examples()["otlp"])
    skips = Skips()

    assert len(list(read_runs(path, on_skip=skips))) == 1
    assert skips.reasons == {"no JSON": 1}


def test_a_folder_may_hold_several_sources(tmp_path: Path):
    """
    Each file's is told by itself.
    """
    found = examples()
    (tmp_path / "a.jsonl").write_bytes(found["neutral"])
    (tmp_path / "b.jsonl").write_bytes(found["otlp"])
    (tmp_path / "c.sqlite").write_bytes(found["checkpoints"])

    assert [run.id for run in read_runs(tmp_path)] == ["r", "ab", "t"]


def test_a_source_that_is_said_is_believed(tmp_path: Path):
    """
    And lines that are none of its are skipped.
    """
    path = tmp_path / "log.jsonl"
    path.write_bytes(examples()["neutral"])
    skips = Skips()

    assert list(read_runs(path, source="otlp", on_skip=skips)) == []
    assert skips.reasons == {"no OTLP request": 1}


def test_a_source_that_there_is_not_is_told(tmp_path: Path):
    """
    With the one that was meant, before anything is read.
    """
    with pytest.raises(TraceError, match="no source 'langsmiht'; did you mean 'langsmith'"):
        read_runs(tmp_path, source="langsmiht")


def test_an_event_log_holds_nothing_to_learn(tmp_path: Path):
    """
    It keeps names and times only; the reason says what to do instead.
    """
    path = tmp_path / "events.jsonl"
    path.write_bytes(examples()["events"])
    skips = Skips()

    assert list(read_runs(path, on_skip=skips)) == []
    assert skips.reasons == {"event log without arguments": 1}


def test_a_wide_trace_is_refused_and_the_next_is_read(tmp_path: Path):
    """
    What one run may hold is bounded, whatever the source.
    """
    tool = {"run_type": "tool", "name": "get", "inputs": {}, "outputs": {"output": "x"}}
    wide = b"".join(json.dumps(tool | {"trace_id": "wide"}).encode() + b"\n" for _ in range(10_001))
    path = tmp_path / "runs.jsonl"
    path.write_bytes(wide + examples()["langsmith"])
    skips = Skips()

    assert [run.id for run in read_runs(path, on_skip=skips)] == ["t"]
    assert skips.reasons == {"too many events in one run": 1}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-01-01T00:00:00Z", 1767225600.0),
        ("2026-01-01T01:00:00+01:00", 1767225600.0),
        ("2026-01-01 00:00:00.250000", 1767225600.25),
        (1767225600, 1767225600.0),
        (1767225600250, 1767225600.25),
        ("1767225600250000000", 1767225600.25),
        *((nothing, None) for nothing in ("", "yesterday", None, True, float("nan"), [], {}, "١٢٣")),
    ],
)
def test_times_of_every_unit_are_seconds(value: object, seconds: float | None):
    """
    What is no time is none, and raises nothing.
    """
    assert seconds_of(value) == seconds


def asked(name: str, id: str) -> dict[str, object]:
    return {"role": "assistant", "content": "", "tool_calls": [{"id": id, "name": name, "args": {}}]}


USER = {"role": "user", "content": "?"}


def test_a_conversation_that_somebody_shortened_goes_on():
    """
    A summary in place of the first messages begins no new one, and says nothing twice.
    """
    first, second = asked("get", "a"), asked("put", "b")
    answer = {"role": "tool", "tool_call_id": "a", "content": "1"}
    summary = {"role": "user", "content": "So far: a get."}
    spans = [Span(1.0, 2.0, [USER], first), Span(3.0, 4.0, [summary, first, answer], second)]

    (events,) = conversations(spans)

    assert [event["role"] for event in events] == ["user", "assistant", "tool", "assistant"]


def test_a_sub_agent_talks_apart():
    """
    Its model calls know nothing of the messages around it.
    """
    task = {"role": "user", "content": "Find the order."}
    spans = [
        Span(1.0, 2.0, [USER], asked("task", "a")),
        Span(2.1, 3.0, [task], asked("get", "s")),
        Span(3.1, 3.2, tool="get", call="s", result="1"),
        Span(2.0, 4.0, tool="task", call="a", result="done"),
    ]

    outer, inner = conversations(spans)

    assert [event["content"] for event in outer] == ["?", "", "done"]
    assert [event["content"] for event in inner] == ["Find the order.", "", "1"]


def test_ids_that_a_model_uses_again_are_told_apart():
    """
    Each answer stays with the call it answers.
    """
    calls = [asked("get", "call_0"), asked("get", "call_0")]
    answers = [{"role": "tool", "tool_call_id": "call_0", "content": text} for text in ("one", "two")]
    spans = [
        Span(1.0, 2.0, [USER], calls[0]),
        Span(2.0, 2.5, tool="get", call="call_0", result="one"),
        Span(3.0, 4.0, [USER, calls[0], answers[0]], calls[1]),
        Span(4.0, 4.75, tool="get", call="call_0", result="two"),
        Span(5.0, 6.0, [USER, calls[0], answers[0], calls[1], answers[1]], {"role": "assistant", "content": "Done."}),
    ]

    (events,) = conversations(spans)

    assert [(event["content"], event["duration_s"]) for event in events if event["role"] == "tool"] == [
        ("one", 0.5),
        ("two", 0.75),
    ]
