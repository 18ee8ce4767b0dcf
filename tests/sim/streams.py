"""How a message is streamed: the chunks of each kind of provider, when they come, and how the message ends.

A message is what LangChain makes of its chunks, whether somebody streams it or not; so it is one and the same whatever
becomes of the stream.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk

WORDS = ("get_item", "get_note", "set_item", "find", "item 1", "item 12", "id 3", '{"id": 2}', '"id": 123', "query ab")
"""What a text may name besides the calls that follow, or instead of them."""
CUT_SHORT = ("cut", "length", "filtered")
"""Endings after which the provider says that the message is not all there."""
ENDINGS = ("whole", *CUT_SHORT, "raises")


@dataclass(frozen=True)
class Stream:
    """How one message is streamed.

    Attributes:
        seed: Draws texts, cuts and times.
        shape: Whose chunks they are like, one of `SHAPES`.
        ending: `whole`; `cut` in the middle of arguments; all there, but ended by `length` or `filtered`; or `raises`.
        garbled: The arguments of its last call are no JSON.
    """

    seed: int
    shape: str = "openai"
    ending: str = "whole"
    garbled: bool = False

    @property
    def breaks(self) -> bool:
        """Whether the message is not what the model meant: it was cut short, or it took arguments back."""
        return self.ending != "whole" or self.shape in REVISING

    @property
    def multiplies(self) -> bool:
        """Whether LangChain may see more calls in it than the model makes."""
        return self.shape in ("repeated", "cumulative")


@dataclass(frozen=True)
class Said:
    """What the model has to say.

    Attributes:
        text: The text that its message must have.
        calls: Its calls, as (name, id, arguments).
        id: The message's id.
    """

    text: str
    calls: tuple[tuple[str, str, Mapping[str, Any]], ...]
    id: str


@dataclass(frozen=True)
class Piece:
    """One chunk.

    Attributes:
        after_s: Seconds that pass before it, or None if it comes in the same instant without a break.
        chunk: It.
    """

    after_s: float | None
    chunk: AIMessageChunk


def pieces_of(said: Said, stream: Stream, pace_s: float) -> list[Piece]:
    """The chunks of a message that takes *pace_s* seconds; if its ending is `raises`, those before the failure."""
    draw = random.Random(f"{stream.seed} {said.id}")
    calls = [(name, id, _as_json(draw, args)) for name, id, args in said.calls]
    if stream.garbled and calls:
        calls[-1] = (*calls[-1][:2], _garbled(draw, calls[-1][2]))
    parts = Parts(
        draw,
        tuple(_cut(draw, f"{said.text}{_aside(draw, said)}", 40)),
        tuple(calls),
        draw.choice((1, 2, 4, 8, 8, 30, 30, 99)),
        tuple(_cut(draw, _aside(draw, said), 30)) if draw.random() < 0.3 else (),
        stream.ending,
    )
    contents = list(SHAPES[stream.shape](parts))
    if stream.ending == "raises":
        contents = contents[: draw.randrange(1, len(contents))]
    chunks = [AIMessageChunk(id=said.id, **content) for content in contents]
    if stream.ending != "raises" and draw.random() < 0.5:  # else LangChain adds one that is the last
        chunks[-1] = chunks[-1].model_copy(update={"chunk_position": "last"})
    return [Piece(after, chunk) for after, chunk in zip(_times(draw, len(chunks), pace_s), chunks, strict=True)]


def message_of(pieces: Sequence[Piece]) -> AIMessage:
    """The whole message."""
    end = AIMessageChunk(content="" if isinstance(pieces[0].chunk.content, str) else [], chunk_position="last")
    whole = pieces[0].chunk.__add__([*(piece.chunk for piece in pieces[1:]), end])
    return AIMessage(**{**whole.__dict__, "type": "ai"})


def _times(draw: random.Random, count: int, pace_s: float) -> list[float | None]:
    """Where the time goes: long waits, short ones, none, and several chunks that come as one."""
    weights: list[float] = [draw.choice((0, 1, 3)), *(draw.choice((0, 0, 1, 1, 2, 6)) for _ in range(count - 1))]
    total = sum(weights)
    if not total:
        return [pace_s, *[None] * (count - 1)]
    return [pace_s * weight / total if weight or draw.random() < 0.3 else None for weight in weights]


# -- texts -----------------------------------------------------------------------------------------------------------


def _aside(draw: random.Random, said: Said) -> str:
    """Some words: what will be called, what will not, or nothing."""
    told = [f"{name} {json.dumps(dict(args))}" for name, _, args in said.calls]
    count = draw.choice((0, 0, 1, 2))
    return "".join(f" and {draw.choice((*told, *WORDS))}," for _ in range(count))


def _as_json(draw: random.Random, args: Mapping[str, Any]) -> str:
    """Arguments as models write them: in any order, with or without blanks and escapes."""
    items = list(args.items())
    draw.shuffle(items)
    spaced: dict[str, Any] = draw.choice(
        ({}, {}, {"separators": (",", ":")}, {"indent": 1}, {"separators": (" , ", " :\n")})
    )
    text = json.dumps(dict(items), ensure_ascii=draw.random() < 0.7, **spaced)
    return draw.choice(("", "", "", "\n")) + text + draw.choice(("", "", "", " ", "\n "))


def _garbled(draw: random.Random, text: str) -> str:
    """What no parser takes for an object."""
    return draw.choice((f"{text}]", f"[{text}]", text.replace('"', "'"), f"{text}, {text}", "many", "{id: 1}"))


def _cut(draw: random.Random, text: str, most: int) -> Iterator[str]:
    """A text in pieces of up to *most* characters, cut anywhere: inside of words, numbers and escapes."""
    at = 0
    while at < len(text):
        size = draw.randint(1, most)
        yield text[at : at + size]
        at += size


# -- providers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """What a provider puts into chunks.

    Attributes:
        draw: Decides what is left open.
        before, after: Texts before and after the calls, in pieces.
        calls: (name, id, arguments as JSON).
        most: Characters of a piece of arguments.
        ending: How the message ends, one of `ENDINGS`.
    """

    draw: random.Random
    before: tuple[str, ...]
    calls: tuple[tuple[str, str, str], ...]
    most: int
    after: tuple[str, ...]
    ending: str

    def arguments(self, number: int) -> list[str]:
        """The arguments of a call in pieces; the last call of a message that is cut lacks its end."""
        text = self.calls[number][2]
        if self.ending == "cut" and number == len(self.calls) - 1:
            text = text[: self.draw.randrange(max(1, len(text.rstrip())))]
        return list(_cut(self.draw, text, self.most)) or [""]

    @property
    def rest(self) -> tuple[str, ...]:
        """The text after the calls, unless nothing follows."""
        return () if self.ending == "cut" else self.after

    def end(self, key: str, calls: str, stop: str, length: str, filtered: str, content: Any = "") -> dict[str, Any]:
        """The chunk that says why it ends."""
        reason = {"cut": length, "length": length, "filtered": filtered}.get(self.ending, calls if self.calls else stop)
        return {"content": content, "response_metadata": {key: reason}}


Content = dict[str, Any]


def _piece(index: int | None, args: str | None, name: str | None = None, id: str | None = None) -> Content:
    return {"type": "tool_call_chunk", "index": index, "args": args, "name": name, "id": id}


def _saying(pieces: Sequence[str]) -> Iterator[Content]:
    return ({"content": piece} for piece in pieces)


def _calling(*chunks: Content) -> Content:
    return {"content": "", "tool_call_chunks": list(chunks)}


def _opening(parts: Parts) -> Iterator[Content]:
    if parts.draw.random() < 0.3:
        yield from ({"content": "", "additional_kwargs": {"reasoning_content": word}} for word in ("Let me", " see."))
    yield from _saying(parts.before)


def _closing(parts: Parts) -> Iterator[Content]:
    yield from _saying(parts.rest)
    yield parts.end("finish_reason", "tool_calls", "stop", "length", "content_filter")
    if parts.draw.random() < 0.3:
        yield {"content": "", "usage_metadata": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}}


def _pieces_of_call(parts: Parts, number: int) -> list[Content]:
    """One call as OpenAI streams it: name and id first, once, then arguments."""
    name, id, _ = parts.calls[number]
    first, *rest = parts.arguments(number)
    if parts.draw.random() < 0.7:
        first, rest = "", [first, *rest]
    return [_calling(_piece(number, first, name, id)), *(_calling(_piece(number, piece)) for piece in rest)]


def _openai(parts: Parts) -> Iterator[Content]:
    yield from _opening(parts)
    for number in range(len(parts.calls)):
        yield from _pieces_of_call(parts, number)
    yield from _closing(parts)


def _interleaved(parts: Parts) -> Iterator[Content]:
    """Pieces of several calls take turns."""
    yield from _opening(parts)
    rows = [_pieces_of_call(parts, number) for number in range(len(parts.calls))]
    if parts.ending == "cut":  # what was cut is the end of everything
        yield from itertools.chain.from_iterable(rows)
    else:
        yield from (chunk for row in itertools.zip_longest(*rows) for chunk in row if chunk is not None)
    yield from _closing(parts)


def _revised(parts: Parts) -> Iterator[Content]:
    """The arguments of some call begin anew after they were complete, before other calls or after all."""
    yield from _opening(parts)
    latest = parts.draw.randrange(len(parts.calls)) if parts.calls else None
    for number in range(len(parts.calls)):
        yield from _pieces_of_call(parts, number)
        if number == latest:
            yield from _taking_back(parts, parts.draw.randrange(number + 1))
    yield from _closing(parts)


def _taking_back(parts: Parts, number: int) -> Iterator[Content]:
    other = parts.draw.choice(('{"id": 0}', '{"id": 123}', '{"query": "ab"}', parts.calls[number][2]))
    return (_calling(_piece(number, piece)) for piece in _cut(parts.draw, other, parts.most))


def _cumulative(parts: Parts) -> Iterator[Content]:
    """Every chunk says everything so far of a call; LangChain takes them for calls of their own, or appends them."""
    yield from _opening(parts)
    indexed = parts.draw.random() < 0.5
    for number, (name, id, _) in enumerate(parts.calls):
        pieces = parts.arguments(number)
        for count in sorted({len(pieces) // 2, len(pieces)} - {0}):
            yield _calling(_piece(number if indexed else None, "".join(pieces[:count]), name, id))
    yield from _closing(parts)


def _anthropic(parts: Parts) -> Iterator[Content]:
    """Blocks of content, of which calls are some; their indexes count the text, too."""
    block = itertools.count().__next__
    if parts.draw.random() < 0.3:
        index = block()
        yield from ({"content": [{"type": "thinking", "thinking": t, "index": index}]} for t in ("Let me", " see."))
    index = block()
    yield from ({"content": [{"type": "text", "text": piece, "index": index}]} for piece in parts.before)
    for number, (name, id, _) in enumerate(parts.calls):
        index = block()
        opened = {"type": "tool_use", "id": id, "name": name, "input": {}, "index": index}
        yield {"content": [opened], "tool_call_chunks": [_piece(index, "", name, id)]}
        pieces = parts.arguments(number)
        for piece in ["", *pieces] if "".join(pieces).strip() != "{}" else [""]:
            delta = {"type": "input_json_delta", "partial_json": piece, "index": index}
            yield {"content": [delta], "tool_call_chunks": [_piece(index, piece)]}
    index = block()
    yield from ({"content": [{"type": "text", "text": piece, "index": index}]} for piece in parts.rest)
    yield parts.end("stop_reason", "tool_use", "end_turn", "max_tokens", "refusal", [])


def _ended_as_gemini(parts: Parts) -> Iterator[Content]:
    yield from _saying(parts.rest)
    end = parts.end("finish_reason", "STOP", "STOP", "MAX_TOKENS", "SAFETY")
    yield end
    if parts.draw.random() < 0.2:  # merged, the two are "STOPSTOP"
        yield end


def _whole(parts: Parts) -> Iterator[Content]:
    """Every call in one chunk, without an index."""
    yield from _saying(parts.before)
    for number, (name, id, _) in enumerate(parts.calls):
        yield _calling(_piece(None, "".join(parts.arguments(number)), name, id))
    yield from _ended_as_gemini(parts)


def _together(parts: Parts) -> Iterator[Content]:
    """All calls in one chunk."""
    yield from _saying(parts.before)
    if parts.calls:
        yield _calling(
            *(_piece(None, "".join(parts.arguments(n)), name, id) for n, (name, id, _) in enumerate(parts.calls))
        )
    yield from _ended_as_gemini(parts)


def _repeated(parts: Parts) -> Iterator[Content]:
    """The last call is sent twice, under one id."""
    contents = list(_whole(parts))
    last = max((n for n, content in enumerate(contents) if "tool_call_chunks" in content), default=0)
    yield from (contents[: last + 1])
    if parts.calls:
        yield _calling(*(dict(chunk) for chunk in contents[last]["tool_call_chunks"]))
    yield from contents[last + 1 :]


def _blocks(parts: Parts) -> Iterator[Content]:
    """LangChain's own blocks of content, pieces of calls among them."""
    said = {"output_version": "v1"}
    yield {"content": [{"type": "reasoning", "reasoning": "Let me see.", "index": 0}], "response_metadata": said}
    for piece in parts.before:
        yield {"content": [{"type": "text", "text": piece, "index": 1}], "response_metadata": said}
    for number in range(len(parts.calls)):
        for content in _pieces_of_call(parts, number):
            (chunk,) = content["tool_call_chunks"]
            chunk = {**chunk, "index": number + 2}
            yield {"content": [dict(chunk)], "tool_call_chunks": [chunk], "response_metadata": said}
    for piece in parts.rest:
        yield {"content": [{"type": "text", "text": piece, "index": 99}], "response_metadata": said}
    end = parts.end("finish_reason", "tool_calls", "stop", "length", "content_filter", [])
    yield {**end, "response_metadata": {**said, **end["response_metadata"]}}


SHAPES: dict[str, Callable[[Parts], Iterator[Content]]] = {
    "openai": _openai,
    "interleaved": _interleaved,
    "anthropic": _anthropic,
    "whole": _whole,
    "together": _together,
    "blocks": _blocks,
    "repeated": _repeated,
    "cumulative": _cumulative,
    "revised": _revised,
}
"""Whose chunks a stream is like."""
REVISING = frozenset({"revised"})
"""Shapes that take arguments back."""
PLAIN_SHAPES = ("openai", "interleaved", "anthropic", "whole", "together", "blocks")
"""Shapes of providers that do as they should."""
