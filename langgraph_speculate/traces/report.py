"""An evaluation as one page of HTML."""

from __future__ import annotations

from typing import Any

from langgraph_speculate.pages.charts import curve_chart, reliability_chart
from langgraph_speculate.pages.document import render
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.traces.evaluate import Evaluation, Method
from langgraph_speculate.traces.results import Results, SetResult

_TOOLS = 40  # rows of a table by tool; the rest are counted

_HEADINGS = (
    *("set", "predictor", "name @1", "@3", "read-only exact @1", "@3", "@10", "repeats @3", "seen before @3"),
    *("derived @3", "precision", "coverage", "waste", "calibration error", "step type", "CPU µs"),
)
_MEANINGS = (
    (
        "name @1, @3",
        "Of the tools that a message called, how many were the first tool, or among the first three, named.",
    ),
    (
        "read-only exact @1, @3, @10",
        "Of the calls to tools that only read, how many were the first read-only guess, or among the first three or "
        "ten: name and all arguments identical. ± is the standard deviation over the splits.",
    ),
    (
        "repeats, seen before, derived",
        "Where a hit was to be had from: the run had made the same call already, other runs had, or the arguments "
        "had to be found in what the user and the tools had said.",
    ),
    (
        "precision, coverage, waste at p ≥ .5",
        "If every read-only guess of at least 50 % were launched: the share of launches that hit, the share of "
        "read-only calls that were hit, and the launches in vain for each hit.",
    ),
    (
        "calibration error",
        "Mean distance between the probability said and the share that hit. 0 is perfect; below 0.05, a probability "
        "can be taken at its word.",
    ),
    (
        "step type",
        "How often it was right about whether the model would call a tool or answer; it expects a call where the "
        "probabilities of its guesses add up to at least one half. Beside it: always saying what is more frequent.",
    ),
    ("CPU µs", "Median time on this machine for one prediction, and to learn from one message afterwards."),
)


def page(results: Results) -> str:
    """The whole page as text; write it as UTF-8."""
    return render(
        "traces/report.html.j2",
        title="What could be predicted",
        measured=_measured(results.method),
        skips=results.skips.count,
        skipped=list(results.skips.lines()),
        headings=_HEADINGS,
        overview=[_row(found, evaluation) for found in results.sets for evaluation in found.evaluations],
        sets=[_set(found) for found in results.sets],
        meanings=_MEANINGS,
    )


def _measured(method: Method) -> str:
    by = "tasks" if method.by == "task" else "runs"
    then = "and learned from after it was predicted" if method.online else "and never learned from"
    splits = "one split" if method.seeds == 1 else f"{method.seeds} splits"
    return (
        f"Learned from {method.train:.0%} of the {by}; every message of the model in the others was predicted from "
        f"what came before it, {then}. Means over {splits}."
    )


def _row(found: SetResult, evaluation: Evaluation) -> tuple[str, ...]:
    figures = evaluation.figures()

    def share(name: str, spread: bool = False) -> str:
        return f"{figures[name] * 100:.1f}" + (f" ± {figures[f'{name} ±'] * 100:.1f}" if spread else "")

    waste = f"{figures['waste≥0.5']:.2f}" if figures["coverage≥0.5"] else "no hits"
    return (
        *(found.name, evaluation.predictor, share("name@1"), share("name@3")),
        *(share("RO@1", spread=True), share("RO@3", spread=True), share("RO@10")),
        *(share("repeat@3"), share("seen@3"), share("derived@3")),
        *(share("precision≥0.5"), share("coverage≥0.5"), waste, f"{figures['ECE']:.3f}"),
        f"{share('step type')} ({share('step type, always the same')})",
        f"{figures['predict p50 µs']:.0f} + {figures['learn p50 µs']:.0f}",
    )


def _set(found: SetResult) -> dict[str, Any]:
    score = found.evaluations[0].pooled
    curves = [(one.predictor, one.pooled.curve()) for one in found.evaluations]
    tools = score.tools()
    return {
        "name": found.name,
        "runs": found.runs,
        "tasks": found.tasks,
        "calls": found.calls,
        "words": " ".join(found.in_words()),
        "first": found.evaluations[0].predictor,
        "reliability": reliability_chart(score.reliability()),
        "curves": curve_chart(curves) if score.points else "",
        "legend": [(place % 4, name) for place, (name, curve) in enumerate(curves) if curve[0]["launched"]],
        "tools": [
            (printable(tool), figures["calls"], *(f"{figures[f'RO@{depth}'] * 100:.1f}" for depth in (1, 3, 10)))
            for tool, figures in list(tools.items())[:_TOOLS]
        ],
        "more": max(0, len(tools) - _TOOLS),
    }
