"""Checks a history: whether the events of some runs keep what was promised, without trusting who wrote them.

Offline, on tests, on simulations and on logs of production (`observe/log.py`). After Elle (Kingsbury and Alvaro, 2020),
which finds anomalies in what clients of a database observed: here, too, a history of operations alone decides, and
every finding says which two records contradict each other. A correct history is never called wrong, in whatever order
threads handed its records out.
"""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from langgraph_speculate.core import events
from langgraph_speculate.core.marks import touching
from langgraph_speculate.observe.log import event_of
from langgraph_speculate.observe.replay import Replay

_IMAGINED = events.ShadowLaunched, events.ShadowSettled, events.ShadowWasted  # their speculations were never launched


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that a history breaks.

    Attributes:
        rule: Which: `order` (a run's records are complete, and neither its time nor its epochs run backwards),
            `lifecycle` (launched once, one end), `commit` (nothing discarded, failed, outdated, foreign, or twice),
            `stale` (nothing that was written between launch and use), `closed` (nothing after the end of a run),
            `lineage` (nothing outlives what it rests on), `level` (nothing runs ahead at the level `shadow`), `budget`
            (the run's limits), `ledger` (what a run counts is what its records have), `partition` (runs of one
            partition share their resources).
        run: The run.
        id: The speculation, or None.
        record: The number of the record that breaks it, from 1: in a log, the line.
        text: What contradicts what.
    """

    rule: str
    run: str
    id: str | None
    record: int
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: record {self.record}, {self.id or self.run}: {self.text}"


def audit(records: Iterable[events.Event | Mapping[str, Any]]) -> list[Violation]:
    """Return every promise that a history breaks, in the order of its records.

    Args:
        records: Events, or what `as_json` makes of them, of any number of runs, in the order they were handed out. The
            beginning of a run must be among them; its end need not.

    Raises:
        BadLog: A record is no event.

    >>> run = {"run": "r", "at": 0.0}
    >>> began = dict(event="RunBegan", partition="", world="", max_in_flight=4, max_per_turn=3)
    >>> began |= dict(max_per_run=20, max_wasted_per_run=10)
    >>> launch = dict(event="Launched", turn="t", id="r:1", tool="get", probability=1, source="", epoch=0)
    >>> commit = dict(event="Committed", id="r:1", tool="get")
    >>> for violation in audit(run | record | {"number": n} for n, record in enumerate([began, launch, commit], 1)):
    ...     print(violation)
    commit: record 3, r:1: committed, but it is running since record 2
    """
    auditor = Auditor()
    for record in records:
        auditor.take(record)
    return auditor.findings()


class Auditor:
    """`audit`, a record at a time.

    Attributes:
        records: How many it has seen.
        runs, launched, committed: How many of these were told.
        discarded: The same by reason.
    """

    def __init__(self) -> None:
        self.records = self.runs = self.launched = self.committed = 0
        self.discarded: Counter[str] = Counter()
        self._found: list[Violation] = []
        self._runs: dict[str, _Run] = defaultdict(_Run)
        self._worlds: dict[str, _World] = defaultdict(_World)
        self._home: dict[str, str] = {}
        self._strangers: list[tuple[str, str, str, int]] = []

    def take(self, record: events.Event | Mapping[str, Any]) -> None:
        """Take in the next record.

        Raises:
            BadLog: It is no event.
        """
        event = record if isinstance(record, events.Event) else event_of(record)
        self.records += 1
        run = self._runs[event.run]
        if event.number < run.next or event.number in run.waiting:
            told = "was there before" if event.number > 0 else "is no place in a run"
            self._report(event.run, "order", None, self.records, f"its number is {event.number}, which {told}")
            return
        run.waiting[event.number] = self.records, event
        while run.next in run.waiting:
            self._judge(run, *run.waiting.pop(run.next))
            run.next += 1

    def findings(self) -> list[Violation]:
        """Every promise broken so far, in the order of the records; more records may follow."""
        late = list(self._late())
        return sorted([*self._found, *late], key=lambda violation: violation.record)

    def counts(self) -> dict[str, int | dict[str, int]]:
        """What it has seen: records, runs, speculations, commits, and discards by reason, most frequent first."""
        discarded = dict(self.discarded.most_common())
        return {
            "records": self.records,
            "runs": self.runs,
            "speculations": self.launched,
            "commits": self.committed,
            "discards": discarded,
        }

    def _report(self, run: str, rule: str, id: str | None, record: int, text: str) -> None:
        self._found.append(Violation(rule, run, id, record, text))

    def _judge(self, run: _Run, record: int, event: events.Event) -> None:
        if isinstance(event, events.RunBegan) and run.replay is None:
            run.replay, run.record = Replay(event, partial(self._report, event.run)), record
            self.runs += 1
        if run.replay is None:
            if run.next == 1:
                self._report(event.run, "order", None, record, f"the run begins with {type(event).__name__}")
            return
        self._count(event)
        world, known = self._worlds[run.replay.began.world], run.replay.known
        if isinstance(event, events.Launched) and self._home.setdefault(event.id, event.run) != event.run:
            self._report(event.run, "lifecycle", event.id, record, f"run {self._home[event.id]} launched it, too")
        run.replay.take(event, record)
        id = None if isinstance(event, _IMAGINED) else getattr(event, "id", None)
        if id is not None and id not in known:
            used = isinstance(event, events.Matched | events.Committed | events.CallSettled)
            self._strangers.append((event.run, "commit" if used else "lifecycle", id, record))
        elif isinstance(event, events.Matched):
            launched = known[event.id].launched
            world.reads.append(_Read(event.run, event.id, launched.epoch, event.epoch, record, event.reads))
        elif isinstance(event, events.Repeated):
            world.reads.append(_Read(event.run, None, event.since, event.epoch, record, event.reads))
        elif isinstance(event, events.Wrote):
            world.wrote(event, record)

    def _count(self, event: events.Event) -> None:
        match event:
            case events.Launched():
                self.launched += 1
            case events.Committed():
                self.committed += 1
            case events.Discarded(reason=reason):
                self.discarded[reason] += 1

    # -- what takes all records to see -------------------------------------------------------------------------------

    def _late(self) -> Iterator[Violation]:
        for name, run in self._runs.items():
            if run.waiting:
                record = min(run.waiting.values(), key=lambda waiting: waiting[0])[0]
                told = f"number {run.next} of its run is missing, so nothing after that can be judged"
                yield Violation("order", name, None, record, told)
        for name, rule, id, record in self._strangers:
            yield Violation(rule, name, id, record, f"it is {self._origin(name, self._home.get(id))}")
        for world in self._worlds.values():
            yield from world.stale()
        yield from self._split_partitions()

    def _origin(self, name: str, home: str | None) -> str:
        here, there = self._runs[name].replay, self._runs[home].replay if home is not None else None
        if here is None or there is None:
            return "of no run: nothing launched it"
        same = here.began.partition == there.began.partition
        return f"of another run, {home}, {'of the same' if same else 'and of another'} partition"

    def _split_partitions(self) -> Iterator[Violation]:
        """Runs of one partition that were open at the same time, but did not see each other's writes."""
        begun: dict[str, list[tuple[Replay, int]]] = defaultdict(list)
        for run in self._runs.values():
            if run.replay is not None:
                begun[run.replay.began.partition].append((run.replay, run.record))
        for runs in begun.values():
            open_until: dict[str, float] = {}  # by world
            for replay, record in sorted(runs, key=lambda run: run[0].began.at):
                began, last_at = replay.began, replay.at
                if others := [w for w, until in open_until.items() if w != began.world and until > began.at]:
                    told = f"its partition's resources are {began.world}, but those of a run beside it {others[0]}"
                    yield Violation("partition", began.run, None, record, told)
                open_until[began.world] = max(open_until.get(began.world, last_at), last_at)


@dataclass(slots=True)
class _Run:
    """A run's records in their order; `waiting` holds those that came before their predecessor."""

    next: int = 1
    waiting: dict[int, tuple[int, events.Event]] = field(default_factory=dict)
    replay: Replay | None = None
    record: int = 0


@dataclass(slots=True)
class _Read:
    """A result that a real call got: `since` the epoch of its launch, `until` that of the call.

    `id` is None for an answer that was given again.
    """

    run: str
    id: str | None
    since: int
    until: int
    record: int
    marks: tuple[str, ...]


@dataclass(slots=True, eq=False)
class _Write:
    """A write as an interval of epochs; one whose end is not known ends at once, for all that can be proved."""

    began: int
    ended: int
    record: int
    marks: frozenset[str]


class _World:
    """What was read and written of one set of resources; its epochs say in which order, whatever that of the log is."""

    def __init__(self) -> None:
        self.reads: list[_Read] = []
        self._bumps: list[tuple[int, int, events.Wrote]] = []

    def wrote(self, event: events.Wrote, record: int) -> None:
        """A write began or ended."""
        self._bumps.append((event.epoch, record, event))

    def stale(self) -> Iterator[Violation]:
        """Reads that a write overlapped: it ended after the read was launched, and began before it was wanted."""
        self._bumps.sort(key=lambda bump: bump[:2])
        for (epoch, before, _), (same, record, event) in zip(self._bumps, self._bumps[1:], strict=False):
            if epoch == same:
                yield Violation("order", event.run, None, record, f"epoch {same} is also that of record {before}")
        writes = sorted(self._writes(), key=lambda write: write.began)
        starts = [write.began for write in writes]
        spanning: list[_Write] = []
        seen = 0
        for read in sorted(self.reads, key=lambda read: read.since):
            first = bisect.bisect_right(starts, read.since)
            spanning = [write for write in [*spanning, *writes[seen:first]] if write.ended > read.since]
            seen = first
            for write in [*spanning, *writes[first : bisect.bisect_right(starts, read.until)]]:
                if touching(read.marks, write.marks):
                    told = f"it was read since epoch {read.since} and wanted at {read.until}, but record {write.record}"
                    span = f"began a write to it at {write.began}, which ended at {write.ended}"
                    yield Violation("stale", read.run, read.id, read.record, f"{told} {span}")
                    break

    def _writes(self) -> Iterator[_Write]:
        """Beginnings and ends by run and resources; which of several equal writes ended first makes no difference."""
        under_way: dict[tuple[str, tuple[str, ...]], deque[_Write]] = defaultdict(deque)
        for epoch, record, event in self._bumps:
            same = event.run, tuple(mark for mark in event.writes if mark[:1] in "=*")
            if event.began or not under_way[same]:
                write = _Write(epoch, epoch, record, frozenset(event.writes))
                yield write
                if event.began:
                    under_way[same].append(write)
            else:
                write = under_way[same].popleft()
                # Patterns were read since the write began: only its end shows beginnings of their lengths.
                write.ended, write.marks = epoch, write.marks | frozenset(event.writes)
