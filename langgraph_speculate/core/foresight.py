"""What is launched for messages after the one that the model is writing.

A guess of that kind takes for granted that the model makes certain calls before: those of the message it has just
written, whose results are not there yet, or those of other guesses. Until the model has made such a call, whatever
rests on it falls with it; so a run never holds on to a future that cannot come. Calls that a preview of the model has
written are launched in the same way: they rest on the preview.
"""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_speculate.core.commands import Command, Proposal
from langgraph_speculate.core.speculation import Discard, Speculation, State
from langgraph_speculate.core.stakes import Tokens
from langgraph_speculate.core.turns import Turns


class Foresight(Turns):
    """Looking further ahead, between the first three moments of a run."""

    def looked_ahead(
        self, turn: str, parent: str | None, proposals: Sequence[Proposal], now: float, headroom: int | None = None
    ) -> list[Command]:
        """The predictor looked one message further: gate and admit what it found. Too late, or too far, is ignored.

        Args:
            turn: The model turn that it was asked in.
            parent: The speculation whose call it took for granted; None: the calls that the message of *turn* made.
            proposals: The candidates, best first, each with its probability if all that was taken for granted is true.
            now: Seconds on the monotonic clock.
            headroom: As in `predicted`.
        """
        ahead = self._ahead(turn, parent)
        if ahead is None:
            return []
        depth, chance = ahead
        far = [proposal.further(depth, parent, chance) for proposal in proposals]
        return self._launch(turn, far, now, headroom)

    def may_look_past(self, turn: str, parent: str | None) -> bool:
        """Whether anything could be launched that takes the call of *parent* for granted, see `looked_ahead`."""
        return self._ahead(turn, parent) is not None

    def _ahead(self, turn: str, parent: str | None) -> tuple[int, float] | None:
        """How far ahead the message after *parent* is, and how likely *parent* is; None where nobody may look."""
        step, chance = self._step, 1.0
        if parent is not None:
            speculation = self.table.get(parent)
            if speculation is None or speculation.over or speculation.leaves or speculation.missed:
                return None
            if speculation.step < self._step:
                return None
            step, chance = speculation.step, speculation.probability
        elif not self._ended.get(turn):
            return None
        depth = step - self._step + 2
        return None if self.closed or depth > self.limits.max_depth else (depth, chance)

    def guesses_after(self, parent: str | None) -> list[Speculation]:
        """What takes the call of *parent* for granted; None: what was launched for the next message."""
        if parent is not None:
            return [s for s in self.table if s.parent == parent]
        return [s for s in self.table if s.step == self._step + 1]

    # -- previews ----------------------------------------------------------------------------------------------------

    def previewed(
        self, turn: str, preview: str, proposal: Proposal, now: float, headroom: int | None = None
    ) -> list[Command]:
        """A preview of the message after that of *turn* has written a call: gate and admit it. Too late is ignored.

        Args:
            turn: The model turn whose calls are under way.
            preview: The preview, which its call rests on: it is as likely, and falls with it.
            proposal: The call.
            now: Seconds on the monotonic clock.
            headroom: As in `predicted`.
        """
        chance = self.previews.chance(preview)
        if self.closed or chance is None or not self._ended.get(turn):
            return []
        return self._launch(turn, [proposal.further(2, preview, chance)], now, headroom)

    def preview_used(self, id: str, hidden_s: float, joined: bool, now: float) -> None:
        """A real call of the model takes a preview over, see `Previews.used`: its calls are that call's."""
        self.previews.used(id, hidden_s, joined, now)
        self.table.release(id)

    def preview_wasted(self, id: str, reason: str, tokens: Tokens, now: float) -> list[Command]:
        """Nobody takes what a preview wrote, see `Previews.wasted`: its calls will not come."""
        self.previews.wasted(id, reason, tokens, now)
        return self.preview_revised(id, now)

    def preview_revised(self, id: str, now: float) -> list[Command]:
        """What a preview wrote of its calls is void: let go of what rests on it."""
        lost = [speculation for speculation in self.table.lineage(id) if speculation.state is not State.PROMOTED]
        for speculation in lost:
            self._unstart(speculation)
        return self._drop(lost, "squash", Discard.LINEAGE, now)
