"""What `langgraph-speculate mine` and `show` print: patterns in words, the strongest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from langgraph_speculate.core.sums import Key, Pair
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.predict.words import Pattern, patterns_in
from langgraph_speculate.traces.mine import RUN

_NOTE = "probability: how often it was so where it could have been; support: in how many messages or calls"


def selected(sums: Mapping[Key, Pair], *, tool: str | None, top: int) -> list[Pattern]:
    """The *top* patterns in *sums*, of one tool or of all."""
    return [pattern for pattern in patterns_in(sums) if tool in (None, pattern.tool)][:top]


def as_json(sums: Mapping[Key, Pair], patterns: Sequence[Pattern]) -> dict[str, Any]:
    """How many sums there are, by kind, and the patterns."""
    kinds = Counter(key[0] for key in sums)
    return {"sums": dict(sorted(kinds.items())), "patterns": [asdict(pattern) for pattern in patterns]}


def show_patterns(patterns: Sequence[Pattern], console: Console) -> None:
    """Print patterns as two tables: which tool follows, and where arguments come from."""
    for kind, title in (("next", "which tool comes next"), ("argument", "with which arguments")):
        chosen = [pattern for pattern in patterns if pattern.kind == kind]
        if not chosen:
            continue
        table = Table(title=title, title_justify="left")
        table.add_column("pattern", overflow="fold")
        table.add_column("probability", justify="right")
        table.add_column("support", justify="right")
        for pattern in chosen:
            share = f"{pattern.probability * 100:.0f} %"
            table.add_row(Text(printable(pattern.text, 300)), share, str(pattern.support))
        console.print(table)
    console.print(Text(_NOTE if patterns else "no patterns: nothing was seen at least three times", style="dim"))


def runs_in(sums: Mapping[Key, Pair]) -> int:
    """How many recorded runs were mined into a store."""
    return sum(key[0] == RUN for key in sums)
