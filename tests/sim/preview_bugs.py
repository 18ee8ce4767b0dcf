"""Seeded bugs of previews: what must be noticed when model calls on remembered results are handled wrongly."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

from langgraph_speculate.core import launches, stakes
from langgraph_speculate.core.foresight import Foresight
from langgraph_speculate.core.gate import ALLOW
from langgraph_speculate.core.memory import Reading
from langgraph_speculate.core.previews import Previews
from langgraph_speculate.core.session import Session
from langgraph_speculate.host import inputs, proposer
from langgraph_speculate.host.inputs import Form
from langgraph_speculate.host.lookahead import Lookahead
from langgraph_speculate.host.modelcall import ModelCall
from langgraph_speculate.host.preview import Preview
from langgraph_speculate.host.previewer import Previewer
from langgraph_speculate.host.recollection import Recollection
from tests.sim.far_bugs import FAR_BUGS
from tests.sim.moments import PREVIEW

PREVIEW_BUGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {}


def bug(make: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
    """Put a bug into the catalogue."""
    PREVIEW_BUGS[make.__name__] = contextmanager(make)
    return make


def _overlooking(part: str) -> AbstractContextManager[Any]:
    """One part of an input does not count."""
    real = Form.difference

    def difference(self: Form, other: Form) -> str | None:
        values = {name: getattr(other, name) for name in Form.__slots__} | {part: getattr(self, part)}
        return real(self, Form(**values))

    return patch.object(Form, "difference", difference)


# -- what is adopted -------------------------------------------------------------------------------------------------


@bug
def adopted_whatever_the_results() -> Iterator[None]:
    with _overlooking("messages"), patch.object(Previewer, "tool_ended", lambda *args: None):
        yield


@bug
def adopted_on_other_options() -> Iterator[None]:
    with _overlooking("options"):
        yield


@bug
def adopted_from_another_model() -> Iterator[None]:
    with _overlooking("model"):
        yield


@bug
def adopted_on_how_the_input_begins() -> Iterator[None]:
    real = Form.difference

    def difference(self: Form, other: Form) -> str | None:
        begins = other.messages.startswith(self.messages[:-1])
        return (
            real(Form(self.method, self.model, self.options, self.circumstances, other.messages), other)
            if (begins)
            else real(self, other)
        )

    with patch.object(Form, "difference", difference):
        yield


@bug
def adopted_with_results_in_other_places() -> Iterator[None]:
    """Which result belongs to which call does not count."""
    real = inputs.canonical_bytes

    def shuffled(value: Any) -> bytes:
        rest = [re.sub(rb'"tool_call_id":"[^"]*"', b"", real(message)) for message in value]
        return b"\n".join(sorted(rest))

    with patch.object(inputs, "canonical_bytes", shuffled), patch.object(Previewer, "tool_ended", lambda *args: None):
        yield


@bug
def failed_previews_are_adopted() -> Iterator[None]:
    with patch.object(Preview, "trouble", property(lambda self: None)):
        yield


# -- how it is handed over -------------------------------------------------------------------------------------------


@bug
def only_what_is_written_by_then() -> Iterator[None]:
    async def apieces(self: Preview) -> Any:
        for piece in self._there():
            yield piece

    with patch.object(Preview, "apieces", apieces):
        yield


@bug
def only_what_is_written_from_then_on() -> Iterator[None]:
    real = Preview.apieces

    async def apieces(self: Preview) -> Any:
        if self.given.method == "_astream":
            del self._pieces[:-1]
        async for piece in real(self):
            yield piece

    with patch.object(Preview, "apieces", apieces):
        yield


@bug
def pieces_come_twice() -> Iterator[None]:
    real = Preview.apieces

    async def apieces(self: Preview) -> Any:
        async for piece in real(self):
            yield piece
            if self.given.method == "_astream":
                yield piece

    with patch.object(Preview, "apieces", apieces):
        yield


@bug
def both_are_billed() -> Iterator[None]:
    """The preview counts as used, and the model is asked besides."""
    real = Previewer.asked

    def asked(self: Previewer, given: Any) -> None:
        preview = real(self, given)
        if preview is not None:
            self.took(preview)
            self.let_go(preview)

    with patch.object(Previewer, "asked", asked):
        yield


# -- when it ends ----------------------------------------------------------------------------------------------------


@bug
def mismatches_write_on() -> Iterator[None]:
    with patch.object(Previewer, "let_go", lambda self, preview: None):
        yield


@bug
def taken_previews_outlive_their_call() -> Iterator[None]:
    @contextmanager
    def taking(self: ModelCall) -> Iterator[Any]:
        yield self._preview

    with patch.object(ModelCall, "taking", taking):
        yield


@bug
def previews_outlive_their_run() -> Iterator[None]:
    with patch.object(Previewer, "close", lambda self: None):
        yield


# -- what is bet on --------------------------------------------------------------------------------------------------


@bug
def old_results_are_bet_on() -> Iterator[None]:
    with patch.object(Reading, "is_old", property(lambda self: False)):
        yield


@bug
def results_of_other_partitions_are_bet_on() -> Iterator[None]:
    with patch.object(Recollection, "_shelf", lambda self, tool: "of "):
        yield


@bug
def wasted_tokens_are_not_counted() -> Iterator[None]:
    real = stakes.Stakes.objection
    with patch.object(stakes.Stakes, "objection", lambda self, bet, spent, now: real(self, bet, 0, now)):
        yield


@bug
def previews_are_forgotten() -> Iterator[None]:
    """One that nobody takes is not counted as wasted."""
    with patch.object(Previews, "wasted", lambda self, *args: None):
        yield


# -- what is launched because a preview wrote it ---------------------------------------------------------------------


@bug
def branches_outlive_their_preview() -> Iterator[None]:
    with patch.object(Foresight, "preview_revised", lambda self, id, now: []):
        yield


@bug
def calls_of_previews_answer_others_of_their_tool() -> Iterator[None]:
    """Which arguments the preview had written does not count."""
    real = Session.end_turn

    def end_turn(self: Session, turn: str, calls: Any, coerced: Any, now: float) -> Any:
        for speculation in self.table:
            if speculation.source == PREVIEW:
                alike = [call for call in coerced if call.name == speculation.call.name]
                speculation.call = (alike or [speculation.call])[0]
        return real(self, turn, calls, coerced, now)

    with patch.object(Session, "end_turn", end_turn):
        yield


PREVIEW_BUGS["calls_of_previews_outlive_a_write"] = FAR_BUGS["links_outlive_a_write"]


@bug
def calls_of_previews_pass_the_gate() -> Iterator[None]:
    real = Lookahead.past_preview

    def past_preview(self: Lookahead, *args: Any) -> None:
        with (
            patch.object(proposer, "forbids", lambda *args: None),
            patch.object(launches, "forbids", lambda *args: None),
            patch.object(launches, "decide", lambda *args, **about: ALLOW),
        ):
            real(self, *args)

    with patch.object(Lookahead, "past_preview", past_preview):
        yield
