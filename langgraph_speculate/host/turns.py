"""The model's turns of a run: what is expected of a model call, what is launched beside it, what came of it."""

from __future__ import annotations

import asyncio
import contextvars
import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.commands import Proposal
from langgraph_speculate.core.draft import DraftCall
from langgraph_speculate.core.guesses import Guesses
from langgraph_speculate.core.history import History, Origin, text_of
from langgraph_speculate.core.speculation import Speculation, Stage
from langgraph_speculate.host.compat import traced_path
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.forecast import Prediction
from langgraph_speculate.host.later import Later, before_request_s
from langgraph_speculate.host.lookahead import Lookahead, Spot
from langgraph_speculate.host.place import Place
from langgraph_speculate.host.previewer import Previewer
from langgraph_speculate.host.proposer import Proposed, Proposer
from langgraph_speculate.host.reading import Reading
from langgraph_speculate.host.runner import Attempt
from langgraph_speculate.host.toolbox import keyable
from langgraph_speculate.host.warmer import Warmer

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine

_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")  # where providers say why it ends
_CUT_OFF = re.compile(
    "length|max.?token|limit|window|incomplete|error|fail|malform"
    "|filter|safety|block|refus|guardrail|prohibit|recitation|spii",
    re.IGNORECASE,
)


class Turns:
    """Moments 1 to 3 of a run.

    Args:
        engine: What the runs of one wrapped graph share.
        driver: The run's session and runner.
        proposer: Makes attempts out of candidates.
        warmer: Warms tools up.
        origin: Whose run it is.
        lookahead: Launches what reaches beyond the message being written.
        previewer: Starts the model's next call on remembered results, or None.

    Attributes:
        asking: The turn that asked for a real call, by the call's id.
    """

    def __init__(
        self,
        engine: Engine,
        driver: Driver,
        proposer: Proposer,
        warmer: Warmer,
        origin: Origin,
        lookahead: Lookahead,
        previewer: Previewer | None = None,
    ) -> None:
        self._engine = engine
        self._warmer = warmer
        self._driver = driver
        self._origin = origin
        self._proposer = proposer
        self._previewer = previewer
        self._lookahead = lookahead
        self.asking: dict[str, str] = {}
        self._open: dict[str, Turn] = {}
        self._last_history: History | None = None

    def begin(
        self,
        id: str,
        messages: Sequence[Any],
        config: Mapping[str, Any],
        model: str,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        """A call of the model of that name starts, which *loop* will wait for, or, if None, this thread."""
        place = Place(config, self.variables(), self._engine.policy.guards)
        self._driver.trace.turn_began(id, traced_path(config))
        turn = self._open[id] = Turn(
            id, place, self._engine, self._driver, self._proposer, self._lookahead, self._warmer
        )
        given = list(messages)
        turn.starting = Later(lambda: self._start(turn, given, model), loop, before_request_s(config))
        if turn.prediction is not None:
            turn.prediction.wait()

    def _start(self, turn: Turn, messages: Sequence[Any], model: str) -> None:
        """Take in what a turn begins with, and say what is expected of it."""
        try:
            turn.history = self._history(messages)
        except BaseException:
            del self._open[turn.id]  # nothing can be made of it
            raise
        self._driver.decide(lambda now: self._driver.session.begin_turn(turn.id, now, model))
        turn.inherit()
        turn.ask()
        if self._previewer is not None:
            self._previewer.take_in()

    def _history(self, messages: Sequence[Any]) -> History:
        history = History.from_messages(messages, self._last_history, self._origin)
        if not self._origin.thread and history.user_turns:
            # A client that sends the conversation along with each run has one thread, not as many as runs.
            self._origin = replace(self._origin, thread=f"begins with {history.user_turns[0].text}")
            history = replace(history, origin=self._origin)
        self._last_history = history
        return history

    def _started(self, id: str) -> Turn | None:
        """A turn that has taken in what it begins with, if it could."""
        turn = self._open.get(id)
        if turn is not None:
            turn.began()
        return self._open.get(id)

    def reading(self, id: str) -> Reading | None:
        """What reads the stream of a turn, or None where nothing could come of it."""
        turn = self._open.get(id)
        return turn.reading if turn is not None and self._may_launch else None

    def start_over(self, id: str) -> None:
        """The model of a turn is called again: nothing that was written before counts."""
        turn = self._open.get(id)
        if turn is not None:
            turn.start_over()

    @cached_property
    def _may_launch(self) -> bool:
        return self._proposer.may_launch()

    def variables(self) -> dict[ContextVar[Any], Any]:
        """The context variables that the policy passes on, with their values here."""
        listed = self._engine.policy.propagate_context
        context = contextvars.copy_context() if listed else {}
        return {variable: context[variable] for variable in listed if variable in context}

    def end(self, id: str, message: Any) -> None:
        """The model's message is final."""
        made = getattr(message, "tool_calls", None) or ()
        self.asking.update((call["id"], id) for call in made if call.get("id"))
        turn = self._started(id)
        if self._previewer is not None:
            self._previewer.message(message, None if turn is None else turn.spot)
        if _is_broken_off(message):
            self.abort(id)
            return
        self._open.pop(id, None)
        raw = [Call(call["name"], call["args"]) for call in made]
        alive = self._driver.session.alive_tools()
        received = [self._as_received(call, turn) for call in raw if call.name in alive]
        wanted = [call for call in received if call is not None]
        self._driver.decide(lambda now: self._driver.session.end_turn(id, raw, wanted, now))
        if message is not None and turn is not None:
            text = text_of(message.content)
            self._engine.learn(replace(turn.history, writing=text), raw)
            self._lookahead.past_message(turn.spot, raw, wanted, text)

    def _as_received(self, call: Call, turn: Turn | None) -> Call | None:
        """The call as the tool's body will receive it."""
        known = turn.coerced.get(call.key) if turn is not None and keyable(call) is not None else None
        return known or self._proposer.as_received(call)

    def abort(self, id: str) -> None:
        """The model call failed, or its message is cut off: it confirms nothing."""
        turn = self._open.pop(id, None)
        if turn is not None:
            turn.fail()
        self._driver.decide(lambda now: self._driver.session.abort_turn(id, now))


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
        """Nothing comes of it."""
        self._is_broken = True
        self.began()

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


def _is_broken_off(message: Any) -> bool:
    """Whether the provider says that a message ends for another reason than that it is complete."""
    metadata = getattr(message, "response_metadata", None) or {}
    return any(_CUT_OFF.search(reason) for name in _REASONS if isinstance(reason := metadata.get(name), str))
