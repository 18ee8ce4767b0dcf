"""`langgraph-speculate audit`: what a log of events says about the promises."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from langgraph_speculate.cli.app import Json, app
from langgraph_speculate.cli.output import tell_cut

if TYPE_CHECKING:
    from langgraph_speculate.observe.audit import Auditor, Violation

_NOTHING = "nothing to check: 0 records (runs that are switched off write none)"


@app.command(
    epilog="Examples: langgraph-speculate audit events.jsonl; langgraph-speculate audit events.jsonl.gz --json"
)
def audit(
    log: Annotated[Path, typer.Argument(metavar="EVENTS.jsonl", help="A log that JsonLines wrote; .gz is unpacked.")],
    as_json: Json = False,
) -> None:
    """Check what a log of events says about the promises: nothing stale, foreign, failed or outdated was used.

    Write one with speculate(graph, policy, observers=[JsonLines("events.jsonl")]). Exit code 1 means that a promise was
    broken; the table says by which lines. A line that breaks off, because its writer was killed, is left out and
    counted; any other line that is no event ends the command.
    """
    from langgraph_speculate.observe.audit import Auditor
    from langgraph_speculate.observe.log import read_log

    auditor, cut = Auditor(), list[int]()
    for event in read_log(log, on_cut=cut.append):
        auditor.take(event)
    tell_cut(len(cut))
    found = auditor.findings()
    if as_json:
        checked = {"checked": auditor.records > 0, "violations": [asdict(violation) for violation in found]}
        typer.echo(json.dumps(auditor.counts() | checked))
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
        told = "no violations" if auditor.records else _NOTHING
        console.print(told, highlight=False, soft_wrap=True)
        return
    table = Table(title=f"violations: {len(found)}", title_justify="left", show_lines=True)
    for heading in ("rule", "line", "speculation or run", "what contradicts what"):
        table.add_column(heading, overflow="fold")
    for violation in found:
        where = violation.id or violation.run
        table.add_row(*map(Text, (violation.rule, str(violation.record), where, violation.text)))
    console.print(table)
