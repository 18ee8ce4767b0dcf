"""Random policies, all of them valid, and what each must mean.

What a policy means is told here once more, from `docs/policy.md`, so that generator and package can disagree.
"""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Any

from langgraph_speculate.policy import LEVELS, Limits, SpeculationPolicy, TokenPrice, ToolPolicy, checks
from tests.fuzz import toml

Data = dict[str, Any]

VARIABLES = (ContextVar[str]("user"), ContextVar[str]("tenant"))


def yes(call: Any) -> bool:
    return True


def no(call: Any) -> bool:
    return False


async def late(call: Any) -> bool:
    return True


# -- valid ------------------------------------------------------------------------------------------------------------

ARGUMENTS = ("order_id", "user", "_x", "id2", "größe")
HOSTS = ("docs.python.org", "*.example.org", "example.com", "api.bank.co.uk")
SERVERS = ("billing", "docs server", "github", "a.b")
NAMES = ("get_order", "set_order", "search", "a", "GetOrder", "get-order", "a b", "mcp__x", "ж", 'q"uote', "x.y", "1")
GLOBS = ("get_*", "get_o*", "*", "?et_order", "[gs]et_*", "search*", "*_order", "[!a]*", "mcp__*")
PROBES = (*NAMES, "get_orders", "get_o", "set_x", "searching", "bet_order", "zzz", "*", "")


def seconds(rng: Random) -> float | int:
    return rng.choice([0, 1, 5, 0.25, 1e-9, 1e6, rng.uniform(0, 60), rng.randrange(100)])


def count(rng: Random) -> int:
    return rng.choice([0, 1, 2, 7, 1000, 2**63 - 1, rng.randrange(50)])


def truth(rng: Random) -> bool:
    return rng.random() < 0.5


def some(rng: Random, pool: tuple[str, ...], most: int = 3) -> list[str]:
    return rng.sample(pool, rng.randint(0, min(most, len(pool))))


def template(rng: Random) -> str:
    argument = "{" + rng.choice(ARGUMENTS) + "}"
    return rng.choice(["*", "all", "stock:*", f"order:{argument}", argument, f"{argument}:{argument}*", "a{{b}}c", "ü"])


def templates(rng: Random) -> list[str]:
    return [template(rng) for _ in range(rng.randint(0, 3))]


def rate(rng: Random) -> str:
    return rng.choice(["10/second", "600/minute", "5 per hour", "1/day", "100 per 5 minute"])


def share(rng: Random) -> float:
    return rng.choice([0, 1, 0.2, 0.5, rng.random()])


@dataclass(frozen=True)
class Limiter:
    """As far as a policy looks, a rate limiter; unlike LangChain's own it can be pickled."""

    def acquire(self, *, blocking: bool = True) -> bool:
        return not blocking


