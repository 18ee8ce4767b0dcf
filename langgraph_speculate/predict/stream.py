"""What the model's stream says about candidates: Bayes' rule, a piece of the message at a time.

What is written rules candidates out, and leaves those it fits the more probable, the less it is likely to be the
beginning of some other call: that another name would have been the same is worth little, that eight characters of an
argument agree by chance is improbable.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from langgraph_speculate.core.calls import Call
from langgraph_speculate.core.candidates import Candidate
from langgraph_speculate.core.draft import Draft, DraftCall
from langgraph_speculate.predict.rates import Rate
from langgraph_speculate.predict.recent import Recent

MORE = 0.1
"""P(a message that has made a call makes another one), where nobody counted."""

PARTING = 0.1
"""P(a call that nobody foresaw parts from all that were with its next character), where nobody counted."""

_PARTINGS = 5.0  # that this counts for
_LONGEST = 2_000  # characters compared
_TOOLS = 512
_WEIGHT = 5.0  # of what is believed before anything was counted, in observations
_SETTLED, _SAMPLED = 64, 8


def conditioned(candidates: Sequence[Candidate], draft: Draft) -> list[Candidate]:
    """*candidates*, re-scored by what is written of the message, best first; text alone says nothing here.

    Args:
        candidates: What was expected before the message began.
        draft: The message so far.

    >>> from langgraph_speculate.core import Call, Draft
    >>> guesses = [Candidate(Call("get_order", {"id": n}), 0.3) for n in (17, 25)] + [Candidate(Call("find"), 0.2)]
    >>> draft = Draft()
    >>> _ = draft.write(0, "call_1", "get_order", '{"id": 1')
    >>> [(candidate.call.args, round(candidate.probability, 2)) for candidate in conditioned(guesses, draft)]
    [({'id': 17}, 0.82), ({'id': 25}, 0.03), ({}, 0.02)]
    """
    current = draft.current
    if current is None:
        return list(candidates)
    fits = [current.may_become(candidate.call) for candidate in candidates]
    share = sum(candidate.probability for candidate, may in zip(candidates, fits, strict=True) if may)
    named = sum(candidate.probability for candidate in candidates if candidate.call.name == current.name)
    foreseen = sum(candidate.probability for candidate in candidates)
    others = max(0.0, 1.0 - foreseen) * (named / foreseen if foreseen else 1.0)
    others *= (1.0 - PARTING) ** current.arguments.length
    written = min(1.0, share + others)  # how probable it was that some call begins like this

    def given(chance: float, may: bool) -> float:
        if may:
            return min(1.0, chance / (share + others)) if chance else 0.0
        # Another call of the message may be it: as often as one follows, or, where it was nearly sure, more often.
        return max(chance * MORE, 1.0 - (1.0 - chance) / written if written else 0.0)

    scored = [
        Candidate(one.call, given(one.probability, may), one.source) for one, may in zip(candidates, fits, strict=True)
    ]
    return sorted(scored, key=lambda candidate: candidate.probability, reverse=True)


def fitted(candidates: Sequence[Candidate], call: DraftCall, surprise: float) -> list[Candidate]:
    """Of *candidates* for a call whose tool is known those that it may still become, re-scored by what is written.

    Args:
        candidates: Each with P(it is this one | the tool is called).
        call: The call in writing.
        surprise: P(one that nobody foresaw begins as this one does).

    >>> from langgraph_speculate.core import Call, Draft
    >>> draft = Draft()
    >>> _ = draft.write(0, "call_1", "get_order", '{"id": 1')
    >>> guesses = [Candidate(Call("get_order", {"id": n}), 0.4) for n in (17, 25)]
    >>> told = fitted(guesses, draft.calls[0], surprise=0.8)
    >>> [(candidate.call.args, round(candidate.probability, 2)) for candidate in told]
    [({'id': 17}, 0.71)]
    """
    foreseen = sum(candidate.probability for candidate in candidates)
    fitting = [candidate for candidate in candidates if call.may_become(candidate.call)]
    total = sum(candidate.probability for candidate in fitting) + max(0.0, 1.0 - foreseen) * surprise
    return [Candidate(one.call, min(1.0, one.probability / total), one.source) for one in fitting if total]


class Company:
    """Learn and tell how often a message goes on with another call after one of a tool.

    >>> company = Company()
    >>> for _ in range(20):
    ...     company.learn([Call("get_order", {"id": 1}), Call("get_order", {"id": 2}), Call("get_user", {})])
    >>> round(company.more("get_order"), 2), round(company.more("get_user"), 2)
    (0.9, 0.02)
    """

    def __init__(self) -> None:
        self._rates: Recent[str, Rate] = Recent(_TOOLS)

    def more(self, tool: str) -> float:
        """P(another call follows one of the tool in the same message)."""
        rate = self._rates.get(tool)
        return MORE if rate is None else rate.after(MORE, _WEIGHT)

    def learn(self, calls: Sequence[Call]) -> None:
        """See the calls of a message, in their order."""
        for place, call in enumerate(calls, 1):
            self._rates.touch(call.name, Rate).see(place < len(calls))


class Partings:
    """Learn and tell how long calls that nobody foresaw look like some that were foreseen.

    Per tool, the chance that they part with the next character (a geometric distribution): queries begin alike for
    long, identifiers do not.

    >>> partings = Partings()
    >>> made, foreseen = Call("sql", {"q": "select name from cities"}), Call("sql", {"q": "select name from b"})
    >>> round(partings.surprise("sql", 10), 2)
    0.35
    >>> for _ in range(20):
    ...     partings.learn(made, [foreseen])
    >>> round(partings.surprise("sql", 10), 2)
    0.63
    """

    def __init__(self) -> None:
        self._seen: Recent[str, list[float]] = Recent(_TOOLS)  # partings, and characters until them
        self._calls: Recent[str, list[int]] = Recent(_TOOLS)

    def surprise(self, tool: str, written: int) -> float:
        """P(a call of the tool that nobody foresaw begins as some foreseen one does for so many characters)."""
        partings, characters = self._seen.get(tool) or (_PARTINGS, _PARTINGS / PARTING)
        return float((1.0 - partings / characters) ** written)

    def learn(self, call: Call, foreseen: Iterable[Call]) -> None:
        """See a call that was none of the *foreseen* ones."""
        count = self._calls.touch(call.name, lambda: [0])
        count[0] += 1
        if count[0] > _SETTLED and count[0] % _SAMPLED:
            return  # one of some tells as much
        text = _written(call, call.args)
        alike = [_in_common(text, _written(other, call.args)) for other in foreseen]
        if alike:
            seen = self._seen.touch(call.name, lambda: [_PARTINGS, _PARTINGS / PARTING])
            seen[0] += 1.0
            seen[1] += max(alike) + 1.0


def _in_common(left: str, right: str) -> int:
    """How many characters two texts begin with in common."""
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(left), len(right)))


def _written(call: Call, order: Iterable[str]) -> str:
    """The arguments as a model may write them, in that order where they are the same."""
    args = {**{name: call.args[name] for name in order if name in call.args}, **call.args}
    try:
        return json.dumps(args)[:_LONGEST]
    except (TypeError, ValueError, RecursionError):
        return ""
