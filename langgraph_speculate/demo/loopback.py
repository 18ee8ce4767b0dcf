"""An OpenAI-compatible chat-completions server on loopback that answers from a script, at a pace you set.

For demonstrations, tests and benchmarks: no key, no network, and the length of every model step is yours to choose.
The server speaks the wire format that `ChatOpenAI` and other OpenAI clients expect, streamed and not; what it says is
decided by a callable, and how long that takes by a `Pace`.

    def respond(messages, tools):
        if messages[-1]["role"] == "user":
            return Reply(tool_calls=[("call_1", "get_order", {"order_id": "SO-7"})])
        return Reply("It is on its way.", pace=Pace.fixed(1.5))

    with LoopbackServer(respond, pace=Pace(first_token_s=0.4, per_token_s=0.02)) as server:
        model = ChatOpenAI(model="scripted", base_url=server.base_url, api_key="loopback")
        ...

`langchain-openai` shares one asynchronous client between all models of the same `base_url`, and such a client belongs
to one event loop: start one server for each `asyncio.run`, or stay on one loop.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from langgraph_speculate.demo.replies import TOKEN_CHARS, Pace, Reply, arguments_text

__all__ = ["ApiError", "LoopbackServer", "Message", "Pace", "Reply", "Respond", "Sent"]

Message = dict[str, Any]

_START_TIMEOUT_S = 10.0
_KEPT = 1000  # requests, and replies


class ApiError(Exception):
    """What a script raises to let the server answer with an error, such as `ApiError(429, "slow down")`.

    Clients repeat some of them: give `ChatOpenAI` `max_retries=0` where that matters.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(slots=True)
class Sent:
    """One streamed reply as it went out. Times are those of `time.monotonic()`, which a client beside it can read too.

    Attributes:
        arrived: When the request was there.
        deltas: The pieces, in the words of the wire.
        due: When each piece was to go out, by the pace.
        at: When each piece went out; shorter than `due` until all have, or where the client has gone.
        end_due: When the end of the reply was to follow.
    """

    arrived: float
    deltas: list[dict[str, Any]]
    due: list[float]
    end_due: float
    at: list[float] = field(default_factory=list)


Respond = Callable[[list[Message], list[dict[str, Any]]], Reply]


class LoopbackServer:
    """Serves `POST /v1/chat/completions` on 127.0.0.1 from a daemon thread of its own; a context manager.

    Requests are answered concurrently. The script is called once for each request, on the server's thread, never twice
    at a time: it should decide quickly, and leave waiting to the pace.

    Attributes:
        requests: The bodies of the latest 1,000 requests, oldest first.
        sent: The latest 1,000 streamed replies, in the order in which they began.
    """

    def __init__(self, respond: Respond, *, pace: Pace | None = None, port: int = 0) -> None:
        """Take the script; nothing is bound before `start`.

        Args:
            respond: Given the messages and the tools of a request, both as in the OpenAI format, returns the reply. It
                may raise `ApiError`; any other exception is answered with status 500 and its text.
            pace: For replies that bring none of their own; by default they come at once.
            port: The port to serve on; 0 takes a free one.
        """
        self.requests: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self.sent: deque[Sent] = deque(maxlen=_KEPT)
        self._respond = respond
        self._pace = pace or Pace()
        self._port = port
        self._numbers = itertools.count(1)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def base_url(self) -> str:
        """The address to give to a client, such as `http://127.0.0.1:49152/v1`."""
        if self._server is None:
            raise RuntimeError("the loopback server is not running: call start() or use it in a with statement")
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> LoopbackServer:
        """Bind the port and serve; returns when requests are answered."""
        if self._server is not None:
            raise RuntimeError("the loopback server is running already")
        listener = _listen(self._port)
        app = Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), name="loopback-server", daemon=True)
        thread.start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                listener.close()
                raise RuntimeError("the loopback server did not start")
            time.sleep(0.005)
        self._port, self._server, self._thread = listener.getsockname()[1], server, thread
        return self

    def stop(self) -> None:
        """Finish within about a second, with what is being answered cut off after that. Stopping twice is allowed."""
        server, thread = self._server, self._thread
        self._server = self._thread = None
        if server is not None and thread is not None:
            server.should_exit = True
            thread.join()

    def __enter__(self) -> LoopbackServer:
        return self.start()

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    async def _complete(self, request: Request) -> Response:
        arrived = time.monotonic()
        try:
            body = _checked(await request.body())
            self.requests.append(body)
            reply = self._respond(body["messages"], body.get("tools") or [])
            answer = _Answer(reply, reply.pace or self._pace, arrived, body, next(self._numbers))
        except ApiError as error:
            return _error(error.status, error.message)
        except Exception as error:  # noqa: BLE001 - the script is the user's code, and its client waits for an answer
            return _error(500, f"the script failed: {type(error).__name__}: {error}")
        if body.get("stream"):
            self.sent.append(answer.sent)
            return StreamingResponse(answer.events(), media_type="text/event-stream")
        return JSONResponse(await answer.whole())