Maker = Callable[[Random], Any]
TOOL: dict[str, Maker] = {
    "read_only": truth,
    "open_world": truth,
    "idempotent": truth,
    "destructive": truth,
    "eagerness": lambda rng: rng.choice(["auto", "immediate", "eager", "moderate", "conservative"]),
    "reads": templates,
    "writes": templates,
    "ttl_s": seconds,
    "scope": lambda rng: rng.choice(["step", "run"]),
    "deterministic": truth,
    "on_mispredict": lambda rng: rng.choice(["drain", "cancel"]),
    "uses": lambda rng: ["context"] * rng.randrange(2),
    "reads_state": lambda rng: some(rng, ("messages", "todos", "a b")),
    "run_limit": count,
    "thread_limit": count,
    "cost": seconds,
    "rate": rate,
    "host": lambda rng: rng.choice(["api.example.org", "ü"]),
    "slots": count,
    "read_through": truth,
    "disclosure": lambda rng: rng.choice(["none", "same_args_only", "declared"]),
    "allowed_hosts": lambda rng: some(rng, HOSTS),
    "trusted_output": truth,
    "private": truth,
    "shared_results": truth,
    "pin": lambda rng: rng.choice(["sha256:abcd", "x", "0" * 64]),
    "tag": lambda rng: rng.choice(["orders", "ü\n", "a\\b", "\U0001f50e", "it's", 'a "tag"']),
}
LIMITS: dict[str, Maker] = {
    "max_in_flight": count,
    "max_per_turn": count,
    "max_per_run": count,
    "max_in_process": count,
    "max_depth": lambda rng: count(rng) + 1,
    "max_wasted_per_run": count,
    "max_wasted_s_per_run": seconds,
    "max_wasted_per_thread": count,
    "max_ghost_per_run": count,
    "max_result_bytes": count,
    "max_cache_bytes": count,
    "attempt_timeout_s": lambda rng: seconds(rng) or 0.5,
    "rate_share": share,
    "cool_down_s": seconds,
    "max_wasted_tokens_per_run": count,
    "max_wasted_tokens_per_hour": count,
    "max_previews_per_model": count,
    "max_memory_bytes": count,
}
PRICES: dict[str, Maker] = dict.fromkeys(("input", "output", "cached_input"), seconds)
TOP: dict[str, Maker] = {
    "level": lambda rng: rng.choice(LEVELS),
    "thrift": share,
    "value_per_second": lambda rng: seconds(rng) or 0.5,
    "rates": lambda rng: {name: rate(rng) for name in some(rng, ("api.example.org", "ü"))},
    "pools": lambda rng: {name: count(rng) for name in some(rng, ("api.example.org", "db"))},
    "approval_gated": lambda rng: rng.choice(["auto", some(rng, NAMES)]),
    "trusted_servers": lambda rng: some(rng, SERVERS),
    "transparent": lambda rng: some(rng, ("Retry", "log_calls")),
    "partition_by": lambda rng: some(rng, ("user_id", "tenant")),
    "shared_patterns": truth,
    "model_ahead": truth,
    "token_prices": lambda rng: {name: subset(rng, PRICES) for name in some(rng, ("gpt-5", "claude-*"))},
    "limits": lambda rng: subset(rng, LIMITS),
    "tools": lambda rng: tools(rng),
}
CODE_ONLY: dict[str, Maker] = {
    "guards": lambda rng: [rng.choice([yes, no]) for _ in range(rng.randint(0, 2))],
    "propagate_context": lambda rng: rng.sample(VARIABLES, rng.randint(0, 2)),
}
TOOL_CODE_ONLY: dict[str, Maker] = {
    "warm": lambda rng: rng.choice([yes, no]),
    "rate_limiter": lambda rng: Limiter(),
}
MAY_BE_NONE = ("destructive", "writes", "run_limit", "thread_limit", "rate", "host", "slots", "pin", "tag")


def subset(rng: Random, makers: Mapping[str, Maker]) -> Data:
    share = rng.choice([0.1, 0.4, 0.9])
    chosen = [name for name in makers if rng.random() < share]
    rng.shuffle(chosen)
    return {name: makers[name](rng) for name in chosen}


def tools(rng: Random) -> Data:
    names = rng.sample(NAMES + GLOBS, rng.randint(0, 4))
    return {name: truth(rng) if rng.random() < 0.2 else sound(rng, subset(rng, TOOL)) for name in names}


def sound(rng: Random, tool: Data) -> Data:
    """The settings of one tool without what contradicts the rest."""
    if tool.get("read_only"):
        remove_one(rng, tool, ("read_only", "destructive"), ("destructive",))
    if tool.get("read_only") and tool.get("writes"):
        remove_one(rng, tool, ("read_only", "writes"))
    remove_one(rng, tool, ("private", "shared_results"))
    if not tool.get("open_world"):
        tool.pop("allowed_hosts", None)
        tool.pop("disclosure", None)
    if tool.get("read_through") and (not tool.get("read_only") or tool.get("deterministic") is False):
        del tool["read_through"]
    if tool.get("scope") == "run" and (tool.get("open_world") or tool.get("deterministic") is False):
        del tool["scope"]
    return tool


