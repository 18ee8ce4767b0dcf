"""A forecast as one page of HTML."""

from __future__ import annotations

from langgraph_speculate.observe.tallies import Counts
from langgraph_speculate.pages.charts import bar_chart
from langgraph_speculate.pages.document import render
from langgraph_speculate.replay import ahead
from langgraph_speculate.replay.forecast import Forecast
from langgraph_speculate.replay.outlook import assumptions, by_tool, figures, verdict
from langgraph_speculate.replay.variant import Variant

_TOOLS = 40  # rows of the table by tool; the rest are counted
_HEADINGS = (
    *("policy", "plain s", "expected s", "perfect s", "saved %", "95 % between", "of perfect %", "tool wait hidden %"),
    *("launched", "hits", "in vain", "wasted s"),
)
_PREVIEWS = ("policy", "previews used", "of the model hidden", "tokens in vain, cost")
_BY_TOOL = ("tool", "calls", "hits", "in vain", "hidden s", "wasted s", "waited s", "why not more")


def page(found: Forecast) -> str:
    """The whole page as text; write it as UTF-8.

    Args:
        found: What a replay found.
    """
    first = found.variants[0]
    tools = [_tool(*row) for row in by_tool(first.stats.by_tool)]
    return render(
        "replay/page.html.j2",
        title="What speculation would save",
        verdict=list(verdict(found)),
        times=bar_chart("Seconds of all runs", _bars(found), unit="s"),
        headings=_HEADINGS,
        variants=[_row(variant) for variant in found.variants],
        previews=_previews(found),
        of_previews=_PREVIEWS,
        by_tool=_BY_TOOL,
        tools=tools[:_TOOLS],
        more=max(0, len(tools) - _TOOLS),
        assumptions=list(assumptions(found)),
    )


def _bars(found: Forecast) -> list[tuple[str, float]]:
    first, alone = found.variants[0], found.tools_alone
    expected = [("expected", first.total("ahead"))]
    if alone is not None:
        expected = [("tools ahead", alone.total("ahead")), ("model ahead", first.total("ahead"))]
    return [("plain", first.total("plain")), *expected, ("perfect", first.total("oracle"))]


def _previews(found: Forecast) -> list[tuple[str, ...]]:
    """What came of previews, where they were asked about."""
    asked = [variant for variant in found.variants if variant.policy.model_ahead]
    return [(variant.name or "as asked", *ahead.rows(figures(variant))) for variant in asked]


def _row(variant: Variant) -> tuple[str, ...]:
    told = figures(variant)
    saved, perfect = told["saved_share"], told["oracle_share"]["value"]
    low, high = saved["interval"]
    return (
        variant.name or "as asked",
        *(f"{told[name]:.1f}" for name in ("plain_s", "ahead_s", "oracle_s")),
        _percent(saved["value"]),
        f"{_percent(low)} … {_percent(high)}",
        _percent(saved["value"] / perfect) if perfect else "–",
        _percent(told["hidden_share"]),
        *(str(told[name]) for name in ("launched", "hits", "wasted")),
        f"{told['wasted_s']:.1f}",
    )


def _tool(name: str, counts: Counts, why: str) -> tuple[str, ...]:
    made = (counts.real_calls, counts.hits, counts.wasted)
    seconds = (counts.hidden_s, counts.wasted_s, counts.tool_wait_s)
    return (name, *map(str, made), *(f"{one:z.1f}" for one in seconds), why)


def _percent(share: float) -> str:
    return f"{share * 100:.1f}"
