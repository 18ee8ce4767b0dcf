"""The canonical form of values: equal exactly where a tool would receive the same.

Types are kept (`1`, `1.0`, `True` and `"1"` differ), and so is whatever code can see of a value: the order in which a
dict or a set is gone through, what an object of somebody's own type holds beside its fields. Only keyword arguments
have no order. Where a value may hold more than can be seen, it has no form: a doubt is a miss.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from operator import itemgetter
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from types import MemberDescriptorType
from typing import Any
from uuid import UUID

import orjson
import xxhash

from langgraph_speculate.errors import UnkeyableArguments
from langgraph_speculate.policy.checks import shown

_INT64 = 2**63
_TAG = "\x00"  # no JSON argument name starts with NUL; one that does is tagged itself, so the encoding stays injective
_BY_REPR = frozenset({datetime, date, time, timedelta, Decimal, UUID, PurePath, complex})
_WHOLE_BY_REPR = {*_BY_REPR, Path, PosixPath, WindowsPath, PurePosixPath, PureWindowsPath}
"""Types whose slots only repeat, or cache, what their text says."""


def canonical_key(name: str, args: Mapping[str, Any]) -> str:
    """Return a 128-bit key of one call: equal for equal calls, different for different ones.

    JSON values are encoded as they are and hashed (orjson, xxh3_128), the arguments sorted by name; everything else
    (sets, tuples, enums, dates, dataclasses, pydantic models) is tagged with its type first.

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
        encoded = canonical_bytes([plain, dict(sorted(dict(args).items(), key=itemgetter(0)))])
    except Exception as error:  # noqa: BLE001 - a mapping may run its own code
        reason = str(error) if isinstance(error, UnkeyableArguments) else type(error).__name__
        raise UnkeyableArguments(f"the arguments of {shown(name)} have no canonical form ({reason})") from None
    return xxhash.xxh3_128_hexdigest(encoded)


def canonical_bytes(value: Any) -> bytes:
    """The canonical form itself: equal for equal values, different for different ones.

    Raises:
        UnkeyableArguments: There is none; its message is the kind of error.

    >>> canonical_bytes({"b": 1, "a": "x"}) == canonical_bytes({"a": "x", "b": 1})  # a tool can tell them apart
    False
    """
    try:
        return orjson.dumps(_plain(value))
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
    if isinstance(value, enum.Enum) and (told := _member(value)) is not None:
        return _tagged(kind, told)
    return _tagged(kind, _parts(value), _held(value))


def _plain_mapping(value: dict[Any, Any]) -> Any:
    plain = {}
    for key, item in value.items():
        if type(key) is not str or key.startswith(_TAG) or not _is_utf8(key):
            return _tagged(dict, _pairs(value))
        plain[key] = _plain(item)
    return plain


def _pairs(value: Mapping[Any, Any]) -> list[Any]:
    return [[_plain(key), _plain(item)] for key, item in value.items()]


def _member(value: enum.Enum) -> Any:
    """What tells a member of an enum from all others of it, or None for one that `_missing_` made up."""
    if isinstance(value, enum.Flag):
        return _plain(value.value)  # flags may have no name
    return value.name if type(value).__members__.get(value.name) is value else None


def _parts(value: Any) -> Any:
    """What a value of a known type says as one of that type, whatever a subclass of it shows."""
    if isinstance(value, tuple(_BY_REPR)):
        base: Any = next(base for base in type(value).__mro__ if base in _BY_REPR)
        return base.__repr__(value)
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, (tuple, set, frozenset)):
        return [_plain(item) for item in value]  # the order of a set tells how it grew
    if isinstance(value, str):
        return _plain(str.__str__(value))
    if isinstance(value, int):
        return _plain(int.__int__(value))
    if isinstance(value, float):
        return _plain(float.__float__(value))
    if isinstance(value, Mapping):
        return _pairs(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(getattr(type(value), "model_fields", None), Mapping):  # a pydantic model, without importing pydantic
        return sorted(value.model_fields_set)
    if isinstance(value, enum.Enum):
        return value.name  # that others of its kind share
    raise TypeError(f"{type(value).__qualname__} cannot be compared")


def _held(value: Any) -> dict[str, Any]:
    """What an object of somebody's own type holds in attributes and slots: a tool may read it, whatever it shows."""
    held: dict[str, Any] = dict(getattr(value, "__dict__", ()))
    for base in type(value).__mro__:
        if base not in _WHOLE_BY_REPR and "__slots__" in vars(base):
            for name, slot in vars(base).items():
                if isinstance(slot, MemberDescriptorType):
                    with suppress(AttributeError):  # never set
                        held[name] = slot.__get__(value)
    for told in (
        "__objclass__",
        "__pydantic_fields_set__",
    ):  # the type of an enum's member; a set, which `_parts` sorts
        held.pop(told, None)
    return {name: _plain(item) for name, item in held.items()}


def _tagged(kind: type, parts: Any, held: Mapping[str, Any] | None = None) -> dict[str, Any]:
    tagged = {_TAG: f"{kind.__module__}.{kind.__qualname__}", "parts": parts}
    return {**tagged, "held": held} if held else tagged


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:  # half a pair of surrogates
        return False
    return True
