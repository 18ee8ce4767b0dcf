"""Observations in the shape that Langfuse documents for its exports and its API become runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate.core.stakes import Tokens
from langgraph_speculate.traces import Skips, read_runs
from langgraph_speculate.traces.lines import Limits
from tests.traces.containers import backwards, comma_separated, lines, one_list, parquet
from tests.traces.recordings import QUESTIONS, TOLD, read, told

Row = dict[str, Any]


def observations() -> list[Row]:
    """Both questions, a trace each, of one session; as the export to a bucket writes them: JSON inside of texts."""
    messages: list[Row] = []
    found: list[Row] = []
    clock = iter(range(60))

    def observation(kind: str, trace: int, name: str, given: Any, made: Any, **more: Any) -> None:
        began, ended = next(clock), next(clock)
        found.append(
            {
                "id": f"o{len(found)}",
                "trace_id": f"trace-{trace}",
                "session_id": "session-1",
                "type": kind,
                "name": name,
                "parent_observation_id": "",
                "start_time": f"2026-01-01 00:00:{began:02}.000000",
                "end_time": f"2026-01-01 00:00:{ended:02}.500000",
                "input": json.dumps(given),
                "output": made if isinstance(made, str) else json.dumps(made),
                "metadata": [],
                **more,
            }
        )

    trace = -1
    for place, event in enumerate(TOLD):
        if event[0] == "user":
            trace += 1
            messages.append({"role": "user", "content": event[1]})
        elif event[0] == "assistant":
            calls = [
                {"id": f"c{place}{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(args)}}
                for at, (name, args) in enumerate(event[2])
            ]
            message = {"role": "assistant", "content": event[1], **({"tool_calls": calls} if calls else {})}
            observation("GENERATION", trace, "ChatOpenAI", list(messages), message)
            messages.append(message)
            for at, (name, args) in enumerate(event[2]):
                answer = TOLD[place + 1 + at][1]
                observation("TOOL", trace, name, args, answer)
                messages.append({"role": "tool", "tool_call_id": f"c{place}{at}", "content": answer})
    return [{"id": "s", "trace_id": "trace-0", "type": "SPAN", "name": "LangGraph"}, *found]


def camel(rows: list[Row]) -> list[Row]:
    """The same as the API writes it."""
    names = {"trace_id": "traceId", "session_id": "sessionId", "start_time": "startTime", "end_time": "endTime"}
    inner = ("input", "output")
    return [
        {names.get(name, name): _parsed(value) if name in inner else value for name, value in row.items()}
        for row in rows
    ]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def with_calls_apart(rows: list[Row]) -> list[Row]:
    """The same with the calls of each message in a column of their own, as the export lists them."""
    for row in rows:
        message = _parsed(row.get("output", ""))
        if isinstance(message, dict) and "tool_calls" in message:
            row["tool_calls"] = [json.dumps(call) for call in message.pop("tool_calls")]
            row["output"] = json.dumps(message)
    return rows


@pytest.mark.parametrize("shape", [list, camel, with_calls_apart])
@pytest.mark.parametrize("write", [lines, backwards, one_list, parquet, comma_separated])
def test_observations_are_a_run(
    shape: Callable[[list[Row]], list[Row]], write: Callable[[list[Row], Path], None], tmp_path: Path
):
    """
    Traces of one session are one conversation, in whatever order and container they come.
    """
    path = tmp_path / "observations"
    write(shape(observations()), path)

    (run,) = read(path)

    assert (run.id, told(run)) == ("session-1", TOLD)
    assert {event["duration_s"] for event in run.events if event["role"] != "user"} == {1.5}


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {"usage_details": '{"input": 388, "input_cache_read": 512, "output": 20, "total": 920}'},
            Tokens(900, 20, 512),
        ),
        ({"usageDetails": {"input": 900, "output": 15, "output_reasoning": 5}}, Tokens(900, 20)),
        ({"usage": {"input": 900, "output": 20, "total": 920, "unit": "TOKENS", "inputCost": 0.01}}, Tokens(900, 20)),
        ({"prompt_tokens": "900", "completion_tokens": "20"}, Tokens(900, 20)),
        ({"promptTokens": 900, "completionTokens": 20}, Tokens(900, 20)),
        ({"usage_details": "no object", "usage": 7, "prompt_tokens": -1}, None),
        ({}, None),
    ],
)
def test_tokens_that_were_counted_are_those_of_the_message(usage: Row, expected: Tokens | None, tmp_path: Path):
    """
    Kinds of usage add up, as Langfuse adds them; older exports have two counts.
    """
    rows = [{**row, **(usage if row["type"] == "GENERATION" else {})} for row in observations()]
    lines(rows, tmp_path / "rows.jsonl")

    (run,) = read(tmp_path / "rows.jsonl")

    said = [event for event in run.events if event["role"] == "assistant"]
    assert {Tokens.counted(event.get("usage_metadata")) for event in said} == {expected}


def test_a_failed_tool_and_a_failed_model_are_told(tmp_path: Path):
    """
    An answer with an error is one; a model call without an answer is left out.
    """
    rows = observations()
    for row in rows:
        if row["type"] == "TOOL":
            row["level"] = "ERROR"
    model = next(row for row in rows if row["type"] == "GENERATION")
    failed = model | {"id": "failed", "output": "", "start_time": "2025-12-31 23:59:00", "level": "ERROR"}
    lines([failed, *rows], tmp_path / "rows.jsonl")

    (run,) = read(tmp_path / "rows.jsonl")

    assert told(run) == TOLD
    assert {event.get("status") for event in run.events if event["role"] == "tool"} == {"error"}


def test_a_bad_row_of_csv_is_told_by_its_line_and_the_rest_is_used(tmp_path: Path):
    """
    One that is far too long is left out; what a line has beyond the columns is ignored.
    """
    comma_separated(observations(), tmp_path / "observations.csv")
    with (tmp_path / "observations.csv").open("a") as file:
        file.write(f"x{',y' * 30}\nlong,{'y' * 3_000_000}\n")
    skips = Skips()

    (run,) = read_runs(tmp_path, on_skip=skips, limits=Limits(line_bytes=2_000_000))

    assert told(run) == TOLD
    (line,) = skips.lines()
    assert "no row of the table" in line
    assert "line size over maximum" in line


def test_a_bad_row_is_told_and_the_rest_is_used(tmp_path: Path):
    """
    By its line, with the reason.
    """
    rows = observations()
    rows.insert(2, {"id": "x", "trace_id": "trace-9", "type": "TOOL", "input": "{}"})
    rows.insert(4, {"id": "y", "trace_id": "trace-9", "type": "GENERATION", "input": json.dumps({"messages": 7})})
    lines(rows, tmp_path / "rows.jsonl")
    skips = Skips()

    (run,) = read_runs(tmp_path / "rows.jsonl", on_skip=skips)

    assert told(run) == TOLD
    assert {reason: found[0].line for reason, found in skips.examples.items()} == {
        "tool observation without a name": 3,
        "messages of a model call are no list": 5,
    }
    assert QUESTIONS[0] == run.events[0]["content"]
