"""A tool call, its canonical key, and the outcome of running one.

Two calls are the same when a tool would receive the same arguments: types are kept (`1`, `1.0`, `True` and
`"1"` differ), the order of keys is not. Coercing raw arguments through a tool's schema is the host's job; this module
compares what comes out of it.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from typing import Any
from uuid import UUID

import orjson
import xxhash

from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.policy.checks import shown

_INT64 = 2**63
_TAG = "\x00"  # no JSON argument name starts with NUL; one that does is tagged itself, so the encoding stays injective
_BY_REPR = (datetime, date, time, timedelta, Decimal, UUID, PurePath, complex)


def canonical_key(name: str, args: Mapping[str, Any]) -> str:
    """Return a 128-bit key of one call: equal for equal calls, different for different ones.

    JSON values are encoded with sorted keys and hashed (orjson, xxh3_128); everything else (sets, tuples, enums,
    dates, dataclasses, pydantic models) is tagged with its type first.

    Raises:
        UnkeyableArguments: A value has no canonical form, or the arguments are nested too deeply or in a cycle.

    >>> canonical_key("get_order", {"id": 1, "full": True}) == canonical_key("get_order", {"full": True, "id": 1})
    True
    >>> canonical_key("get_order", {"id": 1}) == canonical_key("get_order", {"id": "1"})
    False
    """
    try:
        plain = str.__str__(name)
        plain.encode()  # what is no text is no name
        encoded = canonical_bytes([plain, dict(args)])
    except Exception as error:  # noqa: BLE001 - a mapping may run its own code
        reason = str(error) if isinstance(error, UnkeyableArguments) else type(error).__name__
        raise UnkeyableArguments(f"the arguments of {shown(name)} have no canonical form ({reason})") from None
    return xxhash.xxh3_128_hexdigest(encoded)


def canonical_bytes(value: Any) -> bytes:
    """The canonical form itself: equal for equal values, different for different ones.

    Raises:
        UnkeyableArguments: There is none; its message is the kind of error.

    >>> canonical_bytes({"b": 1, "a": "x"}) == canonical_bytes({"a": "x", "b": 1})
    True
    """
    try:
        return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS)
    except Exception as error:  # noqa: BLE001 - reading a value may run its own code
        raise UnkeyableArguments(type(error).__name__) from None


def _plain(value: Any) -> Any:
    """JSON values as they are, others as a tagged object; exact types, because subclasses may compare differently."""
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is str:
        return value if _is_utf8(value) else _tagged(kind, value.encode("utf-16", "surrogatepass").hex())
    if kind is int:
        return value if -_INT64 <= value < _INT64 else _tagged(kind, str(value))
    if kind is float:
        return value if math.isfinite(value) else _tagged(kind, repr(value))
    if kind is list:
        return [_plain(item) for item in value]
    if kind is dict:
        return _plain_mapping(value)
    return _tagged(kind, _parts(value))


def _plain_mapping(value: dict[Any, Any]) -> Any:
    plain = {}
    for key, item in value.items():
        if type(key) is not str or key.startswith(_TAG) or not _is_utf8(key):
            break
        plain[key] = _plain(item)
    else:
        return plain
    pairs = [[_plain(key), _plain(item)] for key, item in value.items()]
    return _tagged(dict, sorted(pairs, key=lambda pair: orjson.dumps(pair[0], option=orjson.OPT_SORT_KEYS)))


def _parts(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return _plain(value.value) if isinstance(value, enum.Flag) else value.name  # flags may have no name
    if isinstance(value, _BY_REPR):
        return repr(value)
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        items = [_plain(item) for item in value]
        return sorted(items, key=lambda item: orjson.dumps(item, option=orjson.OPT_SORT_KEYS))
    if isinstance(value, str):  # subclasses: the type is in the tag, the value is the base's, whatever they show
        return _plain(str.__str__(value))
    if isinstance(value, int):
        return _plain(int.__int__(value))
    if isinstance(value, float):
        return _plain(float.__float__(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):  # its type is in the tag, and some mappings have an order
        return [[_plain(key), _plain(item)] for key, item in value.items()]
    fields = getattr(type(value), "model_fields", None)  # a pydantic model, without importing pydantic
    if isinstance(fields, Mapping):
        given = {name: _plain(getattr(value, name)) for name in fields}
        return [given, _plain(value.model_extra or {}), sorted(value.model_fields_set)]
    raise TypeError(f"{type(value).__qualname__} cannot be compared")


def _tagged(kind: type, parts: Any) -> dict[str, Any]:
    return {_TAG: f"{kind.__module__}.{kind.__qualname__}", "parts": parts}


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:  # half a pair of surrogates
        return False
    return True


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a tool: its name and arguments.

    Calls are equal when their canonical keys are equal.

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
        return self.key == other.key if isinstance(other, Call) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)


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
            rest.extend(dict.values(item))
            total += 64 + 16 * dict.__len__(item)
        else:
            rest.extend(kind.__iter__(item))
            total += 56 + 8 * kind.__len__(item)
    return total


_TEXTS = frozenset({str, bytes, bytearray})
_MEASURED: frozenset[Any] = frozenset({*_TEXTS, dict, list, tuple, set, frozenset})
