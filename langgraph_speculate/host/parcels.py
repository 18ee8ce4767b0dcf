"""What is sent to a worker of the owner's executor and what comes back: plain data, either way.

Neither an object of a tool's is sent nor an exception, which could break the pool where it cannot be read. In the
worker the body runs in a sandbox like any other.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass
from functools import partial
from typing import Any

from langchain_core.tools import BaseTool

from langgraph_speculate.core.calls import key_of
from langgraph_speculate.host import clock
from langgraph_speculate.host.entry import CHANGES_ARGUMENTS, Arguments
from langgraph_speculate.host.overload import Overload, overload_of
from langgraph_speculate.host.sandbox import Sandbox

SCALARS = (str, int, float, bool, bytes, type(None))
"""The types of what is no container."""

_DEEPEST = 50  # containers in containers that are sent


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a worker is sent.

    Attributes:
        id: Unlike any other's: an executor that takes equal tasks for one must not answer with an old result.
        tool: The tool's name.
        address: Where the function is, as `"module:name"`.
        positional, named: Its arguments.
        config: What a sandbox needs of the node's config.
        hosts: Hosts that the body may contact.
    """

    id: str
    tool: str
    address: str
    positional: tuple[Any, ...]
    named: dict[str, Any]
    config: dict[str, Any]
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes back.

    Attributes:
        value: What the body returned.
        failure: Why there is no value, or None: the type of what it raised.
        overload: What that said of its service's load, or None.
        taint: What it reached for although it must not, or None.
        seconds: How long it ran; None if the worker has no such function.
        stays: Whether the tool has to run in the run's own process from now on.
    """

    value: Any = None
    failure: str | None = None
    overload: Overload | None = None
    taint: str | None = None
    seconds: float | None = None
    stays: bool = False


def carry_out(parcel: Parcel) -> Reply:
    """Run the body that a parcel tells of; what workers are called with."""
    try:
        body = function_at(parcel.address)
        sandbox = Sandbox(parcel.tool, parcel.config, {}, uses_context=False, native=False, hosts=parcel.hosts)
    except Exception as error:  # noqa: BLE001 - importing a module runs its code
        return Reply(failure=type(error).__name__, stays=True)
    arguments = Arguments(parcel.positional, parcel.named)
    asked, began = key_of(arguments.call(parcel.tool)), clock.now()
    try:
        value = sandbox.run(partial(body, *parcel.positional, **parcel.named))
    except BaseException as error:  # noqa: BLE001 - whatever it is, the real call will show it
        seconds, overload = clock.now() - began, overload_of(error)
        return Reply(failure=type(error).__name__, overload=overload, taint=sandbox.taint, seconds=seconds)
    seconds = clock.now() - began
    taint = sandbox.taint or (None if key_of(arguments.call(parcel.tool)) == asked else CHANGES_ARGUMENTS)
    if taint is None and (sandbox.recorder.effects or not is_plain(value)):
        return Reply(failure="what it wrote or returned cannot be sent", seconds=seconds, stays=True)
    return Reply(value if taint is None else None, taint=taint, seconds=seconds)


def function_at(address: str) -> Any:
    """The function at an address, or that of the tool which was made of it."""
    found = pkgutil.resolve_name(address)
    return getattr(found, "func", None) if isinstance(found, BaseTool) else found


def is_plain(value: Any, depth: int = _DEEPEST) -> bool:
    """Whether a value is made of scalars and containers alone, of these very types.

    >>> is_plain({"rows": [1, 2.5, ("a", None)]}), is_plain(object())
    (True, False)
    """
    if type(value) in SCALARS:
        return True
    if depth == 0:
        return False
    if type(value) is dict:
        return all(is_plain(item, depth - 1) for pair in value.items() for item in pair)
    return type(value) in (list, tuple, set, frozenset) and all(is_plain(item, depth - 1) for item in value)
