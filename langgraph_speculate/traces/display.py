"""What `langgraph-speculate evaluate` shows: progress on standard error, tables on standard output."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from langgraph_speculate.policy.checks import printable
from langgraph_speculate.traces.results import Results, SetResult
from langgraph_speculate.traces.skips import Skips

_TOOLS = 12
_NOTE = (
    "Means over the splits ± standard deviation. Read-only is judged by names. Exact call: name and all arguments "
    "among the first k guesses. Precision, coverage and in vain: if every guess of at least 50 % were launched. Tool "
    "named: % of all tools called; call or answer: % of all messages. µs: CPU, p50 / p99. What each number "
    "means: docs/prediction.md"
)
_SHARES = (  # label, key in the figures, whether with its deviation over the splits
    ("tool named, @1", "name@1", True),
    ("tool named, @3", "name@3", True),
    ("exact call, @1", "RO@1", True),
    ("exact call, @3", "RO@3", True),
    ("  of it repeats", "repeat@3", False),
    ("  of it seen before", "seen@3", False),
    ("  of it derived", "derived@3", False),
    ("exact call, @10", "RO@10", True),
    ("precision, p ≥ .5", "precision≥0.5", False),
    ("coverage, p ≥ .5", "coverage≥0.5", False),
    ("call or answer", "step type", True),
)


@contextmanager
def progress_on(console: Console, what: str, total: int | None) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each of *total* steps (None: unknown): a bar on a terminal, one line elsewhere."""
    if not console.is_terminal:
        console.print(Text(what), soft_wrap=True)
        yield lambda: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.update(task, advance=1)


@contextmanager
def reading_on(console: Console, what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function to call with how many bytes were read, of how many: a bar on a terminal, one line elsewhere."""
    if not console.is_terminal:
        console.print(Text(what), soft_wrap=True)
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def show_skips(skips: Skips, console: Console) -> None:
    """Print one line for each reason why lines were left out."""
    for line in skips.lines():
        console.print(Text(line, style="yellow"), soft_wrap=True)


def show(results: Results, console: Console) -> None:
    """Print each set in words and tables."""
    for found in results.sets:
        console.print(Text(found.name, style="bold"))
        console.print(Text(f"{found.runs} runs of {found.tasks} tasks, {found.calls} calls", style="dim"))
        console.print(_by_predictor(found))
        if found.evaluations[0].pooled.by_tool:
            console.print(_by_tool(found))
        for sentence in found.in_words():
            console.print(Text(sentence))
        console.print()
    console.print(Text(_NOTE, style="dim"))


def _by_predictor(found: SetResult) -> Table:
    table = Table()
    table.add_column("% of read-only calls")
    for evaluation in found.evaluations:
        table.add_column(Text(evaluation.predictor), justify="right")
    figures = [evaluation.figures() for evaluation in found.evaluations]
    for label, name, spread in _SHARES:
        table.add_row(label, *(_share(one, name, spread) for one in figures))
    table.add_row("in vain for a hit", *map(_waste, figures))
    table.add_row("calibration error", *(f"{one['ECE']:.3f}" for one in figures))
    for verb in ("predict", "learn"):
        times = (f"{one[f'{verb} p50 µs']:.0f} / {one[f'{verb} p99 µs']:.0f}" for one in figures)
        table.add_row(f"µs to {verb}", *times)
    return table


def _share(figures: dict[str, float], name: str, spread: bool) -> str:
    return f"{figures[name] * 100:.1f}" + (f" ±{figures[f'{name} ±'] * 100:4.1f}" if spread else "      ")


def _waste(figures: dict[str, float]) -> str:
    return f"{figures['waste≥0.5']:.2f}" if figures["coverage≥0.5"] else "no hits"


def _by_tool(found: SetResult) -> Table:
    first = found.evaluations[0]
    tools = first.pooled.tools()
    table = Table(title=f"read-only tools, {first.predictor}", title_justify="left")
    table.add_column("tool", overflow="fold")
    for heading in ("calls", "exact @1", "@3", "@10"):
        table.add_column(heading, justify="right")
    for tool, figures in list(tools.items())[:_TOOLS]:
        shares = (f"{figures[f'RO@{depth}'] * 100:.1f}" for depth in (1, 3, 10))
        table.add_row(Text(printable(tool)), str(figures["calls"]), *shares)
    if len(tools) > _TOOLS:
        table.caption = f"and {len(tools) - _TOOLS} more with fewer calls; --json has all"
    return table
