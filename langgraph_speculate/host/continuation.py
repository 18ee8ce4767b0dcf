"""A preview's message as it is written: calls that are complete in it run early, resting on the preview.

Whether they may is decided as for any other guess. What the preview takes back is let go; that nobody takes the preview
over is the session's to hear (`core/foresight.py`).
"""

from __future__ import annotations

from typing import Any

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.draft import DraftCall
from langgraph_speculate.host.lookahead import Lookahead, Spot
from langgraph_speculate.host.preview import messages_of
from langgraph_speculate.host.reading import Reader, Reading


class Continuation(Reader):
    """Reads what one preview writes. Only whole calls count: what they begin like a predictor knows as well.

    Args:
        preview: The preview's id.
        spot: Where the message was written whose calls are under way.
        lookahead: Launches what is found.
    """

    def __init__(self, preview: str, spot: Spot, lookahead: Lookahead) -> None:
        self._preview = preview
        self._spot = spot
        self._lookahead = lookahead
        self._reading = Reading(self, reads_text=False)

    def piece(self, piece: Any) -> None:
        """A chunk of a stream, or a whole result."""
        if not hasattr(piece, "generations"):
            self._reading.token(piece.text, piece)
            return
        try:
            for message in messages_of(piece):
                for call in message.tool_calls:
                    self._launch(Call(call["name"], call["args"]), call["id"])
        except Exception as error:  # noqa: BLE001 - what a provider wrote may be anything
            self.failed(error)

    def written(self, call: DraftCall) -> None:
        """A call is complete."""
        self._launch(call.call(), call.id)

    def revised(self) -> None:
        """What it wrote is void."""
        self._lookahead.take_back(self._preview)

    def failed(self, error: Exception) -> None:
        """What it wrote could not be read: a real call of the model will show it."""
        self.revised()

    def _launch(self, call: Call, id: str | None) -> None:
        self._lookahead.past_preview(self._spot, self._preview, call, id)
