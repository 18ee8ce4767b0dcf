"""`langgraph-speculate tail`: what runs ahead, as it happens."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import orjson
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from langgraph_speculate.cli.app import app
from langgraph_speculate.cli.output import tell_cut

if TYPE_CHECKING:
    from langgraph_speculate.core.events import Event

_POLL_S = 0.2
_LINES = 12  # of what happened last, below the figures


@app.command(
    epilog="Examples: langgraph-speculate tail events.jsonl; langgraph-speculate tail events.jsonl --once; "
    "langgraph-speculate tail events.jsonl --json | jq"
)
def tail(
    log: Annotated[Path, typer.Argument(metavar="EVENTS.jsonl", help="A log that JsonLines writes.")],
    once: Annotated[bool, typer.Option("--once", help="Show what there is, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each event, a line each.")] = False,
) -> None:
    """Follow a log of events while it is being written: figures and the latest hits, misses and waste.

    On a terminal a table that keeps itself up to date; elsewhere a line for each thing that happens. --json prints the
    events themselves. Ctrl-C ends it. A line that breaks off, because its writer was killed, is left out and counted;
    any other line that is no event ends the command.
    """
    from langgraph_speculate.observe.follow import follow
    from langgraph_speculate.observe.lines import told
    from langgraph_speculate.observe.log import as_json as described

    def wait() -> bool:
        if not once:
            time.sleep(_POLL_S)
        return not once

    console, cut = Console(), list[int]()
    happened = follow(log, wait, cut.append)
    with suppress(KeyboardInterrupt):
        if as_json:
            for event in happened:
                typer.echo(orjson.dumps(described(event)).decode())
        elif console.is_terminal:
            with _table_on(console) as take:
                for event in happened:
                    take(event)
        else:
            for event in happened:
                if (line := told(event)) is not None:
                    typer.echo(line)
    tell_cut(len(cut))


@contextmanager
def _table_on(console: Console) -> Iterator[Callable[[Event], None]]:
    """Yield what takes events; shows sums by tool, and what happened last."""
    from collections import deque

    from langgraph_speculate.observe.lines import told
    from langgraph_speculate.observe.stats import StatsCollector

    sums, latest = StatsCollector(), deque[str](maxlen=_LINES)

    def shown() -> Group:
        stats = sums.snapshot()
        table = Table(show_edge=False, pad_edge=False)
        for name in ("tool", "calls", "hits", "in vain", "hidden s", "wasted s"):
            table.add_column(name, justify="left" if name == "tool" else "right")
        for name, counts in [*sorted(stats.by_tool.items(), key=lambda row: -row[1].real_calls)[:15], ("all", stats)]:
            figures = (counts.real_calls, counts.hits, counts.wasted)
            seconds = (counts.hidden_s, counts.wasted_s)
            table.add_row(Text(name), *map(str, figures), *(f"{one:z.2f}" for one in seconds))
        ended = f"{stats.runs} runs ended" + (f"; {stats.previews}" if stats.previews.began else "")
        return Group(table, Text(ended, style="dim"), *(Text(line) for line in latest))

    with Live(get_renderable=shown, console=console, refresh_per_second=5):

        def take(event: Event) -> None:
            sums.add([event])
            if (line := told(event)) is not None:
                latest.append(line)

        yield take
