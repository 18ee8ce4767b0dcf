"""One real call of a model's body in a run: what of it a preview answers, and what is left to the body itself.

It decides; the four bodies (`adopt_model.py`) wait, each in its own way. Nothing that goes wrong here, or in a preview,
is the call's: then its own body runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from langgraph_speculate.host import clock
from langgraph_speculate.host.inputs import ModelInput
from langgraph_speculate.host.preview import Preview, call_ids, messages_of
from langgraph_speculate.host.previewer import Previewer


class ModelCall:
    """One real call of a model's body.

    A stream that is handed on while its preview still writes cannot be taken back. Should that preview turn out to be
    of no use, the body is called, and what it writes the same is not handed on again.

    Args:
        previewer: The run's.
        given: What the body is given.
    """

    def __init__(self, previewer: Previewer, given: ModelInput) -> None:
        self._previewer = previewer
        self._given = given
        self._began = 0.0
        self._ids: list[str] = []
        self._handed: deque[Any] = deque()  # how the pieces of a preview read, until the body has written the same
        self._held: list[Any] = []  # the pieces of the body that read the same
        self._is_broken = False
        self._preview: Preview | None = None
        with previewer.harmless():
            self._preview = previewer.asked(given)

    # -- what a preview has for it -----------------------------------------------------------------------------------

    @contextmanager
    def taking(self) -> Iterator[Preview | None]:
        """Around what is taken from its preview, if it has one: whatever ends that, the preview ends too."""
        try:
            yield self._preview
        finally:
            if self._preview is not None:
                with self._previewer.harmless():
                    self._previewer.let_go(self._preview)

    def takes(self, piece: Any) -> bool:
        """Whether the next piece of its preview may be handed on; otherwise none that comes after it may."""
        preview, handed = self._preview, bool(self._handed)
        with self._previewer.harmless():
            # One that breaks off is handed on up to there, as a stream of the call's own would have been.
            if preview is not None and (preview.trouble is None or (handed and preview.trouble == "failed")):
                self._previewer.took(preview)
                self._handed.append(_read(piece))
                self._ids += call_ids(piece)
                return True
        self._is_broken = True
        return False

    def is_answered(self) -> bool:
        """Whether its preview, which has ended, was all of the answer.

        Raises:
            Exception: The provider's stream broke after some pieces, as a stream of the call's own might have.
        """
        preview = self._preview
        if preview is None or self._is_broken or not self._handed:
            return False
        if preview.trouble == "failed" and preview.error is not None:
            raise preview.error
        if preview.trouble is not None:
            return False
        with self._previewer.harmless():
            self._previewer.wrote(self._given, self._ids, None)
        return True

    # -- what its own body writes ------------------------------------------------------------------------------------

    def begins(self) -> None:
        """The body is called."""
        self._began = clock.now()

    def wrote(self, piece: Any) -> Sequence[Any]:
        """What is handed on now that the body has written a piece.

        Raises:
            RuntimeError: It goes another way after a call was begun: who put both together would make a third one.
        """
        if not self._handed:
            return self._on([piece])
        self._held.append(piece)
        with self._previewer.harmless():
            if _read(piece) == self._handed[0]:
                self._handed.popleft()
                return ()
        return self._otherwise()

    def ended(self, pieces: Sequence[Any] = ()) -> Sequence[Any]:
        """The body has written *pieces*, and all there is; what is still to be handed on."""
        rest = [*self._on(pieces), *(self._otherwise() if self._handed else ())]
        with self._previewer.harmless():
            self._previewer.wrote(self._given, self._ids, clock.now() - self._began)
        return rest

    def _otherwise(self) -> Sequence[Any]:
        """The body does not write what was handed on."""
        if self._ids:
            name = type(self._given.model).__name__
            raise RuntimeError(f"{name} broke off in a tool call, and began another message when it was called again")
        self._handed.clear()  # only words: what it really says follows them, from its beginning
        held, self._held = self._held, []
        return self._on(held)

    def _on(self, pieces: Sequence[Any]) -> Sequence[Any]:
        with self._previewer.harmless():
            self._ids += [id for piece in pieces for id in call_ids(piece)]
        return pieces


def _read(piece: Any) -> Any:
    """What a reader has of a piece: ids and counts are another's each time."""
    return [
        (
            message.content if type(message.content) is str else repr(message.content),
            [(one.get("index"), one.get("name"), one.get("args")) for one in _calls_in(message)],
        )
        for message in messages_of(piece)
    ]


def _calls_in(message: Any) -> Sequence[Any]:
    return getattr(message, "tool_call_chunks", None) or ()
