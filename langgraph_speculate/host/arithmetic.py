"""The decimal context: what an early body rounds by is what its real call would.

Python keeps it in a context variable, and makes one of the default where there is none yet. Nothing here makes one: the
default may still be changed.
"""

from __future__ import annotations

import decimal
from contextvars import Context, ContextVar
from typing import Any, cast

_FRESH = Context()
_FRESH.run(decimal.getcontext)
DECIMALS = cast("ContextVar[decimal.Context]", next(iter(_FRESH)))
"""The variable it is kept in."""


def decimal_here() -> decimal.Context | None:
    """A copy of the decimal context that is current here, or None where it would be made of the default."""
    current = DECIMALS.get(None)
    return None if current is None else current.copy()


def rules_of(context: decimal.Context | None) -> Any:
    """What a decimal context has numbers made by, to be compared; not the flags, which tell what has happened."""
    rules = decimal.DefaultContext if context is None else context
    traps = frozenset(signal for signal, is_trapped in rules.traps.items() if is_trapped)
    return rules.prec, rules.rounding, rules.Emin, rules.Emax, rules.capitals, rules.clamp, traps


STANDARD = rules_of(None)
"""What another process makes numbers by, unless it is told something else."""
