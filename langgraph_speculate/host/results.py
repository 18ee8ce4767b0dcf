"""What a body returned: may it become a real call's answer, the copy that is handed over, what a model would see."""

from __future__ import annotations

import gc
import sqlite3
from asyncio import AbstractEventLoop
from contextvars import Context
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from operator import is_
from threading import Thread
from types import CellType, CodeType, FrameType, FunctionType, MethodType, ModuleType, TracebackType
from typing import Any
from uuid import UUID

from langchain_core.messages.tool import ToolOutputMixin
from langchain_core.tools import BaseTool
from langgraph.types import Send

from langgraph_speculate.core.history import text_of
from langgraph_speculate.host.compat.tools import shown_content
from langgraph_speculate.host.wires import Lent


def unadoptable(value: Any) -> str | None:
    """Why a result belongs to the call that made it alone, or None.

    A `Command` or `Send` moves the graph, a `ToolMessage` carries the id of its call.

    >>> from langgraph.types import Command
    >>> unadoptable([Command(goto="end")]), unadoptable("sent")
    ('a Command', None)
    """
    items = value if isinstance(value, (list, tuple)) else (value,)
    return next((f"a {type(item).__name__}" for item in items if isinstance(item, (ToolOutputMixin, Send))), None)


LENT: tuple[type[Any], ...] = (Lent,)
"""What a body is lent for an early run alone: its config, its state, …"""

OF_ONE_THREAD: tuple[type[Any], ...] = (sqlite3.Connection, sqlite3.Cursor, sqlite3.Blob)
"""What only the thread that made it may use, unless told otherwise, which nobody can ask."""


def holds(value: Any, kinds: tuple[type[Any], ...]) -> bool:
    """Whether a result holds on to something of these kinds.

    Looks through all plain containers, and through objects in them to some depth, in the garbage collector's way: no
    code of theirs runs.

    >>> holds({"rows": [Lent()]}, LENT), holds("sent", LENT)
    (True, False)
    """
    level, seen = [value], set[int]()
    for _ in range(_DEEPEST):
        inside: list[Any] = []
        while level:
            item = level.pop()
            kind = type(item)
            if issubclass(kind, kinds):
                return True
            if id(item) not in seen and not issubclass(kind, _WORLDS):
                seen.add(id(item))
                parts = filter(gc.is_tracked, _parts(item, kind))
                (level if kind in _SEEN_THROUGH else inside).extend(parts)
        if len(seen) > _MOST_PARTS:  # an object that leads to a world of its own, such as a client
            return False
        level = inside
    return False


def _parts(item: Any, kind: type[Any]) -> list[Any]:
    if kind is FunctionType:  # its globals are its module's
        return gc.get_referents(item.__closure__, item.__defaults__, item.__kwdefaults__, item.__dict__)
    return gc.get_referents(item)


_DEEPEST = 4  # objects in objects
_SEEN_THROUGH = frozenset({dict, list, tuple, set, frozenset, FunctionType, MethodType, CellType, partial})
# What leads away from a result to all that there is. A context leaves its body with each task that this starts.
_WORLDS = (type, ModuleType, Context, FrameType, TracebackType, CodeType, AbstractEventLoop, Thread)


def repeatable(value: Any) -> bool:
    """Whether copies of a result can answer any number of calls: it is made of plain values and containers alone.

    No copy of a set that goes through its items in another order will do.

    >>> repeatable({"rows": [1, 2]}), repeatable(object())
    (True, False)
    """
    rest, seen = [value], 0
    while rest:
        item = rest.pop()
        kind, seen = type(item), seen + 1
        if seen > _MOST_PARTS:  # also a cycle
            return False
        if kind is dict:
            rest += item.keys()
            rest += item.values()
        elif kind in _CONTAINERS:
            if kind is set and _copied(item) is item:
                return False
            rest += item
        elif kind not in _PLAIN:
            return False
    return True


_MOST_PARTS = 100_000
_CONTAINERS = (list, tuple, set, frozenset)
_JSON = (str, int, float, bool, type(None))
_PLAIN = (*_JSON, complex, bytes, datetime, date, time, timedelta, Decimal, UUID)


def handed_over(value: Any) -> Any:
    """*value* with containers of its own: what the tool still holds on to is not what the graph gets.

    Only plain containers are copied; what is in them stays itself. So does a set whose copy would go through its items
    in another order, which tells how a set grew and shrank.

    >>> mine = {"rows": [1, 2]}
    >>> theirs = handed_over(mine)
    >>> mine["rows"].append(3)
    >>> theirs
    {'rows': [1, 2]}
    """
    try:
        return _copied(value)
    except RecursionError:  # a cycle: plain containers as they are
        return value


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _copied(item) for key, item in value.items()}
    if kind is list:
        return [_copied(item) for item in value]
    if kind is tuple:
        return tuple(_copied(item) for item in value)
    if kind is set:
        copy = set(value)
        return copy if all(map(is_, copy, value)) else value
    return value


def text_shown(tool: BaseTool, value: Any) -> str | None:
    """The text that the model would see of what *tool* returned, or None where only somebody else's code can tell.

    >>> from langchain_core.tools import tool
    >>> @tool
    ... def look(id: int) -> dict:
    ...     "Look."
    >>> text_shown(look, {"status": "sent"}), text_shown(look, object())
    ('{"status": "sent"}', None)
    """
    if tool.response_format == "content_and_artifact":
        value = value[0] if type(value) is tuple and value else value
    try:
        return text_of(shown_content(value)) if _is_json(value) else None
    except RecursionError:  # a cycle
        return None


def _is_json(value: Any) -> bool:
    """Whether a value can be written without running code of its own."""
    kind = type(value)
    if kind is dict:
        return all(type(key) is str and _is_json(item) for key, item in value.items())
    return all(map(_is_json, value)) if kind in (list, tuple) else kind in _JSON
