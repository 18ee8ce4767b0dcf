"""The charts and tables of a report: rows of words, the most telling first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from langgraph_speculate.observe.stats import ShadowCounts, Stats
from langgraph_speculate.observe.tallies import Counts
from langgraph_speculate.pages.charts import course_chart, reliability_chart
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.report.figures import Figures, Waste
from langgraph_speculate.report.remedies import advice, meaning, remedy
from langgraph_speculate.report.words import percent, seconds

ROWS = 40  # of a table; the rest are counted
_TOOLS = 5  # in one cell


class Chart(NamedTuple):
    """A picture, and the rows of a table that says the same."""

    picture: Markup
    rows: Sequence[tuple[str, ...]]


def hit_rate(figures: Figures) -> Chart | None:
    """How many calls hit, and how many were foreseen, as the predictor learned. Real calls, hit, foreseen."""
    stretches = [stretch for stretch in figures.course.stretches() if stretch["calls"]]
    rows, hits, foreseen, before = [], [], [], 0
    for stretch in stretches:
        here = stretch["calls"]
        hits.append((before + here / 2, stretch["hits"] / here))
        foreseen.append((before + here / 2, min(1.0, stretch["foreseen"] / here)))  # its calls may come a little later
        which = f"{before + 1:,} to {before + here:,}"
        rows.append((which, percent(stretch["hits"], here), percent(stretch["foreseen"], here)))
        before += here
    title = f"Share of real calls that hit, and that were foreseen, over {before:,} calls"
    picture = course_chart(title, "real calls", "% of real calls", before, [hits, foreseen])
    return Chart(picture, rows) if rows else None


def precision(figures: Figures) -> Chart | None:
    """How many guesses came true, by what was said. Probability, launched, came true, share."""
    seen = [one for one in figures.bins if one.launched]
    points = [
        {"probability": one.probability / one.launched, "hit": one.hits / one.launched, "count": one.launched}
        for one in seen
    ]
    rows = [
        (percent(one.probability, one.launched), f"{one.launched:,}", f"{one.hits:,}", percent(one.hits, one.launched))
        for one in seen
    ]
    picture = reliability_chart(points, "How often guesses came true, by the probability that was said")
    return Chart(picture, rows) if rows else None


def by_tool(whole: Stats | ShadowCounts) -> list[tuple[str, ...]]:
    """Tool, real calls, launched, hits, hit rate, hidden, waited, wasted, and money wasted if there is any."""
    tools = sorted(whole.by_tool.items(), key=lambda item: (-item[1].hidden_s, -item[1].real_calls, item[0]))
    return [_tool(name, counts, whole.wasted_cost > 0) for name, counts in tools[:ROWS]]


def _tool(name: str, counts: Counts, money: bool) -> tuple[str, ...]:
    return (
        printable(name),
        f"{counts.real_calls:,}",
        f"{counts.launched:,}",
        f"{counts.hits:,}",
        percent(counts.hits, counts.real_calls),
        seconds(counts.hidden_s),
        seconds(counts.tool_wait_s),
        seconds(counts.wasted_s),
        *([f"{counts.wasted_cost:.4g}"] if money else []),
    )


def denials(figures: Figures) -> list[tuple[str, ...]]:
    """Tool, reason, times, why, what to change."""
    return [
        (printable(tool), printable(reason), f"{times:,}", *advice(reason, detail))
        for (tool, reason, detail), times in figures.denials.most_common(ROWS)
    ]


def refusals(figures: Figures) -> list[tuple[str, ...]]:
    """Reason, times, why, what to change, the tools that it hit most."""
    most = sorted(figures.refusals.items(), key=lambda item: -item[1].total())
    return [
        (
            printable(reason),
            f"{tools.total():,}",
            meaning(reason),
            remedy(reason),
            ", ".join(f"{printable(tool)} {times:,}" for tool, times in tools.most_common(_TOOLS)),
        )
        for reason, tools in most[:ROWS]
    ]


def waste(by_reason: Mapping[str, Waste]) -> list[tuple[str, ...]]:
    """Reason, what happened, calls, tool time, and money if there is any."""
    rows = sorted(by_reason.items(), key=lambda item: -item[1].seconds)
    money = any(lost.cost > 0 for _, lost in rows)
    return [
        (
            *(printable(reason), meaning(reason), f"{lost.calls:,}", seconds(lost.seconds)),
            *([f"{lost.cost:.4g}"] if money else []),
        )
        for reason, lost in rows[:ROWS]
    ]
