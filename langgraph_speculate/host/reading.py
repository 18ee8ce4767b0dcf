"""The model's stream of one message, put together as it comes, whatever shape its provider gives it.

Chunks come by `on_llm_new_token`, events of the newer protocol by `on_stream_event`; a model may tell the same message
both ways, so the first way wins. It is read, never held up or changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.draft import Draft, DraftCall, News
from langgraph_speculate.core.history import text_of
from langgraph_speculate.core.speculation import Stage

_FIRST_LOOK = 40  # characters of text after which it is looked at; then whenever it has doubled
_LONGEST_WAIT = 1_280
_MANY = 256  # pieces of an argument after which a guess is compared whenever they have doubled, not with each


class Reader(Protocol):
    """Who wants to know what the model writes. To one that inherits from it, only what it says itself matters."""

    def began(self) -> None:
        """The first of the message comes."""
        return

    def heard(self, stage: Stage) -> None:
        """There is more of the message, and it is worth a look."""
        return

    def written(self, call: DraftCall) -> None:
        """A call is complete."""

    def revised(self) -> None:
        """What was told is void, and nothing more will be told."""
        return

    def failed(self, error: Exception) -> None:
        """The stream cannot be read: what was told is void, and nothing more will be told."""
        return

    def doubts(self) -> bool:
        """Whether what is being written contradicts a guess that runs."""
        return False


class Reading:
    """One message as it is read.

    Args:
        reader: Is told.
        reads_text: Whether it makes anything of text.

    Attributes:
        draft: What there is of the message.
    """

    __slots__ = ("_by_events", "_is_void", "_look_at", "_reader", "draft")

    def __init__(self, reader: Reader, *, reads_text: bool = True) -> None:
        self.draft = Draft()
        self._reader = reader
        self._look_at = _FIRST_LOOK if reads_text else None
        self._is_void = False
        self._by_events: bool | None = None

    def token(self, token: Any, chunk: Any) -> None:
        """A chunk of the message.

        Args:
            token: Its text, or its content blocks.
            chunk: A `ChatGenerationChunk`, if the model tells one.
        """
        if self._is_void or self._by_events:
            return
        try:
            self._begin(by_events=False)
            self._chunk(token, chunk)
        except Exception as error:  # noqa: BLE001 - a piece that is lost would make another call of the rest
            self._fail(error)

    def _begin(self, *, by_events: bool) -> None:
        if self._by_events is None:
            self._by_events = by_events
            self._reader.began()

    def _chunk(self, token: Any, chunk: Any) -> None:
        text = token if type(token) is str else text_of(token)
        if text:
            self._say(text)
        pieces = getattr(getattr(chunk, "message", None), "tool_call_chunks", None)
        for piece in pieces or ():
            if self._is_void:
                return
            self._write(piece.get("index"), piece.get("id"), piece.get("name"), piece.get("args"))

    def event(self, event: Mapping[str, Any]) -> None:
        """An event of the protocol that tells a message block by block."""
        if self._is_void or self._by_events is False:
            return
        try:
            self._begin(by_events=True)
            self._told(event)
        except Exception as error:  # noqa: BLE001 - a piece that is lost would make another call of the rest
            self._fail(error)

    def _told(self, event: Mapping[str, Any]) -> None:
        kind, index = event.get("event"), event.get("index")
        if kind == "content-block-delta":
            self._delta(index, event.get("delta") or {})
        elif kind in ("content-block-start", "content-block-finish"):
            block = event.get("content") or {}
            if kind == "content-block-finish":
                self._finish(index, block)
            elif block.get("type") == "tool_call_chunk":
                self._write(index, block.get("id"), block.get("name"), block.get("args"))

    def _delta(self, index: Any, delta: Mapping[str, Any]) -> None:
        kind = delta.get("type")
        if kind == "text-delta":
            self._say(str(delta.get("text") or ""))
        elif kind == "tool-call-delta":
            self._write(index, None, None, delta.get("args"))
        elif kind == "block-delta" and "args" in (delta.get("fields") or {}):
            self._void()  # a snapshot in place of what was told

    def _finish(self, index: Any, block: Mapping[str, Any]) -> None:
        """A block is closed: what it is now counts, be it told in pieces or not."""
        call = self.draft.at(index)
        if block.get("type") != "tool_call":
            if call is not None and call.name:  # it cannot be read, and the model's message will not have it
                self._void()
            return
        id, name, args = block.get("id"), str(block.get("name") or ""), dict(block.get("args") or {})
        if call is None:
            self._write(index, id, name, json.dumps(args))
            return
        if not call.name or not call.id:  # they may come as late as this
            self._write(index, None if call.id else id, None if call.name else name, None)
        if not call.may_become(Call(name, args)):
            self._void()
        elif args and call.arguments.is_untouched:
            self._write(index, None, None, json.dumps(args))
        elif call.end() is News.COMPLETE:
            self._reader.written(call)

    def _say(self, text: str) -> None:
        draft = self.draft
        draft.say(text)
        if self._look_at is not None and draft.length >= self._look_at and not draft.calls:
            self._look_at = draft.length + min(draft.length, _LONGEST_WAIT)
            self._reader.heard(Stage.TEXT)

    def _write(self, index: object, id: str | None, name: str | None, piece: str | None) -> None:
        told = self.draft.write(index, id, name, piece)
        for call, news in told:
            if news is News.REVISED:
                self._void()
                return
            if news is News.COMPLETE:
                self._reader.written(call)
        latest = told[-1][1] if told else News.NOTHING
        if latest is News.NAMED:
            self._reader.heard(Stage.NAME)
        elif latest is not News.NOTHING or self._is_time_to_look():
            self._reader.heard(Stage.ARGUMENTS)

    def _is_time_to_look(self) -> bool:
        """Whether an argument has grown enough to say more, or something that runs was wrong."""
        pieces = self.draft.calls[-1].arguments.pieces
        return (pieces > 1 and pieces & (pieces - 1) == 0) or (pieces <= _MANY and self._reader.doubts())

    def _void(self) -> None:
        self._is_void = True
        self._reader.revised()

    def _fail(self, error: Exception) -> None:
        self._is_void = True
        self._reader.failed(error)
