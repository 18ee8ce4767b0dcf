"""What a function reaches: the tools a hand-written node holds on to, the context variables a tool reads.

Looks at code, so it finds what is written down (a global, a closure, an attribute, a default), not what is looked up by
name at run time. It may find more than a call will use.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any

from langgraph_speculate.host.compat.graphs import get_function_nonlocals

_DEEPEST = 6  # calls of calls that are followed
_PLUMBING = frozenset(  # packages that wrap other people's functions and keep context variables of their own
    {"anyio", "asyncio", "contextlib", "functools", "langchain", "langchain_core", "langgraph", "langsmith", "logging"}
    | {"opentelemetry", "sentry_sdk", "structlog", "tenacity"}
)


def bound_values(function: Any) -> Iterator[Any]:
    """What was bound to a function when it was made: closure, wrapped function, partial arguments, instance."""
    yield from _inner_functions(function)
    if isinstance(function, partial):
        yield from function.args
        yield from function.keywords.values()
    yield from (cell.cell_contents for cell in _attribute(function, "__closure__") or () if _is_filled(cell))
    owner = function.__self__ if isinstance(function, MethodType) else function
    if not isinstance(owner, FunctionType):  # an instance with a method, or with `__call__`
        yield from (_attribute(owner, "__dict__") or {}).values()


def values_around(function: Callable[..., Any]) -> Iterator[Any]:
    """Everything a function reaches from outside its own scope, through the functions that it wraps too."""
    yield from _nonlocals(function)
    yield from bound_values(function)
    for inner in _inner_functions(function):
        yield from values_around(inner)


def _inner_functions(function: Any) -> list[Callable[..., Any]]:
    if isinstance(function, partial):
        return [function.func]
    inner: list[Any] = [_attribute(function, "__wrapped__"), _attribute(function, "__func__")]
    if not isinstance(function, FunctionType | MethodType | type):
        inner.append(_attribute(type(function), "__call__"))
    return [one for one in inner if isinstance(one, FunctionType | MethodType | partial)]


def _nonlocals(function: Callable[..., Any]) -> list[Any]:
    """What a function's code names, and the code inside of it: the host's own search, and tables among the globals."""
    try:
        found = get_function_nonlocals(function)
    except Exception:  # noqa: BLE001 - it reads attributes, which may be anybody's code
        found = []
    plain = function.__func__ if isinstance(function, MethodType) else function
    for code in _codes(plain):
        found.extend(plain.__globals__[name] for name in code.co_names if name in plain.__globals__)
    return found


def _codes(function: Any) -> list[CodeType]:
    """The code of a plain function, and the code inside of it."""
    plain = function.__func__ if isinstance(function, MethodType) else function
    codes = [plain.__code__] if isinstance(plain, FunctionType) else []
    for code in codes:
        codes.extend(const for const in code.co_consts if isinstance(const, CodeType))
    return codes


def members(value: Any) -> list[Any]:
    """What a table or list holds."""
    try:
        if isinstance(value, dict):
            return list(value.values())
        return list(value) if isinstance(value, (list, tuple, set, frozenset)) else []
    except Exception:  # noqa: BLE001 - a subclass with code of its own
        return []


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name, None)
    except Exception:  # noqa: BLE001 - a proxy, say
        return None


@dataclass(frozen=True, slots=True)
class Reach:
    """What code gets at.

    Attributes:
        values: What it refers to.
        names: What it names: globals, attributes, modules.
    """

    values: tuple[Any, ...]
    names: frozenset[str]


def reach_of(functions: Iterable[Any], *, abroad: int = 0) -> Reach:
    """What functions get at, themselves or through functions of the packages they are made of.

    What is bound to one (a decorated function, say) is followed wherever it comes from; what it merely names is
    followed within those packages.

    Args:
        functions: Where to begin.
        abroad: How many calls deep what they name is followed into other people's packages.
    """
    values: list[Any] = []
    names: set[str] = set()
    seen: set[int] = set()
    packages: set[str] = set()
    rest: list[tuple[Any, int, bool]] = [(function, 0, True) for function in functions]
    while rest:
        value, depth, bound = rest.pop()
        values.append(value)
        if not callable(value) or isinstance(value, type) or id(value) in seen or depth > _DEEPEST:
            continue
        package = str(_attribute(value, "__module__") or "").partition(".")[0]
        if bound and package not in _PLUMBING:
            packages.add(package)
        home = package in packages
        visited = depth <= abroad and package not in _PLUMBING and package not in sys.stdlib_module_names
        if not (bound or home or visited):
            continue
        seen.add(id(value))
        rest.extend((inner, depth + 1, True) for inner in bound_values(value))
        if visited and not home:
            rest.extend((inner, depth + 1, False) for inner in _nonlocals(value))
        if home:
            names.update(name for code in _codes(value) for name in code.co_names)
            rest.extend((inner, depth + 1, False) for inner in _nonlocals(value))
    return Reach(tuple(values), frozenset(names))


def context_variables(function: Callable[..., Any]) -> set[ContextVar[Any]]:
    """The context variables that a function reads, itself or through functions of the packages it is made of."""
    values = reach_of([function]).values
    return {one for value in values for one in (value, *members(value)) if isinstance(one, ContextVar)}


def _is_filled(cell: CellType) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a recursive function that is not bound yet
        return False
