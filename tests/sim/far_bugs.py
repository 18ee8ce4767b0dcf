"""Seeded bugs of looking further ahead: what must be noticed when guesses about later messages are handled wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from langgraph_speculate.core import gate, session
from langgraph_speculate.core.foresight import Foresight
from langgraph_speculate.core.gate import Reason
from langgraph_speculate.core.session import Session
from langgraph_speculate.core.speculation import Discard, Speculation
from langgraph_speculate.core.table import Table
from langgraph_speculate.core.turns import Turns

FAR_BUGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {}


def bug(make: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
    """Put a bug into the catalogue."""
    FAR_BUGS[make.__name__] = contextmanager(make)
    return make


def _forgiving(reason: Reason) -> AbstractContextManager[Any]:
    """At commit the gate does not know this rule of what was launched further ahead."""
    real = gate._commit

    def commit(call: Any, view: Any, speculation: Speculation, real_call: Any) -> Any:
        found, detail = real(call, view, speculation, real_call)
        return (None, "") if found is reason and speculation.depth > 1 else (found, detail)

    return patch.object(gate, "_commit", commit)


@bug
def links_outlive_a_contradiction() -> Iterator[None]:
    """What rested on a guess goes on when the model contradicts that."""
    with patch.object(Table, "lineage", lambda self, id: []):
        yield


@bug
def one_message_too_far() -> Iterator[None]:
    real = Foresight._ahead

    def ahead(self: Foresight, turn: str, parent: str | None) -> Any:
        limits = self.limits
        self.limits = replace(limits, max_depth=limits.max_depth + 1)
        try:
            return real(self, turn, parent)
        finally:
            self.limits = limits

    with patch.object(Foresight, "_ahead", ahead):
        yield


@bug
def links_answer_after_their_step() -> Iterator[None]:
    real = Turns._is_outdated
    with (
        patch.object(Turns, "_is_outdated", lambda self, one: one.depth == 1 and real(self, one)),
        patch.object(Turns, "_drop", _but_contradicted(Turns._drop)),
        _forgiving(Reason.EXPIRED),
    ):
        yield


def _but_contradicted(real: Any) -> Any:
    def drop(self: Turns, lost: Any, event: str, reason: Discard, now: float) -> Any:
        kept = [one for one in lost if one.depth == 1 or reason is not Discard.CONTRADICTED]
        return real(self, kept, event, reason, now)

    return drop


@bug
def links_outlive_a_write() -> Iterator[None]:
    real = Session.begin_call

    def begin_call(self: Session, tool: Any, call: Any, now: float) -> Any:
        changed = self.view.epochs.changed
        far = {frozenset(one.reads) for one in self.table if one.depth > 1}
        with patch.object(
            self.view.epochs, "changed", lambda tags, since: tags not in far and changed(tags, since=since)
        ):
            return real(self, tool, call, now)

    with patch.object(session.Session, "begin_call", begin_call), _forgiving(Reason.STALE):
        yield
