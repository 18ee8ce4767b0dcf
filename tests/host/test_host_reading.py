"""The stream of one message, in every shape that a model may tell it: read, or given up, but never held up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from langchain_core.language_models._compat_bridge import chunks_to_events
from langchain_core.messages import AIMessageChunk
from langchain_core.outputs import ChatGenerationChunk, GenerationChunk
from streaming import SHAPES, part

from langgraph_speculate.core.draft import DraftCall
from langgraph_speculate.core.speculation import Stage
from langgraph_speculate.host.reading import Reader, Reading

CALLS = [("c0", "read", {"id": 1, "detail": 'a "b"'}), ("c1", "clock", {}), ("c2", "find", {"query": "x" * 40})]


class Told(Reader):
    """A reader that notes what it is told."""

    def __init__(self, doubts: bool = False) -> None:
        self.stages: list[str] = []
        self.calls: list[tuple[str | None, str, dict[str, Any]]] = []
        self.ends: list[str] = []
        self.asked = 0
        self._doubts = doubts

    def heard(self, stage: Stage) -> None:
        assert not self.ends
        self.stages.append(stage.value)

    def written(self, call: DraftCall) -> None:
        assert not self.ends
        self.calls.append((call.id, call.name, dict(call.closed)))

    def revised(self) -> None:
        self.ends.append("revised")

    def failed(self, error: Exception) -> None:
        self.ends.append(type(error).__name__)

    def doubts(self) -> bool:
        self.asked += 1
        return self._doubts


def pieces_of(shape: str) -> Iterator[Any]:
    """A message with text and calls, as chunks."""
    yield AIMessageChunk("I look. ")
    for index, call in enumerate(CALLS):
        yield from SHAPES[shape](index, call)


def by_tokens(pieces: Sequence[Any], **settings: Any) -> tuple[Told, Reading]:
    told = Told()
    reading = Reading(told, **settings)
    for message in pieces:
        reading.token(message.content, ChatGenerationChunk(message=message))
    return told, reading


def by_events(events: Sequence[Any]) -> tuple[Told, Reading]:
    told = Told()
    reading = Reading(told)
    for event in events:
        reading.event(event)
    return told, reading


# -- the shapes ------------------------------------------------------------------------------------------------------


def events_of(shape: str) -> list[Any]:
    """The same message as protocol events."""
    return list(chunks_to_events(ChatGenerationChunk(message=message) for message in pieces_of(shape)))


@pytest.mark.parametrize("shape", SHAPES)
def test_each_call_is_told_once_in_whatever_shape_it_comes(shape: str):
    """
    With its id, its name and its arguments.
    """
    told, reading = by_tokens(list(pieces_of(shape)))
    assert (told.calls, told.ends) == (CALLS, [])
    assert reading.draft.text == "I look. "


@pytest.mark.parametrize("shape", SHAPES)
def test_each_call_of_protocol_events_is_one_of_those_in_the_end(shape: str):
    """
    LangChain's bridge makes other calls of some shapes than their chunks are; what its blocks are in the end counts.
    """
    events = events_of(shape)
    told, reading = by_events(events)
    blocks = [event["content"] for event in events if event["event"] == "content-block-finish"]
    final = [(block["id"], block["name"], block["args"]) for block in blocks if block["type"] == "tool_call"]
    assert told.ends == (["revised"] if shape == "whole" else [])
    assert shape == "whole" or sorted(told.calls, key=repr) == sorted(final, key=repr)
    assert shape != "openai" or told.calls == CALLS
    assert reading.draft.text == "I look. "


@pytest.mark.parametrize("events_first", [True, False])
def test_a_message_that_is_told_both_ways_is_read_once(events_first: bool):
    """
    The first way counts.
    """
    told = Told()
    reading = Reading(told)
    events = events_of("openai")
    if events_first:
        reading.event(events.pop(0))
    for message in pieces_of("openai"):
        reading.token(message.content, ChatGenerationChunk(message=message))
        reading.event(events.pop(0))
    for event in events:
        reading.event(event)
    assert (told.calls, told.ends) == (CALLS, [])
    assert reading.draft.text == "I look. "


def start(index: int, **block: Any) -> dict[str, Any]:
    return {"event": "content-block-start", "index": index, "content": {"type": "tool_call_chunk", **block}}


def more(index: int, args: Any) -> dict[str, Any]:
    delta = {"type": "tool-call-delta", "args": args}
    return {"event": "content-block-delta", "index": index, "delta": delta}


def finish(index: int, type: str = "tool_call", **block: Any) -> dict[str, Any]:
    return {"event": "content-block-finish", "index": index, "content": {"type": type, **block}}


READ = {"id": "c", "name": "read"}


def test_a_call_that_comes_as_a_whole_is_complete_with_its_block():
    """
    Some models tell no pieces.
    """
    told, _ = by_events([finish(0, **READ, args={"id": 1}), finish(1, id="d", name="clock", args={})])
    assert told.calls == [("c", "read", {"id": 1}), ("d", "clock", {})]


@pytest.mark.parametrize("id", [None, "", "late"])
def test_an_id_that_comes_with_the_end_of_a_block_makes_no_second_call(id: Any):
    """
    Nor does one that never comes: the block's place tells which call it is.
    """
    for args in ({"id": 1}, {}):
        events = [start(0, id=None, name="read", args=""), more(0, json.dumps(args) if args else "")]
        told, reading = by_events([*events, finish(0, id=id, name="read", args=args)])
        assert [call[1:] for call in told.calls] == [("read", args)]
        assert (reading.draft.calls[0].id or None) == (id or None)


def test_a_name_that_comes_with_the_end_of_a_block_is_the_calls():
    """
    It is complete then, and not before.
    """
    events = [start(0, id="c", name=None, args=""), more(0, '{"id": 1}')]
    assert by_events(events)[0].calls == []
    assert by_events([*events, finish(0, **READ, args={"id": 1})])[0].calls == [("c", "read", {"id": 1})]


def test_arguments_whose_pieces_were_not_told_come_with_the_end_of_the_block():
    """
    A call is not taken for one without arguments.
    """
    legacy = {"event": "content-block-delta", "index": 0, "content_block": {"args": '{"id": 1}'}}
    told, _ = by_events([start(0, **READ, args=""), legacy, finish(0, **READ, args={"id": 1})])
    assert told.calls == [("c", "read", {"id": 1})]


@pytest.mark.parametrize(
    "end",
    [
        finish(0, **READ, args={"id": 2}),
        finish(0, **READ, args={}),
        finish(0, id="c", name="other", args={"id": 1}),
        finish(0, "invalid_tool_call", **READ, args='{"id": 1}'),
    ],
    ids=["arguments", "none", "name", "invalid"],
)
def test_a_block_that_ends_as_something_else_takes_back_what_was_told(end: dict[str, Any]):
    """
    The model's message has what the block says in the end.
    """
    told, _ = by_events([start(0, **READ, args=""), more(0, '{"id": 1}'), end, finish(1, **READ, args={})])
    assert told.calls == [("c", "read", {"id": 1})]
    assert told.ends == ["revised"]


def test_a_snapshot_in_place_of_pieces_takes_back_what_was_told():
    """
    And nothing of the message is told from then on.
    """
    snapshot = {"type": "block-delta", "fields": {"type": "tool_call_chunk", "args": '{"id": 1}'}}
    delta = {"event": "content-block-delta", "index": 0, "delta": snapshot}
    told, _ = by_events([start(0, **READ, args=""), delta, finish(0, **READ, args={"id": 1})])
    assert (told.calls, told.ends) == ([], ["revised"])


def test_tools_of_the_providers_are_not_the_agents():
    """
    A search that the model's server runs is a block of its own, also under the name of a tool.
    """
    begun = {"event": "content-block-start", "index": 0, "content": {"type": "server_tool_call_chunk", "name": "read"}}
    told, _ = by_events([begun, more(0, '{"id": 1}'), finish(0, "server_tool_call", **READ, args={"id": 1})])
    assert (told.calls, told.ends) == ([], [])


def test_reasoning_is_no_text():
    """
    In blocks, in events, in any provider's shape.
    """
    blocks = [
        {"type": "reasoning", "reasoning": "r" * 100, "index": 0},
        {"type": "thinking", "thinking": "t" * 100, "signature": "s", "index": 0},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "u" * 100}], "index": 0},
    ]
    told, reading = by_tokens([AIMessageChunk(content=[block]) for block in blocks])
    delta = {"type": "reasoning-delta", "reasoning": "r" * 100}
    other, read = by_events([{"event": "content-block-delta", "index": 0, "delta": delta}])
    assert reading.draft.text == read.draft.text == ""
    assert told.stages == other.stages == []


# -- when it is looked at --------------------------------------------------------------------------------------------


def test_text_is_looked_at_whenever_it_has_doubled():
    """
    And every so often once it is long; not at all where nobody makes anything of it, nor after the first call.
    """
    text = [AIMessageChunk("x") for _ in range(5000)]
    told, _ = by_tokens(text)
    assert told.stages == ["text"] * (1 + 5 + 2)  # at 40, 80, … 1280, 2560, 3840
    assert by_tokens(text, reads_text=False)[0].stages == []
    assert "text" not in by_tokens([part("", 0, "c", "read"), *text])[0].stages


def test_an_argument_is_looked_at_when_its_pieces_have_doubled():
    """
    A long one costs no more than a few looks, also where something that runs may be in doubt.
    """
    pieces = [part("", 0, "c", "read"), part('{"detail": "'), *[part("x") for _ in range(1000)]]
    told, _ = by_tokens(pieces)
    assert told.stages == ["name", *["arguments"] * 9]  # at 2, 4, … 512
    doubtful = Told(doubts=True)
    reading = Reading(doubtful)
    for message in pieces:
        reading.token("", ChatGenerationChunk(message=message))
    assert len(doubtful.stages) == 1 + 1 + 256 + 1
    assert doubtful.asked <= 2 + 256


def test_a_chunk_with_the_whole_message_is_one_look_a_call():
    """
    However many arguments it decides.
    """
    args = {f"a{number}": number for number in range(500)}
    told, _ = by_tokens([part(json.dumps(args), None, "c", "read")])
    assert told.stages == ["arguments"]
    assert told.calls == [("c", "read", args)]


# -- what no model should tell ---------------------------------------------------------------------------------------

ODD_CHUNKS: list[Any] = [
    None,
    GenerationChunk(text="x"),
    SimpleNamespace(message=None),
    SimpleNamespace(message=SimpleNamespace(tool_call_chunks=None)),
    SimpleNamespace(message=SimpleNamespace(tool_call_chunks=[{}])),
    SimpleNamespace(message=SimpleNamespace(tool_call_chunks=[{"name": "read"}, {"args": "{}"}])),
    "text",
    7,
]
BROKEN_CHUNKS: list[Any] = [
    SimpleNamespace(message=SimpleNamespace(tool_call_chunks=7)),
    SimpleNamespace(message=SimpleNamespace(tool_call_chunks=[None])),
    SimpleNamespace(message=SimpleNamespace(tool_call_chunks=[{"index": 0, "name": "read", "args": {"id": 1}}])),
    SimpleNamespace(message=SimpleNamespace(tool_call_chunks=[{"index": 0, "name": 7}, {"index": 0, "name": "x"}])),
]
ODD_EVENTS: list[Any] = [
    {},
    {"event": "message-start"},
    {"event": "content-block-start", "index": None, "content": None},
    {"event": "content-block-delta", "delta": None},
    {"event": "content-block-delta", "index": [], "delta": {"type": "tool-call-delta"}},
    {"event": "content-block-delta", "index": 0, "delta": {"type": "text-delta", "text": None}},
    {"event": "content-block-finish", "index": 3, "content": {"type": "text"}},
    {"event": "error", "message": "x"},
]
BROKEN_EVENTS: list[Any] = [
    {"event": "content-block-start", "content": [1]},
    {"event": "content-block-delta", "delta": "x"},
    more(0, {"id": 1}),
    finish(0, **READ, args="{}"),
    finish(0, **READ, args={"id": object()}),
]


@pytest.mark.parametrize("token", ["", "text", None, 7, ["a", {"type": "text", "text": "b"}, None, 7], {"text": "x"}])
@pytest.mark.parametrize("chunk", ODD_CHUNKS, ids=str)
def test_chunks_without_what_is_looked_for_tell_nothing(token: Any, chunk: Any):
    """
    No error, and what follows is read.
    """
    told = Told()
    reading = Reading(told)
    reading.token(token, chunk)
    reading.token("", ChatGenerationChunk(message=part('{"id": 1}', 5, "c", "read")))
    assert told.calls[-1] == ("c", "read", {"id": 1})
    assert told.ends == []


@pytest.mark.parametrize("event", ODD_EVENTS, ids=str)
def test_events_without_what_is_looked_for_tell_nothing(event: Any):
    """
    No error, and what follows is read.
    """
    told, _ = by_events([event, finish(5, **READ, args={"id": 1})])
    assert told.calls == [("c", "read", {"id": 1})]
    assert told.ends == []


@pytest.mark.parametrize("chunk", BROKEN_CHUNKS, ids=str)
def test_a_chunk_that_cannot_be_read_ends_the_reading(chunk: Any):
    """
    With a piece lost, what follows would be another call: nothing more is told, and no error comes out.
    """
    told = Told()
    reading = Reading(told)
    reading.token("", chunk)
    reading.token("", ChatGenerationChunk(message=part('{"id": 1}', 5, "c", "read")))
    assert told.calls == []
    assert len(told.ends) == 1


@pytest.mark.parametrize("event", BROKEN_EVENTS, ids=lambda event: event["event"])
def test_an_event_that_cannot_be_read_ends_the_reading(event: Any):
    """
    As with chunks.
    """
    told, _ = by_events([event, finish(5, **READ, args={"id": 1})])
    assert told.calls == []
    assert len(told.ends) == 1


@pytest.mark.parametrize("method", ["heard", "written", "doubts"])
def test_a_reader_that_raises_is_told_once_and_asked_no_more(method: str, monkeypatch: pytest.MonkeyPatch):
    """
    Its error reaches nobody's model.
    """

    def fails(*_args: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(Told, method, fails)
    told, _ = by_tokens([*SHAPES["openai"](0, CALLS[0]), part("x", 0), *SHAPES["openai"](1, CALLS[1])])
    assert told.ends == ["RuntimeError"]


def test_what_is_revised_is_told_once():
    """
    Whatever follows, in the same chunk too.
    """
    message = AIMessageChunk(
        "",
        tool_call_chunks=[
            {"index": 0, "id": "c", "name": "read", "args": '{"id": 1}}', "type": "tool_call_chunk"},
            {"index": 1, "id": "d", "name": "find", "args": "{}", "type": "tool_call_chunk"},
        ],
    )
    told, _ = by_tokens([message, message])
    assert (told.calls, told.ends) == ([], ["revised"])
