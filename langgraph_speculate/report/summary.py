"""What a report says first: one sentence, and the figures behind it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson

from langgraph_speculate.observe.stats import Stats
from langgraph_speculate.observe.tallies import Counts
from langgraph_speculate.policy.levels import ENVIRONMENT_VARIABLE
from langgraph_speculate.report.figures import Figures
from langgraph_speculate.report.words import count, names, percent, seconds


def sentence(figures: Figures) -> str:
    """What came of it, in one sentence.

    >>> from langgraph_speculate.report.choice import Choice
    >>> sentence(Figures(Choice()))
    'There are no real calls in this log, nor any event: runs that are off (LANGGRAPH_SPECULATE, level) write none.'
    """
    stats = figures.stats()
    if not figures.events:
        return (
            f"There are no real calls in this log, nor any event: runs that are off ({ENVIRONMENT_VARIABLE}, level) "
            "write none."
        )
    if not stats.real_calls:
        return "There are no real calls in this log."
    if stats.shadow.launched:
        foretold = _foretold(figures, stats.shadow)
        return f"{_told(figures, stats)} Runs in shadow w{foretold[1:]}" if stats.launched else foretold
    return _told(figures, stats)


def _foretold(figures: Figures, shadow: Counts) -> str:
    """What would have come of runs at the level `shadow`."""
    parts = [
        f"Would have saved {percent(shadow.hidden_s, shadow_s(figures))} of {seconds(shadow_s(figures))}",
        f"hidden {percent(shadow.hidden_s, shadow.hidden_s + shadow.tool_wait_s)} of the wait for tools",
        f"wasted {seconds(shadow.wasted_s)} of tool time",
    ]
    return f"{', '.join(parts)}; nothing ran."


def _told(figures: Figures, stats: Stats) -> str:
    previews = stats.previews
    if not stats.launched and not previews.began:
        foreseen = f"{stats.foreseen:,} of {count(stats.real_calls, 'call')} were foreseen"
        return f"Nothing ran ahead; {foreseen}, and the tools took {seconds(stats.hidden_s + stats.tool_wait_s)}."
    saved_s, whole_s = hidden_s(stats), plain_s(figures)
    parts = [
        f"{'Saved' if saved_s >= 0 else 'Lost'} {percent(abs(saved_s), whole_s)} of {seconds(whole_s)}",
        f"hid {percent(stats.hidden_s, stats.hidden_s + stats.tool_wait_s)} of the wait for tools"
        + (f" and {seconds(previews.hidden_s)} of the model" if previews.used else ""),
        f"wasted {seconds(stats.wasted_s)} of tool time"
        + (f" and {count(previews.wasted_tokens, 'token')}" if previews.began else ""),
        f"ran {names(sorted(figures.early_writes))} ahead, which may write"
        if figures.early_writes
        else "ran no write ahead",
    ]
    return f"{', '.join(parts)}."


def plain_s(figures: Figures) -> float:
    """Seconds that all runs would have taken if nothing had run ahead."""
    under_way = sum(run.seconds for run in figures.runs.unfinished())
    return figures.seconds + under_way + hidden_s(figures.stats())


def hidden_s(stats: Stats) -> float:
    """Seconds that nobody waited for: of tools that ran ahead, and of the model's steps that did."""
    return stats.hidden_s + stats.previews.hidden_s


def shadow_s(figures: Figures) -> float:
    """Seconds that runs at the level `shadow` took, in which nothing ran ahead."""
    return figures.shadow_s + sum(run.seconds for run in figures.runs.unfinished() if run.level == "shadow")


def as_json(figures: Figures) -> dict[str, Any]:
    """All figures as plain data."""
    stats = figures.stats()
    return {
        "summary": sentence(figures),
        "events": figures.events,
        "runs": figures.runs.begun,
        "runs_without_end": figures.runs.begun - stats.runs,
        "plain_s": plain_s(figures),
        "shadow_s": shadow_s(figures),
        "writes": figures.writes,
        "early_writes": sorted(figures.early_writes),
        "stats": orjson.loads(orjson.dumps(stats, default=dict, option=orjson.OPT_NON_STR_KEYS)),
        "course": [dict(stretch) for stretch in figures.course.stretches()],
        "guesses": [asdict(guesses) for guesses in figures.bins],
        "waste": {reason: asdict(waste) for reason, waste in figures.waste.items()},
        "imagined_waste": {reason: asdict(waste) for reason, waste in figures.imagined_waste.items()},
        "levels": dict(figures.levels),
        "graphs": dict(figures.graphs),
        "refusals": {reason: dict(tools) for reason, tools in figures.refusals.items()},
        "denials": [
            {"tool": tool, "reason": reason, "detail": detail, "count": count}
            for (tool, reason, detail), count in figures.denials.most_common()
        ],
    }
