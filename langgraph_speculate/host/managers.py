"""The callback managers that an early body is lent, in place of those of the real tool run.

What a body reads of them is what the real run's say, the caller's metadata, or trips a wire: ids, tags and handlers are
another run's, whose place in the graph nobody knows yet. The host's own code makes managers out of managers; it reads
them as they are, and what comes of that is recorded and put right in the replay.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from copy import copy
from typing import Any, NamedTuple, Self, cast

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForToolRun,
    CallbackManager,
    CallbackManagerForToolRun,
)

from langgraph_speculate.host.recorder import Recorder
from langgraph_speculate.host.wires import Lent, Trip, Watched

_METADATA = frozenset({"metadata", "inheritable_metadata"})
_REAL = frozenset({"tags", "inheritable_tags", "handlers", "inheritable_handlers", "run_id", "parent_run_id"})
_WATCHED = _METADATA | _REAL
_HOSTS = ("langchain_core.", "langgraph.", "langsmith.", "langgraph_speculate.")


class _Wire(NamedTuple):
    """What a body may read of a manager.

    Attributes:
        trip: Called with the name of anything else.
        metadata: The metadata that the real one has for certain.
        inheritable_metadata: What of it the real one hands on.
    """

    trip: Trip
    metadata: Mapping[str, Any]
    inheritable_metadata: Mapping[str, Any]


class _Wired(Lent):
    """Mixed into a manager. What is made of one is made here: each speculation makes several."""

    wire: _Wire

    @classmethod
    def made(cls, **fields: Any) -> Self:
        """One with these attributes."""
        manager = cls.__new__(cls)
        manager.__dict__.update(fields)
        return manager

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name not in _WATCHED or _is_hosts(sys._getframe(1).f_globals.get("__name__")):
            return found
        wire: _Wire = object.__getattribute__(self, "wire")
        if name in _METADATA:
            known: Mapping[str, Any] = getattr(wire, name)
            return Watched("its run's metadata", known, known.keys(), wire.trip)
        return wire.trip(f"its run's {name}")

    def copy(self) -> Self:
        """Configs are copied with what is in them."""
        fields = vars(self).items()
        return self.made(**{name: copy(value) if isinstance(value, (list, dict)) else value for name, value in fields})


class _Manager(_Wired, CallbackManager):
    pass


class _AsyncManager(_Wired, AsyncCallbackManager):
    pass


def _child(run: _Wired, kind: type[_Wired], tag: str | None) -> Any:
    """The manager for what runs within a tool run."""
    fields, wire, child = vars(run), run.wire, dict[str, Any]()
    for name in ("handlers", "tags", "metadata"):
        child[name], child[f"inheritable_{name}"] = (copy(fields[f"inheritable_{name}"]) for _ in range(2))
    child["tags"] += [] if tag is None else [tag]
    return kind.made(**child, parent_run_id=fields["run_id"], wire=wire._replace(metadata=wire.inheritable_metadata))


class _ToolRun(_Wired, CallbackManagerForToolRun):
    def get_child(self, tag: str | None = None) -> CallbackManager:
        return cast(CallbackManager, _child(self, _Manager, tag))


class _AsyncToolRun(_Wired, AsyncCallbackManagerForToolRun):
    def get_child(self, tag: str | None = None) -> AsyncCallbackManager:
        return cast(AsyncCallbackManager, _child(self, _AsyncManager, tag))

    def get_sync(self) -> CallbackManagerForToolRun:
        return cast(CallbackManagerForToolRun, _ToolRun.made(**vars(self)))


def _is_hosts(module: object) -> bool:
    return isinstance(module, str) and module.startswith(_HOSTS)


def manager_around(recorder: Recorder, metadata: Mapping[str, Any], known: Mapping[str, Any], trip: Trip) -> Any:
    """The manager in the config of a tool run.

    Args:
        recorder: Hears of everything.
        metadata: The metadata, with tripwires where the real one's is not known.
        known: What is known of it.
        trip: Called with the name of anything else that the body reads.
    """
    return _Manager.made(**_fields(recorder, metadata), metadata=dict(metadata), wire=_Wire(trip, known, known))


def manager_of_run(around: Any, metadata: Mapping[str, Any], *, native: bool) -> Any:
    """The manager of a tool run itself.

    Args:
        around: The manager in its config.
        metadata: The tool's own metadata.
        native: Whether the body is a coroutine.
    """
    recorder, wire = around.handlers[0], around.wire
    return (_AsyncToolRun if native else _ToolRun).made(
        **_fields(recorder, around.metadata),
        metadata={**around.metadata, **metadata},
        run_id=recorder.inner,
        wire=wire._replace(metadata={**wire.metadata, **metadata}),
    )


def _fields(recorder: Recorder, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What both have in common."""
    return {
        "handlers": [recorder],
        "inheritable_handlers": [recorder],
        "parent_run_id": recorder.outer,
        "tags": [],
        "inheritable_tags": [],
        "inheritable_metadata": dict(metadata),
    }
