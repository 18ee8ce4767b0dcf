"""What a tool may know of its own early run: that it is one, and what shall happen only if its result is used."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextvars import ContextVar
from typing import Any

from langgraph_speculate.core.destinations import destinations
from langgraph_speculate.host.recorder import Recorder
from langgraph_speculate.host.wires import Lent, Trip
from langgraph_speculate.policy.hosts import is_allowed

_CURRENT: ContextVar[CurrentSpeculation | None] = ContextVar("speculate_current", default=None)


class CurrentSpeculation(Lent):
    """The early run of a tool's body, seen from inside.

    Attributes:
        tool: The tool's name.
    """

    def __init__(self, tool: str, recorder: Recorder, trip: Trip, hosts: Collection[str]) -> None:
        self.tool = tool
        self._recorder = recorder
        self._trip = trip
        self._hosts = hosts

    def on_commit(self, effect: Callable[[], Any]) -> None:
        """Call *effect* when, and only when, this run's result becomes the answer of a real call.

        It is called within that call, in the order of what the body wrote to its streams; what it raises, the call
        raises. What it returns is awaited if it can be.
        """
        self._recorder.on_commit(effect)

    def contact(self, url: str) -> None:
        """Say that the body is about to send a request to *url*: it ends here unless the policy lets it go there.

        For the request hook of an HTTP client, which sees every redirect: what a call's arguments name is checked
        before it runs ahead, where a server sends it on is not. Nothing is looked up.
        """
        hosts, complaint = destinations({"url": url})
        if complaint is not None or not hosts or not all(is_allowed(host, self._hosts) for host in hosts):
            self._trip("a host that its policy does not allow")

    def enter(self) -> None:
        """Make this the current one, in the context that is entered."""
        _CURRENT.set(self)


def current_speculation() -> CurrentSpeculation | None:
    """The early run that this code is part of, or None in a real call.

    For tools with an effect that belongs to real calls only, such as an audit log. Chrome's Speculation Rules have the
    same idea for pages ("prerenderingchange").

    >>> from langchain_core.tools import tool
    >>> audit = []
    >>> @tool
    ... def get_order(id: int) -> str:
    ...     "Look up an order."
    ...     ahead = current_speculation()
    ...     if ahead is None:
    ...         audit.append(id)
    ...     else:
    ...         ahead.on_commit(lambda: audit.append(id))
    ...     return "sent"
    >>> get_order.invoke({"id": 7}), audit  # a real call
    ('sent', [7])
    """
    return _CURRENT.get()
