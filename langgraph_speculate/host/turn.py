"""One model call of a run: what is expected of it, and what its stream makes of that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Proposal
from langgraph_speculate.core.draft import DraftCall
from langgraph_speculate.core.guesses import Guesses
from langgraph_speculate.core.history import History
from langgraph_speculate.core.speculation import Speculation, Stage
from langgraph_speculate.host.attempt import Attempt
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.forecast import Prediction
from langgraph_speculate.host.later import Later
from langgraph_speculate.host.lookahead import Lookahead, Spot
from langgraph_speculate.host.place import Place
from langgraph_speculate.host.proposed import Proposed
from langgraph_speculate.host.proposer import Proposer
from langgraph_speculate.host.reading import Reading
from langgraph_speculate.host.warmer import Warmer

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine


class Turn:
    """One model call: what is expected of it, and what its stream makes of that.

    Attributes:
        id: Its id.
        starting: What it begins with, which may be put off until there is something of its message.
        history: What the run had seen before it, once it has started.
        prediction: What may still be on its way from the predictor.
        coerced: Calls as the body receives them, by the key of the call as the model would write it.
    """

    def __init__(
        self,
        id: str,
        place: Place,
        engine: Engine,
        driver: Driver,
        proposer: Proposer,
        lookahead: Lookahead,
        warmer: Warmer,
    ) -> None:
        self.id = id
        self.starting: Later
        self.history: History
        self.prediction: Prediction | None = None
        self.coerced: dict[str, Call] = {}
        self._place = place
        self._engine = engine
        self._driver = driver
        self._proposer = proposer
        self._lookahead = lookahead
        self._warmer = warmer
        self._candidates: Sequence[Candidate] = ()
        self._guesses = Guesses()
        self._is_broken = False

    @property
    def spot(self) -> Spot:
        """Where its message is written."""
        return Spot(self.id, self.history, self._place)

    def inherit(self) -> None:
        """Take over the guesses that were launched for its message before it began."""
        for received, raw in self._lookahead.inherited(self.id):
            self.coerced[raw.key] = received
            self._guesses.add(received.key, raw)

    def ask(self) -> None:
        """Ask the predictor, unless there is nobody any more whom it would help."""
        if not (self._is_broken or self._driver.session.closed):
            self.prediction = self._engine.forecaster.predict(self.history, self._engine.width, self.predicted)

    def began(self) -> None:
        """There is something of its message: what was put off is done now."""
        self.starting.now()

    def fail(self) -> None:
        """Nothing comes of it, so nobody needs to be asked."""
        self._is_broken = True

    @cached_property
    def reading(self) -> Reading:
        """What reads its stream."""
        return Reading(self, reads_text=self._engine.forecaster.follows)

    def predicted(self, candidates: Sequence[Candidate]) -> None:
        """The predictor answered."""
        self._candidates = candidates
        if "reading" in self.__dict__ and self.reading.draft.calls:
            return  # too late; what the model writes says which of them are still worth a look
        made = self._proposer.propose(candidates, self.history, self._place)
        session = self._driver.session
        self._driver.decide(
            lambda now: session.predicted(self.id, made.proposals, now, made.headroom), *self._beginning(made)
        )
        self._lookahead.past_guesses(self.spot)
        if self._warmer.needed:
            names = self._engine.forecaster.names(self.history, candidates)
            self._warmer.warm(self.id, names, self.history, self._place, made.proposals)

    def heard(self, stage: Stage) -> None:
        """The stream says more: squash what it rules out, and launch what it makes likely."""
        draft, session = self.reading.draft, self._driver.session
        proposals: Sequence[Proposal] = ()
        answer = self._engine.forecaster.narrow(self.history, draft, self._candidates, self._engine.width)
        ruled_out, new = self._guesses.heard(draft, answer)
        if ruled_out or new:
            made = self._proposer.propose(new, self.history, self._place, stage)
            proposals = made.proposals
            self._driver.decide(
                lambda now: session.narrowed(self.id, ruled_out, made.proposals, now, made.headroom),
                *self._beginning(made),
            )
        if stage is Stage.NAME and self._warmer.needed and draft.current is not None:
            self._warmer.warm(self.id, {draft.current.name: 1.0}, self.history, self._place, proposals)

    def doubts(self) -> bool:
        """Whether the argument that is being written contradicts a guess that has fitted so far."""
        return self._guesses.doubted(self.reading.draft)

    def written(self, call: DraftCall) -> None:
        """A call is complete: it runs now, under its own id."""
        candidate = Candidate(call.call(), 1.0, "stream")
        made = self._proposer.propose([candidate], self.history, self._place, Stage.COMPLETE, call.id)
        session = self._driver.session
        self._driver.decide(
            lambda now: session.written(self.id, made.proposals[0], now, made.headroom), *self._beginning(made)
        )

    def revised(self) -> None:
        """What the model wrote of its calls is void."""
        self._driver.decide(lambda now: self._driver.session.revised(self.id, now))

    def start_over(self) -> None:
        """Its model is called again."""
        if self.__dict__.pop("reading", None) is not None:
            self._guesses = Guesses()
            self.revised()

    def failed(self, error: Exception) -> None:
        """What the model wrote could not be read."""
        kind = type(error).__name__  # its words may quote a user's
        self._engine.warn(f"stream-{kind}", f"a model's stream could not be read, so nothing is made of it: {kind}")
        self.revised()

    def _beginning(
        self, made: Proposed
    ) -> tuple[Callable[[Speculation], Attempt[Speculation]], Callable[[Speculation], None]]:
        """What makes the attempt of each launch among these proposals, and what has to know of it before."""
        for key, call in made.raw.items():
            self.coerced[call.key] = made.calls[key]

        def seen(speculation: Speculation) -> None:
            if speculation.stage is not Stage.COMPLETE:
                key, fits = speculation.call.key, speculation.stage is not Stage.BEGIN
                self._guesses.add(key, made.raw[key], fits=fits)

        return self._lookahead.starting(made, self._place), seen
