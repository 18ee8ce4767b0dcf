"""What a forecast means: its figures with their intervals, and whether speculation pays, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from langgraph_speculate.core.admission import SPENT
from langgraph_speculate.core.worth import Prices, value
from langgraph_speculate.observe.tallies import Counts
from langgraph_speculate.policy.checks import did_you_mean, located, printable
from langgraph_speculate.policy.rules import matching
from langgraph_speculate.replay import ahead
from langgraph_speculate.replay.forecast import Forecast
from langgraph_speculate.replay.survey import Survey
from langgraph_speculate.replay.times import Times
from langgraph_speculate.replay.variant import Compared, Share, Variant
from langgraph_speculate.traces.results import NO_CALLS

_ENOUGH_CALLS = 30  # below which shares say little
_WORTHWHILE = 0.02  # of the plain time, below which nobody should bother
_DIGITS = 6  # of seconds: sums of floats differ by less
_WIDE = 16  # calls of one message: whoever wants more at one time looks at what services bear
_POOR = 0.25  # of what perfect one-step prediction saves


def figures(variant: Variant) -> dict[str, Any]:
    """The figures of one variant as plain data; times in seconds, shares in [0, 1], intervals of 95 %."""
    return {
        "name": variant.name,
        **timed(variant),
        "oracle_s": round(variant.total("oracle"), 3),
        "oracle_share": _share(variant.perfect),
        **counted(variant.stats, variant.stats.by_tool),
        "previews": ahead.figures(variant),
    }


def timed(found: Compared) -> dict[str, Any]:
    """Times as plain data, and what is saved of them."""
    plain_s, ahead_s, tools_s = (found.total(name) for name in ("plain", "ahead", "tools"))
    return {
        "runs": len(found.runs),
        "plain_s": round(plain_s, 3),
        "ahead_s": round(ahead_s, 3),
        "tools_s": round(tools_s, 3),
        "tool_share": ratio(tools_s, plain_s),
        "saved_share": _share(found.saved),
        "hidden_share": ratio(plain_s - ahead_s, tools_s),
    }


def _share(share: Share) -> dict[str, Any]:
    """A share and its interval, as plain data."""
    return {"value": share.value, "interval": [share.low, share.high]}


def counted(whole: Counts, tools: Mapping[str, Counts]) -> dict[str, Any]:
    """Counts as plain data, in all and for each tool."""
    return {
        "real_calls": whole.real_calls,
        "launched": whole.launched,
        "hits": whole.hits,
        "wasted": whole.wasted,
        "wasted_s": round(whole.wasted_s, 3),
        "wasted_cost": whole.wasted_cost,
        "wasted_per_hit": ratio(whole.wasted, whole.hits) if whole.hits else None,
        "denied": dict(whole.denied),
        "by_tool": {
            name: {field: getattr(counts, field) for field in _BY_TOOL} | {"denied": dict(counts.denied)}
            for name, counts in tools.items()
        },
    }


_BY_TOOL = ("real_calls", "launched", "hits", "wasted", "hidden_s", "wasted_s", "tool_wait_s")


def by_tool(tools: Mapping[str, Counts]) -> Iterator[tuple[str, Counts, str]]:
    """Each tool as people read it, what happened to it, and what stood in its way; those most called come first.

    That is why it never ran ahead, or which limit held back those of its guesses that found no room.
    """
    for name, counts in sorted(tools.items(), key=lambda row: row[1].real_calls, reverse=True):
        yield printable(name), counts, _in_the_way(counts)


def _in_the_way(counts: Counts) -> str:
    spent = {reason: count for reason, count in counts.denied.items() if reason in SPENT}
    if counts.launched or not counts.denied:
        return f"held back: {max(spent, key=lambda reason: spent[reason])}" if spent else ""
    most = max(counts.denied, key=lambda reason: counts.denied[reason])
    return f"held back: {most}" if most in SPENT else f"never: {most.replace('_', ' ')}"


def as_json(found: Forecast) -> dict[str, Any]:
    """The whole forecast as plain data, ready for any JSON encoder."""
    return {
        "runs": found.survey.runs,
        "calls": found.survey.calls,
        "learned": found.learned,
        "method": asdict(found.method),
        "assumptions": list(assumptions(found)),
        "verdict": {
            "pays": pays(found),
            "too_few": are_too_few(found.variants[0].stats.real_calls, found.variants[0].saved),
            "words": list(verdict(found)),
        },
        "best": best(found).name,
        "variants": [figures(variant) for variant in found.variants],
    }


def pays(found: Forecast) -> bool:
    """Whether speculation is worth switching on."""
    return is_worthwhile(found.variants[0].stats.real_calls, found.variants[0].saved)


def is_worthwhile(calls: int, saved: Share) -> bool:
    """Whether so much is worth switching on, and is no accident, after so many real calls."""
    return calls >= _ENOUGH_CALLS and saved.value >= _WORTHWHILE and saved.low > 0


def are_too_few(calls: int, saved: Share) -> bool:
    """Whether so much would be worth switching on, but so few real calls may have saved it by accident."""
    return calls < _ENOUGH_CALLS and saved.value >= _WORTHWHILE


def answer(yes: bool, plain_s: float, saved: Share, counts: Counts) -> str:
    """The first sentence of a verdict.

    Args:
        yes: Whether it pays.
        plain_s: Seconds that the runs take without speculation.
        saved: The share of them that is saved.
        counts: The real calls, and what would be launched, hit and wasted.
    """
    if are_too_few(counts.real_calls, saved):
        return (
            f"Too few calls to say ({counts.real_calls} looked at, at least {_ENOUGH_CALLS} needed): so far it would "
            f"save {percent(saved.value)} of {plain_s:.0f} s."
        )
    if not yes:
        return f"Leave it off, as things are: it would save {percent(max(0.0, saved.value))} of {plain_s:.0f} s."
    return (
        f"It pays: expect to save {saved.value * plain_s:.0f} of {plain_s:.0f} s ({percent(saved.value)}; 95 % between "
        f"{percent(saved.low)} and {percent(saved.high)}), at {counts.wasted} calls in vain that take "
        f"{counts.wasted_s:.0f} s of tools ({ratio(counts.wasted, counts.hits):.2f} for each hit)."
    )


def doubts(calls: int, tool_share: float) -> Iterator[str]:
    """Why a verdict may be what it is, whatever the guesses were worth."""
    if calls < _ENOUGH_CALLS:
        yield f"Fewer than {_ENOUGH_CALLS} calls could be looked at: record more runs before believing any of this."
    if tool_share < 2 * _WORTHWHILE:
        yield "Tools take too little of the time for anything to be gained by running them ahead."


def best(found: Forecast) -> Variant:
    """The variant that saves most seconds, less what it wastes as the policy that was asked about weighs that."""
    policy = found.variants[0].policy
    prices = Prices(policy.thrift, policy.value_per_second)

    def worth(variant: Variant) -> float:
        saved, stats = variant.total("plain") - variant.total("ahead"), variant.stats
        cost = stats.wasted_cost + stats.previews.wasted_cost
        return round(value(hidden_s=saved, wasted_s=stats.wasted_s, cost=cost, prices=prices), _DIGITS)

    return max(found.variants, key=worth)


def verdict(found: Forecast) -> Iterator[str]:
    """A plain answer, and the reason."""
    variant = found.variants[0]
    if not found.survey.calls:
        yield NO_CALLS
        return
    plain, tools = variant.total("plain"), variant.total("tools")
    yield answer(pays(found), plain, variant.saved, variant.stats)
    yield (
        f"Tools are {percent(ratio(tools, plain))} of the time; perfect one-step prediction would save "
        f"{percent(variant.perfect.value)}."
    )
    yield from ahead.verdict(found)
    yield from _reasons(found, variant)


def _reasons(found: Forecast, variant: Variant) -> Iterator[str]:
    yield from doubts(variant.stats.real_calls, ratio(variant.total("tools"), variant.total("plain")))
    yield from _left_behind(variant)
    top = best(found)
    if top is variant:
        yield from _held_back(found, variant)
    else:
        yield f"{top.name} would do better: it saves {percent(top.saved.value)} at {top.stats.wasted} calls in vain."


def _left_behind(variant: Variant) -> Iterator[str]:
    """Why so little of what the tools take can be saved, or is."""
    if ratio(variant.total("tools"), variant.total("plain")) < 2 * _WORTHWHILE:
        return
    if variant.perfect.value < _WORTHWHILE:
        undeclared = [name for name, counts in variant.stats.by_tool.items() if "undeclared" in counts.denied]
        if undeclared:
            listed = ", ".join(printable(name) for name in undeclared[:5])
            yield f"The policy lets too little run ahead: {listed} {'are' if undeclared[1:] else 'is'} not declared."
        else:
            yield "The model is done too soon, or calls write: there is nothing to hide a tool behind."
    elif variant.saved.value < _POOR * (variant.limited if variant.held_back else variant.perfect).value:
        yield (
            "Most calls cannot be guessed with their arguments in time: langgraph-speculate evaluate shows which, and "
            "what they are mistaken for."
        )


def _held_back(found: Forecast, variant: Variant) -> Iterator[str]:
    """What limits keep from being saved: parallel calls take as long as the slowest of those that did not fit."""
    if variant.held_back and variant.perfect.value - variant.limited.value >= _WORTHWHILE:
        widest = min(max(found.survey.widest, variant.width + 1), _WIDE)
        yield (
            f"Limits held back {variant.held_back} guesses: messages make up to {found.survey.widest} calls at once, "
            f"and {variant.width} of them may start early (max_per_turn, max_in_flight). Within that, perfect "
            f"prediction would save {percent(variant.limited.value)}. Raise both: --compare max_per_turn={widest} says "
            "what that saves."
        )


def misspelt(found: Forecast) -> Iterator[str]:
    """Entries of the policy for tools that were not recorded, where one of nearly that name was that has no entry."""
    entries, tools = found.variants[0].policy.tools, found.survey.effects
    without = [tool for tool in tools if matching(entries, tool) is None]
    for key in entries:
        if not any(matching((key,), tool) for tool in tools) and (near := did_you_mean(key, without)):
            yield f"{located('tools', key)}: the traces have no such tool{near}"


def assumptions(found: Forecast) -> Iterator[str]:
    """What the figures take for granted."""
    survey, clockwork, method = found.survey, found.clockwork, found.method
    by = "tasks" if method.by == "task" else "runs, the earlier ones"
    share = f"{method.train:.0%} of the {by}"
    latest = "" if found.learned == found.first else f"the latest {found.learned} of "
    first = f"{latest}{found.first} of {survey.runs} runs"
    yield f"Learned from {first} first ({share}), then from each message as it ended."
    played = len(found.variants[0].runs)
    rest = survey.runs - found.first
    if played < rest:
        yield f"Played {played} of the other {rest} runs, drawn at random: --runs 0 plays all."
    if found.assumed:
        yield "Tools count as declared read-only if their names, SQL verbs or shell commands only read: give --policy."
    yield _of_model(clockwork.model, survey, clockwork.step_s, clockwork.knows_steps)
    yield from _of_tools(clockwork.tools, survey, clockwork.guessed, clockwork.step_s)
    if method.streams:
        yield "The model is taken to stream: --no-streaming if it does not."
    else:
        yield "The model does not stream: calls that were not guessed start when their message is complete."
    yield from ahead.assumptions(found)
    if found.variants[0].policy.partition_by:
        yield "Each run counts as a user of its own: whose they are is not recorded, and the policy keeps users apart."
    else:
        yield "All runs count as one user's: what one writes, others may have read (partition_by keeps users apart)."
    yield "No second body is started beside one that overruns."


def _of_model(model: Times, survey: Survey, step_s: float, known: bool) -> str:
    if model.kind != "recorded":
        return f"The model takes {_times(model)} for each message, at an even pace."
    if not known:
        return f"No times of the model are recorded: each message is taken to take {step_s:g} s. Give --model-pace."
    share = ratio(survey.timed["steps"], survey.steps)
    rest = "" if share > 0.999 else f" ({share:.0%} of the messages; the others as the median, {step_s:.2f} s)"
    return f"The model takes what was recorded{rest}, at an even pace."


def _of_tools(tools: Sequence[tuple[str, Times]], survey: Survey, guessed: set[str], step_s: float) -> Iterator[str]:
    for name, times in tools:
        yield f"{'Tools take' if name == '*' else f'{printable(name)} takes'} {_times(times)}."
    if guessed:
        listed = ", ".join(sorted(map(printable, guessed))[:8])
        yield f"No time is recorded of {listed}: taken to take a model's step, {step_s:.2f} s. Give --tool-latency."
    elif not tools:
        yield f"Tools take what was recorded ({ratio(survey.timed['calls'], survey.calls):.0%} of the calls)."


def _times(times: Times) -> str:
    words = {"lognormal": "{:g} s in the median (lognormal)", "relative": "{:g} of the model's median step"}
    return words.get(times.kind, "{:g} s").format(times.amount)


def percent(share: float) -> str:
    """A share in [0, 1] as people write it."""
    return f"{share * 100:.1f} %"


def ratio(part: float, whole: float) -> float:
    """*part* of *whole*; nothing of nothing is none."""
    return part / whole if whole else 0.0
