"""What the owner of one tool says about it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

from langgraph_speculate.policy import checks
from langgraph_speculate.policy.templates import EVERYTHING, filled, template_arguments

Eagerness = Literal["auto", "immediate", "eager", "moderate", "conservative"]

Disclosure = Literal["none", "same_args_only", "declared"]

PROBABILITY_FLOORS: Mapping[Eagerness, float | None] = MappingProxyType(
    {"auto": None, "immediate": 0.0, "eager": 0.3, "moderate": 0.5, "conservative": 0.8}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPolicy:
    """What the owner of a tool says about it.

    Attributes:
        read_only: Calling it changes nothing. Only such tools ever run ahead.
        open_world: It leaves your trust boundary (the web, third parties). Runs ahead only at the level `open_world`,
            and only with `disclosure`.
        idempotent: Calling it twice changes no more than once. A description; it allows nothing.
        destructive: It may destroy. A description; it allows nothing. None means unless `read_only`.
        eagerness: How sure a prediction must be. `auto` weighs benefit against cost; others set `probability_floor`.
        reads: Resource templates over the arguments, such as `"order:{order_id}"`. A `*` at the end stands for all with
            that beginning; alone, for everything.
        writes: The same for what it changes. None means everything, unless `read_only`.
        ttl_s: Seconds for which a result may be used, counted from its start. 0 means never run ahead.
        scope: How long a result may wait: for calls of the message it was started for (`step`), or for the whole `run`.
        deterministic: Two calls at one instant give one answer. False requires the scope `step`.
        on_mispredict: Whether an unwanted attempt finishes unseen (`drain`) or is stopped (`cancel`).
        uses: What the tool may see while it runs ahead: nothing, the run's runtime `context`, or `thread_locals`, those
            of a thread of its own, which say nothing of whom it works for (a connection, say).
        reads_state: Keys of the graph's state it reads through `InjectedState` or `ToolRuntime`; compared again before
            its result is used.
        run_limit, thread_limit: Most bodies per run and per thread, real and early ones together. Needed for a tool
            that has a call limit of its own; None means no such limit.
        cost: What a call costs, in the currency of the policy's `value_per_second`.
        rate: How often it may be called, such as `"10/second"` or `"600/minute"`; early calls use a part of that only.
        host: The service in the policy's `rates` or `pools` that it shares with others.
        slots: How many of its calls can run at once in this process; early ones run only while some are free.
        rate_limiter: A rate limiter of LangChain that its real calls go through; early ones take from it, too. Only in
            code.
        read_through: The answer of a call, while it is fresh, answers the same call again in the same run.
        warm: Called when the tool is likely to be called, with whatever arguments, to prepare what makes calls of it
            faster and changes nothing. Only in code.
        disclosure: What an early call may tell a third party: nothing (`none`, it never runs ahead), arguments that its
            destination has seen in this thread (`same_args_only`), or any, by your statement that its arguments are
            public (`declared`).
        allowed_hosts: Hosts that an open-world tool may be sent to early, such as `"docs.python.org"`, or
            `"*.example.org"` for its subdomains. Public ones only, without scheme, path or port.
        trusted_output: Its results may choose where an open-world tool is sent.
        private: What it is called with is never written into patterns on disk, however often it comes again, and its
            results are never remembered for previews.
        shared_results: What it answered in one partition may be expected in others, too (`model_ahead`).
        pin: The fingerprint of the tool as you approved it; any other never runs ahead.
        tag: A label that LangSmith shows with what is told of its speculations.

    Raises:
        PolicyError: A value will not do, or two contradict each other.

    >>> ToolPolicy(read_only=True, reads=["order:{order_id}"]).resources_read({"order_id": 7})
    ('order:7',)
    """

    read_only: bool = False
    open_world: bool = False
    idempotent: bool = False
    destructive: bool | None = None
    eagerness: Eagerness = "auto"
    reads: tuple[str, ...] = (EVERYTHING,)
    writes: tuple[str, ...] | None = None
    ttl_s: float = 10.0
    scope: Literal["step", "run"] = "step"
    deterministic: bool = True
    on_mispredict: Literal["drain", "cancel"] = "drain"
    uses: tuple[Literal["context", "thread_locals"], ...] = ()
    reads_state: tuple[str, ...] = ()
    run_limit: int | None = None
    thread_limit: int | None = None
    cost: float = 0.0
    rate: str | None = None
    host: str | None = None
    slots: int | None = None
    rate_limiter: Any = None
    read_through: bool = False
    warm: Callable[..., Any] | None = None
    disclosure: Disclosure = "none"
    allowed_hosts: tuple[str, ...] = ()
    trusted_output: bool = False
    private: bool = False
    shared_results: bool = False
    pin: str | None = None
    tag: str | None = None

    CHECKS: ClassVar[Mapping[str, checks.Check]] = MappingProxyType(
        {
            "read_only": checks.boolean,
            "open_world": checks.boolean,
            "idempotent": checks.boolean,
            "destructive": checks.optional_boolean,
            "eagerness": checks.one_of(get_args(Eagerness)),
            "reads": checks.templates,
            "writes": checks.optional_templates,
            "ttl_s": checks.seconds,
            "scope": checks.one_of(("step", "run")),
            "deterministic": checks.boolean,
            "on_mispredict": checks.one_of(("drain", "cancel")),
            "uses": checks.texts_of(("context", "thread_locals")),
            "reads_state": checks.texts,
            "run_limit": checks.optional_count,
            "thread_limit": checks.optional_count,
            "cost": checks.amount,
            "rate": checks.optional_rate,
            "host": checks.optional_text,
            "slots": checks.optional_count,
            "rate_limiter": checks.optional_limiter,
            "read_through": checks.boolean,
            "warm": checks.optional_function,
            "disclosure": checks.one_of(get_args(Disclosure)),
            "allowed_hosts": checks.hosts,
            "trusted_output": checks.boolean,
            "private": checks.boolean,
            "shared_results": checks.boolean,
            "pin": checks.optional_text,
            "tag": checks.optional_text,
        }
    )

    def __post_init__(self) -> None:
        checks.refuse_any(tool_problems({name: getattr(self, name) for name in self.CHECKS}))
        for name in ("reads", "writes", "uses", "reads_state", "allowed_hosts"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else tuple(value))
        object.__setattr__(self, "ttl_s", float(self.ttl_s))

    @property
    def probability_floor(self) -> float | None:
        """The least probability a prediction needs, in [0, 1]; None lets admission decide by expected value."""
        return PROBABILITY_FLOORS[self.eagerness]

    @property
    def drains(self) -> bool:
        """Whether a body that nobody wants may finish."""
        return self.on_mispredict == "drain"

    @property
    def is_rationed(self) -> bool:
        """Whether calls are paid for, counted, or shared with others, so that none is made twice to save time."""
        shared = (self.run_limit, self.thread_limit, self.rate, self.host, self.slots, self.rate_limiter)
        return self.cost > 0 or any(said is not None for said in shared)

    @property
    def effective_writes(self) -> tuple[str, ...]:
        """Templates of what a real call changes: nothing if `read_only`, everything if nobody said."""
        if self.read_only:
            return ()
        return (EVERYTHING,) if self.writes is None else self.writes

    def resources_read(self, args: Mapping[str, Any]) -> tuple[str, ...]:
        """What a call with *args* reads; everything where a template cannot be filled."""
        return tuple(filled(template, args) for template in self.reads)

    def check_templates(self, tool_name: str, argument_names: Collection[str]) -> None:
        """Check that every argument a template uses is one of the tool's.

        Raises:
            PolicyError: One is not; the message has the nearest right name.
        """
        checks.refuse_any(
            f"{checks.located('tools', tool_name)}.{where}: {template!r} uses {name!r}, which is no argument of "
            f"{tool_name}{checks.did_you_mean(name, argument_names)}"
            for where, templates in (("reads", self.reads), ("writes", self.writes or ()))
            for template in templates
            for name in template_arguments(template)
            if name not in argument_names
        )


def tool_problems(values: Mapping[Any, Any], path: str = "") -> Iterator[str]:
    """Yield what is wrong with the settings of one tool: each by itself, then where two contradict each other."""
    found = list(checks.problems(values, ToolPolicy.CHECKS, path))
    yield from found
    if found:
        return
    where = f"{path}: " if path else ""
    if values.get("read_only") and values.get("destructive"):
        yield f"{where}read_only and destructive contradict each other; remove one"
    if values.get("read_only") and values.get("writes"):
        yield f"{where}read_only and writes contradict each other; remove one"
    if values.get("scope") == "run" and values.get("deterministic") is False:
        yield f"{where}scope 'run' needs a deterministic tool; use scope 'step'"
    if values.get("read_through") and not values.get("read_only"):
        yield f"{where}read_through is for tools that only read; add read_only = true, or remove it"
    if values.get("read_through") and values.get("deterministic") is False:
        yield f"{where}read_through needs a deterministic tool; remove one of them"
    if values.get("private") and values.get("shared_results"):
        yield f"{where}private and shared_results contradict each other; remove one"
    if not values.get("open_world"):
        for name in ("disclosure", "allowed_hosts"):
            if values.get(name) not in (None, "none", (), []):
                yield f"{where}{name} is for tools that leave your trust boundary; add open_world = true, or remove it"
    elif values.get("scope") == "run":
        yield f"{where}scope 'run' is not for what others may change; use scope 'step'"
