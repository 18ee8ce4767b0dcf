"""One frozen record per thing that happened.

Values stay out: a record names tools and ids, never arguments or results. `at` is seconds on the host's monotonic
clock, `run` the id of one agent run, `turn` one model call of it, `id` one speculation, `warm_up` one warm-up.

A log of all records is a history that can be checked (`observe/audit.py`): `number` says in which order things happened
in a run, epochs in which order writes and reads did across runs, and marks (`core/marks.py`) stand for what was read
and written.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all records.

    Attributes:
        number: Its place among the run's records, from 1: threads may hand them out in another order than they
            happened. 0 if nobody counted.
    """

    run: str
    at: float
    number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegan(Event):
    """The first record of a run.

    Attributes:
        partition: A hash of what sets its user apart; the same within one wrapped graph only.
        world: Names the resources it shares with the runs of its partition: their epochs have one order.
        max_depth: And the others: the run's budgets (`policy/limits.py`).
    """

    partition: str
    world: str
    max_in_flight: int
    max_per_turn: int
    max_per_run: int
    max_wasted_per_run: int
    max_depth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnBegan(Event):
    """A model call started."""

    turn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted(Event):
    """What is expected of a model call: (tool, probability, source), best first."""

    turn: str
    candidates: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Narrowed(Event):
    """What is expected of a model call now that its stream has said more: (tool, probability, source), best first.

    Attributes:
        stage: How much of the message was known (`core/speculation.py`, `Stage`).
    """

    turn: str
    stage: str
    candidates: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied(Event):
    """The gate kept *count* candidates of a turn, or the result of a speculation, from being used."""

    turn: str
    tool: str
    reason: str
    detail: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused(Event):
    """*count* candidates were allowed but not worth their cost now, or a budget was spent."""

    turn: str
    tool: str
    reason: str
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched(Event):
    """A speculation started.

    Attributes:
        epoch: The epoch of the run's resources at that moment.
        ttl_s: Seconds for which its result may be used, or None if nobody said.
        stage: How much of the model's message was known (`core/speculation.py`, `Stage`).
        depth: How far ahead: 1 for the message that was being written, 2 for the one after it, and so on.
        parent: The speculation whose call it takes for granted, or None.
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
class Repeated(Event):
    """The remembered answer of an earlier call of the run answers the same call again.

    Attributes:
        age_s: Seconds since the body that made it started.
        ttl_s: Seconds for which it may be used.
        since: The epoch of the run's resources when that body started.
        epoch: The epoch now.
        reads: Marks of what it read.
    """

    tool: str
    age_s: float
    ttl_s: float
    since: int
    epoch: int
    reads: tuple[str, ...]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpBegan(Event):
    """The owner's function that makes calls of a tool faster was started.

    Attributes:
        probability: That the tool is called and no guess of it runs already.
    """

    turn: str
    warm_up: str
    tool: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpEnded(Event):
    """That function ended after *seconds*, well or not."""

    warm_up: str
    tool: str
    seconds: float
    ok: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpUsed(Event):
    """A real call of the tool came while it was warm."""

    warm_up: str
    tool: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpWasted(Event):
    """No real call of the tool came in time: *seconds* of that function were for nothing."""

    warm_up: str
    tool: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnded(Event):
    """The model's message is complete: how many calls it made, and how many of them stood among the predictions."""

    turn: str
    calls: tuple[str, ...]
    foreseen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrote(Event):
    """A real call that may write began, or ended.

    Attributes:
        began: True when it began, False when it ended.
        epoch: The epoch that this made.
        writes: Marks of what it may write.
    """

    began: bool
    epoch: int
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettled(Event):
    """A real call ended.

    Attributes:
        id: The speculation it adopted, or None for a miss.
        joined: It waited for that speculation to finish.
        waited_s: Seconds the call took as the agent saw it.
        tool_s: Seconds the tool's body took, early or not; of a repeat, which has none, those that the call took.
        twin: The speculation it adopted is the second body of a hedged one.
        repeat: A remembered answer was given again: neither a hit nor a miss.
        depth: How far ahead that speculation was launched; 1 for a miss, too.
    """

    tool: str
    id: str | None
    joined: bool
    waited_s: float
    tool_s: float
    twin: bool = False
    repeat: bool = False
    depth: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSettled(Event):
    """All calls of one model turn ended; parallel calls count once, by their critical path.

    Attributes:
        tool_s: The longest body among them, which is what the plain graph would have waited.
        waited_s: The longest wait.
        tool: The tool of the longest body; hidden = `tool_s - waited_s` is counted for it.
    """

    tool: str
    tool_s: float
    waited_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Switched(Event):
    """Running ahead went off, is probed, or is on again, for a part of what a graph does.

    Attributes:
        scope: What kind of part: guesses of one source for one tool (`pattern`), a `tool`, the `graph`, or all tools
            of a `host`.
        name: Which one.
        state: `off`: nothing of it runs ahead. `probing`: a few launches, to see. `on`: as ever.
        reason: `worth`: it costs more than it saves, or does no longer. `overloaded`: its service said so. `failing`:
            attempts of it failed one after the other.
        worth_s: What the guesses that were looked at were worth together, in seconds that nobody waited.
        settled: How many they were; for `failing`, how many attempts failed.
        status: The status that its service answered with, or 0.
        pause_s: Seconds for which it is off, unless its guesses come true, or never do, in the meantime.
    """

    scope: str
    name: str
    state: str
    reason: str
    worth_s: float = 0.0
    settled: int = 0
    status: int = 0
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunClosed(Event):
    """The run is over, however it ended; nothing of it is left running."""

    launched: int
    hits: int
    hidden_s: float
