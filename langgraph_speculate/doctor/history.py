"""What recorded runs add to a diagnosis: what would be saved, and which tools are too fast to be worth it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from langgraph_speculate.core.worth import COORDINATION_S, TOO_FAST
from langgraph_speculate.doctor.diagnosis import Diagnosis
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.replay.forecast import Forecast, forecast
from langgraph_speculate.replay.method import Method
from langgraph_speculate.replay.survey import Progress
from langgraph_speculate.traces.reader import at_least_one, read_runs
from langgraph_speculate.traces.runs import Run
from langgraph_speculate.traces.skips import Skips


def outlook(found: Diagnosis, traces: Sequence[str], skips: Skips, progress: Progress) -> Forecast:
    """What would be saved if the tools ran ahead that may; if none may, those that only read by their names.

    Args:
        found: What is known about the graph.
        traces: Where its recorded runs are.
        skips: Told what cannot be read.
        progress: As in `forecast()`.

    Raises:
        TraceError: The traces are missing, cannot be opened or do not suffice.
    """
    passes = iter([skips])  # every pass skips the same: the first is told

    def recordings() -> Iterator[Run]:
        told = next(passes, Skips())
        return at_least_one(read_runs(traces, on_skip=told), told)

    return forecast(recordings, found.as_policy(), method=Method(streams=found.streams), progress=progress)


def too_fast(saved: Forecast) -> Iterator[str]:
    """Warnings of tools that answer before there is anything to be gained."""
    for name, counts in saved.variants[0].stats.by_tool.items():
        seconds = (counts.hidden_s + counts.tool_wait_s) / counts.real_calls if counts.real_calls else TOO_FAST
        if seconds < TOO_FAST * COORDINATION_S:
            yield f"{printable(name)} answers within {seconds * 1000:.1f} ms: there is no time to be saved."
