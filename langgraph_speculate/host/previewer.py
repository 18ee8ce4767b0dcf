"""The previews of one run: starts the next call of a model on remembered results, and hands it to the real one.

Three things are seen here: a call of the model's body, with its input; the message that became of it; and each real
call of a tool, at its start and at its end. From the first two and the memory follows what the model will be given
next, if nothing has changed. Whether it was given that is looked at when it is, and nothing else decides.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.utils import message_chunk_to_message

from langgraph_speculate.core.calls import Call, Outcome
from langgraph_speculate.core.history import text_of
from langgraph_speculate.core.memory import Expectation, Result
from langgraph_speculate.core.stakes import Bet, Tokens
from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.host import clock
from langgraph_speculate.host.attempt import Attempt
from langgraph_speculate.host.continuation import Continuation
from langgraph_speculate.host.driver import Driver
from langgraph_speculate.host.entry import Entry
from langgraph_speculate.host.inputs import ModelInput
from langgraph_speculate.host.lookahead import Lookahead, Spot
from langgraph_speculate.host.model import name_of
from langgraph_speculate.host.preview import Preview, counted_in, estimated
from langgraph_speculate.host.recollection import Recollection
from langgraph_speculate.host.results import handed_over, text_shown

if TYPE_CHECKING:
    from langgraph_speculate.host.engine import Engine

_LONGEST_S = 86_400.0  # models have time-outs of their own


@dataclass(slots=True, eq=False)
class _Step:
    """A message with calls, from the model's body to the model's next.

    Attributes:
        given: What the model was given for it.
        message: The message, once it is final.
        spot: Where it was written.
        considered: Whether a preview of what follows it was thought of.
    """

    given: ModelInput
    message: Any = None
    spot: Spot | None = None
    considered: bool = False


class Previewer:
    """What one run makes of its model calls and real tool calls.

    Args:
        engine: What the runs of one wrapped graph share.
        driver: The run's session and runner.
        recollection: What the run expects its tools to answer.
        lookahead: Launches the calls that previews write.
    """

    def __init__(self, engine: Engine, driver: Driver, recollection: Recollection, lookahead: Lookahead) -> None:
        self._engine = engine
        self._driver = driver
        self._recollection = recollection
        self._lookahead = lookahead
        self._steps: dict[str, _Step] = {}  # by the id of each of its calls
        self._untold: Sequence[BaseMessage] = ()
        self._pending: list[Preview] = []
        self._lock = threading.Lock()  # parallel calls of a sync run begin and end in threads of their own
        self._closed = False

    def harmless(self) -> AbstractContextManager[None]:
        """Around what is done for it in a model's real call: a bug of ours must not become the user's."""
        return self._driver.harmless()

    # -- the model ---------------------------------------------------------------------------------------------------

    def asked(self, given: ModelInput) -> Preview | None:
        """The model's body is called: the preview that it takes over, if there is one with that very input."""
        self.take_in()
        self._untold = given.messages
        if not given.method.startswith("_a"):  # nobody could do it later
            self.take_in()
        answered = {message.tool_call_id for message in given.messages if isinstance(message, ToolMessage)}
        preview = next((one for one in self._pending if answered.issuperset(one.expected)), None)
        if preview is None:
            return None
        why = preview.trouble or _difference(preview, given)
        if why is not None:
            self._waste([preview], why)
            return None
        attempt = self._driver.runner.get(preview.id)
        if not self._take(preview):
            return None
        if attempt is not None:
            attempt.taken = True
        preview.take(clock.now(), in_pieces=self._engine.repute.is_good(given.kind) and given.is_alone)
        return preview

    def take_in(self) -> None:
        """Learn what tools answered from what the model was told last: its request need not wait for that."""
        with self._lock:
            messages, self._untold = self._untold, ()
        for id in self._recollection.told(messages):
            self._steps.pop(id, None)

    def took(self, preview: Preview) -> None:
        """A real call has something of a preview that it took over."""
        if preview.trouble is None and not preview.shown:
            preview.shown = True
            session, hidden_s, joined = self._driver.session, preview.hid_s, preview.joined
            self._driver.note(lambda now: session.preview_used(preview.id, hidden_s, joined, now))

    def wrote(self, given: ModelInput, calls: Iterable[str], seconds: float | None) -> None:
        """The model's body has written calls with these ids, in so many seconds if it did so now."""
        self.take_in()  # before, for some providers give the same ids again
        step = _Step(given)
        self._steps.update((id, step) for id in calls)
        if seconds is not None:
            name = name_of(given.model)
            self._driver.note(lambda now: self._engine.economy.latencies.thought(name, seconds))

    def let_go(self, preview: Preview) -> None:
        """Who took a preview over wants no more of it."""
        preview.stop()
        attempt = self._driver.runner.get(preview.id)
        if attempt is not None:
            attempt.taken = False  # should it wind down beyond the end of the run, that waits for it
        self._driver.runner.cancel([preview.id])
        if not preview.shown:
            preview.shown, why = True, preview.trouble or "unasked"
            self._driver.decide(partial(self._driver.session.preview_wasted, preview.id, why, preview.spent()))

    def message(self, message: Any, spot: Spot | None) -> None:
        """A message of the model is final, written at *spot*: what ran ahead and was not taken over never will be."""
        self._waste(self._pending, "unasked")
        steps = {id(step): step for call in _calls_of(message) if (step := self._steps.get(call["id"])) is not None}
        for step in steps.values():
            step.message, step.spot = message, spot
            tokens = counted_in(message)
            if tokens is not None:
                self._engine.economy.stakes.wrote(name_of(step.given.model), tokens.output)

    # -- the tools ---------------------------------------------------------------------------------------------------

    def tool_runs(self, id: str) -> None:
        """A real call of that id executes: time for a preview, if all that its message asked for is remembered."""
        step = self._steps.get(id)
        if step is None or step.message is None:
            return
        calls = {call["id"]: Call(call["name"], call["args"]) for call in _calls_of(step.message)}
        if id not in calls:
            return  # a message that was changed since
        self._recollection.begun(id, calls[id])
        with self._lock:
            if step.considered or self._driver.session.closed or not self._driver.session.previews.may_begin:
                return
            step.considered = True
        if step.message.invalid_tool_calls or len(calls) != len(step.message.tool_calls) or self._bars(step.given):
            return
        expected = {id: self._recollection.expected(call) for id, call in calls.items()}
        known = {id: one for id, one in expected.items() if one is not None}
        if len(known) == len(expected):
            self._start(step, calls, known)

    def tool_ended(self, id: str, entry: Entry, answer: Any, error: BaseException | None) -> None:
        """The body of a real call of that id ended: a preview that expects something else is stopped at once."""
        for preview in list(self._pending):
            expected = preview.expected.get(id)
            if expected is None:
                continue
            if error is not None:
                other = expected.parts.get("status") != "error"
            else:
                shown = text_shown(entry.tool, answer)
                other = shown is not None and shown != text_of(expected.parts.get("content"))
            if other:
                self._waste([preview], "result")

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """The run is over."""
        with self.harmless():
            self.take_in()
        self._closed = True
        self._waste(self._pending, "run_ended")
        self._steps.clear()
        self._recollection.close()

    # -- starting ----------------------------------------------------------------------------------------------------

    def _start(self, step: _Step, calls: Mapping[str, Call], expected: Mapping[str, Expectation]) -> None:
        results = [_message(id, expected[id].result) for id in calls]
        given = step.given.followed_by([_whole(step.message), *results])
        bet = Bet(
            name_of(given.model),
            tuple(call.name for call in calls.values()),
            prod(one.probability for one in expected.values()),
            self._tokens(step, results, given),
        )
        session, nothing = self._driver.session, None
        id: str | None = self._driver.answer(lambda now: (session.previews.begin(bet, now), []), nothing)
        if id is None:
            return
        reads, results_by_id = self._reader(id, step, calls), {id: one.result for id, one in expected.items()}
        try:
            preview = Preview(id, given, results_by_id, bet.tokens, reads)
        except BaseException:
            self._driver.decide(partial(session.preview_wasted, id, "run_ended", Tokens(0, 0)))
            self._driver.note(lambda now: session.previews.ended(id))
            raise
        self._pending.append(preview)
        self._driver.runner.start(Attempt(preview, preview.sandbox, preview.body, self._ended, _LONGEST_S))
        if self._closed:  # in the meantime, in another thread
            self._waste([preview], "run_ended")

    def _reader(self, preview: str, step: _Step, calls: Mapping[str, Call]) -> Callable[[Any], None]:
        """What reads the pieces of a preview of what follows *step*."""
        if step.spot is None or not self._lookahead.may_look_past(list(calls.values())):
            return _unread
        continuation = Continuation(preview, step.spot, self._lookahead)

        def read(piece: Any) -> None:
            with self.harmless():  # or the preview would break, which a real call may be reading already
                continuation.piece(piece)

        return read

    def _bars(self, given: ModelInput) -> bool:
        """Whether no call like this one may run ahead, which is told once."""
        why = given.obstacle() or self._engine.repute.objection(given.kind)
        if why is not None:
            name = type(given.model).__name__
            self._engine.warn(f"preview-{name}-{why}", f"calls of {name} are not started ahead: {why}")
        return why is not None

    def _tokens(self, step: _Step, results: Sequence[BaseMessage], given: ModelInput) -> Tokens:
        """About what the call reads and writes."""
        before, writes = counted_in(step.message), self._engine.economy.stakes.writes(name_of(given.model))
        if before is None:
            return Tokens(estimated(given.messages), writes)
        return Tokens(before.total + estimated(results), writes, before.cached)

    def _ended(self, preview: Preview, outcome: Outcome, started: float | None, now: float) -> None:
        self._driver.runner.forget(preview.id)
        if outcome.taint is not None:
            self._engine.repute.object(preview.given.kind, f"it uses {outcome.taint}")
        was_stopped = preview.is_stopped
        preview.end(outcome, now)
        if preview.trouble is not None:
            self._lookahead.take_back(preview.id)
        elif not was_stopped:
            self._engine.repute.ended_well(preview.given.kind)
        self._driver.note(lambda now: self._driver.session.previews.ended(preview.id))

    def _waste(self, previews: Iterable[Preview], why: str) -> None:
        for preview in list(previews):
            if not self._take(preview):
                continue
            preview.shown = preview.over = True
            spent = preview.spent()
            self.let_go(preview)
            self._driver.decide(partial(self._driver.session.preview_wasted, preview.id, why, spent))

    def _take(self, preview: Preview) -> bool:
        """Whether nobody has taken a preview, over or off, until now."""
        with self._lock:
            if preview not in self._pending:
                return False
            self._pending.remove(preview)
            return True


def _unread(piece: Any) -> None:
    """Nothing may be launched for what it says."""


def _difference(preview: Preview, given: ModelInput) -> str | None:
    """In what a real call's input differs from a preview's, or None."""
    try:
        return "not begun" if preview.form is None else preview.form.difference(given.form())
    except UnkeyableArguments:
        return "messages"


def _calls_of(message: Any) -> list[Any]:
    return [call for call in getattr(message, "tool_calls", None) or () if call.get("id")]


def _whole(message: Any) -> BaseMessage:
    """The message as the graph's state has it: no chunk."""
    whole: BaseMessage = message_chunk_to_message(message) if isinstance(message, AIMessageChunk) else message
    return whole


def _message(id: str, result: Result) -> ToolMessage:
    """A tool's message as the model is expected to be told."""
    message = ToolMessage(content="", tool_call_id=id)
    for name, value in handed_over(result.parts).items():
        setattr(message, name, value)
    return message
