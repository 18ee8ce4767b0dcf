"""Runs in LangSmith that are open around the code that asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.tracers.langchain import LangChainTracer
from langsmith import RunTree, get_tracing_context

__all__ = ["traced_path", "traced_run"]

_UUID_LENGTH = 36


def traced_run(config: Mapping[str, Any] | None) -> RunTree | None:
    """The run in LangSmith that code with that *config* is part of, while it is open; None where nothing is traced.

    What is set on it before it ends is sent with its end.
    """
    path = _traced(config)
    return path[1] if path else None


def traced_path(config: Mapping[str, Any] | None) -> list[RunTree]:
    """The open runs in LangSmith around code with that *config*, outermost first; none where nothing is traced.

    Runs of another process, and those that the host was not told of, are not among them.
    """
    found = _traced(config)
    if found is None or get_tracing_context().get("enabled") is False or not _is_sampled(found[1]):
        return []
    runs, innermost = found
    ids = [step[-_UUID_LENGTH:] for step in innermost.dotted_order.split(".")]
    return [runs[id] for id in ids if id in runs]


def _traced(config: Mapping[str, Any] | None) -> tuple[Mapping[str, RunTree], RunTree] | None:
    """The open runs of the tracer in a config, and the one among them that the config is of."""
    callbacks = (config or {}).get("callbacks")
    for handler in getattr(callbacks, "handlers", ()):
        if isinstance(handler, LangChainTracer):
            run = handler.run_map.get(str(getattr(callbacks, "parent_run_id", None)))
            return None if run is None else (handler.run_map, run)
    return None


def _is_sampled(run: RunTree) -> bool:
    """Whether the trace of a run is among those that are sent."""
    client = run.client
    return client.tracing_sample_rate is None or bool(
        client._filter_for_sampling([{"id": run.id, "trace_id": run.trace_id}])
    )
