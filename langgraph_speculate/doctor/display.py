"""What `langgraph-speculate doctor` shows on a terminal, and the same as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from langgraph_speculate.doctor.diagnosis import Diagnosis
from langgraph_speculate.doctor.steps import Step
from langgraph_speculate.doctor.tools import ToolFinding
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.policy.levels import ENVIRONMENT_VARIABLE
from langgraph_speculate.report.remedies import advice


def show(
    found: Diagnosis, place: str, warned: Sequence[str], patch: str, next_steps: Sequence[Step], console: Console
) -> None:
    """Print a diagnosis.

    Args:
        found: What was found.
        place: Where the graph is written down.
        warned: What its owner should be warned of.
        patch: The two lines that wrap it; not shown where it is wrapped already.
        next_steps: What to do next.
        console: Where to.
    """
    console.print(Text(place, style="bold"), soft_wrap=True)
    facts = Table.grid(padding=(0, 2))
    for name, value in _facts(found):
        facts.add_row(Text(name, style="dim"), Text(value))
    console.print(facts)
    if found.tools:
        console.print()
        remedies = _said_once(found.tools)
        console.print(_tools(found.tools, remedies))
        for (why, remedy), count in remedies.items():
            console.print(Text(f"{why} ({count} tools): {remedy}"), soft_wrap=True)
    _section(console, "Warnings", [Text(f"- {warning}", style="yellow") for warning in warned])
    if found.wrapped is None:
        _section(console, "The two lines", [_coloured(line) for line in patch.splitlines()])
    numbered = [Text(f"{at}. {step.title}: {step.command}\n   {step.look}") for at, step in enumerate(next_steps, 1)]
    _section(console, "What next (docs/rollout.md)", numbered)


def as_json(
    found: Diagnosis, place: str, warned: Sequence[str], patch: str, next_steps: Sequence[Step]
) -> dict[str, Any]:
    """A diagnosis as plain data, ready for any JSON encoder; see `show`."""
    return {
        "graph": place,
        "kind": found.kind,
        "nodes": list(found.nodes),
        "models": [{"kind": name, "does_not_stream": why} for name, why in found.models],
        "middleware": list(found.middleware),
        "checkpointer": found.checkpointer,
        "store": found.store,
        "approvals": {"gated": list(found.gated), "asking": list(found.asking), "blocked": found.blocked},
        "versions": dict(found.versions),
        "tracing": found.traced,
        "environment": found.environment,
        "wrapped": found.wrapped,
        "level": None if found.policy is None else found.policy.level,
        "tools": [_as_json(one) for one in found.tools],
        "warnings": list(warned),
        "patch": None if found.wrapped else patch,
        "next": [asdict(step) for step in next_steps],
    }


def _as_json(one: ToolFinding) -> dict[str, Any]:
    return {
        "name": one.name,
        "description": one.description,
        "arguments": dict(one.arguments),
        "verdict": asdict(one.verdict),
        "once_declared": asdict(one.once_declared),
        "gains": one.gains,
        "looks": asdict(one.looks),
        "annotations": None if one.said is None else asdict(one.said),
        "blocking": list(one.blocking),
    }


def _facts(found: Diagnosis) -> Iterator[tuple[str, str]]:
    models = ", ".join(f"{name} ({'does not stream' if why else 'streams'})" for name, why in found.models)
    seen = "made at run time" if found.asks_models else "none seen"
    approvals = [f"{printable(name)} waits for a person" for name in found.gated]
    approvals += [f"{printable(name)} can ask a person" for name in found.asking]
    yield "graph", found.kind
    yield "nodes", _listed(found.nodes)
    yield "tools", str(len(found.tools))
    yield "models", models or seen
    yield "middleware", _listed(found.middleware)
    yield "checkpointer", found.checkpointer or "none of its own"
    yield "store", found.store or "none of its own"
    yield "approvals", "; ".join(approvals) or "none found"
    yield "versions", ", ".join(f"{name} {number}" for name, number in found.versions.items())
    yield "LangSmith tracing", "on" if found.traced else "off"
    yield ENVIRONMENT_VARIABLE, found.environment or "not set"
    yield (
        "speculates",
        {None: "not yet", "speculate": "yes, speculate()"}.get(found.wrapped, "yes, SpeculationMiddleware"),
    )
    yield "policy", "none" if found.policy is None else f"level {found.policy.level}, {len(found.policy.tools)} entries"


def _said_once(tools: Sequence[ToolFinding]) -> dict[tuple[str, str], int]:
    """Reasons and remedies that several tools have in common, with how many do."""
    found = Counter(advised for one in tools if not one.verdict.allowed and (advised := _advised(one))[1])
    return {advised: count for advised, count in found.items() if count > 1}


def _tools(tools: Sequence[ToolFinding], said_once: Collection[tuple[str, str]]) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("tool", overflow="fold")
    table.add_column("ahead")
    table.add_column("why, and what to do")
    table.add_column("hint")
    for one in tools:
        cells = (printable(one.name), "yes" if one.verdict.allowed else "no", _why(one, said_once), str(one.looks))
        table.add_row(*map(Text, cells), style="green" if one.verdict.allowed else "")
    return table


def _why(one: ToolFinding, said_once: Collection[tuple[str, str]]) -> str:
    if one.verdict.allowed:
        return one.verdict.origin
    why, remedy = advised = _advised(one)
    if advised in said_once or not remedy:
        return why
    return f"{why}: {remedy.replace('[tools.NAME]', f'[tools.{printable(one.name)}]')}"


def _advised(one: ToolFinding) -> tuple[str, str]:
    """Why a tool may not run ahead, and what to do about it with NAME for its name, so that equals can be told."""
    why, remedy = advice(one.verdict.reason, one.verdict.detail)
    if one.verdict.reason == "undeclared" and not one.once_declared.allowed:
        rest = "; ".join(filter(None, advice(one.once_declared.reason, one.once_declared.detail)))
        return f"{why}, and if somebody did: {rest}", ""
    return why, remedy.replace(f"[tools.{one.name}]", "[tools.NAME]")


def _section(console: Console, title: str, lines: Sequence[Text]) -> None:
    if lines:
        console.print()
        console.print(Text(title, style="bold"))
        for line in lines:
            console.print(line, soft_wrap=True)


def _coloured(line: str) -> Text:
    return Text(line, style={"+": "green", "-": "red"}.get(line[:1], ""))


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(printable, names)) or "none"
