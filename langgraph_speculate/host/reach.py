"""What a function reaches: the tools a hand-written node holds on to, the context variables a tool reads.

Looks at code, so it finds what is written down (a global, a closure, an attribute, a default, a method), not what is
looked up by name at run time. It may find more than a call will use.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache, cached_property, partial, partialmethod
from types import FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

from langchain.agents.middleware import AgentMiddleware
from langchain_core.tools import BaseTool

from langgraph_speculate.host.anatomy import (
    Part,
    attribute,
    bound_to,
    class_parts,
    codes,
    fields,
    inner_functions,
    is_a,
    named_in,
    package_of,
    plain,
    spread,
)
from langgraph_speculate.host.compat.graphs import all_functions

_DEEPEST = 10  # calls of calls, and objects in objects, that are followed
_PLUMBING = frozenset(  # packages that wrap other people's functions and keep context variables of their own
    {"anyio", "asyncio", "contextlib", "deepagents", "functools", "langchain", "langchain_core", "langgraph"}
    | {"langgraph_speculate", "langsmith", "logging", "opentelemetry", "pydantic", "sentry_sdk", "structlog"}
    | {"tenacity", "wrapt"}
)
_HOLDERS = (partial, partialmethod, property, cached_property, staticmethod, classmethod, SimpleNamespace)
_HOOKS = frozenset(  # of middleware: an agent calls them, and nothing else does
    f"{a}{hook}"
    for hook in ("before_agent", "before_model", "after_model", "after_agent", "wrap_model_call", "wrap_tool_call")
    for a in ("", "a")
)
_PROXIES = frozenset({"werkzeug.local", "asgiref.local"})  # stand for what a context variable has


def bound_values(function: Any) -> Iterator[Any]:
    """What was bound to a function when it was made: closure, defaults, wrapped function, arguments, instance."""
    yield from (value for _, value in bound_to(function))


def values_around(function: Callable[..., Any]) -> Iterator[Any]:
    """Everything a function reaches from outside its own scope, through the functions that it wraps too."""
    rest, seen = [function], set[int]()
    while rest:
        one = rest.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield from (value for _, value in named_in(one))
            yield from bound_values(one)
            rest.extend(inner_functions(one))


@dataclass(frozen=True, slots=True)
class Reach:
    """What code gets at.

    Attributes:
        values: What it refers to.
        names: What it names: globals, attributes, modules.
        thread_locals: By which names it refers to values that every thread has its own of.
    """

    values: tuple[Any, ...]
    names: frozenset[str]
    thread_locals: frozenset[str] = frozenset()


def reach_of(functions: Iterable[Any], *, abroad: int = 0, whole: bool = False) -> Reach:
    """What functions get at, themselves or through functions of the packages they are made of.

    What is bound to one (a decorated function, say) is followed wherever it comes from; what it merely names is
    followed within those packages, and within others of the owner's.

    Args:
        functions: Where to begin.
        abroad: How many calls deep what they name is followed into other people's packages.
        whole: Whether an object or class that they get at stands for all of its functions, whether named or not: which
            of them is called is decided at run time.
    """
    walk = _Walk(abroad, whole)
    walk.push((("", function) for function in functions), 0, _Bond.PART)
    while walk.rest:
        walk.step()
    return Reach(tuple(walk.values), frozenset(walk.names), frozenset(walk.thread_locals))


class _Bond(IntEnum):
    """How something hangs on what the look around began with."""

    NAMED = 0  # code names it
    BOUND = 1  # it was bound to a function when that was made
    PART = 2  # it is where the look began, or a plain function that was wrapped into that


@dataclass(slots=True)
class _Walk:
    """One look around, from calls to what they call, the nearest first."""

    abroad: int
    whole: bool
    values: list[Any] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    thread_locals: set[str] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)  # whose functions are followed
    homes: set[str] = field(default_factory=set)  # whose classes are, too
    seen: set[int] = field(default_factory=set)  # `values` keeps what is in here alive
    rest: deque[tuple[str, Any, int, _Bond]] = field(default_factory=deque)

    def push(self, parts: Iterable[Part], depth: int, bond: _Bond) -> None:
        """Look at these later; at what tables hold, too, where any of it may be what is called."""
        self.rest.extend((name, value, depth, bond) for name, value in (spread(parts) if self.whole else parts))

    def step(self) -> None:
        """Look at the next one."""
        name, value, depth, bond = self.rest.popleft()
        self.values.append(value)
        if is_a(value, threading.local):
            self.thread_locals.add(name or type(value).__name__)
        if id(value) in self.seen or depth > _DEEPEST:
            return
        if is_a(value, ModuleType) or (depth and _is_tool(value)):
            return  # of a module counts what is named, and a tool is judged for itself
        if is_a(value, _HOLDERS) or type(value).__module__ in _PROXIES:
            self.seen.add(id(value))
            self.push(bound_to(value), depth + 1, bond)
        elif is_a(value, type):
            self._enter_class(value, depth)
        elif callable(value):
            self._enter_function(value, depth, bond)
        elif self.whole:
            self._enter_object(value, depth)

    def _enter_function(self, value: Any, depth: int, bond: _Bond) -> None:
        package = package_of(value)
        if bond and package not in _PLUMBING:
            self.packages.add(package)
        if bond is _Bond.PART and (not depth or type(value) is FunctionType):
            self.homes.update((package, package_of(value.__self__ if is_a(value, MethodType) else value)))
        follows = package in self.packages or self._follows(package, depth)
        if not (bond or follows):
            return
        self.seen.add(id(value))
        # A method of a client that somebody holds is bound to them, and the client's package is not theirs for that.
        inner = bond if type(value) is FunctionType else _Bond.BOUND
        self.push(self._bound_to(value), depth + 1, max(inner, _Bond.BOUND))
        if follows:
            self.push(named_in(value), depth + 1, _Bond.NAMED)
        if package in self.packages or self._is_home(package):
            self.names.update(name for code in codes(value) for name in code.co_names)
        if plain(value) is None:
            self._enter_class(type(value), depth)

    def _bound_to(self, value: Any) -> Iterator[Part]:
        """What was bound to a function; of a method's object all, or what its code names."""
        call = attribute(type(value), "__call__")
        if type(value) is FunctionType:
            yield from bound_to(value)
        elif self.whole:
            holder = value.__self__ if is_a(value, MethodType) else value
            # What tenacity notes for each thread, say, is nothing that the function behind it reads.
            theirs = (ContextVar, threading.local) if _is_foreign(package_of(holder)) else ()
            yield from ((name, part) for name, part in bound_to(value) if not is_a(part, theirs))
            yield "", holder
        elif is_a(value, MethodType):
            yield "", value.__func__
            for name in dict.fromkeys(name for code in codes(value) for name in code.co_names):
                found = attribute(value.__self__, name)
                yield name, MethodType(found, value.__self__) if type(found) is FunctionType else found
        elif type(call) is FunctionType:
            yield "", MethodType(call, value)
        else:
            yield from bound_to(value)

    def _enter_object(self, value: Any, depth: int) -> None:
        if functions := all_functions(value):
            self.seen.add(id(value))
            self.push((("", function) for function in functions), depth + 1, _Bond.BOUND)
        elif self._follows(package_of(value), depth):
            self.seen.add(id(value))
            self.push(fields(value).items(), depth + 1, _Bond.BOUND)
            self._enter_class(type(value), depth)

    def _enter_class(self, kind: type, depth: int) -> None:
        if not depth:
            self.homes.add(package_of(kind))
        if not self.whole or id(kind) in self.seen or not self._follows(package_of(kind), depth):
            return
        self.seen.add(id(kind))
        for base in kind.__mro__:
            if self._follows(package_of(base), depth):
                apart = _HOOKS if issubclass(base, AgentMiddleware) else ()
                parts = ((name, part) for name, part in class_parts(base) if name not in apart)
                self.push(parts, depth + 1, _Bond.NAMED)

    def _is_home(self, package: str) -> bool:
        return not _is_foreign(package) and (package in self.homes or _is_own(package))

    def _follows(self, package: str, depth: int) -> bool:
        return self._is_home(package) or (depth <= self.abroad and not _is_foreign(package))


