"""Seeded bugs of reading the model's stream, in the manner of `bugs.py`; the streaming zoo must notice them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch
from uuid import UUID

from langgraph_speculate.core import gate
from langgraph_speculate.core.draft import DraftCall, News
from langgraph_speculate.core.gate import Reason
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import Stage, State
from langgraph_speculate.core.table import Table
from langgraph_speculate.core.tally import Tally
from langgraph_speculate.host import observer, turns
from langgraph_speculate.host.entry import Entry
from langgraph_speculate.host.proposer import Proposer
from langgraph_speculate.host.reading import Reading
from langgraph_speculate.host.toolbox import Toolbox
from langgraph_speculate.policy import ToolPolicy
from tests.sim.bugs import ignoring

STREAM_BUGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {}


def bug(make: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
    """Put a bug into the catalogue."""
    STREAM_BUGS[make.__name__] = contextmanager(make)
    return make


def _eager(broken: Callable[[], AbstractContextManager[Any]]) -> AbstractContextManager[Any]:
    """Something is broken, but only where a call starts because the model has written it."""
    real = turns.Turn.written

    def written(self: Any, call: DraftCall) -> None:
        with broken():
            real(self, call)

    return patch.object(turns.Turn, "written", written)


# -- what may start because the model has written it -----------------------------------------------------------------


@bug
def eager_past_declarations() -> Iterator[None]:
    """Only what is declared read-only runs ahead, be it written or guessed."""
    real = Toolbox.get

    def get(self: Toolbox, name: str) -> Entry | None:
        entry = real(self, name)
        policy = entry.facts.rule.tool if entry is not None else None
        if entry is None or (policy is not None and policy.read_only):
            return entry
        rule = replace(entry.facts.rule, tool=ToolPolicy(read_only=True))
        return replace(entry, facts=replace(entry.facts, rule=rule))

    with _eager(lambda: patch.object(Toolbox, "get", get)):
        yield


@bug
def eager_past_approvals() -> Iterator[None]:
    """What a person is asked about waits for the answer, although the model has written it."""
    with _eager(lambda: ignoring(Reason.GATED)):
        yield


@bug
def eager_past_guards() -> Iterator[None]:
    """Guards are asked about a call that is written, too."""
    with _eager(lambda: ignoring(Reason.GUARD)):
        yield


@bug
def eager_past_limits() -> Iterator[None]:
    """Limits on tool calls bound early bodies of written calls, too."""
    with _eager(lambda: patch.object(Tally, "room", lambda *args, **kwargs: None)):
        yield


@bug
def guesses_start_tools_that_need_an_id() -> Iterator[None]:
    """A tool that is given the id of its call has to wait for that call."""
    real = Proposer.propose

    def propose(
        self: Proposer, candidates: Any, history: Any, place: Any, stage: Stage = Stage.BEGIN, id: str | None = None
    ) -> Any:
        return real(self, candidates, history, place, stage, "made up" if id is None else id)

    with patch.object(Proposer, "propose", propose):
        yield


# -- when it starts, and how often -----------------------------------------------------------------------------------


@bug
def calls_start_twice() -> Iterator[None]:
    """A written call of which a guess was started does not start again."""
    real = Session.written

    def written(self: Session, turn: str, *args: Any) -> Any:
        if turn in self._open:
            self._open[turn].started.clear()
        return real(self, turn, *args)

    with patch.object(Session, "written", written):
        yield


@bug
def prefixes_count_as_whole() -> Iterator[None]:
    """The end of an argument decides it, not that what there is of it could be parsed: `12` may become `123`."""
    real = DraftCall.write

    def write(self: DraftCall, piece: str) -> News:
        was_complete, news, arguments = self.complete, real(self, piece), self.arguments
        if was_complete or arguments.open is None:
            return news
        try:
            arguments.closed[arguments.open] = json.loads(arguments.value_so_far())
        except ValueError:
            return news
        self.complete = True
        return News.COMPLETE

    with patch.object(DraftCall, "write", write):
        yield


@bug
def stream_is_held_up() -> Iterator[None]:
    """Reading takes no time of the stream."""
    real = observer.TurnObserver.on_llm_new_token

    async def on_llm_new_token(self: Any, *args: Any, **kwargs: Any) -> None:
        await asyncio.sleep(0.004)
        real(self, *args, **kwargs)

    with patch.object(observer.TurnObserver, "on_llm_new_token", on_llm_new_token):
        yield


# -- messages that break ---------------------------------------------------------------------------------------------


@bug
def cut_off_messages_confirm() -> Iterator[None]:
    """What started for a message that the provider says is not all there is let go."""
    with patch.object(turns, "_is_broken_off", lambda message: False):
        yield


@bug
def broken_streams_go_unnoticed() -> Iterator[None]:
    """What started for a message of which the stream failed is let go."""

    def forget(self: Any, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        self._turns.pop(run_id, None)

    with patch.object(observer.TurnObserver, "on_llm_error", forget):
        yield


@bug
def taken_back_arguments_count() -> Iterator[None]:
    """What started for a message that takes arguments back is let go."""
    with patch.object(turns.Turn, "revised", lambda self: None):
        yield


@bug
def reading_goes_on_after_a_revision() -> Iterator[None]:
    """A message that took arguments back starts nothing any more, calls that follow included."""
    with patch.object(Reading, "_void", lambda self: self._reader.revised()):
        yield


@bug
def squash_is_ignored() -> Iterator[None]:
    """What the stream rules out answers no call, though its body has ended."""
    real = Session._rule_out

    def rule_out(self: Session, *args: Any) -> Any:
        with patch.object(Table, "discard", lambda *args: None):
            return real(self, *args)

    with patch.object(Session, "_rule_out", rule_out):
        yield


# -- whose result it is ----------------------------------------------------------------------------------------------


@bug
def adopts_by_place_in_the_message() -> Iterator[None]:
    """A result answers the call that says the same, not the one that stands where its own stood."""
    real = Session.resolve

    def resolve(self: Session, call: Any, *args: Any) -> Any:
        waiting = (s for s in self.table if s.stage is Stage.COMPLETE and s.state is not State.PROMOTED)
        first = next((s.call for s in waiting if s.call.name == call.name), call)
        return real(self, first, *args)

    with patch.object(Session, "resolve", resolve):
        yield


@bug
def ids_of_other_calls() -> Iterator[None]:
    """A body that was handed the id of its call answers no other call."""
    real = gate._commit

    def commit(call: Any, view: Any, speculation: Any, moment: Any) -> Any:
        return real(call, view, speculation, moment and replace(moment, call_id=speculation.call_id))

    with patch.object(gate, "_commit", commit):
        yield
