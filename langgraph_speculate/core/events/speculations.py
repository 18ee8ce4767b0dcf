"""Records about one speculation each, from its launch to its end."""

from __future__ import annotations

from dataclasses import dataclass

from langgraph_speculate.core.events.base import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched(Event):
    """A speculation started.

    Attributes:
        epoch: The epoch of the run's resources at that moment.
        ttl_s: Seconds for which its result may be used, or None if nobody said.
        stage: How much of the model's message was known (`core/speculation.py`, `Stage`).
        depth: How far ahead: 1 for the message that was being written, 2 for the one after it, and so on.
        parent: The speculation whose call it takes for granted, or the preview that wrote its call, or None.
        worth_s: Expected seconds saved, net of what it costs; 0 of a call that the model had written.
        cost: What the call costs in money, as its policy says, whether or not its result is used.
    """

    turn: str
    id: str
    tool: str
    probability: float
    source: str
    epoch: int = 0
    ttl_s: float | None = None
    stage: str = "begin"
    depth: int = 1
    parent: str | None = None
    worth_s: float = 0.0
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished(Event):
    """The body of a speculation ended after *seconds*, well or not."""

    id: str
    tool: str
    seconds: float
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched(Event):
    """A real call asked for a speculation, and the gate agreed: it is committed now, or when its body has ended well.

    Attributes:
        epoch: The epoch of the run's resources at that moment: what is written later does not count, because the real
            call was already there.
        reads: Marks of what it reads.
    """

    id: str
    tool: str
    epoch: int
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedged(Event):
    """A real call has waited for a body for longer than nearly all take, so the call was started once more beside it.

    Attributes:
        id: The speculation that it waits for.
        twin: The second one. At most one of the two is committed.
    """

    id: str
    tool: str
    twin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed(Event):
    """A speculation's result became the answer of the real call that asked for it."""

    id: str
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded(Event):
    """A speculation ended without its result being used."""

    id: str
    tool: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wasted(Event):
    """What a discarded speculation cost in the end, once its body has stopped.

    Attributes:
        seconds: Of tool time.
        cost: In money, as its policy says; nothing if its body never started.
    """

    id: str
    tool: str
    seconds: float
    cost: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ghost(Event):
    """Somebody outside of the trust boundary saw a call that nobody asked for.

    Attributes:
        destinations: Who: hosts that the policy names, or the tool itself where it knows its own.
    """

    id: str
    tool: str
    destinations: tuple[str, ...]
