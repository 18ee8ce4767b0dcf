"""A tool call, and the outcome of running one.

Two calls are the same when a tool would receive the same arguments, which `core/canonical.py` tells. Coercing raw
arguments through a tool's schema is the host's job; this module compares what comes out of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph_speculate.core.canonical import canonical_key
from langgraph_speculate.errors import UnkeyableArguments


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a tool: its name and arguments.

    Calls are equal when their canonical keys are equal; one without a key is equal to itself alone.

    Attributes:
        name: The tool's name.
        args: Arguments by name, as a model would write them; never changed by this package.

    >>> Call("get_order", {"id": 7}) == Call("get_order", {"id": 7})
    True
    """

    name: str
    args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The call's canonical key.

        Raises:
            UnkeyableArguments: See `canonical_key`.
        """
        cached = self.__dict__.get("_key")
        if cached is None:
            cached = canonical_key(self.name, self.args)
            object.__setattr__(self, "_key", cached)
        return str(cached)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Call):
            return NotImplemented
        key = key_of(self)
        return self is other or (key is not None and key == key_of(other))

    def __hash__(self) -> int:
        key = key_of(self)
        return object.__hash__(self) if key is None else hash(key)


def key_of(call: Call) -> str | None:
    """The call's canonical key, or None when its arguments have no canonical form, so that it cannot be compared."""
    try:
        return call.key
    except UnkeyableArguments:
        return None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one attempt ended.

    Attributes:
        value: What the tool's body returned; meaningless unless `ok`.
        error: What it raised, or None. An error is never adopted: the real call runs.
        taint: Why the result must not be used although the body returned (it tripped a wire), or None.
        stopped: It did not end by itself: it was cancelled, or its time was over.
        effects: What the body wrote to streams and callbacks, to be replayed when the result is adopted. Opaque here.
    """

    value: Any = None
    error: BaseException | None = None
    taint: str | None = None
    stopped: bool = False
    effects: Any = None

    @property
    def ok(self) -> bool:
        """True when the result may be adopted."""
        return self.error is None and self.taint is None


def size_of(value: Any, enough: int) -> int:
    """About how many bytes a result takes; what goes beyond *enough* is not counted to its end.

    No code of the value's own runs for it: what is neither text nor a container of Python's counts as a small object.

    >>> size_of("abc", enough=1000)
    3
    """
    try:
        return 0 if value is None else _nested_size(value, enough)
    except Exception:  # noqa: BLE001 - somebody changes it at this moment
        return enough + 1


def _nested_size(value: Any, enough: int) -> int:
    total, rest = 0, [value]
    while rest and total <= enough:
        item = rest.pop()
        kind: Any = type(item)
        if kind not in _MEASURED:  # what is made of one is measured as that one
            kind = next((base for base in kind.__mro__ if base in _MEASURED), None)
        if kind is None:
            total += 32
        elif kind in _TEXTS:
            total += kind.__len__(item)
        elif kind is dict:
            rest.extend(dict.keys(item))
            rest.extend(dict.values(item))
            total += 64 + 16 * dict.__len__(item)
        else:
            rest.extend(kind.__iter__(item))
            total += 56 + 8 * kind.__len__(item)
    return total


_TEXTS = frozenset({str, bytes, bytearray})
_MEASURED: frozenset[Any] = frozenset({*_TEXTS, dict, list, tuple, set, frozenset})
