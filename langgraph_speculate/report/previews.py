"""What a report says of previews: model calls that were started on remembered results."""

from __future__ import annotations

from collections.abc import Mapping

from langgraph_speculate.core import events
from langgraph_speculate.core.stakes import Objection
from langgraph_speculate.observe.previews import PreviewCounts
from langgraph_speculate.policy.checks import printable
from langgraph_speculate.report.words import count, names, percent, seconds

_IN_VAIN: Mapping[str, str] = {
    "result": "a tool answered otherwise than expected",
    "messages": "the model was given other messages",
    "options": "the real call had other options, such as other tools",
    "model": "the model, or a setting of it, was another",
    "circumstances": "context variables or the caller’s config differed",
    "method": "one of the two calls was streamed and the other was not",
    "unasked": "the model was not asked again, or its answer came from elsewhere",
    "failed": "it raised",
    "tainted": "it touched what only a real call may have",
    "not begun": "it never got to start",
    "run_ended": "the run was over before",
}
_REFUSED: Mapping[str, str] = {
    Objection.WORTH: "expected to cost more than it saves",
    Objection.BREAKER: "previews of this model have cost more than they saved: left alone for a while",
    Objection.CROWDED: "enough was running ahead in this process already",
    Objection.BUSY: "enough previews of this model were running already",
    Objection.RUN_TOKENS: "the run might have wasted more tokens than it may",
    Objection.HOUR_TOKENS: "the graph might have wasted more tokens in an hour than it may",
}


def told(previews: PreviewCounts) -> str:
    """What previews came to, in words; empty where there were none.

    >>> told(PreviewCounts(began=3, used=2, joined=1, wasted={"result": 1}, hidden_s=0.8, wasted_tokens=1200))
    'Of 3 previews 2 were used, 1 of these while being written, which hid 800 ms of the model; 1,200 tokens in vain.'
    """
    if not previews.began:
        return ""
    cost = f", cost {previews.wasted_cost:.4g}" if previews.wasted_cost else ""
    joined = f", {previews.joined:,} of these while being written" if previews.joined else ""
    return (
        f"Of {count(previews.began, 'preview')} {previews.used:,} were used{joined}, which hid "
        f"{seconds(previews.hidden_s)} of the model; {count(previews.wasted_tokens, 'token')} in vain{cost}."
    )


def rows(previews: PreviewCounts) -> list[tuple[str, ...]]:
    """What became of previews, or kept them from beginning: reason, what happened, how many; most frequent first."""
    lost = sorted(previews.wasted.items(), key=lambda row: -row[1])
    refused = sorted(previews.refused.items(), key=lambda row: -row[1])
    return [
        *((f"in vain: {printable(why)}", _IN_VAIN.get(why, ""), f"{times:,}") for why, times in lost),
        *((f"not begun: {printable(why)}", _REFUSED.get(why, ""), f"{times:,}") for why, times in refused),
    ]


def story(began: events.PreviewBegan, end: events.PreviewUsed | events.PreviewWasted | None) -> str:
    """One preview, in words."""
    start = (
        f"Started on what {names(began.tools)} had answered before, at {percent(began.probability, 1)}, for about "
        f"{count(began.tokens, 'token')}."
    )
    match end:
        case events.PreviewUsed(joined=joined, hidden_s=hidden_s):
            how = "while it was still being written" if joined else "when it was complete"
            return f"{start} The model was asked the very same and took it over {how}: {seconds(hidden_s)} hidden."
        case events.PreviewWasted(reason=reason, tokens=tokens, cost=cost):
            why, money = _IN_VAIN.get(reason, "nobody took what it wrote"), f", cost {cost:.4g}" if cost else ""
            return f"{start} In vain ({printable(reason)}): {why}; {count(tokens, 'token')}{money}."
    return f"{start} What became of it is not in the log."
