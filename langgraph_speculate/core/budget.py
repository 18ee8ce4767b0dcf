"""What a run has used of its budgets, and whether one more launch fits."""

from __future__ import annotations

from collections import Counter

from langgraph_speculate.core.admission import Refusal, Spent, excess
from langgraph_speculate.core.commands import Proposal
from langgraph_speculate.core.economy import Economy
from langgraph_speculate.core.speculation import Speculation, Stage
from langgraph_speculate.core.table import Table
from langgraph_speculate.core.tally import Tally
from langgraph_speculate.policy import Limits, ToolPolicy


class Budget:
    """The budgets of one run.

    A call that the model has written completely is no guess: it counts among the bodies in flight, but not among the
    guesses of its turn and of the run. Those that nobody wants in the end, because the message breaks, count apart.

    Args:
        limits: The budgets.
        table: The run's speculations.
        thread: Early bodies of earlier runs of the same thread, by tool (`core/tally.py`).
        economy: What all runs of the graph share.
    """

    def __init__(self, limits: Limits, table: Table, thread: Counter[str], economy: Economy) -> None:
        self._limits = limits
        self._table = table
        self._thread = thread
        self._tally = Tally(thread)
        self._economy = economy
        self._wasted_s = 0.0
        # Guesses by turn and how far ahead, without those that the model has contradicted.
        self._standing: Counter[tuple[str, int]] = Counter()
        self._guesses = 0
        self._ghosts = 0

    def refusal(
        self, proposal: Proposal, key: str, policy: ToolPolicy, turn: str, headroom: int | None
    ) -> Refusal | None:
        """Why a call must not be launched now, or None if it may.

        Args:
            proposal: The call.
            key: Its canonical key.
            policy: Its tool's entry.
            turn: The model turn.
            headroom: How many more calls the limits that are kept elsewhere leave, or None for no such limit.
        """
        is_guess = proposal.stage is not Stage.COMPLETE
        return excess(
            key,
            # That a call was written twice, and needs two bodies, is for the session to know.
            alive=[other.call.key for other in self._table] if is_guess else (),
            spent=self._spent(
                is_guess=is_guess,
                turn=self._standing[turn, proposal.depth],
                room=self._tally.room(proposal.candidate.call.name, policy, proposal.asked, headroom),
            ),
            limits=self._limits,
            leaves=policy.open_world,
        )

    def has_room(self) -> bool:
        """Whether one more body fits of a call that a real call waits for."""
        return excess("", alive=(), spent=self._spent(is_guess=False), limits=self._limits) is None

    def _spent(self, *, is_guess: bool, turn: int = 0, room: int | None = None) -> Spent:
        alike = sum([(other.stage is not Stage.COMPLETE) == is_guess for other in self._table])
        return Spent(
            turn=turn if is_guess else 0,
            run=self._guesses if is_guess else 0,
            # What is still alive may be wasted too: counting it keeps the budget a bound and not a hope.
            wasted=self._table.wasted(guesses=is_guess) + alike,
            wasted_s=self._wasted_s,
            thread_wasted=self._thread.total(),
            in_flight=self._table.in_flight,
            in_process=self._economy.in_process(),
            ghosts=self._ghosts,
            room=room,
        )

    def launched(self, speculation: Speculation) -> None:
        """It starts."""
        is_guess = speculation.stage is not Stage.COMPLETE
        self._standing[speculation.turn, speculation.depth] += is_guess
        self._guesses += is_guess
        self._ghosts += speculation.leaves
        self._tally.launched(speculation.call.name)

    def contradicted(self, speculation: Speculation) -> None:
        """The model's stream has ruled it out: another guess may take its place in the turn."""
        self._standing[speculation.turn, speculation.depth] -= speculation.stage is not Stage.COMPLETE

    def wasted(self, speculation: Speculation) -> None:
        """Its body has ended, and nobody wants the result."""
        self._wasted_s += speculation.ran_s

    def settled(self, tool: str) -> None:
        """A real call has its answer."""
        self._tally.settled(tool)

    def adopted(self, hit: Speculation) -> None:
        """It is the result of *hit*."""
        self._ghosts -= hit.leaves
        self._tally.adopted(hit.call.name)
