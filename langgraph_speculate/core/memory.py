"""What tools answered before, and how likely it is that they answer the same again.

A result is remembered by its tool and its arguments, with the epoch that its resources had. How often a call was
answered with the very same bytes is counted for each call and for each tool, so that a tool whose results never change,
one whose results always do and one that says "ok" to everything are told apart without anybody declaring them.

What comes out is an expectation. It decides whether a bet is worth it and never what is true: whoever bets compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langgraph_speculate.core.calls import Call, size_of
from langgraph_speculate.core.canonical import canonical_bytes
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.core.resources import Epochs, render
from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.policy import ToolPolicy

_LOYAL: Final = 2.0
"""How many trials of a call what is known of its tool weighs."""
_HEAVY: Final = 64.0  # trials after which old ones count half
_RECALLED: Final = 8.0
"""How many trials what another process saw weighs at most: a few of this one's own tell more."""
_LEAST_SIZE: Final = 256  # bytes that an entry takes, however short its result


@dataclass(slots=True)
class Trials:
    """How often something came true, as a Beta distribution.

    Attributes:
        hits, misses: Counted, with what was thought before anything was seen.

    >>> trials = Trials(1.0, 1.0)
    >>> trials.add(True)
    >>> round(trials.mean, 2)
    0.67
    """

    hits: float
    misses: float

    def at_most(self, weight: float) -> Trials:
        """The same share of hits, of fewer trials."""
        share = min(1.0, weight / max(self.hits + self.misses, 1e-9))
        return Trials(self.hits * share, self.misses * share)

    def add(self, hit: bool) -> None:
        """It was tried once more."""
        if self.hits + self.misses > _HEAVY:
            self.hits, self.misses = self.hits / 2, self.misses / 2
        if hit:
            self.hits += 1
        else:
            self.misses += 1

    @property
    def mean(self) -> float:
        """The expected probability."""
        return self.hits / (self.hits + self.misses)


@dataclass(frozen=True, slots=True)
class Result:
    """A tool's result as the model is told of it.

    Attributes:
        parts: What its message holds, by name; without ids.
        form: The canonical form of that.
    """

    parts: Mapping[str, Any]
    form: bytes

    @classmethod
    def of(cls, parts: Mapping[str, Any]) -> Result | None:
        """A result, or None where it cannot be compared."""
        try:
            return cls(parts, canonical_bytes(dict(parts)))
        except UnkeyableArguments:
            return None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a call may have read of the world, and when it began to.

    Attributes:
        tags: The resources; none for a call of which nothing that is written makes the result old.
        epochs: Their epochs.
        epoch: The epoch before it started.
    """

    tags: frozenset[str]
    epochs: Epochs
    epoch: int

    @classmethod
    def of(cls, call: Call, tool: ToolFacts | None, epochs: Epochs) -> Reading:
        """What a call reads that begins now: of one that writes, nothing makes the result old."""
        tags = frozenset() if tool is None or tool.writes else render(tool.reads, call.args)
        return cls(tags, epochs, epochs.now)

    @property
    def is_old(self) -> bool:
        """Whether something that it read was written since."""
        return self.epochs.changed(self.tags, since=self.epoch)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a call is expected to be answered with.

    Attributes:
        result: The result.
        probability: That it is the very same.
    """

    result: Result
    probability: float


@dataclass(slots=True)
class Kept:
    """What is remembered of one call.

    Attributes:
        result: What it was answered with last.
        reading: When that was read.
        trials: How often it was answered with the same as the time before, besides what its tool is like.
        size: About how many bytes it takes.
    """

    result: Result
    reading: Reading
    trials: Trials = field(default_factory=lambda: Trials(0.0, 0.0))
    size: int = _LEAST_SIZE


@dataclass(slots=True)
class Habits:
    """What is known of one tool, whatever it is called with.

    Attributes:
        again: How often the same call was answered with the same.
        alike: How often a call that was new was answered with what the last one was.
        last: What the last call was answered with, and when that was read.
    """

    again: Trials = field(default_factory=lambda: Trials(1.0, 1.0))
    alike: Trials = field(default_factory=lambda: Trials(1.0, 3.0))
    last: tuple[Result, Reading] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """What is known of one tool in one partition, to be kept beyond the process.

    Attributes:
        again, alike: As in `Habits`.
        results: Its calls, the latest first: key, what they were answered with, and how often that was the same again.
    """

    again: Trials
    alike: Trials
    results: Sequence[tuple[str, Result, Trials]]


