"""Run a tool's body off the record.

A speculation runs in a fresh context with allow-listed variables only, tracing off, and a config of its own: what
belongs to one node's task (scratchpad, store, checkpoint position, …) is replaced by tripwires, and what the body
writes to streams and callbacks is recorded, to be replayed if its result is adopted. A body that touches a tripwire is
tainted, even if it swallows the error.
"""

from __future__ import annotations

import contextvars
import decimal
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import fields
from typing import Any, NoReturn, TypeVar, cast

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import DEFAULT_RECURSION_LIMIT, ensure_config, patch_config
from langgraph.runtime import Runtime
from langsmith.run_helpers import tracing_context

from langgraph_speculate.core.canonical import canonical_key
from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.host.arithmetic import rules_of
from langgraph_speculate.host.compat.callbacks import hears_of_chunks, heeded
from langgraph_speculate.host.compat.configs import (
    CONFIG_KEY_RUNTIME,
    is_node_private,
    runtime_of,
    var_child_runnable_config,
)
from langgraph_speculate.host.current import CurrentSpeculation
from langgraph_speculate.host.managers import manager_around, manager_of_run
from langgraph_speculate.host.recorder import OF_A_RUN, RECORDED, ListenedRecorder, Recorder
from langgraph_speculate.host.wires import Poison, Tripwire, Wired

T = TypeVar("T")


class _AheadRuntime(Wired, Runtime[Any]):
    """The runtime of a speculation."""


_OF_A_RUNTIME = frozenset(field.name for field in fields(Runtime))


def mark(value: Any) -> Any:
    """What stands for *value* when it is compared later: a key where it has one, or else itself.

    A key tells that a mutable value has changed, which comparing it with itself would not. Objects that are no values
    (a client with its pool, say) change for reasons of their own and are compared as their class does it; authority
    that hides in one is a guard's business.
    """
    kind = type(value)
    if kind in _ATOMS:  # equal where their keys would be, for a tenth of the time
        return kind, value
    try:
        return canonical_key("", {"": value})
    except UnkeyableArguments:
        if isinstance(value, dict):
            return {key: mark(item) for key, item in value.items()}
        return value


_ATOMS = frozenset({str, int, bool, type(None)})


def circumstances_of(
    config: Mapping[str, Any],
    variables: Mapping[contextvars.ContextVar[Any], Any],
    decimals: decimal.Context | None = None,
) -> Any:
    """What a tool may see of its run besides its arguments, to be compared between launch and real call."""
    given = callers(config.get("configurable"))
    return {
        "configurable": {key: mark(value) for key, value in given.items()},
        # `invoke` copies what it can of `configurable` into the metadata.
        "metadata": {key: mark(value) for key, value in callers(config.get("metadata")).items() if key not in given},
        "tags": tuple(config.get("tags") or ()),
        "limits": (config.get("recursion_limit", DEFAULT_RECURSION_LIMIT), config.get("max_concurrency")),
        "decimals": rules_of(decimals),
        "variables": {variable: mark(value) for variable, value in variables.items()},
    }


def callers(mapping: Mapping[str, Any] | None) -> dict[str, Any]:
    """The entries that are the caller's, not of one node's task."""
    return {
        key: value
        for key, value in (mapping or {}).items()
        if not (is_node_private(key) or key.startswith(_NODE_METADATA))
    }


_NODE_METADATA = "langgraph_"


# Entered once and for good: in a fresh context a traced call would start a new root trace, which is billed.
_TRACING_OFF = tracing_context(enabled=False)
_UNTRACED = contextvars.Context()
_UNTRACED.run(_TRACING_OFF.__enter__)


