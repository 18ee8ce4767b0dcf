"""What was learned, in words: the strongest patterns of a store, for people to read.

A pattern is (C, T, f, p): after the context C the tool T is called, its arguments come from f, with probability p
(PASTE, arXiv 2603.18897, calls it that). Both halves are read off the sums of `knowledge.py`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from langgraph_speculate.core.sums import Key, Pair
from langgraph_speculate.predict.indexes import parted
from langgraph_speculate.predict.knowledge import NEXT, PICK, VALUE, split
from langgraph_speculate.predict.programs import lens_of
from langgraph_speculate.predict.shapes import HALVES
from langgraph_speculate.predict.sources import COPY

_PLACES = {"0": "first", "1": "second", "2": "third", "3": "fourth", "4": "fifth", "5": "sixth"}
_SPOKEN_OF = {
    "said": ", of those that are spoken of",
    "beside": ", of those in a record with what is spoken of",
    "near": ", of those near what is spoken of",
    "rest": ", of those that are not spoken of",
}


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern in words.

    Attributes:
        kind: `"next"` (which tool follows) or `"argument"` (where an argument comes from).
        tool: The tool that is called.
        text: The pattern as a sentence.
        probability: How often it was so, in [0, 1], where it could have been.
        support: How many messages, or calls, it was counted in.
    """

    kind: str
    tool: str
    text: str
    probability: float
    support: int


def patterns_in(sums: Mapping[Key, Pair], *, least: int = 3) -> list[Pattern]:
    """The patterns in *sums* that were counted at least *least* times, those that are right most often first.

    >>> patterns_in({("next", "find_user", "get_order"): (9.0, 0.0), ("next", "find_user", ""): (1.0, 0.0)})[0].text
    'after find_user comes get_order'
    """
    found = [*_followers(sums, least), *_arguments(sums, least)]
    return sorted(found, key=lambda one: (-one.probability * one.support, one.text))


def tools_in(sums: Mapping[Key, Pair]) -> set[str]:
    """The tools that *sums* speak of, however seldom.

    >>> tools_in({("next", "find_user", "get_order"): (1.0, 0.0), ("next", "find_user", ""): (1.0, 0.0)})
    {'get_order'}
    """
    followed = {name for key in sums if key[0] == NEXT and len(key) == 3 for name in split(key[2])}
    return followed | {key[1] for key in sums if key[0] in (PICK, VALUE)}


def _followers(sums: Mapping[Key, Pair], least: int) -> Iterator[Pattern]:
    """Which tools follow one event, whatever came before it."""
    messages: Counter[str] = Counter()
    tools: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for key, (hits, _) in sums.items():
        if key[0] == NEXT and len(key) == 3:
            event = (split(key[1]) or ("",))[-1]
            messages[event] += round(hits)
            for name in split(key[2]) or ("",):
                tools[event][name] += round(hits)
    for event, followers in tools.items():
        for tool, count in followers.items():
            if tool and count >= least:
                text = f"after {_event(event)} comes {tool}"
                yield Pattern("next", tool, text, min(1.0, count / messages[event]), messages[event])


def _event(event: str) -> str:
    names = {"^": "the beginning", "user": "a user's message", "user#": "a user's message with an identifier"}
    if event in names or not event:
        return names.get(event, "anything")
    ends = {"!": " failed", "0": " found nothing", "?": " did not end"}
    said = [name[:-1] + ends[name[-1]] if name[-1:] in ends else name for name in event.split("+")]
    return " and ".join(said)


def _arguments(sums: Mapping[Key, Pair], least: int) -> Iterator[Pattern]:
    """For each argument the ways of finding it, whatever came before the call."""
    ways: defaultdict[Key, list[float]] = defaultdict(lambda: [0.0, 0.0])
    values: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for key, (hits, trials) in sums.items():
        if key[0] == PICK and len(key) == 9:
            way = ways[(*key[1:7], key[8])]
            way[0] += hits
            way[1] += trials
        elif key[0] == VALUE and len(key) == 5:
            values[key[1], key[2]][key[4]] += round(hits)
    for (tool, argument, template, kind, owner, what, pick), (hits, trials) in ways.items():
        if hits >= least:
            text = f"{tool}({argument}) is {_way(template, kind, owner, what, pick)}"
            yield Pattern("argument", tool, text, min(1.0, hits / trials), round(trials))
    for (tool, argument), counts in values.items():
        total = max(counts[""], *counts.values())
        for value, count in counts.items():
            if value and count >= least:
                yield Pattern("argument", tool, f"{tool}({argument}) is {value}", count / total, total)


def _way(template: str, kind: str, owner: str, what: str, pick: str) -> str:
    path, half = parted(what)
    place = path.strip(".").replace(".#", " (a key)") or "value"
    place = f"{HALVES[half]} of {place}" if half else place
    source = {
        "arg": f"the {what} of an earlier {owner}",
        "json": f"{place} in the result of {owner}",
        "text": f"{_shape(what)} in the text of {owner}",
        "user": f"{_shape(what)} that the user said",
    }.get(kind, what)
    which, _, rest = pick.partition(" ")
    number = _PLACES.get(rest.partition(" ")[0], "a later")
    start, end = f"the {number} unused {source}", _SPOKEN_OF.get(which, "")
    if which == "old":
        start = f"the newest one used before, {source}"
    filled = "" if template == COPY else f", filled into {template!r}"
    lens = lens_of(template)
    if lens is not None:
        filled = f", {lens.words}"
    return f"{start}{end}{filled}".replace("unused the ", "unused ").replace("before, the ", "before, ")


def _shape(what: str) -> str:
    kind, _, rest = what.partition(":")
    if kind in HALVES:
        return f"{HALVES[kind]} of an identifier"
    named = {"id": "identifier", "uuid": "UUID", "label": f"value after {rest!r}"}
    named |= dict.fromkeys(("hex", "random"), "random identifier")
    return named.get(kind, kind)
