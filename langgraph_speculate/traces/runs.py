"""Recorded runs: what a model knew before each of its messages, what it then called, and which runs to learn from."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.history import History, Origin, text_of


@dataclass(frozen=True)
class Run:
    """One recorded run.

    Attributes:
        id: Whose run; calls of one run are one conversation.
        task: What it worked on. Several runs may share a task, and then they resemble each other.
        events: Its messages in neutral form, oldest first: dicts with `role`, `content`, `tool_calls` and so on.

    >>> call = {"id": "c1", "name": "get_order", "args": {"id": 7}}
    >>> run = Run("r", "t", [
    ...     {"role": "user", "content": "Order 7?"},
    ...     {"role": "assistant", "content": "", "tool_calls": [call]},
    ...     {"role": "tool", "tool_call_id": "c1", "content": "sent"},
    ...     {"role": "assistant", "content": "It was sent."},
    ... ])
    >>> [(len(history.events), [call.name for call in calls]) for history, calls in run.decisions()]
    [(1, ['get_order']), (3, [])]
    """

    id: str
    task: str
    events: Sequence[Mapping[str, Any]]

    def decisions(self) -> Iterator[tuple[History, list[Call]]]:
        """Every model call: what was known before it, and the calls that it then made (none: it answered).

        The text that the message began with is in `History.writing`, for those who learn from it.
        """
        # Where a recording comes from says whose values repeat for no reason but that it is one conversation. It says
        # nothing of users or tenants: those who have some give each its own file of patterns.
        origin = Origin(thread=self.id, run=self.id)
        history = History(origin=origin)
        for index, event in enumerate(self.events):
            if event.get("role") != "assistant":
                continue
            history = History.from_messages(self.events[:index], history, origin)
            calls = [
                Call(call["name"], call["args"])
                for call in event.get("tool_calls") or ()
                if isinstance(call.get("args"), dict)
            ]
            yield replace(history, writing=text_of(event.get("content"))), calls


def split(runs: Sequence[Run], seed: int, *, train: float = 0.7, by: str = "task") -> tuple[list[Run], list[Run]]:
    """Split runs into a part to learn from and a part to test on, the same for the same seed.

    Args:
        runs: In the order of time; each part keeps it.
        seed: Which split.
        train: Share of the tasks to learn from, in [0, 1].
        by: `"task"`: runs of one task stay together. `"run"`: each goes its own way, as where tasks come again.

    >>> train, test = split([Run(str(number), str(number // 2), ()) for number in range(20)], seed=0)
    >>> len(train), len(test), {run.task for run in train} & {run.task for run in test}
    (14, 6, set())
    """
    names = sorted({run.task if by == "task" else run.id for run in runs})
    random.Random(seed).shuffle(names)  # nosec B311
    chosen = set(names[: round(train * len(names))])
    inside = [run for run in runs if (run.task if by == "task" else run.id) in chosen]
    outside = [run for run in runs if (run.task if by == "task" else run.id) not in chosen]
    return inside, outside
