"""The loopback server, as a real `ChatOpenAI` client sees it."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from langgraph_speculate.demo.loopback import ApiError, LoopbackServer, Pace, Reply, Respond

CALLS = [
    ("call_1", "get_order", {"order_id": "SO-7", "full": True}),
    ("call_2", "get_customer", {"email": "a@b.example"}),
]


@tool
def get_order(order_id: str) -> str:
    """Look up an order."""
    return order_id


def says(*args, **kwargs) -> Respond:
    """A script that always gives the same reply."""
    return lambda messages, tools: Reply(*args, **kwargs)


def model_of(server: LoopbackServer, **settings) -> ChatOpenAI:
    return ChatOpenAI(model="scripted", base_url=server.base_url, api_key="loopback", max_retries=0, **settings)


def ask(server: LoopbackServer, way: str) -> BaseMessage:
    """One reply of the server, asked for in one of the four ways a client has."""

    async def ask_async() -> BaseMessage:
        model = model_of(server, stream_usage=True)
        if way == "ainvoke":
            return await model.ainvoke("hello")
        return merged([chunk async for chunk in model.astream("hello")])

    model = model_of(server, stream_usage=True)
    if way == "invoke":
        return model.invoke("hello")
    if way == "stream":
        return merged(list(model.stream("hello")))
    return asyncio.run(ask_async())


def merged(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    return total


WAYS = ["invoke", "stream", "ainvoke", "astream"]


@pytest.mark.parametrize("way", WAYS)
def test_text_arrives_whole_with_its_usage(way):
    """
    Streamed or not, sync or async: the same text, finish reason and token counts.
    """
    with LoopbackServer(says("Your order is on its way.")) as server:
        message = ask(server, way)
    assert message.content == "Your order is on its way."
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.usage_metadata["output_tokens"] == 7
    assert message.usage_metadata["total_tokens"] == message.usage_metadata["input_tokens"] + 7


@pytest.mark.parametrize("way", WAYS)
def test_several_tool_calls_of_one_message_arrive_in_order(way):
    """
    Names, ids and arguments of parallel calls survive the wire, next to the text before them.
    """
    with LoopbackServer(says("Let me look.", tool_calls=CALLS)) as server:
        message = ask(server, way)
    assert [(call["id"], call["name"], call["args"]) for call in message.tool_calls] == CALLS
    assert message.content == "Let me look."
    assert message.response_metadata["finish_reason"] == "tool_calls"


def test_a_tool_call_streams_its_name_before_its_arguments():
    """
    The first piece of a call has its id and name and no arguments; the arguments follow in pieces.
    """
    with LoopbackServer(says(tool_calls=CALLS)) as server:
        chunks = [piece for chunk in model_of(server).stream("hello") for piece in chunk.tool_call_chunks]
    first = [piece for piece in chunks if piece["index"] == 0]
    assert (first[0]["id"], first[0]["name"], first[0]["args"]) == ("call_1", "get_order", "")
    assert len(first) > 4
    assert all(piece["name"] is None for piece in first[1:])
    assert "".join(piece["args"] for piece in first) == '{"order_id": "SO-7", "full": true}'


@pytest.mark.parametrize("way", ["invoke", "stream"])
@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_the_finish_reason_is_the_scripts_to_choose(way, reason):
    """
    A message can end for any reason, also in the middle of a call's arguments.
    """
    cut_off = Reply(tool_calls=[("call_1", "get_order", '{"order_id": "SO')], finish_reason=reason)
    with LoopbackServer(lambda messages, tools: cut_off) as server:
        message = ask(server, way)
    assert message.response_metadata["finish_reason"] == reason
    pieces = message.invalid_tool_calls if way == "invoke" else message.tool_call_chunks
    assert "".join(piece["args"] for piece in pieces) == '{"order_id": "SO'


def test_the_script_sees_the_messages_and_the_tools():
    """
    A script decides from the conversation: roles, results of calls, and the tools the model was given.
    """
    seen = []

    def respond(messages, tools):
        seen.append(([message["role"] for message in messages], [tool["function"]["name"] for tool in tools]))
        return Reply(f"You said {messages[-1]['content']}.")

    with LoopbackServer(respond) as server:
        answer = model_of(server).bind_tools([get_order]).invoke([("system", "Be kind."), ("user", "hello")])
        assert [body["model"] for body in server.requests] == ["scripted"]
    assert answer.content == "You said hello."
    assert seen == [(["system", "user"], ["get_order"])]


@pytest.mark.parametrize("way", WAYS)
def test_a_reply_takes_as_long_as_its_pace_says(way):
    """
    The time from request to last piece is the pace's, streamed or not.
    """
    with LoopbackServer(says("four" * 10), pace=Pace.fixed(0.4)) as server:
        model_of(server).invoke("warm up")  # the first request of a process builds clients and certificates
        began = time.monotonic()
        ask(server, way)
        took = time.monotonic() - began
    assert 0.39 <= took < 0.8


@pytest.mark.parametrize("way", WAYS)
def test_a_reply_ends_a_tail_after_its_last_piece(way):
    """
    Streamed or not: what is still to come after the last piece takes its time too.
    """
    with LoopbackServer(says("hello"), pace=Pace(tail_s=0.3)) as server:
        model_of(server).invoke("warm up")
        began = time.monotonic()
        ask(server, way)
        took = time.monotonic() - began
    assert 0.29 <= took < 0.7


def test_the_server_knows_when_each_piece_went_out():
    """
    Pieces leave when they are due, after the request came and before the client has them.
    """
    with LoopbackServer(says("four" * 4), pace=Pace.fixed(0.2, tail_s=0.1)) as server:
        got = [time.monotonic() for chunk in model_of(server).stream("hello") if chunk.content]
        (sent,) = server.sent
    assert [delta["content"] for delta in sent.deltas] == ["four"] * 4
    assert [due - sent.arrived for due in (*sent.due, sent.end_due)] == pytest.approx([0.05, 0.1, 0.15, 0.2, 0.3])
    assert all(due <= at <= when for due, at, when in zip(sent.due, sent.at, got, strict=True))


def test_a_replys_own_pace_wins():
    """
    Each step of a script can have its own length.
    """
    with LoopbackServer(says("hello", pace=Pace()), pace=Pace.fixed(30)) as server:
        assert model_of(server, timeout=5).invoke("hello").content == "hello"


def test_pieces_are_spread_over_the_reply():
    """
    A streamed message trickles in: its pieces do not all come at the end.
    """
    with LoopbackServer(says("four" * 4), pace=Pace.fixed(0.6, first_token_s=0.3)) as server:
        model = model_of(server)
        model.invoke("warm up")
        began = time.monotonic()
        at = [time.monotonic() - began for chunk in model.stream("hello") if chunk.content]
    assert all(due - 0.02 <= when <= due + 0.25 for due, when in zip([0.3, 0.4, 0.5, 0.6], at, strict=True))


@pytest.mark.parametrize(
    ("pace", "offsets"),
    [
        (Pace(), [0, 0, 0]),
        (Pace(first_token_s=1.0, per_token_s=0.5), [1.0, 1.5, 2.0]),
        (Pace.fixed(3.0), [1.0, 2.0, 3.0]),
        (Pace.fixed(3.0, first_token_s=2.0), [2.0, 2.5, 3.0]),
        (Pace.fixed(3.0).scaled(0.1), [0.1, 0.2, 0.3]),
    ],
)
def test_a_pace_gives_every_piece_its_time(pace, offsets):
    """
    Offsets count from the request; a fixed pace ends exactly at its total, whatever the number of pieces.
    """
    assert pace.offsets(3) == pytest.approx(offsets)
    assert pace.offsets(1)[-1] == pytest.approx(pace.first_token_s if pace.total_s is None else pace.total_s)


@pytest.mark.parametrize(
    "settings",
    [{"first_token_s": -1}, {"total_s": float("nan")}, {"first_token_s": 2, "total_s": 1}, {"tail_s": -1}],
)
def test_an_impossible_pace_is_refused(settings):
    """
    A pace checks itself when it is made.
    """
    with pytest.raises(ValueError, match=r"first_token_s|total_s|tail_s"):
        Pace(**settings)


def test_requests_are_served_at_the_same_time():
    """
    Twenty requests of 0.3 s each take about as long as one.
    """
    with LoopbackServer(says("hello"), pace=Pace.fixed(0.3)) as server, ThreadPoolExecutor(20) as pool:
        model = model_of(server)
        model.invoke("warm up")
        began = time.monotonic()
        answers: list[AIMessage] = list(pool.map(lambda _: model.invoke("hello"), range(20)))
        took = time.monotonic() - began
    assert [answer.content for answer in answers] == ["hello"] * 20
    assert took < 1.5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"messages": []}',
        b'{"messages": ["hello"]}',
        b'{"messages": [{"content": "hello"}]}',
        b'{"messages": [{"role": "user"}], "tools": 1}',
        b'{"messages": [{"role": "user"}], "stream_options": 1}',
    ],
)
def test_a_malformed_request_gets_a_json_error(body):
    """
    Status 400 and an error object in the OpenAI format; the script never sees it.
    """
    with LoopbackServer(says("hello")) as server:
        response = httpx.post(f"{server.base_url}/chat/completions", content=body)
        assert response.status_code == 400
        assert response.json()["error"]["type"] == "invalid_request_error"
        assert not server.requests


def test_a_script_can_answer_with_an_api_error():
    """
    The client raises what it would raise for a real server's error.
    """

    def refuse(messages, tools):
        raise ApiError(429, "slow down")

    with LoopbackServer(refuse) as server, pytest.raises(openai.RateLimitError, match="slow down"):
        model_of(server).invoke("hello")


@pytest.mark.parametrize("script", [lambda messages, tools: None, lambda messages, tools: messages[99]])
def test_a_broken_script_is_a_server_error(script):
    """
    A bug in a script does not hang the client; the error names it.
    """
    with LoopbackServer(script) as server, pytest.raises(openai.InternalServerError, match="the script failed"):
        model_of(server).invoke("hello")


def test_a_server_stops_and_starts_again_on_its_port():
    """
    After `stop` nothing answers; a second start serves as before.
    """
    server = LoopbackServer(says("hello"))
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.base_url
    with server:
        base_url = server.base_url
        with pytest.raises(RuntimeError, match="running already"):
            server.start()
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(base_url)
    with server:
        assert server.base_url == base_url
        assert model_of(server).invoke("hello").content == "hello"


def test_stopping_does_not_wait_for_long_replies():
    """
    A reply that would take half a minute is cut off.
    """
    with LoopbackServer(says("hello"), pace=Pace.fixed(30)) as server, ThreadPoolExecutor(1) as pool:
        pending = pool.submit(model_of(server).invoke, "hello")
        while not server.requests:
            time.sleep(0.01)
        began = time.monotonic()
        server.stop()
        assert time.monotonic() - began < 5
        with pytest.raises(openai.APIError):
            pending.result(timeout=5)
