"""Admission: which allowed candidates are worth running now, within the budgets.

The gate says what *may* run; this says what *does*. Best first, and every refusal has its reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from langgraph_speculate.policy import Limits


class Refusal(StrEnum):
    """Why an allowed candidate was not launched."""

    LOW_PROBABILITY = "low_probability"  # less than its policy's eagerness asks for
    NOT_WORTH_IT = "not_worth_it"  # it is expected to cost more than it saves
    TOO_FAST = "too_fast"  # its tool answers so fast that there is nothing to gain
    DUPLICATE = "duplicate"  # the same call is in flight already, or was started for this message before
    MAX_PER_TURN = "max_per_turn"
    MAX_IN_FLIGHT = "max_in_flight"
    MAX_PER_RUN = "max_per_run"
    MAX_IN_PROCESS = "max_in_process"
    MAX_WASTED = "max_wasted_per_run"
    MAX_WASTED_S = "max_wasted_s_per_run"
    MAX_WASTED_THREAD = "max_wasted_per_thread"
    MAX_GHOST = "max_ghost_per_run"
    REMEMBERED = "remembered"  # the run has an answer to it that may be given again
    CALL_LIMIT = "call_limit"  # a limit on tool calls leaves no room for one that nobody may want
    BREAKER = "breaker"  # guesses like it have cost more than they saved, so they are only scored for a while
    COOLING_DOWN = "cooling_down"  # its service said that it is overloaded, or attempts failed one after the other
    SLOTS = "slots"  # its service could not run a real call as well
    RATE = "rate"  # its service's rate, as far as real calls leave some of it


SPENT = frozenset(
    {
        Refusal.MAX_PER_TURN,
        Refusal.MAX_IN_FLIGHT,
        Refusal.MAX_PER_RUN,
        Refusal.MAX_IN_PROCESS,
        Refusal.MAX_WASTED,
        Refusal.MAX_WASTED_S,
        Refusal.MAX_WASTED_THREAD,
    }
)
"""Budgets that leave room for no guess at all, whichever it is."""


class Spent(NamedTuple):
    """What a run has used of its budgets.

    Attributes:
        turn: Launches in this model turn.
        run: Launches in this run.
        wasted: Discarded launches of this run.
        wasted_s: Seconds of their bodies.
        thread_wasted: Launches of this thread that no real call has adopted.
        in_flight: Bodies that are running now, those of discarded speculations included.
        in_process: The same of all runs of this process.
        ghosts: Launches that left the trust boundary and that no real call has adopted.
        room: How many more bodies the limits on tool calls leave, or None.
    """

    turn: int = 0
    run: int = 0
    wasted: int = 0
    wasted_s: float = 0.0
    thread_wasted: int = 0
    in_flight: int = 0
    in_process: int = 0
    ghosts: int = 0
    room: int | None = None


def dismissal(probability: float, floor: float | None, worth: float, too_fast: bool) -> Refusal | None:
    """Return why a candidate is not worth launching, whatever is left of the budgets, or None if it is.

    Args:
        probability: Its probability, in [0, 1].
        floor: The least probability its policy asks for; None lets its worth decide.
        worth: Expected seconds saved, net of what it costs (`core/worth.py`).
        too_fast: Whether its tool answers so fast that there is nothing to gain.
    """
    if not probability >= (floor or 0.0):  # also refuses NaN
        return Refusal.LOW_PROBABILITY
    if floor is None and too_fast:
        return Refusal.TOO_FAST
    return Refusal.NOT_WORTH_IT if floor is None and not worth > 0 else None


def excess(key: str, *, alive: Iterable[str], spent: Spent, limits: Limits, leaves: bool = False) -> Refusal | None:
    """Return why a candidate that is worth it does not fit into what is left of the budgets, or None if it does.

    Args:
        key: Its canonical key.
        alive: Keys of the speculations that could still answer a call.
        spent: What the run has used.
        limits: What it may use.
        leaves: Whether it leaves the trust boundary.
    """
    if key in alive:
        return Refusal.DUPLICATE
    if spent.turn >= limits.max_per_turn:
        return Refusal.MAX_PER_TURN
    if spent.in_flight >= limits.max_in_flight:
        return Refusal.MAX_IN_FLIGHT
    if spent.in_process >= limits.max_in_process:
        return Refusal.MAX_IN_PROCESS
    if spent.run >= limits.max_per_run:
        return Refusal.MAX_PER_RUN
    if spent.wasted >= limits.max_wasted_per_run:
        return Refusal.MAX_WASTED
    if spent.wasted_s >= limits.max_wasted_s_per_run:
        return Refusal.MAX_WASTED_S
    if spent.thread_wasted >= limits.max_wasted_per_thread:
        return Refusal.MAX_WASTED_THREAD
    if leaves and spent.ghosts >= limits.max_ghost_per_run:
        return Refusal.MAX_GHOST
    if spent.room is not None and spent.room < 1:
        return Refusal.CALL_LIMIT
    return None
