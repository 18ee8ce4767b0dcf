"""An evaluation as one page of HTML that needs nothing else: no scripts, no fonts, no network.

Names come out of traces, so every text is escaped, and the page forbids itself whatever is not its own style.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from langgraph_speculate.policy.checks import printable
from langgraph_speculate.traces.charts import curve_chart, reliability_chart
from langgraph_speculate.traces.evaluate import Evaluation, Method
from langgraph_speculate.traces.results import Results, SetResult

_TOOLS = 40  # rows of a table by tool; the rest are counted

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --rule: #d8dee6; --page: #ffffff;
  --c0: #1f6feb; --c1: #b35900; --c2: #2b8a3e; --c3: #8a3ffc; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #9aa7b5; --rule: #313a46; --page: #12161c;
  --c0: #6cb0ff; --c1: #ffb066; --c2: #74d68a; --c3: #c5a3ff; } }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
p, dl { max-width: 52rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--rule); text-align: right; }
th, td { white-space: nowrap; } th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child, .name { text-align: left; }
figure { display: inline-block; width: 20rem; max-width: 100%; margin: 0 1.5rem 1rem 0; vertical-align: top; }
figcaption, .soft, dd { color: var(--soft); font-size: .9rem; }
svg { width: 100%; height: auto; } svg text { fill: var(--soft); font-size: 10px; }
.grid { stroke: var(--rule); } .guide { stroke: var(--soft); stroke-dasharray: 4 4; }
.mark { fill: var(--c0); fill-opacity: .7; } .line { fill: none; stroke-width: 2; }
.line0 { stroke: var(--c0); } .line1 { stroke: var(--c1); } .line2 { stroke: var(--c2); } .line3 { stroke: var(--c3); }
.dot0, .key0 { fill: var(--c0); color: var(--c0); } .dot1, .key1 { fill: var(--c1); color: var(--c1); }
.dot2, .key2 { fill: var(--c2); color: var(--c2); } .dot3, .key3 { fill: var(--c3); color: var(--c3); }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; }
""".strip()

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
    body = [
        "<h1>What could be predicted</h1>",
        f"<p>{escape(_measured(results.method))}</p>",
        *_skipped(results),
        *_overview(results.sets),
        *(line for found in results.sets for line in _set(found)),
        "<h2>What the numbers mean</h2><dl>",
        *(f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>" for term, meaning in _MEANINGS),
        "</dl>",
        '<p class="soft">Read-only is judged by a tool’s name, for SQL by the verb, for a shell by the command; what '
        "may really run ahead is said by your policy alone. Nothing here is a speed-up yet: that depends on how long "
        "your model and your tools take.</p>",
    ]
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            f"<title>What could be predicted</title><style>{_STYLE}</style></head><body>",
            *body,
            "</body></html>\n",
        ]
    )


def _measured(method: Method) -> str:
    by = "tasks" if method.by == "task" else "runs"
    then = "and learned from after it was predicted" if method.online else "and never learned from"
    splits = "one split" if method.seeds == 1 else f"{method.seeds} splits"
    return (
        f"Learned from {method.train:.0%} of the {by}; every message of the model in the others was predicted from "
        f"what came before it, {then}. Means over {splits}."
    )


def _skipped(results: Results) -> Iterator[str]:
    if results.skips.count:
        yield f"<p>{results.skips.count} lines or files were left out:</p><ul>"
        yield from (f"<li>{escape(line)}</li>" for line in results.skips.lines())
        yield "</ul>"


def _overview(sets: Sequence[SetResult]) -> Iterator[str]:
    headings = (
        *("set", "predictor", "name @1", "@3", "read-only exact @1", "@3", "@10", "repeats @3", "seen before @3"),
        *("derived @3", "precision", "coverage", "waste", "calibration error", "step type", "CPU µs"),
    )
    rows = [_row(found, evaluation) for found in sets for evaluation in found.evaluations]
    yield "<h2>All sets</h2>"
    yield from _table(headings, rows)
    yield '<p class="soft">Shares in %. Precision, coverage and waste at p ≥ .5.</p>'


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


def _set(found: SetResult) -> Iterator[str]:
    score = found.evaluations[0].pooled
    yield f"<h2>{escape(found.name)}</h2>"
    yield f'<p class="soft">{found.runs} runs of {found.tasks} tasks, {found.calls} calls.</p>'
    yield f"<p>{escape(' '.join(found.in_words()))}</p>"
    if score.points:
        yield f"<figure>{reliability_chart(score.reliability())}<figcaption>Reliability of {_first(found)}: below the "
        yield "diagonal it promises too much, above it too little.</figcaption></figure>"
        yield f"<figure>{curve_chart([(one.predictor, one.pooled.curve()) for one in found.evaluations])}<figcaption>"
        yield f"Launching from a probability on; a dot each 5 %. {_legend(found.evaluations)}</figcaption></figure>"
    tools = score.tools()
    rows = [
        (printable(tool), str(figures["calls"]), *(f"{figures[f'RO@{depth}'] * 100:.1f}" for depth in (1, 3, 10)))
        for tool, figures in list(tools.items())[:_TOOLS]
    ]
    if rows:
        yield from _table(("read-only tool", "calls, all splits", "exact @1", "@3", "@10"), rows)
    if len(tools) > _TOOLS:
        yield f'<p class="soft">and {len(tools) - _TOOLS} more tools with fewer calls.</p>'


def _first(found: SetResult) -> str:
    return escape(found.evaluations[0].predictor)


def _legend(evaluations: Sequence[Evaluation]) -> str:
    keys = [
        f'<span class="key{place % 4}">●</span> {escape(evaluation.predictor)}'
        for place, evaluation in enumerate(evaluations)
        if evaluation.pooled.curve()[0]["launched"]
    ]
    return ", ".join(keys)


def _table(headings: Iterable[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield '<div class="wide"><table><thead><tr>'
    yield "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    yield "</tr></thead><tbody>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
    yield "</tbody></table></div>"
