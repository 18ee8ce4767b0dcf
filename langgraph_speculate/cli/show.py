"""`langgraph-speculate show`: what a store of patterns holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from langgraph_speculate.cli.app import Json, app, fail
from langgraph_speculate.cli.output import check_patterns


@app.command(
    epilog="Examples: langgraph-speculate show patterns.db; langgraph-speculate show patterns.db --tool get_order"
)
def show(
    patterns: Annotated[Path, typer.Argument(metavar="PATTERNS.db", help="A store that mine or a graph has written.")],
    tool: Annotated[str | None, typer.Option(help="Only patterns of this tool.")] = None,
    partition: Annotated[
        list[str] | None,
        typer.Option(metavar="VALUE", help="The value of a key in partition_by; once for each key. Left out: shared."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Patterns to show.")] = 40,
    as_json: Json = False,
) -> None:
    """Show what was learned: which tool comes after what, and where its arguments come from."""
    from langgraph_speculate.core.partition import partition_of
    from langgraph_speculate.patterns import SqlitePatterns
    from langgraph_speculate.policy.checks import nearest
    from langgraph_speculate.predict.words import tools_in
    from langgraph_speculate.traces.patterns import as_json as described
    from langgraph_speculate.traces.patterns import runs_in, selected, show_patterns

    check_patterns(patterns)
    store = SqlitePatterns(patterns, strict=True)
    sums = store.load(partition_of(partition or ()) or "")
    store.close()
    if tool is not None and tool not in (tools := tools_in(sums)):
        fail(f"--tool {tool}: {patterns} knows no such tool{nearest(tool, tools)}")
    chosen = selected(sums, tool=tool, top=top)
    if as_json:
        typer.echo(json.dumps({"mined_runs": runs_in(sums), **described(sums, chosen)}))
    else:
        show_patterns(chosen, Console())
