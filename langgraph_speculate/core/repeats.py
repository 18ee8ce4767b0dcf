"""Answers of one run that may answer the same call again: read-through, for tools whose owner asks for it.

Whether one may be used now is the gate's to say, as for a speculation; this only keeps them. They belong to their run
and end with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.speculation import Speculation


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """What a tool's body answered, or will have: with what the gate looks at, under the names that a speculation has.

    Attributes:
        call: The call with coerced arguments, as the tool's body received it.
        venue: Where the body ran; only a real call of the same venue is answered.
        reads: Tags of the resources it read.
        epoch: The epoch before it started reading.
        ttl_s: Seconds from its start for which it may be used.
        launched_at: When the body started, in seconds on the host's monotonic clock.
        circumstances: What the tool could see of its run besides its arguments.
        value: The answer; a copy that nobody else holds.
        size: About how many bytes it takes.
    """

    call: Call
    venue: str
    reads: frozenset[str]
    epoch: int
    ttl_s: float
    launched_at: float
    circumstances: Any
    value: Any = None
    size: int = 0

    scope: ClassVar[str] = "run"
    step: ClassVar[int] = 0  # of no matter in that scope
    depth: ClassVar[int] = 1
    call_id: ClassVar[str | None] = None  # what was handed the id of its call is never remembered

    @classmethod
    def of(cls, adopted: Speculation) -> Remembered:
        """What is remembered of a speculation whose result a real call has adopted; without the value."""
        return cls(
            call=adopted.call,
            venue=adopted.venue,
            reads=adopted.reads,
            epoch=adopted.epoch,
            ttl_s=adopted.ttl_s,
            launched_at=adopted.launched_at,
            circumstances=adopted.circumstances,
        )


_LEAST_SIZE: Final = 256  # bytes that an answer takes with its call, however short it is


class Repeats:
    """Remembered answers by call and venue: of each the one that was read last.

    Attributes:
        size: About how many bytes they take.

    >>> repeats = Repeats()
    >>> answer = Remembered(Call("get", {"id": 7}), "thread", frozenset({"item:7"}), 0, 10.0, 0.0, None, "sent", 4)
    >>> repeats.keep(answer)
    >>> repeats.find(answer.call.key, "thread").value
    'sent'
    >>> repeats.size  # as much as an answer takes however short it is
    256
    >>> repeats.find(answer.call.key, "task") is None
    True
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], Remembered] = {}
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._kept)

    def __iter__(self) -> Iterator[Remembered]:
        return iter(list(self._kept.values()))

    @property
    def tools(self) -> set[str]:
        """Names of the tools of which something is remembered."""
        return {answer.call.name for answer in self}

    def find(self, key: str, venue: str) -> Remembered | None:
        """What is remembered of a call with that key."""
        return self._kept.get((key, venue))

    def keep(self, answer: Remembered) -> None:
        """Remember an answer, unless a later one is."""
        known = self.find(answer.call.key, answer.venue)
        if known is None or known.launched_at <= answer.launched_at:
            self.forget(answer.call.key, answer.venue)
            self._kept[answer.call.key, answer.venue] = answer
            self.size += _size(answer)

    def forget(self, key: str, venue: str) -> None:
        """Let go of what is remembered of a call."""
        known = self._kept.pop((key, venue), None)
        if known is not None:
            self.size -= _size(known)


def _size(answer: Remembered) -> int:
    return max(answer.size, _LEAST_SIZE)
