"""Resource templates: what a tool reads and writes, as text over its arguments, such as `"order:{order_id}"`."""

from __future__ import annotations

import enum
import string
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

EVERYTHING = "*"
"""The resource of a tool that says nothing about what it touches; at the end of a template: all with that beginning."""


@lru_cache(maxsize=1024)
def template_arguments(template: str) -> tuple[str, ...]:
    """Return the names of the arguments a resource template uses.

    >>> template_arguments("order:{tenant}:{order_id}")
    ('tenant', 'order_id')
    """
    return tuple(name for _, name, _, _ in string.Formatter().parse(template) if name is not None)


def filled(template: str, args: Mapping[str, Any]) -> str:
    """Return the resource a template means for one call; everything where an argument is missing or no plain value.

    One number is one resource, whether a tool takes it as 7, 7.0 or "7".

    >>> filled("order:{order_id}", {"order_id": 7.0}), filled("order:{order_id}", {})
    ('order:7', '*')
    """
    try:
        return template.format_map({name: _plain(args[name]) for name in template_arguments(template)})
    except Exception:  # noqa: BLE001 - what cannot be named counts as everything, whatever the value does
        return EVERYTHING


def touched(template: str, args: Mapping[str, Any]) -> frozenset[str]:
    """The resources that a template means for one call: as it is filled, and as another tool may spell the same values.

    `True`, `1`, `"true"` and `" +1"` share a resource, because schemas turn them into one another: one call too many is
    stale rather than one too few.

    >>> sorted(touched("order:{order_id}", {"order_id": " 07"})), sorted(touched("order:{order_id}", {"order_id": 7}))
    (['order: 07', 'order:7'], ['order:7'])
    """
    try:
        alike = {name: _alike(_plain(args[name])) for name in template_arguments(template)}
        return frozenset({filled(template, args), template.format_map(alike)})
    except Exception:  # noqa: BLE001 - as in `filled`
        return frozenset({EVERYTHING})


def template_problem(template: str) -> str | None:
    """What is wrong with a resource template, or None."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        return f"{template!r} is no resource template: {error}"
    for at, (literal, name, spec, conversion) in enumerate(parts, 1):
        if EVERYTHING in (literal if at < len(parts) or name is not None else literal[:-1]):
            return f"{template!r}: a '*' can only stand at the end, for everything with that beginning"
        if name is not None and (not name.isidentifier() or spec or conversion):
            return f"{template!r}: braces hold one argument name each, such as 'order:{{order_id}}'"
    return None


def _plain(value: Any) -> str:
    if isinstance(value, enum.Enum):
        value = value.value
    # The base types' own texts: a subclass that shows something else must not name another resource.
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if float.is_integer(value) else float.__repr__(value)
    return int.__repr__(value)  # raises for everything else


@lru_cache(maxsize=4096)
def _alike(text: str) -> str:
    """One text for all that a schema may take for one value."""
    word = text.strip()
    if len(word) in (4, 5) and (truth := word.casefold()) in ("true", "false"):
        return "1" if truth == "true" else "0"
    if not (word[:1].isdigit() or word.startswith(("+", "-", "."))):
        return word  # as most ids, which to try as numbers takes longer than all else here
    for kind in (int, float):
        with suppress(ValueError, OverflowError):  # what is infinite has no whole number
            number = kind(word)
            return str(int(number)) if number == int(number) else word
    return word
