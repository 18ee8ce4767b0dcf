"""Numbers as people say them: seconds, shares, money, lists of names."""

from __future__ import annotations

from collections.abc import Iterable

from langgraph_speculate.policy.checks import printable


def seconds(length: float) -> str:
    """A length of time in its own size: three digits tell, and less than a millisecond is none.

    >>> [seconds(length) for length in (0, 0.0004, 0.0123, 0.95, 3.14159, 4120.4, -0.5)]
    ['0 s', '0 s', '12.3 ms', '950 ms', '3.14 s', '4,120 s', '-500 ms']
    """
    if abs(length) < 0.001:
        return "0 s"
    if abs(length) < 1:
        return f"{length * 1000:.3g} ms"
    return f"{length:.3g} s" if abs(length) < 100 else f"{length:,.0f} s"


def percent(part: float, whole: float) -> str:
    """A share; nothing of nothing is a dash.

    >>> percent(1, 3), percent(1, 1000), percent(0, 0)
    ('33 %', '0.1 %', '–')
    """
    if not whole:
        return "–"
    share = 100 * part / whole
    return f"{share:.0f} %" if not share or abs(share) >= 1 else f"{share:.1g} %"


def count(number: int, one: str, many: str | None = None) -> str:
    """A number with what it counts.

    >>> count(1, "call"), count(2500, "call")
    ('1 call', '2,500 calls')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def names(items: Iterable[str], most: int = 5) -> str:
    """Names that may hold anything, in a row.

    >>> names(["get", "get", "put"])
    'get, get, put'
    """
    told = [printable(item) for item in items]
    return ", ".join(told[:most]) + (f" and {len(told) - most} more" if len(told) > most else "")
