"""What `langgraph-speculate replay` shows on a terminal: the verdict first, then the figures it rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from langgraph_speculate.replay.forecast import Forecast
from langgraph_speculate.replay.outlook import assumptions, by_tool, figures, pays, percent, verdict
from langgraph_speculate.replay.variant import Variant

_TOOLS = 15


def show(found: Forecast, console: Console) -> None:
    """Print a forecast."""
    for number, sentence in enumerate(verdict(found)):
        style = ("bold green" if pays(found) else "bold yellow") if number == 0 else ""
        console.print(Text(sentence, style=style))
    console.print(_variants(found))
    console.print(_by_tool(found.variants[0]))
    for sentence in assumptions(found):
        console.print(Text(f"- {sentence}", style="dim"))


def _variants(found: Forecast) -> Table:
    told = [figures(variant) for variant in found.variants]
    table = _table("", *(variant.name or "as asked" for variant in found.variants))
    for label, shown in _ROWS:
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


_ROWS: Sequence[tuple[str, Callable[[dict[str, Any]], str]]] = (
    ("plain", lambda told: f"{told['plain_s']:.1f} s"),
    ("expected", lambda told: f"{told['ahead_s']:.1f} s"),
    ("perfect one-step prediction", lambda told: f"{told['oracle_s']:.1f} s"),
    ("saved (95 %)", _saved),
    ("of what perfect saves", _of_perfect),
    ("of the wait for tools", lambda told: percent(told["hidden_share"])),
    ("launched, hits", lambda told: f"{told['launched']}, {told['hits']}"),
    ("in vain", _in_vain),
)


def _by_tool(variant: Variant) -> Table:
    table = _table("tool", "calls", "hits", "in vain", "hidden s", "wasted s")
    table.add_column("never, because")
    rows = list(by_tool(variant))
    for name, counts, why in rows[:_TOOLS]:
        table.add_row(
            name,
            *(str(count) for count in (counts.real_calls, counts.hits, counts.wasted)),
            *(f"{seconds:.1f}" for seconds in (counts.hidden_s, counts.wasted_s)),
            why,
        )
    if rows[_TOOLS:]:
        table.caption = f"and {len(rows) - _TOOLS} more"
    return table


def _table(first: str, *rest: str) -> Table:
    table = Table(show_edge=False, pad_edge=False)
    table.add_column(first, overflow="fold")
    for heading in rest:
        table.add_column(heading, justify="right")
    return table
