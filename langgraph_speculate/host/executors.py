"""Bodies that run in an executor of the owner's, such as a pool of processes: which can go there, and what comes back.

What goes is plain data (the address of a function, its arguments, the caller's part of the config), and so is what
comes back: neither an object of a tool's nor an exception, which could break the pool where it cannot be read. In the
worker the body runs in a sandbox like any other. Whatever cannot go runs in a thread of ours.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import pkgutil
import re
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from langchain_core.tools import BaseTool, StructuredTool

from langgraph_speculate.core.calls import Outcome, key_of
from langgraph_speculate.host import clock
from langgraph_speculate.host.arithmetic import STANDARD, rules_of
from langgraph_speculate.host.compat.configs import is_node_private, runtime_of
from langgraph_speculate.host.compat.tools import body_slots
from langgraph_speculate.host.entry import CHANGES_ARGUMENTS, Arguments, Entry
from langgraph_speculate.host.kinds import own_kind
from langgraph_speculate.host.overload import Overload, overload_of
from langgraph_speculate.host.place import Place
from langgraph_speculate.host.reach import reach_of
from langgraph_speculate.host.sandbox import Sandbox, callers

_DEEPEST = 50  # containers in containers that are sent
_SCALARS = (str, int, float, bool, bytes, type(None))
_THE_SAME_ANYWHERE = (FunctionType, BuiltinFunctionType, ModuleType, type, re.Pattern, logging.Logger)


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
        body = _function_at(parcel.address)
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


class FailedAway(Exception):
    """A body raised in a worker. The error itself stays there; what it said of its service's load can be read here.

    Args:
        reply: What came back.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.failure)
        if reply.overload is not None:
            self.status_code = reply.overload.status
            self.headers = {"Retry-After": str(reply.overload.retry_after_s)}


_UNWANTED = Outcome(error=asyncio.CancelledError())


class Errand:
    """One body that is sent away.

    Args:
        executor: Where to.
        parcel: What is sent.
        stay: Called when the tool turns out to need the run's own process.

    Attributes:
        seconds: How long the body ran, once that is known.
        stood_in_line: It was stopped before a worker took it up.
    """

    def __init__(self, executor: Executor, parcel: Parcel, stay: Callable[[], None]) -> None:
        self.seconds: float | None = None
        self.stood_in_line = False
        self._executor = executor
        self._parcel = parcel
        self._stay = stay
        self._away: Future[Reply] | None = None
        self._awake: Future[None] = Future()
        self._is_unwanted = False

    def run(self, timeout_s: float, then: Callable[[Outcome | None], None]) -> None:
        """Send the body away, wait for its end, and hand that to *then*; None if it has to run here after all.

        Args:
            timeout_s: The longest wait, in seconds.
            then: Called once. A body that nobody wants any more has not ended while its worker is at it, and holds its
                slot: nobody waits here for that end, the worker tells it.
        """
        try:
            self._away = away = self._executor.submit(carry_out, self._parcel)
        except Exception:  # noqa: BLE001 - it is shut or broken, which is its owner's business
            then(None)
            return
        away.add_done_callback(lambda _away: self._wake())
        clock.wait(self._awake, timeout_s)
        if away.cancel():
            self.stood_in_line = True
            then(_UNWANTED)
        elif away.done():
            then(self._outcome(away))
        elif self._is_unwanted:
            away.add_done_callback(lambda away: then(self._outcome(away) or _UNWANTED))
        else:
            then(Outcome(error=TimeoutError(), stopped=True))

    def cancel(self) -> None:
        """Nobody wants the result any more. A body that has not started will not."""
        self._is_unwanted = True
        self._wake()

    def hurry(self) -> None:
        """Somebody waits for the result: do not stand in line for it."""
        if self._away is None or not self._away.running():
            self._wake()

    def _outcome(self, away: Future[Reply]) -> Outcome | None:
        error = away.exception()
        return self._read(away.result()) if error is None else Outcome(error=error)

    def _wake(self) -> None:
        with suppress(InvalidStateError):  # it is awake
            self._awake.set_result(None)

    def _read(self, reply: Any) -> Outcome | None:
        if not isinstance(reply, Reply):
            return Outcome(error=TypeError())
        self.seconds = reply.seconds
        if reply.stays:
            self._stay()
            if reply.seconds is None:
                return None
        error = None if reply.failure is None else FailedAway(reply)
        return Outcome(value=reply.value, error=error, taint=reply.taint)


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
        known = function.__module__ in sys.modules and _function_at(address) is function
        filled_in = body_slots(function) or "callbacks" in inspect.signature(function).parameters
    except Exception:  # noqa: BLE001 - attributes and annotations may be anybody's code
        return None
    return address if known and not filled_in and _is_the_same_anywhere(function) else None


def _function_at(address: str) -> Any:
    found = pkgutil.resolve_name(address)
    return getattr(found, "func", None) if isinstance(found, BaseTool) else found


def _is_the_same_anywhere(function: FunctionType) -> bool:
    values = reach_of([function]).values
    return all(isinstance(value, _THE_SAME_ANYWHERE) or _is_constant(value) for value in values)


def _is_constant(value: Any) -> bool:
    return type(value) in (*_SCALARS, tuple, frozenset) and is_plain(value)


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


def is_plain(value: Any, depth: int = _DEEPEST) -> bool:
    """Whether a value is made of scalars and containers alone, of these very types.

    >>> is_plain({"rows": [1, 2.5, ("a", None)]}), is_plain(object())
    (True, False)
    """
    if type(value) in _SCALARS:
        return True
    if depth == 0:
        return False
    if type(value) is dict:
        return all(is_plain(item, depth - 1) for pair in value.items() for item in pair)
    return type(value) in (list, tuple, set, frozenset) and all(is_plain(item, depth - 1) for item in value)
