"""`langgraph-speculate report`: what logs of events come to, as one page."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console

from langgraph_speculate.cli.app import Json, app
from langgraph_speculate.cli.output import check_folder, tell_cut, write


@app.command(
    epilog="Examples: langgraph-speculate report events.jsonl -o report.html; langgraph-speculate report a.jsonl "
    "b.jsonl.gz -o report.html --runs 12 --trace-json trace.json; langgraph-speculate report events.jsonl --json"
)
def report(
    logs: Annotated[
        list[Path], typer.Argument(metavar="EVENTS...", help="Logs that JsonLines wrote; .gz is unpacked.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="REPORT.html", help="Write a page with charts.")
    ] = None,
    runs: Annotated[int, typer.Option(min=0, max=50, help="Runs to show whole; the others are counted.")] = 6,
    run: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Show this run in any case; may be repeated.")
    ] = None,
    trace_json: Annotated[
        Path | None, typer.Option(metavar="TRACE.json", help="Write the runs shown as a trace for ui.perfetto.dev.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Report what speculation did: what it saved and wasted, run by run, tool by tool, and why guesses were held back.

    Write a log with speculate(graph, policy, observers=[JsonLines("events.jsonl")]). The page is one file that needs no
    network. A line that breaks off, because its writer was killed, is left out and counted; any other line that is no
    event ends the command.
    """
    from langgraph_speculate.report import Report
    from langgraph_speculate.traces.display import reading_on

    check_folder(output)
    check_folder(trace_json)
    about = Report(runs=runs, wanted=run or ())
    sizes = [log.stat().st_size if log.is_file() else 0 for log in logs]
    with reading_on(Console(stderr=True), "reading") as on_bytes:
        for place, log in enumerate(logs):
            about.read(log, partial(_tell, on_bytes, sum(sizes[:place]), sum(sizes)))
    tell_cut(about.cut_lines)
    about.check_wanted()
    if output is not None:
        write(output, about.html())
    if trace_json is not None:
        write(trace_json, orjson.dumps(about.trace()).decode())
    typer.echo(orjson.dumps(about.as_json()).decode() if as_json else str(about))


def _tell(on_bytes: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    on_bytes(before + done, total)
