"""The world that tools read and write: a store, a log of effects, and latencies, all from one seed.

Compiled graphs are reused from pair to pair, so tools find their world in `WORLDS`, not in a closure.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from langgraph_speculate.host.compat.configs import RUN_KEY
from langgraph_speculate.host.run import Run

HANG_S = 1e9
_SLOW = {"dig": 0.4}
"""Seconds that some tools take besides."""
_LATENCIES = (0.0, 0.0, 0.01, 0.02, 0.02, 0.05, 0.05, 0.1, 0.25)


def drawn(*parts: object) -> int:
    """A number that is a pure function of *parts*, in every process."""
    return zlib.crc32(json.dumps(parts, sort_keys=True, default=str).encode())


def pick(options: tuple[Any, ...] | list[Any], *parts: object) -> Any:
    """One of *options*, as a pure function of *parts*."""
    return options[drawn(*parts) % len(options)]


def call_text(args: Mapping[str, Any]) -> str:
    """Arguments as text, alike whether the model wrote them or a body received them."""
    given = {name: int(value) if name == "id" else value for name, value in args.items() if name != "how"}
    return json.dumps(given, sort_keys=True, default=str)


@dataclass(frozen=True)
class Body:
    """One execution of a tool's body.

    Attributes:
        tool, user: Which tool, for whom.
        args: The arguments, as canonical text.
        early: Whether it ran as a speculation.
        at: When it started, in virtual seconds.
    """

    tool: str
    user: str
    args: str
    early: bool
    at: float


@dataclass
class Request:
    """One request to the provider of the model.

    Attributes:
        tag: In which conversation.
        heard: The texts of the messages.
        began, ended: When, in virtual seconds; `ended` is None while it is answered.
    """

    tag: str
    heard: list[str]
    began: float
    ended: float | None = None


@dataclass
class Span:
    """A value of one key and from when on it was current.

    Attributes:
        value: The value.
        since: Virtual seconds.
    """

    value: str
    since: float


@dataclass
class World:
    """What one side of a pair lives in.

    Args:
        seed: Decides latencies.
        clock: Virtual time.
        speculates: Whether this is the speculative side.
        schedule: Another number gives other latencies, for racy programs.
        faults: What goes wrong in attempts, by tool: `raise`, `base`, `hang`, `late`, `huge`; `first` hangs in the
            first attempt at a call only.
        revoked: When users lose their rights.
        durations: Seconds that the n-th call of (user, tool, arguments) takes, where a schedule is followed.

    Attributes:
        store: Current values.
        past: All values each key ever had.
        log: Effects of tools that are not read-only, as (user, tool, arguments), in order.
        bodies: Every body that started.
        asked: What the provider of the model was asked, in order.
    """

    seed: int
    clock: Callable[[], float]
    speculates: bool = False
    schedule: int = 0
    faults: Mapping[str, str] = field(default_factory=dict)
    durations: Mapping[tuple[str, str, str, int], float] = field(default_factory=dict)
    store: dict[str, str] = field(default_factory=dict)
    past: dict[str, list[Span]] = field(default_factory=dict)
    log: list[tuple[str, str, str]] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    draws: int = 0
    asked: list[Request] = field(default_factory=list)
    revoked: Mapping[str, float] = field(default_factory=dict)
    _seen: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    _tried: set[tuple[str, str, str]] = field(default_factory=set)
    _failed: set[tuple[str, int]] = field(default_factory=set)

    @contextmanager
    def asking(self, tag: str, heard: list[str]) -> Iterator[None]:
        """Around a request to the provider of the model."""
        request = Request(tag, heard, self.clock())
        self.asked.append(request)
        try:
            yield
        finally:
            request.ended = self.clock()

    def begin(self, tool: str, args: Mapping[str, Any], config: Mapping[str, Any]) -> Job:
        """A body starts."""
        configurable = config.get("configurable") or {}
        user = str(configurable.get("user_id"))
        text = json.dumps(args, sort_keys=True, default=str)
        early = self.speculates and type(configurable.get(RUN_KEY)) is not Run  # an attempt has a tripwire there
        self.bodies.append(Body(tool, user, text, early, self.clock()))
        fault = self.faults.get(tool) if early else None
        if fault == "first":
            fault = None if (user, tool, text) in self._tried else "hang"
            self._tried.add((user, tool, text))
        if early:
            seconds = self.latency(tool, text)
        else:
            self._seen[user, tool, text] += 1
            known = self.durations.get((user, tool, call_text(args), self._seen[user, tool, text]))
            # On other schedules the second of two equal calls need not take as long as the first.
            drawn_by = f"{text}#{self._seen[user, tool, text]}" if self.schedule else text
            seconds = self.latency(tool, drawn_by) if known is None else known + self.jitter(user, tool, drawn_by)
        if tool == "stall" and args["id"] % 2:
            seconds = HANG_S
        if fault in ("hang", "late"):
            seconds = HANG_S if fault == "hang" else seconds + 5.0
        early_part = {"start": 0.0, "end": 1.0, "middle": 0.5}[
            pick(("start", "end", "middle"), self.seed, self.schedule, tool)
        ]
        return Job(self, tool, user, args, text, fault, seconds * early_part, seconds * (1 - early_part))

    def latency(self, tool: str, text: str) -> float:
        """Seconds a body takes: a pure function of the seed, the schedule, the tool and its arguments."""
        if self.schedule and drawn("tie", self.schedule) % 3:
            return drawn(self.seed, self.schedule, tool, text) % 4000 / 20_000 + _SLOW.get(tool, 0.0)
        return float(pick(_LATENCIES, self.seed, self.schedule, tool, text)) + _SLOW.get(tool, 0.0)

    def jitter(self, *parts: object) -> float:
        """A microsecond or so, on schedules other than the first: of two things at one instant either may be first."""
        return drawn(self.schedule, *parts) % 1000 * 1e-9 if self.schedule else 0.0

    def fails_now(self, tag: str, number: int) -> bool:
        """Whether the stream of a conversation's n-th answer breaks: the first time that it is tried."""
        first = (tag, number) not in self._failed
        self._failed.add((tag, number))
        return first

    def was_revoked(self, user: str) -> bool:
        """Whether a user has lost their rights, in the middle of the run."""
        return self.clock() >= self.revoked.get(user, HANG_S)

    def read(self, key: str) -> str:
        """The current value of a key."""
        return self.store.get(key, f"{key}=new")

    def write(self, key: str, value: str) -> None:
        """Change a key."""
        self.past.setdefault(key, [Span(self.read(key), 0.0)]).append(Span(value, self.clock()))
        self.store[key] = value

    def was_current(self, key: str, value: str, since: float, until: float) -> bool:
        """Whether *key* had *value* at some instant between two times."""
        spans = self.past.get(key)
        if spans is None:
            return value == f"{key}=new"
        ends = [span.since for span in spans[1:]] + [float("inf")]
        return any(
            span.value == value and span.since <= until and end >= since for span, end in zip(spans, ends, strict=True)
        )


@dataclass
class Job:
    """One body at work.

    Attributes:
        before, after: Seconds before and after the instant at which it acts.
    """

    world: World
    tool: str
    user: str
    args: Mapping[str, Any]
    text: str
    fault: str | None
    before: float
    after: float

    def note(self) -> None:
        """An effect, for the log."""
        self.world.log.append((self.user, self.tool, self.text))


class _Worlds:
    """Where tools find the world of the simulation that runs."""

    current: World | None = None

    def __call__(self) -> World:
        if self.current is None:
            raise LookupError("a tool runs outside of a simulation")
        return self.current


WORLDS = _Worlds()
