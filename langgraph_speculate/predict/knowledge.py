"""What of a predictor is written down: the kinds of sums, and how their keys are put together.

A key is a kind and the names that it is counted by. Contexts are event signatures (`markov.py`), sources are those of
`sources.py`, picks those of `programs.py`. Words out of payloads (`ledger.py`) stand only in keys that wait for them.

| kind     | counted by                                                      | hits of trials                        |
|----------|-----------------------------------------------------------------|---------------------------------------|
| `next`   | context, tools                                                  | messages                              |
| `shape`  | tool, names of arguments                                        | calls                                 |
| `found`  | tool, argument                                                  | values that could be found, of all    |
| `right`  | tool, argument, template, source (kind, owner, what)            | messages it was right in, of all      |
| `pick`   | the same, context, pick                                         | values it was right about, of all     |
| `value`  | tool, argument, context, constant                               | messages                              |
| `call`   | tool, context, arguments                                        | messages                              |
| `weight` | tool, or all; which feature                                     | weight times guesses, guesses         |
"""

from __future__ import annotations

from collections.abc import Iterable

NEXT, SHAPE, FOUND, RIGHT, PICK = "next", "shape", "found", "right", "pick"
VALUE, CALL, WEIGHT = "value", "call", "weight"
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
