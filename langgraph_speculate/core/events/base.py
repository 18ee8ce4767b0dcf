"""What all records have in common, and the version of their shape."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = 2
"""Goes up when a kind of record or a field is added, changes its meaning or goes: a log says which one it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all records.

    Attributes:
        number: Its place among the run's records, from 1: threads may hand them out in another order than they
            happened. 0 if nobody counted.
    """

    run: str
    at: float
    number: int = 0
