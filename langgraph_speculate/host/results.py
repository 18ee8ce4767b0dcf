"""What a body returned: whether it may become a real call's answer, and the copy that is handed over."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from langchain_core.messages.tool import ToolOutputMixin
from langgraph.types import Send


def unadoptable(value: Any) -> str | None:
    """Why a result belongs to the call that made it alone, or None.

    A `Command` or `Send` moves the graph, a `ToolMessage` carries the id of its call.

    >>> from langgraph.types import Command
    >>> unadoptable([Command(goto="end")]), unadoptable("sent")
    ('a Command', None)
    """
    items = value if isinstance(value, (list, tuple)) else (value,)
    return next((f"a {type(item).__name__}" for item in items if isinstance(item, (ToolOutputMixin, Send))), None)


def repeatable(value: Any) -> bool:
    """Whether copies of a result can answer any number of calls: it is made of plain values and containers alone.

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
            rest += item
        elif kind not in _PLAIN:
            return False
    return True


_MOST_PARTS = 100_000
_CONTAINERS = (list, tuple, set, frozenset)
_PLAIN = (type(None), bool, int, float, complex, str, bytes, datetime, date, time, timedelta, Decimal, UUID)


def handed_over(value: Any) -> Any:
    """*value* with containers of its own: what the tool still holds on to is not what the graph gets.

    Only plain containers are copied; what is in them stays itself.

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
    return set(value) if kind is set else value
