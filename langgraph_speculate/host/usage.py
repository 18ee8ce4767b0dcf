"""What graphs that use one predictor have in common: its calls never overlap, and what is private to one stays so."""

from __future__ import annotations

import threading
import weakref
from contextlib import suppress
from typing import Any, Protocol

from langgraph_speculate.core.calls import Call


class User(Protocol):
    """A wrapped graph, as far as a predictor has to know it."""

    def is_private(self, name: str) -> bool:
        """Whether nothing about calls of that tool may be kept."""
        ...

    def is_known(self, call: Call) -> bool:
        """Whether there is a tool of the call's name, with arguments of the call's names."""
        ...


class Usage:
    """The graphs that use one predictor.

    Attributes:
        asking: Held around each call of the predictor.
    """

    def __init__(self) -> None:
        self.asking = threading.Lock()
        self._users: weakref.WeakSet[User] = weakref.WeakSet()
        self._private: set[str] = set()
        self._keeper: weakref.ref[object] | None = None

    def join(self, user: User) -> None:
        """One more graph uses it."""
        with _LOCK:
            self._users.add(user)

    def is_private(self, name: str) -> bool:
        """Whether a tool's words may not be written down: one of the graphs says so, or one that is gone did."""
        if name in self._private:
            return True
        with _LOCK:
            users = list(self._users)
        if any(user.is_private(name) for user in users):
            self._private.add(name)
            return True
        return False

    def is_known(self, call: Call) -> bool:
        """Whether one of the graphs has that tool."""
        with _LOCK:
            users = list(self._users)
        return any(user.is_known(call) for user in users)

    def is_kept(self) -> bool:
        """Whether somebody writes down what the predictor learns."""
        return self._keeper is not None and self._keeper() is not None

    def keep(self, keeper: object) -> None:
        """From now on that one does, as long as it is there."""
        self._keeper = weakref.ref(keeper)

    def let_go(self) -> None:
        """Nobody writes it down any more."""
        self._keeper = None


_LOCK = threading.RLock()  # the collection of garbage may end a graph in the midst of this
_USAGES: dict[int, tuple[weakref.ref[Any], Usage]] = {}  # by id, for a predictor need not be hashable


def usage_of(predictor: Any) -> Usage:
    """The usage of a predictor, the same for all graphs; of one that no weak reference can be made to, a new one."""
    key = id(predictor)
    with _LOCK:
        known = _USAGES.get(key)
        if known is not None and known[0]() is predictor:
            return known[1]
        usage = Usage()
        with suppress(TypeError):
            _USAGES[key] = weakref.ref(predictor, lambda gone: _forget(key, gone)), usage
        return usage


def _forget(key: int, gone: weakref.ref[Any]) -> None:
    with _LOCK:
        known = _USAGES.get(key)
        if known is not None and known[0] is gone:
            del _USAGES[key]
