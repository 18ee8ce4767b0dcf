"""What the ranker is told about a guess: a few numbers, each with a reason to bear on whether the guess is right."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Set
from functools import lru_cache
from math import log, log1p
from typing import Any, NamedTuple

from langgraph_speculate.predict.bindings import Proposal
from langgraph_speculate.predict.ranker import log_odds
from langgraph_speculate.predict.sources import RunSources
from langgraph_speculate.predict.values import Fingerprint

FEATURES = 18
_FLOOR = 1e-3
_LOG_FLOOR = log(_FLOOR)
_MAX_TEXT = 2_000  # characters of the user's texts, and
_MAX_VALUE = 200  # of a value, whose words are compared
_NOTHING: Set[str] = frozenset()
_WORD = re.compile(r"[a-z]+|[A-Z][a-z]*|\d+")


class Guess(NamedTuple):
    """A call and what is known about it."""

    chance: float  # blended, before the ranker
    name: str
    args: Mapping[str, Any]
    key: Fingerprint
    tool: float  # P(tool)
    proposal: Proposal | None
    place: int  # among the proposals for the tool
    lead: float  # its chance over that of the tool's best proposal
    memory: float  # its chance by memory
    pattern: float  # its chance by its pattern, given the tool


def said_words(sources: RunSources) -> Set[str]:
    """The words that the user said last."""
    return _said(sources.said[:_MAX_TEXT]) if sources.said else _NOTHING


def features(guess: Guess, sources: RunSources, said: Set[str]) -> tuple[float, ...]:
    """What the ranker weighs; the first feature is the log-odds that it starts from.

    Args:
        guess: The guess.
        sources: What the run holds.
        said: See `said_words`.
    """
    chance, name, args, key, tool, proposal, place, lead, memory, pattern = guess
    if proposal is None:
        bound = support = user = result = by_pattern = apart = 0.0
    else:
        kinds = proposal.kinds
        bound = _log(proposal.chance)
        by_pattern = _log(pattern) - bound
        support = log1p(proposal.support)
        user = 1.0 if "user" in kinds else 0.0
        result = 1.0 if "json" in kinds or "text" in kinds else 0.0
        apart = proposal.records - 1.0 if proposal.records else 0.0
    last = sources.last_made
    repeated = last is not None and key[1:] == last[1:]
    same_tool = last is not None and name == last[0]
    return (
        log_odds(chance),
        1.0,
        _log(tool),
        bound,
        1.0 if proposal is None else 0.0,
        _log(memory) if memory else 0.0,
        1.0 if memory else 0.0,
        1.0 if key in sources.made(name) else 0.0,
        1.0 if repeated and same_tool else 0.0,
        log1p(place),
        0.0 if lead == 1.0 else _log(lead),
        support,
        user,
        result,
        by_pattern,
        apart,
        1.0 if repeated and not same_tool else 0.0,
        _mentioned(args, said) if said else 0.0,
    )


def _log(chance: float) -> float:
    return log(chance) if chance > _FLOOR else _LOG_FLOOR


def _mentioned(args: Mapping[str, Any], said: Set[str]) -> float:
    """The share of the words in the arguments that the user said."""
    count = known = 0
    for value in args.values():
        if type(value) is str:
            words, mentioned = _counts(value, said)
            count += words
            known += mentioned
    return known / count if count else 0.0


@lru_cache(maxsize=4096)
def _counts(value: str, said: Set[str]) -> tuple[int, int]:
    """How many words *value* has, and how many of them the user said; tools are often given one value in turn."""
    words = _words(value[:_MAX_VALUE])
    return len(words), sum(map(said.__contains__, words))


@lru_cache(maxsize=4096)
def _words(text: str) -> Collection[str]:
    """Words in lower case, without an `s` at the end, so that tables are found by what they hold."""
    return tuple([word.lower().removesuffix("s") for word in _WORD.findall(text)])


@lru_cache(maxsize=512)
def _said(text: str) -> Set[str]:
    return frozenset(_words(text))
