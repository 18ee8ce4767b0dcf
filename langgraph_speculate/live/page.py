"""The live page: a graph's runs in a browser while they happen, by server-sent events (extra `live`)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from time import time
from urllib.parse import urlsplit
from uuid import uuid4

import orjson

from langgraph_speculate.core.events import Event
from langgraph_speculate.errors import needs_extra
from langgraph_speculate.live.board import Board

with needs_extra("live"):
    from sse_starlette import EventSourceResponse, ServerSentEvent
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import HTMLResponse, PlainTextResponse, Response
    from starlette.routing import Route

    from langgraph_speculate.pages.document import render

_PATH = "/speculate"
_HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",  # the rest is in the page
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_PACE_S = 0.25  # between two looks at the board
_PING_S = 15  # of silence, after which proxies are told that somebody is still there
_STUCK_S = 10.0  # a reader who takes nothing for so long is let go
_READERS = 50  # at the same time


class Live:
    """An observer whose events can be watched in a browser, under `/speculate`; may be called from any thread.

    What is shown are names of graphs, models and tools, times and outcomes, never what was asked or answered. Other
    sites that are open in a reader's browser are told nothing.

    Attributes:
        app: The ASGI application, to be served by itself or as routes of another one.

    >>> Live().app.url_path_for("page")
    '/speculate'
    """

    def __init__(self) -> None:
        self._board = Board()
        self._html = render("live/page.html.j2", title="Speculation, live", connect="'self'")
        self._life = uuid4().hex[:8]  # what a reader knows of another process is worth nothing here
        self._readers = 0
        routes = [Route(_PATH, self._page, name="page"), Route(f"{_PATH}/events", self._events, name="events")]
        self.app = Starlette(routes=routes)

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        self._board(event)

    async def _page(self, request: Request) -> Response:
        return HTMLResponse(self._html, headers=_HEADERS)

    async def _events(self, request: Request) -> Response:
        if not _is_own(request):
            return PlainTextResponse("this stream is for its own page", status_code=403)
        if self._readers >= _READERS:
            return PlainTextResponse(f"{_READERS} pages are open already", status_code=503)
        known = re.fullmatch(rf"{self._life}-(\d{{1,18}})", request.headers.get("last-event-id", ""))
        return EventSourceResponse(self._told(known and int(known[1])), ping=_PING_S, send_timeout=_STUCK_S)

    async def _told(self, known: int | None) -> AsyncIterator[ServerSentEvent]:
        """What one reader is told, as long as it listens; None is one who knows nothing."""
        self._readers += 1
        try:
            while True:
                if known != self._board.version:
                    changes = {**self._board.changes(known or 0), "fresh": known is None, "now": time()}
                    known = changes["version"]
                    yield ServerSentEvent(orjson.dumps(changes).decode(), id=f"{self._life}-{known}")
                await asyncio.sleep(_PACE_S)
        finally:
            self._readers -= 1


def _is_own(request: Request) -> bool:
    """Whether a request comes from the page itself, or from no browser."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    same = origin is None or urlsplit(origin).netloc == request.headers.get("host")
    return same and site in (None, "same-origin", "none")
