"""`langgraph-speculate demo`: a support agent with and without speculation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from langgraph_speculate.cli.app import Json, app, missing_extra
from langgraph_speculate.cli.output import check_folder, write


@app.command(
    epilog="Examples: langgraph-speculate demo; langgraph-speculate demo --json; langgraph-speculate demo --report "
    "report.html --policy mine.toml"
)
def demo(
    as_json: Json = False,
    report: Annotated[
        Path | None, typer.Option(metavar="REPORT.html", help="Write what the speculating agent did as a page.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="POLICY.toml", help="Run the speculating agent under this policy.")
    ] = None,
    scale: Annotated[float, typer.Option(min=0.01, max=10, hidden=True, help="Factor on every delay.")] = 1.0,
) -> None:
    """Watch a support agent with and without speculation: same answers, less waiting.

    A dozen conversations run in turns with the plain agent and with the speculating one, against a scripted model on
    loopback: no key, no network, about half a minute. Ends with a timeline, a table by tool and the totals. Exit code 1
    means that the two agents did not say the same.
    """
    try:
        from langgraph_speculate.demo.display import progress_on, show
        from langgraph_speculate.demo.run import demonstrate
        from langgraph_speculate.report import Report
    except ModuleNotFoundError as missing:
        missing_extra("the demo", "demo", missing)

    check_folder(report)
    about = Report()
    observers = [] if report is None else [about.take]
    with progress_on(Console(stderr=True)) as progress:
        outcome = demonstrate(scale=scale, progress=progress, policy=policy, observers=observers)
    if report is not None:
        write(report, about.html())
    if as_json:
        typer.echo(json.dumps(outcome.as_json()))
    else:
        show(outcome, Console())
    if outcome.identical < len(outcome.pairs) or not outcome.same_writes:
        typer.echo("the agents differ: speculation changed a transcript or a write, which it never should", err=True)
        raise typer.Exit(1)
