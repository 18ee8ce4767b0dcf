"""The in-flight table: which speculations exist and which one answers a call.

Pure bookkeeping of one run. Starting and stopping work is the runner's job (`host/runner.py`).
The ledger always adds up: issued = committed + discarded (by reason) + alive.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.speculation import Discard, Speculation, Stage, State


class Table:
    """The speculations of one run.

    Bounded by the run's launch budget: what is over and whose body ended is forgotten, all but its place in the ledger.

    Attributes:
        issued, committed, discarded: The ledger.
        in_flight: Bodies that are running, those of discarded speculations that drain included.
    """

    def __init__(self) -> None:
        self._by_id: dict[str, Speculation] = {}
        self.issued = 0
        self.in_flight = 0
        self.committed = 0
        self.discarded: Counter[Discard] = Counter()
        self._wasted_guesses = 0

    def __iter__(self) -> Iterator[Speculation]:
        """The speculations that could still answer a call, oldest first."""
        known = self._by_id  # mostly none
        return iter([speculation for speculation in known.values() if not speculation.over] if known else ())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def wasted(self, *, guesses: bool) -> int:
        """How many were discarded: of the guesses, or of the calls that the model had written."""
        return self._wasted_guesses if guesses else self.discarded.total() - self._wasted_guesses

    @property
    def ready(self) -> list[Speculation]:
        """Results that wait for a real call, oldest first."""
        return [speculation for speculation in self if speculation.state is State.READY]

    def get(self, id: str) -> Speculation | None:
        """The speculation of that id, unless it is over and done with."""
        return self._by_id.get(id)

    def launch(self, speculation: Speculation) -> None:
        """Note a new speculation."""
        self._by_id[speculation.id] = speculation
        self.issued += 1
        self.in_flight += 1

    def candidates_for(self, key: str, venue: str) -> list[Speculation]:
        """Speculations that could answer a call of that key in that venue: finished ones first, then the oldest."""
        found = [s for s in self if s.call.key == key and s.venue == venue and s.state is not State.PROMOTED]
        return sorted(found, key=lambda s: s.state is not State.READY)

    def match(self, speculation: Speculation) -> None:
        """A real call takes this speculation: READY is committed, RUNNING promoted."""
        self._take(speculation, "match")
        self.confirm(speculation)

    def lineage(self, id: str) -> list[Speculation]:
        """Those that rest on that guess or preview, be it on a guess that rests on it, oldest first."""
        found, ids = [], {id}
        for speculation in self:  # none is older than what it rests on
            if speculation.parent in ids:
                found.append(speculation)
                ids.add(speculation.id)
        return found

    def confirm(self, speculation: Speculation) -> None:
        """The model has made its call: neither it nor what takes that call for granted rests on a guess any more."""
        speculation.parent = None
        self.release(speculation.id)

    def release(self, id: str) -> None:
        """What rests on that guess, or on that preview, is taken for granted no more."""
        for speculation in self:
            if speculation.parent == id:
                speculation.parent = None

    def finish(self, id: str, outcome: Outcome, now: float, rejected: Discard | None) -> Speculation | None:
        """A body ended. With *rejected* its outcome cannot be used; returns the speculation, or None if unknown."""
        speculation = self._by_id.get(id)
        if speculation is None or speculation.ended_at is not None:
            return None
        speculation.ended_at = now
        self.in_flight -= 1
        if speculation.over:  # discarded while the body ran on
            del self._by_id[id]
        elif rejected is not None:
            self._take(speculation, "fail", rejected)
        else:
            speculation.outcome = outcome
            self._take(speculation, "finish")
        return speculation

    def discard(self, speculation: Speculation, event: str, reason: Discard) -> None:
        """End a speculation without using its result."""
        self._take(speculation, event, reason)

    def _take(self, speculation: Speculation, event: str, reason: Discard | None = None) -> None:
        speculation.take(event, reason)
        if speculation.state is State.COMMITTED:
            self.committed += 1
        elif reason is not None:
            self.discarded[reason] += 1
            self._wasted_guesses += speculation.stage is not Stage.COMPLETE
        if speculation.over and speculation.ended_at is not None:
            self._by_id.pop(speculation.id, None)
