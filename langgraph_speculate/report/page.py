"""A report as one page of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from langgraph_speculate.observe.previews import PreviewCounts
from langgraph_speculate.observe.stats import ShadowCounts, Stats
from langgraph_speculate.observe.tallies import Counts
from langgraph_speculate.pages.document import render
from langgraph_speculate.pages.scale import ticks
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.report import previews, tables
from langgraph_speculate.report.choice import Pick
from langgraph_speculate.report.figures import Figures
from langgraph_speculate.report.runs import Run
from langgraph_speculate.report.summary import hidden_s, plain_s, sentence, shadow_s
from langgraph_speculate.report.timeline import KINDS, LABELS, MODEL, Span, Timeline, timeline
from langgraph_speculate.report.words import count, names, percent, seconds

_MEANT = (
    ("saved", "Hidden seconds as a share of what all runs would have taken without speculation."),
    (
        "hidden",
        "Tool time that nobody waited for: for each step of a run, the longest body among its calls minus the longest "
        "wait. Parallel calls count once, and overlap that is merely added up does not count at all.",
    ),
    ("hit", "A real call that was answered by one that ran ahead: ready in time, or still running and waited for."),
    ("foreseen", "A real call that was among the predictions, whether it ran ahead or not."),
    (
        "source",
        "What a guess rests on: what the user said (user), what a tool answered (json, text), earlier arguments (arg, "
        "next), what was always the same (constant), calls made before at such a moment (memory).",
    ),
    ("wasted", "Tool time of calls that ran ahead and that nobody asked for. The agent did not wait for them."),
    (
        "preview",
        "The model’s next call, started on what tools answered before while they run, and used only if the model is "
        "then asked the very same. One in vain costs tokens.",
    ),
    (
        "would have",
        "At the level shadow nothing runs ahead. What would have is decided as ever; how long it would have taken is "
        "told by the real calls of the same tool, and for a hit by that very call.",
    ),
    (
        "ran no write ahead",
        "Writes run when the model has asked for them, as without speculation. Only tools that their owner declared "
        "read-only run ahead, and no tool ran ahead in a run whose gate took it for a writing one. langgraph-speculate "
        "audit checks a log against all promises.",
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
        shadow=tables.by_tool(stats.shadow) if stats.shadow.launched else (),
        shadow_note=_unknown(stats.shadow),
        kinds=[(kind, LABELS[kind]) for kind in KINDS if any(kind in run["kinds"] for run in runs)],
        tools=sorted({lane["name"] for run in runs for lane in run["lanes"]} - {MODEL}),
        runs=runs,
        hit_rate=tables.hit_rate(figures),
        precision=tables.precision(figures),
        money=stats.wasted_cost > 0,
        shadow_money=stats.shadow.wasted_cost > 0,
        by_tool=tables.by_tool(stats),
        more_tools=max(0, len(stats.by_tool) - tables.ROWS),
        denials=tables.denials(figures),
        refusals=tables.refusals(figures),
        more_denials=max(0, len(figures.denials) - tables.ROWS),
        waste=tables.waste(figures.waste),
        imagined_waste=tables.waste(figures.imagined_waste),
        previews=previews.rows(stats.previews),
        previews_told=previews.told(stats.previews),
        meant=_MEANT,
    )


# -- above the runs ----------------------------------------------------------------------------------------------------


def _about(figures: Figures, stats: Stats) -> str:
    graphs = names([graph for graph in figures.graphs if graph])
    levels = names([level for level in figures.levels if level])
    parts = [
        f"{count(figures.runs.begun, 'run')}{graphs and f' of {graphs}'}{levels and f' at level {levels}'}",
        f"{count(stats.turns, 'model step')}",
        f"{count(figures.events, 'event')}",
    ]
    if figures.began and figures.ended:
        began, ended = _date(figures.began), _date(figures.ended)
        parts.append(f"{began} to {ended.removeprefix(began[:11])} UTC")
    return f"{', '.join(parts)}."


def _date(wall: float) -> str:
    try:
        return f"{datetime.fromtimestamp(wall, UTC):%Y-%m-%d %H:%M}"
    except (OverflowError, ValueError):  # a log may say anything
        return "no day of any calendar"


def _notes(figures: Figures) -> list[str]:
    notes = []
    if figures.choice.sampled:
        notes.append(
            f"All figures count every run. Of the runs shown, the one that hid most and the one that gained least are "
            f"those of the whole log; the others are of a random sample of {figures.choice.kept} runs."
        )
    if without_end := figures.runs.begun - figures.stats().runs:
        notes.append(
            f"{count(without_end, 'run has', 'runs have')} no end in this log; they are counted as far as they go."
        )
    if missing := figures.choice.missing():
        notes.append(f"Not in this log: {', '.join(printable(run) for run in sorted(missing))}.")
    return notes


def _cards(figures: Figures, stats: Stats) -> list[tuple[str, str, str]]:
    foretells = stats.shadow.launched > 0 and not stats.launched
    counts: Counts = stats.shadow if foretells else stats
    would = "would have been " if foretells else ""
    without_s = shadow_s(figures) if foretells else plain_s(figures)
    saved_s = counts.hidden_s if foretells else hidden_s(stats)
    answered = f"{counts.hits:,} of {count(counts.real_calls, 'call')}"
    cost = f", cost {counts.wasted_cost:.4g}" if counts.wasted_cost else ""
    vain = f"{counts.wasted:,} of {counts.launched:,} launched{cost}"
    tools_s = seconds(counts.hidden_s + counts.tool_wait_s)
    how = f"{answered}: {counts.ready:,} ready, {counts.joined:,} waited for"
    return [
        (percent(counts.hits, counts.real_calls), "would have hit" if foretells else "hit", how),
        (
            seconds(counts.hidden_s),
            f"{would}hidden",
            f"of {tools_s} that the tools took",
        ),
        (seconds(counts.wasted_s), f"{would}wasted", vain),
        (f"{counts.amplification:.2f}", "bodies for each call", "1 without speculation"),
        (seconds(without_s), "without speculation", f"{seconds(without_s - saved_s)} with it"),
        *(_preview_card(stats.previews) if stats.previews.began else ()),
    ]


def _preview_card(previews: PreviewCounts) -> list[tuple[str, str, str]]:
    told = f"{seconds(previews.hidden_s)} of the model hidden, {previews.wasted_tokens:,} tokens wasted"
    return [(percent(previews.used, previews.began), "previews used", told)]


def _unknown(shadow: ShadowCounts) -> str:
    """How many figures of what would have been wasted are guesses themselves."""
    if not shadow.unknown:
        return ""
    told = f"{shadow.unknown:,} of {count(shadow.wasted, 'call')} in vain"
    return f"How long they would have taken is a guess for {told}: no real call of their tools had been seen."


# -- runs --------------------------------------------------------------------------------------------------------------


def _run(number: int, pick: Pick) -> dict[str, Any]:
    line = timeline(pick.run.id, pick.run.happened)
    spans = [_span(f"r{number}s{place}", span, line) for place, span in enumerate(line.spans)]
    return {
        "name": printable(line.run),
        "why": pick.why,
        "told": _came_to(pick.run, line.seconds),
        "left_out": line.left_out,
        "kinds": {span.kind for span in line.spans},
        "ticks": [(f"{100 * at / line.seconds:.2f}", seconds(at)) for at in ticks(line.seconds)],
        "lanes": [
            {"name": lane, "rows": line.rows(lane), "spans": [span for span in spans if span["lane"] == lane]}
            for lane in line.lanes
        ],
        "spans": spans,
    }


def _came_to(run: Run, took_s: float) -> str:
    hid, wasted = seconds(run.hidden_s), seconds(run.wasted_s)
    if run.level == "shadow":
        return f"Took {seconds(took_s)}; would have hidden {hid} and wasted {wasted}."
    return f"Took {seconds(took_s)}, hid {hid}, wasted {wasted}."


def _span(id: str, span: Span, line: Timeline) -> dict[str, Any]:
    whole = line.seconds or 1.0
    return {
        "id": id,
        "kind": span.kind,
        "label": LABELS[span.kind],
        "lane": span.lane,
        "row": span.row,
        "left": f"{100 * (span.began - line.began) / whole:.2f}",
        "width": f"{100 * span.seconds / whole:.2f}",
        "at": seconds(span.began - line.began),
        "took": seconds(span.seconds),
        "story": span.story,
    }
