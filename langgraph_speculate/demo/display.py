"""What the demonstration shows: progress while it runs, then a timeline, a table and the figures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table
from rich.text import Text

from langgraph_speculate.demo.run import Outcome, Pair, Progress
from langgraph_speculate.demo.script import QUESTIONS
from langgraph_speculate.demo.spans import Kind
from langgraph_speculate.demo.timeline import ASCII, UNICODE, Panel, draw, legend

_STYLES: dict[Kind, str] = {"model": "cyan", "tool": "yellow", "ahead": "green", "vain": "red"}
_MAX_WIDTH = 110

NEXT = """\
On your own graph it is two lines:
    from langgraph_speculate import speculate
    graph = speculate(graph, policy="speculate.toml")
The file says which of your tools only read; no other tool is run ahead. This asks you, tool by tool, and writes it:
    langgraph-speculate doctor your_module:graph --interactive"""


@contextmanager
def progress_on(console: Console) -> Iterator[Progress]:
    """Show progress: a bar on a terminal, a line for each conversation elsewhere."""
    if not console.is_terminal:
        yield lambda done, total, pair: console.print(f"{done}/{total}  {_progress_line(pair)}", soft_wrap=True)
        return
    columns = (TextColumn("conversations"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with ProgressBar(*columns, TextColumn("{task.description}"), console=console, transient=True) as bar:
        task = bar.add_task("", total=len(QUESTIONS))
        yield lambda done, total, pair: bar.update(task, completed=done, total=total, description=_progress_line(pair))


def show(outcome: Outcome, console: Console) -> None:
    """Print the timeline of the conversation that gained most by its hits, the table by tool, and the figures."""
    _show_timeline(outcome.best, console)
    console.print()
    console.print(_table(outcome))
    console.print()
    for line in _figures(outcome):
        console.print(line, highlight=False)
    console.print()
    console.print(NEXT, highlight=False, markup=False)


def _progress_line(pair: Pair) -> str:
    return f"plain {pair.plain.seconds:.2f} s, speculative {pair.speculative.seconds:.2f} s"


def _show_timeline(pair: Pair, console: Console) -> None:
    glyphs = ASCII if console.options.ascii_only else UNICODE
    panels = [
        Panel(title, recording.began, recording.ended, recording.spans)
        for title, recording in (("plain", pair.plain), ("speculative", pair.speculative))
    ]
    console.print(f'"{pair.question}"', style="italic", highlight=False, markup=False)
    for line in [*draw(panels, width=min(console.width, _MAX_WIDTH), glyphs=glyphs), legend(panels, glyphs)]:
        text = Text(line, no_wrap=True)
        for kind, glyph in glyphs.items():
            text.highlight_regex(rf"(?<!\w)(?:\{glyph})+", _STYLES[kind])
        console.print(text)


def _table(outcome: Outcome) -> Table:
    table = Table(title="run ahead, by tool", title_justify="left")
    table.add_column("tool")
    for heading in ("real calls", "launched", "hits", "hidden", "wasted"):
        table.add_column(heading, justify="right")
    for name, tool in sorted(outcome.stats.by_tool.items(), key=lambda item: -item[1].hidden_s):
        figures = [str(tool.real_calls), str(tool.launched), str(tool.hits)]
        table.add_row(name, *figures, f"{tool.hidden_s:z.2f} s", f"{tool.wasted_s:z.2f} s")
    return table


def _figures(outcome: Outcome) -> Iterator[str]:
    runs, stats = len(outcome.pairs), outcome.stats
    yield f"identical transcripts: {outcome.identical}/{runs}"
    yield f"returns opened: {outcome.writes} by each agent, {outcome.early_writes} of them ahead of the model"
    yield (
        f"{runs} conversations: plain {outcome.plain_s:.1f} s, speculative {outcome.speculate_s:.1f} s: "
        f"[bold]{outcome.speedup:.2f} times as fast[/bold]"
    )
    yield (
        f"hidden {stats.hidden_s:.1f} s of tool time; {stats.hits} hits of {stats.launched} launched, "
        f"{stats.wasted_s:.1f} s ran in vain"
    )
    yield (
        f"the plain agent waits for tools {outcome.tool_share:.0%} of its time; "
        f"with all of it hidden it would be {1 / (1 - outcome.tool_share):.2f} times as fast"
    )
    if not stats.launched:
        yield "nothing was run ahead: is LANGGRAPH_SPECULATE set to off or shadow?"