class Sandbox:
    """Where one speculation's body runs.

    Args:
        tool: The tool's name.
        config: The config of the node whose model call the speculation runs beside.
        variables: Context variables the policy passes on, with their values in the run.
        uses_context: Whether the tool may see the run's own runtime context.
        native: Whether the body is a coroutine.
        hosts: Hosts that the body may contact, as patterns.
        metadata, callbacks: The tool's own.
        decimals: The decimal context of the run; None for the default.

    Attributes:
        taint: What the body reached for although it must not, or None.
        recorder: What it wrote to streams and callbacks.
        context: The context to run the body in.
    """

    def __init__(
        self,
        tool: str,
        config: Mapping[str, Any],
        variables: Mapping[contextvars.ContextVar[Any], Any],
        *,
        uses_context: bool,
        native: bool,
        hosts: Collection[str] = (),
        metadata: Mapping[str, Any] | None = None,
        callbacks: Any = None,
        decimals: decimal.Context | None = None,
    ) -> None:
        self.taint: str | None = None
        around = config.get("callbacks")
        recorder = ListenedRecorder if hears_of_chunks(around) else Recorder
        self.recorder = recorder(self.trip, heeded(around, RECORDED) | heeded(callbacks, OF_A_RUN))
        self.context = _UNTRACED.copy()
        for variable, value in variables.items():
            self.context.run(variable.set, value)
        if decimals is not None:
            self.context.run(decimal.setcontext, decimals.copy())
        self.context.run(CurrentSpeculation(tool, self.recorder, self.trip, hosts).enter)
        # As `BaseTool.run` has it: a body may be handed the config around its run, and inherits the one inside.
        self._uses_context = uses_context
        self._config = self.context.run(self._muted, config, uses_context)
        self._manager = manager_of_run(self._config["callbacks"], metadata or {}, native=native)
        inner = patch_config(self._config, callbacks=self._manager.get_child())
        self.context.run(var_child_runnable_config.set, inner)

    def tool_runtime(self) -> dict[str, Any]:
        """What of a `ToolRuntime` the tool may have, besides the state."""
        runtime = runtime_of(self._config)
        names = ("stream_writer", "server_info", *(["context"] if self._uses_context else []))
        return {**{name: getattr(runtime, name) for name in names}, "config": self._config}

    def slots(self, names: Iterable[str]) -> dict[str, Any]:
        """Values for the parameters that a real run would fill in: the run manager and the config."""
        return {name: self._manager if name == "run_manager" else self._config for name in names}

    def run(self, body: Callable[[], Any]) -> Any:
        """Run a sync body."""
        return self.context.run(body)

    def aside(self, look: Callable[[], T]) -> T:
        """Run what leaves no context variables behind; several threads may, at a time."""
        return self.context.copy().run(look)

    def trip(self, name: str) -> NoReturn:
        """Taint the speculation and stop its body.

        Raises:
            RuntimeError: The result was adopted, and somebody still holds on to what the body was lent.
        """
        if self.recorder.is_replayed:  # it is the user's run now, where nobody expects a wire
            raise RuntimeError(f"{name} is out of reach when an early run is over; read it before")
        self.taint = self.taint or name
        raise Tripwire(f"a speculation may not use {name}")

    def _poison(self, name: str) -> Any:
        return Poison(name, self.trip)

    def _muted(self, config: Mapping[str, Any], uses_context: bool) -> RunnableConfig:
        """The node's config with tripwires where the node's own is, completed as `invoke` completes a config."""
        configurable, metadata = config.get("configurable") or {}, config.get("metadata") or {}
        own = self._poison("what belongs to one node's task")
        node_only = {key: own for key in configurable if is_node_private(key)}
        muted = ensure_config(
            cast(
                RunnableConfig,
                {
                    **{key: config[key] for key in ("recursion_limit", "max_concurrency") if key in config},
                    "tags": list(config.get("tags") or ()),
                    "metadata": callers(metadata),
                    "configurable": {**callers(configurable), **node_only},
                },
            )
        )
        muted["configurable"][CONFIG_KEY_RUNTIME] = self._runtime(runtime_of(config), uses_context)
        hidden = {key: own for key in (*metadata, *node_only) if not key.startswith("__")}
        muted["metadata"] = {**hidden, **muted["metadata"]}
        muted["callbacks"] = manager_around(self.recorder, muted["metadata"], callers(metadata), self.trip)
        return muted

    def _runtime(self, runtime: Any, uses_context: bool) -> Runtime[Any]:
        given: dict[str, Any] = {
            "stream_writer": self.recorder.write,
            "server_info": getattr(runtime, "server_info", None),
        }
        if uses_context:
            given["context"] = getattr(runtime, "context", None)
        made = _AheadRuntime(**given)
        return made.wire(self.trip, _OF_A_RUNTIME - given.keys())