class _Answer:
    """One reply on the wire, in pieces or as a whole."""

    def __init__(self, reply: Reply, pace: Pace, arrived: float, body: dict[str, Any], number: int) -> None:
        self._reply = reply
        self._body = body
        self._head = {
            "id": f"chatcmpl-{number}",
            "created": int(time.time()),
            "model": str(body.get("model")),
            "service_tier": "default",
            "system_fingerprint": "fp_loopback",
        }
        deltas = list(reply.deltas())
        due = [arrived + offset for offset in pace.offsets(len(deltas))]
        self.sent = Sent(arrived, deltas, due, due[-1] + pace.tail_s)

    async def events(self) -> AsyncIterator[str]:
        """The server-sent events of a streamed reply."""
        for index, (delta, due) in enumerate(zip(self.sent.deltas, self.sent.due, strict=True)):
            await _sleep_until(due)
            self.sent.at.append(time.monotonic())
            role = {"role": "assistant", "content": None} if index == 0 else {}
            yield self._chunk([{"index": 0, "delta": {**role, **delta}, "finish_reason": None}])
        await _sleep_until(self.sent.end_due)
        yield self._chunk([{"index": 0, "delta": {}, "finish_reason": self._reply.reason}])
        if self._counts:
            yield self._chunk([], self._usage())
        yield "data: [DONE]\n\n"

    async def whole(self) -> dict[str, Any]:
        """The body of a reply that is not streamed, once a streamed one would have ended."""
        await _sleep_until(self.sent.end_due)
        message: dict[str, Any] = {"role": "assistant", "content": self._reply.text or None}
        if self._reply.tool_calls:
            message["tool_calls"] = [
                {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments_text(args)}}
                for call_id, name, args in self._reply.tool_calls
            ]
        choice = {"index": 0, "message": message, "finish_reason": self._reply.reason}
        return {**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage()}

    @property
    def _counts(self) -> bool:
        return bool((self._body.get("stream_options") or {}).get("include_usage"))

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> str:
        counts = {"usage": usage} if self._counts else {}  # every chunk then has it, and only the last a value
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": choices, **counts}
        return f"data: {json.dumps(chunk)}\n\n"

    def _usage(self) -> dict[str, int]:
        prompt = math.ceil(len(json.dumps(self._body["messages"])) / TOKEN_CHARS)
        completion = len(self.sent.deltas)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _checked(raw: bytes) -> dict[str, Any]:
    """The body of a request, or an `ApiError` that says what is wrong with it."""
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise ApiError(400, f"the request is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise ApiError(400, "the request must be a JSON object")
    messages = body.get("messages")
    if not (isinstance(messages, list) and messages and all(isinstance(item, dict) for item in messages)):
        raise ApiError(400, "messages must be a list of at least one object")
    if any(not isinstance(item.get("role"), str) for item in messages):
        raise ApiError(400, "every message needs a role")
    if not isinstance(body.get("tools") or [], list):
        raise ApiError(400, "tools must be a list")
    if not isinstance(body.get("stream_options") or {}, dict):
        raise ApiError(400, "stream_options must be an object")
    return body


def _error(status: int, message: str) -> JSONResponse:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return JSONResponse({"error": {"message": message, "type": kind, "code": None}}, status_code=status)


def _listen(port: int) -> socket.socket:
    # With TCP named as its protocol, asyncio switches Nagle's algorithm off; otherwise each reply waits 40 ms longer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":  # where it would let two servers share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(256)
    except OSError:
        listener.close()
        raise
    return listener


async def _sleep_until(due: float) -> None:
    while (seconds := due - time.monotonic()) > 0:  # uvloop's timers end up to a millisecond before their time
        await asyncio.sleep(seconds)
