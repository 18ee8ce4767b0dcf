"""One conversation in every dialect comes out as the same neutral events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.load import dumpd
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage, messages_to_dict

from langgraph_speculate.traces import Run, Skips, read_runs
from langgraph_speculate.traces.readers.messages import arguments, events_of, unpacked
from langgraph_speculate.traces.skips import Malformed
from tests.traces.recordings import read

EVENTS = [
    {"role": "user", "content": "Where is order 7?"},
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [{"id": "c1", "name": "get_order", "args": {"id": 7}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "sent"},
    {"role": "assistant", "content": "It was sent.", "tool_calls": []},
]
LANGCHAIN: list[BaseMessage] = [
    HumanMessage("Where is order 7?"),
    AIMessage("Let me look.", tool_calls=[{"id": "c1", "name": "get_order", "args": {"id": 7}}]),
    ToolMessage("sent", tool_call_id="c1"),
    AIMessage("It was sent."),
]
OPENAI = [
    {"role": "user", "content": "Where is order 7?"},
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "get_order", "arguments": '{"id": 7}'}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "sent"},
    {"role": "assistant", "content": "It was sent."},
]
RESPONSES = [
    {"role": "user", "content": [{"type": "input_text", "text": "Where is order 7?"}]},
    {"type": "reasoning", "summary": []},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me look."}]},
    {"type": "function_call", "call_id": "c1", "name": "get_order", "arguments": '{"id": 7}'},
    {"type": "function_call_output", "call_id": "c1", "output": "sent"},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "It was sent."}]},
]
ANTHROPIC = [
    {"role": "user", "content": "Where is order 7?"},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "c1", "name": "get_order", "input": {"id": 7}},
        ],
    },
    {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "sent"}]}],
    },
    {"role": "assistant", "content": [{"type": "text", "text": "It was sent."}]},
]
DIALECTS: dict[str, list[Any]] = {
    "neutral": EVENTS,
    "LangChain messages": LANGCHAIN,
    "messages_to_dict": messages_to_dict(LANGCHAIN),
    "dumpd": [dumpd(message) for message in LANGCHAIN],
    "model_dump": [message.model_dump() for message in LANGCHAIN],
    "OpenAI chat": OPENAI,
    "OpenAI responses": RESPONSES,
    "Anthropic": ANTHROPIC,
}


def bare(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in event.items() if name != "name"} for event in events]


@pytest.mark.parametrize("holder", ["message", "additional_kwargs"])
def test_a_function_call_is_a_call(holder: str):
    """
    As OpenAI wrote it before there were several at once: it has no id, and its answer names the function.
    """
    call = {"function_call": {"name": "get_order", "arguments": '{"id": 7}'}}
    asked = {"role": "assistant", "content": "Let me look.", **(call if holder == "message" else {holder: call})}
    answer = {"role": "function", "name": "get_order", "content": "sent"}

    events = events_of([EVENTS[0], asked, answer, EVENTS[3]])

    assert [event["role"] for event in events] == [event["role"] for event in EVENTS]
    (made,) = events[1]["tool_calls"]
    assert (made["name"], made["args"]) == ("get_order", {"id": 7})
    assert events[2]["tool_call_id"] == made["id"]


@pytest.mark.parametrize("messages", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_says_the_same(messages: list[Any]):
    """
    Texts, calls, arguments and which answer is to which call.
    """
    assert bare(events_of(messages)) == EVENTS


@pytest.mark.parametrize("name", [name for name in DIALECTS if name != "LangChain messages"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_a_log_of_conversations_is_detected(name: str, wrapped: bool, tmp_path: Path):
    """
    Objects with `messages`, and bare lists, a conversation a line.
    """
    path = tmp_path / "log.jsonl"
    line = {"messages": DIALECTS[name], "id": "run-1", "task_id": "refund"} if wrapped else DIALECTS[name]
    path.write_text(json.dumps(line) + "\n")

    (run,) = read(path)

    assert bare(list(run.events)) == EVENTS
    assert (run.id, run.task) == ("run-1", "refund") if wrapped else run.id.startswith("chat-")


def test_a_stored_completion_ends_with_its_answer(tmp_path: Path):
    """
    A request and its response are logged together, of chats and of responses.
    """
    path = tmp_path / "log.jsonl"
    chat = {"request": {"messages": OPENAI[:3]}, "response": {"choices": [{"message": OPENAI[3]}]}}
    response = {"id": "resp_1", "input": RESPONSES[:-1], "output": RESPONSES[-1:]}
    asked = {"id": "resp_2", "input": "Where is order 7?", "output": RESPONSES[2:4]}
    path.write_text("".join(json.dumps(line) + "\n" for line in (chat, response, asked)))

    runs = read(path)

    assert [bare(list(run.events)) for run in runs] == [EVENTS, EVENTS, EVENTS[:2]]


def test_errors_of_tools_are_kept():
    """
    The status of an answer is part of what comes next.
    """
    failed = ToolMessage("no such order", tool_call_id="c", status="error")
    block = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c", "content": "no", "is_error": True}],
    }

    assert [event["status"] for event in events_of([failed, dumpd(failed), block])] == ["error"] * 3


@pytest.mark.parametrize("dump", [list, messages_to_dict, lambda messages: [dumpd(one) for one in messages]])
def test_tokens_that_a_provider_counted_are_kept(dump: Any):
    """
    As LangChain's messages say them; where nobody counted, nothing is said.
    """
    usage = {"input_tokens": 900, "output_tokens": 20, "total_tokens": 920}
    counted, other = events_of(dump([AIMessage("sent", usage_metadata=usage), AIMessage("sent")]))

    assert counted["usage_metadata"] == usage
    assert "usage_metadata" not in other


def test_prompts_are_kept_as_such():
    """
    A developer's message is the system's.
    """
    assert [event["role"] for event in events_of([SystemMessage("x"), {"role": "developer", "content": "x"}])] == [
        "system"
    ] * 2


@pytest.mark.parametrize("given", ["{", '"text"', "[1]", "7", 7, None, ["x"]])
def test_a_call_with_unreadable_arguments_is_none(given: Any):
    """
    No agent ran it either.
    """
    call = {"id": "c", "function": {"name": "get", "arguments": given}}

    (event,) = events_of([{"role": "assistant", "content": "", "tool_calls": [call]}])

    assert event["tool_calls"] == ([] if given is not None else [{"id": "c", "name": "get", "args": {}}])
    assert arguments(given) is None


@pytest.mark.parametrize(
    "message", [7, None, "hello", {}, {"role": "wizard"}, {"content": "x"}, ["user"], [["user", "x"]]]
)
def test_what_is_no_message_is_told(message: Any):
    """
    The line is skipped with a reason.
    """
    with pytest.raises(Malformed):
        events_of([message])


def test_deep_texts_are_refused():
    """
    JSON inside of JSON has the same limits.
    """
    with pytest.raises(Malformed, match="nested too deeply"):
        unpacked("[" * 100 + "]" * 100)


def test_a_dump_builds_nothing(tmp_path: Path):
    """
    The class that a dump names is only looked at.
    """
    path = tmp_path / "log.jsonl"
    evil = {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {"command": "false"}}
    path.write_text(json.dumps({"messages": [evil]}) + "\n")
    skips = Skips()

    assert list(read_runs(path, on_skip=skips)) == []
    assert skips.reasons == {"message with an unknown role": 1}


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "type", "content", "tool_calls", "id", "name", "args", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(st.lists(JSON, max_size=4))
def test_nothing_that_json_can_say_raises_anything_else(messages: list[Any]):
    """
    Events that can be checked, or `Malformed`.
    """
    try:
        events = events_of(messages)
    except Malformed:
        return
    assert Run("r", "t", events)
