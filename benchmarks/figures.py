"""The figures of `benchmarks.recorded`: what was saved, what it cost, and whether anything changed."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.guesses import Guesses
from benchmarks.performance import Performance
from benchmarks.variants import ORACLE, PLAIN
from langgraph_speculate.observe.stats import Stats
from langgraph_speculate.replay.intervals import interval

_NOTICEABLE_S = 0.001  # sums of floats differ by less


def set_report(
    played: Sequence[Mapping[str, Performance]],
    stats: Mapping[str, Stats],
    guesses: Mapping[str, Guesses],
    same_requests: Mapping[str, int],
    ideal_s: float,
) -> dict[str, Any]:
    """The figures of one file.

    Args:
        played: For each run the performance of each agent.
        stats: Of the agents that speculate.
        guesses: Of the same.
        same_requests: For each agent in how many runs the model was asked what the plain agent asked.
        ideal_s: What the plain agent would take if nothing but model and tools took any time.
    """
    plain = [performances[PLAIN] for performances in played]
    plain_s = sum(it.seconds for it in plain)
    saved_by_oracle_s = plain_s - sum(performances[ORACLE].seconds for performances in played if ORACLE in performances)
    variants = {}
    for name in played[0]:
        own = [performances[name] for performances in played]
        figures = _variant(own, plain)
        figures["requests_identical"] = same_requests[name]
        if ORACLE in played[0]:
            figures["share_of_oracle"] = _ratio(plain_s - figures["total_s"], saved_by_oracle_s)
        if name in stats:
            figures |= _speculation(stats[name]) | guesses[name].figures()
            figures |= _previews(stats[name], plain_s - figures["total_s"])
        variants[name] = figures
    return {
        "real_calls": sum(it.executions for it in plain),
        "plain_over_ideal": _ratio(plain_s, ideal_s),
        "tool_share": _ratio(sum(it.tool_s for it in plain), plain_s),
        "variants": variants,
    }


def table(report: Mapping[str, Any]) -> Iterator[str]:
    """The figures of one file, for people."""
    runs = report["test_runs"]
    yield ""
    yield (
        f"{report['set']}: {runs} runs, {report['real_calls']} calls, tools {report['tool_latency_s']:.3g} s each, "
        f"{report['tool_share']:.0%} of the plain agent's time; learned from {report['train_runs']} runs of other tasks"
    )
    yield (
        f"{'':13} {'total':>7} {'median':>7} {'speed':>6} {'saved':>6} {'median':>6} {'of the':>7} {'tool time':>9}"
        f" {'laun-':>6} {'hits':>5} {'(foreseen)':>10} {'wasted':>6} {'per fore-':>9} {'wasted':>7} {'ampli-':>6}"
        f"  {'identical':<22}"
    )
    yield (
        f"{'':13} {'s':>7} {'s':>7} {'up':>6} {'%':>6} {'%':>6} {'oracle%':>7} {'hidden%':>9}"
        f" {'ched':>6} {'':>5} {'':>10} {'':>6} {'seen':>9} {'s':>7} {'fied':>6}"
        f"  {'transcripts writes asked':<22}"
    )
    for name, f in report["variants"].items():
        yield (
            f"{name:13} {f['total_s']:7.1f} {f['median_s']:7.2f} {f['speedup']:6.3f} {f['saved_share'] * 100:6.1f}"
            f" {f['saved_share_median'] * 100:6.1f} {_percent(f.get('share_of_oracle')):>7}"
            f" {_percent(f.get('hidden_share')):>9} {f.get('launched', ''):>6} {f.get('hits', ''):>5}"
            f" {_foreseen(f):>10} {f.get('wasted', ''):>6} {_decimal(f.get('wasted_per_right')):>9}"
            f" {_decimal(f.get('wasted_s')):>7} {f['amplification']:6.2f}"
            f"  {f['transcripts_identical']:>5}/{runs:<5} {f['writes_identical']}/{runs}"
            f" {f['requests_identical']}/{runs}"
            + (f"  failed {f['failed']}: {f['first_error']}" if f["failed"] else "")
        )
    for name, f in report["variants"].items():
        low, high = f["saved_share_interval"]
        told = f"{name}: saved {f['saved_share'] * 100:.1f} % (95 % between {low * 100:.1f} and {high * 100:.1f})"
        if f.get("previews_began"):
            per = _decimal(f["tokens_per_second_saved"])
            told += (
                f"; {f['previews_used']} of {f['previews_began']} previews used, {f['preview_hidden_s']:.1f} s of the"
                f" model hidden, {f['wasted_tokens']} tokens wasted, {per or '-'} for each second saved"
            )
        yield told
    yield f"the plain agent takes {(report['plain_over_ideal'] - 1) * 100:.1f} % more than its model and tools alone"
    yield "development data: recordings that the defaults were chosen on, not a held-out test"
    for note in report["notes"]:
        yield f"note: {note}"


def _variant(own: Sequence[Performance], plain: Sequence[Performance]) -> dict[str, Any]:
    total_s, plain_s = sum(it.seconds for it in own), sum(it.seconds for it in plain)
    pairs = list(zip(own, plain, strict=True))
    errors = [it.error for it in own if it.error is not None]
    return {
        "total_s": total_s,
        "median_s": statistics.median(it.seconds for it in own),
        "speedup": _ratio(plain_s, total_s),
        "saved_share": 1 - _ratio(total_s, plain_s),
        "saved_share_interval": interval(
            [(base.seconds, it.seconds) for it, base in pairs], lambda sums: 1 - _ratio(sums[1], sums[0])
        ),
        "saved_share_median": statistics.median(1 - _ratio(it.seconds, base.seconds) for it, base in pairs),
        "amplification": _ratio(sum(it.executions for it in own), sum(it.executions for it in plain)),
        "transcripts_identical": sum(it.transcript == base.transcript for it, base in pairs),
        "writes_identical": sum(it.writes == base.writes for it, base in pairs),
        "failed": len(errors),
        "first_error": errors[0] if errors else None,
    }


def _previews(stats: Stats, saved_s: float) -> dict[str, Any]:
    found = stats.previews
    return {
        "previews_began": found.began,
        "previews_used": found.used,
        "previews_joined": found.joined,
        "previews_wasted": dict(found.wasted),
        "previews_refused": dict(found.refused),
        "preview_hidden_s": found.hidden_s,
        "wasted_tokens": found.wasted_tokens,
        "tokens_per_second_saved": found.wasted_tokens / saved_s if saved_s > _NOTICEABLE_S else None,
    }


def _speculation(stats: Stats) -> dict[str, Any]:
    return {
        "foreseen": stats.foreseen,
        "launched": stats.launched,
        "hits": stats.hits,
        "ready": stats.ready,
        "joined": stats.joined,
        "wasted": stats.wasted,
        "wasted_s": stats.wasted_s,
        "launched_by_depth": dict(stats.launched_by_depth),
        "hits_by_depth": dict(stats.hits_by_depth),
        "wasted_per_hit": _ratio(stats.wasted, stats.hits) if stats.hits else None,
        "hidden_s": stats.hidden_s,
        "hidden_share": _ratio(stats.hidden_s, stats.hidden_s + stats.tool_wait_s),
        "denied": dict(stats.denied),
        "discarded": dict(stats.discarded),
        "shadow": {
            name: getattr(stats.shadow, name) for name in ("hidden_s", "launched", "hits", "wasted", "wasted_s")
        },
        "by_tool": {
            name: {"real_calls": it.real_calls, "launched": it.launched, "hits": it.hits, "wasted": it.wasted}
            for name, it in stats.by_tool.items()
        },
    }


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.0f}"


def _decimal(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _foreseen(figures: Mapping[str, Any]) -> str:
    return f"({figures['right']})" if "right" in figures else ""
