"""What a run has seen, read from messages of any dialect, and re-read only where they changed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    ChatMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from langgraph_speculate.core import Call, History, ModelTurn, PastCall, UserTurn
from langgraph_speculate.core.history import text_of


def shape(history: History) -> list[Any]:
    """The history in one readable line."""
    shown: list[Any] = []
    for event in history.events:
        if isinstance(event, UserTurn):
            shown.append(("user", event.text))
        elif isinstance(event, ModelTurn):
            shown.append(("model", event.text, event.call_count))
        else:
            shown.append((event.name, dict(event.args), event.result, event.status, event.step))
    return shown


def read(messages: list[Any], previous: History | None = None) -> list[Any]:
    return shape(History.from_messages(messages, previous))


def ai(*calls: tuple[str, str, dict[str, Any]], text: str = "") -> AIMessage:
    return AIMessage(text, tool_calls=[{"id": id, "name": name, "args": args} for id, name, args in calls])


EXPECTED = [
    ("user", "Where are my orders?"),
    ("model", "Let me look.", 2),
    ("get_order", {"id": 7}, '{"status": "sent"}', "success", 0),
    ("get_order", {"id": 8}, "no such order", "error", 0),
    ("model", "", 1),
    ("track", {"code": "x"}, None, "pending", 1),
]

LANGCHAIN = [
    SystemMessage("You are a shop."),
    HumanMessage("Where are my orders?"),
    ai(("a", "get_order", {"id": 7}), ("b", "get_order", {"id": 8}), text="Let me look."),
    ToolMessage("no such order", tool_call_id="b", status="error"),
    ToolMessage('{"status": "sent"}', tool_call_id="a"),
    ai(("c", "track", {"code": "x"})),
]
OPENAI = [
    {"role": "system", "content": "You are a shop."},
    {"role": "user", "content": "Where are my orders?"},
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "get_order", "arguments": '{"id": 7}'}},
            {"id": "b", "type": "function", "function": {"name": "get_order", "arguments": '{"id": 8}'}},
        ],
    },
    {"role": "tool", "tool_call_id": "b", "content": "no such order", "status": "error"},
    {"role": "tool", "tool_call_id": "a", "content": '{"status": "sent"}'},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": {"name": "track", "arguments": '{"code": "x"}'}}],
    },
]
NEUTRAL = [
    {"role": "system", "content": "You are a shop.", "t": 0.0},
    {"role": "user", "content": "Where are my orders?", "t": 1.0},
    {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [
            {"id": "a", "name": "get_order", "args": {"id": 7}},
            {"id": "b", "name": "get_order", "args": {"id": 8}},
        ],
        "t": 2.0,
    },
    {"role": "tool", "tool_call_id": "b", "name": "get_order", "content": "no such order", "status": "error"},
    {"role": "tool", "tool_call_id": "a", "name": "get_order", "content": '{"status": "sent"}', "duration_s": 0.5},
    {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "name": "track", "args": {"code": "x"}}]},
]


# -- dialects ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("messages", [LANGCHAIN, OPENAI, NEUTRAL], ids=["langchain", "openai", "neutral"])
def test_every_dialect_reads_the_same(messages: list[Any]):
    """
    LangChain messages, OpenAI-style dicts and trace events of one conversation give one history.
    """
    assert read(messages) == EXPECTED


def test_a_streamed_message_reads_like_a_whole_one():
    """
    Chunks that were added up stay chunks in some states.
    """
    chunk = AIMessageChunk("", tool_calls=[{"id": "a", "name": "track", "args": {"code": "x"}}])
    assert read([chunk]) == [("model", "", 1), ("track", {"code": "x"}, None, "pending", 0)]


def test_messages_as_stored_by_type_read_like_those_by_role():
    """
    Dicts may carry LangChain's own type names.
    """
    stored = [
        {"type": "human", "content": "Hi"},
        {"type": "ai", "content": "", "tool_calls": [{"id": "a", "name": "track", "args": {}, "type": "tool_call"}]},
        {"type": "tool", "content": "here", "tool_call_id": "a", "status": "success"},
    ]
    assert read(stored) == [("user", "Hi"), ("model", "", 1), ("track", {}, "here", "success", 0)]


def test_no_messages_give_an_empty_history():
    """
    The first model call of a run may know nothing.
    """
    history = History.from_messages([])
    assert (history.events, history.calls, history.user_turns, history.last_calls) == ((), (), (), ())
    assert history == History()


def test_messages_of_other_kinds_are_no_events():
    """
    System prompts and removals say nothing about the order of calls.
    """
    assert read([SystemMessage("Be brief."), RemoveMessage(id="x"), {"role": "developer", "content": "!"}]) == []


def test_chat_messages_are_read_by_their_role():
    """
    `ChatMessage` says who speaks in `role` only.
    """
    assert read([ChatMessage("Hi", role="user")]) == [("user", "Hi")]


def test_a_call_without_arguments_may_have_empty_argument_text():
    """
    OpenAI-style recordings write no arguments as an empty text.
    """
    message = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "now", "arguments": ""}}]}
    assert read([message])[1:] == [("now", {}, None, "pending", 0)]


@pytest.mark.parametrize(
    "call",
    [
        {"id": "a", "function": {"name": "now", "arguments": "{no"}},
        {"id": "a", "function": {"name": "now", "arguments": 7}},
        {"id": "a", "function": {"name": "now", "arguments": "[1]"}},
        {"id": "a", "function": {"name": 7, "arguments": "{}"}},
        {"id": "a", "function": {"arguments": "{}"}},
        {"id": "a", "name": "now", "args": "{}"},
    ],
)
def test_what_is_no_call_is_left_out(call: dict[str, Any]):
    """
    Models write broken JSON, and recordings hold anything; the calls beside it stay.
    """
    good = {"id": "b", "function": {"name": "now", "arguments": "{}"}}
    told = read([{"role": "assistant", "tool_calls": [call, good]}])
    assert told[1:] == [("now", {}, None, "pending", 0)]


# -- content -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        ("", ""),
        (None, ""),
        (5, ""),
        ({"text": "a dict is no list of blocks"}, ""),
        (["a", "b"], "a\nb"),
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:"}}, "b"], "a\nb"),
        ([{"type": "image", "base64": "…"}], ""),
        ([{"type": "text", "text": None}, {"type": "text", "text": 5}, None, 7, []], ""),
        (({"type": "text", "text": "tuple"},), "tuple"),
        (b"bytes", ""),
    ],
    ids=repr,
)
def test_only_the_text_of_content_counts(content: Any, text: str):
    """
    Pictures, sounds and unknown blocks are left out, and text blocks stand on lines of their own.
    """
    assert text_of(content) == text
    assert read([{"role": "user", "content": content}]) == [("user", text)]


def test_a_multimodal_result_keeps_its_text():
    """
    Results come as blocks, too.
    """
    blocks = [{"type": "text", "text": '{"id": 7}'}, {"type": "image_url", "image_url": {"url": "data:"}}]
    history = History.from_messages([ai(("a", "scan", {})), ToolMessage(blocks, tool_call_id="a")])
    assert history.calls[0].result == '{"id": 7}'
    assert history.calls[0].value == {"id": 7}


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (None, None),
        ("", None),
        ("   ", None),
        ('  {"a": [1]}', {"a": [1]}),
        ("[1, 2]", [1, 2]),
        ("7", 7),
        ("-1.5", -1.5),
        ('"text"', "text"),
        ("7 orders", None),
        ("{broken", None),
        ("NaN", None),
        ("null", None),
        ('{"a": "\ud800"}', None),
        ("[" * 5000, None),
        ("plain", None),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_results_value_is_its_json_or_nothing(result: str | None, value: Any):
    """
    Whatever a tool answers, looking for structure in it is safe.
    """
    call = History.from_messages([ai(("a", "t", {}))]).calls[0]
    past = PastCall(call.call, "a", result, "success", 0)
    assert past.value == value


def test_a_result_of_true_or_false_is_a_value():
    """
    `true` and `false` are JSON as much as numbers are.
    """
    call = History.from_messages([ai(("a", "is_open", {})), ToolMessage("true", tool_call_id="a")]).calls[0]
    assert call.value is True


# -- ids ---------------------------------------------------------------------------------------------------------------


def test_calls_without_ids_stay_apart_and_pending():
    """
    Some models give no ids; nothing is matched by accident then.
    """
    calls = [{"name": "a", "args": {}}, {"id": None, "name": "b", "args": {}}, {"id": "", "name": "c", "args": {}}]
    history = History.from_messages([{"role": "assistant", "tool_calls": calls}, {"role": "tool", "content": "whose?"}])
    assert [(call.name, call.result, call.status) for call in history.calls] == [
        ("a", None, "pending"),
        ("b", None, "pending"),
        ("c", None, "pending"),
    ]
    assert len({call.id for call in history.calls}) == 3


def test_a_result_nobody_asked_for_is_no_event():
    """
    Trimmed conversations begin with answers whose question is gone.
    """
    assert read([ToolMessage("late", tool_call_id="gone"), HumanMessage("Hi")]) == [("user", "Hi")]


def test_of_two_answers_to_one_call_the_last_counts():
    """
    An edited result replaces the first.
    """
    messages = [ai(("a", "t", {})), ToolMessage("old", tool_call_id="a"), ToolMessage("new", tool_call_id="a")]
    assert read(messages)[1:] == [("t", {}, "new", "success", 0)]


def test_two_calls_of_one_message_with_one_id_are_both_kept():
    """
    A model that repeats itself made two calls.
    """
    messages = [ai(("a", "t", {"n": 1}), ("a", "t", {"n": 1})), ToolMessage("r", tool_call_id="a")]
    assert read(messages) == [("model", "", 2), ("t", {"n": 1}, "r", "success", 0), ("t", {"n": 1}, "r", "success", 0)]


def test_ids_used_again_in_a_later_turn_keep_their_own_results():
    """
    Some servers count ids from zero in every message.
    """
    messages = [
        ai(("call_0", "t", {"n": 1})),
        ToolMessage("one", tool_call_id="call_0"),
        ai(("call_0", "t", {"n": 2})),
        ToolMessage("two", tool_call_id="call_0"),
    ]
    assert [call.result for call in History.from_messages(messages).calls] == ["one", "two"]


def test_numbered_ids_match_whatever_their_type():
    """
    Recordings write ids as numbers here and as text there.
    """
    messages = [
        {"role": "assistant", "tool_calls": [{"id": 3, "name": "t", "args": {}}]},
        {"role": "tool", "tool_call_id": "3", "content": "r"},
    ]
    assert read(messages)[1] == ("t", {}, "r", "success", 0)


# -- the latest calls --------------------------------------------------------------------------------------------------


def test_last_calls_are_those_of_the_latest_turn():
    """
    What the model did last leads to what it does next.
    """
    history = History.from_messages([*LANGCHAIN[:5]])
    assert [call.args["id"] for call in history.last_calls] == [7, 8]
    history = History.from_messages(LANGCHAIN)
    assert [call.name for call in history.last_calls] == ["track"]


def test_there_are_no_last_calls_once_somebody_spoke():
    """
    A user's turn, or an answer, begins something new.
    """
    assert History.from_messages([*LANGCHAIN[:5], HumanMessage("And?")]).last_calls == ()
    assert History.from_messages([*LANGCHAIN[:5], AIMessage("They are sent.")]).last_calls == ()


def test_user_turns_are_told_apart():
    """
    What users said, in order.
    """
    assert [turn.text for turn in History.from_messages([*LANGCHAIN, HumanMessage("And?")]).user_turns] == [
        "Where are my orders?",
        "And?",
    ]


# -- reading on --------------------------------------------------------------------------------------------------------


def test_reading_on_keeps_what_was_read():
    """
    While messages are only added, past calls are the same objects: what was parsed of them is not parsed again.
    """
    settled = LANGCHAIN[:5]
    first = History.from_messages(settled)
    more = History.from_messages([*settled, LANGCHAIN[5]], first)
    assert shape(more) == EXPECTED
    assert [a is b for a, b in zip(first.events, more.events, strict=False)] == [True] * len(first.events)


def test_reading_the_same_again_keeps_everything():
    """
    A retry sees the same messages.
    """
    settled = LANGCHAIN[:5]
    first = History.from_messages(settled)
    again = History.from_messages(list(settled), first)
    assert all(a is b for a, b in zip(first.events, again.events, strict=True))


def test_reading_anew_keeps_the_calls_that_did_not_change():
    """
    Messages that were loaded again are other objects, yet what was parsed of unchanged results is kept.
    """
    first = History.from_messages(LANGCHAIN[:5])
    loaded = [message.model_copy() for message in LANGCHAIN[:5]]
    again = History.from_messages(loaded, first)
    assert all(a is b for a, b in zip(first.calls, again.calls, strict=True))
    loaded[3] = ToolMessage("found after all", tool_call_id="b")
    edited = History.from_messages(loaded, first)
    assert edited.calls[0] is first.calls[0]
    assert edited.calls[1].result == "found after all"


def test_a_pending_call_gets_its_result_when_that_comes():
    """
    A history that ends in open calls is not taken for final.
    """
    first = History.from_messages(LANGCHAIN)
    more = History.from_messages([*LANGCHAIN, ToolMessage("at the door", tool_call_id="c")], first)
    assert more.calls[-1].result == "at the door"
    assert first.calls[-1].status == "pending"


@pytest.mark.parametrize(
    "messages",
    [
        LANGCHAIN[1:5],
        LANGCHAIN[:3],
        [],
        [HumanMessage("Summary."), *LANGCHAIN[3:]],
        [*LANGCHAIN[:4], ToolMessage('{"status": "sent"}', tool_call_id="a")],
    ],
    ids=["trimmed", "rewound", "emptied", "summarised", "replaced"],
)
def test_changed_messages_are_read_anew(messages: list[AnyMessage]):
    """
    Trimming, rewinding and editing leave nothing of the old history behind.
    """
    assert read(messages, History.from_messages(LANGCHAIN[:5])) == read(messages)


def test_the_history_of_another_run_is_not_used():
    """
    Equal messages that are other objects are read for themselves.
    """
    other = History.from_messages([HumanMessage("Hi"), AIMessage("Hello")])
    assert read([HumanMessage("Hi"), AIMessage("Hello there")], other) == [("user", "Hi"), ("model", "Hello there", 0)]


def test_reading_does_not_change_the_previous_history():
    """
    Two turns of one run may hold histories of different length.
    """
    first = History.from_messages(LANGCHAIN[:5])
    before = shape(first)
    History.from_messages(LANGCHAIN, first)
    assert shape(first) == before


def test_the_result_of_a_call_without_a_key_is_not_lost_when_reading_anew():
    """
    Whether arguments can be compared decides whether a past call is used again, not what came of it.
    """
    deep: Any = 0
    for _ in range(300):
        deep = [deep]
    settled = [ai(("a", "t", {"deep": deep})), ToolMessage("r", tool_call_id="a")]
    first = History.from_messages(settled)
    changed = [ai(("a", "t", {"deep": deep})), settled[1]]
    assert read(changed, first) == read(changed)


ids = st.sampled_from(["a", "b", "c", "d", "e"])


@st.composite
def conversations(draw: st.DrawFn) -> list[AnyMessage]:
    """Well-formed ones: ids are used once, and a model turn's results follow it before anybody else speaks."""
    messages: list[AnyMessage] = []
    for turn in range(draw(st.integers(0, 5))):
        if draw(st.booleans()):
            messages.append(HumanMessage(f"user {turn}"))
        count = draw(st.integers(0, 3))
        names = [f"{turn}.{index}" for index in range(count)]
        messages.append(ai(*((name, draw(ids), {"n": turn}) for name in names), text=f"model {turn}"))
        messages += [ToolMessage(f"result {name}", tool_call_id=name) for name in draw(st.permutations(names))]
    return messages


