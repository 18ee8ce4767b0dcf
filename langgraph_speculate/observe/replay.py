"""One run's records, replayed against what was promised about a run.

Where a speculation stands is worked out anew from `TRANSITIONS`, the table that the core obeys, and compared with what
the records say. What happened between runs is `audit.py`'s business.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from langgraph_speculate.core import events
from langgraph_speculate.core.speculation import HEDGE, TRANSITIONS, Discard, Stage, State, step

Report = Callable[[str, "str | None", int, str], None]
"""Takes rule, id of a speculation or None, number of the record, and what contradicts what."""


@dataclass(slots=True)
class Standing:
    """Where one speculation stands.

    Attributes:
        launched: Its launch, and the number of that record.
        state: By the table of the lifecycle.
        at: The record that brought it there.
        failed: Its body ended, but not well.
        running: Its body runs.
        called: A message has called its tool since it was launched.
        committed, settled: The records that said so, or 0.
        twin: The speculation that the same real call waits for beside it, or None.
    """

    launched: events.Launched
    at: int
    state: State = State.RUNNING
    failed: bool = False
    running: bool = True
    called: bool = False
    committed: int = 0
    settled: int = 0
    twin: Standing | None = field(default=None, repr=False, compare=False)

    @property
    def is_guess(self) -> bool:
        """Whether the model had not written the call completely when it was launched."""
        return self.launched.stage != Stage.COMPLETE

    @property
    def over(self) -> bool:
        """Whether it is committed or discarded."""
        return not TRANSITIONS[self.state]


@dataclass(slots=True)
class Replay:
    """What is known of a run after some of its records.

    Attributes:
        began: Its first record.
        report: Takes what is wrong.
        known: Its speculations by id.
        previews: Whether its previews of the model's next message may yet be used, by id.
        closed: The record that closed it, or 0.
        discarded: How many speculations were, of guesses (True) and of calls that the model had written (False).
        at: When the latest record happened.
    """

    began: events.RunBegan
    report: Report
    known: dict[str, Standing] = field(default_factory=dict)
    previews: dict[str, bool] = field(default_factory=dict)
    closed: int = 0
    discarded: Counter[bool] = field(default_factory=Counter)
    at: float = float("-inf")
    _epoch: int = 0
    _per_turn: Counter[tuple[str, int]] = field(default_factory=Counter)  # guesses that stand, by how far ahead
    _guesses: int = 0
    _made: tuple[str, ...] = ()  # tools that the message called which ended last, until something else happens
    _orphans: list[str] = field(default_factory=list)  # what they took for granted did not come true: they must fall

    def take(self, event: events.Event, record: int) -> None:
        """Judge the run's next record."""
        if not event.at >= self.at:  # also finds NaN
            self.report("order", None, record, f"time runs backwards, from {self.at} to {event.at}")
        self.at = event.at
        if isinstance(event, events.Launched | events.Matched | events.Wrote | events.Repeated):
            self._epoch_is(event, record)
        if not isinstance(event, events.Discarded | events.Wasted | events.Ghost):
            self._no_orphans(record)
        if self.closed and isinstance(event, _NOT_AFTER_THE_END):
            id = getattr(event, "id", None)
            self.report("closed", id, record, f"{_name(event)}, but the run was closed in record {self.closed}")
        match event:
            case events.RunBegan():
                if event is not self.began:
                    self.report("order", None, record, "the run begins twice")
            case events.Launched():
                self._launch(event, record)
            case events.Matched() | events.Committed() | events.Finished() | events.Discarded() | events.Wasted():
                standing = self.known.get(event.id)
                if standing is not None:
                    _TAKES[type(event)](self, event, standing, record)
            case events.Hedged():
                self._hedge(event, record)
            case events.Repeated():
                self._repeat(event, record)
            case events.CallSettled(id=str(id)) if (standing := self.known.get(id)) is not None:
                self._settle(event, standing, record)
            case events.TurnEnded(calls=calls):
                self._made = calls
                for standing in self.known.values():
                    standing.called = standing.called or standing.launched.tool in calls
            case events.PreviewBegan(preview=preview):
                self.previews[preview] = True
            case events.PreviewUsed(preview=preview):
                self.previews[preview] = False
            case events.PreviewWasted(preview=preview):
                self.previews[preview] = False
                # What is the answer of a real call, or may be, does not fall with it.
                children = [(id, self.known[id]) for id in self._resting_on(preview)]
                self._orphans += [id for id, one in children if one.state is not State.PROMOTED and not one.called]
            case events.RunClosed():
                self._close(event, record)

    def _no_orphans(self, record: int) -> None:
        for id in self._orphans:
            if not self.known[id].over:
                parent = self.known[id].launched.parent
                self.report(
                    "lineage", id, record, f"lives on, but {parent}, which it took for granted, came to nothing"
                )
        self._orphans, self._made = [], ()

    def _epoch_is(self, event: events.Launched | events.Matched | events.Wrote | events.Repeated, record: int) -> None:
        made = isinstance(event, events.Wrote)
        if event.epoch < self._epoch + made:
            told = f"epoch {event.epoch} after epoch {self._epoch}"
            self.report("order", None, record, f"{told}, and {'a write makes a new one' if made else 'they only grow'}")
        self._epoch = event.epoch

    def _launch(self, event: events.Launched, record: int) -> None:
        if self.began.level == "shadow":
            self.report("level", event.id, record, "launched, although the run's level is shadow")
        if (before := self.known.get(event.id)) is not None:
            self.report("lifecycle", event.id, record, f"launched twice; it is {before.state.value} since {before.at}")
            return
        standing = self.known[event.id] = Standing(event, record)
        running = sum(standing.running for standing in self.known.values())
        self._spend("max_in_flight", running, event.id, record)
        may_come = self.previews.get(event.parent or "")
        if may_come is False:
            self.report("lineage", event.id, record, f"launched, but {event.parent}, which it rests on, is over")
        # A preview writes the message after the one whose calls are under way, and a second body is of the first's.
        reach = self.began.max_depth + (may_come is not None or event.source == HEDGE)
        if not 1 <= event.depth <= reach:
            told = f"launched {event.depth} messages ahead, and max_depth is {self.began.max_depth}"
            self.report("budget", event.id, record, told)
        if standing.is_guess:
            self._per_turn[event.turn, event.depth] += 1
            self._guesses += 1
            self._spend("max_per_turn", self._per_turn[event.turn, event.depth], event.id, record)
            self._spend("max_per_run", self._guesses, event.id, record)

    def _spend(self, limit: str, spent: int, id: str, record: int) -> None:
        allowed = getattr(self.began, limit)
        if spent > allowed:
            self.report("budget", id, record, f"{spent} speculations, and {limit} is {allowed}")

    def _matched(self, event: events.Matched, standing: Standing, record: int) -> None:
        launched = standing.launched
        if standing.failed or "match" not in TRANSITIONS[standing.state]:
            how = "its body failed" if standing.failed else f"it is {standing.state.value}"
            self.report("commit", event.id, record, f"a real call gets it, but {how} since record {standing.at}")
            return
        if launched.ttl_s is not None and not event.at - launched.at <= launched.ttl_s:
            age = f"{event.at - launched.at:g} s"
            self.report("commit", event.id, record, f"a real call gets it after {age}, but ttl_s is {launched.ttl_s:g}")
        standing.state, standing.at = step(standing.state, "match"), record

    def _committed(self, event: events.Committed, standing: Standing, record: int) -> None:
        if standing.committed:
            self.report("commit", event.id, record, f"committed twice, before in record {standing.committed}")
        elif standing.state is not State.COMMITTED:
            how = "its body failed" if standing.failed else f"it is {standing.state.value}"
            self.report("commit", event.id, record, f"committed, but {how} since record {standing.at}")
        elif standing.twin is not None and standing.twin.committed:
            told = f"committed, but so was its twin {standing.twin.launched.id} in record {standing.twin.committed}"
            self.report("commit", event.id, record, told)
        standing.committed = record

    def _hedge(self, event: events.Hedged, record: int) -> None:
        first, twin = self.known.get(event.id), self.known.get(event.twin)
        if first is None or twin is None or first.state is not State.PROMOTED or first.twin is not None:
            self.report("lifecycle", event.id, record, "hedged, but no real call waits for it, and for it alone")
            return
        first.twin, twin.twin = twin, first

    def _repeat(self, event: events.Repeated, record: int) -> None:
        if not event.age_s <= event.ttl_s:  # also finds NaN
            told = f"an answer is given again after {event.age_s:g} s, but ttl_s is {event.ttl_s:g}"
            self.report("commit", None, record, told)

    def _finished(self, event: events.Finished, standing: Standing, record: int) -> None:
        if not standing.running:
            self.report("lifecycle", event.id, record, "its body ends twice")
            return
        standing.running = False
        if standing.over:
            return
        standing.at, standing.failed = record, not event.ok
        if event.ok:
            standing.state = step(standing.state, "finish")

    def _discarded(self, event: events.Discarded, standing: Standing, record: int) -> None:
        if standing.over:
            told = f"discarded ({event.reason}), but it is {standing.state.value} since record {standing.at}"
            self.report("lifecycle", event.id, record, told)
            return
        standing.state, standing.at = State.DISCARDED, record
        self.discarded[standing.is_guess] += 1
        if event.reason == Discard.CONTRADICTED:
            children = self._resting_on(event.id)
            # A message that makes the call of one of them confirms it, whatever it makes of the others.
            self._orphans += [id for id in children if self.known[id].launched.tool not in self._made]
        if standing.is_guess and event.reason in (Discard.CONTRADICTED, Discard.PREEMPTED):
            launched = standing.launched
            self._per_turn[launched.turn, launched.depth] -= 1  # another may take its place
        self._spend("max_wasted_per_run", self.discarded[standing.is_guess], event.id, record)

    def _resting_on(self, parent: str) -> list[str]:
        return [id for id, other in self.known.items() if other.launched.parent == parent and not other.over]

    def _wasted(self, event: events.Wasted, standing: Standing, record: int) -> None:
        standing.running = False
        if standing.state is not State.DISCARDED:
            self.report("lifecycle", event.id, record, f"wasted, but it is {standing.state.value}")

    def _settle(self, event: events.CallSettled, standing: Standing, record: int) -> None:
        if not standing.committed:
            told = f"a real call is answered by it, but it is {standing.state.value} and was not committed"
            self.report("commit", event.id, record, told)
        elif standing.settled:
            self.report(
                "commit", event.id, record, f"it answers two real calls, the other in record {standing.settled}"
            )
        standing.settled = record

    def _close(self, event: events.RunClosed, record: int) -> None:
        self.closed = self.closed or record
        for id, standing in self.known.items():
            if not standing.over:
                self.report("closed", id, record, f"the run is closed, but it is {standing.state.value}")
            elif standing.state is State.COMMITTED and not standing.committed:
                self.report(
                    "lifecycle", id, record, "a real call got it and its body ended well, but it never committed"
                )
        hits = sum(standing.settled > 0 for standing in self.known.values())
        for name, counted, told in (("launched", len(self.known), event.launched), ("hits", hits, event.hits)):
            if counted != told:
                self.report("ledger", None, record, f"{name} is {told}, but the run's records have {counted}")


def _name(event: events.Event) -> str:
    return type(event).__name__


_NOT_AFTER_THE_END = (
    events.Launched,
    events.Matched,
    events.Committed,
    events.Discarded,
    events.Hedged,
    events.Repeated,
    events.WarmUpBegan,
    events.WarmUpUsed,
    events.PreviewBegan,
    events.PreviewUsed,
    events.RunClosed,
)
_TAKES: dict[type[events.Event], Callable[..., None]] = {
    events.Matched: Replay._matched,
    events.Committed: Replay._committed,
    events.Finished: Replay._finished,
    events.Discarded: Replay._discarded,
    events.Wasted: Replay._wasted,
}
