"""`langgraph-speculate convert`: recordings of any source as neutral lines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from langgraph_speculate.cli.app import Json, SourceOption, TracesArgument, app, fail


@app.command(
    epilog="Examples: langgraph-speculate convert checkpoints.sqlite -o runs.jsonl.gz; langgraph-speculate convert "
    "postgresql://localhost/agents -o runs.jsonl; langgraph-speculate convert langsmith:my-project -o runs.jsonl.gz"
)
def convert(
    traces: TracesArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="RUNS.jsonl", help="What it holds already is kept; .gz is packed."),
    ],
    source: SourceOption = None,
    as_json: Json = False,
) -> None:
    """Turn recordings of any source into neutral lines: to look at them, to keep them, to read them faster.

    Runs that the file holds already are left out, so converting may be stopped and repeated. All commands that take
    TRACES read every source themselves; this is for those who want the lines. A file that holds anything else is left
    as it is.
    """
    from langgraph_speculate.traces.convert import convert as convert_runs
    from langgraph_speculate.traces.display import reading_on, show_skips
    from langgraph_speculate.traces.reader import at_least_one, read_runs
    from langgraph_speculate.traces.skips import Skips

    if any(os.path.exists(path) and output.exists() and output.samefile(path) for path in traces):
        fail(f"{output}: is one of the files to read, and stays as it is: name another file to write to")
    notes, skips = Console(stderr=True), Skips()
    try:
        with reading_on(notes, "converting") as on_bytes:
            runs = read_runs(traces, on_skip=skips, on_bytes=on_bytes, source=source)
            done = convert_runs(at_least_one(runs, skips), output)
    finally:
        show_skips(skips, notes)
    if as_json:
        typer.echo(json.dumps({"runs": done.runs, "known": done.known, "skipped": skips.as_json()}))
        return
    known = f", {done.known} were there already" if done.known else ""
    Console().print(Text(f"{done.runs} runs written to {output}{known}"))
