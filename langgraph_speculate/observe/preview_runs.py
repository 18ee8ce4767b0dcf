"""Previews in a LangSmith trace: each is one run below the model step whose tools it was started beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph_speculate.core import events
from langgraph_speculate.observe.run_trees import Child, millis

if TYPE_CHECKING:
    from langsmith import RunTree

TAG = "speculation:model-ahead"


class PreviewRuns:
    """The previews of one agent run whose ends were not sent yet."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[events.PreviewBegan, Child]] = {}

    def take(self, event: events.Event, step: RunTree | None) -> None:
        """Take in an event, if it is about a preview.

        Args:
            event: The event.
            step: The latest model step; for a preview that is used, the one that takes it over.
        """
        match event:
            case events.PreviewBegan() if step is not None:
                self._open[event.preview] = event, Child(step, f"speculate {event.model or 'model'}", {})
            case events.PreviewUsed():
                facts = {"outcome": "joined" if event.joined else "hit", "saved_ms": millis(event.hidden_s)}
                link = {} if step is None else {"adopted_step_id": str(step.id)}
                self._send(event.preview, "speculation:adopted", facts | link, event.at)
            case events.PreviewWasted():
                spent = {"wasted_tokens": event.tokens, "wasted_cost": event.cost}
                lost = {"outcome": "wasted", "reason": event.reason, **spent}
                self._send(event.preview, "speculation:wasted", lost, event.at)

    def _send(self, id: str, tag: str, facts: dict[str, Any], at: float) -> None:
        began, run = self._open.pop(id, (None, None))
        if began is None or run is None:
            return
        told = {
            "model": began.model,
            "tools": ", ".join(began.tools),
            "probability": began.probability,
            "tokens": began.tokens,
        }
        outputs = {"outcome": facts["outcome"]}
        run.send(["speculation", TAG, tag], {**told, **facts}, outputs, ran_s=at - began.at)
