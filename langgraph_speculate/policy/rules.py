"""Which entry decides about a tool, and what the policy makes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy import checks
from langgraph_speculate.policy.annotations import Annotations, annotations_of, harmless, is_flat
from langgraph_speculate.policy.tool import ToolPolicy, tool_problems

Reason = Literal[
    "declared",
    "annotated",
    "level_off",
    "level_shadow",
    "approval_gated",
    "pin_changed",
    "undeclared",
    "not_read_only",
    "open_world",
    "ttl_zero",
]

VERDICT_SENTENCES: Mapping[Reason, str] = {
    "declared": "its owner declared it read-only",
    "annotated": "a trusted server annotates it read-only",
    "level_off": "the level is off",
    "level_shadow": "the level is shadow: predictions are scored, nothing runs",
    "approval_gated": "it waits for approval",
    "pin_changed": "it is not the tool that was pinned",
    "undeclared": "nobody declared it read-only",
    "not_read_only": "it is not declared read-only",
    "open_world": "it leaves the trust boundary",
    "ttl_zero": "its results may not be kept (ttl_s is 0)",
}

# Words of a tool's owner in its metadata; `destructive` and `open_world` go with `read_only`.
_OWNERS_KEYS = ("speculation", "read_only", "open_world", "destructive")
_NAME = 60  # characters of a server's name that a message repeats


@dataclass(frozen=True, slots=True)
class Rule:
    """The entry that decides about a tool.

    Attributes:
        tool: The entry, or None when nobody said anything about the tool.
        origin: Where it stands: `tools.get_order`, `tools."search_*"`, `metadata.read_only`, `undeclared`.
        detail: Why there is no entry, or how a server's annotations narrowed it, in words.
        needs: The lowest level at which it allows anything.
    """

    tool: ToolPolicy | None
    origin: str
    detail: str = ""
    needs: Literal["declared", "annotated"] = "declared"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a tool may run ahead as far as the policy goes, and why.

    Attributes:
        tool: The tool's name.
        allowed: True if nothing in the policy forbids it.
        reason: One word for counters; `str()` of the verdict is the sentence for people.
        origin: The setting that decided.
        resources: What the call would read, if its arguments were given.
        detail: What the sentence says in place of the reason's own words, where there is more to say.
    """

    tool: str
    allowed: bool
    reason: Reason
    origin: str
    resources: tuple[str, ...] = ()
    detail: str = ""

    def __str__(self) -> str:
        verb = "may run ahead" if self.allowed else "never runs ahead"
        reads = f"; reads {', '.join(self.resources)}" if self.resources else ""
        return f"{self.tool} {verb}: {self.detail or VERDICT_SENTENCES[self.reason]} ({self.origin}){reads}"


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


def rule_in_metadata(
    tool: str, metadata: Mapping[str, Any] | None, *, believes: bool = False, trusted: Collection[str] = ()
) -> Rule:
    """Return what a tool's own metadata says: its owner's words, else the annotations of a trusted server.

    Args:
        tool: The tool's name.
        metadata: Its metadata. Under `speculation` stand all settings, else `read_only` and `open_world`.
        believes: Whether annotations count at this level.
        trusted: Servers whose annotations may be believed.

    Raises:
        PolicyError: Its owner says something that cannot be understood.
    """
    if metadata is None:
        return Rule(None, "undeclared")
    if not isinstance(metadata, Mapping):
        raise PolicyError(f"metadata of tool {tool!r}: must be a dict, got {checks.shown(metadata)}")
    owned = [key for key in _OWNERS_KEYS if metadata.get(key) is not None or (key == "speculation" and key in metadata)]
    if not owned:
        return rule_in_annotations(annotations_of(metadata), believes=believes, trusted=trusted)
    if is_flat(metadata):  # its owner would allow what a server must not, and a server's typing error must not raise
        where = checks.located("tools", tool)
        return Rule(None, "undeclared", f"its server may have written {owned[0]!r} into its metadata; use {where}")
    return _rule_of_owner(tool, metadata)


def _rule_of_owner(tool: str, metadata: Mapping[str, Any]) -> Rule:
    source = f"metadata of tool {tool!r}"
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


