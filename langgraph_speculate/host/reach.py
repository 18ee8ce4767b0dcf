"""What a function reaches: the tools a hand-written node holds on to, the context variables a tool reads.

Looks at code, so it finds what is written down (a global, a closure, an attribute, a default), not what is looked up by
name at run time. It may find more than a call will use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import CellType, MethodType
from typing import Any

from langgraph_speculate.host.compat import get_function_nonlocals

_DEEPEST = 6  # calls of calls that are followed
_PLUMBING = frozenset(  # packages that wrap other people's functions and keep context variables of their own
    {"anyio", "asyncio", "contextlib", "functools", "langchain", "langchain_core", "langgraph", "langsmith", "logging"}
    | {"opentelemetry", "sentry_sdk", "structlog", "tenacity"}
)


def bound_values(function: Any) -> Iterator[Any]:
    """What was bound to a function when it was made: closure, wrapped function, partial arguments, instance."""
    yield from _inner_functions(function)
    yield from getattr(function, "args", None) or ()
    yield from (getattr(function, "keywords", None) or {}).values()
    yield from (cell.cell_contents for cell in getattr(function, "__closure__", None) or () if _is_filled(cell))
    owner = function.__self__ if isinstance(function, MethodType) else function
    if not hasattr(owner, "__code__"):  # an instance with a method, or with `__call__`
        yield from getattr(owner, "__dict__", {}).values()


def values_around(function: Callable[..., Any]) -> Iterator[Any]:
    """Everything a function reaches from outside its own scope, through the functions that it wraps too."""
    yield from get_function_nonlocals(function)
    yield from bound_values(function)
    for inner in _inner_functions(function):
        yield from values_around(inner)


def _inner_functions(function: Any) -> list[Callable[..., Any]]:
    inner: list[Any] = [getattr(function, name, None) for name in ("func", "__wrapped__", "__func__")]
    if not hasattr(function, "__code__"):
        inner.append(getattr(type(function), "__call__", None))  # noqa: B004 - wanted is the function, not whether
    return [one for one in inner if hasattr(one, "__code__") or hasattr(one, "func")]


def context_variables(function: Callable[..., Any]) -> set[ContextVar[Any]]:
    """The context variables that a function reads, itself or through functions of the packages it is made of.

    What is bound to it (a decorated function, say) is followed wherever it comes from; what it merely names is followed
    within those packages.
    """
    found: set[ContextVar[Any]] = set()
    seen: set[int] = set()
    packages: set[str] = set()
    rest: list[tuple[Any, int, bool]] = [(function, 0, True)]
    while rest:
        value, depth, bound = rest.pop()
        if isinstance(value, ContextVar):
            found.add(value)
        if not callable(value) or isinstance(value, type) or id(value) in seen or depth > _DEEPEST:
            continue
        package = str(getattr(value, "__module__", None) or "").partition(".")[0]
        if bound and package not in _PLUMBING:
            packages.add(package)
        if not bound and package not in packages:
            continue
        seen.add(id(value))
        rest.extend((inner, depth + 1, True) for inner in bound_values(value))
        if package in packages:
            rest.extend((inner, depth + 1, False) for inner in get_function_nonlocals(value))
    return found


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a recursive function that is not bound yet
        return False
