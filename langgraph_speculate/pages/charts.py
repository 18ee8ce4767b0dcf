"""Charts as inline SVG: no scripts, colours from the page's style sheet, every text escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from markupsafe import Markup

from langgraph_speculate.pages.scale import ticks

_SIZE, _LEFT, _TOP, _BOTTOM = 240, 44, 12, 40
_QUARTERS = tuple((step / 100, str(step)) for step in range(0, 101, 25))
_WIDTH, _HEIGHT = _LEFT + _SIZE + 16, _TOP + _SIZE + _BOTTOM

_BAR, _BARS, _LABEL = 28, 280, 72  # height of a bar's row, length of the longest, room for words on both sides

Point = Mapping[str, float]


def reliability_chart(bins: Sequence[Point], title: str = "Reliability") -> Markup:
    """Predicted probability against share that hit; on the diagonal both are the same. Area says how many candidates.

    >>> reliability_chart([{"probability": 0.5, "hit": 0.25, "count": 4}]).count("<circle")
    1
    """
    most = max((point["count"] for point in bins), default=1)
    marks = [
        f'<circle class="mark" cx="{_x(point["probability"])}" cy="{_y(point["hit"])}" '
        f'r="{3 + 9 * (point["count"] / most) ** 0.5:.1f}"><title>said {point["probability"]:.0%}, hit '
        f"{point['hit']:.0%} of {point['count']:.0f}</title></circle>"
        for point in bins
    ]
    diagonal = f'<line class="guide" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>'
    return _chart(title, "probability said, %", "share that hit, %", [diagonal, *marks])


def curve_chart(curves: Sequence[tuple[str, Sequence[Point]]]) -> Markup:
    """Coverage against precision over launch thresholds, one line a predictor, thresholds at the dots.

    >>> curve_chart([("<b>", [{"threshold": 0.5, "launched": 2, "precision": 0.5, "coverage": 0.25}])]).count("<b>")
    0
    """
    parts: list[str] = []
    for place, (name, points) in enumerate(curves):
        seen = [point for point in points if point["launched"]]
        if not seen:
            continue
        line = " ".join(f"{_x(point['coverage'])},{_y(point['precision'])}" for point in seen)
        parts.append(f'<polyline class="line line{place % 4}" points="{line}"/>')
        parts += [
            f'<circle class="dot dot{place % 4}" cx="{_x(point["coverage"])}" cy="{_y(point["precision"])}" r="3">'
            f"<title>{escape(name)} from {point['threshold']:.0%}: precision {point['precision']:.0%}, coverage "
            f"{point['coverage']:.0%}</title></circle>"
            for point in seen
        ]
    return _chart("Precision and coverage", "coverage, % of read-only calls", "precision, % of launches", parts)


def course_chart(title: str, across: str, up: str, last: int, lines: Sequence[Sequence[tuple[float, float]]]) -> Markup:
    """Shares over something that is counted, from 0 to *last*; one line for each sequence of (count, share).

    >>> course_chart("Hits", "calls", "%", 40, [[(10, 0.0), (30, 0.5)]]).count("<circle")
    2
    """
    parts: list[str] = []
    for place, points in enumerate(lines):
        at = [(_x(number / max(last, 1)), _y(share)) for number, share in points]
        parts.append(f'<polyline class="line line{place % 4}" points="{" ".join(f"{x},{y}" for x, y in at)}"/>')
        parts += [f'<circle class="dot dot{place % 4}" cx="{x}" cy="{y}" r="2"/>' for x, y in at]
    return _chart(title, across, up, parts, [(number / last, f"{number:,.0f}") for number in ticks(last, 4)])


def bar_chart(title: str, bars: Sequence[tuple[str, float]], unit: str) -> Markup:
    """Amounts as bars, one below the other, the longest over the whole width.

    >>> bar_chart("Times", [("plain", 2.0), ("<b>", 1.0)], unit="s").count("<rect")
    2
    """
    most = max((amount for _, amount in bars), default=0.0) or 1.0
    height = len(bars) * _BAR
    parts = [f'<svg viewBox="0 0 {_BARS + 2 * _LABEL} {height}" role="img" aria-label="{escape(title)}">']
    for place, (name, amount) in enumerate(bars):
        middle, length = place * _BAR + _BAR / 2, max(0.0, amount) / most * _BARS
        parts += [
            f'<text x="{_LABEL - 6}" y="{middle:.1f}" dy="4" text-anchor="end">{escape(name)}</text>',
            f'<rect class="dot{place % 4}" x="{_LABEL}" y="{middle - 8:.1f}" width="{length:.1f}" height="16" rx="2"/>',
            f'<text x="{_LABEL + length + 6:.1f}" y="{middle:.1f}" dy="4">{amount:,.1f} {escape(unit)}</text>',
        ]
    return Markup("\n".join([*parts, "</svg>"]))  # nosec B704 - numbers, and texts that are escaped


def _chart(
    title: str, across: str, up: str, parts: Sequence[str], marks: Sequence[tuple[float, str]] = _QUARTERS
) -> Markup:
    lines = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        *_axes(marks),
        f'<text x="{_LEFT + _SIZE / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>',
        f'<text transform="translate(12 {_TOP + _SIZE / 2}) rotate(-90)" text-anchor="middle">{escape(up)}</text>',
        *parts,
        "</svg>",
    ]
    return Markup("\n".join(lines))  # nosec B704 - numbers, and texts that are escaped


def _axes(marks: Sequence[tuple[float, str]]) -> Iterator[str]:
    for share, label in marks:
        yield f'<line class="grid" x1="{_x(share)}" y1="{_y(0)}" x2="{_x(share)}" y2="{_y(1)}"/>'
        yield f'<text x="{_x(share)}" y="{_TOP + _SIZE + 16}" text-anchor="middle">{label}</text>'
    for share, label in _QUARTERS:
        yield f'<line class="grid" x1="{_x(0)}" y1="{_y(share)}" x2="{_x(1)}" y2="{_y(share)}"/>'
        yield f'<text x="{_LEFT - 6}" y="{_y(share)}" dy="4" text-anchor="end">{label}</text>'


def _x(share: float) -> str:
    return f"{_LEFT + share * _SIZE:.1f}"


def _y(share: float) -> str:
    return f"{_TOP + (1 - share) * _SIZE:.1f}"
