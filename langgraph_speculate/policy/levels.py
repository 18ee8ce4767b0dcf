"""How much may run ahead at all: levels, each of which allows what the one before it allows, and more."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Literal, get_args

from langgraph_speculate.policy.checks import printable

Level = Literal["off", "shadow", "declared", "annotated", "open_world"]
LEVELS: tuple[Level, ...] = get_args(Level)
ENVIRONMENT_VARIABLE = "LANGGRAPH_SPECULATE"
_ENVIRONMENT_LEVELS: Mapping[str, Level] = {name: name for name in LEVELS} | {"on": LEVELS[-1]}
_log = logging.getLogger(__name__)
_warned_about: set[str] = set()


def lowered(level: Level, environ: Mapping[str, str]) -> Level:
    """The level after the environment had its say, which can lower it, never raise it.

    A value that means nothing counts as `off`: whoever set it wanted to stop something.
    """
    value = environ.get(ENVIRONMENT_VARIABLE, "").strip().lower()
    if not value:
        return level
    if value not in _ENVIRONMENT_LEVELS and value not in _warned_about:
        _warned_about.add(value)
        _log.warning("%s=%s means nothing here and counts as off", ENVIRONMENT_VARIABLE, printable(value))
    return min(level, _ENVIRONMENT_LEVELS.get(value, "off"), key=LEVELS.index)
