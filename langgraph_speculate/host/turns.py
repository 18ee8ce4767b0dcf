"""The model's turns of a run: what is expected of a model call, what is launched beside it, what came of it."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.history import History, Origin, text_of
from langgraph_speculate.host.compat.langsmith import traced_path
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.entry import keyable
from langgraph_speculate.host.later import Later, before_request_s
from langgraph_speculate.host.lookahead import Lookahead
from langgraph_speculate.host.place import Place
from langgraph_speculate.host.previewer import Previewer
from langgraph_speculate.host.proposer import Proposer
from langgraph_speculate.host.reading import Reading
from langgraph_speculate.host.turn import Turn
from langgraph_speculate.host.warmer import Warmer

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine

_REASONS = ("finish_reason", "stop_reason", "stopReason", "done_reason", "status")  # where providers say why it ends
_CUT_OFF = re.compile(
    "length|max.?token|limit|window|incomplete|error|fail|malform"
    "|filter|safety|block|refus|guardrail|prohibit|recitation|spii",
    re.IGNORECASE,
)


P = ParamSpec("P")


def _harmless(method: Callable[Concatenate[Turns, P], None]) -> Callable[Concatenate[Turns, P], None]:
    """A bug of ours must not become the user's, whose model call this stands around."""

    @functools.wraps(method)
    def guarded(self: Turns, /, *args: P.args, **kwargs: P.kwargs) -> None:
        with self._driver.harmless():
            method(self, *args, **kwargs)

    return guarded


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

    @_harmless
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
        turn = Turn(id, place, self._engine, self._driver, self._proposer, self._lookahead, self._warmer)
        given = list(messages)
        turn.starting = Later(lambda: self._start(turn, given, model), loop, before_request_s(config))
        self._open[id] = turn
        turn.starting.start()
        if turn.prediction is not None:  # nobody awaits this call, so that it has started
            turn.prediction.wait()

    def _start(self, turn: Turn, messages: Sequence[Any], model: str) -> None:
        """Take in what a turn begins with, and say what is expected of it; turns start in the order they began in."""
        for earlier in tuple(self._open.values()):
            if earlier is turn:
                break
            earlier.starting.now(wait=False)
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
        """A turn that has taken in what it begins with, if it could; so has then what began beside it.

        The end of one of them would otherwise make a later step of the others.
        """
        turn = self._open.get(id)
        if turn is not None:
            turn.began()
        for other in tuple(self._open.values()):
            other.starting.now(wait=False)
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

    @_harmless
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
        return known or (keyable(call) if turn is None else self._proposer.as_received(call, turn.spot.place))

    @_harmless
    def abort(self, id: str) -> None:
        """The model call failed, or its message is cut off: it confirms nothing."""
        turn = self._open.get(id)
        if turn is not None:
            turn.fail()
        self._started(id)
        self._open.pop(id, None)
        self._driver.decide(lambda now: self._driver.session.abort_turn(id, now))


def _is_broken_off(message: Any) -> bool:
    """Whether the provider says that a message ends for another reason than that it is complete."""
    metadata = getattr(message, "response_metadata", None) or {}
    return any(_CUT_OFF.search(reason) for name in _REASONS if isinstance(reason := metadata.get(name), str))
