"""Breakers that measure: what costs more than it saves goes to shadow by itself, and is probed again later.

A breaker watches what settled guesses were worth (`core/worth.py`) over a sliding window. There is one for each
pattern (the guesses of one source for one tool), for each tool and for the graph; a guess runs only if none of its
three is off. While one is off its guesses are still scored against what the model does, which costs nothing: guesses
that come true bring the next probe closer, guesses that never do put it off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, MutableMapping, Sequence
from functools import lru_cache
from typing import Literal

from langgraph_speculate.core.events import Switched

WINDOW = 48
"""Settled guesses that count. Content that turns all wrong has filled it after as many, whatever was before."""

LEAST = 16
"""Settled guesses before a pattern or a tool is judged."""

LEAST_OF_GRAPH = 32
"""The same for a graph: one bad tool should go off before it takes the good ones with it."""

PROBES = 4
"""Launches that decide whether to go on again."""

LONGEST = 16
"""A pause becomes at most so many times as long as the first."""

_FORESEEN = 16  # guesses scored without running, of which the latest count
_ENOUGH = 4  # of them to believe in good ones; twice as many to give up on bad ones
_SOONER = 8  # how much sooner what would have paid is probed

State = Literal["on", "off", "probing"]
Key = tuple[str, str]  # pattern, tool or graph, and which one


class Breaker:
    """Whether one pattern, tool or graph pays.

    Args:
        least: Settled guesses before it is judged.
        cool_down_s: Seconds that it stays off the first time; twice as long each time it goes off again before a whole
            window has gone well. 0 for a breaker that never goes off.

    Attributes:
        state: `on`, `off`, or `probing`.
        pause_s: How long it stays off this time.
        since: When its state last changed.

    >>> breaker = Breaker(least=2, cool_down_s=60.0)
    >>> for value in (-0.1, -0.1):
    ...     breaker.settled(value, now=0.0)
    >>> breaker.state, breaker.refuses(now=59.0), breaker.refuses(now=60.0), breaker.state
    ('off', True, False, 'probing')
    """

    def __init__(self, least: int, cool_down_s: float) -> None:
        self.state: State = "on"
        self.pause_s = cool_down_s
        self.since = 0.0
        self._least = least
        self._cool_down_s = cool_down_s
        self._values: deque[float] = deque(maxlen=WINDOW)
        self._foreseen: deque[float] = deque(maxlen=_FORESEEN)
        self._probes = 0
        self._well = WINDOW  # settled since it was last off

    @property
    def worth(self) -> float:
        """What the guesses that count were worth together, in seconds."""
        return sum(self._values)

    @property
    def count(self) -> int:
        """How many they are."""
        return len(self._values)

    def refuses(self, now: float) -> bool:
        """Whether a guess must not run now; a pause that is over ends here."""
        if self.state == "off" and now >= self.due:
            self._turn("probing", now)
        if self.state == "probing" and self._probes >= PROBES and now >= self.since + self.pause_s:
            self._turn("probing", now)  # probes that never settle must not keep it waiting for ever
        return self.state == "off" or (self.state == "probing" and self._probes >= PROBES)

    @property
    def due(self) -> float:
        """When it is to be probed, by what its guesses would have been worth since it went off."""
        if len(self._foreseen) >= _ENOUGH and sum(self._foreseen) > 0:
            return self.since + self.pause_s / _SOONER
        if len(self._foreseen) >= 2 * _ENOUGH and max(self._foreseen) < 0:
            # Not never: the model may write what it means in other words than the guess, and mean the same.
            return self.since + self._cool_down_s * LONGEST
        return self.since + self.pause_s

    def launched(self) -> None:
        """A guess runs."""
        self._probes += self.state == "probing"

    def settled(self, value: float, now: float) -> None:
        """A guess that ran was worth *value* seconds."""
        if self.state == "off" or not self._cool_down_s:  # launched before that; a pause of no time is none
            return
        self._values.append(value)
        self._well += 1
        if self.state == "on" and self.count >= self._least and self.worth < 0:
            again = self._well < WINDOW
            self.pause_s = self._longer() if again else self._cool_down_s
            self._turn("off", now)
        elif self.state == "probing" and self.count >= PROBES:
            if self.worth <= 0:
                self.pause_s = self._longer()
            self._turn("on" if self.worth > 0 else "off", now)

    def foresaw(self, value: float) -> None:
        """A guess that it refused would have been worth about *value* seconds."""
        self._foreseen.append(value)

    def _longer(self) -> float:
        return min(2 * self.pause_s, self._cool_down_s * LONGEST)

    def _turn(self, state: State, now: float) -> None:
        self.state, self.since, self._probes, self._well = state, now, 0, 0
        self._foreseen.clear()
        if state == "probing":
            self._values.clear()


class Breakers:
    """The breakers of one graph.

    Args:
        breakers: Where they are kept; a mapping that forgets what was not used for long bounds their number.
        cool_down_s: Seconds that one stays off the first time; 0 for never.

    >>> breakers = Breakers({}, cool_down_s=60.0)
    >>> for _ in range(LEAST):
    ...     breakers.settled("habits", "search", -0.1, now=1.0)
    >>> breakers.refuses("habits", "search", now=2.0)
    True
    >>> [(switch.scope, switch.name, switch.state) for switch in breakers.take_switches()]
    [('pattern', 'habits: search', 'off'), ('tool', 'search', 'off')]
    """

    def __init__(self, breakers: MutableMapping[Key, Breaker], cool_down_s: float) -> None:
        self._breakers = breakers
        self._cool_down_s = cool_down_s
        self._switches: list[Switched] = []

    def refuses(self, source: str, tool: str, now: float) -> bool:
        """Whether a guess must not run now."""
        refusing = []
        for key, breaker in self._of(source, tool):
            if breaker.state == "on":
                continue
            before, worth, count = breaker.state, breaker.worth, breaker.count
            refusing.append(breaker.refuses(now))
            if breaker.state != before:
                self._tell(key, breaker, worth, count)
        return any(refusing)

    def launched(self, source: str, tool: str) -> None:
        """A guess runs."""
        for _, breaker in self._of(source, tool):
            breaker.launched()

    def settled(self, source: str, tool: str, value: float, now: float) -> None:
        """A guess that ran was worth *value* seconds, less than none if it was wasted."""
        for key, breaker in self._of(source, tool):
            before = breaker.state
            breaker.settled(value, now)
            if breaker.state != before:
                self._tell(key, breaker, breaker.worth, breaker.count)

    def foresaw(self, source: str, tool: str, value: float) -> None:
        """A guess that was refused would have been worth about *value* seconds."""
        for _, breaker in self._of(source, tool):
            if breaker.state != "on":
                breaker.foresaw(value)

    def off(self, tool: str, now: float) -> Breaker | None:
        """The breaker that keeps all guesses of *tool* from running, or None."""
        keys: tuple[Key, ...] = (("graph", ""), ("tool", tool))
        found = (self._breakers.get(key) for key in keys)
        return next((one for one in found if one is not None and one.state == "off" and now < one.due), None)

    def take_switches(self) -> Sequence[Switched]:
        """What went off and on since this was last asked."""
        switches, self._switches = self._switches, []
        return switches

    def _of(self, source: str, tool: str) -> Iterator[tuple[Key, Breaker]]:
        for key in _keys(source, tool):
            breaker = self._breakers.get(key)
            if breaker is None:
                least = LEAST_OF_GRAPH if key[0] == "graph" else LEAST
                breaker = self._breakers[key] = Breaker(least, self._cool_down_s)
            yield key, breaker

    def _tell(self, key: Key, breaker: Breaker, worth: float, count: int) -> None:
        self._switches.append(switched(*key, breaker, worth, count))


@lru_cache(maxsize=1024)
def _keys(source: str, tool: str) -> tuple[Key, ...]:
    return ("pattern", f"{source}: {tool}"), ("tool", tool), ("graph", "")


def switched(scope: str, name: str, breaker: Breaker, worth: float, count: int) -> Switched:
    """What is told of a breaker that went off or on, because so many settled guesses were worth so much."""
    return Switched(
        run="",
        at=breaker.since,
        scope=scope,
        name=name,
        state=breaker.state,
        reason="worth",
        worth_s=worth,
        settled=count,
        pause_s=breaker.pause_s if breaker.state == "off" else 0.0,
    )
