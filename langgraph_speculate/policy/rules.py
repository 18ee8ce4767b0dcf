"""Which entry decides about a tool, and what the policy makes of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy import checks
from langgraph_speculate.policy.tool import ToolPolicy, tool_problems

Reason = Literal[
    "declared", "level_off", "level_shadow", "approval_gated", "undeclared", "not_read_only", "open_world", "ttl_zero"
]

VERDICT_SENTENCES: Mapping[Reason, str] = {
    "declared": "its owner declared it read-only",
    "level_off": "the level is off",
    "level_shadow": "the level is shadow: predictions are scored, nothing runs",
    "approval_gated": "it waits for approval",
    "undeclared": "nobody declared it read-only",
    "not_read_only": "it is not declared read-only",
    "open_world": "it leaves the trust boundary",
    "ttl_zero": "its results may not be kept (ttl_s is 0)",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """The entry that decides about a tool.

    Attributes:
        tool: The entry, or None when nobody said anything about the tool.
        origin: Where it stands: `tools.get_order`, `tools."search_*"`, `metadata.read_only`, `undeclared`.
    """

    tool: ToolPolicy | None
    origin: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a tool may run ahead as far as the policy goes, and why.

    Attributes:
        tool: The tool's name.
        allowed: True if nothing in the policy forbids it.
        reason: One word for counters; `str()` of the verdict is the sentence for people.
        origin: The setting that decided.
        resources: What the call would read, if its arguments were given.
    """

    tool: str
    allowed: bool
    reason: Reason
    origin: str
    resources: tuple[str, ...] = ()

    def __str__(self) -> str:
        verb = "may run ahead" if self.allowed else "never runs ahead"
        reads = f"; reads {', '.join(self.resources)}" if self.resources else ""
        return f"{self.tool} {verb}: {VERDICT_SENTENCES[self.reason]} ({self.origin}){reads}"


def entry_problems(entry: Any, path: str) -> Iterator[str]:
    """Yield what is wrong with an entry: a record, its settings, or a bare yes or no."""
    if isinstance(entry, Mapping):
        yield from tool_problems(entry, path)
    elif not isinstance(entry, ToolPolicy | bool):
        yield f"{path}: must be a table of settings, true or false, got {checks.shown(entry)}"


def tool_policy(entry: ToolPolicy | Mapping[str, Any] | bool) -> ToolPolicy:
    """Return the record an entry without problems stands for."""
    if isinstance(entry, ToolPolicy):
        return entry
    return ToolPolicy(read_only=entry) if isinstance(entry, bool) else ToolPolicy(**entry)


def rule_in_metadata(tool: str, metadata: Mapping[str, Any] | None) -> Rule:
    """Return what a tool's own metadata says: under `speculation` all settings, else `read_only` and `open_world`.

    Raises:
        PolicyError: It says something that cannot be understood.
    """
    source = f"metadata of tool {tool!r}"
    if metadata is None:
        return Rule(None, "undeclared")
    if not isinstance(metadata, Mapping):
        raise PolicyError(f"{source}: must be a dict, got {checks.shown(metadata)}")
    if "speculation" in metadata:
        checks.refuse_any(entry_problems(metadata["speculation"], "speculation"), source)
        return Rule(tool_policy(metadata["speculation"]), "metadata.speculation")
    if metadata.get("read_only") is not True:
        return Rule(None, "undeclared")
    entry = {"read_only": True} | {key: metadata[key] for key in ("open_world", "destructive") if key in metadata}
    if entry.get("open_world", False) is None:
        entry["open_world"] = True  # "unknown": doubt means it leaves the trust boundary
    checks.refuse_any(tool_problems(entry), source)
    return Rule(ToolPolicy(**entry), "metadata.read_only")


def matching(keys: Collection[str], tool: str) -> str | None:
    """Return the key that speaks of *tool*: its name, else the glob with the most literal characters, else the first.

    >>> matching(["*", "get_*", "get_o*"], "get_order")
    'get_o*'
    """
    if tool in keys:
        return tool
    globs = [key for key in keys if is_glob(key) and fnmatchcase(tool, key)]
    return max(globs, key=_literal_characters, default=None)  # `max` keeps the first of equals


def is_glob(key: str) -> bool:
    """True for a key that may match several tools."""
    return any(character in key for character in "*?[")


def _literal_characters(glob: str) -> int:
    return len(re.sub(r"\[.[^\]]*\]|[*?]", "", glob))