class Memory:
    """Results of tools, by partition.

    Args:
        kept: Where they are kept; a mapping that forgets what was not used for long bounds their number and size.
        habits: The same for what is known of tools.
        most_bytes: A larger result is not remembered.

    >>> memory, epochs = Memory({}, {}), Epochs()
    >>> result = Result.of({"content": "sent"})
    >>> for _ in range(3):
    ...     memory.learn("", "get_order", "key of 7", result, Reading(frozenset({"order:7"}), epochs, epochs.now))
    >>> expected = memory.expect("", "get_order", "key of 7")
    >>> expected.result.parts["content"], round(expected.probability, 2)
    ('sent', 0.88)
    >>> epochs.begin_write(frozenset({"order:7"}))
    >>> memory.expect("", "get_order", "key of 7") is None
    True
    """

    def __init__(
        self,
        kept: MutableMapping[tuple[str, str, str], Kept],
        habits: MutableMapping[tuple[str, str], Habits],
        most_bytes: int = 1_000_000,
    ) -> None:
        self._kept = kept
        self._habits = habits
        self._most_bytes = most_bytes

    def expect(self, partition: str, tool: str, key: str) -> Expectation | None:
        """What a call is expected to be answered with, or None where nothing is known.

        Args:
            partition: Whose data it is about; empty for everybody's.
            tool: Its tool.
            key: The canonical key of the call.
        """
        habits = self._habits.get((partition, tool))
        if habits is None:
            return None
        kept = self._kept.get((partition, tool, key))
        if kept is not None and not kept.reading.is_old:
            return Expectation(kept.result, _belief(kept.trials, habits.again))
        if habits.last is not None and not habits.last[1].is_old:
            return Expectation(habits.last[0], habits.alike.mean)
        return None

    def learn(self, partition: str, tool: str, key: str, result: Result, reading: Reading) -> None:
        """A call was answered."""
        habits = self._habits.get((partition, tool)) or Habits()
        kept = self._kept.get((partition, tool, key))
        if kept is None:
            if habits.last is not None:
                habits.alike.add(habits.last[0].form == result.form)
        elif not kept.reading.is_old:  # one that is old was not going to be bet on
            same = kept.result.form == result.form
            habits.again.add(same)
            kept.trials.add(same)
        size = len(result.form) + size_of(result.parts, self._most_bytes)
        small = size <= self._most_bytes
        habits.last = (result, reading) if small else None
        self._habits[partition, tool] = habits
        self._keep((partition, tool, key), kept, result if small else None, reading, size)

    def page(self, partition: str, tool: str, keys: Iterable[str]) -> Page | None:
        """What is known of a tool and of these of its calls, if anything is."""
        habits = self._habits.get((partition, tool))
        if habits is None:
            return None
        found = [(key, self._kept.get((partition, tool, key))) for key in keys]
        results = [(key, kept.result, kept.trials) for key, kept in found if kept is not None]
        return Page(habits.again, habits.alike, results)

    def recall(self, partition: str, tool: str, page: Page, reading: Reading) -> None:
        """Know what a page says, beside what was learned since.

        Args:
            partition, tool: Whose page it is.
            page: The page.
            reading: Since when the world is known not to have changed, and in what.
        """
        if (partition, tool) not in self._habits:
            again, alike = page.again.at_most(_RECALLED), page.alike.at_most(_RECALLED)
            self._habits[partition, tool] = Habits(again, alike)
        for key, result, trials in reversed(page.results):
            if (partition, tool, key) not in self._kept:
                size = max(len(result.form) + size_of(result.parts, self._most_bytes), _LEAST_SIZE)
                if size <= self._most_bytes:
                    self._kept[partition, tool, key] = Kept(result, reading, trials.at_most(_RECALLED), size)

    def forget(self, partition: str) -> int:
        """Know nothing of a partition any more; returns how many results that were."""
        lost = [at for at in self._kept if at[0] == partition]
        for at in lost:
            del self._kept[at]
        for name in [name for name in self._habits if name[0] == partition]:
            del self._habits[name]
        return len(lost)

    def _keep(
        self, at: tuple[str, str, str], kept: Kept | None, result: Result | None, reading: Reading, size: int
    ) -> None:
        trials = Trials(0.0, 0.0) if kept is None else kept.trials
        self._kept.pop(at, None)  # a mapping that counts sizes must not find that an entry has grown
        if result is not None:
            self._kept[at] = Kept(result, reading, trials, max(size, _LEAST_SIZE))


def shelf_of(tool: ToolPolicy | None, partition: str) -> str | None:
    """Whose results of a tool are remembered together: a partition's, or everybody's; None for nobody's."""
    if tool is not None and tool.private:
        return None
    return "shared" if tool is not None and tool.shared_results else shelf_for(partition)


def shelf_for(partition: str) -> str:
    """Where the results of a partition are that are nobody else's."""
    return f"of {partition}"


def _belief(call: Trials, tool: Trials) -> float:
    """P(the same again) of a call: what it did, beside what its tool does."""
    trials = call.hits + call.misses
    return (call.hits + _LOYAL * tool.mean) / (trials + _LOYAL)
