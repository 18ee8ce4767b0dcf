"""The previews of one run that is played: model calls that start on remembered results while its tools run.

As live (`host/previewer.py`): the core says what is expected, whether the bet is worth it, and what it came to. A
preview takes the time of the message that was recorded, and writes at its pace. One that expects what was recorded
writes that message, and calls that are complete in it run early; what others would have written nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING

from langgraph_speculate.core.draft import DraftCall
from langgraph_speculate.core.gate import ends_foresight
from langgraph_speculate.core.memory import Expectation
from langgraph_speculate.core.stakes import TOKEN_CHARS, Bet, Tokens
from langgraph_speculate.host.reading import Reader, Reading
from langgraph_speculate.replay.recollection import Recollection
from langgraph_speculate.replay.script import RecordedCall, Step

if TYPE_CHECKING:
    from langgraph_speculate.replay.player import Play


@dataclass(frozen=True, slots=True)
class Preview:
    """A call of the model that runs ahead.

    Attributes:
        id: Its id.
        expected: What the tools are expected to answer, by the id of the call.
        tokens: What it reads, and writes to its end.
        began: When it began.
        seconds: How long it takes.
    """

    id: str
    expected: Mapping[str, Expectation]
    tokens: Tokens
    began: float
    seconds: float

    def passed(self, now: float) -> float:
        """Seconds of it that have passed."""
        return min(now - self.began, self.seconds)


class Previewer:
    """What one played run makes of its model calls and real tool calls.

    Args:
        recollection: What tools answered before.
        play: The run.
    """

    def __init__(self, recollection: Recollection, play: Play) -> None:
        self._recollection = recollection
        self._play = play
        self._place = play.place
        self._script = play.script
        self._session = play.session
        self._at = -1
        self._considered = False
        self._open: Preview | None = None

    # -- the model ---------------------------------------------------------------------------------------------------

    def asked(self) -> float:
        """The model is asked for its next message: when the call of it began that is used."""
        self._recollection.told()
        self._at, self._considered = self._at + 1, False
        preview, now, step = self._open, self._place.simulation.now, self._step(self._at)
        if preview is not None and step is not None and not step.follows:
            self._waste("messages")
        if self._open is None or preview is None:
            return now
        self._open = None
        joined = now < preview.began + preview.seconds
        self._session.preview_used(preview.id, preview.passed(now), joined, now)
        return preview.began

    def wrote(self, seconds: float | None) -> None:
        """Its message is complete; it took so many seconds, if none of them had passed before it was asked."""
        step, place = self._script.steps[self._at], self._place
        if seconds is not None:
            place.economy.latencies.thought(place.model, seconds)
        if step.tokens is not None:
            place.economy.stakes.wrote(place.model, step.tokens.output)

    def close(self) -> None:
        """The run is over. Where its recording ends with answers of tools, the model was asked once more."""
        self.asked()

    # -- the tools ---------------------------------------------------------------------------------------------------

    def tool_runs(self, made: RecordedCall) -> None:
        """A real call executes, or waits for a body that does: time for a preview, if all results are remembered."""
        self._recollection.begins(made)
        if self._considered or not self._session.previews.may_begin:
            return
        self._considered = True
        calls = self._script.steps[self._at].calls
        expected = {one.id: self._recollection.expected(one.call) for one in calls}
        known = {id: one for id, one in expected.items() if one is not None}
        if len(known) == len(calls):
            self._begin(self._script.steps[self._at], known)

    def tool_ended(self, made: RecordedCall) -> None:
        """A real call has its result: a preview that expects something else is stopped at once."""
        expected = None if self._open is None else self._open.expected.get(made.id)
        if expected is not None and not _is(expected, made):
            self._waste("result")

    # -- starting and stopping ---------------------------------------------------------------------------------------

    def _begin(self, step: Step, expected: Mapping[str, Expectation]) -> None:
        place, now = self._place, self._place.simulation.now
        tools = tuple(made.call.name for made in step.calls)
        tokens = self._tokens(step, expected)
        bet = Bet(place.model, tools, prod(one.probability for one in expected.values()), tokens)
        id = self._session.previews.begin(bet, now)
        if id is None:
            return
        coming = self._step(self._at + 1)
        seconds = 0.0 if coming is None else place.clockwork.of_step(coming, self._script, self._at + 1)
        writes = 0 if coming is None else coming.writes
        self._open = Preview(id, expected, tokens._replace(output=writes), now, seconds)
        if coming is not None and coming.follows and all(_is(expected[made.id], made) for made in step.calls):
            self._go_on(self._open, step, coming)
        place.simulation.at(now + seconds, lambda: self._session.previews.ended(id))

    def _go_on(self, preview: Preview, step: Step, coming: Step) -> None:
        """Run what it writes of the message that comes, as it is written."""
        place = self._place
        if not coming.calls or any(ends_foresight(place.facts(made.call.name)) for made in step.calls):
            return
        reading = Reading(_Continuation(preview.id, self._play), reads_text=False)
        for share, event in coming.pieces():
            there = preview.began + preview.seconds * (share if place.reads_streams else 1.0)
            place.simulation.at(there, partial(reading.event, event))

    def _tokens(self, step: Step, expected: Mapping[str, Expectation]) -> Tokens:
        """About what the call reads and writes, as far as can be known before."""
        told = sum(len(one.result.parts["content"]) for one in expected.values())
        writes = self._place.economy.stakes.writes(self._place.model)
        if step.tokens is None:
            return Tokens((step.given + step.length + told) // TOKEN_CHARS, writes)
        return Tokens(step.tokens.total + told // TOKEN_CHARS, writes, step.tokens.cached)

    def _waste(self, why: str) -> None:
        preview, self._open = self._open, None
        if preview is None:
            return
        now = self._place.simulation.now
        # Only a stream can be stopped in the midst of what it writes.
        share = preview.passed(now) / preview.seconds if preview.seconds and self._place.reads_streams else 1.0
        spent = preview.tokens._replace(output=round(preview.tokens.output * share))
        self._play.do(self._session.preview_wasted(preview.id, why, spent, now))
        self._session.previews.ended(preview.id)

    def _step(self, at: int) -> Step | None:
        return self._script.steps[at] if at < len(self._script.steps) else None


class _Continuation(Reader):
    """Launches what a preview writes, like that of `host/continuation.py`."""

    def __init__(self, preview: str, play: Play) -> None:
        self._preview = preview
        self._play = play

    def written(self, call: DraftCall) -> None:
        """A call is complete; too late, if the preview was taken over or given up in the meantime."""
        self._play.previewed(self._preview, call)


def _is(expected: Expectation, made: RecordedCall) -> bool:
    """Whether a call was answered as expected."""
    return bool(expected.result.parts["content"] == made.result)
