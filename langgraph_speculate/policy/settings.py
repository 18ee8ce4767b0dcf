"""Which tools may run ahead of the model, and how much: frozen records that check themselves once.

A tool nobody declared counts as writing everything. This module says what the owner allowed; whether a concrete call
may run now is the gate's decision (`core/gate.py`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from langgraph_speculate.errors import PolicyError
from langgraph_speculate.policy import checks
from langgraph_speculate.policy.annotations import annotations_of
from langgraph_speculate.policy.file import read_policy_file
from langgraph_speculate.policy.guards import Guard
from langgraph_speculate.policy.levels import ENVIRONMENT_VARIABLE, LEVELS, Level, lowered
from langgraph_speculate.policy.limits import Limits
from langgraph_speculate.policy.prices import TokenPrice, price_problems, token_price
from langgraph_speculate.policy.rules import (
    Reason,
    Rule,
    Verdict,
    curbed,
    entry_problems,
    matching,
    narrowed,
    reason_for,
    rule_in_metadata,
    tool_policy,
    unknown_names,
)
from langgraph_speculate.policy.tool import ToolPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeculationPolicy:
    """What may run ahead of the model, for one graph.

    Attributes:
        level: `off`: nothing happens. `shadow`: decide and score, run nothing. `declared`: run what owners declared.
            `annotated`: also what `trusted_servers` annotate as read-only. `open_world`: also declared tools that leave
            your trust boundary.
        tools: One entry per tool name or glob (`search_*`). Values may be given as dicts, or as True for read-only and
            False for not. Where several globs match, the one with the most literal characters decides, then the first.
        limits: How much may run.
        thrift: How much waste weighs, in [0, 1]: 0 for the fastest, 1 for the cheapest.
        value_per_second: What a second that a user does not wait is worth, in the currency of the tools' `cost`.
        rates: Declared rates of services, such as `{"api.example.org": "600/minute"}`, shared by tools of that `host`.
        pools: How many calls of a service can run at once in this process, such as `{"orders_db": 16}`, by `host`, too.
        approval_gated: Tools that wait for a person. `auto` finds them in the graph; a tuple names them all.
        trusted_servers: Names of MCP servers whose annotations may be believed.
        transparent: Names of middleware classes, or of functions given as `wrap_tool_call`, that let every call through
            and change neither it nor whether it runs.
        guards: Functions asked about each call before it runs ahead and before its result is used; only True lets it
            pass (`policy.guards`). Only in code.
        partition_by: Keys of `config["configurable"]` that tell users apart.
        shared_patterns: What is learned of one partition is used for all of them, so that each may tell from how fast
            its calls are answered what others did.
        propagate_context: Context variables an attempt may see. Only in code.
        model_ahead: While a tool runs whose result is known from before, the next call of the model is started on that
            result, and used if the real input turns out equal. It costs tokens where it is not.
        token_prices: What a million tokens cost, by name or glob of models, such as `{"gpt-5-*": {"input": 0.25}}`.

    Raises:
        PolicyError: Something is misspelt, of the wrong kind or contradicts itself; every such place is listed.

    >>> policy = SpeculationPolicy(tools={"get_order": True, "search_*": {"read_only": True, "ttl_s": 2}})
    >>> policy.rule_for("search_docs").origin
    'tools."search_*"'
    >>> print(policy.explain("send_mail"))
    send_mail never runs ahead: nobody declared it read-only (undeclared)
    """

    level: Level = "declared"
    tools: Mapping[str, ToolPolicy] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    thrift: float = 0.5
    value_per_second: float = 0.01
    rates: Mapping[str, str] = field(default_factory=dict)
    pools: Mapping[str, int] = field(default_factory=dict)
    approval_gated: Literal["auto"] | tuple[str, ...] = "auto"
    trusted_servers: tuple[str, ...] = ()
    transparent: tuple[str, ...] = ()
    guards: tuple[Guard, ...] = ()
    partition_by: tuple[str, ...] = ()
    shared_patterns: bool = False
    propagate_context: tuple[ContextVar[Any], ...] = ()
    model_ahead: bool = False
    token_prices: Mapping[str, TokenPrice] = field(default_factory=dict)

    CHECKS: ClassVar[Mapping[str, checks.Check]] = MappingProxyType(
        {
            "level": checks.one_of(LEVELS),
            "tools": checks.mapping,
            "limits": checks.anything,  # a record or its settings, checked on their own
            "thrift": checks.share,
            "value_per_second": checks.positive_amount,
            "rates": checks.by_service(checks.rate, "rates"),
            "pools": checks.by_service(checks.count, "numbers of calls"),
            "approval_gated": checks.auto_or_texts,
            "trusted_servers": checks.texts,
            "transparent": checks.texts,
            "guards": checks.guards,
            "partition_by": checks.texts,
            "shared_patterns": checks.boolean,
            "propagate_context": checks.context_variables,
            "model_ahead": checks.boolean,
            "token_prices": checks.anything,  # tables, checked on their own
        }
    )

    def __post_init__(self) -> None:
        values = {name: getattr(self, name) for name in self.CHECKS}
        checks.refuse_any(_policy_problems(values))
        limits = values["limits"]
        changed = {
            "tools": MappingProxyType({name: tool_policy(entry) for name, entry in values["tools"].items()}),
            "limits": limits if isinstance(limits, Limits) else Limits(**limits),
            "rates": MappingProxyType(dict(values["rates"])),
            "pools": MappingProxyType(dict(values["pools"])),
            "token_prices": MappingProxyType({name: token_price(it) for name, it in values["token_prices"].items()}),
        }
        for name in (
            "approval_gated",
            "trusted_servers",
            "transparent",
            "guards",
            "partition_by",
            "propagate_context",
        ):
            changed[name] = values[name] if isinstance(values[name], str) else tuple(values[name])
        for name, value in changed.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[Any, ...]:  # a mapping proxy can neither be copied nor pickled
        values = {name: getattr(self, name) for name in self.CHECKS}
        plain = {name: dict(getattr(self, name)) for name in ("tools", "rates", "pools", "token_prices")}
        return type(self).from_dict, (values | plain,)

    @classmethod
    def load(cls, source: SpeculationPolicy | Mapping[str, Any] | str | os.PathLike[str] | None) -> SpeculationPolicy:
        """Return the policy *source* stands for: itself, a dict of its shape, the path of a TOML file; None: defaults.

        Raises:
            PolicyError: It is none of these, cannot be read, or holds mistakes.
        """
        if source is None:
            return cls()
        if isinstance(source, SpeculationPolicy):
            return source
        if isinstance(source, Mapping):
            return cls.from_dict(source)
        if isinstance(source, str | os.PathLike):
            return cls.from_toml(source)
        raise PolicyError(f"a policy is a SpeculationPolicy, a dict or a path, not a {type(source).__name__}")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, source: str = "") -> SpeculationPolicy:
        """Read a dict of the same shape as the record.

        Args:
            data: Settings by name; absent ones keep their defaults.
            source: Where the dict comes from, put in front of the message when it holds mistakes.

        Raises:
            PolicyError: It holds mistakes; every one is listed.
        """
        checks.refuse_any(_policy_problems(data), source)
        return cls(**data)

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> SpeculationPolicy:
        """Read a TOML file.

        Raises:
            PolicyError: The file cannot be read or holds mistakes; the message starts with the path.
        """
        return cls.from_dict(read_policy_file(path), source=str(path))

    def rule_for(self, name: str, metadata: Mapping[str, Any] | None = None) -> Rule:
        """Return the entry that decides about a tool: by name, by glob, by the tool's own metadata, or none.

        A tool's own metadata narrows what a glob says. Annotations of an MCP server in it narrow what the owner
        declared, and declare nothing by themselves unless the level and `trusted_servers` say so.

        Raises:
            PolicyError: The metadata speaks of speculation, but not in a way that can be understood.
        """
        if (key := matching(self.tools, name)) is not None:
            rule = Rule(self.tools[key], checks.located("tools", key))
            rule = rule if key == name else curbed(rule, metadata)
        else:
            believes = LEVELS.index(self.level) >= LEVELS.index("annotated")
            rule = rule_in_metadata(name, metadata, believes=believes, trusted=self.trusted_servers)
        return narrowed(rule, annotations_of(metadata))

    def price_of(self, model: str) -> TokenPrice:
        """What tokens of the model of that name cost; where nobody said, as much as those of a dear one."""
        key = matching(self.token_prices, model)
        return TokenPrice() if key is None else self.token_prices[key]

    def check_names(self, known: Collection[str], *, source: str = "") -> None:
        """Check that every entry speaks of a tool in *known*.

        Args:
            known: The names of the tools that there are.
            source: Where the policy comes from, put in front of the message.

        Raises:
            PolicyError: One does not; the message has the nearest right name.
        """
        checks.refuse_any(unknown_names(self.tools, self._gated_names(), known), source)

    def _gated_names(self) -> tuple[str, ...]:
        return () if isinstance(self.approval_gated, str) else self.approval_gated

    def effective_level(self, environ: Mapping[str, str] = os.environ) -> Level:
        """Return the level after the environment had its say; `LANGGRAPH_SPECULATE` can lower it, never raise it.

        A value that means nothing counts as `off`: whoever set it wanted to stop something.

        >>> SpeculationPolicy().effective_level({"LANGGRAPH_SPECULATE": "shadow"})
        'shadow'
        """
        return lowered(self.level, environ)

    @property
    def foretold_level(self) -> Level:
        """The level about which `shadow` tells what would happen: this policy's own, or `declared` if that is lower.

        >>> SpeculationPolicy(level="annotated").foretold_level, SpeculationPolicy(level="shadow").foretold_level
        ('annotated', 'declared')
        """
        return max(self.level, "declared", key=LEVELS.index)

    def explain(
        self,
        tool: str,
        args: Mapping[str, Any] | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        fingerprint: str | None = None,
    ) -> Verdict:
        """Say whether a tool may run ahead as far as the policy goes, and why.

        Args:
            tool: The tool's name.
            args: The arguments of one call, to name the resources it would read.
            metadata: The tool's own metadata.
            fingerprint: The tool's fingerprint, to be compared with a `pin`; None leaves that to the graph.

        Raises:
            PolicyError: See `rule_for`.

        >>> policy = SpeculationPolicy(tools={"get_order": {"read_only": True, "reads": ["order:{order_id}"]}})
        >>> print(policy.explain("get_order", {"order_id": 7}))
        get_order may run ahead: its owner declared it read-only (tools.get_order); reads order:7
        """
        rule, level = self.rule_for(tool, metadata), self.effective_level()
        reason: Reason = "level_off"
        if level != "off":
            reason = "approval_gated" if tool in self._gated_names() else reason_for(rule, level, fingerprint)
        origin = rule.origin
        if reason == "approval_gated":
            origin = "approval_gated"
        elif reason in ("level_off", "level_shadow") or (reason == "undeclared" and rule.tool is not None):
            origin = "level" if level == self.level else ENVIRONMENT_VARIABLE
        resources = () if rule.tool is None or args is None else rule.tool.resources_read(args)
        detail = rule.detail if reason in ("undeclared", "not_read_only", "open_world") else ""
        return Verdict(tool, reason in ("declared", "annotated"), reason, origin, resources, detail)


def _is_entry(value: Any) -> bool:
    """Whether a value looks like what is said of a tool."""
    return value is True or isinstance(value, ToolPolicy) or (isinstance(value, Mapping) and "read_only" in value)


def _ghosts(limits: Any) -> Any:
    return limits.get("max_ghost_per_run") if isinstance(limits, Mapping) else getattr(limits, "max_ghost_per_run", 0)


def _policy_problems(values: Mapping[Any, Any]) -> Iterator[str]:
    if values.get("level") == "open_world" and not _ghosts(values.get("limits", {})):
        yield "limits.max_ghost_per_run: must be set at level 'open_world': how many unwanted calls may others see?"
    misplaced = [key for key, value in values.items() if key not in SpeculationPolicy.CHECKS and _is_entry(value)]
    yield from (f"{checks.located('', key)}: unknown key; a tool's entry stands under tools" for key in misplaced)
    yield from checks.problems({k: v for k, v in values.items() if k not in misplaced}, SpeculationPolicy.CHECKS)
    limits = values.get("limits", {})
    if isinstance(limits, Mapping):
        yield from checks.problems(limits, Limits.CHECKS, "limits")
    elif not isinstance(limits, Limits):
        yield f"limits: must be a table, got {checks.shown(limits)}"
    yield from price_problems(values.get("token_prices", {}))
    tools = values.get("tools", {})
    for name, entry in tools.items() if isinstance(tools, Mapping) else ():
        path = checks.located("tools", name)
        if not isinstance(name, str) or not name:
            yield f"{path}: a tool's name is text, not empty"
        yield from entry_problems(entry, path)
        yield from _unknown_host(entry, values.get("rates", {}), values.get("pools", {}), path)


def _unknown_host(entry: Any, rates: Any, pools: Any, path: str) -> Iterator[str]:
    host = entry.get("host") if isinstance(entry, Mapping) else getattr(entry, "host", None)
    if not (isinstance(host, str) and isinstance(rates, Mapping) and isinstance(pools, Mapping)):
        return
    known = {**rates, **pools}
    if host not in known:
        yield f"{path}.host: neither rates nor pools has {checks.shown(host)}{checks.did_you_mean(host, known)}"
