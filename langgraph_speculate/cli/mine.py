"""`langgraph-speculate mine`: patterns out of runs that were recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from langgraph_speculate.cli.app import Json, SourceOption, TracesArgument, app


@app.command(
    epilog="Examples: langgraph-speculate mine runs.jsonl.gz -o patterns.db; langgraph-speculate mine "
    "checkpoints.sqlite -o patterns.db --private 'get_patient*'; langgraph-speculate mine traces/ -o patterns.db "
    "--jobs 4"
)
def mine(
    traces: TracesArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PATTERNS.db", help="The store; what it holds already is kept.")
    ],
    private: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL", help="A tool, or a glob, whose values are never written down; may be repeated."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that learn; several pay for many calls.")] = 1,
    top: Annotated[int, typer.Option(min=1, help="Patterns to show.")] = 20,
    source: SourceOption = None,
    as_json: Json = False,
) -> None:
    """Learn patterns from runs that you recorded, so that a graph knows them from its first run on.

    Use them with speculate(graph, policy, patterns="patterns.db"). Runs that the store has learned before are left out,
    so mining may be stopped and repeated. Names, paths and counts are written; values only if they turned up in several
    tasks where no user had said them.
    """
    from langgraph_speculate.patterns import SqlitePatterns
    from langgraph_speculate.traces.display import reading_on, show_skips
    from langgraph_speculate.traces.mine import mine as mine_runs
    from langgraph_speculate.traces.patterns import as_json as described
    from langgraph_speculate.traces.patterns import selected, show_patterns
    from langgraph_speculate.traces.reader import at_least_one, read_runs
    from langgraph_speculate.traces.skips import Skips

    notes, skips = Console(stderr=True), Skips()
    try:
        with reading_on(notes, "learning") as on_bytes:
            runs = at_least_one(read_runs(traces, on_skip=skips, on_bytes=on_bytes, source=source), skips)
            store = SqlitePatterns(output, strict=True)
            mined = mine_runs(runs, store, private=private or (), jobs=jobs)
    finally:
        show_skips(skips, notes)
    known = store.load("")
    store.close()
    patterns = selected(known, tool=None, top=top)
    if as_json:
        counts = {"runs": mined.runs, "calls": mined.calls, "known": mined.known, "seconds": round(mined.seconds, 3)}
        typer.echo(json.dumps({**counts, "skipped": skips.as_json(), **described(known, patterns)}))
        return
    console = Console()
    show_patterns(patterns, console)
    before = f", {mined.known} had been learned before" if mined.known else ""
    console.print(Text(f"{mined.runs} runs with {mined.calls} calls learned into {output}{before}"))
    console.print(Text(f'use them: speculate(graph, policy, patterns="{output}")', style="dim"))
