"""A real call that has waited too long for a speculation: the call is started once more, and either body may answer.

After Dean and Barroso, "The tail at scale" (2013): the few slowest bodies are slow by chance, and another one is not.
"""

from __future__ import annotations

from langgraph_speculate.core.commands import MISS, Cancel, Command, Commit, Launch, Miss
from langgraph_speculate.core.facts import ToolFacts
from langgraph_speculate.core.foresight import Foresight
from langgraph_speculate.core.gate import Deny, decide
from langgraph_speculate.core.speculation import Discard, Speculation, State


class Hedging(Foresight):
    """Waiting for a speculation, between moments 4 and 5 of a run."""

    def hedge(self, speculation: Speculation, tool: ToolFacts, now: float) -> list[Command]:
        """A real call has waited long for *speculation*: start the call once more, if that costs nobody anything.

        Whichever body ends well first answers the call.

        Args:
            speculation: What it waits for.
            tool: What is known about its tool.
            now: Seconds on the monotonic clock.
        """
        policy, call = tool.rule.tool, speculation.call
        if speculation.state is not State.PROMOTED or speculation.id in self._twins:
            return []
        if policy is None or policy.is_rationed or not self._budget.has_room():
            return []
        if isinstance(decide(call, tool, speculation.venue, self.view, call_id=speculation.call_id), Deny):
            return []
        twin = speculation.twin(f"{self.run}:{self.table.issued + 1}", self.view.epochs.now, now)
        self._twins[speculation.id], self._twins[twin.id] = twin, speculation
        self.table.launch(twin)
        self._budget.launched(twin)
        self._journal.launched(twin, now)
        self._journal.hedged(speculation, twin, now)
        self.table.match(twin)
        self._journal.matched(twin, now)
        return [Launch(twin)]

    def claim(self, speculation: Speculation, now: float) -> tuple[Commit | Miss, list[Command]]:
        """A real call has waited for *speculation*: its result or its twin's, or a miss if neither ended well.

        What the end of the run has left to the call is no hit any more, but its result all the same.
        """
        pair = self._pair(speculation)
        for ended in pair:
            if ended.outcome is not None:
                return Commit(ended, ended.outcome), _stopped(pair)
        return MISS, self._let_go(pair, Discard.OVERRUN, now)

    def abandon(self, speculation: Speculation, now: float) -> list[Command]:
        """The real call that waited for *speculation* was cancelled."""
        return self._let_go(self._pair(speculation), Discard.ABANDONED, now)

    def _let_go(self, pair: list[Speculation], reason: Discard, now: float) -> list[Command]:
        return [*_stopped(pair), *self._drop((s for s in pair if not s.over), "fail", reason, now)]

    def _pair(self, speculation: Speculation) -> list[Speculation]:
        """What a real call has waited for, and will not any more."""
        twin = self._twins.pop(speculation.id, None)
        if twin is None:
            return [speculation]
        self._twins.pop(twin.id, None)
        return [speculation, twin]

    def _drop_twin(self, id: str, now: float) -> list[Command]:
        """A body ended well and answers its call: the other one of the two is not needed."""
        twin = self._twins.get(id)
        return [] if twin is None or twin.over else self._drop([twin], "fail", Discard.HEDGED, now)


def _stopped(pair: list[Speculation]) -> list[Command]:
    """Bodies that the end of their run has left to the real call, which has no use for them any more."""
    unwanted = [speculation for speculation in pair if speculation.left and speculation.ended_at is None]
    for speculation in unwanted:
        speculation.left = False
    return [Cancel(speculation.id, drain=False) for speculation in unwanted]
