"""Looking further ahead: what would the model call next if a guess came true?

A predictor is asked with the history that there would be then: once when a guess is launched, without its result, and
once more with the result, if that is there before the model asks for it. When a message is complete, its calls are no
guesses any more, but their results are still to come: that moment gains most where tools are slow. Nobody needs to be
asked where a preview of the model has written the next message.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from langgraph_speculate.core.calls import Call, key_of
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.history import History
from langgraph_speculate.core.speculation import Speculation, State
from langgraph_speculate.host.attempt import Attempt
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.launcher import Launcher
from langgraph_speculate.host.place import Place
from langgraph_speculate.host.proposed import Proposed
from langgraph_speculate.host.proposer import Proposer

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine

_PREVIEW = "preview"  # as the source of a guess


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a look ahead starts from.

    Attributes:
        turn: The model turn.
        history: What the message in question would be written after.
        place: The model's node.
    """

    turn: str
    history: History
    place: Place


class Lookahead:
    """The guesses of one run that reach beyond the message being written.

    Args:
        engine: What the runs of one wrapped graph share.
        driver: The run's session and runner.
        proposer: Makes proposals out of candidates.
        launcher: Makes attempts out of what is launched.
    """

    def __init__(self, engine: Engine, driver: Driver, proposer: Proposer, launcher: Launcher) -> None:
        self._engine = engine
        self._driver = driver
        self._proposer = proposer
        self._launcher = launcher
        self._raw: dict[str, Call] = {}  # by speculation: its call as the model would write it
        self._spots: dict[str, Spot] = {}  # by speculation: where its message would be written

    def starting(self, made: Proposed, place: Place) -> Callable[[Speculation], Attempt[Speculation]]:
        """What makes the attempt of each launch among these proposals."""

        def start(guess: Speculation) -> Attempt[Speculation]:
            key = guess.call.key
            if self._bequeaths:
                self._raw[guess.id] = made.raw[key]
            return self._launcher.attempt(guess, made.bodies[key], place, self._ended)

        return start

    @cached_property
    def _is_on(self) -> bool:
        """Whether a predictor is asked further."""
        far = self._driver.session.limits.max_depth > 1
        return far and self._engine.forecaster.inline and self._proposer.may_launch()

    @cached_property
    def _bequeaths(self) -> bool:
        """Whether a message may find guesses that were launched for it before it began."""
        return self._is_on or (self._engine.memory is not None and self._proposer.may_launch())

    def inherited(self, turn: str) -> list[tuple[Call, Call]]:
        """What was launched for a turn before it began: calls as bodies receive them, and as the model writes them."""
        guesses = self._driver.session.guesses_for(turn) if self._bequeaths else ()
        # One that another thread is about to start may be missing: then the stream says nothing of it.
        return [(guess.call, raw) for guess in guesses if (raw := self._raw.get(guess.id)) is not None]

    def past_guesses(self, spot: Spot) -> None:
        """A turn has its guesses: what would come after each of them?"""
        for guess in self._driver.session.guesses_for(spot.turn) if self._is_on else ():
            self._past(guess, spot)

    def past_message(self, spot: Spot, calls: Sequence[Call], received: Sequence[Call], text: str) -> None:
        """A message is complete, and its tools run: what would come after it?

        Args:
            spot: Where it was written.
            calls: Its calls as the model wrote them.
            received: Those of them whose tools have speculations, as their bodies receive them.
            text: What it says besides.
        """
        if not self._looks(spot.turn, None) or not self.may_look_past(calls):
            return
        ready = {guess.call.key for guess in self._driver.session.table.ready}
        if len(received) == len(calls) and ready.issuperset(map(key_of, received)):
            return  # the next message begins at once, with all results there
        self._look(None, Spot(spot.turn, spot.history.after(calls, text=text), spot.place))

    def may_look_past(self, calls: Sequence[Call]) -> bool:
        """Whether there may be guesses about the message after one with these calls."""
        return bool(calls) and not any(map(self._proposer.ends_foresight, calls))

    def past_preview(self, spot: Spot, preview: str, call: Call, id: str | None) -> None:
        """A preview has written a call, with that id, of the message after the one at *spot*: launch it."""
        made = self._proposer.propose([Candidate(call, 1.0, _PREVIEW)], spot.history, spot.place, call_id=id, depth=2)
        session, headroom = self._driver.session, _headroom(made)
        self._driver.decide(
            lambda now: session.previewed(spot.turn, preview, made.proposals[0], now, headroom),
            self.starting(made, spot.place),
        )

    def take_back(self, preview: str) -> None:
        """What a preview wrote of its calls is void."""
        self._driver.decide(lambda now: self._driver.session.preview_revised(preview, now))

    def close(self) -> None:
        """The run is over: what its guesses were made of is let go, with the config and the history in it."""
        self._raw.clear()
        self._spots.clear()

    def _ended(self, guess: Speculation) -> None:
        """A body has ended: with its result, more may be known of what comes after it."""
        spot = self._spots.get(guess.id)
        if spot is None or guess.state is not State.READY:
            return  # a real call waits for it, so the next message is not far; or it is of no use
        try:
            self._past(guess, spot)
        except Exception as error:  # noqa: BLE001 - it ends in an attempt's thread, where nobody else would notice
            self._engine.warn("lookahead", f"looking further ahead failed, and is left out: {type(error).__name__}")

    def _past(self, guess: Speculation, spot: Spot) -> None:
        """Look for what would come after *guess*, whose message would be written at *spot*."""
        raw = self._raw.get(guess.id)
        if raw is None or not self._looks(spot.turn, guess.id):
            return
        self._spots[guess.id] = spot
        if self._driver.session.closed:  # in the meantime, in another thread
            self.close()
            return
        then = spot.history.after([raw], [self._proposer.shown(guess)])
        self._look(guess.id, Spot(spot.turn, then, spot.place))

    def _looks(self, turn: str, parent: str | None) -> bool:
        return self._is_on and self._driver.session.may_look_past(turn, parent)

    def _look(self, parent: str | None, spot: Spot) -> None:
        """Launch what may come at *spot*, and go on from there."""
        session = self._driver.session
        candidates = self._engine.forecaster.further(spot.history, self._engine.width)
        if candidates:
            # How far ahead it is, if beyond the next message, is the session's to say.
            made = self._proposer.propose(candidates, spot.history, spot.place, depth=2)
            self._driver.decide(
                lambda now: session.looked_ahead(spot.turn, parent, made.proposals, now, _headroom(made)),
                self.starting(made, spot.place),
            )
        for guess in session.guesses_after(parent):
            self._past(guess, spot)


def _headroom(made: Proposed) -> int | None:
    """How many more calls limits leave: by the next message that is not known yet."""
    return None if made.headroom is None else 0
