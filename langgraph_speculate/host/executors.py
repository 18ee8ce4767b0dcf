"""Bodies that run in an executor of the owner's, such as a pool of processes: which can go there.

What goes is plain data: the address of a function, its arguments, the caller's part of the config. Whatever cannot go
runs in a thread of ours.
"""

from __future__ import annotations

import inspect
import logging
import re
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from langchain_core.tools import BaseTool, StructuredTool

from langgraph_speculate.host.arithmetic import STANDARD, rules_of
from langgraph_speculate.host.compat.configs import is_node_private, runtime_of
from langgraph_speculate.host.compat.tools import body_slots
from langgraph_speculate.host.entry import Arguments, Entry
from langgraph_speculate.host.errand import Errand
from langgraph_speculate.host.kinds import own_kind
from langgraph_speculate.host.parcels import SCALARS, Parcel, function_at, is_plain
from langgraph_speculate.host.place import Place
from langgraph_speculate.host.reach import reach_of
from langgraph_speculate.host.sandbox import callers

_THE_SAME_ANYWHERE = (FunctionType, BuiltinFunctionType, ModuleType, type, re.Pattern, logging.Logger)


class Dispatcher:
    """Decides which bodies go to an executor.

    Args:
        executor: The owner's, who alone shuts it down; None keeps everything here.

    Raises:
        TypeError: *executor* is none.
    """

    def __init__(self, executor: Executor | None) -> None:
        if not isinstance(executor, Executor | None):
            raise TypeError(f"executor= takes a concurrent.futures.Executor, not {type(executor).__qualname__}")
        self._executor = executor
        self._addresses: WeakKeyDictionary[Callable[..., Any], str | None] = WeakKeyDictionary()

    def errand(
        self, id: str, entry: Entry, arguments: Arguments, place: Place, hosts: tuple[str, ...]
    ) -> Errand | None:
        """The errand that runs a sync body of a tool, or None if that cannot go.

        Args:
            id: Unlike any other's.
            entry: The tool.
            arguments: What its body receives.
            place: The model's node.
            hosts: Hosts that the body may contact.
        """
        executor = self._executor
        if executor is None or entry.injection is not None or entry.facts.uses or place.variables:
            return None
        if rules_of(place.decimals) != STANDARD:
            return None
        function = _plain_function(entry.tool)
        address = None if function is None else self._address(function)
        config = None if address is None else portable(place.config)
        if function is None or address is None or config is None:
            return None
        if not (is_plain(arguments.positional) and is_plain(arguments.named)):
            return None
        parcel = Parcel(id, entry.tool.name, address, arguments.positional, arguments.named, config, hosts)
        return Errand(executor, parcel, partial(self._addresses.__setitem__, function, None))

    def _address(self, function: FunctionType) -> str | None:
        if function not in self._addresses:
            self._addresses[function] = address_of(function)
        return self._addresses[function]


def _plain_function(tool: BaseTool) -> FunctionType | None:
    """The function that is a tool's body, if it is no more than that: what a class adds to it cannot be sent."""
    function = getattr(tool, "func", None) if own_kind(tool)._run is StructuredTool._run else None
    return function if isinstance(function, FunctionType) else None


def address_of(function: FunctionType) -> str | None:
    """Where other processes find *function*, or None where they find none that does the same.

    It must be its module's (a tool made of it counts), and depend on nothing that each process has for itself: neither
    on parameters that a run fills in, nor on variables of modules that are no constants.

    >>> import html
    >>> address_of(html.escape), address_of(lambda: 0)
    ('html:escape', None)
    """
    address = f"{function.__module__}:{function.__qualname__}"
    try:
        known = function.__module__ in sys.modules and function_at(address) is function
        filled_in = body_slots(function) or "callbacks" in inspect.signature(function).parameters
    except Exception:  # noqa: BLE001 - attributes and annotations may be anybody's code
        return None
    return address if known and not filled_in and _is_the_same_anywhere(function) else None


def _is_the_same_anywhere(function: FunctionType) -> bool:
    values = reach_of([function]).values
    return all(isinstance(value, _THE_SAME_ANYWHERE) or _is_constant(value) for value in values)


def _is_constant(value: Any) -> bool:
    return type(value) in (*SCALARS, tuple, frozenset) and is_plain(value)


def portable(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a sandbox elsewhere needs of a node's config, or None if that cannot be sent.

    What is the caller's goes as it is; of what belongs to the node's task the names alone, for the tripwires.
    """
    configurable, metadata = config.get("configurable") or {}, config.get("metadata") or {}
    if getattr(runtime_of(config), "server_info", None) is not None:
        return None
    sent = {
        **{key: config[key] for key in ("recursion_limit", "max_concurrency") if key in config},
        "tags": list(config.get("tags") or ()),
        "metadata": {**dict.fromkeys(metadata), **callers(metadata)},
        "configurable": {**dict.fromkeys(filter(is_node_private, configurable)), **callers(configurable)},
    }
    return sent if is_plain(sent) else None
