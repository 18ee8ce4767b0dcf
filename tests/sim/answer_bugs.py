"""Seeded bugs of repeats and of hedging, in the manner of `bugs.py`; the answering zoo must notice them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from langgraph_speculate.core import hedging
from langgraph_speculate.core.budget import Budget
from langgraph_speculate.core.calls import Outcome
from langgraph_speculate.core.commands import Commit
from langgraph_speculate.core.gate import ALLOW, Reason
from langgraph_speculate.core.launches import Launches
from langgraph_speculate.core.repeats import Remembered, Repeats
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import Discard, State
from langgraph_speculate.host import calls
from langgraph_speculate.host.attempt import Attempt
from langgraph_speculate.host.waiting import Waiting
from langgraph_speculate.host.witness import Witness
from langgraph_speculate.policy import ToolPolicy
from tests.sim.bugs import ignoring

ANSWER_BUGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {}


def bug(make: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
    """Put a bug into the catalogue."""
    ANSWER_BUGS[make.__name__] = contextmanager(make)
    return make


def _recalling(*reasons: Reason) -> AbstractContextManager[Any]:
    """These do not keep an answer from being given again; only that which the run itself let go of is gone."""
    real = Launches._recall

    def recall(self: Launches, *args: Any) -> Any:
        with ignoring(*reasons):
            return real(self, *args)

    return patch.object(Launches, "_recall", recall)


# -- repeats ---------------------------------------------------------------------------------------------------------


@bug
def repeats_outlive_writes() -> Iterator[None]:
    with _recalling(Reason.STALE), patch.object(Repeats, "forget", lambda self, key, venue: None):
        yield


@bug
def repeats_outlive_writes_of_other_runs() -> Iterator[None]:
    with _recalling(Reason.STALE):
        yield


@bug
def repeats_outlive_their_ttl() -> Iterator[None]:
    with _recalling(Reason.EXPIRED):
        yield


@bug
def repeats_outlive_rights() -> Iterator[None]:
    with _recalling(Reason.GUARD):
        yield


@bug
def repeats_age_from_their_answer() -> Iterator[None]:
    real = Session.remember

    def remember(self: Session, answer: Remembered, value: Any, size: int, now: float) -> None:
        real(self, replace(answer, launched_at=now), value, size, now)

    with patch.object(Session, "remember", remember):
        yield


@bug
def repeats_of_what_was_written_meanwhile() -> Iterator[None]:
    real = Session.remember

    def remember(self: Session, answer: Remembered, *args: Any) -> None:
        real(self, replace(answer, epoch=self.view.epochs.now), *args)

    with patch.object(Session, "remember", remember):
        yield


@bug
def repeats_of_any_call_of_the_tool() -> Iterator[None]:
    def find(self: Repeats, key: str, venue: str) -> Any:
        return next((answer for answer in self if answer.venue == venue), None)

    with patch.object(Repeats, "find", find), _recalling(Reason.OTHER_CALL):
        yield


@bug
def repeats_of_other_runs() -> Iterator[None]:
    shared = Repeats()
    real = Launches.__init__

    def init(self: Launches, *args: Any) -> None:
        real(self, *args)
        self._repeats = shared

    with patch.object(Launches, "__init__", init), _recalling(Reason.CHANGED):
        yield


@bug
def repeats_of_what_was_told_besides() -> Iterator[None]:
    with patch.object(Witness, "saw", property(lambda self: False, lambda self, seen: None), create=True):
        yield


@bug
def repeats_share_their_containers() -> Iterator[None]:
    with patch.object(calls, "handed_over", lambda value: value):
        yield


# -- hedging -----------------------------------------------------------------------------------------------------------


@bug
def both_bodies_are_committed() -> Iterator[None]:
    real = Session._drop

    def drop(self: Session, lost: Any, event: str, reason: Any, now: float) -> Any:
        return [] if reason is Discard.HEDGED else real(self, lost, event, reason, now)

    with patch.object(Session, "_drop", drop):
        yield


@bug
def what_the_loser_wrote_is_shown_too() -> Iterator[None]:
    """What two attempts at one call write ends up in one place."""
    real = Attempt.__init__
    written: dict[str, list[Any]] = {}

    def init(self: Attempt, speculation: Any, sandbox: Any, *args: Any, **more: Any) -> None:
        sandbox.recorder.effects = written.setdefault(f"{speculation.turn} {speculation.call.key}", [])
        real(self, speculation, sandbox, *args, **more)

    with patch.object(Attempt, "__init__", init):
        yield


@bug
def hedges_need_no_room() -> Iterator[None]:
    with patch.object(Budget, "has_room", lambda self: True):
        yield


@bug
def hedges_of_calls_that_are_counted() -> Iterator[None]:
    with patch.object(ToolPolicy, "is_rationed", property(lambda self: False)):
        yield


@bug
def hedges_during_writes() -> Iterator[None]:
    real = Session.hedge

    def hedge(self: Session, *args: Any) -> Any:
        with patch.object(hedging, "decide", lambda *args, **kwargs: ALLOW):
            return real(self, *args)

    with patch.object(Session, "hedge", hedge):
        yield


@bug
def a_failed_body_answers_for_both() -> Iterator[None]:
    """The wait ends with the first body that ends, however it does."""
    real = Waiting._waits

    def waits(self: Any, *args: Any) -> Iterator[Any]:
        for attempts, seconds in real(self, *args):
            yield attempts, seconds
            if any(attempt.over.done() for attempt in attempts):
                return

    claim = Session.claim

    def claimed(self: Session, speculation: Any, now: float) -> Any:
        answer, commands = claim(self, speculation, now)
        if speculation.state is State.DISCARDED and speculation.reason is Discard.FAILED:
            outcome = Outcome("nothing", effects=None)
            return Commit(speculation, outcome), commands
        return answer, commands

    with patch.object(Waiting, "_waits", waits), patch.object(Session, "claim", claimed):
        yield