def remove_one(rng: Random, tool: Data, names: tuple[str, ...], when: tuple[str, ...] = ()) -> None:
    if all(tool.get(name) for name in when or names):
        del tool[rng.choice([name for name in names if name in tool])]


def valid(rng: Random) -> Data:
    """A policy as plain data; now and then with what can only be set in code."""
    data = subset(rng, TOP)
    if rng.random() < 0.15:
        data |= subset(rng, CODE_ONLY)
        for entry in data.get("tools", {}).values():
            if isinstance(entry, dict):
                entry.update(subset(rng, TOOL_CODE_ONLY))
    for entry in data.get("tools", {}).values():
        if isinstance(entry, dict) and entry.get("host") not in {**data.get("rates", {}), **data.get("pools", {})}:
            entry.pop("host", None)
    if data.get("level") == "open_world":
        limits = data.setdefault("limits", {})
        limits["max_ghost_per_run"] = limits.get("max_ghost_per_run") or rng.randint(1, 9)
    return data


# -- meaning ----------------------------------------------------------------------------------------------------------

TOOL_DEFAULTS: Data = {
    "read_only": False,
    "open_world": False,
    "idempotent": False,
    "destructive": None,
    "eagerness": "auto",
    "reads": ("*",),
    "writes": None,
    "ttl_s": 10.0,
    "scope": "step",
    "deterministic": True,
    "on_mispredict": "drain",
    "uses": (),
    "reads_state": (),
    "run_limit": None,
    "thread_limit": None,
    "cost": 0.0,
    "rate": None,
    "host": None,
    "slots": None,
    "rate_limiter": None,
    "read_through": False,
    "warm": None,
    "disclosure": "none",
    "allowed_hosts": (),
    "trusted_output": False,
    "private": False,
    "shared_results": False,
    "pin": None,
    "tag": None,
}
LIMITS_DEFAULTS: Data = {
    "max_in_flight": 4,
    "max_per_turn": 3,
    "max_per_run": 60,
    "max_in_process": 512,
    "max_depth": 1,
    "max_wasted_per_run": 20,
    "max_wasted_s_per_run": 60.0,
    "max_wasted_per_thread": 500,
    "max_ghost_per_run": 0,
    "max_result_bytes": 1_000_000,
    "max_cache_bytes": 64_000_000,
    "attempt_timeout_s": 30.0,
    "rate_share": 0.2,
    "cool_down_s": 60.0,
    "max_wasted_tokens_per_run": 50_000,
    "max_wasted_tokens_per_hour": 1_000_000,
    "max_previews_per_model": 2,
    "max_memory_bytes": 16_000_000,
}
TOP_DEFAULTS: Data = {
    "level": "declared",
    "thrift": 0.5,
    "value_per_second": 0.01,
    "rates": {},
    "pools": {},
    "approval_gated": "auto",
    "trusted_servers": (),
    "transparent": (),
    "partition_by": (),
    "shared_patterns": False,
    "model_ahead": False,
    "token_prices": {},
    "guards": (),
    "propagate_context": (),
}


def plain(data: Data) -> Data:
    """What of it can stand in a file."""
    said = {key: value for key, value in data.items() if key not in CODE_ONLY}
    if isinstance(entries := said.get("tools"), dict):
        said["tools"] = {
            name: {key: value for key, value in entry.items() if key not in TOOL_CODE_ONLY}
            if isinstance(entry, dict)
            else entry
            for name, entry in entries.items()
        }
    return said


def misread(data: Data, policy: SpeculationPolicy) -> Iterator[str]:
    """Yield every place where *policy* does not mean what *data* says."""
    prices = {name: TokenPrice(**price) for name, price in data.get("token_prices", {}).items()}
    data = {**data, "token_prices": prices}
    yield from differing("", TOP_DEFAULTS | {key: data[key] for key in TOP_DEFAULTS.keys() & data.keys()}, policy)
    yield from differing("limits.", LIMITS_DEFAULTS | data.get("limits", {}), policy.limits)
    entries = data.get("tools", {})
    if list(policy.tools) != list(entries):
        yield f"tools: {list(policy.tools)} instead of {list(entries)}"
        return
    for name, entry in entries.items():
        said = {"read_only": entry} if isinstance(entry, bool) else entry
        yield from differing(f"tools.{name}.", TOOL_DEFAULTS | said, policy.tools[name])


