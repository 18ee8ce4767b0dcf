"""The charts and tables of a report: rows of words, the most telling first."""

from __future__ import annotations

from typing import Any

from langgraph_speculate.observe.stats import Counts, Stats
from langgraph_speculate.pages.charts import course_chart, reliability_chart
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.report.figures import Figures
from langgraph_speculate.report.remedies import MEANINGS, REMEDIES
from langgraph_speculate.report.words import percent, seconds

ROWS = 40  # of a table; the rest are counted
_TOOLS = 5  # in one cell


# -- charts ------------------------------------------------------------------------------------------------------------


def course_chart(figures: Figures) -> dict[str, Any] | None:
    stretches = figures.course.stretches()
    calls = sum(stretch["calls"] for stretch in stretches)
    if not calls:
        return None
    rows, hits, foreseen, before = [], [], [], 0
    for stretch in stretches:
        here = stretch["calls"]
        if not here:
            continue
        middle = before + here / 2
        hits.append((middle, stretch["hits"] / here))
        foreseen.append((middle, min(1.0, stretch["foreseen"] / here)))
        rows.append(
            (f"{before + 1:,} to {before + here:,}", percent(stretch["hits"], here), percent(stretch["foreseen"], here))
        )
        before += here
    title = f"Share of real calls that hit, and that were foreseen, over {calls:,} calls"
    return {"chart": course_chart(title, "real calls", "% of real calls", calls, [hits, foreseen]), "rows": rows}


def guesses_chart(figures: Figures) -> dict[str, Any] | None:
    seen = [guesses for guesses in figures.bins if guesses.launched]
    if not seen:
        return None
    points = [
        {"probability": one.probability / one.launched, "hit": one.hits / one.launched, "count": one.launched}
        for one in seen
    ]
    rows = [
        (percent(one.probability, one.launched), f"{one.launched:,}", f"{one.hits:,}", percent(one.hits, one.launched))
        for one in seen
    ]
    return {
        "chart": reliability_chart(points, "How often guesses came true, by the probability that was said"),
        "rows": rows,
    }


# -- tables ------------------------------------------------------------------------------------------------------------


def by_tool_rows(stats: Stats) -> list[tuple[str, ...]]:
    tools = sorted(stats.by_tool.items(), key=lambda item: (-item[1].hidden_s, -item[1].real_calls, item[0]))
    return [_tool(name, counts) for name, counts in tools[:ROWS]]


def _tool(name: str, counts: Counts) -> tuple[str, ...]:
    return (
        printable(name),
        f"{counts.real_calls:,}",
        f"{counts.launched:,}",
        f"{counts.hits:,}",
        percent(counts.hits, counts.real_calls),
        seconds(counts.hidden_s),
        seconds(counts.tool_wait_s),
        seconds(counts.wasted_s),
        f"{counts.wasted_cost:.4g}",
    )


def denials_rows(figures: Figures) -> list[tuple[str, ...]]:
    """Tool, reason, times, why, what to change."""
    return [
        (
            printable(tool),
            reason,
            f"{times:,}",
            printable(detail, 300) or MEANINGS.get(reason, ""),
            REMEDIES.get(reason, ""),
        )
        for (tool, reason, detail), times in figures.denials.most_common(ROWS)
    ]


def refusals_rows(figures: Figures) -> list[tuple[str, ...]]:
    """Reason, times, why, what to change, the tools that it hit most."""
    most = sorted(figures.refusals.items(), key=lambda item: -item[1].total())
    return [
        (
            printable(reason),
            f"{tools.total():,}",
            MEANINGS.get(reason, ""),
            REMEDIES.get(reason, ""),
            ", ".join(f"{printable(tool)} {times:,}" for tool, times in tools.most_common(_TOOLS)),
        )
        for reason, tools in most[:ROWS]
    ]


def waste_rows(figures: Figures) -> list[tuple[str, ...]]:
    return [
        (printable(reason), MEANINGS.get(reason, ""), f"{waste.calls:,}", seconds(waste.seconds), f"{waste.cost:.4g}")
        for reason, waste in sorted(figures.waste.items(), key=lambda item: -item[1].seconds)
    ]
