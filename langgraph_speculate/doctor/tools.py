"""What is found out about each tool of a graph: the gate's verdict, and what its owner should know to decide."""

from __future__ import annotations

import sqlite3
import subprocess  # nosec B404 - its functions are looked for, and not called
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from langchain_core.tools import BaseTool

from langgraph_speculate.core.facts import RunView
from langgraph_speculate.core.gate import forbids
from langgraph_speculate.core.resources import Epochs
from langgraph_speculate.doctor.looks import Looks, looks_of
from langgraph_speculate.host.engine import Engine
from langgraph_speculate.host.entry import Entry
from langgraph_speculate.host.explanation import ToolVerdict, verdict_on
from langgraph_speculate.host.reach import reach_of, values_around
from langgraph_speculate.host.toolbox import Toolbox
from langgraph_speculate.policy import ToolPolicy
from langgraph_speculate.policy.annotations import Annotations, annotations_of
from langgraph_speculate.policy.rules import Rule, narrowed


@dataclass(frozen=True, slots=True)
class ToolFinding:
    """What is known about one tool.

    Attributes:
        name: Its name.
        description: What the model is told about it.
        arguments: Their kinds by name, without those that the host supplies.
        verdict: Whether it may run ahead, and why not, as things are.
        once_declared: The same if its owner declared that it only reads.
        gains: Whether it would then start early at all, be it only once the model has written the call.
        policy: Its owner's entry, or None if there is none.
        looks: What it looks like.
        said: What its MCP server says about it, or None if it has none.
        blocking: What its async body calls that may hold up the event loop.
    """

    name: str
    description: str
    arguments: Mapping[str, str]
    verdict: ToolVerdict
    once_declared: ToolVerdict
    gains: bool
    policy: ToolPolicy | None
    looks: Looks
    said: Annotations | None
    blocking: tuple[str, ...]


def findings(engine: Engine) -> tuple[ToolFinding, ...]:
    """What is known about every tool of a wrapped graph and of the graphs in it, by name.

    Of tools that share a name across graphs, the one that may not run ahead is shown.
    """
    verdicts: dict[str, ToolVerdict] = {}
    for verdict in engine.explain():
        if verdict.tool not in verdicts or not verdict.allowed:
            verdicts[verdict.tool] = verdict
    found: dict[str, ToolFinding] = {}
    for toolbox, blocked in engine.views:
        for entry in toolbox:
            one = _finding(entry, toolbox, blocked, verdicts[entry.facts.name])
            known = found.get(one.name)
            if known is None or known.once_declared.allowed:
                found[one.name] = one
    return tuple(found[name] for name in sorted(found))


def _finding(entry: Entry, toolbox: Toolbox, blocked: str | None, verdict: ToolVerdict) -> ToolFinding:
    tool, facts = entry.tool, entry.facts
    said = annotations_of(tool.metadata)
    # Asked of the gate itself: what would be left in the way.
    entered = facts.rule.tool or ToolPolicy()
    if not entered.read_only:
        entered = ToolPolicy(read_only=True)
    declared = replace(facts, rule=narrowed(Rule(entered, facts.rule.origin), said))
    arguments = {name: kind for name, kind in _arguments(tool).items() if name not in entry.hidden}
    view = RunView("declared", blocked, Epochs())
    once_declared = verdict_on(declared, toolbox, view)
    written = forbids(declared, min(declared.venues, default=""), view, "") is None
    return ToolFinding(
        name=facts.name,
        description=" ".join(tool.description.split()),
        arguments=arguments,
        verdict=verdict,
        once_declared=once_declared,
        gains=once_declared.allowed or (written and toolbox.get(facts.name) is not None),
        policy=facts.rule.tool,
        looks=looks_of(facts.name, arguments, said),
        said=said,
        blocking=tuple(_blocking(tool)),
    )


def _arguments(tool: BaseTool) -> dict[str, str]:
    try:
        return {name: str(schema.get("type", "any")) for name, schema in tool.args.items()}
    except Exception:  # noqa: BLE001 - a schema is somebody else's code
        return {}


_BLOCKING = {
    id(function): name
    for name, function in (
        ("time.sleep", time.sleep),
        ("sqlite3.connect", sqlite3.connect),
        ("subprocess.run", subprocess.run),
        ("subprocess.check_output", subprocess.check_output),
        ("urllib.request.urlopen", urllib.request.urlopen),
    )
}
_ELSEWHERE = frozenset({"to_thread", "run_in_executor", "run_sync"})


def _blocking(tool: BaseTool) -> Iterator[str]:
    """What an async body itself names that blocks; one that hands work to threads is taken to know what it does."""
    body: Any = getattr(tool, "coroutine", None)
    if body is None or _ELSEWHERE & reach_of([body]).names:
        return
    for value in {id(value): value for value in values_around(body)}.values():
        if id(value) in _BLOCKING:
            yield _BLOCKING[id(value)]
        elif callable(value) and getattr(value, "__module__", None) == "requests.api":
            yield f"requests.{value.__name__}"
