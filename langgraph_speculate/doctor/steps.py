"""What to do next: replay, shadow, a few tools, all, with the command and the number to look at for each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from langgraph_speculate.doctor.diagnosis import Diagnosis

_FEW = 3
_TRACES = {
    "SqliteSaver": "checkpoints.sqlite",
    "AsyncSqliteSaver": "checkpoints.sqlite",
    "PostgresSaver": "postgresql://…",
    "AsyncPostgresSaver": "postgresql://…",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of switching speculation on.

    Attributes:
        title: What it is.
        command: What to run or to write.
        look: The number to look at, and what it should be before the next step.
    """

    title: str
    command: str
    look: str


def steps(
    found: Diagnosis, target: str, policy: str, *, drafted: bool = False, traces: Sequence[str] = ()
) -> Sequence[Step]:
    """The steps that are left for a graph.

    Args:
        found: What is known about it.
        target: What was named on the command line, with its options.
        policy: The policy file's name.
        drafted: Whether that file has just been written.
        traces: Recorded runs, if they are known.
    """
    if not any(one.gains for one in found.tools):
        return [
            Step("Clear the way", "see above what stands before each tool", "a tool that would start early if declared")
        ]
    declared = [one.name for one in found.tools if one.policy is not None and one.policy.read_only]
    left: list[Step] = []
    if not declared:
        named = f" {target}" if target else ""
        check = f"langgraph-speculate doctor{named} --policy {policy}"
        command = f"edit {policy}, then {check}" if drafted else f"langgraph-speculate doctor{named} --interactive"
        left.append(Step("Declare", command, "say which tools only read: “yes” stands beside those that may run ahead"))
    left += [
        Step(
            "Replay",
            f"langgraph-speculate replay {' '.join(traces) or _history(found)} --policy {policy}"
            + ("" if found.streams else " --no-streaming"),
            "“saved”: go on if it says “It pays”",
        ),
        Step(
            "Shadow",
            'speculate(…, observers=[JsonLines("shadow.jsonl")]), with LANGGRAPH_SPECULATE=shadow in the environment; '
            "then langgraph-speculate replay shadow.jsonl",
            "the same first sentence: go on if it still says “It pays”; nothing has run ahead",
        ),
        Step(
            "A few tools",
            f"declare only {_few(found)} and take the variable away again",
            "stats().hidden_s against stats().wasted_s: more is hidden than wasted, and your services do not notice",
        ),
        Step(
            "All",
            "declare the other tools that only read",
            'with observers=[JsonLines("events.jsonl")], langgraph-speculate report events.jsonl: seconds hidden, and '
            "why calls were held back",
        ),
    ]
    return left


def _history(found: Diagnosis) -> str:
    """Where the runs of this graph are likely to be recorded."""
    if found.checkpointer in _TRACES:
        return _TRACES[found.checkpointer]
    project = os.environ.get("LANGSMITH_PROJECT") or os.environ.get("LANGCHAIN_PROJECT") or "default"
    return f"langsmith:{project}" if found.traced else "TRACES"


def _few(found: Diagnosis) -> str:
    """Those that could run ahead and look as if they only read, or else any that could."""
    could = [one for one in found.tools if one.gains]
    best = [one.name for one in could if one.looks.kind == "reads"] or [one.name for one in could]
    return ", ".join(best[:_FEW]) or "a tool that only reads"