def differing(path: str, expected: Data, record: object) -> Iterator[str]:
    for name, value in expected.items():
        wanted = tuple(value) if isinstance(value, list) else value
        found = getattr(record, name)
        if found != wanted or isinstance(found, bool) != isinstance(wanted, bool):
            yield f"{path}{name}: {found!r} instead of {wanted!r}"


def literal_characters(glob: str) -> int:
    total = at = 0
    while at < len(glob):
        if glob[at] == "[" and (end := glob.find("]", at + 2)) > 0:
            at = end
        elif glob[at] not in "*?":
            total += 1
        at += 1
    return total


def deciding(data: Data, tool: str) -> str | None:
    """The key of the entry that decides about *tool*, as the documentation has it."""
    names = data.get("tools", {})
    if tool in names:
        return tool
    matching = [name for name in names if any(sign in name for sign in "*?[") and fnmatchcase(tool, name)]
    best = max(map(literal_characters, matching), default=0)
    return next((name for name in matching if literal_characters(name) == best), None)


def may_run(data: Data, tool: str, level: str) -> bool:
    """Whether the policy lets *tool* run ahead, as the documentation has it."""
    key = deciding(data, tool)
    if key is None or level in ("off", "shadow"):
        return False
    gated = data.get("approval_gated", "auto")
    entry = data["tools"][key]
    said = TOOL_DEFAULTS | ({"read_only": entry} if isinstance(entry, bool) else entry)
    inside = not said["open_world"] or (level == "open_world" and said["disclosure"] != "none")
    return said["read_only"] and inside and said["ttl_s"] > 0 and (gated == "auto" or tool not in gated)


def misjudged(data: Data, policy: SpeculationPolicy, rng: Random) -> Iterator[str]:
    """Yield every tool about which *policy* says something else than the documentation."""
    level = policy.effective_level()
    for tool in rng.sample(PROBES, 5) + list(data.get("tools", {})):
        key = deciding(data, tool)
        origin = policy.rule_for(tool).origin
        wanted = "undeclared" if key is None else checks.located("tools", key)
        if origin != wanted:
            yield f"rule_for({tool!r}): {origin} instead of {wanted}"
        verdict = policy.explain(tool, rng.choice(WILD_ARGUMENTS))
        if verdict.allowed != may_run(data, tool, level) or not str(verdict):
            yield f"explain({tool!r}): {verdict}"
        policy.explain(tool, None, metadata=rng.choice(WILD_METADATA))


