"""A report as one page of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph_speculate.observe.stats import Counts, Stats
from langgraph_speculate.pages.charts import course_chart, reliability_chart
from langgraph_speculate.pages.document import render
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.report.choice import Pick
from langgraph_speculate.report.figures import Figures
from langgraph_speculate.report.remedies import MEANINGS, REMEDIES
from langgraph_speculate.report.summary import plain_s, sentence
from langgraph_speculate.report.timeline import KINDS, LABELS, MODEL, Span, Timeline, timeline
from langgraph_speculate.report.words import count, percent, seconds

_ROWS = 40  # of a table; the rest are counted
_TICKS = 4
_MEANT = (
    ("saved", "Hidden seconds as a share of what all runs would have taken without speculation."),
    (
        "hidden",
        "Tool time that nobody waited for: for each step of a run, the longest body among its calls minus the longest "
        "wait. Parallel calls count once, and overlap that is merely added up does not count at all.",
    ),
    ("hit", "A real call that was answered by one that ran ahead: ready in time, or still running and waited for."),
    ("foreseen", "A real call that was among the predictions, whether it ran ahead or not."),
    ("wasted", "Tool time of calls that ran ahead and that nobody asked for. The agent did not wait for them."),
    (
        "wrote nothing",
        "Only tools that their owner declared read-only run ahead, and no tool ran ahead in a run whose gate took it for "
        "a writing one. langgraph-speculate audit checks a log against all promises.",
    ),
)


def page(figures: Figures, notes: Sequence[str] = ()) -> str:
    """The whole page as text; write it as UTF-8.

    Args:
        figures: What the log comes to.
        notes: What else a reader must know, such as lines that were left out.
    """
    stats = figures.stats()
    runs = [_run(number, pick) for number, pick in enumerate(figures.choice.picks(), 1)]
    return render(
        "report/report.html.j2",
        title="What speculation did",
        sentence=sentence(figures),
        about=_about(figures, stats),
        notes=[*notes, *_notes(figures)],
        cards=_cards(figures, stats),
        kinds=[(kind, LABELS[kind]) for kind in KINDS if any(kind in run["kinds"] for run in runs)],
        tools=sorted({lane["name"] for run in runs for lane in run["lanes"]} - {MODEL}),
        runs=runs,
        course=_course(figures),
        guesses=_guesses(figures),
        by_tool=_by_tool(stats),
        more_tools=max(0, len(stats.by_tool) - _ROWS),
        denials=_denials(figures),
        more_denials=max(0, len(figures.denials) - _ROWS),
        waste=_waste(figures),
        meant=_MEANT,
    )


# -- above the runs ----------------------------------------------------------------------------------------------------


def _about(figures: Figures, stats: Stats) -> str:
    return f"{count(figures.runs.begun, 'run')} with {count(stats.turns, 'model step')}, from {count(figures.events, 'event')}."


def _notes(figures: Figures) -> list[str]:
    notes = []
    if figures.choice.sampled:
        notes.append(
            f"All figures count every run. Of the runs shown, those that hid most and gained least are the extremes of "
            f"the whole log; the middling one and those drawn by lot come from a random sample of {figures.choice.kept} runs."
        )
    if without_end := figures.runs.begun - figures.stats().runs:
        notes.append(
            f"{count(without_end, 'run has', 'runs have')} no end in this log; they are counted as far as they go."
        )
    if missing := figures.choice.missing():
        notes.append(f"Not in this log: {', '.join(printable(run) for run in sorted(missing))}.")
    return notes


def _cards(figures: Figures, stats: Stats) -> list[tuple[str, str, str]]:
    answered = f"{stats.hits:,} of {count(stats.real_calls, 'call')}"
    vain = f"{stats.wasted:,} of {stats.launched:,} launched" + (
        f", cost {stats.wasted_cost:.4g}" if stats.wasted_cost else ""
    )
    return [
        (
            percent(stats.hits, stats.real_calls),
            "hit",
            f"{answered}: {stats.ready:,} ready, {stats.joined:,} waited for",
        ),
        (seconds(stats.hidden_s), "hidden", f"of {seconds(stats.hidden_s + stats.tool_wait_s)} that the tools took"),
        (seconds(stats.wasted_s), "wasted", vain),
        (f"{stats.amplification:.2f}", "bodies for each call", "1 without speculation"),
        (seconds(plain_s(figures)), "without speculation", f"{seconds(plain_s(figures) - stats.hidden_s)} with it"),
    ]


# -- runs --------------------------------------------------------------------------------------------------------------


def _run(number: int, pick: Pick) -> dict[str, Any]:
    line = timeline(pick.run.happened)
    spans = [_span(f"r{number}s{place}", span, line) for place, span in enumerate(line.spans)]
    return {
        "name": printable(line.run),
        "why": pick.why,
        "told": f"Took {seconds(line.seconds)}, hid {seconds(pick.run.hidden_s)}, wasted {seconds(pick.run.wasted_s)}.",
        "left_out": line.left_out,
        "kinds": {span.kind for span in line.spans},
        "ticks": [(100 * tick / _TICKS, seconds(line.seconds * tick / _TICKS)) for tick in range(_TICKS + 1)],
        "lanes": [
            {
                "name": printable(lane),
                "rows": line.rows(lane),
                "spans": [s for s in spans if s["lane"] == printable(lane)],
            }
            for lane in line.lanes
        ],
        "spans": spans,
    }


def _span(id: str, span: Span, line: Timeline) -> dict[str, Any]:
    whole = line.seconds or 1.0
    return {
        "id": id,
        "kind": span.kind,
        "label": LABELS[span.kind],
        "lane": printable(span.lane),
        "row": span.row,
        "left": f"{100 * (span.began - line.began) / whole:.2f}",
        "width": f"{100 * span.seconds / whole:.2f}",
        "at": seconds(span.began - line.began),
        "took": seconds(span.seconds),
        "story": span.story,
    }


# -- charts ------------------------------------------------------------------------------------------------------------


def _course(figures: Figures) -> dict[str, Any] | None:
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


def _guesses(figures: Figures) -> dict[str, Any] | None:
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


def _by_tool(stats: Stats) -> list[tuple[str, ...]]:
    tools = sorted(stats.by_tool.items(), key=lambda item: (-item[1].hidden_s, -item[1].real_calls, item[0]))
    return [_tool(name, counts) for name, counts in tools[:_ROWS]]


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


def _denials(figures: Figures) -> list[tuple[str, ...]]:
    return [
        (
            printable(tool),
            reason,
            f"{times:,}",
            printable(detail, 300) or MEANINGS.get(reason, ""),
            REMEDIES.get(reason, ""),
        )
        for (tool, reason, detail), times in figures.denials.most_common(_ROWS)
    ]


def _waste(figures: Figures) -> list[tuple[str, ...]]:
    return [
        (printable(reason), MEANINGS.get(reason, ""), f"{waste.calls:,}", seconds(waste.seconds), f"{waste.cost:.4g}")
        for reason, waste in sorted(figures.waste.items(), key=lambda item: -item[1].seconds)
    ]
