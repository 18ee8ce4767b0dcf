"""Admission: which allowed candidates are worth running now, within the budgets.

The gate says what *may* run; this says what *does*. Best first, and every refusal has its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from langgraph_speculate.core.speculation import Stage
from langgraph_speculate.policy import Limits

AUTO_FLOOR = 0.15
"""Least probability at `eagerness = "auto"`.

On the training halves of recorded support agents it costs 0.8 to 1.0 wasted launches a hit; 0.1 costs 1.0 to 1.3 for a
few more hits, 0.3 costs 0.5 and gives up a tenth of them.
"""


AUTO_FLOORS: Mapping[Stage, float] = MappingProxyType(
    {Stage.BEGIN: AUTO_FLOOR, Stage.TEXT: 0.2, Stage.NAME: 0.25, Stage.ARGUMENTS: 0.4, Stage.COMPLETE: 0.0}
)
"""The same by how much of the model's message is known: the less of it is left, the less a right guess still gains.

On training halves these gain nearly as much as 0.15 throughout, for about as much waste a hit as guesses at the
beginning of a message cost; 0.15 doubles that.
"""


class Refusal(StrEnum):
    """Why an allowed candidate was not launched."""

    LOW_PROBABILITY = "low_probability"
    DUPLICATE = "duplicate"  # the same call is in flight already, or was started for this message before
    MAX_PER_TURN = "max_per_turn"
    MAX_IN_FLIGHT = "max_in_flight"
    MAX_PER_RUN = "max_per_run"
    MAX_WASTED = "max_wasted_per_run"
    MAX_GHOST = "max_ghost_per_run"
    CALL_LIMIT = "call_limit"  # a limit on tool calls leaves no room for one that nobody may want
    BREAKER = "breaker"  # guesses like it have cost more than they saved, so they are only scored for a while
    COOLING_DOWN = "cooling_down"  # its service said that it is overloaded, or attempts failed one after the other
    SLOTS = "slots"  # its service could not run a real call as well
    RATE = "rate"  # its service's rate, as far as real calls leave some of it


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has used of its budgets.

    Attributes:
        turn: Launches in this model turn.
        run: Launches in this run.
        wasted: Discarded launches of this run.
        in_flight: Bodies that are running now, those of discarded speculations included.
        ghosts: Launches that left the trust boundary and that no real call has adopted.
        room: How many more bodies the limits on tool calls leave, or None.
    """

    turn: int = 0
    run: int = 0
    wasted: int = 0
    in_flight: int = 0
    ghosts: int = 0
    room: int | None = None


def admit(
    key: str,
    probability: float,
    floor: float | None,
    *,
    alive: Iterable[str],
    spent: Spent,
    limits: Limits,
    leaves: bool = False,
    stage: Stage = Stage.BEGIN,
) -> Refusal | None:
    """Return why a candidate should not be launched now, or None if it should.

    Args:
        key: The candidate's canonical key.
        probability: Its probability, in [0, 1].
        floor: The least probability its policy asks for; None means that of its stage in `AUTO_FLOORS`.
        alive: Keys of the speculations that could still answer a call.
        spent: What the run has used.
        limits: What it may use.
        leaves: Whether it leaves the trust boundary.
        stage: How much of the model's message is known.
    """
    if not probability >= (AUTO_FLOORS[stage] if floor is None else floor):  # also refuses NaN
        return Refusal.LOW_PROBABILITY
    if key in alive:
        return Refusal.DUPLICATE
    if spent.turn >= limits.max_per_turn:
        return Refusal.MAX_PER_TURN
    if spent.in_flight >= limits.max_in_flight:
        return Refusal.MAX_IN_FLIGHT
    if spent.run >= limits.max_per_run:
        return Refusal.MAX_PER_RUN
    if spent.wasted >= limits.max_wasted_per_run:
        return Refusal.MAX_WASTED
    if leaves and spent.ghosts >= limits.max_ghost_per_run:
        return Refusal.MAX_GHOST
    if spent.room is not None and spent.room < 1:
        return Refusal.CALL_LIMIT
    return None
