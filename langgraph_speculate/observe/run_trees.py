"""Runs of LangSmith's SDK: how facts are written into them, how they are sent, and how a trace is scored."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson

from langgraph_speculate.core.speculation import Speculation

if TYPE_CHECKING:
    from langsmith import Client, RunTree

_THREADS = ("thread_id", "session_id", "conversation_id")  # the metadata by which LangSmith finds a thread's runs
_HIDDEN_FROM_MESSAGES = "ls_message_view_exclude"  # a guess is no part of the conversation
_DIGITS = 16


def add(run: RunTree, tags: list[str], facts: Mapping[str, Any]) -> None:
    """Add to a run that is still open. What it holds may be shared with others, and is replaced."""
    run.tags = [*(run.tags or ()), *tags]
    run.extra["metadata"] = {**run.metadata, **_flat(facts)}


def send(run: RunTree, tags: list[str], facts: Mapping[str, Any], *, posted: bool = False) -> None:
    """Send a run that is over, with the facts and what it takes to find it by its thread."""
    thread = {key: run.metadata[key] for key in _THREADS if key in run.metadata}
    run.tags = tags
    run.extra = {"metadata": {**thread, **_flat(facts), _HIDDEN_FROM_MESSAGES: True}}
    if posted:
        run.patch()
    else:
        run.post()


def score(root: RunTree, scores: Mapping[str, float], warn: Callable[[str, str], None]) -> None:
    """Score a trace. This waits for the network, and the project is there once its first run has arrived."""
    try:
        root.client.flush()
        project = _project(root.client, root.session_name)
        for key, value in scores.items():
            root.client.create_feedback(
                key=key, score=value, trace_id=root.trace_id, session_id=project, extend_trace_retention=False
            )
    except Exception as error:  # noqa: BLE001 - somebody else's server
        warn("langsmith-feedback", f"a trace in LangSmith could not be scored: {error!r}")


@functools.lru_cache(maxsize=64)
def _project(client: Client, name: str) -> UUID:
    """The id of a project, which run-level feedback has to name."""
    id: UUID = client.read_project(project_name=name).id
    return id


def _flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {f"speculation_{name}": value for name, value in facts.items()}


def facts_of(speculation: Speculation, outcome: str) -> dict[str, Any]:
    """What is told of every speculation."""
    return {
        "id": speculation.id,
        "tool": speculation.call.name,
        "outcome": outcome,
        "probability": round(speculation.probability, 2),
        "source": speculation.source,
        "stage": speculation.stage.value,
        "depth": speculation.depth,
        "tool_ms": millis(speculation.ran_s),
    }


def millis(seconds: float) -> int:
    """Seconds as whole milliseconds."""
    return round(seconds * 1000)


def digest(value: Any) -> str | None:
    """The beginning of the SHA-256 of a text, or of JSON with sorted keys; None of anything else."""
    try:
        plain = value.encode() if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except (TypeError, UnicodeEncodeError):
        return None
    return hashlib.sha256(plain).hexdigest()[:_DIGITS]
