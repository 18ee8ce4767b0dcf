"""Admission: which allowed candidates are worth running now, within the budgets.

The gate says what *may* run; this says what *does*. Best first, and every refusal has its reason.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True, slots=True)
class Spent:
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


def admit(
    key: str,
    probability: float,
    floor: float | None,
    *,
    worth: float = 1.0,
    too_fast: bool = False,
    alive: Iterable[str],
    spent: Spent,
    limits: Limits,
    leaves: bool = False,
) -> Refusal | None:
    """Return why a candidate should not be launched now, or None if it should.

    Args:
        key: The candidate's canonical key.
        probability: Its probability, in [0, 1].
        floor: The least probability its policy asks for; None lets its worth decide.
        worth: Expected seconds saved, net of what it costs (`core/worth.py`).
        too_fast: Whether its tool answers so fast that there is nothing to gain.
        alive: Keys of the speculations that could still answer a call.
        spent: What the run has used.
        limits: What it may use.
        leaves: Whether it leaves the trust boundary.
    """
    if not probability >= (floor or 0.0):  # also refuses NaN
        return Refusal.LOW_PROBABILITY
    if floor is None and too_fast:
        return Refusal.TOO_FAST
    if floor is None and not worth > 0:
        return Refusal.NOT_WORTH_IT
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
