"""Records about a run as a whole: its beginning, its end, and what goes off or on for all runs of its graph."""

from __future__ import annotations

from dataclasses import dataclass

from langgraph_speculate.core.events.base import SCHEMA, Event


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBegan(Event):
    """The first record of a run.

    Attributes:
        partition: A hash of what sets its user apart; the same within one wrapped graph only.
        world: Names the resources it shares with the runs of its partition: their epochs have one order.
        max_depth: And the others: the run's budgets (`policy/limits.py`).
        schema: The version of the shape of its records.
        wall: What a calendar's clock showed at `at`, in seconds since 1970 (UTC); 0 if nobody looked.
        graph: The graph's name; empty if it has none.
        level: The policy's level after the environment had its say; empty if nobody said.
    """

    partition: str
    world: str
    max_in_flight: int
    max_per_turn: int
    max_per_run: int
    max_wasted_per_run: int
    max_depth: int = 1
    schema: int = SCHEMA
    wall: float = 0.0
    graph: str = ""
    level: str = ""


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
