"""What a forecast says of previews (`model_ahead`): their figures, what they add, and what that takes for granted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langgraph_speculate.observe.previews import PreviewCounts
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.replay.forecast import Forecast
from langgraph_speculate.replay.stage import dearest
from langgraph_speculate.replay.variant import Variant

_MUTE = (
    "Of model_ahead nothing can be said: the recordings hold no results of tools, and previews rest on those. Record "
    "what tools answered, too."
)


def figures(variant: Variant) -> dict[str, Any] | None:
    """Counts, seconds, tokens and money as plain data; None where the policy starts no model call ahead."""
    if not variant.policy.model_ahead:
        return None
    found = variant.stats.previews
    return {
        "began": found.began,
        "used": found.used,
        "joined": found.joined,
        "wasted": dict(found.wasted),
        "refused": dict(found.refused),
        "hidden_s": round(found.hidden_s, 3),
        "wasted_tokens": found.wasted_tokens,
        "wasted_cost": found.wasted_cost,
    }


def rows(told: Mapping[str, Any]) -> tuple[str, str, str]:
    """How many previews were used of those that began, what they hid, and what the others cost; for people."""
    found = told["previews"]
    if found is None:
        return "–", "–", "–"
    cost = f"{found['wasted_tokens']:,} tokens, {found['wasted_cost']:.4g}"
    return f"{found['used']} of {found['began']}", f"{found['hidden_s']:.1f} s", cost


def verdict(found: Forecast) -> Iterator[str]:
    """What previews add to running tools ahead, if that was asked."""
    if found.mute:
        yield _MUTE
    alone = found.tools_alone
    if alone is None:
        return
    both, previews = found.variants[0], found.variants[0].stats.previews
    added = round(alone.total("ahead") - both.total("ahead"), 1)
    brings = f"saves another {added} s" if added > 0 else f"costs {-added} s" if added else "adds nothing"
    yield (
        f"Tools ahead alone would save {alone.saved.value * 100:.1f} %; the model ahead {brings}: {previews.used} of "
        f"{previews.began} previews used, {previews.wasted_tokens:,} tokens in vain, which cost "
        f"{previews.wasted_cost:.4g}."
    )
    if not previews.began:
        yield _none_began(previews)


def _none_began(previews: PreviewCounts) -> str:
    """Why no model call started ahead."""
    if not previews.refused:
        return "No call came again whose result was still expected: writes make old what was read (reads, writes)."
    most = max(previews.refused, key=lambda reason: previews.refused[reason])
    return f"No model call started ahead: {printable(most)} stood in the way {previews.refused[most]} times."


def assumptions(found: Forecast) -> Iterator[str]:
    """What the figures of previews take for granted."""
    if found.tools_alone is None:
        return
    policy, survey = found.variants[0].policy, found.survey
    model = dearest(policy)
    price = policy.price_of(model)
    whose = f"those of {printable(model)}" if model else "those of a dear model, as none are given (--token-price)"
    yield f"A million tokens cost {price.input:g} read and {price.output:g} written: {whose}."
    counted = survey.known["tokens"] / survey.steps if survey.steps else 0.0
    if counted < 1:
        yield (
            f"Tokens are counted in {counted:.0%} of the messages; others are estimated, four characters each, without "
            "what recordings leave out: instructions, and descriptions of tools."
        )
    known = survey.known["results"] / survey.calls if survey.calls else 0.0
    if known < 1:
        yield f"What tools answered is recorded of {known:.0%} of the calls; the others are taken to answer otherwise."
    yield (
        "The model is given the same whenever tools answer the same, and a preview in vain takes the time of the "
        "message that was recorded."
    )