@given(conversations(), st.data())
def test_reading_on_gives_what_reading_anew_gives(messages: list[AnyMessage], data: st.DataObject):
    """
    Wherever a conversation is interrupted and read on, the shortcut cannot be seen from outside.
    """
    history: History | None = None
    for end in sorted(data.draw(st.lists(st.integers(0, len(messages)), max_size=5))):
        history = History.from_messages(messages[:end], history)
        assert shape(history) == read(messages[:end])
    assert read(messages, history) == read(messages)


@pytest.mark.parametrize("between", [HumanMessage("Hurry!"), ai(("b", "t", {}))], ids=["user", "model"])
def test_a_result_that_comes_late_is_not_missed_when_reading_on(between: AnyMessage):
    """
    A user or another model may speak while a call is still pending.
    """
    messages = [ai(("a", "t", {})), between, ToolMessage("rb", tool_call_id="b")]
    first = History.from_messages(messages)
    messages.append(ToolMessage("ra", tool_call_id="a"))
    assert read(messages, first) == read(messages)


# -- rubbish -----------------------------------------------------------------------------------------------------------

rubbish = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.fixed_dictionaries(
            {},
            optional={
                "id": inner,
                "name": inner,
                "args": inner,
                "function": st.fixed_dictionaries({}, optional={"name": inner, "arguments": inner}) | inner,
            },
        )
    ),
    max_leaves=8,
)
rubbish_messages = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "tool", "system", "", None, 7]),
        "type": st.sampled_from(["human", "ai", "tool", "remove", None]),
        "content": rubbish,
        "tool_calls": st.lists(rubbish, max_size=3) | st.none() | st.text(max_size=2) | st.dictionaries(ids, rubbish),
        "tool_call_id": rubbish,
        "status": rubbish,
    },
)


