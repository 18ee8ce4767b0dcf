"""What this package raises on purpose.

    SpeculateError
    ├── PolicyError          a policy that contradicts itself, misspells something or cannot be read
    ├── UnsupportedGraph     an object `speculate()` cannot wrap (also a TypeError)
    ├── GraphError           a graph that `doctor` cannot find, import or make (also a ValueError)
    ├── MisplacedMiddleware  `SpeculationMiddleware` is not the last of its list (also a ValueError)
    ├── BadLog               a log of events that cannot be read or written (also a ValueError)
    ├── BadPatterns          a store of patterns that cannot be opened (also a ValueError)
    ├── TraceError           recorded runs that are not there or cannot be opened (also a ValueError)
    ├── UnkeyableArguments   arguments without a canonical form (also a ValueError)
    └── IllegalTransition    the core was driven wrongly: a bug here or in a custom shell

All but the last two are the caller's mistakes, found when a graph is wrapped, a log or a trace is opened. A wrong guess
is no error: it is a miss, and the real call runs as if this package were not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class SpeculateError(Exception):
    """Base class of everything this package raises on purpose."""


class PolicyError(SpeculateError, ValueError):
    """A policy is missing, unreadable, misspelt or contradicts itself; the message names file, path and remedy."""


class UnsupportedGraph(SpeculateError, TypeError):
    """`speculate()` was given something it cannot wrap."""


class GraphError(SpeculateError, ValueError):
    """A graph cannot be found, imported or made; the message names the place, the cause and the remedy."""


class MisplacedMiddleware(SpeculateError, ValueError):
    """`SpeculationMiddleware` stands outside of other middleware, which it would overtake."""


class BadLog(SpeculateError, ValueError):
    """A log of events cannot be read or written; the message names the path, the line and what is wrong with it."""


class BadPatterns(SpeculateError, ValueError):
    """Something that holds no patterns was given as `patterns=`; the message names it and what to give instead."""


class TraceError(SpeculateError, ValueError):
    """Traces are missing, cannot be opened or do not suffice; the message names the path and the remedy.

    A line that is wrong is no error: it is skipped and counted.
    """


class UnkeyableArguments(SpeculateError, ValueError):
    """Call arguments hold a value without a canonical form, so two calls cannot be compared."""


class IllegalTransition(SpeculateError):
    """A speculation was asked to take a step its lifecycle does not have."""


@contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Around the imports of a module that stands on an extra.

    Raises:
        ModuleNotFoundError: The extra is not installed; the message says how it is.
    """
    try:
        yield
    except ModuleNotFoundError as missing:
        remedy = f'pip install "langgraph-speculate[{extra}]"'
        raise ModuleNotFoundError(f"there is no {missing.name!r}: {remedy}", name=missing.name) from None
