"""`langgraph-speculate doctor`: what may run ahead in a graph, why not, and what to do about it."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from langgraph_speculate.cli.app import Json, app, fail
from langgraph_speculate.cli.output import tell_cut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langgraph_speculate.doctor.tools import ToolFinding

_POLICY = Path("speculate.toml")


@app.command(
    epilog="Examples: langgraph-speculate doctor; langgraph-speculate doctor my_agent.graph:graph --policy "
    "speculate.toml; langgraph-speculate doctor agent.py:graph --interactive --write speculate.toml; "
    "langgraph-speculate doctor --traces checkpoints.sqlite --json"
)
def doctor(
    graph: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:GRAPH]",
            help="module:graph, path/to/file.py:graph, or a graph's name in langgraph.json; its only one if left out.",
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="langgraph.json, if it is not in this folder.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="speculate.toml to ask about; the graph's own if left out.")
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a first policy: every tool with what was found, nothing enabled."),
    ] = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", help="Ask tool by tool whether it only reads, and write what you confirm.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file that --write names.")] = False,
    traces: Annotated[
        list[str] | None,
        typer.Option(metavar="TRACES", help="Recorded runs: also say what would have been saved. May be repeated."),
    ] = None,
    events: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="EVENTS",
            help="Logs of JsonLines: also what happened so far; of shadow mode, what would have.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say what may run ahead in a graph, tool by tool, with the gate's own reasons, and what to do next.

    Imports the graph as langgraph dev does, and runs neither it nor any of its tools.
    """
    from langgraph_speculate.doctor import display, draft
    from langgraph_speculate.doctor.diagnosis import diagnose, warnings
    from langgraph_speculate.doctor.history import outlook, too_fast
    from langgraph_speculate.doctor.patch import patch
    from langgraph_speculate.doctor.source import find, load
    from langgraph_speculate.doctor.steps import steps
    from langgraph_speculate.policy import SpeculationPolicy
    from langgraph_speculate.replay.display import show as show_forecast
    from langgraph_speculate.replay.outlook import as_json as forecast_as_json
    from langgraph_speculate.replay.rehearsal import as_json as rehearsal_as_json
    from langgraph_speculate.replay.rehearsal import rehearsal, verdict
    from langgraph_speculate.report import Report
    from langgraph_speculate.traces.display import progress_on, show_skips
    from langgraph_speculate.traces.skips import Skips

    if interactive and as_json:
        fail("--interactive asks questions, and --json prints nothing else than one object: leave one of them out")
    destination = write or (_POLICY if interactive else None)
    if destination is not None:
        draft.check_free(destination, force=force)
    logging.getLogger("langgraph_speculate").addHandler(logging.NullHandler())  # what it logs is among the warnings
    source = find(graph, config)
    made = load(source)
    found = diagnose(made, None if policy is None else SpeculationPolicy.from_toml(policy))
    if destination is not None:
        confirmed = _confirmed(found.tools) if interactive else set()
        draft.write(destination, draft.draft(found.tools, confirmed, str(source)))
        typer.echo(f"{destination} written: {len(confirmed)} of {len(found.tools)} tools are declared", err=True)
        if interactive:
            found = diagnose(made, SpeculationPolicy.from_toml(destination))
    saved, notes, skips = None, Console(stderr=True), Skips()
    if traces is not None:
        try:
            saved = outlook(found, traces, skips, partial(progress_on, notes))
        finally:
            show_skips(skips, notes)
    about = Report()
    for log in events or ():
        about.read(log)
    tell_cut(about.cut_lines)
    foretold = rehearsal(events or ()) if about.foretells else None
    warned = [*warnings(found), *(() if saved is None else too_fast(saved))]
    named = " ".join([*([graph] if graph else []), *([f"--from {config}"] if config else [])])
    file = str(destination or policy or _POLICY)
    left = steps(found, named, file, drafted=destination is not None, traces=traces or ())
    told = (found, str(source), warned, patch(source, file), left)
    if as_json:
        answer: dict[str, Any] = display.as_json(*told)
        answer |= {} if saved is None else {"forecast": forecast_as_json(saved)}
        answer |= {"events": about.as_json()} if events else {}
        answer |= {} if foretold is None else {"shadow": rehearsal_as_json(foretold)}
        typer.echo(json.dumps(answer))
        return
    console = Console()
    display.show(*told, console)
    if saved is not None:
        console.print()
        show_forecast(saved, console)
    if events:
        typer.echo(f"\nSo far: {about}")
    if foretold is not None:
        typer.echo("\n".join(verdict(foretold)))


def _confirmed(tools: Sequence[ToolFinding]) -> set[str]:
    """Names of the tools whose owner says that they only read; nobody is asked about those that would not gain."""
    from langgraph_speculate.doctor.draft import facts

    confirmed = set()
    for tool in tools:
        typer.echo("\n" + "\n  ".join(facts(tool)))
        if tool.gains and typer.confirm(f"Does {tool.name} only read, whatever its arguments?"):
            confirmed.add(tool.name)
    return confirmed
