"""One frozen record per thing that happened.

Values stay out: a record names graphs, models, tools and ids, never arguments or results. `at` is seconds on the host's
monotonic clock, `run` the id of one agent run, `turn` one model call of it, `id` one speculation, `warm_up` one
warm-up, `preview` one preview.

A log of all records is a history that can be checked (`observe/audit.py`): `number` says in which order things happened
in a run, epochs in which order writes and reads did across runs, and marks (`core/marks.py`) stand for what was read
and written.
"""

from langgraph_speculate.core.events.base import SCHEMA, Event
from langgraph_speculate.core.events.calls import CallSettled, Repeated, StepSettled, Wrote
from langgraph_speculate.core.events.previews import PreviewBegan, PreviewRefused, PreviewUsed, PreviewWasted
from langgraph_speculate.core.events.runs import RunBegan, RunClosed, Switched
from langgraph_speculate.core.events.shadow import ShadowLaunched, ShadowSettled, ShadowStepSettled, ShadowWasted
from langgraph_speculate.core.events.speculations import (
    Committed,
    Discarded,
    Finished,
    Ghost,
    Hedged,
    Launched,
    Matched,
    Wasted,
)
from langgraph_speculate.core.events.turns import Denied, Narrowed, Predicted, Refused, TurnBegan, TurnEnded, TurnFailed
from langgraph_speculate.core.events.warm_ups import WarmUpBegan, WarmUpEnded, WarmUpUsed, WarmUpWasted

__all__ = [
    "SCHEMA",
    "CallSettled",
    "Committed",
    "Denied",
    "Discarded",
    "Event",
    "Finished",
    "Ghost",
    "Hedged",
    "Launched",
    "Matched",
    "Narrowed",
    "Predicted",
    "PreviewBegan",
    "PreviewRefused",
    "PreviewUsed",
    "PreviewWasted",
    "Refused",
    "Repeated",
    "RunBegan",
    "RunClosed",
    "ShadowLaunched",
    "ShadowSettled",
    "ShadowStepSettled",
    "ShadowWasted",
    "StepSettled",
    "Switched",
    "TurnBegan",
    "TurnEnded",
    "TurnFailed",
    "WarmUpBegan",
    "WarmUpEnded",
    "WarmUpUsed",
    "WarmUpWasted",
    "Wasted",
    "Wrote",
]
