"""What happened when in one run: the model's steps, the tools' calls, and what ran ahead of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from langgraph_speculate.core.events import CallSettled, Discarded, Event, Finished, Launched

Kind = Literal["model", "tool", "ahead", "vain"]
MODEL = "model"


@dataclass(frozen=True, slots=True)
class Span:
    """One stretch of time on `time.monotonic()`.

    Attributes:
        lane: `"model"` or the tool's name.
        kind: `"model"` a model step, `"tool"` a call as the agent saw it, `"ahead"` a speculation that was adopted,
            `"vain"` one that was not.
        began: Seconds.
        ended: Seconds.
    """

    lane: str
    kind: Kind
    began: float
    ended: float


class SpanRecorder(BaseCallbackHandler):
    """Records the model and tool spans of the run it is attached to; it changes nothing about it."""

    run_inline = True  # in a thread of its own, it would note the time late

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._open: dict[UUID, tuple[str, Kind, float]] = {}

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A model step begins."""
        self._open[run_id] = (MODEL, "model", time.monotonic())

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, **kwargs: Any) -> None:
        """A real call begins."""
        self._open[run_id] = (str(serialized["name"]), "tool", time.monotonic())

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A model step ends."""
        self._close(run_id)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A model step fails."""
        self._close(run_id)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A real call ends."""
        self._close(run_id)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A real call fails."""
        self._close(run_id)

    def _close(self, run_id: UUID) -> None:
        if run_id in self._open:
            self.spans.append(Span(*self._open.pop(run_id), time.monotonic()))


def ahead_spans(events: Sequence[Event]) -> list[Span]:
    """The speculations among the events of one run, as they ran."""
    ended = {event.id: event.at for event in reversed(events) if isinstance(event, Finished | Discarded)}
    adopted = {event.id for event in events if isinstance(event, CallSettled)}
    return [
        Span(event.tool, "ahead" if event.id in adopted else "vain", event.at, ended.get(event.id, events[-1].at))
        for event in events
        if isinstance(event, Launched)
    ]


def covered_s(spans: Iterable[Span]) -> float:
    """Seconds in which at least one of the spans is under way."""
    total, until = 0.0, float("-inf")
    for span in sorted(spans, key=lambda span: span.began):
        total += max(0.0, span.ended - max(span.began, until))
        until = max(until, span.ended)
    return total
