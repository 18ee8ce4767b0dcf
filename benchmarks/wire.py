"""What went over the wire: when each part of a reply was complete, and in what two agents' requests differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

Body = Mapping[str, Any]
Delta = Mapping[str, Any]


def completions(deltas: Sequence[Delta], at: Sequence[float]) -> list[float]:
    """When the arguments of each call were complete: with the last piece of them, in the order of the calls."""
    last = {call["index"]: when for delta, when in zip(deltas, at, strict=True) for call in delta.get("tool_calls", ())}
    return [last[index] for index in sorted(last)]


def contradicted_at(deltas: Sequence[Delta], tool: str, arguments: str) -> int | None:
    """Which piece is the first after which the only call cannot become that one, or None.

    Args:
        deltas: The pieces of a message.
        tool: The tool that was expected.
        arguments: What it was expected to be called with, as JSON in the words of the wire.
    """
    text = ""
    for at, delta in enumerate(deltas):
        for call in delta.get("tool_calls", ()):
            text += call["function"]["arguments"]
            if call["function"].get("name", tool) != tool or not arguments.startswith(text):
                return at
    return None


def differences(own: Sequence[Body], plain: Sequence[Body]) -> list[str]:
    """What an agent asks its model otherwise than the plain one, in words; nothing where the requests are the same.

    The names of the user's messages do not count: they say who is asking.

    >>> plain = [{"messages": [{"role": "system", "content": "Hi."}, {"role": "user", "content": "?"}], "seed": 7}]
    >>> differences([{"messages": [{"role": "user", "content": "?"}]}], plain)
    ['no seed', 'no system message']
    """
    found = [f"{len(own)} requests instead of {len(plain)}"] if len(own) != len(plain) else []
    for ours, theirs in zip(own, plain, strict=False):
        found += _settings(ours, theirs)
        found += _messages(ours["messages"], theirs["messages"])
    return list(dict.fromkeys(found))


def _settings(own: Body, plain: Body) -> Iterator[str]:
    for name in sorted({*own, *plain} - {"messages"}):
        if name not in own:
            yield f"no {name}"
        elif name not in plain:
            yield f"{name} added"
        elif own[name] != plain[name]:
            yield f"{name} changed"


def _messages(own: Sequence[Body], plain: Sequence[Body]) -> Iterator[str]:
    if any(_is_system(message) for message in plain) and not any(_is_system(message) for message in own):
        yield "no system message"
        plain = [message for message in plain if not _is_system(message)]
    for at, (ours, theirs) in enumerate(zip_longest(own, plain)):
        if ours is None or theirs is None:
            yield f"{len(own)} messages instead of {len(plain)}"
            return
        if _unnamed(ours) != _unnamed(theirs):
            yield f"message {at} ({theirs['role']}) changed"


def _is_system(message: Body) -> bool:
    return message["role"] in ("system", "developer")


def _unnamed(message: Body) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != "name"}