@given(st.lists(rubbish_messages | rubbish, max_size=6))
def test_rubbish_gives_a_history_of_what_can_be_read(messages: list[Any]):
    """
    A history only guides guesses: whatever messages hold, reading them does not fail, nor does looking at calls.
    """
    history = History.from_messages(messages)
    for call in history.calls:
        assert isinstance(call.name, str)
        assert call.status
        assert call.value is None or call.result
    assert read(messages, history) == shape(history)


class Broken:
    """A message whose parts cannot be read."""

    type = "ai"

    @property
    def tool_calls(self) -> Any:
        raise RuntimeError("no calls")

    @property
    def content(self) -> Any:
        raise RuntimeError("no content")


class Endless:
    """Content that fails while it is read."""

    def __iter__(self) -> Any:
        raise RuntimeError("no blocks")


class Wordless:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "tool_calls": 5},
        {"role": "assistant", "tool_calls": True},
        Broken(),
        {"role": "user", "content": Endless()},
        {"role": Wordless(), "content": ""},
        {"role": "tool", "tool_call_id": Wordless()},
    ],
    ids=["calls are a number", "calls are yes", "raises", "content raises", "role raises", "id raises"],
)
def test_a_message_that_cannot_be_read_is_skipped(message: Any):
    """
    One broken message costs a guess, not the run.
    """
    good = HumanMessage("Hi")
    assert ("user", "Hi") in read([message, good])


