"""What a scripted model says, piece by piece, and how long that takes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

FinishReason = Literal["stop", "tool_calls", "length", "content_filter"]
ToolCall = tuple[str, str, Mapping[str, Any] | str]

TOKEN_CHARS = 4
"""About what a token holds in English text and JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a reply takes, from the arrival of the request to its last piece.

    A request that is not streamed takes exactly as long as the same reply streamed.

    Attributes:
        first_token_s: Seconds until the first piece.
        per_token_s: Seconds between one piece and the next.
        total_s: Seconds until the last piece; replaces `per_token_s`. See `fixed`.
        tail_s: Seconds from the last piece to the end of the reply, where a provider sends why it ended.

    >>> Pace(first_token_s=0.5, per_token_s=0.1).offsets(3)
    [0.5, 0.6, 0.7]
    >>> Pace.fixed(2.0).offsets(4)
    [0.5, 1.0, 1.5, 2.0]
    """

    first_token_s: float = 0.0
    per_token_s: float = 0.0
    total_s: float | None = None
    tail_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("first_token_s", "per_token_s", "total_s", "tail_s"):
            seconds = getattr(self, name)
            if seconds is not None and not (math.isfinite(seconds) and seconds >= 0):
                raise ValueError(f"{name} must be a finite number >= 0, got {seconds}")
        if self.total_s is not None and self.first_token_s > self.total_s:
            raise ValueError(f"first_token_s ({self.first_token_s}) must not exceed total_s ({self.total_s})")

    @classmethod
    def fixed(cls, total_s: float, *, first_token_s: float | None = None, tail_s: float = 0.0) -> Pace:
        """A reply whose last piece comes after *total_s*, however long it is, its pieces spread evenly.

        Args:
            total_s: Seconds from the request to the last piece.
            first_token_s: When the first piece comes; by default the wait for it is as long as the one for any other.
            tail_s: Seconds from the last piece to the end of the reply.
        """
        return cls(total_s=total_s, first_token_s=first_token_s or 0.0, tail_s=tail_s)

    def offsets(self, pieces: int) -> list[float]:
        """When each of *pieces* is due, in seconds after the request."""
        if self.total_s is None:
            return [round(self.first_token_s + index * self.per_token_s, 9) for index in range(pieces)]
        if not self.first_token_s or pieces == 1:
            return [self.total_s * (index + 1) / pieces for index in range(pieces)]
        rest = self.total_s - self.first_token_s
        return [self.first_token_s + rest * index / (pieces - 1) for index in range(pieces)]

    def scaled(self, factor: float) -> Pace:
        """The same pace, *factor* times as long."""
        total_s = None if self.total_s is None else self.total_s * factor
        return Pace(
            first_token_s=self.first_token_s * factor,
            per_token_s=self.per_token_s * factor,
            total_s=total_s,
            tail_s=self.tail_s * factor,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """One message of the scripted model.

    Attributes:
        text: What it says, before any tool call.
        tool_calls: `(id, name, arguments)` each. Arguments given as a string are sent as they are, so that a message
            can be cut off in the middle of them.
        finish_reason: By default `"tool_calls"` for a message with tool calls, otherwise `"stop"`.
        pace: This reply's own pace instead of the server's.
        max_pieces: At most so many pieces for the text, and for the arguments of each call; by default pieces are as
            long as tokens, and a client may take longer to read a long reply than its pace allows.
    """

    text: str = ""
    tool_calls: Sequence[ToolCall] = ()
    finish_reason: FinishReason | None = None
    pace: Pace | None = None
    max_pieces: int | None = None

    @property
    def reason(self) -> FinishReason:
        """Why the message ended."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")

    def deltas(self) -> Iterator[dict[str, Any]]:
        """Its pieces as they are streamed, in order: text, then for each call its name and the pieces of its arguments.

        >>> [delta["tool_calls"][0]["function"] for delta in Reply(tool_calls=[("1", "ping", {})]).deltas()]
        [{'name': 'ping', 'arguments': ''}, {'arguments': '{}'}]
        """
        if self.text or not self.tool_calls:
            for piece in _pieces(self.text, self.max_pieces) or [""]:
                yield {"content": piece}
        for index, (call_id, name, args) in enumerate(self.tool_calls):
            call = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
            yield {"tool_calls": [call]}
            for piece in _pieces(arguments_text(args), self.max_pieces):
                yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _pieces(text: str, at_most: int | None) -> list[str]:
    length = TOKEN_CHARS if at_most is None else max(TOKEN_CHARS, math.ceil(len(text) / at_most))
    return [text[start : start + length] for start in range(0, len(text), length)]


def arguments_text(args: Mapping[str, Any] | str) -> str:
    """The arguments of a call as they are sent: JSON, or a text as it is."""
    return args if isinstance(args, str) else json.dumps(args)