class Unspeakable:
    """Can neither be asked, shown, formatted nor compared."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __format__(self, spec: str) -> str:
        raise RuntimeError

    __repr__ = __str__ = __eq__ = __hash__ = __format__  # type: ignore[assignment]


WILD_ARGUMENTS: list[Data | None] = [
    None,
    {},
    {"order_id": 7, "user": "ann", "_x": 0.5, "id2": True, "größe": "ü"},
    {"order_id": Unspeakable(), "user": [1], "_x": math.nan, "id2": math.inf},
    {"order_id": "*", "user": "{x}", "_x": 10**5000, "größe": b"x"},
]
WILD_METADATA: list[Data | None] = [
    None,
    {},
    {"speculation": True},
    {"speculation": {"read_only": True, "reads": ["order:{order_id}"], "ttl_s": 1}},
    {"read_only": True, "open_world": None},
    {"read_only": "yes", "x": Unspeakable()},
    {"readOnlyHint": True, "openWorldHint": "no", "destructiveHint": []},
    {"mcp": {"tool": {"annotations": {"read_only_hint": Unspeakable()}}, "server": 7}},
]


def changed_by_copying(policy: SpeculationPolicy, rng: Random) -> Iterator[str]:
    """Yield every way of copying that gives another policy."""
    copies: dict[str, Callable[[], SpeculationPolicy]] = {
        "copy": lambda: copy.copy(policy),
        "replace": lambda: replace(policy),
        "fields": lambda: SpeculationPolicy(**{item.name: getattr(policy, item.name) for item in fields(policy)}),
    }
    if not policy.propagate_context:  # Python copies and pickles no context variable
        copies["deepcopy"] = lambda: copy.deepcopy(policy)
        copies["pickle"] = lambda: pickle.loads(pickle.dumps(policy, rng.randrange(2, pickle.HIGHEST_PROTOCOL + 1)))
    for way, made in copies.items():
        if made() != policy:
            yield f"{way} gives another policy"
    if SpeculationPolicy.load(policy) is not policy:
        yield "load does not pass a policy through"
    if replace(policy, level="off", limits=policy.limits).tools != policy.tools:
        yield "replace loses the tools"


# -- the same, written in another way ----------------------------------------------------------------------------------


def harmless(rng: Random, data: Data) -> Data:
    """*data* in other words: each of these edits is accepted and provably changes nothing."""
    said = copy_of(data)
    for name, value in TOP_DEFAULTS.items():
        if name not in said and rng.random() < 0.3:
            said[name] = value  # a default, spelt out
    for entry in [entry for entry in said.get("tools", {}).values() if isinstance(entry, dict)]:
        for name in MAY_BE_NONE:
            if name not in entry and rng.random() < 0.2:
                entry[name] = None  # None, where it stands for "not said"
        if "disclosure" not in entry and rng.random() < 0.2:
            entry["disclosure"] = "none"  # the default that a closed world may name
        if "allowed_hosts" not in entry and rng.random() < 0.2:
            entry["allowed_hosts"] = []
    for name, entry in said.get("tools", {}).items():
        if isinstance(entry, bool) and rng.random() < 0.5:
            said["tools"][name] = {"read_only": entry}  # the long form of yes and no
        elif isinstance(entry, dict) and "ttl_s" in entry:
            entry["ttl_s"] = float(entry["ttl_s"])
    return tuples(rng, said)


def tuples(rng: Random, value: Any) -> Any:
    """Lists as tuples, here and there."""
    if isinstance(value, dict):
        return {key: tuples(rng, item) for key, item in value.items()}
    return tuple(value) if isinstance(value, list) and rng.random() < 0.5 else value


def copy_of(value: Any) -> Any:
    """Tables and lists anew; what they hold, functions and context variables, stays the same."""
    if isinstance(value, dict):
        return {key: copy_of(item) for key, item in value.items()}
    return [copy_of(item) for item in value] if isinstance(value, list) else value


# -- reading -----------------------------------------------------------------------------------------------------------


def misused(data: Data, rng: Random, folder: Path) -> Iterator[str]:
    """Yield what is wrong with how a valid policy is read."""
    try:
        policy = SpeculationPolicy.from_dict(data)
        yield from misread(data, policy)
        yield from misjudged(data, policy, rng)
        yield from changed_by_copying(policy, rng)
        if SpeculationPolicy.load(harmless(rng, data)) != policy:
            yield "another way to write it means something else"
        if SpeculationPolicy(**data) != policy or SpeculationPolicy.load(data) != policy:
            yield "from_dict, load and the record differ"
        if plain(data) == data:
            file = toml.written(folder / "speculate.toml", toml.file_of(rng, data))
            path = rng.choice([file, str(file)])
            if SpeculationPolicy.from_toml(path) != policy or SpeculationPolicy.load(path) != policy:
                yield "its TOML means something else"
    except Exception as error:  # noqa: BLE001 - nothing may be raised here
        yield f"{type(error).__name__}: {error}"


def unmade() -> set[str]:
    """Settings that no valid policy here ever has."""
    known = {*SpeculationPolicy.CHECKS, *Limits.CHECKS, *ToolPolicy.CHECKS}
    return known - {*TOP, *CODE_ONLY, *LIMITS, *TOOL, *TOOL_CODE_ONLY}