def _is_foreign(package: str) -> bool:
    """Whether objects of a package are taken for what they are, wherever they turn up."""
    return package in _PLUMBING or package in sys.stdlib_module_names


def _is_tool(value: Any) -> bool:
    return issubclass(value if is_a(value, type) else type(value), BaseTool)


@cache
def _is_own(package: str) -> bool:
    """Whether a package was not installed, but lies there as the owner wrote it."""
    if package == "__main__":
        return True
    if _is_foreign(package) or package not in sys.modules:
        return False
    inside = vars(sys.modules[package])
    where = inside.get("__file__") or next(iter(inside.get("__path__") or ()), None)
    return isinstance(where, str) and "site-packages" not in where and "dist-packages" not in where


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a tool reads that depends on who runs it.

    Attributes:
        variables: Context variables.
        thread_locals: By which names it refers to values that every thread has its own of.
    """

    variables: frozenset[ContextVar[Any]]
    thread_locals: frozenset[str]


def surroundings_of(tool: BaseTool) -> Surroundings:
    """What a tool reads of its surroundings, itself or through what it calls, other tools among that."""
    tools, variables, thread_locals = [tool], set[ContextVar[Any]](), set[str]()
    for one in tools:
        reach = reach_of(_bodies(one), whole=True)
        variables.update(value for value in reach.values if type(value) is ContextVar)
        thread_locals |= reach.thread_locals
        known = {id(tool) for tool in tools}
        others = {id(value): value for value in reach.values if is_a(value, BaseTool) and id(value) not in known}
        tools.extend(others.values())
    return Surroundings(frozenset(variables), frozenset(thread_locals))


def _bodies(tool: BaseTool) -> list[Any]:
    """What a tool runs; if its class has a body of its own, the class too, and what objects of it hold."""
    held = fields(tool)
    bodies = [body for name in ("func", "coroutine") if (body := held.get(name)) is not None]
    if not all(_is_foreign(package_of(kind)) for kind in type(tool).__mro__):
        bodies += [type(tool), *(attribute(type(tool), name) for name in ("_run", "_arun"))]
        bodies += [value for name, value in held.items() if name not in BaseTool.model_fields]
    return bodies
