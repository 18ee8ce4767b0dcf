"""`langgraph-speculate evaluate`: how well the next calls of your recordings can be predicted."""

from __future__ import annotations

import json
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from langgraph_speculate.cli.app import Json, SourceOption, TracesArgument, app
from langgraph_speculate.cli.output import check_folder, write


class SplitBy(StrEnum):
    """What stays together when recordings are split."""

    task = "task"
    run = "run"


@app.command(
    epilog="Examples: langgraph-speculate evaluate runs.jsonl.gz; langgraph-speculate evaluate traces/ --split run "
    "--seeds 3 -o report.html; langgraph-speculate evaluate 'logs/**/*.jsonl' --predictor default --json"
)
def evaluate(
    traces: TracesArgument,
    split: Annotated[
        SplitBy, typer.Option(help="What stays together: the runs of one task, or only each run.", case_sensitive=False)
    ] = SplitBy.task,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Splits to average over.")] = 5,
    frozen: Annotated[bool, typer.Option("--frozen", help="Stop learning where the test part begins.")] = False,
    predictor: Annotated[
        list[str] | None,
        typer.Option(help="default, order-1, last-follower or never; give it again for more. All of them if left out."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="REPORT.html", help="Also write a page with charts.")
    ] = None,
    source: SourceOption = None,
    as_json: Json = False,
) -> None:
    """Measure on your own recordings how well the next calls can be predicted, before anything runs ahead.

    Learns from 70 % of the tasks and predicts every message of the others: names, exact calls of read-only tools,
    calibration, waste, next to simple baselines. Each file, folder or pattern is a set of its own. Lines that cannot be
    read are skipped and counted. docs/prediction.md says what each number means.
    """
    from langgraph_speculate.traces.display import progress_on, show, show_skips
    from langgraph_speculate.traces.evaluate import Method, known_predictors
    from langgraph_speculate.traces.report import page
    from langgraph_speculate.traces.results import Results, measure_sets, read_sets
    from langgraph_speculate.traces.skips import Skips

    method = Method(seeds=seeds, by=split.value, online=not frozen)
    chosen = known_predictors(predictor or ())
    check_folder(output)
    notes, skips = Console(stderr=True), Skips()
    try:
        sets = read_sets(traces, skips, source)
    finally:
        show_skips(skips, notes)
    results = Results(method, measure_sets(sets, chosen, method, partial(progress_on, notes)), skips)
    if output is not None:
        write(output, page(results))
    if as_json:
        typer.echo(json.dumps(results.as_json(), ensure_ascii=False))
    else:
        show(results, Console())
