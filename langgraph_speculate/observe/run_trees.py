"""Runs of LangSmith's SDK: how facts are written into them, how they are sent, and how a trace is scored."""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import orjson
from langsmith.uuid import uuid7_from_datetime

from langgraph_speculate.core.speculation import Speculation

if TYPE_CHECKING:
    from langsmith import Client, RunTree

_THREADS = ("thread_id", "session_id", "conversation_id")  # the metadata by which LangSmith finds a thread's runs
_HIDDEN_FROM_MESSAGES = "ls_message_view_exclude"  # a guess is no part of the conversation
_PREFIX = "speculation_"
_KIND: Final = "chain"
_DIGITS = 16
_SUMS = ("calls", "launched", "hits", "wasted", "hidden_ms")
_COUNTING = threading.Lock()  # graphs that run side by side may share the runs around them


class Child:
    """A run below another one. It begins now, and is made each time that something of it is sent.

    Args:
        parent: The run above it.
        name: Its name.
        inputs: Its inputs.

    Attributes:
        id: Its id.
    """

    __slots__ = ("_began", "_inputs", "_name", "_parent", "id")

    def __init__(self, parent: RunTree, name: str, inputs: dict[str, Any]) -> None:
        self._parent, self._name, self._inputs = parent, name, inputs
        self._began = datetime.now(UTC)
        self.id = uuid7_from_datetime(self._began)

    def begin(self) -> None:
        """Send that it has begun. Most runs are not told of before they are over."""
        self._tree().post()

    def send(
        self,
        tags: list[str],
        facts: Mapping[str, Any],
        outputs: dict[str, Any],
        *,
        ran_s: float | None,
        begun: bool = False,
    ) -> None:
        """Send it now that it is over, with the facts and what it takes to find it by its thread.

        Args:
            tags: Its tags.
            facts: What is told of it.
            outputs: Its outputs.
            ran_s: Seconds it took; None if it ends now.
            begun: That it began was sent before.
        """
        parent = self._parent
        around = parent.metadata
        thread = {key: around[key] for key in _THREADS if key in around}
        told = {
            "tags": tags,
            "extra": {"metadata": {**thread, **_flat(facts), _HIDDEN_FROM_MESSAGES: True}},
            "outputs": outputs,
            "end_time": datetime.now(UTC) if ran_s is None else self._began + timedelta(seconds=ran_s),
        }
        if begun:
            self._tree(**told).patch()
        elif parent.replicas:
            self._tree(**told).post()
        else:  # what `RunTree.post` comes to, for two thirds of the time: nothing is copied, checked or dumped
            body = {**self._own(), **told, "session_name": parent.session_name}
            if (address := getattr(parent, "address", None)) is not None:
                body["address"] = address
            parent.client.create_run(self._name, self._inputs, _KIND, **body)

    def _own(self) -> dict[str, Any]:
        """What makes it a run of its own, below its parent."""
        parent, began = self._parent, self._began
        return {
            "id": self.id,
            "trace_id": parent.trace_id,
            "parent_run_id": parent.id,
            "dotted_order": f"{parent.dotted_order}.{began:%Y%m%dT%H%M%S%fZ}{self.id}",
            "start_time": began,
        }

    def _tree(self, **told: Any) -> RunTree:
        """What `RunTree.create_child` makes, for a tenth of the time: a copy of its parent is checked already.

        Args:
            told: Fields that are not as in a run that has just begun.
        """
        fresh: dict[str, Any] = {
            "name": self._name,
            "run_type": _KIND,
            "serialized": {"name": self._name},
            "inputs": self._inputs,
            "outputs": {},
            "error": None,
            "events": None,  # none at all: each part of a body costs the SDK about as much as all that is done here
            "extra": {},
            "tags": [],
            "attachments": {},
            "reference_example_id": None,
            "session_id": None,
            "end_time": None,
            "parent_dotted_order": self._parent.dotted_order,
            "child_runs": [],
        }
        return self._parent.model_copy(update=self._own() | fresh | told)


class Sums:
    """What speculations came to in one run of a graph, told by the runs around it while they are open.

    Those may be shared with other runs, and say what came of all together. How they end, and when, is for others to
    decide, so they are right at any time. As they change often, they are changed in place; no key comes or goes
    while somebody may read them.

    Args:
        around: The runs around it, outermost first.
        mode: How it speculates.

    Attributes:
        around: The same, as long as they may be open.
        own: The sums of this run alone, by name.
    """

    __slots__ = ("around", "own")

    def __init__(self, around: Sequence[RunTree], mode: str) -> None:
        self.around = around
        self.own = dict.fromkeys(_SUMS, 0)
        with _COUNTING:
            for run in around:
                so_far = {name: run.metadata.get(f"{_PREFIX}{name}", 0) for name in _SUMS}
                add(run, [], {"mode": mode, **so_far})

    def add(self, **more: int) -> None:
        """Add to sums."""
        with _COUNTING:
            for name, amount in more.items():
                self.own[name] += amount
                key = f"{_PREFIX}{name}"
                for run in self.around:
                    told = run.metadata
                    told[key] = told.get(key, 0) + amount


def add(run: RunTree, tags: list[str], facts: Mapping[str, Any]) -> None:
    """Add to a run that is still open. What it holds may be shared with others, and is replaced."""
    run.tags = [*(run.tags or ()), *tags]
    run.extra["metadata"] = {**run.metadata, **_flat(facts)}


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
    return {f"{_PREFIX}{name}": value for name, value in facts.items()}


def facts_of(speculation: Speculation, outcome: str) -> dict[str, Any]:
    """What is told of every speculation."""
    label = {} if speculation.tag is None else {"tag": speculation.tag}
    return label | {
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
