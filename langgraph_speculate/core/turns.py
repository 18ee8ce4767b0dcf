"""The model's turns of one agent run, as decisions: what is launched beside a model call, what its stream rules out.

1 a turn begins · 2 its stream says more · 3 it ends. What real calls make of it is `session.py`'s business.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from langgraph_speculate.core import events
from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.commands import Command, Proposal
from langgraph_speculate.core.launches import Launches
from langgraph_speculate.core.openturn import OpenTurn, alike
from langgraph_speculate.core.speculation import Discard, Speculation


class Turns(Launches):
    """The first three moments of a run."""

    # -- moment 1 ----------------------------------------------------------------------------------------------------

    def begin_turn(self, turn: str, now: float, model: str = "") -> list[Command]:
        """A call of *model* starts: what was kept for the step before it only is let go.

        What was launched further ahead, for this step, is a guess of this turn from now on.
        """
        if self.closed:
            return []
        if self._ended or not self._open:
            self._pace.began(model, now)
        opened = self._open[turn] = OpenTurn()
        self._journal.note(events.TurnBegan, now, turn=turn, model=model)
        if not self._ended:  # another model of the same step, running beside the first
            return []
        self._ended.clear()
        self._step += 1
        commands = self._drop([s for s in self.table if self._is_outdated(s)], "expire", Discard.EXPIRED, now)
        opened.inherit(s for s in self.table if s.step == self._step)
        return commands

    def _is_outdated(self, speculation: Speculation) -> bool:
        return speculation.scope == "step" and speculation.step < self._step

    def predicted(
        self, turn: str, proposals: Sequence[Proposal], now: float, headroom: int | None = None
    ) -> list[Command]:
        """The predictor answered for *turn*: gate and admit its candidates, best first. Too late is ignored.

        Args:
            turn: The model turn.
            proposals: The candidates, best first.
            now: Seconds on the monotonic clock.
            headroom: How many more calls the limits that are kept elsewhere leave, or None for no such limit.
        """
        open_turn = self._open.get(turn)
        if self.closed or open_turn is None:
            return []
        self._journal.note(events.Predicted, now, turn=turn, candidates=_shown(proposals))
        open_turn.foreseen = [proposal.candidate.call for proposal in proposals]
        return self._launch(turn, proposals, now, headroom)

    def guesses_for(self, turn: str) -> list[Speculation]:
        """What was launched for the message that *turn* is writing, in it or before it, and could still be adopted."""
        return self._of(turn, self._open.get(turn) or OpenTurn())

    # -- moment 2 ----------------------------------------------------------------------------------------------------

    def narrowed(
        self,
        turn: str,
        ruled_out: Collection[str],
        proposals: Sequence[Proposal],
        now: float,
        headroom: int | None = None,
    ) -> list[Command]:
        """The stream says more: let go of guesses whose keys it has *ruled_out*, and launch others in their place.

        Args:
            turn: The model turn.
            ruled_out: Keys of calls, coerced.
            proposals: What the message may hold now, best first.
            now: Seconds on the monotonic clock.
            headroom: As in `predicted`.
        """
        if self.closed or turn not in self._open:
            return []
        lost = [speculation for speculation in self.alive_in(turn) if speculation.call.key in ruled_out]
        if proposals:
            stage = proposals[0].stage.value
            self._journal.note(events.Narrowed, now, turn=turn, stage=stage, candidates=_shown(proposals))
        return [*self._rule_out(turn, lost, now), *self._launch(turn, proposals, now, headroom)]

    def written(self, turn: str, proposal: Proposal, now: float, headroom: int | None = None) -> list[Command]:
        """The model has written a call completely: run it now, unless a guess of it was started before.

        However often the same call is written, each is started once at most.
        """
        open_turn = self._open.get(turn)
        if self.closed or open_turn is None:
            return []
        key = key_of(proposal.call) if proposal.call is not None else None
        if key is not None:
            open_turn.asked[key] += 1
            own = self._of(turn, open_turn)
            kept = [s for s in self.table if s.call.key == key and s not in own and now - s.launched_at <= s.ttl_s]
            if open_turn.started[key] + len(kept) >= open_turn.asked[key]:
                return []
        return self._launch(turn, [proposal], now, headroom)

    def revised(self, turn: str, now: float) -> list[Command]:
        """The model took back what it had written: nothing of this message can be relied on."""
        open_turn = self._open.get(turn)
        if self.closed or open_turn is None:
            return []
        open_turn.asked.clear()
        return self._rule_out(turn, self._of(turn, open_turn), now)

    # -- moment 3 ----------------------------------------------------------------------------------------------------

    def alive_tools(self) -> set[str]:
        """Names of the tools with speculations that could still answer a call."""
        return {speculation.call.name for speculation in self.table}

    def end_turn(self, turn: str, calls: Sequence[Call], coerced: Sequence[Call], now: float) -> list[Command]:
        """The model's message is final: let go of everything it did not ask for, and of all that rests on that.

        Args:
            turn: The model turn.
            calls: Its calls as the model wrote them; none means that it answered.
            coerced: Those of its calls whose tools have speculations, with coerced arguments.
            now: Seconds on the monotonic clock.
        """
        if self.closed:
            return []
        opened = self._open.pop(turn, None) or OpenTurn()
        self._ended[turn] = True
        foreseen = {key_of(call) for call in calls if opened.has_foreseen(call)} - {None}
        self._journal.note(
            events.TurnEnded, now, turn=turn, calls=tuple(call.name for call in calls), foreseen=len(foreseen)
        )
        for guess in opened.held_back.values():
            self._restraints.foresaw(guess, any(alike(call, guess.candidate.call) for call in calls))
        wanted = {call.key for call in coerced}
        for speculation in self.table:
            if speculation.call.key in wanted:
                self.table.confirm(speculation)
        missed = [s for s in self._of(turn, opened) if s.call.key not in wanted]
        for speculation in missed:
            speculation.missed = True
        orphans = [orphan for s in missed for orphan in self.table.lineage(s.id)]
        return [
            *self._drop([s for s in missed if s.scope == "step"], "squash", Discard.CONTRADICTED, now),
            *self._drop(orphans, "squash", Discard.LINEAGE, now),
        ]

    def abort_turn(self, turn: str, now: float) -> list[Command]:
        """The model call failed, or its message was cut off: nothing it was predicted to ask for can be relied on."""
        if self.closed:
            return []
        opened = self._open.pop(turn, None) or OpenTurn()
        self._ended[turn] = False
        self._journal.note(events.TurnFailed, now, turn=turn)
        lost = [s for s in self.table if s.turn == turn or s.id in opened.inherited]
        return self._drop(lost, "squash", Discard.MODEL_FAILED, now)


def _shown(proposals: Sequence[Proposal]) -> tuple[tuple[str, float, str], ...]:
    return tuple((p.candidate.call.name, p.candidate.probability, p.candidate.source) for p in proposals)
