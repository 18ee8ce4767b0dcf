"""`langgraph-speculate demo`: a support agent with and without speculation."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.console import Console

from langgraph_speculate.cli.app import Json, app, missing_extra


@app.command(epilog="Examples: langgraph-speculate demo; langgraph-speculate demo --json")
def demo(
    as_json: Json = False,
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
    except ModuleNotFoundError as missing:
        missing_extra("the demo", "demo", missing)

    with progress_on(Console(stderr=True)) as progress:
        outcome = demonstrate(scale=scale, progress=progress)
    if as_json:
        typer.echo(json.dumps(outcome.as_json()))
    else:
        show(outcome, Console())
    if outcome.identical < len(outcome.pairs) or not outcome.same_writes:
        typer.echo("the agents differ: speculation changed a transcript or a write, which it never should", err=True)
        raise typer.Exit(1)