def rule_in_annotations(found: Annotations | None, *, believes: bool, trusted: Collection[str]) -> Rule:
    """Return the entry that a trusted server's annotations amount to, or none and what it would take.

    Args:
        found: What the server says.
        believes: Whether annotations count at this level.
        trusted: Servers whose annotations may be believed.
    """
    if found is None:
        return Rule(None, "undeclared")
    if not harmless(found):
        wanted = {
            "readOnlyHint = true": found.read_only is True,
            "openWorldHint = false": found.open_world is False,
            "destructiveHint = false": found.destructive is not True,
        }
        missing = ", ".join(hint for hint, said in wanted.items() if not said)
        return Rule(None, "undeclared", f"{_server(found)} does not say {missing}; declare it if it only reads")
    if believes and found.server is not None and found.server in trusted:
        return Rule(ToolPolicy(read_only=True), f"annotations of {_server(found)}", needs="annotated")
    name = _quoted(found.server or found.claimed or "its name")
    steps = {
        f"from_server(tools, {name})": found.server is not None,
        'level = "annotated"': believes,
        f"trusted_servers = [{name}]": found.server in trusted,
    }
    remedy = " and ".join(step for step, done in steps.items() if not done)
    return Rule(None, "undeclared", f"{_server(found)} annotates it read-only; {remedy} would let it run ahead")


def narrowed(rule: Rule, found: Annotations | None) -> Rule:
    """Return the rule without what a server's annotations, whoever it is, say the opposite of in so many words.

    One of the two is wrong, and a lie could only cost time: doubt means no.
    """
    tool = rule.tool
    if tool is None or found is None or not tool.read_only:
        return rule
    if found.read_only is False or found.destructive is True:
        said = "readOnlyHint = false" if found.read_only is False else "destructiveHint = true"
        detail = f"{_server(found)} says {said}, which contradicts read_only = true"
        return Rule(_writing(tool), rule.origin, detail)
    if found.open_world is True and not tool.open_world:
        detail = f"{_server(found)} says openWorldHint = true, and its entry does not say open_world = true"
        return Rule(replace(tool, open_world=True, scope="step"), rule.origin, detail)
    return rule


def curbed(rule: Rule, metadata: object) -> Rule:
    """Return a glob's rule without what the tool's own metadata says no to.

    Whoever wrote the glob did not have this tool in mind; whoever wrote the tool did. What cannot be understood is no.
    """
    tool = rule.tool
    if tool is None or not tool.read_only or not isinstance(metadata, Mapping):
        return rule
    said = _settings(metadata["speculation"]) if "speculation" in metadata else metadata
    if said.get("destructive") or said.get("read_only") not in (True, None):
        word = "it is destructive" if said.get("destructive") else "it does not only read"
        detail = f"its own metadata says that {word}, and a glob does not know better; an entry of its name would"
        return Rule(_writing(tool), rule.origin, detail)
    if said.get("open_world") and not tool.open_world:
        detail = "its own metadata says open_world = true, and its entry, a glob, does not"
        return Rule(replace(tool, open_world=True, scope="step"), rule.origin, detail)
    return rule


def _writing(tool: ToolPolicy) -> ToolPolicy:
    """The entry without what it says of a tool that only reads."""
    return replace(tool, read_only=False, writes=None, read_through=False)


def _settings(said: Any) -> Mapping[str, Any]:
    """What a tool's owner says of it under `speculation`."""
    if next(entry_problems(said, ""), None) is not None:
        return {"read_only": False}
    policy = tool_policy(said)
    return {"read_only": policy.read_only, "destructive": policy.destructive, "open_world": policy.open_world}


def reason_for(rule: Rule, level: str, fingerprint: str | None) -> Reason:
    """Return what a rule amounts to at a level."""
    tool = rule.tool
    if tool is not None and tool.pin is not None and fingerprint not in (None, tool.pin):
        return "pin_changed"
    if tool is None or (rule.needs == "annotated" and level == "declared"):
        return "undeclared"
    if not tool.read_only:
        return "not_read_only"
    if tool.open_world and (level != "open_world" or tool.disclosure == "none"):
        return "open_world"
    if tool.ttl_s == 0:
        return "ttl_zero"
    if level == "shadow":
        return "level_shadow"
    return rule.needs


def _server(found: Annotations) -> str:
    return "its server" if found.server is None else f"server {checks.shown(found.server)}"


def _quoted(name: str) -> str:
    return json.dumps(name[:_NAME])


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


def unknown_names(entries: Iterable[str], gated: Iterable[str], known: Collection[str]) -> Iterator[str]:
    """What is wrong with the names of *entries*, and of tools that are said to be *gated*, where these are *known*."""

    def nearest(name: str) -> str:
        return checks.did_you_mean(name, known) if known else _NO_TOOLS

    for key in entries:
        if is_glob(key) and not any(matching((key,), name) for name in known):
            yield f"{checks.located('tools', key)}: matches no tool{nearest(key)}"
        elif not is_glob(key) and key not in known:
            yield f"{checks.located('tools', key)}: there is no such tool{nearest(key)}"
    for name in gated:
        if name not in known:
            yield f"approval_gated: there is no tool {name!r}{nearest(name)}"


_NO_TOOLS = " (no tools were found in this graph; name those that its nodes fetch at run time: tools=[…])"
