"""What `langgraph-speculate replay` shows on a terminal: the verdict first, then the figures it rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from langgraph_speculate.observe.tallies import Counts
from langgraph_speculate.replay import ahead, rehearsal
from langgraph_speculate.replay.forecast import Forecast
from langgraph_speculate.replay.outlook import assumptions, by_tool, figures, pays, percent, verdict
from langgraph_speculate.replay.rehearsal import Rehearsal

_TOOLS = 15
_NAME = 24  # characters of a tool's name, for which headings are broken before it is
_FIGURES = 47  # columns that a table by tool takes besides names and reasons


def show(found: Forecast, console: Console) -> None:
    """Print a forecast."""
    told = [figures(variant) for variant in found.variants]
    rows = [*_ROWS, *(_PREVIEWS if found.tools_alone is not None else ())]
    table = _figures(rows, told, [variant.name or "as asked" for variant in found.variants])
    _show(pays(found), verdict(found), table, found.variants[0].stats.by_tool, assumptions(found), console)


def show_rehearsal(found: Rehearsal, console: Console) -> None:
    """Print what logs of the level `shadow` foretell."""
    rows = [row for row in _ROWS if row[0] not in _OF_PERFECT]  # what that would be, only recorded runs can tell
    table = _figures(rows, [rehearsal.figures(found)], ["in shadow"])
    verdict, taken = rehearsal.verdict(found), rehearsal.assumptions(found)
    _show(found.pays, verdict, table, found.by_tool, taken, console)


def _show(
    pays: bool,
    verdict: Iterable[str],
    table: Table,
    tools: Mapping[str, Counts],
    assumptions: Iterable[str],
    console: Console,
) -> None:
    for number, sentence in enumerate(verdict):
        style = ("bold green" if pays else "bold yellow") if number == 0 else ""
        console.print(Text(sentence, style=style))
    console.print(table)
    _show_tools(tools, console)
    for sentence in assumptions:
        console.print(Text(f"- {sentence}", style="dim"))


def _figures(rows: Sequence[_Row], told: Sequence[dict[str, Any]], names: Sequence[str]) -> Table:
    table = _table("", *names)
    for label, shown in rows:
        table.add_row(label, *map(shown, told))
    return table


def _saved(told: dict[str, Any]) -> str:
    share = told["saved_share"]
    low, high = (bound * 100 for bound in share["interval"])
    return f"{percent(share['value'])} ({low:.1f} … {high:.1f})"


def _of_perfect(told: dict[str, Any]) -> str:
    perfect = told["oracle_share"]["value"]
    return percent(told["saved_share"]["value"] / perfect) if perfect else "–"


def _in_vain(told: dict[str, Any]) -> str:
    per_hit = told["wasted_per_hit"]
    return f"{told['wasted']}, {told['wasted_s']:.1f} s" + ("" if per_hit is None else f", {per_hit:.2f} a hit")


_Row = tuple[str, Callable[[dict[str, Any]], str]]
_OF_PERFECT = ("perfect one-step prediction", "of what perfect saves")
_ROWS: Sequence[_Row] = (
    ("plain", lambda told: f"{told['plain_s']:.1f} s"),
    ("expected", lambda told: f"{told['ahead_s']:.1f} s"),
    (_OF_PERFECT[0], lambda told: f"{told['oracle_s']:.1f} s"),
    ("saved (95 %)", _saved),
    (_OF_PERFECT[1], _of_perfect),
    ("of the wait for tools", lambda told: percent(told["hidden_share"])),
    ("launched, hits", lambda told: f"{told['launched']}, {told['hits']}"),
    ("in vain", _in_vain),
)
_PREVIEWS: Sequence[_Row] = (
    ("previews used", lambda told: ahead.rows(told)[0]),
    ("of the model hidden", lambda told: ahead.rows(told)[1]),
    ("tokens in vain, cost", lambda told: ahead.rows(told)[2]),
)


def _show_tools(tools: Mapping[str, Counts], console: Console) -> None:
    """A table; where it has no room for what stood in the way of each tool, that is told below it."""
    rows = list(by_tool(tools))
    shown = rows[:_TOOLS]
    longest = max((len(name) for name, _, _ in shown), default=0)
    reasons = max((len(reason) for _, _, reason in shown), default=0)
    narrow = console.width < _FIGURES + min(longest, _NAME)
    beside = not narrow and console.width >= _FIGURES + longest + reasons + 3
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("tool", overflow="fold")
    for heading in ("calls", "hits", "in vain", "hidden s", "wasted s"):
        table.add_column(heading.replace(" ", "\n") if narrow else heading, justify="right", no_wrap=True)
    if beside:
        table.add_column("why not more")
    for name, counts, reason in shown:
        table.add_row(
            name,
            *(str(count) for count in (counts.real_calls, counts.hits, counts.wasted)),
            *(f"{seconds:z.1f}" for seconds in (counts.hidden_s, counts.wasted_s)),
            *((reason,) if beside else ()),
        )
    if rows[_TOOLS:]:
        table.caption = f"and {len(rows) - _TOOLS} more"
    console.print(table)
    for tool, _, reason in shown if not beside else ():
        if reason:
            console.print(Text(f"{tool}, {reason}"))


def _table(first: str, *rest: str) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column(first, overflow="fold")
    for heading in rest:
        table.add_column(heading, justify="right", overflow="fold")
    return table
