"""Guards: the owner's own say about each call, asked before it runs ahead and again before its result is used."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class GuardedCall:
    """What a guard is asked about.

    Attributes:
        tool: The tool's name.
        args: The arguments as its body receives them.
        configurable: The caller's entries of `config["configurable"]`.
        context: The runtime context of the run, or None.
        moment: `"issue"`: may this call run ahead? `"commit"`: may its result be used now?
    """

    tool: str
    args: Mapping[str, Any]
    configurable: Mapping[str, Any]
    context: Any
    moment: Literal["issue", "commit"]


Guard = Callable[[GuardedCall], bool]
"""Answers at once, and with True if nothing speaks against the call. Anything else, an exception too, says no."""


def objection(guards: Iterable[Guard], call: GuardedCall) -> str | None:
    """Why one of *guards* does not let *call* pass, or None if all of them said True.

    >>> def only_own(call):
    ...     return call.args["user"] == call.configurable["user"]
    >>> objection([only_own], GuardedCall("get_orders", {"user": "bob"}, {"user": "ann"}, None, "issue"))
    'guard only_own said no'
    """
    for guard in guards:
        try:
            passes = guard(replace(call, args=copy.deepcopy(dict(call.args)))) is True
        except Exception as error:  # noqa: BLE001 - a guard that cannot answer has not allowed anything
            return f"guard {_name(guard)} raised {type(error).__name__}"
        if not passes:
            return f"guard {_name(guard)} said no"
    return None


def _name(guard: Guard) -> str:
    try:
        return str(guard.__name__)
    except Exception:  # noqa: BLE001 - an object may have none, and a proxy that stands for nothing yet raises anything
        return type(guard).__name__
