"""The command line: `langgraph-speculate COMMAND`, the same as `python -m langgraph_speculate COMMAND`.

Figures and tables go to standard output, progress and errors to standard error. Exit code 0 is success, 1 that a
command found what it is there to find (transcripts that differ, say, or a broken promise), 2 bad input or a missing
extra: one line says which.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn


def fail(message: str) -> NoReturn:
    """End the command with one line of explanation and exit code 2."""
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(2)


def missing_extra(what: str, extra: str, missing: ModuleNotFoundError) -> NoReturn:
    """End the command because *what* needs a package that only *extra* installs."""
    if (missing.name or "").partition(".")[0] == "langgraph_speculate":
        raise missing  # not an extra, but a fault of this package
    fail(f'{what} needs the package {missing.name}: pip install "langgraph-speculate[{extra}]"')


try:
    import typer
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text
except ModuleNotFoundError as missing:  # only the command line imports this module: to leave it is to leave the command
    missing_extra("the command line", "demo" if "demo" in sys.argv[1:2] else "cli", missing)

from langgraph_speculate import __version__  # noqa: E402
from langgraph_speculate.errors import SpeculateError  # noqa: E402

if TYPE_CHECKING:
    from langgraph_speculate.observe.audit import Auditor, Violation

app = typer.Typer(
    name="langgraph-speculate",
    help="Make LangGraph agents faster by running predicted read-only tool calls while the model is still generating.",
    epilog="Try it: langgraph-speculate demo (half a minute, no key, no network)",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class SplitBy(StrEnum):
    """What stays together when recordings are split."""

    task = "task"
    run = "run"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"langgraph-speculate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


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


@app.command(
    epilog="Examples: langgraph-speculate audit events.jsonl; langgraph-speculate audit events.jsonl.gz --json"
)
def audit(
    log: Annotated[Path, typer.Argument(metavar="EVENTS.jsonl", help="A log that an EventLog wrote; .gz is unpacked.")],
    as_json: Json = False,
) -> None:
    """Check what a log of events says about the promises: nothing stale, foreign, failed or outdated was used.

    Write one with speculate(graph, policy, observers=[EventLog("events.jsonl")]); EventLog is in
    langgraph_speculate.observe.log. Exit code 1 means that a promise was broken; the table says by which lines.
    """
    from langgraph_speculate.observe.audit import Auditor
    from langgraph_speculate.observe.log import read_log

    auditor = Auditor()
    for event in read_log(log):
        auditor.take(event)
    found = auditor.findings()
    if as_json:
        typer.echo(json.dumps(auditor.counts() | {"violations": [asdict(violation) for violation in found]}))
    else:
        _show_audit(auditor, found, Console())
    if found:
        raise typer.Exit(1)


def _show_audit(auditor: Auditor, found: list[Violation], console: Console) -> None:
    for name, count in auditor.counts().items():
        line = (
            ", ".join(f"{reason} {n}" for reason, n in count.items()) or "0" if isinstance(count, dict) else str(count)
        )
        console.print(f"{name + ':':<14} {line}", highlight=False)
    if not found:
        console.print("no violations", highlight=False)
        return
    table = Table(title=f"violations: {len(found)}", title_justify="left", show_lines=True)
    for heading in ("rule", "line", "speculation or run", "what contradicts what"):
        table.add_column(heading, overflow="fold")
    for violation in found:
        where = violation.id or violation.run
        table.add_row(*map(Text, (violation.rule, str(violation.record), where, violation.text)))
    console.print(table)


@app.command(
    epilog="Examples: langgraph-speculate evaluate runs.jsonl.gz; langgraph-speculate evaluate traces/ --split run "
    "--seeds 3 -o report.html; langgraph-speculate evaluate 'logs/**/*.jsonl' --predictor default --json"
)
def evaluate(
    traces: Annotated[
        list[str],
        typer.Argument(metavar="TRACES...", help="Files of neutral lines, folders or patterns; each is a set."),
    ],
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
    as_json: Json = False,
) -> None:
    """Measure on your own recordings how well the next calls can be predicted, before anything runs ahead.

    Learns from 70 % of the tasks and predicts every message of the others: names, exact calls of read-only tools,
    calibration, waste, next to simple baselines. Lines that cannot be read are skipped and counted. docs/prediction.md
    says what each number means and what a trace line looks like.
    """
    from langgraph_speculate.traces.display import progress_on, show, show_skips
    from langgraph_speculate.traces.evaluate import Method, known_predictors
    from langgraph_speculate.traces.report import page
    from langgraph_speculate.traces.results import Results, measure_sets, read_sets
    from langgraph_speculate.traces.skips import Skips

    method = Method(seeds=seeds, by=split.value, online=not frozen)
    chosen = known_predictors(predictor or ())
    if output is not None and not output.parent.is_dir():
        fail(f"{output}: there is no folder to write the report to")
    notes, skips = Console(stderr=True), Skips()
    try:
        sets = read_sets(traces, skips)
    finally:
        show_skips(skips, notes)
    results = Results(method, measure_sets(sets, chosen, method, partial(progress_on, notes)), skips)
    if output is not None:
        try:
            output.write_text(page(results), "utf-8")
        except OSError as error:
            fail(f"{output}: the report cannot be written: {error.strerror}")
    if as_json:
        typer.echo(json.dumps(results.as_json(), ensure_ascii=False))
    else:
        show(results, Console())


@app.command(
    epilog="Examples: langgraph-speculate mine runs.jsonl.gz -o patterns.db; langgraph-speculate mine traces/ "
    "-o patterns.db --private 'get_patient*'"
)
def mine(
    traces: Annotated[
        list[str], typer.Argument(metavar="TRACES...", help="Files of neutral lines, folders or patterns.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PATTERNS.db", help="The store; what it holds already is kept.")
    ],
    private: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL", help="A tool, or a glob, whose values are never written down; may be repeated."),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Patterns to show.")] = 20,
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
    from langgraph_speculate.traces.reader import read_runs
    from langgraph_speculate.traces.skips import Skips

    notes, skips = Console(stderr=True), Skips()
    with reading_on(notes, "learning") as on_bytes:
        runs = read_runs(traces, on_skip=skips, on_bytes=on_bytes)
        store = SqlitePatterns(output, strict=True)
        mined = mine_runs(runs, store, private=private or ())
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
    from langgraph_speculate.core.history import partition_of
    from langgraph_speculate.patterns import SqlitePatterns
    from langgraph_speculate.traces.patterns import as_json as described
    from langgraph_speculate.traces.patterns import runs_in, selected, show_patterns

    if not patterns.is_file():
        fail(f"{patterns}: there is no such file; langgraph-speculate mine TRACES -o {patterns} makes one")
    store = SqlitePatterns(patterns, strict=True)
    sums = store.load(partition_of(partition or ()))
    store.close()
    chosen = selected(sums, tool=tool, top=top)
    if as_json:
        typer.echo(json.dumps({"mined_runs": runs_in(sums), **described(sums, chosen)}))
    else:
        show_patterns(chosen, Console())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, with *arguments* instead of the process's; the entry point of the installed script."""
    try:
        code = app(arguments, standalone_mode=False)
    except typer.Abort:
        raise SystemExit(1) from None
    except (typer.TyperException, SpeculateError) as error:
        fail(error.format_message() if isinstance(error, typer.TyperException) else str(error))
    raise SystemExit(code or 0)
