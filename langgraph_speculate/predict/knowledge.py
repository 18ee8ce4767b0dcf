"""What of a predictor is written down: the kinds of sums, and how their keys are put together.

A key is a kind and the names that it is counted by. Contexts are event signatures (`markov.py`), sources are those of
`sources.py`, picks those of `programs.py`; a template may be the name of a lens or a condition. Words out of payloads
(`ledger.py`) stand only in keys that wait for them.

| kind     | counted by                                                      | hits of trials                        |
|----------|-----------------------------------------------------------------|---------------------------------------|
| `next`   | context, tools                                                  | messages                              |
| `detail` | event, shapes of what the user brought, tools                   | messages                              |
| `shape`  | tool, names of arguments                                        | calls                                 |
| `found`  | tool, argument                                                  | values that could be found, of all    |
| `right`  | tool, argument, template, source (kind, owner, what)            | messages it was right in, of all      |
| `pick`   | the same, context, pick                                         | values it was right about, of all     |
| `value`  | tool, argument, context, constant; an empty one stands for all  | messages                              |
| `call`   | tool, context, arguments                                        | messages                              |
| `way`    | tool, names of arguments, their picks                           | calls it was right about, of all      |
| `weight` | tool, or all; which feature                                     | weight times guesses, guesses         |
| `square` | the same                                                        | the sum of squared gradients          |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from langgraph_speculate.core.sums import Key

MAX_TEXT = 500
"""Characters of a value beyond which it is not written down, however common it is."""

NEXT, DETAIL, SHAPE, FOUND, RIGHT, PICK = "next", "detail", "shape", "found", "right", "pick"
VALUE, CALL, WAY, WEIGHT, SQUARE = "value", "call", "way", "weight", "square"
CONTEXTUAL = frozenset({NEXT, PICK, VALUE})
"""The kinds of which there are as many as there are orders of events: the only ones without a bound."""

_CONTEXT = {PICK: 7, VALUE: 3}  # where in such a key the context stands
_APART = "\x1f"  # the unit separator of ASCII: no name holds it


def joined(parts: Iterable[str]) -> str:
    """Several names as one part of a key.

    >>> split(joined(["a", "b"])), split(joined([]))
    (('a', 'b'), ())
    """
    return _APART.join(parts)


def split(part: str) -> tuple[str, ...]:
    """The names in one part of a key."""
    return tuple(part.split(_APART)) if part else ()


def text_of(value: Any, *, most: int = MAX_TEXT) -> str | None:
    """A value as part of a key, or None where it has more than *most* characters or is no JSON.

    >>> text_of({"b": 1, "a": "x"})
    '{"a":"x","b":1}'
    """
    if type(value) is str and len(value) > most:
        return None
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except (TypeError, ValueError, RecursionError):
        return None
    return text if len(text) <= most else None


def coarse(key: Key) -> Key:
    """The key that a sum gets where what came before is left out, but for the last event of `next`.

    >>> coarse((NEXT, joined(["user", "find"]), "get")), coarse((VALUE, "find", "class", "user", '"economy"'))
    (('next', 'find', 'get'), ('value', 'find', 'class', '', '"economy"'))
    """
    if key[0] == NEXT:
        return (NEXT, joined(split(key[1])[-1:]), *key[2:])
    place = _CONTEXT[key[0]]
    return (*key[:place], "", *key[place + 1 :])


def words_in(tool: str, value: Any) -> Iterator[tuple[str, str]]:
    """The texts, numbers and keys in an argument of *tool*, each of which may be somebody's; truth values are nobody's.

    >>> list(words_in("book", {"class": "economy", "seats": [2]}))
    [('book', 'class'), ('book', 'economy'), ('book', 'seats'), ('book', '2')]
    """
    if isinstance(value, dict):
        for name, item in value.items():
            yield tool, str(name)
            yield from words_in(tool, item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from words_in(tool, item)
    elif value is not None and not isinstance(value, bool):
        yield tool, str(value)
