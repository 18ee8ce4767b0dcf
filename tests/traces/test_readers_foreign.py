"""Files in formats of others: what is easily read is, of all else one line says what it is and what to do."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from langgraph_speculate.traces import Skipped, read_runs
from tests.traces.recordings import read

ASKED = {"name": "get_order", "arguments": {"id": 7}}
TWICE = [ASKED, {"name": "get_order", "arguments": '{"id": 8}'}]
HERMES = [
    {"from": "system", "value": "Tools: …"},
    {"from": "human", "value": "Where are orders 7 and 8?"},
    {
        "from": "gpt",
        "value": "".join(["Let me look."] + [f"<tool_call>\n{json.dumps(one)}\n</tool_call>" for one in TWICE]),
    },
    {"from": "tool", "value": "<tool_response>sent</tool_response>\n<tool_response>lost</tool_response>"},
    {"from": "gpt", "value": "Sent, and lost."},
]
TURNS = [
    *HERMES[:2],
    {"from": "function_call", "value": json.dumps(TWICE)},
    {"from": "observation", "value": "sent"},
    {"from": "observation", "value": "lost"},
    HERMES[-1],
]
CHAT = {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello."}]}


@pytest.mark.parametrize(("turns", "said"), [(HERMES, "Let me look."), (TURNS, "")], ids=["Hermes", "LLaMA-Factory"])
def test_conversations_in_the_way_of_sharegpt_are_read_with_their_calls(
    turns: list[dict[str, str]], said: str, tmp_path: Path
):
    """
    Whichever way calls are written in; answers follow in their order, and belong to them.
    """
    (tmp_path / "log.jsonl").write_text(json.dumps({"id": "sg-1", "conversations": turns}) + "\n", "utf-8")

    (run,) = read(tmp_path / "log.jsonl")

    asked = next(event for event in run.events if event.get("tool_calls"))
    assert run.id == "sg-1"
    assert [event["role"] for event in run.events] == ["system", "user", "assistant", "tool", "tool", "assistant"]
    assert (asked["content"], [call["args"] for call in asked["tool_calls"]]) == (said, [{"id": 7}, {"id": 8}])
    answers = {event["tool_call_id"]: event["content"] for event in run.events if event["role"] == "tool"}
    assert [answers[call["id"]] for call in asked["tool_calls"]] == ["sent", "lost"]


@pytest.mark.parametrize(
    "turn",
    [
        {"from": "wizard", "value": ""},
        {"value": ""},
        "hello",
        {"from": "function_call", "value": "7"},
        {"from": "gpt", "value": "<tool_call>[[1]]</tool_call>"},
        {"from": "tool", "value": None},
    ],
)
def test_what_a_turn_may_hold_is_read_or_told(turn: Any, tmp_path: Path):
    """
    A run without the call that nobody could have made, or one line that says what is wrong.
    """
    (tmp_path / "log.jsonl").write_text(json.dumps({"conversations": [HERMES[1], turn]}) + "\n", "utf-8")
    skipped: list[Skipped] = []

    runs = list(read_runs(tmp_path / "log.jsonl", on_skip=skipped.append))

    assert len(runs) + len(skipped) == 1
    assert all(one.reason == "message with an unknown role" for one in skipped)


@pytest.mark.parametrize(
    "record",
    [CHAT, CHAT["messages"], {"conversations": HERMES}, {"id": "r", "events": CHAT["messages"]}],
    ids=["chat", "bare messages", "ShareGPT", "neutral"],
)
def test_a_line_with_a_list_of_records_is_each_of_them(record: Any, tmp_path: Path):
    """
    As some export them: `json.dump(rows, file)`.
    """
    (tmp_path / "log.json").write_text(json.dumps([record, record, 7]), "utf-8")
    skipped: list[Skipped] = []

    assert len(list(read_runs(tmp_path / "log.json", on_skip=skipped.append))) == 2
    assert [one.line for one in skipped] == [1]


TRANSCRIPT = [
    {"type": "summary", "sessionId": "s", "summary": "An order"},
    {"type": "user", "sessionId": "s", "message": {"role": "user", "content": "Where is order 7?"}},
    {"type": "assistant", "sessionId": "s", "message": {
        "id": "m", "role": "assistant", "content": [{"type": "text", "text": "Let me look."}]}},
    {"type": "assistant", "sessionId": "s", "message": {
        "id": "m", "role": "assistant",
        "content": [{"type": "tool_use", "id": "c", "name": "get_order", "input": {"id": 7}}]}},
    {"type": "user", "sessionId": "s", "message": {
        "role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "sent"}]}},
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reason", "remedy"),
    [
        (json.dumps([CHAT], indent=2), "JSON over several lines", "jq -c '.[]' FILE"),
        (json.dumps(CHAT, indent=2), "JSON over several lines", "jq -c . FILE"),
        ("\n".join(map(json.dumps, TRANSCRIPT)), "no known kind of recording", "a transcript of Claude Code"),
        (json.dumps({"trajectory": []}, indent=2), "no known kind of recording", "known: otlp, langsmith"),
        (json.dumps({"trajectory": []}), "no known kind of recording", "known: otlp, langsmith"),
    ],
    ids=["a printed list", "a printed object", "Claude Code", "SWE-agent", "SWE-agent, one line"],
)
def test_a_file_that_nothing_reads_is_one_line_with_what_to_do(text: str, reason: str, remedy: str, tmp_path: Path):
    """
    Not one for each of its lines, none of which is wrong by itself.
    """
    (tmp_path / "log.jsonl").write_text(text, "utf-8")
    skipped: list[Skipped] = []

    assert list(read_runs(tmp_path / "log.jsonl", on_skip=skipped.append)) == []

    ((told, detail),) = [(one.reason, one.detail) for one in skipped]
    assert told == reason
    assert remedy in detail


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_documented_way_makes_a_conversation_of_a_transcript(tmp_path: Path):
    """
    Parts of one message, which have a line each, come together again.
    """
    guide = Path(__file__).parents[2].joinpath("docs", "traces.md").read_text("utf-8")
    (program,) = re.findall(r"jq -cs '([^']*)' session.jsonl > chat.jsonl", guide)
    text = "\n".join(map(json.dumps, TRANSCRIPT))
    made = subprocess.run(["jq", "-cs", program], input=text, capture_output=True, text=True, check=True)
    (tmp_path / "chat.jsonl").write_text(made.stdout, "utf-8")

    (run,) = read(tmp_path / "chat.jsonl")

    assert [event["role"] for event in run.events] == ["user", "assistant", "tool"]
    assert run.events[1]["content"] == "Let me look."
    assert run.events[1]["tool_calls"] == [{"id": "c", "name": "get_order", "args": {"id": 7}}]