# -- what would be ---------------------------------------------------------------------------------------------------


def test_what_would_be_after_some_calls_is_what_their_messages_would_make_of_it():
    """
    With the results known it has the shape of the history that the messages give; nobody's own history changes.
    """
    calls = [{"id": "c1", "name": "find", "args": {"q": "a"}}, {"id": "c2", "name": "read", "args": {"id": 7}}]
    before = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    made = {"role": "assistant", "content": "I look.", "tool_calls": calls}
    answers = [{"role": "tool", "tool_call_id": f"c{n}", "content": text} for n, text in ((1, "x"), (2, "y"))]
    history = History.from_messages(before)
    would_be = history.after([Call("find", {"q": "a"}), Call("read", {"id": 7})], ["x", "y"], "I look.")
    assert shape(would_be) == read([*before, made, *answers])
    assert [call.name for call in would_be.last_calls] == ["find", "read"]
    assert shape(history) == read(before)


def test_a_result_that_is_not_known_is_taken_to_be_a_good_one():
    would_be = History().after([Call("find"), Call("read")], ["x"])
    assert [(call.result, call.status) for call in would_be.calls] == [("x", "success"), (None, "success")]
    assert would_be.calls[1].value is None


def test_the_next_real_history_is_not_read_on_from_one_that_never_was():
    """
    Its calls were imagined: what the messages say is read anew.
    """
    before = [HumanMessage("Hi")]
    imagined = History.from_messages(before).after([Call("find")], ["x"])
    assert read([*before, AIMessage("No.")], imagined) == [("user", "Hi"), ("model", "No.", 0)]
