"""What the model's stream says about candidates: Bayes' rule, a piece of the message at a time.

What is written rules candidates out, and leaves those it fits the more probable, the less it is likely to be the
beginning of some other call: that another name would have been the same is worth little, that eight characters of an
argument agree by chance is improbable.
"""

from __future__ import annotations

from collections.abc import Sequence

from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.draft import Draft, DraftCall

MORE = 0.1
"""P(a message that has made a call makes another one), where nobody counted."""

_SAME_VALUE = 0.3  # P(an argument of a call that nobody foresaw has the value that is written)
_SAME_SIGN = 0.8  # the same for one more character of a value


def conditioned(candidates: Sequence[Candidate], draft: Draft, *, more: float = MORE) -> list[Candidate]:
    """*candidates*, re-scored by what is written of the message, best first; text alone says nothing here.

    Args:
        candidates: What was expected before the message began.
        draft: The message so far.
        more: P(another call follows).

    >>> from langgraph_speculate.core import Call, Draft
    >>> guesses = [Candidate(Call("get_order", {"id": n}), 0.3) for n in (17, 25)] + [Candidate(Call("find"), 0.2)]
    >>> draft = Draft()
    >>> _ = draft.write(0, "call_1", "get_order", '{"id": 1')
    >>> [(candidate.call.args, round(candidate.probability, 2)) for candidate in conditioned(guesses, draft)]
    [({'id': 17}, 0.71), ({'id': 25}, 0.03), ({}, 0.02)]
    """
    current = draft.current
    if current is None:
        return list(candidates)
    fits = [current.may_become(candidate.call) for candidate in candidates]
    share = sum(candidate.probability for candidate, may in zip(candidates, fits, strict=True) if may)
    named = sum(candidate.probability for candidate in candidates if candidate.call.name == current.name)
    foreseen = sum(candidate.probability for candidate in candidates)
    others = max(0.0, 1.0 - foreseen) * (named / foreseen if foreseen else 1.0) * surprise(current)
    written = min(1.0, share + others)  # how probable it was that some call begins like this

    def given(chance: float, may: bool) -> float:
        if may:
            return min(1.0, chance / (share + others)) if chance else 0.0
        # Another call of the message may be it: as often as one follows, or, where it was nearly sure, more often.
        return max(chance * more, 1.0 - (1.0 - chance) / written if written else 0.0)

    scored = [
        Candidate(one.call, given(one.probability, may), one.source) for one, may in zip(candidates, fits, strict=True)
    ]
    return sorted(scored, key=lambda candidate: candidate.probability, reverse=True)


def fitted(candidates: Sequence[Candidate], call: DraftCall) -> list[Candidate]:
    """Of *candidates* for a call whose tool is known those that it may still become, re-scored by what is written.

    >>> from langgraph_speculate.core import Call, Draft
    >>> draft = Draft()
    >>> _ = draft.write(0, "call_1", "get_order", '{"id": 1')
    >>> guesses = [Candidate(Call("get_order", {"id": n}), 0.4) for n in (17, 25)]
    >>> [(candidate.call.args, round(candidate.probability, 2)) for candidate in fitted(guesses, draft.calls[0])]
    [({'id': 17}, 0.71)]
    """
    foreseen = sum(candidate.probability for candidate in candidates)
    fitting = [candidate for candidate in candidates if call.may_become(candidate.call)]
    total = sum(candidate.probability for candidate in fitting) + max(0.0, 1.0 - foreseen) * surprise(call)
    return [Candidate(one.call, min(1.0, one.probability / total), one.source) for one in fitting if total]


def surprise(call: DraftCall) -> float:
    """P(a call of the tool that nobody foresaw begins as this one does because some foreseen one would)."""
    return float(_SAME_VALUE ** len(call.closed) * _SAME_SIGN ** len(call.arguments.value_so_far()))
