"""A Gantt chart made of characters: several runs below each other, on one scale."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langgraph_speculate.demo.spans import MODEL, Kind, Span

UNICODE: Mapping[Kind, str] = {"model": "█", "tool": "▓", "ahead": "░", "vain": "·"}
ASCII: Mapping[Kind, str] = {"model": "#", "tool": "=", "ahead": "-", "vain": "."}
MEANING: Mapping[Kind, str] = {
    "model": "model step",
    "tool": "agent waits for tool",
    "ahead": "tool runs ahead",
    "vain": "ran ahead in vain",
}

_PAINT_ORDER: tuple[Kind, ...] = ("vain", "ahead", "model", "tool")  # later ones cover earlier ones


@dataclass(frozen=True, slots=True)
class Panel:
    """One run to draw.

    Attributes:
        title: What to call it.
        began: When the run began, in seconds of the clock of its spans.
        ended: When it ended.
        spans: What happened in between.
    """

    title: str
    began: float
    ended: float
    spans: Sequence[Span]

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return self.ended - self.began


def draw(panels: Sequence[Panel], *, width: int = 80, glyphs: Mapping[Kind, str] = UNICODE) -> list[str]:
    """Draw the panels, each with a lane for the model and one for each tool that any of them has.

    Args:
        panels: At least one; the longest fills the width.
        width: Columns of the widest line.
        glyphs: What to draw with: `UNICODE` or `ASCII`.

    >>> plain = Panel("plain", 0, 4, [Span("model", "model", 0, 2), Span("search", "tool", 2, 4)])
    >>> early = Panel("early", 0, 2, [Span("model", "model", 0, 2), Span("search", "ahead", 0, 2)])
    >>> print("\\n".join(draw([plain, early], width=18, glyphs=ASCII)))
    plain  4.00 s
      model  #####
      search      =====
    early  2.00 s
      model  #####
      search -----
    """
    lanes = _lanes(panels)
    label = max(len(lane) for lane in lanes) + 3
    columns = max(10, width - label)
    per_column = max(panel.seconds for panel in panels) / columns or 1.0
    lines = []
    for panel in panels:
        lines.append(f"{panel.title}  {panel.seconds:.2f} s")
        for lane in lanes:
            cells = _paint([span for span in panel.spans if span.lane == lane], panel, per_column, columns, glyphs)
            lines.append(f"  {lane}".ljust(label) + cells)
    return [line.rstrip() for line in lines]


def legend(panels: Sequence[Panel], glyphs: Mapping[Kind, str] = UNICODE) -> str:
    """What the characters mean, as far as the panels have them."""
    kinds = {span.kind for panel in panels for span in panel.spans}
    return "   ".join(f"{glyphs[kind]} {meaning}" for kind, meaning in MEANING.items() if kind in kinds)


def _lanes(panels: Sequence[Panel]) -> list[str]:
    spans = sorted((span for panel in panels for span in panel.spans), key=lambda span: span.kind in ("ahead", "vain"))
    return list(dict.fromkeys([MODEL, *(span.lane for span in spans)]))


def _paint(spans: Sequence[Span], panel: Panel, per_column: float, columns: int, glyphs: Mapping[Kind, str]) -> str:
    cells = [" "] * columns
    for span in sorted(spans, key=lambda span: _PAINT_ORDER.index(span.kind)):
        first = min(columns - 1, round((span.began - panel.began) / per_column))
        after = min(columns, max(first + 1, math.floor((span.ended - panel.began) / per_column + 0.5)))
        cells[first:after] = glyphs[span.kind] * (after - first)
    return "".join(cells)
