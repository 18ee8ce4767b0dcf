"""Which partition a run is in: whose data it works on, by the values that tell users apart."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from langgraph_speculate.core.canonical import canonical_bytes
from langgraph_speculate.errors import UnkeyableArguments


def partition_of(values: Iterable[object]) -> str | None:
    """The partition that is told by these values of the keys in `partition_by`; no values mean no partition.

    Texts, whole numbers and UUIDs are ids, told by their text: 7 and "7" are one user, as one comes from a database and
    the other from a request. Other values are told by their canonical form. None where a value has none, such as an
    object whose text is its address: nobody can say whose data it is.

    >>> partition_of(["acme", 7])
    "['acme', '7']"
    >>> partition_of([None]) == partition_of(["None"]), partition_of([object()])
    (False, None)
    """
    try:
        names = [_id_of(value) for value in values]
    except UnkeyableArguments:
        return None
    return repr(names) if names else ""


def _id_of(value: object) -> str | bytes:
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and type(value) is not bool:
        return int.__repr__(value)
    return UUID.__str__(value) if isinstance(value, UUID) else canonical_bytes(value)
